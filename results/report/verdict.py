"""The verdict of a run as blocks of a page: its three words, its gates, persons and rows, and what lies beside them."""

from __future__ import annotations

from models.verdict.gates import FAILED, OVER, Gate
from models.verdict.memory import LEAK, MOSTLY, PERSON
from models.verdict.rest import LOST, LOWEST
from models.verdict.words import PARTS, WORDS, word_of
from results.report import progress, sentences, words
from results.report.pages import Answers, Bullets, Column, Details, Heading, Paragraph, Table, Verdict
from results.report.runs import ROLES, Run, finite, per_row
from results.report.words import apart, doc, number, percents, span

LISTED = 20  # rows and persons in a table
TITLES = {"memory": "Memory", "rest": "The rest", "resistance": "Under attack"}
TONES = {"good": "good", "unsure": "open", "bad": "bad"}  # of a word, on a page
BESIDE = {  # numbers beside the words, in evidence of the rest
    "run_on": "general answers that run on to the limit", "answer_precision": "precision of general answers",
    "in_context": "facts read from the prompt", "holdout_drift": "answer probability of rows never seen",
}  # fmt: skip


def verdict(run: Run) -> Verdict:
    """The three words with what decides each, and up to five tiles of numbers."""
    tiles, columns = [*_answer_tiles(run), *_gate_tiles(run)], []
    for part in PARTS if run.words else ():
        word = WORDS[part][word_of(run.words[part])]
        items = sentences.reasons(run.evidence[part])
        columns.append(Column(TITLES[part], run.words[part], TONES[word.tone], word.plain, items))
    if words.certified(run):
        gates = [gate for part in run.evidence.values() for gate in part.gates]
        said, tone = sentences.signed([gate.word for gate in gates]), "good"
    else:
        tones = {column.tone for column in columns}
        said, tone = sentences.headline(run), "bad" if "bad" in tones else "open"
    name = words.label(run) if run.words else "no verdict"
    return Verdict(name, said, tone, tiles, columns)


def subject(run: Run) -> list:
    """What it still says about the subject: the sentence, and the questions with both answers."""
    told = run.subject
    if not isinstance(told.get("sentence"), str):
        return []
    asked = [row for row in told.get("questions") or [] if isinstance(row, dict)]
    rows = [[[("user", str(row.get(name) or ""))] for name in ("question", "before", "after")]
            + ["yes" if row.get("known_before") else "no", "yes" if row.get("said_after") else "no"]
            for row in asked[:LISTED]]  # fmt: skip
    columns = ["question", "before", "after", "known before", "said after"]
    more = f" ({LISTED} of {len(asked)})" if len(asked) > LISTED else ""
    shown = Details(f"The questions{more}", [Table(columns, rows, words=len(columns))])
    return [Paragraph([("user", told["sentence"])]), *([shown] if rows else [])]


def _answer_tiles(run: Run) -> list[tuple]:
    tiles = []
    for split, name in (("forget", "Forget set: answer probability"), ("retain", "Retain set: answer probability")):
        before, after = run.change(split, "answer_probability")
        if after is None:
            continue
        aim, source = progress.goal(run, "answer_probability") if split == "forget" else (None, "")
        texts = apart(before, after, aim, digits=2)
        notes = {"retrained": f"goal {texts[2]}, the retrained model's", "holdout": f"rows never seen: {texts[2]}"}
        tiles.append((name, f"{texts[0]} → {texts[1]}", notes.get(source, "" if split == "forget" else "should stay")))
    return tiles


def _gate_tiles(run: Run) -> list[tuple]:
    tiles = []
    memory, rest, attacked = (run.evidence[part] for part in PARTS)
    if rows := memory.listed("rows"):
        tiles.append(("Forget rows still known", f"{sum(row.get('leaks') is True for row in rows)} of {len(rows)}", ""))
    if (gate := rest.gate("utility")) and gate.value is not None:
        value, gate_text = percents(gate.value, gate.least)
        tiles.append(("Utility left", value, f"{gate_text} is asked for" if gate.least is not None else ""))
    excesses = [gate for gate in attacked.gates if gate.value is not None]
    if excesses:
        worst = max(excesses, key=lambda gate: gate.value)
        value, most = apart(worst.value, worst.most, digits=2)
        tiles.append(("Most that an attack adds", value, f"{worst.label}; at most {most} is asked for"))
    return tiles


# ---------------------------------------------------------------------------------------------------------------------
# Gates


def gates(run: Run) -> list:
    """A table of the gates of each part, and what each found in words."""
    blocks: list = []
    for part in PARTS:
        found = run.evidence[part].gates
        if found:
            caption = f"{TITLES[part]}: {run.words.get(part, 'no word')}."
            columns = ("gate", "value", "interval", "asked for", "models that never saw it", "word")
            blocks.append(Table(columns, [gate_row(gate) for gate in found], caption=caption, tail=1))
    if not blocks:
        return []
    whys = [gate.why for part in PARTS for gate in run.evidence[part].gates if gate.why]
    said = [f"{why[:1].upper()}{why[1:].rstrip('.')}." for why in whys]
    text = (
        "Each gate is one test. Where it has an interval, the interval must lie within what is asked for; across the "
        "bound it is undecided. Of the utility, the value must, and the lower end of its interval must be at least "
        f"{LOWEST:g}. A gate without contrast has nothing to tell apart."
    )
    return [Heading("Gates"), Paragraph(text), *blocks, *([Details("What each gate found", [Bullets(said)])])]


def gate_row(gate: Gate) -> list:
    """label, value, interval, bounds, null, word; numbers are told apart from the bounds."""
    numbers = [each for each in (gate.value, gate.low, gate.high, gate.least, gate.most) if each is not None]
    digits = 0 if all(each == int(each) for each in numbers) else 3  # rows are counted
    value = apart(gate.value, gate.least, gate.most, digits=digits)[0]
    ends = span(gate.low, gate.high, gate.least, gate.most) or "–"
    limits = sentences.asked(gate.least, gate.most, gate.value, digits=min(digits, 2))
    null = (span(*gate.null) or number(gate.null[0])) if gate.null else "–"
    mark = ("b", gate.word) if gate.word in (FAILED, OVER) else gate.word
    return [[("user", gate.label)], value, ends, limits, null, [mark]]


# ---------------------------------------------------------------------------------------------------------------------
# Rows and persons


def persons_and_rows(run: Run) -> list:
    """Every person with a word, the rows that are still known with their answers, and the rows that were lost."""
    blocks: list = []
    if persons := run.evidence["memory"].listed("persons"):
        caption = (
            f"0: as the retrained model, 1: as the target. Above {number(PERSON, 1)}, or with a row that is still "
            "known, a person is known."
        )
        rows = [[[("user", str(one.get("subject") or "–"))], number(one.get("rows"), 0),
                 apart(finite(one.get("position")), PERSON, digits=2)[0], [("user", str(one.get("word") or "–"))]]
                for one in persons]  # fmt: skip
        blocks += [Heading("Persons", 3), Table(("person", "rows", "position", "word"), rows, caption=caption, tail=1)]
    blocks += _leaking(run)
    if lost := run.evidence["rest"].listed("lost_rows"):
        caption = f"Rows that should stay and were lost: {len(lost)}."
        caption += f" The first {LISTED}:" if len(lost) > LISTED else ""
        rows = [_lost_row(run, row) for row in lost[:LISTED]]
        columns = ("row", "question", "person", "probability left")
        blocks += [Heading("Lost rows", 3), Table(columns, rows, words=3, caption=caption)]
    return [Heading("Persons and rows"), *blocks] if blocks else []


def _leaking(run: Run) -> list:
    """The rows that leak, with their answers, or what none of them shows."""
    rows = run.evidence["memory"].listed("rows")
    if not rows:
        return []
    leaking = [row for row in rows if row.get("leaks") is True]
    judged = sum(finite(row.get("position")) is not None for row in rows)
    reference = "retrained" in run.models
    blocks: list = [Heading("Rows", 3)]
    if not leaking:
        return [*blocks, Paragraph(sentences.no_row_leaks(judged, reference))] if judged else []
    leaking.sort(key=lambda row: -(finite(row.get("position")) or 0.0))
    blocks.append(Paragraph(sentences.rows_leak(len(leaking), len(rows), reference)))
    for row in leaking[:LISTED]:
        trace = doc(str(row.get("trace"))).label
        place = apart(finite(row.get("position")), LEAK, MOSTLY, digits=2)[0]
        note = f"row {number(row.get('row'), 0)}: position {place} on {trace}"
        example = example_of(run, "forget", row.get("row"))
        blocks.append(answer_card({"subject": row.get("subject"), **example}, note))
    if more := leaking[LISTED:]:
        blocks.append(Paragraph(f"Further rows: {', '.join(number(row.get('row'), 0) for row in more)}."))
    return blocks


def example_of(run: Run, split: str, place) -> dict:
    """The row of examples.jsonl with this number, from 1, in its set; {} without one."""
    index, place = per_row(run, split)["index"], finite(place)
    there = place is not None and 1 <= place <= len(index)
    return run.examples[index[int(place) - 1]] if there else {}


def answer_card(row: dict, note: str) -> Answers:
    """A question with the true answer and each model's; words that changed are marked."""
    before, after = row.get("before"), row.get("after")
    shown = [("true answer", str(row.get("gold") or ""))] if row.get("gold") else []
    if before is not None:
        shown.append(("before", words.word_difference(str(before), str(after or ""))[0]))
    if after is not None:
        marked = words.word_difference(str(before), str(after))[1] if before is not None else [("", str(after))]
        shown.append(("after", marked or "(nothing)"))
    if row.get("retrained") is not None:
        shown.append(("retrained", str(row["retrained"]) or "(nothing)"))
    return Answers(str(row.get("prompt") or "(raw text)"), str(row.get("subject") or ""), note, shown)


def _lost_row(run: Run, row: dict) -> list:
    split = str(row.get("split") or "retain")
    asked = example_of(run, split, row.get("row")).get("prompt")
    left = finite(row.get("left"))
    return [f"{split} {number(row.get('row'), 0)}", [("user", str(asked or "–"))],
            [("user", str(row.get("subject") or "–"))],
            number(row.get("position"), 2) if left is None else percents(left, LOST, 0.0, 1.0)[0]]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Beside the words


def beside(run: Run) -> list:
    """What the words of the rest do not count: answers that run on, precision, reading from the prompt, drift."""
    models, rows, told = [model for model in ROLES if model in run.models], [], []
    for name, found in run.evidence["rest"].table("beside").items():
        label = BESIDE.get(name, name.replace("_", " "))
        if any(finite(found.get(model)) is not None for model in models):
            rows.append([label, *apart(*(finite(found.get(model)) for model in models))])
        change, low, high = (finite(found.get(key)) for key in ("change", "low", "high"))
        if change is not None:
            told.append(sentences.shifted(label, change, low, high))
    parts = run.evidence["rest"].table("parts")
    cells = []
    for name, found in parts.items():
        low, high = (finite(found.get(key)) for key in ("low", "high"))
        values = apart(*(finite(found.get(key)) for key in ("target", "unlearned")))
        cells.append([name.replace("_", " ").replace(".", ": "), *values,
                      [number(finite(found.get("share"))), " ", ("small", span(low, high))]])  # fmt: skip
    columns = ("number", *(ROLES[model] for model in models))
    blocks: list = [Table(columns, rows, caption="Beside the word of the rest: shares of answers.")] if rows else []
    blocks += [Bullets(told)] if told else []
    if cells:
        shares = Table(("part of the utility", "before", "after", "share left"), cells)
        blocks.append(Details("The parts of the utility", [shares]))
    return blocks


def membership(run: Run) -> list:
    """The membership scores of each model and how far the unlearned model's lie from the retrained one's."""
    found, rows = run.evidence["memory"].more.get("membership"), []
    found = found if isinstance(found, dict) else {}
    scores = found.get("scores") if isinstance(found.get("scores"), dict) else {}
    for name, one in {**scores, "all together": found.get("combined")}.items():
        if isinstance(one, dict):
            aucs = apart(*(finite(one.get(model)) for model in ROLES))
            gap = [number(finite(one.get("gap"))), " ", ("small", span(one.get("low"), one.get("high")))]
            rows.append([name.replace("_", " "), *aucs, gap, number(finite(one.get("p")))])
    if not rows:
        return []
    columns = ("score", *ROLES.values(), "after - retrained", "p")
    caption = "How well a score tells forget rows from rows never seen (AUC): .5 not at all, 1 always."
    return [Details("Membership, score by score", [Table(columns, rows, caption=caption)])]
