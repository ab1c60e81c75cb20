"""The table of metrics: each a function of what a model said of one example, with what it shows and what it does not.

A new metric is one row here; evaluation, notes, intervals, help and tests follow from the table. Offered to users as
`evaluation_metrics.METRICS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.scores.array_scores import (
    answer_probability,
    exact_memorization,
    extraction_strength,
    min_k,
    min_k_plus_plus,
    multiple_choice_accuracy,
    option_probability,
    truth_ratio,
    zlib_ratio,
)
from models.scores.text_scores import distinct_n, fluency, is_refusal, repetition_rate, rouge_l, token_overlap


@dataclass
class Measured:
    """One example under one model; losses in nats per token, token arrays over the answer's L tokens."""

    example: Any  # of data.preparation
    nll: Any  # (L,) -log p(token), end-of-turn included
    predicted: Any  # (L,) teacher-forced argmax
    labels: Any  # (L,)
    content: int  # answer tokens without end-of-turn; 0 < content <= L
    means: Any  # (L,) mean and standard deviation of log p over the vocabulary
    stds: Any
    gold: str  # what a generated answer is compared with
    paraphrased_loss: float | None = None
    wrong_losses: Any = None  # (k,)
    generated: str | None = None
    reduction: str = "geometric"  # of the wrong answers' probabilities in the truth ratio


@dataclass(frozen=True)
class Metric:
    """One row of `METRICS`. `knowing` is where the value goes when a model knows the set: "higher" or "lower"."""

    name: str
    function: Callable[[Measured], float]
    needs: str  # "answer", "paraphrase", "options" (paraphrase and wrong answers), "wrong" answers or "generation"
    knowing: str
    summary: str  # what the number shows
    limits: str  # what it does not show

    folded: bool = False  # the reported value is made from it so that on every set higher is better

    @property
    def direction(self) -> dict[str, str]:
        """Which way is better per set; on the forget set only as far as the retrained model's value."""
        if self.folded:
            return {"forget": "higher", "retain": "higher", "holdout": "none", "general": "higher"}
        other = {"higher": "lower", "lower": "higher"}[self.knowing]
        return {"forget": other, "retain": self.knowing, "holdout": "none", "general": self.knowing}


def _options(function):
    """A statistic over (n,) and (n, k) losses for one example."""
    return lambda m: float(function([m.paraphrased_loss], [m.wrong_losses])[0])


def _truth_ratio(m: Measured) -> float:
    return float(truth_ratio([m.paraphrased_loss], [m.wrong_losses], m.reduction)[0])


# fmt: off
_METRICS = [
    Metric("accuracy", lambda m: float((m.predicted == m.labels).mean()), "answer", "higher",
           "Share of the answer's tokens, end-of-turn included, that the model ranks first, given those before.",
           "High also where grammar alone decides the next word; a model that never saw the set has a good half."),
    Metric("precision", lambda m: token_overlap(m.generated, m.gold)[0], "generation", "higher",
           "Share of the words of the model's own answer that the true answer has.",
           "Words in another order or a denial of the fact count in full."),
    Metric("recall", lambda m: token_overlap(m.generated, m.gold)[1], "generation", "higher",
           "Share of the words of the true answer that the model's own answer has.",
           "Words taken over from the question count as known."),
    Metric("f1", lambda m: token_overlap(m.generated, m.gold)[2], "generation", "higher",
           "Harmonic mean of the precision and recall of an answer's words.",
           "A paraphrase scores low, a wrong name in the right sentence high."),
    Metric("loss", lambda m: float(m.nll.mean()), "answer", "lower",
           "Mean cross-entropy of the answer's tokens, in nats: how surprised the model is by the true answer.",
           "One wording only; the fact may still come out in another."),
    Metric("answer_probability", lambda m: float(answer_probability(m.nll.mean())), "answer", "higher",
           "Geometric mean probability of the answer's tokens, exp(-loss).",
           "One wording only; a low value may be a refusal rather than forgetting."),
    Metric("rouge_l_precision", lambda m: rouge_l(m.generated, m.gold)[0], "generation", "higher",
           "Longest common run of words, in order with gaps, as a share of the model's answer.",
           "As ROUGE-L recall."),
    Metric("rouge_l_recall", lambda m: rouge_l(m.generated, m.gold)[1], "generation", "higher",
           "Longest common run of words, in order with gaps, as a share of the true answer.",
           "Near .4 for a model that never saw the set (TOFU), because answers repeat the question's words."),
    Metric("rouge_l_f1", lambda m: rouge_l(m.generated, m.gold)[2], "generation", "higher",
           "Harmonic mean of ROUGE-L precision and recall.",
           "As ROUGE-L recall."),
    Metric("exact_memorization", lambda m: exact_memorization(m.predicted[:m.content], m.labels[:m.content]),
           "answer", "higher",
           "Accuracy on the answer's tokens without the end-of-turn token.",
           "Near .58 for a model that never saw the set (TOFU): compare with the retrained model, not with 0."),
    Metric("extraction_strength", lambda m: extraction_strength(m.predicted[:m.content], m.labels[:m.content]),
           "answer", "higher",
           "Share of the answer that the model completes without a mistake once the part before is given.",
           "One wrong token near the end makes it small even if the fact stood before it."),
    Metric("paraphrase_probability", lambda m: float(answer_probability(m.paraphrased_loss)), "paraphrase", "higher",
           "Geometric mean probability of the tokens of a reworded true answer.",
           "As answer probability, for one more wording."),
    Metric("paraphrase_loss", lambda m: m.paraphrased_loss, "paraphrase", "lower",
           "Mean cross-entropy of the tokens of a reworded true answer, in nats.",
           "As loss, for one more wording."),
    Metric("truth_ratio", _truth_ratio, "options", "lower",
           "Probability of wrong answers over that of the reworded true one, R; reported are min(R, 1/R) on forget and "
           "holdout (higher: truth and falsehood look alike), elsewhere max(0, 1-R) (higher: the truth is preferred).",
           "Relative: a broken model that finds all answers unlikely can look forgetful.", folded=True),
    Metric("multiple_choice_accuracy", _options(multiple_choice_accuracy), "options", "higher",
           "Share of questions where the reworded true answer is more likely than every wrong one.",
           "Chance is not 1/(k+1): wrong answers may be odd in themselves, so a retrained model has about .4 (TOFU)."),
    Metric("option_probability", lambda m: float(option_probability([m.nll.mean()], [m.wrong_losses])[0]),
           "wrong", "higher",
           "Probability of the true answer among the given options.",
           "Only these options compete."),
    Metric("refusal_rate", lambda m: float(is_refusal(m.generated)), "generation", "lower",
           "Share of answers that decline or say that they do not know.",
           "Recognised by English wording; a refusal hides knowledge as often as it shows its absence."),
    Metric("min_k", lambda m: min_k(-m.nll), "answer", "lower",
           "Mean surprise at the least likely 40 % of the answer's tokens: a membership score, high for unseen rows.",
           "Tells members from others only beside the holdout's values."),
    Metric("min_k_plus_plus", lambda m: min_k_plus_plus(-m.nll, m.means, m.stds), "answer", "lower",
           "As min_k, in standard deviations of what else the model could have said.",
           "As min_k."),
    Metric("zlib_ratio", lambda m: zlib_ratio(m.nll.mean(), m.example.answer), "answer", "lower",
           "Loss over the bytes of the compressed answer: allows for answers that are easy by themselves.",
           "As min_k."),
    Metric("distinct_2", lambda m: distinct_n(m.generated, 2), "generation", "higher",
           "Share of different word pairs in the model's answer; a loop tends to 0.",
           "Says nothing of whether the answer makes sense."),
    Metric("repetition_rate", lambda m: repetition_rate(m.generated), "generation", "lower",
           "Share of three-word groups that the answer has said before.",
           "0 for very short answers and for random words."),
    Metric("fluency", lambda m: fluency(m.generated), "generation", "higher",
           "1 - repetition rate, and 0 for an empty answer.",
           "A stand-in for a gibberish classifier: sees loops and silence, not nonsense."),
]
# What stands in "comparison" of evaluation.json: (label, what it shows, what it does not show). The first come first.
_AS_AUC = "As membership AUC."
_WEIGHED = "One number hides its parts: read the weakest part, and the table of metrics."
COMPARISON_DOCS: dict[str, tuple[str, str, str]] = {
    "score": ("score",
        "Harmonic mean of forgetting, privacy and utility; 1 is best.",
        f"Nothing of robustness. {_WEIGHED}"),
    "robust_score": ("score under attack",
        "The same with robustness; 1 is best.",
        _WEIGHED),
    "forgetting": ("forgetting",
        "Closeness to the retrained model on the forget set, harmonic mean over extraction strength, exact "
        "memorisation, paraphrase probability, truth ratio and ROUGE-L; 1 is best.",
        "A mean over rows: single rows may have stayed, see the rows that resisted."),
    "privacy": ("privacy",
        "Closeness of the membership tests' AUCs to those on the retrained model; 1 is best.",
        "Four simple tests on few rows; stronger ones train models of their own."),
    "utility": ("utility",
        "What is left of the target's utility, fluency included; 1 is best.",
        "Only what the retain and general sets ask for."),
    "robustness": ("robustness",
        "Closeness to the retrained model under the worst of the attacks; 1 is best.",
        "Other attacks, or the same with a larger budget, may do more."),
    "forget_quality": ("forget quality",
        "p-value of the test that the truth ratios come from the same source as the retrained model's; above .05 they "
        "cannot be told apart.",
        "Proves little with few rows: no difference found is not equality."),
    "forget_quality_statistic": ("distance D of that test",
        "0: the same distribution, 1: fully apart.",
        "Which side the difference lies on."),
    "forget_quality_n": ("rows in that test",
        "How fine the test is: with 40 rows only distances above .325 are noticed.",
        "Rows of one subject go together, so they count for less than their number."),
    "model_utility": ("model utility",
        "Harmonic mean over what shall stay: probability, ROUGE-L recall and truth ratio on retain and general sets.",
        "Its size alone means little: compare with the target's."),
    "membership_auc": ("membership AUC",
        "How well loss tells forget rows from rows never seen. .5: not at all, 1: always; the goal is the retrained "
        "model's.",
        "Forget and holdout rows may differ in themselves."),
    "privacy_leakage": ("privacy leakage",
        "How far the AUC lies from the retrained model's, in percent. 0: as that model; negative: rows still show; "
        "positive: they show by being too unlikely.",
        _AS_AUC),
    "membership_auc_min_k": ("membership AUC of min-k", "The same by the least likely tokens.", _AS_AUC),
    "membership_auc_min_k_plus_plus": ("membership AUC of min-k++", "The same by min-k++.", _AS_AUC),
    "membership_auc_zlib_ratio": ("membership AUC of the zlib ratio", "The same by loss over zlib bytes.", _AS_AUC),
    "membership_tpr_at_1_percent_fpr": ("members found at 1 % false alarms",
        "Share of forget rows found when one in a hundred rows never seen is accused.",
        "Needs 100 holdout rows; few rows make it coarse."),
    "membership_accuracy": ("membership: accuracy",
        "Balanced accuracy of a classifier that calls rows members or not by the four scores; .5 is guessing, the goal "
        "is the retrained model's.",
        "Five folds of few rows: it varies."),
    "membership_precision": ("membership: precision",
        "Share of the rows that it calls members that are.",
        "As its accuracy; grows with the forget set's share of the rows."),
    "membership_recall": ("membership: recall", "Share of the members that it finds.", "As its accuracy."),
    "membership_f1": ("membership: F1", "Harmonic mean of that precision and recall.", "As its accuracy."),
    "refusal_accuracy": ("refusal: accuracy",
        "Balanced accuracy of refusing: right on forget, wrong on retain; .5 for a model that never or always refuses.",
        "Whether a refusal hides knowledge; a retrained model may guess instead."),
    "refusal_precision": ("refusal: precision",
        "Share of the refusals that fall on the forget set; low: over-refusal. 0 when nothing is refused.",
        "Refusals are recognised by English wording."),
    "refusal_recall": ("refusal: recall",
        "Share of the forget set that is refused.",
        "No goal in itself: the goal is the retrained model's."),
    "refusal_f1": ("refusal: F1", "Harmonic mean of that precision and recall.", "As its precision and recall."),
}
# fmt: on
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
PERPLEXITY = "generation_perplexity"  # needs a second model as judge, so it is no row of the table
PERPLEXITY_DOC = (
    "How unlikely the target model finds the model's answers, exp(mean loss); nonsense is high.",
    "Fluent lies are low; what the target would not say itself is high, right or wrong.",
)


def docs(metrics, comparison) -> dict[str, str]:
    """{number: what it shows, and what it does not} for names of metrics and of "comparison"."""
    found = {}
    for name in metrics:
        shows, limits = PERPLEXITY_DOC if name == PERPLEXITY else (METRICS[name].summary, METRICS[name].limits)
        found[name] = f"{shows} Not shown: {limits}"
    for name in comparison:
        if entry := COMPARISON_DOCS.get(comparison_key(name)):
            found[name] = f"{entry[1]} Not shown: {entry[2]}"
    return found


def comparison_key(name: str) -> str:
    """The entry of `COMPARISON_DOCS` that explains a number: the target's, the retrained model's and the ends of an
    interval go by the unlearned model's."""
    return name.removesuffix("_target").removesuffix("_retrained").removesuffix("_low").removesuffix("_high")


def metric_names(names: Sequence[str] | None) -> list[str]:
    """The names, or all; ValueError with near names and the list for one that is not in `METRICS`."""
    return known_names(names, METRICS, "metrics") if names else list(METRICS)


def known_names(names: Sequence[str], table: dict, what: str) -> list[str]:
    """The names; ValueError with near names and the list for one that is not in the table of `what`."""
    unknown = [name for name in names if name not in table]
    if unknown:
        near = [match for name in unknown for match in difflib.get_close_matches(name, table, 2, 0.5)]
        hint = f" (did you mean {', '.join(near)}?)" if near else ""
        raise ValueError(f"unknown {what}: {', '.join(unknown)}{hint}; known are {', '.join(table)}")
    return list(names)
