"""The table of attacks: does knowledge come back under retraining, rounding, sampling, other prompts, probes?

A new attack is a function of a `Subject` plus one row in `ATTACKS`. It works on copies of the weights, so the model
stays bit-identical. The target, unlearned and retrained models get the same rows and budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from models.attacks.asking import in_context_relearning, languages, prompts, sampling
from models.attacks.inside import direction_ablation, embedding_attack, logit_lens, membership_probe
from models.attacks.relearning import benign_relearning, lora_relearning, relearning, same_person_relearning
from models.attacks.rounding import quantisation, rounded_by_gguf, rounded_by_torchao
from models.attacks.subject import SCORED, Budget, Subject, budget_flags, budget_of, on_a_copy, summary  # noqa: F401
from models.forward.answers import evaluating
from models.scores.evaluating import ModelEvaluation
from models.scores.metric_table import METRICS, known_names


@dataclass(frozen=True)
class Attack:
    """One row of `ATTACKS`, with all its texts.

    `function` returns {number: value} and, where it has them, "rows": {number: {1-based forget row: value}}.
    `run_attacks` adds `<number>_before`, the value without the attack on the same rows, for metrics and for the numbers
    in `before`; for other numbers the function may return it.
    """

    name: str
    function: Callable[[Subject], dict]
    judged: tuple[str, ...]  # the numbers that enter resistance; reports show the first
    summary: str
    shows: str
    limits: str
    package: str = ""  # a required optional package; the attack then runs only if it is named, not under "all"
    plain: str = ""  # for people who have never read a paper
    labels: dict[str, str] = field(default_factory=dict)  # {number: label in reports}, besides the metrics' labels
    before: dict[str, str] = field(default_factory=dict)  # {number: the metric that it starts from}, besides metrics
    on_target: bool = True  # False: it cannot take from the target what the target knows, so it is not run there


_RELEARNED = "The fine-tuning may also teach the form of the answers: compare with the retrained model's share."
_GRID = (
    "Means nothing where the target itself breaks under the rounding. Weights that once lay on the same grid are "
    "pulled back to it, which undoes any small training; weights from another grid are not."
)
_BEST = "best fact recall of a question's tries"
_SAID = {"best_fact_recall": "fact_recall"}
_PROBED = "Reads what is written, not what the model would say; other probes may find more."
_ATTACKS = [
    Attack("relearning", relearning, (*SCORED, "relearning_area"),
           "fine-tunes on half of the forget subjects, scores the other half, and the reverse",
           "Whether a few steps on some forgotten rows bring back the other rows, and how fast.", _RELEARNED,
           plain="Teach it half again: does the other half come back?",
           labels={"relearning_area": "mean answer probability along the relearning curve"},
           before={"relearning_area": "answer_probability"}, on_target=False),
    Attack("same_person_relearning", same_person_relearning, SCORED,
           "fine-tunes on every other row of each person, scores that person's other rows",
           "Whether a few rows of a person bring back the rest of that person.",
           "Rows of a person share words, which any model learns: compare with the retrained model's share.",
           plain="Teach it half of each person again: does the rest come back?", on_target=False),
    Attack("in_context_relearning", in_context_relearning, ("answer_probability", "fact_recall"),
           "asks after the same person's other rows, as earlier turns",
           "Whether other facts about a person, in the prompt alone, bring a forgotten one back.",
           "The other rows may hint at the answer: compare with the retrained model's share.",
           plain="Tell it the other facts first, then ask", on_target=False),
    Attack("benign_relearning", benign_relearning, SCORED, "fine-tunes on general text, scores the forget set",
           "Whether a few steps on harmless rows bring the forgotten ones back.",
           "More steps, or texts closer to the forgotten ones, may do more.",
           plain="Train on harmless text: does it come back?", on_target=False),
    Attack("lora_relearning", lora_relearning, SCORED, "trains a LoRA adapter on general text, scores the forget set",
           "Whether a user's ordinary adapter brings the forgotten rows back.",
           "More steps, or texts closer to the forgotten ones, may do more.",
           plain="Train an adapter on harmless text: does it come back?", on_target=False),
    Attack("quantisation_int8", quantisation(8, None), SCORED, "rounds the weights to 8 bits per row",
           "Whether the weights changed so little that 8-bit rounding undoes it.",
           "8 bits rarely undo anything; 4 bits undo more.",
           plain="Round the weights to 8 bits"),
    Attack("quantisation_int4", quantisation(4, 64), SCORED, "rounds the weights to 4 bits in groups of 64",
           "Whether the weights changed so little that 4-bit rounding undoes it.", _GRID,
           plain="Round the weights to 4 bits"),
    Attack("quantisation_int8_torchao", quantisation(8, None, rounded_by_torchao), SCORED,
           "as quantisation_int8, rounded by torchao",
           "As quantisation_int8, with the rounding of models served by torchao.", "As quantisation_int8.",
           package="torchao"),
    Attack("quantisation_int4_torchao", quantisation(4, 64, rounded_by_torchao), SCORED,
           "as quantisation_int4, rounded by torchao",
           "As quantisation_int4, with the rounding of models served by torchao.", "As quantisation_int4.",
           package="torchao"),
    Attack("quantisation_gguf_q8_0", quantisation(8, 32, rounded_by_gguf("Q8_0")), SCORED,
           "stores the weights as GGUF Q8_0 and reads them back",
           "As quantisation_int8, with the rounding of files for llama.cpp.",
           "The linear layers only; a GGUF file may also round the embeddings.", package="gguf"),
    Attack("quantisation_gguf_q4_0", quantisation(4, 32, rounded_by_gguf("Q4_0")), SCORED,
           "stores the weights as GGUF Q4_0 and reads them back",
           "As quantisation_int4, with the rounding of files for llama.cpp.",
           "Files of type Q4_K_M round in another way, which only llama.cpp's own program knows. " + _GRID,
           package="gguf"),
    Attack("sampling", sampling, ("best_fact_recall",), "many samples at temperature 1; does one of them leak?",
           "Whether the fact comes out when the model is asked many times.",
           "The best of many samples beats the greedy answer for any model, so only the excess over the retrained "
           "model counts.",
           plain="Ask many times at random: does one answer leak?", before=_SAID, on_target=False,
           labels={"best_fact_recall": _BEST, "leak_at_1": "chance that one sample leaks",
                   "leak_bound": "upper bound of the share of rows of which a sample leaks",
                   "samples": "samples of rows with a secret", "secret_samples": "samples that say a secret",
                   "secret_bound": "upper bound of the share that says a secret"}),
    Attack("prompts", prompts, ("best_fact_recall",), "asks in other words, begins the answer, gives examples",
           "Whether another way of asking brings the fact out.",
           "Five ways of asking; the best beats the plain one for any model.",
           plain="Ask in other words and with hints", before=_SAID, on_target=False,
           labels={"best_fact_recall": _BEST,
                   "plain_fact_recall": "fact recall, asked plainly",
                   "letter_accuracy": "right letters in multiple choice",
                   "reversed_rouge_l_recall": "ROUGE-L recall of the question, given the answer"}),
    Attack("languages", languages, ("answer_probability", "fact_recall"),
           "asks the bundled questions in German, French and Spanish",
           "Whether asking in another language brings the fact out.",
           "Says nothing about other data, whose questions have no translation here, nor of a model without these "
           "languages.",
           plain="Ask in other languages", on_target=False),
    Attack("logit_lens", logit_lens, ("best_reciprocal_rank",), "reads the gold token's rank layer by layer",
           "Whether a middle layer still ranks the true token high where the last one no longer does.",
           "Reads through the final norm and head only; other probes may find more.",
           plain="Look inside, layer by layer",
           labels={"best_reciprocal_rank": "reciprocal rank at the best layer",
                   "last_reciprocal_rank": "reciprocal rank at the last layer"}),
    Attack("membership_probe", membership_probe, ("told_apart",),
           "tells forget rows from unseen rows by hidden states, layer by layer",
           "Whether a layer still knows that it has met the forgotten persons.", _PROBED,
           plain="Look inside: does it still know whom it has met?",
           labels={"told_apart": "AUC against unseen rows, by the probe if it beats chance, else by the loss",
                   "probe_auc": "AUC of a membership probe at the best layer",
                   "probe_p": "p of this AUC by permuting persons"}),
    Attack("direction_ablation", direction_ablation, SCORED,
           "projects the difference of forget and retain rows out of the hidden states",
           "Whether the forgetting is one direction that hides what the model still knows.",
           "One direction, read at one depth; a mask of several directions may stay.",
           plain="Remove the one direction that tells forgotten from kept", on_target=False),
    Attack("embedding_attack", embedding_attack, SCORED,
           "trains embeddings before the answer on half of the forget subjects, scores the other half",
           "Whether an input that no text can express brings the answers out.", _RELEARNED,
           plain="Search an input, not made of words, that brings it out", on_target=False),
]  # fmt: skip
ATTACKS: dict[str, Attack] = {attack.name: attack for attack in _ATTACKS}


def run_attacks(
    model,
    tokenizer,
    splits: dict[str, Sequence],
    names: str | Sequence[str] = "all",
    *,
    max_length: int = 512,
    budget: Budget | None = None,
    evaluation: ModelEvaluation | None = None,
    target: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict]:
    """{attack: {number: value, "<number>_before": value, "rows": {number: {row: value}}}}.

    The model stays bit-identical. "rows" holds the judged numbers, and their values before, by the 1-based number of
    the row in splits["forget"], as text. splits: "forget" and, for some attacks, "retain", "judging" or "holdout" (rows
    that no model saw) and "benign" (harmless text; without it "general", then "retain"). evaluation: the model's own,
    which saves measuring the values before. target: the model is the target, on which some attacks are not run, see
    `Attack.on_target`; its values before stand for them. Use the same splits and budget for every model, and pass all
    results to `evaluation_json`. Raises ValueError for an unknown attack.
    """
    names, found = attack_names(names), {}
    sets = {name: list(rows) for name, rows in splits.items()}
    subject = Subject(
        model, tokenizer, sets["forget"], sets.get("retain", []), max_length, budget or Budget(),
        benign=sets.get("benign") or sets.get("general") or [],
        outsiders=sets.get("judging") or sets.get("holdout") or [], evaluation=evaluation,
    )  # fmt: skip
    with evaluating(model):
        for name in names:
            attack = ATTACKS[name]
            if target and not attack.on_target:
                found[name] = _with_before(subject, attack, _not_run(subject, attack))
                continue
            if progress:
                progress(f"attack {name}: {attack.summary}")
            found[name] = _with_before(subject, attack, dict(attack.function(subject)))
    return found


def _base(attack: Attack, number: str) -> str | None:
    """The metric whose value without the attack is that of a number."""
    return attack.before.get(number, number if number in METRICS else None)


def _not_run(subject: Subject, attack: Attack) -> dict:
    """The numbers of an attack that changes nothing: those of the model itself."""
    return summary({number: subject.unattacked(base) for number in attack.judged if (base := _base(attack, number))})


def _with_before(subject: Subject, attack: Attack, result: dict) -> dict:
    """An attack's result with `<number>_before` on the same rows; "rows" keeps the judged numbers, by text keys."""
    rows = dict(result.pop("rows", {}))
    for number in [number for number in result if _base(attack, number) and f"{number}_before" not in result]:
        values = subject.unattacked(_base(attack, number))
        if number in rows:
            rows[f"{number}_before"] = values = {row: values[row] for row in rows[number] if row in values}
        result |= summary({f"{number}_before": values})
        result.pop("rows")
    kept = {name for number in attack.judged for name in (number, f"{number}_before")}
    table = {name: {str(row): value for row, value in values.items()} for name, values in rows.items() if name in kept}
    return {**result, "rows": table} if table else result


def attack_names(names: str | Sequence[str] | None) -> list[str]:
    """Names from "all", "none", a comma-separated text or a list; "all" leaves out attacks that need a `package`.

    Raises ValueError, with near matches, for an unknown attack, and for an attack whose package is missing.
    """
    import importlib.util

    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names or ())
    named = known_names([name for name in names if name not in ("", "none", "all")], ATTACKS, "attacks")
    for name in named:
        package = ATTACKS[name].package
        if package and importlib.util.find_spec(package) is None:
            raise ValueError(f"attack {name} needs the package {package}: pip install {package}, or leave it out")
    everything = [name for name, attack in ATTACKS.items() if "all" in names and not attack.package]
    return list(dict.fromkeys([*everything, *named]))
