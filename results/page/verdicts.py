"""A run's verdict and numbers in plain words: the verdict card, the table of metrics.

The card is one of the page's two pieces of handwritten HTML. It escapes every text.
"""

from __future__ import annotations

import html

from results.page.wiring import table
from results.report import progress, sentences, words
from results.report.runs import finite

# fmt: off
VERDICTS = {  # the word in evaluation.json: (headline, sentence)
    "FORGOTTEN": ("Forgotten, and the rest is intact",
        "In every test that ran, it answers like a model that never saw the data."),
    "SUPPRESSED": ("Hidden rather than forgotten", "The answers are gone, but attacks bring some of them back."),
    "OVER-FORGOTTEN": ("It lost too much", "It lost more than you asked for. The list below says what."),
    "INCOMPLETE": ("Some of it is still there",
        "It still finds the true answers too likely. Try another method or more steps."),
    "COLLAPSED": ("The model is broken", "It can no longer answer at all. Do not use it."),
    "UNCERTIFIED": ("Done, but not proven",
        "A proof needs a comparison with a model that never saw the data. Judge by the numbers and answers below."),
}
HARDLY_KNOWN = ("It hardly knew this before",
    "The true words were unlikely even before, so there was little to forget or to prove. Judge by the numbers "
    "and answers below.")
# fmt: on
TONES = {"FORGOTTEN": "good", "COLLAPSED": "bad"}  # colours of the card; all other verdicts are "unsure"
SPLIT_NAMES = {"forget": "To forget", "retain": "To keep", "holdout": "Never seen", "general": "General knowledge"}


def chance(value) -> str:
    """A probability as a percentage."""
    value = finite(value)
    return "–" if value is None else words.percent(value)


def verdict_head(run) -> tuple[str, tuple[str, str]]:
    """(the verdict's word, (headline, sentence))."""
    word = words.label(run)
    key = word.split(" (")[0]
    before, after = (run.value(model, "forget", "answer_probability") for model in ("target", "unlearned"))
    if key == "UNCERTIFIED" and progress.hardly_known(run):
        return word, HARDLY_KNOWN
    if key == "UNCERTIFIED" and before and after is not None and after > progress.LEFT * before:
        key = "INCOMPLETE"  # visible without a proof
    return word, VERDICTS.get(key, ("", ""))


def _card(word: str, head: str, sentence: str, more: str = "") -> str:
    tone = TONES.get(word.split(" (")[0], "unsure")
    return (
        f'<section class="card card-{tone}" aria-label="Verdict"><h3 class="big">{html.escape(head or word)}'
        f'<span class="badge">{html.escape(word)}</span></h3><p>{html.escape(sentence)}</p>{more}</section>'
    )


def measurement_html(evaluation: dict) -> str:
    """The verdict card of a measurement without a run."""
    word = str((evaluation.get("comparison") or {}).get("verdict") or "no verdict")
    return _card(word, *VERDICTS.get(word.split(" (")[0], ("Measured", "")))


def verdict_html(run) -> str:
    """The verdict card of a run: verdict, three numbers, what was not achieved, details."""

    def listed(title: str, sentences: list[str]) -> str:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in sentences)
        return f"<h4>{title}</h4><ul>{items}</ul>" if items else ""

    likely = "probability of the true words, before and after"
    tiles = "".join(
        [
            _tile(run, "forget", "answer_probability", likely),
            _tile(run, "retain", "answer_probability", likely),
            _tile(run, "general", "multiple_choice_accuracy", "multiple-choice questions answered correctly"),
        ]
    )
    word, (head, sentence) = verdict_head(run)
    more = (
        (f'<dl class="tiles">{tiles}</dl>' if tiles else "")
        + listed("Not achieved, or not tested", sentences.not_achieved(run))
        + "<details><summary>Details: what it forgot and what it kept</summary>"
        + listed("Forgotten", sentences.forgotten(run))
        + listed("Kept", sentences.kept(run))
        + "</details>"
    )
    return _card(word, head, sentence, more)


def _tile(run, split: str, metric: str, note: str) -> str:
    """One number before and after, in large type; "" if it was not measured."""
    before, after = (run.value(model, split, metric) for model in ("target", "unlearned"))
    if before is None or after is None:
        return ""
    goal = run.value("retrained", split, metric) if split == "forget" else None
    note += f"; {chance(goal)} for a model that never saw the data" if goal is not None else ""
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
