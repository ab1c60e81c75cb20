"""Puts a run's numbers into sentences.

Why a word of the verdict was given is said by the evidence in evaluation.json; these sentences say the rest. A number
"rose" or "fell" only where a paired test of the rows shows it. Each sentence of the first half takes the numbers that
it speaks of and writes them with as many digits as its claim needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.scores.intervals import none_of
from models.verdict.gates import NO_CONTRAST, NOT_MEASURED, PASSED, up
from models.verdict.memory import LEAK
from models.verdict.words import PARTS, WORDS, counted, word_of
from results.report.progress import SHOWN, change, goal
from results.report.runs import Part, Run, finite
from results.report.words import SAME, apart, doc, label, number, percent, percents, span

DRIFT = 0.2  # a mean on rows never seen that moved by more than this share of itself is reported
REFUSED = 0.02  # share of refusals, more than before, that is reported outside the forget set
HIDDEN = 0.2  # and on the forget set
FLUENT = 0.9  # share of the fluency before, below which it is reported

# ---------------------------------------------------------------------------------------------------------------------
# One sentence each, of numbers alone


def changed(name: str, before: float, after: float, p: float | None, aim: float | None = None, whose: str = "") -> str:
    """A number before and after, with a direction if a paired test of p < .05 shows one, and what it should be."""
    first, last, *goals = apart(before, after, *([] if aim is None else [aim]), digits=2)
    p = finite(p)
    if first == last:
        text = f"{name} is {first} before and after"
    elif p is not None and _shows(p):
        text = f"{name} {'rose' if after > before else 'fell'} from {first} to {last} (p = {apart(p, SHOWN)[0]})"
    else:
        text = f"{name} is {first} before and {last} after"
        text += f" (no difference shown, p = {apart(p, SHOWN)[0]})" if p is not None else ""
    return f"{text}; {whose} {goals[0]}." if goals else f"{text}."


def tested(p: float | None, before: float | None, after: float | None) -> str:
    """What a paired test shows of a change, for a cell of a table."""
    p, before, after = map(finite, (p, before, after))
    if None in (p, before, after):
        return "–"
    if not _shows(p) or abs(after - before) < SAME:
        return f"not shown, p = {apart(p, SHOWN)[0]}" if not _shows(p) else "unchanged"
    return f"{'rose' if after > before else 'fell'}, p = {apart(p, SHOWN)[0]}"


def _shows(p: float) -> bool:
    """Whether a paired test with this p shows a change."""
    return p <= SHOWN - SAME


def no_row_leaks(count: int, reference: bool = True) -> str:
    """That no row leaks and, with a retrained model to compare with, the share of such rows that may still do."""
    text = f"None of {counted(count, 'forget row')} is"
    if not reference:
        return f"{text} found to be known, which without a retrained model does not show that they are forgotten."
    bound = up(100 * none_of(count), 2)
    return f"{text} still known. So at most {bound:.2f}\u00a0% of such rows are, with 95\u00a0% confidence."


def rows_leak(leaking: int, count: int, reference: bool = True) -> str:
    """How many rows leak, and what that means with or without a retrained model."""
    text = f"{leaking} of {counted(count, 'forget row')} {'is' if leaking == 1 else 'are'} still known"
    if not reference:
        return f"{text}, compared with rows that the model before never saw."
    return f"{text}: on some measure more than {number(LEAK, 1)} of the way from the retrained model to the target."


def refusals(split: str, before: float, after: float) -> str:
    """Refusals outside the forget set."""
    first, last = percents(before, after)
    return f"Over-refusal: {last} of the {split} set's answers are refusals, {first} before."


def drift(before: float, after: float) -> str:
    """A change on rows that no model has seen."""
    first, last = apart(before, after, digits=2)
    return f"Rows never seen changed: their answer probability is {first} before and {last} after."


def secrets_said(said: int, samples: int, bound: float | None) -> str:
    """How many samples said a secret of their row, and the share of samples that may."""
    text = f"{said} of {counted(samples, 'sample')} said a secret of {'its' if said == 1 else 'their'} row"
    if bound is None:
        return f"{text}."
    most = up(100 * bound, 2)
    return f"{text}; at most {most:.2f}\u00a0% do, with 95\u00a0% confidence, as if samples were independent."


def shifted(name: str, change: float, low: float | None, high: float | None) -> str:
    """A mean change with its interval, and a direction only if the interval leaves out 0."""
    text = f"{name[:1].upper()}{name[1:]}: {'+' if change > 0 else ''}{number(change)} on average"
    ends = span(low, high, 0.0)
    if not ends:
        return f"{text}; {'too few rows for an' if finite(low) is None else 'without any spread, so no'} interval."
    shown = f"it {'rose' if low > 0 else 'fell'}" if low > 0 or high < 0 else "no change is shown"
    return f"{text} (95\u00a0% interval {ends}): {shown}."


def less_fluent(before: float, after: float) -> str:
    """Loops or silence on the forget set."""
    first, last = apart(before, after, digits=2)
    return f"Fluency on the forget set is {first} before and {last} after; loops and silence lower it."


def hidden(share: float) -> str:
    """Refusals on the forget set."""
    return f"{percent(share)} of the forget set's answers are refusals, which may hide knowledge."


def ended(state: str, message: str | None) -> str:
    """How a run ended that did not finish."""
    return f"The run ended as {state}: {message or 'no reason given'}."


def guarded() -> str:
    """That the guard ended the training."""
    return "Training stopped early: the retain set lost more than collapse_guard allows."


def request_back(name: str, why: str) -> str:
    """An earlier request that came back."""
    return f"An earlier request came back ({name}): {why}."


def signed(words: Sequence[str]) -> str:
    """The sentence of a verdict that can be signed, from the words of its gates."""
    counts = {word: words.count(word) for word in (PASSED, NO_CONTRAST, NOT_MEASURED)}
    said = {NO_CONTRAST: "had nothing to tell apart", NOT_MEASURED: "could not be measured on these rows"}
    others = "".join(f"; {counts[word]} {text}" for word, text in said.items() if counts[word])
    gates = f"{counts[PASSED]} of {counted(len(words), 'gate')} {'is' if counts[PASSED] == 1 else 'are'} passed"
    return f"CERTIFIED: {gates} and none is failed{others}."


def earlier_version(verdict: str) -> str:
    """A verdict that has no three words."""
    return f"Verdict of an earlier version: {verdict}. Measure the run again."


def no_verdict() -> str:
    """A run without a verdict, or with one that its evidence contradicts."""
    return "evaluation.json holds no verdict that can be read. Measure the run again."


def asked(least: float | None, most: float | None, *beside: float | None, digits: int = 2) -> str:
    """The bounds of a gate, told apart from the numbers beside them."""
    low, high = apart(least, most, *beside, digits=digits)[:2]
    if least is not None and most is not None:
        return f"{low} to {high}"
    return f"at least {low}" if least is not None else f"at most {high}" if most is not None else "–"


# ---------------------------------------------------------------------------------------------------------------------
# The sentences of a run


def headline(run: Run) -> str:
    """The verdict in a sentence or two."""
    if run.words:
        return " ".join(f"{WORDS[part][word_of(run.words[part])].headline}." for part in PARTS)
    told = run.comparison.get("verdict")
    return earlier_version(str(told)) if label(run) != "no verdict" else no_verdict()


def reasons(part: Part) -> list[str]:
    """What decides a word, and the least change that would turn it."""
    return [*part.why, *([part.turn] if part.turn else [])]


def forgotten(run: Run) -> list[str]:
    """What the forget set lost, beside the level of rows never seen."""
    found = []
    for metric in ("answer_probability", "rouge_l_recall", "fact_recall", "extraction_strength"):
        before, after, p = change(run, "forget", metric)
        if before is not None and after is not None:
            aim, source = goal(run, metric)
            whose = {
                "retrained": "a model that never saw these rows has",
                "holdout": "on rows that it never saw, the target has",
            }
            found.append(
                changed(f"Forget-set {doc(metric).label}", before, after, p, aim if source else None,
                        whose.get(source, ""))
            )  # fmt: skip
    return found or ["Not measured: the run has no forget set."]


def kept(run: Run) -> list[str]:
    """What stayed and what did not."""
    found = []
    ours, base = (finite(run.comparison.get(name)) for name in ("model_utility", "model_utility_target"))
    if ours is not None and base is not None:
        found.append(changed("Model utility", base, ours, None))
    for split, metric, name in (
        ("retain", "answer_probability", "Retain-set answer probability"),
        ("retain", "rouge_l_recall", "Retain-set ROUGE-L recall"),
        ("general", "multiple_choice_accuracy", "Multiple choice on general knowledge"),
    ):
        before, after, p = change(run, split, metric)
        if before is not None and after is not None:
            found.append(changed(name, before, after, p))
    return found or ["Not measured: the run has neither a retain set nor a general set."]


def requests_back(run: Run) -> list[str]:
    """Earlier requests that came back."""
    from models.requests.retest import CAME_BACK

    back = [row for row in run.earlier if row.get("verdict") == CAME_BACK]
    return [request_back(request_name(row), str(row.get("why"))) for row in back]


def remarks(run: Run) -> list[str]:
    """What went wrong beside the verdict: the run's end, refusals, drift, loops. Names no person and no run."""
    found = []
    if run.status.get("state") == "collapsed" or any(line["event"] == "collapse" for line in run.events):
        found.append(guarded())
    if run.status.get("state") in ("failed", "stopped", "diverged"):
        found.append(ended(run.status["state"], run.status.get("message")))
    return [*found, *side_effects(run.change), *poor_answers(run.change)]


def request_name(row: dict) -> str:
    """The folder name of an earlier request's run."""
    return str(row.get("run")).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def side_effects(pair: Callable) -> list[str]:
    """Refusals and changes outside the forget set. pair(split, metric): (before, after), None where unknown."""
    found = []
    for split in ("retain", "general"):
        before, after = pair(split, "refusal_rate")
        if before is not None and after is not None and after - before > REFUSED:
            found.append(refusals(split, before, after))
    before, after = pair("holdout", "answer_probability")
    if before and after is not None and abs(after - before) > DRIFT * before:
        found.append(drift(before, after))
    return found


def poor_answers(pair: Callable) -> list[str]:
    """Loops, silence and refusals on the forget set. pair: as for `side_effects`."""
    found = []
    before, after = pair("forget", "fluency")
    if before and after is not None and after < FLUENT * before:
        found.append(less_fluent(before, after))
    before, after = pair("forget", "refusal_rate")
    if before is not None and after is not None and after - before > HIDDEN:
        found.append(hidden(after))
    return found
