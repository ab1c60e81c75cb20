"""A run's verdict and numbers in plain words: the verdict card, the table of metrics.

The card is one of the page's two pieces of handwritten HTML. It escapes every text.
"""

from __future__ import annotations

import html

from models.verdict.gates import shown
from models.verdict.memory import LEAK, MOSTLY, PERSON
from models.verdict.rest import LOST
from models.verdict.words import PARTS, WORDS, certified, word_of
from results.page.wiring import table
from results.report import sentences, words
from results.report.runs import Part, finite, judged

SPLIT_NAMES = {"forget": "To forget", "retain": "To keep", "holdout": "Never seen", "general": "General knowledge"}
TITLES = {"memory": "What it should forget", "rest": "What it should keep", "resistance": "Under attack"}
NO_VERDICT = {  # end of a job (`watching.STATES`): what it means
    "ready": "The rows below were found. Nothing has been trained yet.",
    "nothing": "The model says nothing about it that it would not say about anybody. Nothing was trained.",
    "measured": "These are the numbers of one model. Without the model before, they cannot say what was forgotten.",
    "unmeasured": "{}Nothing was measured that could say whether it forgot.",
}
SHOWN, OPEN = 3, 12  # reasons of a part shown at once; most persons or rows that are not folded away


def chance(value) -> str:
    """A probability as a percentage."""
    value = finite(value)
    return "–" if value is None else words.percent(value)


def tone_of(found: dict[str, str]) -> str:
    """The tone of a verdict: bad if one of its words is, good if memory and rest are, else unsure; "" without words."""
    tones = {part: WORDS[part][word_of(word)].tone for part, word in found.items()}
    if not tones or "bad" in tones.values():
        return "bad" if tones else ""
    return "good" if tones["memory"] == tones["rest"] == "good" else "unsure"


def headlines(evaluation: dict) -> tuple[str, str]:
    """(tone, one headline per part) of an evaluation; ("", "") without a verdict of this version."""
    found, _ = judged(evaluation, [])
    return tone_of(found), " ".join(f"{WORDS[part][word_of(word)].headline}." for part, word in found.items())


def earlier(evaluation: dict) -> str:
    """A sentence about a verdict of an earlier version, with a space after it; "" without one."""
    told = _tables({"comparison": evaluation.get("comparison")}).get("comparison", {}).get("verdict")
    return f"{sentences.earlier_version(str(told))} " if told else ""


def subject_of(evaluation: dict) -> dict:
    """What the run says about its subject: {"sentence", "questions", ...}; {} if it was not measured."""
    comparison = evaluation.get("comparison")
    subject = comparison.get("subject") if isinstance(comparison, dict) else None
    return subject if isinstance(subject, dict) and isinstance(subject.get("sentence"), str) else {}


def subject_sentence(evaluation: dict) -> str:
    """The sentence about the subject; "" if it was not measured."""
    return subject_of(evaluation).get("sentence", "")


def _subject_html(evaluation: dict) -> str:
    """The sentence about the subject in large type, and every question with its answers, folded away."""
    subject = subject_of(evaluation)
    if not subject:
        return ""
    rows = subject.get("questions")
    items = [_question(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    told = f'<p class="about-subject">{html.escape(subject["sentence"])}</p>'
    return told + _folded("Every question about it, with the answer before and after", items)


def _question(row: dict) -> str:
    """A question, what was said before and after, and whether that is what it knew."""
    said, known = bool(row.get("said_after")), bool(row.get("known_before"))
    word = ("still said" if said else "no longer said") if known else "said only after" if said else "not known before"
    tone = "bad" if word == "still said" else "none"
    texts = [html.escape(str(row.get(name) or "–")) for name in ("question", "before", "after")]
    return (
        f'<li class="tone-{tone}">{texts[0]} <span class="badge">{word}</span><br>'
        f"<small>before: {texts[1]}<br>after: {texts[2]}</small></li>"
    )


def verdict_html(evaluation: dict, examples=()) -> str:
    """The verdict card of an evaluation.json: a block per part, then numbers. examples: rows of examples.jsonl."""
    problems: list[str] = []
    found, evidence = judged(evaluation, problems)
    asked = [row.get("prompt") for row in examples if row.get("split") == "forget"]
    blocks = "".join(_part_html(part, found[part], evidence[part], asked) for part in found)
    if not found:
        blocks = _no_words(evaluation, problems)
    elif certified(found) and all(part.gates for part in evidence.values()):
        blocks = f'<p class="certified"><span class="badge">CERTIFIED</span></p>{blocks}'
    likely = "probability of the true words, before and after"
    tiles = "".join(
        [
            _tile(evaluation, "forget", "answer_probability", likely),
            _tile(evaluation, "retain", "answer_probability", likely),
            _tile(evaluation, "general", "multiple_choice_accuracy", "multiple-choice questions answered correctly"),
        ]
    )
    tiles = f'<dl class="tiles">{tiles}</dl>' if tiles else ""
    return (
        f'<section class="card tone-{tone_of(found) or "none"}" aria-label="Verdict">{_subject_html(evaluation)}'
        f'<div class="words">{blocks}</div>{tiles}{_tests(evidence)}</section>'
    )


def _no_words(evaluation: dict, problems: list[str]) -> str:
    """The block of an evaluation without a verdict of this version."""
    told = evaluation.get("comparison")
    told = told.get("verdict") if isinstance(told, dict) else None
    earlier = told and not problems
    text = sentences.earlier_version(str(told)) if earlier else "; ".join(problems) or sentences.no_verdict()
    head = "Verdict of an earlier version" if earlier else "No verdict"
    return f'<div class="word"><h3 class="big">{head}</h3><p>{html.escape(text)}</p></div>'


def _part_html(name: str, word: str, part: Part, asked: list) -> str:
    """One part: its word, what it means, what decides it, what would turn it; for memory its persons and rows."""
    about = WORDS[name][word_of(word)]
    why = part.why[:SHOWN] if about.tone != "good" else []
    more = f"<p class='turn'>{html.escape(part.turn)}</p>" if part.turn else ""
    if name == "memory":
        leaking = [row for row in part.listed("rows") if row.get("leaks") is True]
        more += _folded(
            "Persons, from 0 (never seen) to 1 (as before)", [_person(row) for row in part.listed("persons")], "people"
        )
        more += _folded("Rows still known, from 0 (never seen) to 1 (as before)", [_row(row, asked) for row in leaking])
    if name == "rest":
        more += _folded("Rows to keep that were lost", [_row(row, ()) for row in part.listed("lost_rows")])
    return (
        f'<div class="word word-{name} tone-{about.tone}"><p class="note">{TITLES[name]}</p>'
        f"<h3{' class=big' if name == 'memory' else ''}>{html.escape(about.headline)}"
        f'<span class="badge">{html.escape(word)}</span></h3><p>{html.escape(about.plain)}</p>{_items(why)}{more}</div>'
    )


def _items(texts) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>" if texts else ""


def _folded(title: str, items: list[str], look: str = "") -> str:
    """A list under its title, folded away if it is long. The items are HTML."""
    if not items:
        return ""
    state = " open" if len(items) <= OPEN else ""
    return (
        f'<details{state}><summary>{title} ({len(items)})</summary><ul class="{look}">{"".join(items)}</ul></details>'
    )


def _person(row: dict) -> str:
    tone = {"forgotten": "good", "known": "bad"}.get(str(row.get("word")), "unsure")
    place = finite(row.get("position"))
    told = html.escape(f"{row.get('word')}{'' if place is None else f' {shown(place, PERSON)}'}")
    return f'<li class="tone-{tone}">{html.escape(str(row.get("subject")))} <span class="badge">{told}</span></li>'


def _row(row: dict, asked) -> str:
    """A row that leaks, with the trace that shows it and its question, or a row to keep with the share that is left."""
    number, position, left = (finite(row.get(key)) for key in ("row", "position", "left"))
    facts = [f"row {words.number(number, 0)}", *(str(row[key]) for key in ("split", "subject") if row.get(key))]
    if position is not None:
        facts.append(f"{words.doc(str(row.get('trace'))).label} {shown(position, LEAK, MOSTLY)}")
    if left is not None:
        facts.append(f"{words.percents(left, LOST, 0.0, 1.0)[0]} is left")
    place = int(number) - 1 if number is not None and 1 <= number <= len(asked) else None
    question = f"<br>{html.escape(str(asked[place]))}" if place is not None and asked[place] else ""
    return f"<li>{html.escape(', '.join(facts))}{question}</li>"


def _tests(evidence: dict[str, Part]) -> str:
    """Every test of the verdict with its result, folded away."""
    items = [
        f'<li>{html.escape(gate.label)} <span class="badge">{html.escape(gate.word)}</span><br>'
        f"{html.escape(gate.why)}</li>"
        for part in PARTS
        for gate in evidence[part].gates
    ]
    if not items:
        return ""
    return f"<details><summary>All tests ({len(items)})</summary><ul>{''.join(items)}</ul></details>"


def _tile(evaluation: dict, split: str, metric: str, note: str) -> str:
    """One number before and after, in large type; "" if it was not measured."""
    models = _tables(evaluation.get("models"))
    before, after, goal = (
        finite(_tables(models.get(model)).get(split, {}).get(metric)) for model in ("target", "unlearned", "retrained")
    )
    if before is None or after is None:
        return ""
    note += f"; {chance(goal)} for a model that never saw the data" if goal is not None and split == "forget" else ""
    return (
        f'<div><dt>{SPLIT_NAMES[split]}</dt><dd class="figure">{chance(before)} → {chance(after)}</dd>'
        f'<dd class="note">{note}</dd></div>'
    )


# ---------------------------------------------------------------------------------------------------------------------
# All numbers


MODELS = ("target", "unlearned", "retrained")


def number_rows(evaluation: dict) -> list[list[str]]:
    """evaluation.json as a table: a row per set or attack and metric, a column per model, intervals in brackets."""
    models, intervals = evaluation.get("models") or {}, evaluation.get("intervals") or {}
    rows = []
    for attack, tables in _tables(evaluation.get("attacks")).items():
        rows += _rows(f"attack: {attack.replace('_', ' ')}", [_tables(tables).get(name, {}) for name in MODELS])
    for split, title in SPLIT_NAMES.items():
        ends = [intervals.get(name, {}).get(split, {}) for name in MODELS]
        rows += _rows(title, [models.get(name, {}).get(split, {}) for name in MODELS], ends)
    return rows


def _rows(title: str, tables: list[dict], intervals=({}, {}, {})) -> list[list[str]]:
    rows = []
    for metric in words.metric_order({name for found in tables for name in found}):
        cells = []
        for found, ends in zip(tables, intervals):
            around = " [{}, {}]".format(*map(words.number, ends[metric][:2])) if ends.get(metric) else ""
            cells.append(words.number(found.get(metric)) + around)
        rows.append([title, words.doc(metric).label, *cells])
    return rows


def _tables(value) -> dict[str, dict]:
    """The objects among a JSON object's values."""
    found = value.items() if isinstance(value, dict) else ()
    return {str(key): below for key, below in found if isinstance(below, dict)}


def numbers_table():
    """The component that shows `number_rows`."""
    headers = ["Set", "Metric", "Before", "After", "Never saw it"]
    return table(headers, "Metrics per set, 95 % interval in brackets", max_height=520, show_search="search")
