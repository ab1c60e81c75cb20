"""Memory: does any row, any person or any kind of trace show that the unlearned model still knows the forget set?

With u, r and t the values of the unlearned, the retrained and the target model, the position (u - r) / (t - r) is 0 at
the retrained model and 1 at the target. A mean over rows hides a row that stayed, and "no difference found" grows
easier with fewer rows. So single rows and persons are tested, and means must be shown to be equivalent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from models.scores.evaluating import ModelEvaluation
from models.scores.intervals import critical, error_of_mean, group_numbers, none_of
from models.scores.metric_table import METRICS
from models.verdict.gates import (
    FAILED,
    NO_CONTRAST,
    NOT_MEASURED,
    PASSED,
    UNDECIDED,
    Gate,
    column,
    columns,
    ends,
    forget_rows,
    inside,
    names_of,
    settled,
    shown,
)
from models.verdict.words import counted

TRACES = ("answer_probability", "extraction_strength", "paraphrase_probability", "fact_recall")
EQUIVALENT = ("extraction_strength", "answer_probability", "truth_ratio", "paraphrase_probability",
              "exact_memorization", "fact_recall", "rouge_l_recall")  # fmt: skip
# measured on rows of every kind; without one of them nothing is shown to be forgotten
ALWAYS = ("answer_probability", "extraction_strength", "exact_memorization", "fact_recall", "rouge_l_recall")
ROW_CONTRAST = 0.2  # t - r below which a row says nothing
LEAK = 0.5  # a row with a larger position on any trace leaks
GUESSED = 0.1  # below this position of the answer's probability, a right word counts as a lucky guess
RECITED = "recited"  # a trace of rows whose answer says the whole fact in most of the true answer's words
WHOLE, MOST_WORDS = 0.99, 0.7  # recall of the words that carry the fact, and of all words of the true answer
PERSON = 0.2  # a person with a larger mean position is still known
MARGIN, WIDEST = 0.2, 0.5  # of equivalence, and the widest that a null may make it
REACH = 3  # half-intervals of a null that a margin holds; with 2, 2 of 12 pairs of models without the rows fail
LEVEL = 0.9  # two one-sided tests at 5 % are a 90 % interval within the margin
LEAST_ROWS, LEAST_PERSONS = 5, 2  # fewer never show that something is forgotten
MOSTLY = 0.9  # of what the target knew: a row that kept more of a trace leaks, where no unseen row was measured


def positions(target, unlearned, retrained) -> np.ndarray:
    """(n,) positions (u - r) / (t - r) of rows; NaN where a value is missing or t - r < `ROW_CONTRAST`."""
    t, u, r = (np.asarray(values, dtype=np.float64) for values in (target, unlearned, retrained))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(t - r >= ROW_CONTRAST, (u - r) / (t - r), np.nan)


def traces_of(target, unlearned, retrained) -> dict[str, np.ndarray]:
    """{trace: positions (n,)} of three evaluations on the forget set, for traces on which some row has contrast."""
    found = {name: columns("forget", name, target, unlearned, retrained) for name in TRACES}
    placed = {name: positions(*values) for name, values in found.items() if len(values[0])}
    placed = {name: values for name, values in placed.items() if np.isfinite(values).any()}
    words = column(unlearned, "forget", "rouge_l_recall")
    if "fact_recall" in placed and len(words) == len(placed["fact_recall"]):
        with np.errstate(invalid="ignore"):
            whole = (found["fact_recall"][1] >= WHOLE) & (words >= MOST_WORDS)
        if whole.any():
            placed[RECITED] = np.where(whole, placed["fact_recall"], np.nan)
    return placed


def leaking(traces: dict[str, np.ndarray], above: Mapping[str, float] | None = None) -> np.ndarray:
    """(n,) whether a row's position on any trace is above `LEAK`, or the trace's own limit.

    A model may guess a word: another retrained model says the right one in some rows. So `fact_recall` alone shows a
    leak only where the answer's probability moved toward the target's too, or where the answer is `RECITED`: nobody
    guesses a whole sentence, however unlikely the true wording became.
    """
    judged = dict(traces)
    if "fact_recall" in traces and "answer_probability" in traces:
        guessed = traces["answer_probability"] < GUESSED
        judged["fact_recall"] = np.where(guessed, np.nan, traces["fact_recall"])
    with np.errstate(invalid="ignore"):
        found = [values.round(9) > (above or {}).get(name, LEAK) for name, values in judged.items()]
    return np.logical_or.reduce(found)


def leaking_rows(traces: dict[str, np.ndarray]) -> list[int]:
    """Numbers, from 1, of the rows that leak."""
    return [int(number) + 1 for number in np.flatnonzero(leaking(traces))] if traces else []


def person_positions(traces: dict[str, np.ndarray], subjects: Sequence) -> dict[str, float | None]:
    """{person: mean position over its rows and traces}, None for one whose rows have no contrast."""
    names = np.array(names_of(subjects, len(next(iter(traces.values())))))
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(names.tolist()):
        values = np.concatenate([trace[names == name] for kind, trace in traces.items() if kind != RECITED])
        found[name] = float(np.nanmean(values)) if np.isfinite(values).any() else None
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Gates


def placed_rows(traces: dict[str, np.ndarray]) -> np.ndarray:
    """(n,) whether a row has a position on some trace; needs a trace."""
    return np.logical_or.reduce([np.isfinite(values) for values in traces.values()])


def row_gate(traces: dict[str, np.ndarray]) -> Gate:
    """Whether any row leaks."""
    label = "rows still known"
    if not traces:
        why = "no row differs enough between target and retrained model to show a trace"
        return Gate("rows", label, NO_CONTRAST, why)
    rows, count = leaking_rows(traces), int(placed_rows(traces).sum())
    if rows:
        why = f"{forget_rows(rows)} {'is' if len(rows) == 1 else 'are'} still known"
        return Gate("rows", label, FAILED, why, value=len(rows), most=0)
    bound = math.ceil(1000 * none_of(count)) / 10
    why = f"none of {counted(count, 'row')} is still known, so at most {bound:.1f} % of such rows are (95 %)"
    return Gate("rows", label, PASSED, why, value=0, most=0)


def person_gate(traces: dict[str, np.ndarray], subjects: Sequence) -> Gate:
    """Whether the person known best is still known."""
    label = "person known best"
    placed = {k: v for k, v in person_positions(traces, subjects).items() if v is not None} if traces else {}
    if not placed:
        return Gate("persons", label, NO_CONTRAST, "no person's rows differ enough between target and retrained model")
    worst = max(placed, key=placed.get)
    place = settled(placed[worst])
    kept = shown(place, PERSON, 0.0) if place > 0 else "nothing"
    why = f"{worst} kept {kept} of what should go, of which {shown(PERSON, place)} may stay"
    return Gate("persons", label, FAILED if is_known(place) else PASSED, why, value=placed[worst], most=PERSON)


def is_known(position: float) -> bool:
    """Whether a person with this mean position is still known."""
    return settled(position) > PERSON


def _difference(first: np.ndarray, second: np.ndarray, subjects: Sequence, contrast: float):
    """(mean, half of the 90 % interval, standard error, G) of a paired difference, in units of the contrast.

    None below two persons.
    """
    there = np.isfinite(first) & np.isfinite(second)
    groups = [subjects[i] if i < len(subjects) else None for i in np.flatnonzero(there)]
    values = (first - second)[there]
    found = error_of_mean(values, groups) if len(values) else None
    if found is None:
        return None
    error, count = found[0] / abs(contrast), len(set(group_numbers(groups, len(values)).tolist()))
    return float(values.mean()) / contrast, critical(LEVEL, found[1]) * error, error, count


def null_of(name: str, target, retrained, contrast: float, persons: int) -> tuple[tuple[float, float], float] | None:
    """((low, high), margin): how two models that never saw some persons differ on them, in units of the contrast.

    Measured on holdout and judging rows, which neither the target nor the retrained model saw. (low, high): the 90 %
    prediction interval of the mean over `persons` further persons, mean -+ t sd sqrt(1 / persons + 1 / G). margin: see
    `usual_margin`.
    """
    sides, subjects = [[], []], []
    for split in ("holdout", "judging"):
        values = columns(split, name, target, retrained)
        for side, found in zip(sides, values):
            side.append(found)
        subjects += names_of(target.subjects.get(split, []), len(values[0]))
    found = _difference(*map(np.concatenate, sides), subjects, contrast)
    if found is None:
        return None
    mean, half, error, count = found
    half *= math.sqrt(1 + count / max(1, persons))  # half is t sd / sqrt(count)
    theirs = critical(LEVEL, max(1, persons - 1)) * error * math.sqrt(count / max(1, persons))
    return (mean - half, mean + half), usual_margin(mean, theirs)


def usual_margin(mean: float, half: float) -> float:
    """|mean| + `REACH` half: how far the 90 % interval of a model that never saw the rows may well reach.

    mean, half: of the 90 % interval of two such models. A further one's own interval has half that width, its value may
    lie as far from the mean, and so may that of the retrained model. A narrower margin leaves models undecided that
    know nothing.
    """
    return abs(mean) + REACH * half


def equivalence(name: str, target: ModelEvaluation, unlearned: ModelEvaluation, retrained: ModelEvaluation) -> Gate:
    """Whether a metric's mean on the forget set is equivalent to the retrained model's.

    p = mean(d) / c with the paired differences d = u - r and the contrast c = mean(t) - mean(r); its 90 % interval
    p -+ t SE(d) / |c| (`error_of_mean`) must lie within the margin: .2, or where a model that never saw the rows may
    well lie outside, `usual_margin`, at most .5. A metric in which two such models may differ by more decides nothing.
    """
    key, label = f"equivalence.{name}", METRICS[name].label
    t, u, r = columns("forget", name, target, unlearned, retrained)
    subjects = target.subjects.get("forget", [])
    known, ours = np.isfinite(t) & np.isfinite(r), u
    there = known & np.isfinite(u)
    if not there.any():
        return Gate(key, label, NOT_MEASURED, f"{label} was not measured on the forget set")
    t, u, r = (np.where(there, values, np.nan) for values in (t, u, r))
    contrast = float(np.nanmean(t) - np.nanmean(r))
    apart = _difference(t, r, subjects, 1.0)
    if abs(contrast) < 1e-9 or (apart is not None and abs(apart[0]) <= apart[1]):
        why = f"no difference between target and retrained model is shown in {label}"
        return Gate(key, label, NO_CONTRAST, why)
    found, persons = _difference(u, r, subjects, contrast), len(set(names_of(subjects, len(t))))
    null, usual = null_of(name, target, retrained, contrast, persons) or (None, 0.0)
    margin, apart_by = min(WIDEST, max(MARGIN, usual)), max(map(abs, null or (0.0,)))
    if apart_by > WIDEST:
        why = (f"{label}: two models that never saw the rows may differ by {shown(apart_by, WIDEST)} of what separates "
               f"the references; above {shown(WIDEST)} it decides nothing")  # fmt: skip
        return Gate(key, label, NO_CONTRAST, why, null=null)
    if found is None:
        value = float(np.nanmean(u - r)) / contrast
        return Gate(
            key, label, UNDECIDED, f"{label}: one person has no interval", value, least=-margin, most=margin, null=null
        )
    value, half, error, count = found
    low, high = value - half, value + half
    word = inside(low, high, -margin, margin)
    if (lost := int((known & ~np.isfinite(ours)).sum())) and word == PASSED:  # rows that broke show nothing
        why = f"{label}: the unlearned model has no finite value on {counted(lost, 'row')}"
        return Gate(key, label, UNDECIDED, why, value, low, high, -margin, margin, null)
    why = _why(label, word, value, half, margin, error * math.sqrt(count), count)
    return Gate(key, label, word, why, value, low, high, -margin, margin, null)


def _why(label: str, word: str, value: float, half: float, margin: float, spread: float, count: int) -> str:
    place = f"{label} lies {shown(value, margin, -margin)} of the way from the retrained model to the target"
    span = ends(value - half, value + half, margin, -margin)
    asked = shown(margin, *(abs(each) for each in (value, value - half, value + half)))
    text = f"{place} (90 % interval {span}; within ±{asked} is asked for)"
    if word == UNDECIDED and (need := enough_persons(spread, margin - abs(value), count)):
        text += f"; about {need} persons would decide it"
    return text


def enough_persons(spread: float, room: float, count: int, most: int = 10000) -> int | None:
    """The least number of persons, above `count`, whose t interval fits into `room`; None from `most` on.

    spread: the standard deviation of a person's mean.
    """
    if room <= 0 or (normal := (1.6448 * spread / room) ** 2) >= most:  # t is wider than the normal distribution
        return None
    need = max(count + 1, math.ceil(normal))
    while critical(LEVEL, need - 1) * spread / math.sqrt(need) > room:
        need += 1
    return need if need < most else None


def memory_gates(target, unlearned, retrained) -> list[Gate]:
    """The gates of rows, persons, sizes and equivalence; needs all three models."""
    traces, subjects = traces_of(target, unlearned, retrained), target.subjects.get("forget", [])
    gates = [row_gate(traces), person_gate(traces, subjects), size_gate(traces, subjects)]
    return gates + [equivalence(name, target, unlearned, retrained) for name in EQUIVALENT]


def without_retrained(target, unlearned) -> tuple[list[Gate], list[dict]]:
    """(gates, row list) against rows that the target never saw: they can show that a model remembers, and nothing else.

    The target's highest value on an unseen row stands for the retrained model's on every row. Without unseen rows, 0
    does, and a row then leaks only if it kept nine tenths.
    """
    placed, limits = {}, {}
    for name in TRACES:
        t, u = columns("forget", name, target, unlearned)
        unseen = np.concatenate([columns(split, name, target)[0] for split in ("holdout", "judging")])
        unseen = unseen[np.isfinite(unseen)]
        level = float(unseen.max()) if len(unseen) else 0.0
        if len(t) and np.isfinite(values := positions(t, u, np.full(len(t), level))).any():
            placed[name], limits[name] = values, LEAK if len(unseen) else MOSTLY
    if not placed:
        why = "the model before hardly knew the rows, so there was little to forget and nothing to show"
        return [Gate("rows", "rows still known", NO_CONTRAST, why)], []
    sure = {name: values for name, values in placed.items() if name != "fact_recall"}
    if not sure:
        why = "only the words of answers differ from those on rows never seen, and single words may be guessed"
        return [Gate("rows", "rows still known", NO_CONTRAST, why)], []
    listing = row_list(sure, target.subjects.get("forget", []), limits)
    rows, count = [row["row"] for row in listing if row["leaks"]], len(listing)
    why = without_why(rows, count, {limits[name] for name in sure})
    word = FAILED if rows else UNDECIDED
    return [Gate("rows", "rows still known", word, why, value=len(rows), most=0)], listing


def without_why(rows: Sequence[int], count: int, limits: set[float]) -> str:
    """What is said of these rows, of `count`, without a retrained model. limits: `LEAK`, `MOSTLY` or both."""
    seen = f"more than {LEAK} of what the model before knew beyond its likeliest row never seen"
    alone = f"more than {MOSTLY} of what the model before knew"
    kept = ", or ".join(text for limit, text in ((LEAK, seen), (MOSTLY, alone)) if limit in limits)
    if not rows:
        return f"no row of {count} kept {kept}"
    are, they = ("is", "it") if len(rows) == 1 else ("are", "they")
    return f"{forget_rows(rows)} of {count} {are} still known: {they} kept {kept}"


def size_gate(traces: dict[str, np.ndarray], subjects: Sequence) -> Gate:
    """Whether enough rows, of enough persons, show anything: target and retrained model differ on them."""
    names = np.array(names_of(subjects, len(subjects)))[placed_rows(traces) if traces else []]
    rows, persons = len(names), len(set(names.tolist()))
    enough = rows >= LEAST_ROWS and persons >= LEAST_PERSONS
    why = (f"{rows} of {counted(len(subjects), 'forget row')}, of {counted(persons, 'person')}, can show a trace; "
           f"{LEAST_ROWS} rows and {LEAST_PERSONS} persons are the least")  # fmt: skip
    return Gate("size", "rows and persons", PASSED if enough else UNDECIDED, why, value=rows, least=LEAST_ROWS)


# ---------------------------------------------------------------------------------------------------------------------
# What the report lists


def row_list(traces: dict[str, np.ndarray], subjects: Sequence, above: Mapping[str, float] | None = None) -> list[dict]:
    """For each forget row its largest position, the trace that shows it, and whether it leaks."""
    if not traces:
        return []
    kinds = [name for name in traces if name != RECITED]
    table, leaks = np.array([traces[name] for name in kinds]), leaking(traces, above)
    found = []
    for row in range(table.shape[1]):
        known = np.isfinite(table[:, row]).any()
        best = int(np.nanargmax(table[:, row])) if known else None
        found.append({
            "row": row + 1, "subject": subjects[row] if row < len(subjects) else None,
            "position": float(table[best, row]) if known else None,
            "trace": kinds[best] if known else None, "leaks": bool(leaks[row]),
        })  # fmt: skip
    return found


def person_list(traces: dict[str, np.ndarray], subjects: Sequence) -> list[dict]:
    """For each person its position, its number of rows, and a word."""
    if not traces:
        return []
    names = names_of(subjects, len(next(iter(traces.values()))))
    leaks = leaking(traces)
    found = []
    for name, position in person_positions(traces, subjects).items():
        mine = np.array([other == name for other in names])
        known = position is not None and (is_known(position) or bool(leaks[mine].any()))
        word = "known" if known else "no contrast" if position is None else "forgotten"
        found.append({"subject": name, "position": position, "rows": int(mine.sum()), "word": word})
    return sorted(found, key=lambda person: -(person["position"] if person["position"] is not None else -9.0))
