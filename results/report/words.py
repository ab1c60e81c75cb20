"""Puts a run's numbers into words: what was forgotten, what was kept, what was not achieved.

Every sentence is made from numbers of the run; where a number is missing the sentence is missing too, or says so.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass

import numpy as np

from models.scores import metric_table
from results.report.runs import Run, finite, per_row, per_subject

UTILITY_GATE = 0.95  # share of the target's utility that counts as kept
REACHED = 0.9  # share of the way to the goal that counts as forgotten
HARDLY = 0.1  # mean probability per token below which a text counts as never known
LEFT = 0.5  # a row that kept more than this share of its way resisted


@dataclass(frozen=True)
class Doc:
    """A metric's label, whether knowing a set makes it "higher" or "lower", what it shows and what it does not."""

    label: str
    knowing: str
    shows: str
    limits: str
    bounded: bool = True


# fmt: off
METRIC_DOCS: dict[str, Doc] = {
    "answer_probability": Doc("answer probability", "higher",
        "How likely the model finds the true answer, word by word (geometric mean over tokens).",
        "One wording only; a refusal also makes it fall without the fact being gone."),
    "accuracy": Doc("next-token accuracy", "higher",
        "How often the model's first choice is the next token of the true answer.",
        "Grammar alone gives a good half of the tokens, so even a model that never saw the rows is far from 0."),
    "precision": Doc("precision of words", "higher",
        "Share of the words the model answers that stand in the true answer.",
        "Order is not looked at; saying the opposite in the same words counts in full."),
    "recall": Doc("recall of words", "higher",
        "Share of the words of the true answer that the model says.",
        "Words repeated from the question count as known."),
    "f1": Doc("F1 of words", "higher",
        "Balance of the two shares above.",
        "A right answer in other words scores low; a wrong name in the right sentence scores high."),
    "loss": Doc("loss", "lower",
        "How surprised the model is by the true answer, in nats per token.",
        "One wording only; it has no upper end, so very high values show damage rather than forgetting.", False),
    "rouge_l_recall": Doc("ROUGE-L recall", "higher",
        "How much of the true answer comes out, in order, when the model answers freely.",
        "Models that never saw the rows reach about .4, because answers repeat the question's words."),
    "exact_memorization": Doc("exact memorisation", "higher",
        "Share of the answer's tokens that the model has word for word.",
        "Models that never saw the rows reach about .6."),
    "extraction_strength": Doc("extraction strength", "higher",
        "How much of the answer the model completes without a mistake once it is given the beginning.",
        "One slip near the end makes it small although the fact stood before it."),
    "paraphrase_probability": Doc("paraphrase probability", "higher",
        "Answer probability for the same fact in other words: does forgetting reach beyond the trained wording?",
        "One more wording, not all of them."),
    "truth_ratio": Doc("truth ratio", "higher",
        "Whether the model prefers the truth to wrong answers. Forget and holdout: near 1 means that it cannot tell "
        "them apart. Retain and general: near 1 means that it prefers the truth.",
        "Relative: a broken model that finds everything unlikely can look as if it had forgotten well."),
    "multiple_choice_accuracy": Doc("multiple choice", "higher",
        "How often the true answer beats every wrong option offered.",
        "Chance is not one in the number of options: some options are odd in themselves."),
    "refusal_rate": Doc("refusal rate", "lower",
        "Share of answers that decline or say \"I don't know\".",
        "A refusal hides knowledge as often as it shows that there is none; recognised by English wording."),
    "option_probability": Doc("option probability", "higher",
        "Probability of the true answer among the options offered.", "Only these options compete."),
    "rouge_l_precision": Doc("ROUGE-L precision", "higher",
        "Share of the model's answer that follows the true answer in order.", "As ROUGE-L recall."),
    "rouge_l_f1": Doc("ROUGE-L F1", "higher",
        "Balance of ROUGE-L precision and recall.", "As ROUGE-L recall."),
    "min_k": Doc("min-k surprise", "lower",
        "Surprise at the least likely tokens, which a membership test looks at; higher for rows never seen.",
        "Means something only beside the holdout's value.", False),
    "min_k_plus_plus": Doc("min-k++ surprise", "lower",
        "The same, in standard deviations of what else could have been said.", "As min-k.", False),
    "zlib_ratio": Doc("zlib ratio", "lower",
        "Loss over the size of the compressed answer: allows for answers that are easy in themselves.", "As min-k.",
        False),
    "distinct_2": Doc("distinct word pairs", "higher",
        "Share of different word pairs in the answers; a model stuck in a loop tends to 0.",
        "Says nothing of whether an answer makes sense."),
    "repetition_rate": Doc("repetition", "lower",
        "Share of three-word groups said before.", "0 also for very short answers and for random words."),
    "fluency": Doc("fluency", "higher",
        "1 minus repetition, and 0 for an empty answer.", "Sees loops and silence, not nonsense."),
    "paraphrase_loss": Doc("loss of the paraphrase", "lower",
        "How surprised the model is by the true answer in other words, in nats per token.", "As loss.", False),
    "generation_perplexity": Doc("perplexity of the answers", "lower",
        "How unlikely the model from before unlearning finds the answers; nonsense is high.",
        "Fluent lies are low; anything that model would not say itself is high, right or wrong.", False),
}
COMPARISON_DOCS, comparison_key = metric_table.COMPARISON_DOCS, metric_table.comparison_key
LABELS = {
    "FORGOTTEN": "as if the model had never seen these rows, by every test that was run",
    "SUPPRESSED": "the answers are gone, but attacks bring knowledge back",
    "OVER-FORGOTTEN": "more was lost than the forget set",
    "INCOMPLETE": "knowledge of the forget set is left",
    "COLLAPSED": "the model lost its general ability",
    "UNCERTIFIED": "there is not enough to compare with for a verdict",
}
# fmt: on


def doc(metric: str) -> Doc:
    """The entry of a metric; one without an entry goes by its own name."""
    return METRIC_DOCS.get(metric) or Doc(metric.replace("_", " "), "higher", "", "", bounded=False)


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: 0.123, 12.3, 1,234, 2.2e-16; an en dash for None."""
    value = finite(value)
    if value is None:
        return "–"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size and size < 0.5 * 10**-digits:
        return f"{value:.1e}"
    return f"{value:.{digits if size < 10 else min(1, digits)}f}"


def percent(value: float) -> str:
    """A share as whole percents, with one digit more beside the ends."""
    digits = 1 if 0 < abs(value) < 0.01 or 0.99 < value < 1 else 0
    return f"{100 * value:.{digits}f}\u00a0%"


def duration(seconds: float | None) -> str:
    """Seconds for people: 12.3 s, 4 min 05 s, 2 h 03 min."""
    seconds = finite(seconds)
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def metric_order(names) -> list[str]:
    """Known metrics in the table's order, unknown ones after them by name."""
    order = list(METRIC_DOCS)
    return sorted(set(names), key=lambda name: (order.index(name) if name in order else len(order), name))


# ---------------------------------------------------------------------------------------------------------------------
# Where a number stands


def goal(run: Run, metric: str) -> tuple[float | None, str]:
    """(value to reach on the forget set, whose it is): the retrained model's, else the target's on the holdout set."""
    value = run.value("retrained", "forget", metric)
    if value is not None:
        return value, "retrained"
    if "retrained" not in run.models:
        value = run.value("target", "holdout", metric)
    return value, "holdout" if value is not None else ""


def way(before: float | None, after: float | None, aim: float | None) -> float | None:
    """(before - after) / (before - aim): 0 nothing happened, 1 the goal, above 1 beyond it; None without contrast."""
    if before is None or after is None or aim is None:
        return None
    if abs(before - aim) < max(0.02, 0.02 * max(abs(before), abs(aim))):
        return None
    return (before - after) / (before - aim)


def forget_way(run: Run, metric: str = "answer_probability") -> float | None:
    """`way` of a metric on the forget set."""
    return way(run.value("target", "forget", metric), run.value("unlearned", "forget", metric), goal(run, metric)[0])


def hardly_known(run: Run) -> bool:
    """Whether the model found the forget set unlikely even before: no likelier than rows it never saw, or below HARDLY.

    A model that was never taught a text still guesses some of its words, so "known" is not the same as "above zero".
    """
    before = run.value("target", "forget", "answer_probability")
    if before is None:
        return False
    aim, whose = goal(run, "answer_probability")
    return before < HARDLY or (whose == "holdout" and aim is not None and before < aim + 0.02)


def utility_left(run: Run) -> tuple[float | None, str]:
    """(share of the target's utility that is left, what it is measured by)."""
    ours, before = run.comparison.get("model_utility"), run.comparison.get("model_utility_target")
    if isinstance(ours, float) and isinstance(before, float) and before > 0:
        return ours / before, "model utility"
    for split in ("retain", "general"):
        ours, before = (run.value(model, split, "answer_probability") for model in ("unlearned", "target"))
        if ours is not None and before:
            return ours / before, f"answer probability on the {split} set"
    return None, ""


def label(run: Run) -> str:
    """The verdict's word: the one in evaluation.json, else UNCERTIFIED."""
    return str(run.comparison.get("verdict") or "UNCERTIFIED")


def headline(run: Run) -> str:
    """The verdict in one sentence."""
    word = label(run)
    meaning = LABELS.get(word.split(" (")[0], "")
    if word.startswith("UNCERTIFIED") and "retrained" not in run.models:
        meaning = "no retrained model was given, so there is no proof"
        stands_in = "the target's numbers on rows it never saw, the holdout set, stand in"
        meaning += f"; {stands_in}" if goal(run, "answer_probability")[1] else ", and there is no holdout set either"
    return meaning


# ---------------------------------------------------------------------------------------------------------------------
# The verdict in words


def forgotten(run: Run) -> list[str]:
    """Sentences on what went from the forget set."""
    found = []
    aim, whose = goal(run, "answer_probability")
    for metric in ("answer_probability", "rouge_l_recall", "extraction_strength"):
        before, after = (run.value(model, "forget", metric) for model in ("target", "unlearned"))
        share = forget_way(run, metric)
        if before is None or after is None or after >= before:
            continue
        text = f"Forget-set {doc(metric).label} fell from {number(before, 2)} to {number(after, 2)}"
        aim, whose = goal(run, metric)
        if whose == "retrained":
            text += f"; a model that never saw these rows has {number(aim, 2)}"
        elif whose == "holdout":
            text += f"; the target has {number(aim, 2)} on rows that it never saw"
        if share is not None and share <= 1:
            text += f": {percent(share)} of the way"
        found.append(text + ".")
    rows = resisting_rows(run)
    if rows is not None and rows[1]:
        gone = rows[1] - len(rows[0])
        found.append(
            f"{gone} of {rows[1]} forget rows lost more than half of what separated them from rows never seen."
        )
    if "forget" not in run.models["unlearned"]:
        return ["Not measured: the run has no forget set."]
    return found or ["Nothing: no measured number of the forget set fell."]


def kept(run: Run) -> list[str]:
    """Sentences on what stayed."""
    found = []
    if utility_left(run)[1] == "model utility":
        values = (run.comparison["model_utility_target"], run.comparison["model_utility"])
        found.append(_change("Model utility", *values))
    for split, metric, what in (
        ("retain", "answer_probability", "Retain-set answer probability"),
        ("retain", "rouge_l_recall", "Retain-set ROUGE-L recall"),
        ("general", "multiple_choice_accuracy", "General knowledge, multiple choice,"),
    ):
        before, after = (run.value(model, split, metric) for model in ("target", "unlearned"))
        if before and after is not None:
            found.append(_change(what, before, after))
    return found or ["Not measured: there was neither a retain set nor a general one."]


def _change(what: str, before: float, after: float) -> str:
    if abs(before - after) < 0.005:
        return f"{what} stayed at {number(after, 2)}."
    span = f"from {number(before, 2)} to {number(after, 2)}"
    return f"{what} rose {span}." if after > before else f"{what} fell {span}: {percent(after / before)} is left."


def not_achieved(run: Run) -> list[str]:
    """Sentences on what failed, what is missing and what was never tested, the gravest first."""
    found = []
    if "retrained" not in run.models:
        found.append(
            "UNCERTIFIED: no retrained model was given. Only a model trained without the forget set shows what "
            '"never seen" looks like; rows of the holdout set stand in where there are any.'
        )
    if run.status.get("state") == "collapsed" or any(line["event"] == "collapse" for line in run.events):
        found.append("Training was stopped early: the retain set had lost more than it may (collapse_guard).")
    if run.status.get("state") in ("failed", "stopped", "diverged"):
        found.append(f"The run ended as {run.status['state']}: {run.status.get('message') or 'no reason given'}.")
    for test in (_left_over, _lost, _tests_failed, _untested):
        found += test(run)
    return found


def _left_over(run: Run) -> list[str]:
    found = []
    for metric in ("answer_probability", "paraphrase_probability", "extraction_strength", "rouge_l_recall"):
        share, (aim, whose) = forget_way(run, metric), goal(run, metric)
        if share is None:
            continue
        name, after = doc(metric).label, number(run.value("unlearned", "forget", metric), 2)
        who = "the retrained model's" if whose == "retrained" else "that of rows never seen,"
        if share < REACHED:
            found.append(
                f"Forget-set {name} is {after}, still above {who} {number(aim, 2)}: {percent(1 - share)} is left."
            )
        elif share > 2 - REACHED and _beyond(run, metric, aim):
            found.append(
                f"Over-forgetting: forget-set {name} is {after}, below {who} {number(aim, 2)}. "
                "Answers that are too unlikely show that something was removed."
            )
    rows = resisting_rows(run)
    if rows and rows[0]:
        found.append(f"{len(rows[0])} of {rows[1]} forget rows kept more than half of what was to go (listed below).")
    return found


def _beyond(run: Run, metric: str, aim: float) -> bool:
    """Whether the goal lies outside the unlearned model's interval, on the far side."""
    interval = run.interval("unlearned", "forget", metric)
    return interval is None or interval[1] < aim


def _lost(run: Run) -> list[str]:
    found = []
    left, by = utility_left(run)
    if left is not None and left < UTILITY_GATE:
        found.append(
            f"Utility: {percent(left)} of the target's {by} is left, less than the {percent(UTILITY_GATE)} asked for."
        )
    for split in ("retain", "general"):
        before, after = (run.value(model, split, "refusal_rate") for model in ("target", "unlearned"))
        if before is not None and after is not None and after - before > 0.02:
            found.append(
                f"Over-refusal: {percent(after)} of the answers on the {split} set decline ({percent(before)} before)."
            )
    before, after = (run.value(model, "holdout", "answer_probability") for model in ("target", "unlearned"))
    if before and after is not None and after < 0.8 * before:
        found.append(
            f"Rows never seen became less likely too: holdout answer probability went from {number(before, 2)} to "
            f"{number(after, 2)}, so part of what fell on the forget set is general damage."
        )
    return found


def _tests_failed(run: Run) -> list[str]:
    found, c = [], run.comparison
    p = finite(c.get("forget_quality"))
    if p is not None and p <= 0.05:
        found.append(
            f"Truth ratios can be told from the retrained model's: forget quality p = {number(p)}, "
            f"D = {number(c.get('forget_quality_statistic'))}, n = {number(c.get('forget_quality_n'), 0)}."
        )
    auc, goal_auc = finite(c.get("membership_auc")), finite(c.get("membership_auc_retrained"))
    low, high = finite(c.get("membership_auc_low")), finite(c.get("membership_auc_high"))
    aim = 0.5 if goal_auc is None else goal_auc
    if auc is not None and (abs(auc - aim) > 0.1 if low is None or high is None else not low <= aim <= high):
        whose = "the retrained model's" if goal_auc is not None else "chance,"
        side = "still show that they were trained on" if auc > aim else "are now conspicuously unlikely"
        found.append(f"Membership: AUC {number(auc, 2)} against {whose} {number(aim, 2)}; forget rows {side}.")
    return found


def _untested(run: Run) -> list[str]:
    if not run.attacks:
        return ["Not tested: attacks (relearning, quantisation, sampling, other prompts) were not run, so whether the "
                "knowledge can be brought back is not known."]  # fmt: skip
    found = []
    for row in main_attack_rows(run):
        after, aim, base = row["unlearned"], row["retrained"], row["before"]
        if None in (after, aim) or after - aim <= 0.1:
            continue
        text = (
            f"Under the {row['attack'].replace('_', ' ')} attack, {attack_label(row['metric'])} is {number(after, 2)}"
        )
        text += f" (without it {number(base, 2)})" if base is not None else ""
        found.append(f"{text}; the retrained model under the same attack has {number(aim, 2)}.")
    return found


MAIN_ATTACK_METRICS = ("answer_probability", "best_rouge_l_recall", "best_reciprocal_rank")
ATTACK_LABELS = {
    "best_rouge_l_recall": "best ROUGE-L recall of a question's tries",
    "best_reciprocal_rank": "reciprocal rank at the best layer",
    "last_reciprocal_rank": "reciprocal rank at the last layer",
    "letter_accuracy": "right letters in multiple choice",
    "reversed_rouge_l_recall": "ROUGE-L recall of the question, given the answer",
    "plain_rouge_l_recall": "ROUGE-L recall, asked plainly",
}
CONTRAST = 0.05  # target and model must differ by this much before an attack for a share brought back to mean anything


def attack_label(metric: str) -> str:
    """What an attack's number is called."""
    leak = re.fullmatch(r"leak_at_(\d+)", metric)
    if leak:
        return f"leak in {leak[1]} sample" + "s" * (leak[1] != "1")
    return ATTACK_LABELS.get(metric) or doc(metric).label.replace("rouge l", "ROUGE-L")


def attack_rows(run: Run) -> list[dict]:
    """One {"attack", "metric", "target", "unlearned", "retrained", "before", "back", "back_retrained"} per number.

    "before" is the unlearned model's number without the attack; "back" the share of what the target had over it that
    the attack brought back, (after - before) / (target's before - before), and the same for the retrained model.
    Single layers of the logit lens are left to evaluation.json.
    """
    found = []
    for attack, models in run.attacks.items():
        metrics = dict.fromkeys(name for table in models.values() for name, value in table.items() if value is not None)
        shown = [name for name in metrics if not name.endswith("_before") and not re.match(r"layer_\d", name)]
        for metric in [name for name in metric_order(shown) if name in shown]:
            row = {"attack": attack, "metric": metric}
            row.update({name: models.get(name, {}).get(metric) for name in ("target", "unlearned", "retrained")})
            base = {name: table.get(f"{metric}_before") for name, table in models.items()}
            row["before"] = base.get("unlearned")
            for key, model in (("back", "unlearned"), ("back_retrained", "retrained")):
                three = row[model], base.get(model), base.get("target")
                known = None not in three and abs(three[2] - three[1]) >= CONTRAST
                row[key] = (three[0] - three[1]) / (three[2] - three[1]) if known else None
            found.append(row)
    return found


def main_attack_rows(run: Run) -> list[dict]:
    """The row of each attack that judges it: answer probability, else the best of several tries, else its first."""
    order = {name: place for place, name in enumerate(MAIN_ATTACK_METRICS)}
    found: dict[str, dict] = {}
    for row in attack_rows(run):
        old = found.get(row["attack"])
        if old is None or order.get(row["metric"], 9) < order.get(old["metric"], 9):
            found[row["attack"]] = row
    return list(found.values())


def resisting_rows(run: Run) -> tuple[list[dict], int] | None:
    """(forget rows that kept more than half of what was to go, the worst first; rows judged), or None.

    A row's goal is the retrained model's answer probability on it, else the target's mean on the holdout set.
    """
    values = per_row(run, "forget")
    stand_in = goal(run, "answer_probability")[0]
    found, judged = [], 0
    for index, before, after, aim in zip(values["index"], values["before"], values["after"], values["retrained"]):
        aim = stand_in if math.isnan(aim) else float(aim)
        share = None if math.isnan(before) or math.isnan(after) else way(float(before), float(after), aim)
        if share is None:
            continue
        judged += 1
        if share < LEFT:
            row = run.examples[index]
            found.append({"prompt": row.get("prompt") or row.get("gold"), "subject": row.get("subject"),
                          "before": float(before), "after": float(after), "goal": aim, "left": 1 - share})  # fmt: skip
    return (sorted(found, key=lambda row: -row["left"]), judged) if judged else None


def resisting_subjects(run: Run) -> list[dict]:
    """Subjects of the forget set with "left", the share of what was to go that stayed, the most first."""
    stand_in = goal(run, "answer_probability")[0]
    found = []
    for row in per_subject(run, "forget"):
        aim = stand_in if row["retrained"] is None else row["retrained"]
        share = way(row["before"], row["after"], aim)
        if share is not None:
            found.append({**row, "goal": aim, "left": 1 - share})
    return sorted(found, key=lambda row: -row["left"])


def strengths(run: Run) -> list[str]:
    """What this run did well, by its numbers."""
    found, c = [], run.comparison
    share = forget_way(run)
    if share is not None and REACHED <= share <= 2 - REACHED:
        found.append("Stops where it should: the forget set's answer probability ends within a tenth of the goal.")
    left, by = utility_left(run)
    if left is not None and left >= UTILITY_GATE:
        share = f"{percent(left)} of the target's {by} is left" if left < 1 else f"no loss of the target's {by}"
        found.append(f"Spares what shall stay: {share}.")
    p, n = finite(c.get("forget_quality")), finite(c.get("forget_quality_n"))
    if p is not None and p > 0.05:
        few = " (few rows: only large differences would show)" if n is not None and n < 100 else ""
        found.append(
            f"Truth ratios cannot be told from the retrained model's: p = {number(p)}, n = {number(n, 0)}{few}."
        )
    low, high, aim = (finite(c.get(f"membership_auc_{key}")) for key in ("low", "high", "retrained"))
    if None not in (low, high, aim) and low <= aim <= high:
        found.append(
            f"A membership test sees what it sees on the retrained model: AUC {number(c.get('membership_auc'), 2)}."
        )
    before, after = (run.value(model, "retain", "fluency") for model in ("target", "unlearned"))
    if before and after is not None and after >= 0.97 * before:
        found.append(f"Answers on the retain set stay fluent ({number(after, 2)}, {number(before, 2)} before).")
    seconds = (
        finite(run.timing.get("seconds", {}).get("unlearning")) if isinstance(run.timing.get("seconds"), dict) else None
    )
    if seconds is not None and run.steps:
        found.append(f"Cost: {duration(seconds)} of unlearning, {len(run.steps)} logged steps.")
    return found


def weaknesses(run: Run) -> list[str]:
    """What this run did badly: what resists most, what was lost, which tests fail, uneven subjects, refusals, loops."""
    shares = {name: forget_way(run, name) for name in METRIC_DOCS if METRIC_DOCS[name].bounded}
    known = {name: share for name, share in shares.items() if share is not None}
    found = []
    if known and min(known.values()) < REACHED:
        worst = min(known, key=known.get)
        found.append(f"What resists most on the forget set is {doc(worst).label}: {percent(max(0.0, known[worst]))} "
                     "of the way gone.")  # fmt: skip
    found += [text for test in (_lost, _tests_failed) for text in test(run)]
    subjects = resisting_subjects(run)
    if len(subjects) > 1 and subjects[0]["left"] - subjects[-1]["left"] > 0.2:
        first, last = subjects[0], subjects[-1]
        found.append(
            f"Uneven: {first['subject']} kept {percent(max(0.0, first['left']))} of what was to go, "
            f"{last['subject']} {percent(max(0.0, last['left']))}."
        )
    before, after = (run.value(model, "forget", "fluency") for model in ("target", "unlearned"))
    if before and after is not None and after < 0.9 * before:
        found.append(
            f"Answers on the forget set got less fluent ({number(before, 2)} to {number(after, 2)}): loops or silence."
        )
    before, after = (run.value(model, "forget", "refusal_rate") for model in ("target", "unlearned"))
    if before is not None and after is not None and after - before > 0.2:
        found.append(f"{percent(after)} of the forget set's answers are refusals, which hide rather than remove.")
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Answers side by side

_WORDS = re.compile(r"\s+|[぀-ヿ㐀-鿿가-힯]|[^\s぀-ヿ㐀-鿿가-힯]+")


def word_difference(before: str, after: str) -> tuple[list, list]:
    """(before, after) as lists of ("" or "gone" or "new", text); joined texts are the inputs to the byte."""
    ours, theirs = _WORDS.findall(before), _WORDS.findall(after)
    left, right = [], []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        same = kind == "equal"
        if b > a:
            left.append(("" if same else "gone", "".join(ours[a:b])))
        if d > c:
            right.append(("" if same else "new", "".join(theirs[c:d])))
    return left, right


def shown_rows(run: Run, split: str, count: int) -> list[dict]:
    """`count` rows of a set with answers, evenly from the most to the least changed: nobody picks them by hand."""
    values = per_row(run, split)
    rows = [
        (after if not math.isnan(after) else -1.0, int(index))
        for index, after in zip(values["index"], values["after"])
        if run.examples[index].get("after") is not None
    ]
    rows.sort()
    places = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)) if rows else []
    return [run.examples[rows[place][1]] for place in places]
