"""The table of metrics: each a function of one measured example, with all words about it.

A new metric is one row here. Evaluation, notes, intervals, help, reports, page and tests follow from the table.
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
    truth_ratio_forget,
    truth_ratio_utility,
    zlib_ratio,
)
from models.scores.text_scores import distinct_n, fluency, is_refusal, repetition_rate, rouge_l, token_overlap

# Means over the wrong answers' probabilities in the truth ratio.
REDUCTIONS = {"geometric": "the code of TOFU and OpenUnlearning", "arithmetic": "TOFU's paper"}


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
    gold: str  # the text that a generated answer is compared with
    paraphrased_loss: float | None = None
    wrong_losses: Any = None  # (k,)
    generated: str | None = None
    reduction: str = "geometric"  # a key of `REDUCTIONS`


@dataclass(frozen=True)
class Need:
    """An input of metrics: whether an example has it, and the note for examples without."""

    given: Callable[[Measured], bool]
    missing: str


NEEDS = {
    "answer": Need(lambda m: True, "no answer token was left after encoding, or the model's value is not finite"),
    "paraphrase": Need(
        lambda m: m.paraphrased_loss is not None, "no paraphrased_answer, or the model's value is not finite"
    ),
    "options": Need(
        lambda m: m.paraphrased_loss is not None and m.wrong_losses is not None,
        "no paraphrased_answer or no perturbed_answer, or the model's value is not finite",
    ),
    "wrong": Need(lambda m: m.wrong_losses is not None, "no perturbed_answer, or the model's value is not finite"),
    "generation": Need(lambda m: m.generated is not None, "no answer was generated"),
}


@dataclass(frozen=True)
class Metric:
    """One row of `METRICS`, with all words about it."""

    name: str
    label: str  # in reports and on the page
    function: Callable[[Measured], float] | None  # None: not computed from one example alone
    needs: str  # a key of `NEEDS`
    knowing: str  # where the value goes when a model knows the set: "higher" or "lower"
    summary: str  # what the number shows
    limits: str  # what it does not show
    # Transforms of the values (n,) before the mean, so that higher is better: on forget and holdout, on other sets.
    folded: tuple[Callable, Callable] | None = None
    bounded: bool = True  # False: no upper end, so a share of the way to the goal means little
    minor: bool = False  # a variant; reports fold it away
    share: bool = False  # each row has 0 or 1, so the mean is a share of rows

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
    Metric("accuracy", "next-token accuracy", lambda m: float((m.predicted == m.labels).mean()), "answer", "higher",
           "Share of the answer's tokens, end-of-turn included, that the model ranks first, given the tokens before.",
           "Grammar alone decides many tokens, so a model that never saw the set gets a good half right."),
    Metric("precision", "precision of words", lambda m: token_overlap(m.generated, m.gold)[0], "generation", "higher",
           "Share of the words in the model's own answer that the true answer contains.",
           "Order does not count: the opposite in the same words scores in full."),
    Metric("recall", "recall of words", lambda m: token_overlap(m.generated, m.gold)[1], "generation", "higher",
           "Share of the words in the true answer that the model's own answer contains.",
           "Words repeated from the question count as known."),
    Metric("f1", "F1 of words", lambda m: token_overlap(m.generated, m.gold)[2], "generation", "higher",
           "Harmonic mean of the precision and recall of words.",
           "A right answer in other words scores low; a wrong name in the right sentence scores high."),
    Metric("loss", "loss", lambda m: float(m.nll.mean()), "answer", "lower",
           "Mean cross-entropy of the answer's tokens, in nats: how much the true answer surprises the model.",
           "One wording only; the fact may still come out in another. Very high values show damage, not forgetting.",
           bounded=False),
    Metric("answer_probability", "answer probability", lambda m: float(answer_probability(m.nll.mean())),
           "answer", "higher",
           "Geometric mean probability of the answer's tokens, exp(-loss).",
           "One wording only; a refusal lowers it too, while the model still knows the fact."),
    Metric("rouge_l_precision", "ROUGE-L precision", lambda m: rouge_l(m.generated, m.gold)[0], "generation", "higher",
           "Longest common subsequence of words, as a share of the model's answer.",
           "As ROUGE-L recall.", minor=True),
    Metric("rouge_l_recall", "ROUGE-L recall", lambda m: rouge_l(m.generated, m.gold)[1], "generation", "higher",
           "Longest common subsequence of words, as a share of the true answer.",
           "About .4 for a model that never saw the set (TOFU), because answers repeat the question's words."),
    Metric("rouge_l_f1", "ROUGE-L F1", lambda m: rouge_l(m.generated, m.gold)[2], "generation", "higher",
           "Harmonic mean of ROUGE-L precision and recall.",
           "As ROUGE-L recall.", minor=True),
    Metric("exact_memorization", "exact memorisation",
           lambda m: exact_memorization(m.predicted[:m.content], m.labels[:m.content]), "answer", "higher",
           "Next-token accuracy on the answer without the end-of-turn token.",
           "About .58 for a model that never saw the set (TOFU): compare with the retrained model, not with 0."),
    Metric("extraction_strength", "extraction strength",
           lambda m: extraction_strength(m.predicted[:m.content], m.labels[:m.content]), "answer", "higher",
           "Share of the answer that the model completes without a mistake, given the part before.",
           "One wrong token near the end makes it small, even if the fact came before."),
    Metric("paraphrase_probability", "paraphrase probability",
           lambda m: float(answer_probability(m.paraphrased_loss)), "paraphrase", "higher",
           "Answer probability of a reworded true answer: does forgetting reach beyond the trained wording?",
           "One more wording, not all of them."),
    Metric("paraphrase_loss", "loss of the paraphrase", lambda m: m.paraphrased_loss, "paraphrase", "lower",
           "Mean cross-entropy of the tokens of a reworded true answer, in nats.",
           "As loss, for one more wording.", bounded=False, minor=True),
    Metric("truth_ratio", "truth ratio", _truth_ratio, "options", "lower",
           "R, the probability of wrong answers over that of the reworded true one. Reported on forget and holdout: "
           "min(R, 1/R), near 1 when the model cannot tell truth from falsehood. Elsewhere: max(0, 1-R), near 1 when "
           "it prefers the truth.",
           "Relative: a broken model that finds every answer unlikely can look forgetful.",
           folded=(truth_ratio_forget, truth_ratio_utility)),
    Metric("multiple_choice_accuracy", "multiple choice", _options(multiple_choice_accuracy), "options", "higher",
           "Share of questions where the reworded true answer is more likely than every wrong one.",
           "Chance is not 1/(k+1): some wrong answers are odd in themselves. A retrained model gets about .4 (TOFU).",
           share=True),
    Metric("option_probability", "option probability",
           lambda m: float(option_probability([m.nll.mean()], [m.wrong_losses])[0]), "wrong", "higher",
           "Probability of the true answer among the given options.",
           "Only these options compete.", minor=True),
    Metric("refusal_rate", "refusal rate", lambda m: float(is_refusal(m.generated)), "generation", "lower",
           "Share of answers that decline or say \"I don't know\".",
           "Detected by English wording; a refusal hides knowledge as often as it shows that there is none.",
           share=True),
    Metric("min_k", "min-k surprise", lambda m: min_k(-m.nll), "answer", "lower",
           "Mean surprise at the least likely 40 % of the answer's tokens: a membership score, high for unseen rows.",
           "Means something only beside the holdout set's value.", bounded=False, minor=True),
    Metric("min_k_plus_plus", "min-k++ surprise", lambda m: min_k_plus_plus(-m.nll, m.means, m.stds),
           "answer", "lower",
           "As min-k, in standard deviations of what else the model could have said.",
           "As min-k.", bounded=False, minor=True),
    Metric("zlib_ratio", "zlib ratio", lambda m: zlib_ratio(m.nll.mean(), m.example.answer), "answer", "lower",
           "Loss over the bytes of the compressed answer: allows for answers that are easy in themselves.",
           "As min-k.", bounded=False, minor=True),
    Metric("distinct_2", "distinct word pairs", lambda m: distinct_n(m.generated, 2), "generation", "higher",
           "Share of different word pairs in the model's answer; near 0 for a loop.",
           "Whether the answer makes sense.", minor=True),
    Metric("repetition_rate", "repetition", lambda m: repetition_rate(m.generated), "generation", "lower",
           "Share of three-word groups that the answer repeats.",
           "0 also for very short answers and for random words.", minor=True),
    Metric("fluency", "fluency", lambda m: fluency(m.generated), "generation", "higher",
           "1 - repetition rate, and 0 for an empty answer.",
           "A stand-in for a gibberish classifier: sees loops and silence, not nonsense.", minor=True),
]
# Numbers in "comparison" of evaluation.json: (label, what it shows, what it does not show), the most important first.
_AS_AUC = "As membership AUC."
_WEIGHED = "One number hides its parts: read the weakest part and the table of metrics."
COMPARISON_DOCS: dict[str, tuple[str, str, str]] = {
    "score": ("score",
        "Harmonic mean of forgetting, privacy and utility; 1 is best.",
        f"Robustness. {_WEIGHED}"),
    "robust_score": ("score under attack",
        "The same with robustness; 1 is best.",
        _WEIGHED),
    "forgetting": ("forgetting",
        "Closeness to the retrained model on the forget set, harmonic mean over extraction strength, exact "
        "memorisation, paraphrase probability, truth ratio and ROUGE-L; 1 is best.",
        "A mean over rows: single rows may have stayed; see the rows that resisted."),
    "privacy": ("privacy",
        "Closeness of the membership tests' AUCs to the retrained model's; 1 is best.",
        "Four simple tests on few rows; stronger tests train models of their own."),
    "utility": ("utility",
        "Share of the target's utility that is left, fluency included; 1 is best.",
        "Anything that the retain and general sets do not ask for."),
    "robustness": ("robustness",
        "Closeness to the retrained model under the worst of the attacks; 1 is best.",
        "Other attacks, or a larger budget, may do more."),
    "forget_quality": ("forget quality",
        "p-value of a KS test between the truth ratios of this model and of the retrained model; above .05 they cannot "
        "be told apart.",
        "Proves little with few rows: finding no difference does not prove equality."),
    "forget_quality_statistic": ("distance D of that test",
        "0: the same distribution, 1: fully apart.",
        "On which side the difference lies."),
    "forget_quality_n": ("rows in that test",
        "How sensitive the test is: 40 rows reveal only distances above .325.",
        "Rows of one subject are dependent, so they count for less than their number."),
    "model_utility": ("model utility",
        "Harmonic mean of probability, ROUGE-L recall and truth ratio on the retain and general sets.",
        "Means little alone: compare with the target's."),
    "membership_auc": ("membership AUC",
        "How well the loss tells forget rows from unseen rows. .5: not at all, 1: always; the goal is the retrained "
        "model's AUC.",
        "Forget and holdout rows may differ in themselves."),
    "privacy_leakage": ("privacy leakage",
        "Distance of the AUC from the retrained model's, in percent. 0: like that model; negative: rows still look "
        "trained on; positive: they stand out as too unlikely.",
        _AS_AUC),
    "membership_auc_min_k": ("membership AUC of min-k", "The same from the least likely tokens.", _AS_AUC),
    "membership_auc_min_k_plus_plus": ("membership AUC of min-k++", "The same from min-k++.", _AS_AUC),
    "membership_auc_zlib_ratio": ("membership AUC of the zlib ratio", "The same from loss over zlib bytes.", _AS_AUC),
    "membership_tpr_at_1_percent_fpr": ("members found at 1 % false alarms",
        "Share of forget rows detected when one in a hundred unseen rows is a false alarm.",
        "Needs 100 holdout rows; coarse with few rows."),
    "membership_accuracy": ("membership: accuracy",
        "Balanced accuracy of a classifier that detects members by the four scores; .5 is guessing, the goal is the "
        "retrained model's accuracy.",
        "Five folds of few rows, so it varies."),
    "membership_precision": ("membership: precision",
        "Share of true members among the rows that the classifier calls members.",
        "As its accuracy; grows with the forget set's share of the rows."),
    "membership_recall": ("membership: recall", "Share of the members that the classifier finds.", "As its accuracy."),
    "membership_f1": ("membership: F1", "Harmonic mean of precision and recall.", "As its accuracy."),
    "refusal_accuracy": ("refusal: accuracy",
        "Balanced accuracy of refusing: right on forget, wrong on retain; .5 for a model that never or always refuses.",
        "Whether a refusal hides knowledge; a retrained model may guess instead."),
    "refusal_precision": ("refusal: precision",
        "Share of the refusals that fall on the forget set; low: over-refusal. No value without refusals.",
        "Refusals are detected by English wording."),
    "refusal_recall": ("refusal: recall",
        "Share of the forget set that the model refuses.",
        "No goal in itself: the goal is the retrained model's share."),
    "refusal_f1": ("refusal: F1", "Harmonic mean of precision and recall.", "As its precision and recall."),
    "leaking_rows": ("leaking rows",
        "Forget rows that stayed more than half of the way from the retrained model to the target, on answer "
        "probability, extraction strength or paraphrase probability. One is enough for INCOMPLETE.",
        "Rows on which target and retrained model hardly differ."),
    "worst_person": ("best known person",
        "Mean position of the rows of the person known best: 0 at the retrained model, 1 at the target. Above .2 the "
        "person is still known, and the verdict INCOMPLETE.",
        "Single rows: see the leaking rows."),
}
# fmt: on
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
PERPLEXITY = Metric(
    "generation_perplexity", "perplexity of the answers", None, "generation", "lower",
    "How unlikely the target model finds the model's answers, exp(mean loss); high for nonsense.",
    "Fluent lies score low; what the target would not say itself scores high, right or wrong.",
    bounded=False, minor=True,
)  # fmt: skip
REPORTED: dict[str, Metric] = {**METRICS, PERPLEXITY.name: PERPLEXITY}  # all numbers of one model on one set


def comparison_key(name: str) -> str:
    """The key in `COMPARISON_DOCS` of a number: without the suffixes for other models and for an interval's ends."""
    return name.removesuffix("_target").removesuffix("_retrained").removesuffix("_low").removesuffix("_high")


def metric_names(names: Sequence[str] | None) -> list[str]:
    """The names, or all of `METRICS`; ValueError for an unknown one."""
    return known_names(names, METRICS, "metrics") if names else list(METRICS)


def known_names(names: Sequence[str], table: dict, what: str) -> list[str]:
    """The names; for an unknown one ValueError with near matches and the table's names."""
    unknown = [name for name in names if name not in table]
    if unknown:
        near = [match for name in unknown for match in difflib.get_close_matches(name, table, 2, 0.5)]
        hint = f" (did you mean {', '.join(near)}?)" if near else ""
        raise ValueError(f"unknown {what}: {', '.join(unknown)}{hint}; known are {', '.join(table)}")
    return list(names)
