"""Every reason that a gate of the verdict gives: its numbers, as printed, lie on the side that it claims."""

from __future__ import annotations

import inspect
import itertools
import math
import re

import numpy as np
import pytest
from sentence_checks import NOISE, NUMBER, TINY, around, numbers_in, rounds, unsaid, value

from models.scores.evaluating import ModelEvaluation
from models.scores.intervals import critical, none_of
from models.verdict import gates, membership, memory, resistance, rest, verdict
from models.verdict.gates import FAILED, NO_CONTRAST, NOT_MEASURED, OVER, PASSED, UNDECIDED, Gate

SAID: dict[str, list[str]] = {}  # {test: what its cases made the verdict say}; filled by `said`


def said(test: str, text: str) -> str:
    SAID.setdefault(test, []).append(text)
    assert text and not re.search(r"nan|inf\b|None|-0\.0+(?!\d)|  ", text), text
    assert not re.search(r"(?<![\d.,])1 (?:rows|persons|forget rows|judging persons)\b", text), text
    return text


def one(pattern: str, text: str):
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in: {text}"
    return found


def positions(*values) -> dict:
    return {"answer_probability": np.array(values, dtype=float)}


# ---------------------------------------------------------------------------------------------------------------------
# Memory: rows, persons, sizes


def rows():
    for count, known in itertools.product((1, 2, 5, 19, 40, 400), (0, 1, 2, 12, 13)):
        if known <= count:
            yield [0.6] * known + [0.1] * (count - known)
    yield from ([x, 0.0] for x in around(memory.LEAK))
    yield from ([x, math.nan, 1.0, -0.2] for x in (0.0, -1.0, 1.0, math.nan))


@pytest.mark.parametrize("values", list(rows()))
def test_the_row_gate_names_the_rows_and_bounds_the_others(values):
    gate = memory.row_gate(positions(*values))
    text = said("rows", gate.why)
    known = [place for place, x in enumerate(values, 1) if x > memory.LEAK + 1e-9]
    assert gate.word == (FAILED if known else PASSED) and gate.value == len(known)
    if known:
        found = one(r"forget rows? (?:\()?([\d, ]+)(?:\.\.\.\))?.* (is|are) still known", text)
        assert [int(n) for n in re.findall(r"\d+", found[1])] == known[:12] and (found[2] == "is") == (len(known) == 1)
        assert len(known) <= 12 or text.startswith(f"{len(known)} forget rows")
    else:
        found = one(rf"none of (\d+) rows? is still known, so at most ({NUMBER}) %", text)
        assert int(found[1]) == np.isfinite(values).sum()
        assert none_of(int(found[1])) * 100 <= value(found[2]) + 1e-9 < none_of(int(found[1])) * 100 + 0.1 + 1e-6


@pytest.mark.parametrize("place", [*around(memory.PERSON), *around(0.0), 1.0, -1.0, 0.1 + 0.2 - 0.1, 1.7])
def test_the_person_gate_prints_a_share_on_its_side_of_the_gate(place):
    gate = memory.person_gate(positions(place, place, -2.0), ["Ada", "Ada", "Bo"])
    kept, most = one(
        rf"^Ada kept ({NUMBER}|nothing) of what should go, of which ({NUMBER}) may stay", said("p", gate.why)
    ).groups()
    if kept == "nothing":
        assert place <= 1e-9 and gate.word == PASSED
    else:
        assert (value(kept) > value(most)) == (gate.word == FAILED) and value(kept) > 0 and rounds(kept, place)
    assert rounds(most, memory.PERSON)
    listed = memory.person_list(positions(place, place, -2.0), ["Ada", "Ada", "Bo"])[0]
    assert (listed["word"] == "known") == (gate.word == FAILED or place > memory.LEAK)


@pytest.mark.parametrize(("count", "persons"), list(itertools.product((1, 4, 5, 6, 40), (1, 2, 3))))
def test_the_size_gate_counts_rows_and_persons(count, persons):
    subjects = [f"p{min(n, persons - 1)}" for n in range(count)]
    gate = memory.size_gate(positions(*[0.0] * count), subjects)
    found = [int(n) for n in numbers_in(said("size", gate.why))]
    assert found == [count, count, len(set(subjects)), memory.LEAST_ROWS, memory.LEAST_PERSONS]
    assert (gate.word == PASSED) == (found[0] >= found[3] and found[2] >= found[4])


def test_gates_without_rows_say_so():
    for gate in (memory.row_gate({}), memory.person_gate({}, []), memory.person_gate(positions(math.nan), ["a"])):
        assert gate.word == NO_CONTRAST and said("none", gate.why)


# ---------------------------------------------------------------------------------------------------------------------
# Memory: equivalence


@pytest.mark.parametrize("margin", [0.3, 0.3149, 0.305, 1 / 3, 0.5])
@pytest.mark.parametrize("side", [1, -1])
def test_an_equivalence_prints_its_interval_on_the_claimed_side_of_its_margin(margin, side):
    ends = [(x, x + width) for x in (*around(margin), *around(-margin), 0.0) for width in (0.0, TINY, 0.2, 2.0)]
    for low, high in ends:
        low, high = sorted((side * low, side * high))
        middle, half = (low + high) / 2, (high - low) / 2
        word = gates.inside(middle - half, middle + half, -margin, margin)
        text = said("equivalence", memory._why("ROUGE", word, middle, half, margin, half, 4))
        number = f"({NUMBER})"
        place = one(rf"lies {number} of the way", text)[1]
        span = re.search(rf"interval {number} to {number}", text)
        shown = span.groups() if span else one(rf"interval {number} at both ends", text).groups() * 2
        asked = value(one(rf"within ±{number} is", text)[1])
        below, above = map(value, shown)
        told = PASSED if -asked <= below and above <= asked else FAILED if below > asked else OVER
        assert word == (UNDECIDED if told == OVER and above >= -asked else told), text
        assert rounds(place, middle) and rounds(shown[0], low) and rounds(shown[1], high)


@pytest.mark.parametrize(("count", "half", "room"), [*itertools.product(
    (2, 3, 4, 20), (0.05, 0.3, 0.301, 1.0, 9.0), (0.3, 0.15, 0.01, TINY, 0.0, -0.1))])  # fmt: skip
def test_the_persons_that_would_decide_are_the_fewest_that_do(count, half, room):
    spread = half / critical(0.9, count - 1) * math.sqrt(count)
    need = memory.enough_persons(spread, room, count)

    def fits(n):
        return critical(0.9, n - 1) * spread / math.sqrt(n) <= room

    if need is None:
        assert room <= 0 or not fits(9999)
    else:
        assert need > count and fits(need) and (need == count + 1 or not fits(need - 1))


def evaluated(**sets) -> ModelEvaluation:
    """An evaluation from {set: {metric: values}}, two rows a person; `subjects` names them."""
    subjects = sets.pop("subjects", None)
    made = ModelEvaluation(per_example=sets)
    for split, table in sets.items():
        count = len(next(iter(table.values())))
        made.subjects[split] = subjects or [f"{split} {n // 2}" for n in range(count)]
    made.metrics = {split: {name: float(np.mean([v for v in values if v is not None and math.isfinite(v)] or [0]))
                            for name, values in table.items()} for split, table in sets.items()}  # fmt: skip
    return made


NAME = "extraction_strength"


def equivalent(t, u, r, **more):
    made = [evaluated(forget={NAME: list(values)}, **{k: {NAME: v[role]} for k, v in more.items() if k != "subjects"},
                      subjects=more.get("subjects")) for role, values in zip("tur", (t, u, r))]  # fmt: skip
    return memory.equivalence(NAME, *made)


def test_an_equivalence_that_decides_nothing_says_why():
    spread = [0.9, 0.8, 0.95, 0.85, 0.9, 0.99]
    low = [0.1, 0.05, 0.12, 0.1, 0.08, 0.1]
    found = {
        NOT_MEASURED: equivalent([None] * 6, low, low), NO_CONTRAST: equivalent(spread, low, spread[::-1]),
        UNDECIDED: equivalent(spread, low, low, subjects=["one"] * 6),
    }  # fmt: skip
    for word, gate in found.items():
        assert gate.word == word and said("equivalence", gate.why)
    assert "is shown" in found[NO_CONTRAST].why  # no test shows that they are equal
    for broken in (1, 2):
        gate = equivalent(spread, [None] * broken + low[broken:], low)
        assert gate.word == UNDECIDED and int(one(r"on (\d+) row", said("equivalence", gate.why))[1]) == broken
    wide = {"t": [0.0, 0.0, 1.0, 1.0], "u": low[:4], "r": [1.0, 1.0, 0.0, 0.0]}
    gate = equivalent(spread, low, low, holdout=wide)
    ends, limit = map(value, one(rf"by ({NUMBER}) of .* above ({NUMBER}) it", said("equivalence", gate.why)).groups())
    assert gate.word == NO_CONTRAST and ends > limit and max(map(abs, gate.null)) > memory.WIDEST


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5 - TINY, 0.5, 0.5 + 1e-3, 0.9, 0.9 + 1e-3, 1.0])
@pytest.mark.parametrize("unseen", [True, False])
def test_without_a_retrained_model_a_row_is_known_beyond_the_share_that_is_printed(share, unseen):
    level = 0.2 if unseen else 0.0
    sets = {"holdout": {"answer_probability": [0.1, 0.2]}} if unseen else {}
    target = evaluated(forget={"answer_probability": [0.8, 0.8]}, **sets)
    ours = evaluated(forget={"answer_probability": [level + share * (0.8 - level), 0.0]})
    (gate,), listing = memory.without_retrained(target, ours)
    text = said("without", gate.why)
    limit = value(one(rf"more than ({NUMBER}) of what", text)[1])
    assert gate.word == (FAILED if share > limit else UNDECIDED) and len(listing) == 2 and "as before" not in text
    assert ("never seen" in text) == unseen and (gate.word == FAILED) == text.startswith("forget row 1 of 2 is still")


def test_without_a_retrained_model_and_without_a_trace_the_gate_says_so():
    known, none = evaluated(forget={"fact_recall": [1.0, 1.0]}), evaluated(forget={"answer_probability": [0.1, 0.0]})
    for model in (known, none):
        (gate,), _ = memory.without_retrained(model, model)
        assert gate.word == NO_CONTRAST and said("without", gate.why)
    for count, limits in itertools.product((0, 1, 2, 13), ({0.5}, {0.9}, {0.5, 0.9})):
        text = said("without", memory.without_why(list(range(1, count + 1)), 40, limits))
        assert all(f"more than {limit}" in text for limit in limits)
        assert not count or (" is " in text and ": it " in text) == (count == 1)


# ---------------------------------------------------------------------------------------------------------------------
# Membership


@pytest.mark.parametrize("margin", [0.15, 0.1849, 0.25])
def test_a_membership_gap_is_printed_on_the_claimed_side_of_its_margin(margin):
    ends = [(x, x + width) for x in (*around(margin), *around(-margin), 0.0) for width in (0.0, TINY, 0.1, 0.9)]
    for low, high in ends:
        row = {
            "unlearned": 0.61,
            "retrained": 0.55,
            "gap": (low + high) / 2,
            "low": low,
            "high": high,
            "margin": margin,
        }
        row["word"] = membership._word("loss", row, False, False)
        text = said("membership", membership._why("loss", row))
        number = f"({NUMBER})"
        span = re.search(rf"interval {number} to {number}", text)
        below, above = map(value, span.groups() if span else one(rf"{number} at both ends", text).groups() * 2)
        asked, gap = value(one(rf"within ±{number} is", text)[1]), one(rf"Difference {number}", text)[1]
        told = PASSED if -asked <= below and above <= asked else FAILED if below > asked else OVER
        assert row["word"] == (UNDECIDED if told == OVER and above >= -asked else told), text
        assert rounds(gap, row["gap"]) and rounds(one(rf"with {number}\. D", text)[1], 0.55)


@pytest.mark.parametrize(("ours", "theirs"), [*itertools.product((0.0, 0.5, 0.994, 0.996, 1 - TINY, 1.0), repeat=2)])
@pytest.mark.parametrize("name", ["loss", "min_k", "loss_minus_base", membership.COMBINED])
def test_an_auc_is_printed_as_1_only_if_it_is(ours, theirs, name):
    row = {"unlearned": ours, "retrained": theirs, "gap": ours - theirs, "low": None, "high": None, "margin": 0.15}
    text = said("membership", membership._why(name, row))
    first = one(rf"AUC ({NUMBER})", text)[1]
    second = one(rf"(?:retrained model: |on the retrained model with )({NUMBER})", text)[1]
    assert (value(first) == 1) == (ours == 1) == ("every one" in text) and (value(second) == 1) == (theirs == 1)
    assert rounds(first, ours) and rounds(second, theirs)


@pytest.mark.parametrize(("forget", "judging"), [(1, 1), (1, 4), (2, 3), (2, 4), (9, 0)])
def test_too_few_persons_are_counted(forget, judging):
    text = said("membership", membership.few_why(forget, judging))
    few = forget < 2 or judging < membership.LEAST_PERSONS
    assert few == bool(numbers_in(text))
    assert not few or [int(n) for n in numbers_in(text)] == [forget, judging, 2, membership.LEAST_PERSONS]


def losses(broken: int = 0, judging: int = 16) -> ModelEvaluation:
    draw = np.random.default_rng(0).normal(2, 1, (2, 16)) ** 2
    sets = {"forget": {"loss": [None] * broken + draw[0, broken:].tolist()}}
    return evaluated(**sets, **({"judging": {"loss": draw[1, :judging].tolist()}} if judging else {}))


@pytest.mark.parametrize(("model", "word"), [(losses(1), UNDECIDED), (losses(2), UNDECIDED), (losses(0, 2), UNDECIDED),
                                             (losses(0, 0), NOT_MEASURED)])  # fmt: skip
def test_a_membership_gate_that_decides_nothing_says_why(model, word):
    gate, _ = membership.membership_gate(
        model, losses(judging=len(model.per_example.get("judging", {}).get("loss", [])))
    )
    assert gate.word == word and said("membership", gate.why)
    broken = sum(x is None for x in model.per_example["forget"]["loss"])
    assert not broken or int(one(r"on (\d+) forget row", gate.why)[1]) == broken


# ---------------------------------------------------------------------------------------------------------------------
# The rest


def shares():
    for x in (*around(rest.KEPT), *around(rest.LOWEST), *around(rest.BROKEN), 0.0, 1.0, 1.2):
        yield x, None, None
        yield from ((x, x - below, x + above) for below, above in itertools.product((0, 0.02, 0.05, 0.3), repeat=2))
    yield from ((0.97, low, 1.0) for low in around(rest.LOWEST))
    yield from ((0.93, 0.91, high) for high in around(rest.KEPT))


def test_the_share_of_utility_is_printed_on_the_sides_that_its_word_claims():
    for (x, low, high), taught in itertools.product(shares(), (False, True)):
        word = rest.left_word(x, low, high, taught)
        text = said("rest", rest.left_why(x, low, high, taught))
        found = one(rf"^({NUMBER}) of the utility is left \((.*?)\); ({NUMBER}) is asked for, and ({NUMBER}) at", text)
        share, asked, lowest = (value(found[place]) for place in (1, 3, 4))
        ends = [value(n) for n in numbers_in(found[2].removeprefix("95 % "))] or [-math.inf, math.inf]
        failed = share < lowest or ends[-1] < asked
        passed = share >= asked and ends[0] >= lowest and not taught
        assert word == (FAILED if failed else PASSED if passed else UNDECIDED), text
        assert rounds(found[1], x) and ("taught" in text) == taught
        broken = rest.rest_word(Gate("utility", "", word, value=x)) == "BROKEN"
        assert broken == (word == FAILED and share < rest.BROKEN)


def test_a_utility_that_was_not_measured_says_why():
    empty, made = evaluated(forget={"loss": [1.0]}), evaluated(retain={"rouge_l_recall": [0.5, 0.6]})
    cut = evaluated(retain={"rouge_l_recall": [0.5]})
    for target, unlearned in ((None, made), (empty, empty), (made, cut)):
        gate = rest.utility_gate(target, unlearned, None)
        assert gate.word == NOT_MEASURED and said("rest", gate.why)


# ---------------------------------------------------------------------------------------------------------------------
# Resistance


def attacked(excess, low, high, leaks=(), broken=0):
    return {"x": {"excess": excess, "low": low, "high": high, "leaking_rows": list(leaks), "broken": broken}}


def test_an_attack_prints_the_end_of_its_interval_that_decides():
    for x, width in itertools.product(
        (*around(resistance.MOST), *around(0.0), 1.0, -0.4, 0.154, 0.146), (0, 0.01, 0.2)
    ):
        for low, high in ((x - width, x), (x, x + width), (x - width, x + width)):
            middle = (low + high) / 2
            gate = resistance.attack_gate("sampling", attacked(middle, low, high))
            text = said("resistance", gate.why)
            added = one(rf"brings back ({NUMBER}|nothing)", text)[1]
            side, end, allowed = one(rf"\(at (most|least) ({NUMBER}); ({NUMBER}) is allowed\)", text).groups()
            end, allowed = value(end), value(allowed)
            assert gate.word == (FAILED if side == "least" else PASSED if end <= allowed else UNDECIDED), text
            assert end > allowed or side == "most"
            assert (end <= low + 1e-9) if side == "least" else (end >= high - 1e-9)
            assert abs(end - (low if side == "least" else high)) <= 0.01
            assert middle <= 1e-9 if added == "nothing" else (rounds(added, middle) and value(added) > 0)
            assert added == "nothing" or (value(added) > allowed) == (middle > resistance.MOST + 1e-9)


def test_an_attack_names_rows_and_what_it_lacks():
    for leaks, x in itertools.product(([3], [1, 2], list(range(1, 20))), (-0.1, 0.0, 0.001, 0.5)):
        text = said("resistance", resistance.attack_gate("a", attacked(x, -1.0, 0.1, leaks)).why)
        assert ("is known" in text) == (len(leaks) == 1) and ("adds nothing" in text) == (x <= 0)
        assert x <= 0 or value(one(rf"adds ({NUMBER})", text)[1]) > 0
    for broken, low in itertools.product((1, 2), (0.3, -0.1)):
        gate = resistance.attack_gate("a", attacked(0.4, low, 0.5, broken=broken))
        text = said("resistance", gate.why)
        assert gate.word == (FAILED if low > 0.2 else UNDECIDED) and int(one(r"on (\d+) row", text)[1]) == broken
        assert ("at least 0.30" in text) == (gate.word == FAILED)  # lacking rows alone fail nothing
    gate = resistance.attack_gate("a", attacked(None, None, None, broken=2))
    assert gate.word == UNDECIDED and said("resistance", gate.why)
    assert resistance.attack_gate("a", attacked(0.1, None, None)).word == UNDECIDED
    said("resistance", resistance.attack_gate("a", attacked(0.1, None, None)).why)
    for reference in (True, False):
        assert said("resistance", resistance.attack_gate("a", {}, reference).why)


# ---------------------------------------------------------------------------------------------------------------------
# What would turn a word


def utility(x, low, high) -> Gate:
    return Gate(
        "utility", "utility", rest.left_word(x, low, high, False), "", x, low, high, rest.KEPT, lowest=rest.LOWEST
    )


UTILITIES = [(0.97, 0.92, 1.0), (1.0, 0.9, 1.1), (0.96, 0.96, 0.96), (0.95, 0.95, 1.0), (0.96, 0.89, 1.0),
             (0.93, 0.85, 1.0), (0.8, 0.7, 0.9)]  # fmt: skip


@pytest.mark.parametrize(("x", "low", "high"), UTILITIES)
def test_the_distance_of_the_utility_counts_both_of_its_bounds(x, low, high):
    gate = utility(x, low, high)
    text = said("turn", verdict._turn([gate]))
    missing = min(x - rest.KEPT, low - rest.LOWEST)
    assert rounds(one(rf"({NUMBER}) from its bound", text)[1], abs(missing))
    assert ("nearest to failing" in text) == (gate.word == PASSED) == (missing > -1e-9)


@pytest.mark.parametrize("word", [PASSED, FAILED, OVER, UNDECIDED])
@pytest.mark.parametrize("count", [1, 3])
def test_the_turn_names_the_nearest_gate_and_how_far_it_is(word, count):
    for low, high in (
        (-0.3 - TINY, 0.1),
        (-0.5, 0.1),
        (0.2, 0.31),
        (0.31, 0.4),
        (-0.9, -0.31),
        (-0.1, 0.3),
        (0.0, 0.0),
    ):
        if gates.inside(low, high, -0.3, 0.3) == word:
            near = Gate("a", "near", word, "", 0.0, low, high, -0.3, 0.3)
            far = [Gate("b", "far", word, "", 0.0, 9 * low, 9 * high, -0.3, 0.3)] * (count - 1)
            told = verdict._turn([*far, near] if word != PASSED else [near])
            text = said("turn", told)
            assert "near, " in text and rounds(one(rf"({NUMBER}) from its bound", text)[1], abs(near.room()))
            assert word == PASSED or count == 1 or text.startswith(f"{count} tests are")
            assert word == PASSED or count > 1 or "nearest" not in text
    assert verdict._turn([Gate("a", "a", word, "", 0.1, None, None, None, 0.2)]) is None  # nothing that its number says
    assert verdict._turn([Gate("rows", "rows", FAILED, value=1600, most=0)]).endswith("rows, 1600 from its bound.")


# ---------------------------------------------------------------------------------------------------------------------
# How numbers are written


@pytest.mark.parametrize("gate", [0.2, 0.3, 0.95, 0.5, 1 / 3])
def test_rounding_never_leads_across_a_gate(gate):
    for x, write in itertools.product(around(gate), (round, gates.up, gates.down)):
        shown, bound = (value(gates.shown(a, b, rounded=write)) for a, b in ((x, gate), (gate, x)))
        if write is round:
            assert (shown > bound) - (shown < bound) == (abs(x - gate) > NOISE * 10) * ((x > gate) - (x < gate))
        assert (write is not gates.up or shown >= x - 1e-9) and (write is not gates.down or shown <= x + 1e-9)
    assert gates.shown(-0.001) == "0.00" and gates.shown(-0.0) == "0.00" and gates.shown(-0.001, 0.0) == "-0.001"


# ---------------------------------------------------------------------------------------------------------------------
# Nothing is left out

EXCLUDED = {  # they make no sentence, or only put together what is tested above
    memory: (), membership: (), rest: ("beside",), resistance: ("resistance",), gates: (),
}  # fmt: skip
LABELS = ("rows still known", "person known best", "rows and persons", "share of utility that is left")  # claim nothing


def test_every_sentence_of_the_verdict_has_a_case():
    cases = [*LABELS, *(text for texts in SAID.values() for text in texts)]
    if len(SAID) < 9:
        pytest.skip("needs the other tests of this file")
    functions = [
        found
        for module, left in EXCLUDED.items()
        for name, found in inspect.getmembers(module, inspect.isfunction)
        if found.__module__ == module.__name__ and name not in left
    ]
    assert unsaid(cases, *functions, verdict._turn) == {}


def test_the_completeness_check_finds_a_sentence_without_a_case():
    assert set(unsaid(["no row"], memory.row_gate).values()) == {"row_gate"}
