"""The table of metrics: each a function of one measured example, with all words about it.

A new metric is one row here. Evaluation, notes, intervals, help, reports, page and tests follow from the table.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
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
    verbatim_probability,
    zlib_ratio,
)
from models.scores.facts import content_words, fact_recall, rare_recall, secret_recall, secrets
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
    asked: str = ""  # the text before it, without the information of `data.wrong_answers.in_context`
    paraphrased_loss: float | None = None
    wrong_losses: Any = None  # (k,)
    generated: str | None = None
    ended: bool | None = None  # whether the generated answer ended before its limit; None: a text without an end
    common: Collection[str] = frozenset()  # function words and
    counts: Mapping[str, int] = field(default_factory=dict)  # document frequencies of the set, see `facts`
    reduction: str = "geometric"  # a key of `REDUCTIONS`

    @property
    def right_loss(self) -> float:
        """The true option's mean loss: the paraphrase's, in whose wording the wrong answers are, else the answer's."""
        return self.paraphrased_loss if self.example.paraphrased_answer else float(self.nll.mean())

    @property
    def fact(self) -> Any:
        """The example with `asked` and `gold` as question and answer, for `secrets`."""
        return dataclasses.replace(self.example, prompt=self.asked, answer=self.gold, history=())


@dataclass(frozen=True)
class Need:
    """What metrics need of an example: whether it is given, the note if not, and what it is computed from.

    inputs: "answer", "paraphrase", "wrong" (answers to score) and "generation".
    """

    given: Callable[[Measured], bool]
    missing: str
    inputs: frozenset[str]


def _need(given: Callable[[Measured], bool], missing: str, *inputs: str) -> Need:
    return Need(given, missing, frozenset(inputs))


_NOT_FINITE = "or the model's value is not finite"
NEEDS = {
    "answer": _need(lambda m: True, f"no answer token was left after encoding, {_NOT_FINITE}", "answer"),
    "paraphrase": _need(lambda m: m.paraphrased_loss is not None, f"no paraphrased_answer, {_NOT_FINITE}",
                        "paraphrase"),
    "options": _need(lambda m: m.wrong_losses is not None and m.right_loss is not None,
                     f"no perturbed_answer, and none could be made, {_NOT_FINITE}", "paraphrase", "wrong"),
    "generation": _need(lambda m: m.generated is not None, "no answer was generated", "generation"),
    "end": _need(lambda m: m.ended is not None, "no answer was generated, or the row is a raw text without an end",
                 "generation"),
    "fact": _need(lambda m: m.generated is not None and bool(content_words(m.asked, m.gold, m.common)),
                  "no answer was generated, or the question says every word of the true one that carries a fact",
                  "generation"),
    "secret": _need(lambda m: m.generated is not None and bool(secrets(m.fact)),
                    "no answer was generated, or no word of the true one is a number, a name or missing in the wrong "
                    "answers", "generation"),
}  # fmt: skip


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
        unseen = {"holdout": "none", "judging": "none"}
        if self.folded:
            return {**dict.fromkeys(("forget", "probes", "retain", "general", "in_context"), "higher"), **unseen}
        forget, kept = {"higher": "lower", "lower": "higher"}[self.knowing], self.knowing
        return {"forget": forget, "probes": forget, "retain": kept, "general": kept, "in_context": kept, **unseen}


def _options(function):
    """A statistic over (n,) and (n, k) losses for one example."""
    return lambda m: float(function([m.right_loss], [m.wrong_losses])[0])


def _truth_ratio(m: Measured) -> float:
    return float(truth_ratio([m.right_loss], [m.wrong_losses], m.reduction)[0])


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
    Metric("fact_recall", "fact recall", lambda m: fact_recall(m.asked, m.gold, m.generated, m.common),
           "fact", "higher",
           "Share of the true answer's content words that the model's own answer says; words of the question and "
           "function words do not count.",
           "Synonyms: the right fact in other words scores low, and some words are easy to guess."),
    Metric("rare_recall", "recall of rare words", lambda m: rare_recall(m.asked, m.gold, m.generated, m.counts),
           "fact", "higher",
           "As fact recall, for the two words of the answer that are rarest in the set's answers.",
           "As fact recall; two words are few.", minor=True),
    Metric("secret_recall", "recall of secrets", lambda m: secret_recall(m.fact, m.generated), "secret", "higher",
           "As fact recall, for numbers, names and the words in which the wrong answers differ from the true one.",
           "A secret told in other words; languages without capitals show names only by wrong answers.", minor=True),
    Metric("verbatim_probability", "verbatim probability", lambda m: verbatim_probability(m.nll), "answer", "higher",
           "Probability that one sample at temperature 1 is the true answer word for word; k samples include it with "
           "probability 1 - (1 - p)^k.",
           "Any other wording, which may tell as much; small for long answers.", minor=True),
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
    Metric("option_probability", "option probability", _options(option_probability), "options", "higher",
           "Probability of the reworded true answer among the given options, all in one wording.",
           "Only these options compete.", minor=True),
    Metric("refusal_rate", "refusal rate", lambda m: float(is_refusal(m.generated)), "generation", "lower",
           "Share of answers that decline or say \"I don't know\".",
           "Detected by English wording; a refusal hides knowledge as often as it shows that there is none.",
           share=True),
    Metric("min_k", "min-k surprise", lambda m: min_k(-m.nll[:m.content]), "answer", "lower",
           "Mean surprise at the least likely 40 % of the answer's tokens, end-of-turn excluded: a membership score, "
           "high for unseen rows.",
           "Means something only beside the holdout set's value.", bounded=False, minor=True),
    Metric("min_k_plus_plus", "min-k++ surprise",
           lambda m: min_k_plus_plus(-m.nll[:m.content], m.means[:m.content], m.stds[:m.content]), "answer", "lower",
           "As min-k, in standard deviations of what else the model could have said.",
           "As min-k.", bounded=False, minor=True),
    Metric("zlib_ratio", "zlib ratio", lambda m: zlib_ratio(m.nll.mean(), m.example.answer), "answer", "lower",
           "Loss over the bytes of the compressed answer: allows for answers that are easy in themselves.",
           "As min-k.", bounded=False, minor=True),
    Metric("run_on", "answers without an end", lambda m: float(not m.ended), "end", "lower",
           "Share of answers that reach the limit of tokens without an end: a sign of damage.",
           "What the answers say; a limit that long answers need to pass.", share=True),
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
# fmt: on
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
PERPLEXITY = Metric(
    "generation_perplexity", "perplexity of the answers", None, "generation", "lower",
    "How unlikely the target model finds the model's answers, exp(mean loss); high for nonsense.",
    "Fluent lies score low; what the target would not say itself scores high, right or wrong.",
    bounded=False, minor=True,
)  # fmt: skip
BASE_LOSS = Metric(
    "base_loss", "loss of the base model", None, "answer", "lower",
    "The loss under the base model, which never saw the set: how hard the answers are in themselves.",
    "The target learned the form of such answers too, so its loss on rows that it never saw is lower.",
    bounded=False, minor=True,
)  # fmt: skip
# all numbers of one model on one set
REPORTED: dict[str, Metric] = {**METRICS, **{metric.name: metric for metric in (PERPLEXITY, BASE_LOSS)}}


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
