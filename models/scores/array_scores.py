"""Statistics of losses, tokens and scores: arrays in, floats or arrays out; no model, no files.

Losses are mean cross-entropies in nats per answer token unless a name says otherwise. Arrays that do not define a
statistic raise ValueError; there are no default values. `evaluation_metrics` exports all public names.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def _array(values, name: str, ndim: int = 1) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or not array.size:
        raise ValueError(f"{name} must be a non-empty array of {ndim} dimension(s), got shape {array.shape}")
    return array


# ---------------------------------------------------------------------------------------------------------------------
# Probabilities of answers


def answer_probability(mean_loss):
    """exp(-mean answer-token loss), in (0, 1]: the geometric mean probability of the answer's tokens.

    mean_loss: () or (n,), nats per token; length-normalised, so answers of any length compare. TOFU, sec. 2.2.1.
    """
    return np.exp(-np.asarray(mean_loss, dtype=np.float64))


def option_probability(answer_loss, wrong_loss):
    """p / (p + sum_k p_wrong_k) with p = exp(-mean loss), (n,), in (0, 1): the right answer among the options.

    answer_loss (n,), wrong_loss (n, k). TOFU's probability for real authors and world facts.
    """
    answer, wrong = _array(answer_loss, "answer_loss"), _array(wrong_loss, "wrong_loss", 2)
    return 1.0 / (1.0 + np.exp(answer[:, None] - wrong).sum(1))


def multiple_choice_accuracy(right_loss, wrong_loss):
    """1 where the right option has the lowest mean loss of all, else 0, (n,); a tie is wrong.

    right_loss (n,): of the paraphrased answer; wrong_loss (n, k). Chance is 1/(k+1) only for a model without any
    knowledge of language: TOFU's retrained Llama-2-7B has .40 with k = 5.
    """
    right, wrong = _array(right_loss, "right_loss"), _array(wrong_loss, "wrong_loss", 2)
    return (right < wrong.min(1)).astype(np.float64)


def truth_ratio(paraphrased_loss, perturbed_loss, reduction: str = "geometric"):
    """R = P_wrong / P_paraphrased, (n,), in (0, inf): below 1 the model prefers the truth.

    paraphrased_loss (n,), perturbed_loss (n, k). P_paraphrased = exp(-loss). P_wrong by `reduction`: "geometric"
    exp(mean_k -loss), as in the code of TOFU and OpenUnlearning; "arithmetic" mean_k exp(-loss), as in TOFU's paper
    (Maini et al. 2024, arXiv:2401.06121, eq. 1).
    """
    right, wrong = _array(paraphrased_loss, "paraphrased_loss"), _array(perturbed_loss, "perturbed_loss", 2)
    if reduction == "geometric":
        return np.exp(right - wrong.mean(1))
    if reduction == "arithmetic":
        return np.exp(right[:, None] - wrong).mean(1)
    raise ValueError(f"reduction must be 'geometric' or 'arithmetic', got {reduction!r}")


def truth_ratio_forget(ratio):
    """min(R, 1/R) per row, (n,), in (0, 1]: near 1 if the model no longer tells truth from falsehood."""
    ratio = np.asarray(ratio, dtype=np.float64)
    return np.minimum(ratio, 1.0 / ratio)


def truth_ratio_utility(ratio):
    """max(0, 1 - R) per row, (n,), in [0, 1): near 1 if the model clearly prefers the truth."""
    return np.maximum(0.0, 1.0 - np.asarray(ratio, dtype=np.float64))


def forget_quality(unlearned_truth_ratio, retrained_truth_ratio) -> tuple[float, float, int]:
    """(p_value, statistic D, n) of the two-sample Kolmogorov-Smirnov test between two models' truth ratios.

    Two arrays (n,), one value per forget row. p = 1 for the retrained model itself; a small p tells the unlearned model
    apart from it. A large p proves little for small n: the smallest D with p < .05 is .325 for n = 40, .14 for 200,
    .0975 for 400. Raises ValueError if the sizes differ: the models then saw different rows. TOFU, sec. 2.2.2.
    """
    from scipy.stats import ks_2samp

    ours, theirs = _array(unlearned_truth_ratio, "truth ratios"), _array(retrained_truth_ratio, "truth ratios")
    if len(ours) != len(theirs):
        raise ValueError(f"one truth ratio per forget row and model: got {len(ours)} and {len(theirs)}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("truth ratios must be finite")
    test = ks_2samp(ours, theirs)
    return float(test.pvalue), float(test.statistic), len(ours)


def harmonic_mean(values) -> float:
    """n / sum(1/v) of non-negative values; a zero gives zero."""
    array = _array(values, "values")
    if not (array >= 0).all():
        raise ValueError("the harmonic mean needs values >= 0")
    return float(len(array) / np.sum(1.0 / array)) if (array > 0).all() else 0.0


def model_utility(values: Mapping | Sequence) -> float:
    """Harmonic mean of the utility numbers, in [0, 1]: one bad number pulls it down, a zero gives zero.

    values: TOFU's nine {retain, real authors, world facts} x {probability, ROUGE-L recall, utility-side truth ratio},
    or fewer if sets are missing. A mapping contributes its values. TOFU, sec. 2.2.1.
    """
    return harmonic_mean(list(values.values()) if isinstance(values, Mapping) else values)


# ---------------------------------------------------------------------------------------------------------------------
# Memorised tokens


def verbatim_probability(token_losses) -> float:
    """exp(-sum of losses), in [0, 1]: the probability that a sample at temperature 1 is the answer word for word.

    token_losses (L,), nats, end-of-turn included.
    """
    return float(np.exp(-_array(token_losses, "token_losses").sum()))


def verbatim_within(p, k):
    """1 - (1 - p)^k: the probability that k independent samples include the answer word for word, in [0, 1].

    p: `verbatim_probability`, () or (n,); k >= 0 samples. Computed as -expm1(k log1p(-p)), which keeps small p.
    Hayes et al. 2025 (arXiv:2410.19482): (n, p)-discoverable extraction. Raises ValueError outside these ranges.
    """
    p, k = np.asarray(p, dtype=np.float64), np.asarray(k, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all() or not (k >= 0).all():
        raise ValueError(f"p is a probability and k a number of samples, got p={p} and k={k}")
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -np.expm1(k * np.log1p(-p))
    return np.where(k == 0, 0.0, found)[()]


def exact_memorization(predicted, labels) -> float:
    """Share of answer tokens whose teacher-forced argmax is the label, in [0, 1]; without end-of-turn.

    predicted, labels (L,) token ids. Tirumala et al. 2022 (arXiv:2205.10770).
    """
    predicted, labels = np.asarray(predicted), np.asarray(labels)
    if predicted.shape != labels.shape or not labels.size:
        raise ValueError(f"predicted {predicted.shape} and labels {labels.shape} must be equal, non-empty shapes")
    return float((predicted == labels).mean())


def extraction_strength(predicted, labels) -> float:
    """1 - k/L, where k is the first position from which all argmax tokens are right, in [0, 1]; 0 if there is none.

    predicted, labels (L,) token ids without end-of-turn. High: a short beginning of the answer extracts the rest.
    Carlini et al. 2021 (arXiv:2012.07805). If the last token is wrong, OpenUnlearning gives 1/L; this code gives 0.
    """
    exact_memorization(predicted, labels)  # checks the shapes
    wrong = np.flatnonzero(np.asarray(predicted) != np.asarray(labels))
    first = int(wrong[-1]) + 1 if len(wrong) else 0
    return 1.0 - first / np.asarray(labels).size


# ---------------------------------------------------------------------------------------------------------------------
# Membership: scores are higher for rows outside the training set


def loss(token_log_probs) -> float:
    """-mean log p over a row's tokens (L,), nats per token. Yeom et al. 2018 (arXiv:1709.01604)."""
    return float(-_array(token_log_probs, "token_log_probs").mean())


def _least(values, k: float) -> np.ndarray:
    if not 0 < k <= 1:
        raise ValueError(f"k is the share of tokens, in (0, 1], got {k}")
    return np.sort(_array(values, "token scores"))[: max(1, int(k * len(values)))]


def min_k(token_log_probs, k: float = 0.4) -> float:
    """-mean of the lowest k share of token log-probabilities (at least one token), nats; k = 1 is `loss`.

    token_log_probs (L,). An unseen row has some very unlikely tokens. Shi et al. 2024 (arXiv:2310.16789).
    """
    return float(-_least(token_log_probs, k).mean())


def min_k_plus_plus(token_log_probs, means, stds, k: float = 0.4) -> float:
    """min_k of (log p - mu) / sigma: how unlikely the token was, relative to the model's alternatives.

    token_log_probs, means, stds (L,): mu and sigma are mean and standard deviation of log p over the vocabulary, under
    the model's own distribution. Zhang et al. 2025 (arXiv:2404.02936).
    """
    stds = np.maximum(_array(stds, "stds"), 1e-6)
    return float(-_least((np.asarray(token_log_probs) - np.asarray(means)) / stds, k).mean())


def zlib_ratio(mean_loss: float, text: str) -> float:
    """Mean loss (nats per token) / bytes of the zlib-compressed text: corrects for texts that are easy anyway.

    Carlini et al. 2021 (arXiv:2012.07805). The loss is the mean per token, as in MIMIR and OpenUnlearning.
    """
    return float(mean_loss) / len(zlib.compress(text.encode("utf-8", "surrogatepass")))


def membership_auc(forget_scores, holdout_scores) -> float:
    """P(a holdout row scores higher than a forget row), ties half, in [0, 1]: the ROC AUC of the attack.

    Two arrays of scores that are higher for non-members. 1: memorised; the goal is the retrained model's AUC, about .5.
    Far below it, the forget rows stand out again because they are too unlikely.
    """
    from sklearn.metrics import roc_auc_score

    forget, holdout = _array(forget_scores, "forget_scores"), _array(holdout_scores, "holdout_scores")
    return float(roc_auc_score(np.repeat([0, 1], [len(forget), len(holdout)]), np.concatenate([forget, holdout])))


def true_positive_rate(forget_scores, holdout_scores, false_positive_rate: float = 0.01) -> float | None:
    """Share of forget rows detected at the given false positive rate on holdout rows; None below 100 holdout rows.

    With fewer rows, the threshold would depend on less than one row. Carlini et al. 2022 (arXiv:2112.03570).
    """
    from sklearn.metrics import roc_curve

    forget, holdout = _array(forget_scores, "forget_scores"), _array(holdout_scores, "holdout_scores")
    if len(holdout) < 100:
        return None
    members = np.repeat([1, 0], [len(forget), len(holdout)])
    accused, found, _ = roc_curve(members, -np.concatenate([forget, holdout]), drop_intermediate=False)
    return float(found[accused <= false_positive_rate].max())


def membership_classifier(forget_features, holdout_features, seed: int = 0) -> dict[str, float]:
    """accuracy (balanced), precision, recall, f1 of a logistic regression that detects members; class "member".

    Two arrays (n, d) of membership scores, standardised. Stratified 5-fold cross-validation; precision is 0 without
    positives. Raises ValueError below 5 rows on a side.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    members, others = _array(forget_features, "forget_features", 2), _array(holdout_features, "holdout_features", 2)
    if min(len(members), len(others)) < 5:
        raise ValueError("five folds need at least 5 rows on each side")
    truth = np.repeat([1, 0], [len(members), len(others)])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return _classified(truth, cross_val_predict(model, np.concatenate([members, others]), truth, cv=folds))


def refusal_scores(forget_refused, retain_refused) -> dict[str, float | None]:
    """accuracy (balanced), precision, recall, f1 with class "refused": right on forget, wrong on retain.

    Two arrays of 0/1. Low precision shows a model that refuses questions it should answer; without refusals it is None.
    """
    forget, retain = _array(forget_refused, "forget_refused"), _array(retain_refused, "retain_refused")
    truth = np.repeat([1, 0], [len(forget), len(retain)])
    refused = np.concatenate([forget, retain]).astype(int)
    return _classified(truth, refused) | ({} if refused.any() else {"precision": None})


def _classified(truth, predicted) -> dict[str, float]:
    from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average="binary", zero_division=0.0)
    accuracy = balanced_accuracy_score(truth, predicted)
    return {"accuracy": float(accuracy), "precision": float(precision), "recall": float(recall), "f1": float(f1)}


def privacy_leakage(auc: float, retrained_auc: float) -> float:
    """100 ((1 - A) - (1 - A_r)) / (1 - A_r), percent: 0 as the retrained model, -100 memorised, positive overdone.

    auc: the unlearned model's `membership_auc`; retrained_auc: a retrained model's, which nothing can replace. MUSE
    (Shi et al. 2024, arXiv:2407.06460), eq. 3 with AUCs of non-members. Raises ValueError if retrained_auc is 1.
    """
    if not (0 <= auc <= 1 and 0 <= retrained_auc < 1):
        raise ValueError(f"AUCs must be in [0, 1], the retrained model's below 1; got {auc} and {retrained_auc}")
    return 100.0 * ((1 - auc) - (1 - retrained_auc)) / (1 - retrained_auc)


def leak_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k): probability that k of n samples include at least one of the c leaks.

    The unbiased estimator of pass@k (Chen et al. 2021, arXiv:2107.03374). Raises ValueError unless 0 <= c <= n, k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"need 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)
