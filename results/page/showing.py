"""What the web page shows: numbers, verdicts and answers as what its components take.

User text goes into text boxes and tables only; the two pieces of markup made here escape everything.
"""

from __future__ import annotations

import html
from typing import Any

import unlearning_algorithm as algorithm
from results.page import plain_words, trials, watching
from results.report import progress, sentences, words
from results.report.runs import finite
from results.run import options

FOR_TEXT = "npo"  # where the default method cannot take plain text
FORM = (  # then ADVANCED
    *("source", "text", "pairs", "file", "retain", "holdout", "model", "method", "name"),
    *("utility_budget", "time_budget", "earlier"),
)
SPOKEN = 2  # live answers with boxes of their own
SPOKEN_OUTPUTS = 4 * SPOKEN + 1
SHOWN_ROWS = 20  # of uploaded data
SHOWN_EXAMPLES = 500  # of a finished run
MODELS = [
    ("SmolLM2 135M, taught about 20 invented people (the default)", options.TARGET),
    ("SmolLM2 135M Instruct, as published", "HuggingFaceTB/SmolLM2-135M-Instruct"),
]
BUDGETS = [("Little: 5 %", "0.05"), ("Some: 20 %", "0.2"), ("Up to half", "")]
BUDGET_INFO = (
    "Checked ten times on the way: past this loss it stops. With 5 % or 20 % it then goes back to its best state "
    "within the limit."
)
AUTO_BUDGET = "What loses more is not taken; if all do, the one that keeps most."
NO_BUDGET = "This method cannot be held to a limit while it runs; what it lost is measured at the end."
IDLE = """<section class="card"><h3>What happens next</h3><ol>
<li>Say on this page what the model should forget, and press <b>Unlearn</b>.</li>
<li>Here you watch it: how far it is, how long it still takes, and what the model says meanwhile.</li>
<li>Then you see its answers before and after, and may ask both models yourself.</li>
</ol><p class="hint">The model you choose stays as it is: a second one is made. What you type is sent to
nobody.</p></section>"""


class _Gradio:
    """Gradio at its first use: it takes seconds to import, and `--help` has one and a half."""

    def __getattr__(self, name: str):
        import gradio

        return getattr(gradio, name)


gr: Any = _Gradio()


def drawing(points: list[tuple], value: str):
    """Points (step, value, set) for a line plot, which is hidden while there is no line to draw."""
    import pandas

    return gr.update(
        value=pandas.DataFrame(points, columns=["step", value, "set"]), visible=len({step for step, *_ in points}) > 1
    )


def recommended(source: str) -> str:
    """The method the page starts with for a source: the runner's own default, if it takes such rows."""
    default = str(options.OPTIONS["method"].default)
    return default if fits(default, source) else FOR_TEXT


def fits(name: str, source: str) -> bool:
    """Whether a method works on what comes from a source: nobody can refuse to answer a plain text."""
    return source != "text" or name == options.AUTO or algorithm.METHODS[name].works_on_raw_text


def family_of(name: str) -> str:
    """The family that the page lists a method in."""
    return options.AUTO if name == options.AUTO else algorithm.METHODS[name].family


def family_choices() -> list[tuple[str, str]]:
    """(label, family), the recommended method's first and the search for a method last."""
    return [*((plain_words.FAMILIES[name][0], name) for name in family_order()), plain_words.AUTO]


def family_order() -> list[str]:
    """Families as the page lists them: that of the recommended method first."""
    return [name for name in plain_words.FAMILIES if name in algorithm.FAMILIES]


def method_choices(family: str, source: str) -> list[tuple[str, str]]:
    """(label, name) of a family's methods that work on a source, the recommended or the family's own default first."""
    if family == options.AUTO:
        return [("search", options.AUTO)]
    first = (recommended(source), algorithm.FAMILY_DEFAULTS.get(family))
    found = [m.name for m in algorithm.METHODS.values() if m.family == family and fits(m.name, source)]
    found.sort(key=lambda name: first.index(name) if name in first else len(first))
    return [(name.replace("_", " "), name) for name in found]


def method_text(name: str, source: str = "") -> str:
    """One method for people: what it does, when to use it, where it fails, where it comes from."""
    method = algorithm.METHODS.get(name)
    if method is None:
        return plain_words.AUTO_TEXT if name == options.AUTO else ""
    what, when = method.plain or method.summary, method.use_when
    typed = {"text": "plain text", "pairs": "questions and answers"}.get(source, "")
    why = f" Recommended for {typed}." if typed and name == recommended(source) else ""
    use = f" Use it when {when}." if when else ""
    _, kind = plain_words.FAMILIES.get(method.family, ("", method.family))
    return (
        f"**{what}**{use}{why}  \n<small>Known weakness: {method.known_failure}. In the field: {method.name}, "
        f"{kind}; {method.paper}.</small>"
    )


def spoken(rows: list[list[str]]) -> list:
    """Live answers: the first ones in boxes of their own, all of them as a table where there are more."""
    shown = []
    for number in range(SPOKEN):
        asked, before, now, _ = rows[number] if number < len(rows) else [""] * 4
        shown += [gr.update(visible=number < len(rows)), asked, before, now]
    return [*shown, gr.update(value=rows, visible=len(rows) > SPOKEN)]


def shown_search(search: dict, searching: bool) -> list:
    """A search for a method: its box, where it stands, and its trials as a table."""
    return [gr.update(visible=bool(search)), trials.told(search, searching), gr.update(value=trials.trial_rows(search))]


def number_rows(evaluation: dict) -> list[list[str]]:
    """evaluation.json as a table: a row per set or attack and metric, a column per model, 95 % interval in brackets."""
    models, intervals = evaluation.get("models") or {}, evaluation.get("intervals") or {}
    rows = []
    for attack, tables in _tables(evaluation.get("attacks")).items():
        tables = [_tables(tables).get(name) or {} for name in ("target", "unlearned", "retrained")]
        for metric in words.metric_order({name for table in tables for name in table}):
            cells = [words.number(table.get(metric)) for table in tables]
            rows.append([f"attack: {attack.replace('_', ' ')}", words.doc(metric).label, *cells])
    for split in ("forget", "retain", "holdout", "general"):
        tables = [models.get(name, {}).get(split, {}) for name in ("target", "unlearned", "retrained")]
        for metric in words.metric_order({name for table in tables for name in table}):
            row = [SPLIT_NAMES[split], words.doc(metric).label]
            for name, table in zip(("target", "unlearned", "retrained"), tables):
                ends = intervals.get(name, {}).get(split, {}).get(metric)
                around = f" [{words.number(ends[0])}, {words.number(ends[1])}]" if ends else ""
                row.append(words.number(table.get(metric)) + around)
            rows.append(row)
    return rows


def _tables(value) -> dict[str, dict]:
    """The tables in a table that a file holds."""
    found = value.items() if isinstance(value, dict) else ()
    return {str(key): below for key, below in found if isinstance(below, dict)}


NUMBER_HEADERS = ["Set", "Metric", "Before", "After", "Never met it"]
EXAMPLE_HEADERS = ["Question", "Before", "After", "True answer", "How likely before", "How likely after"]
SPLIT_NAMES = {
    "forget": "What should go",
    "retain": "What should stay",
    "holdout": "Never seen",
    "general": "General knowledge",
}
TONES = {"FORGOTTEN": "good", "COLLAPSED": "bad"}  # of the verdict card; the rest is neither


def chance(value) -> str:
    """A probability for people."""
    value = finite(value)
    return "–" if value is None else words.percent(value)


def example_rows(run, split: str) -> list[list[str]]:
    """examples.jsonl of one set: the question, and both models' answers side by side."""
    rows = []
    for row in [row for row in run.examples if row["split"] == split][:SHOWN_EXAMPLES]:
        chances = [(row.get(f"metrics_{when}") or {}).get("answer_probability") for when in ("before", "after")]
        texts = [row.get("prompt") or watching.NO_QUESTION, row.get("before"), row.get("after"), row.get("gold")]
        rows.append(["" if text is None else str(text) for text in texts] + [chance(value) for value in chances])
    return rows


def examples_table(run, split: str):
    rows = example_rows(run, split)
    return gr.update(value=rows, label="Answers before and after" if rows else "No answers of this kind were kept")


def _tile(run, title: str, split: str, metric: str, note: str) -> str:
    """One number before and after, large; "" where it was not measured."""
    before, after = (run.value(model, split, metric) for model in ("target", "unlearned"))
    if before is None or after is None:
        return ""
    goal = run.value("retrained", split, metric) if split == "forget" else None
    note += f"; {chance(goal)} for a model that never met it" if goal is not None else ""
    return (
        f'<div><dt>{title}</dt><dd class="figure">{chance(before)} → {chance(after)}</dd>'
        f'<dd class="note">{note}</dd></div>'
    )


def verdict_head(run) -> tuple[str, tuple[str, str]]:
    """(the verdict's word, what it means in a few plain words and in a sentence)."""
    word = words.label(run)
    key = word.split(" (")[0]
    before, after = (run.value(model, "forget", "answer_probability") for model in ("target", "unlearned"))
    if key == "UNCERTIFIED" and progress.hardly_known(run):
        return word, plain_words.HARDLY_KNOWN
    if key == "UNCERTIFIED" and before and after is not None and after > progress.LEFT * before:
        key = "INCOMPLETE"  # no proof is needed for what is plain to see
    return word, plain_words.VERDICTS.get(key, ("", ""))


def verdict_html(run) -> str:
    """The verdict card of a run: the verdict, three numbers, what was not achieved; every sentence escaped."""

    def listed(title: str, sentences: list[str]) -> str:
        items = "".join(f"<li>{html.escape(text)}</li>" for text in sentences)
        return f"<h4>{title}</h4><ul>{items}</ul>" if items else ""

    word, (head, sentence) = verdict_head(run)
    tone = TONES.get(word.split(" (")[0], "unsure")
    likely = "how likely it finds the true words, before and after"
    tiles = [
        _tile(run, "What should go", "forget", "answer_probability", likely),
        _tile(run, "What should stay", "retain", "answer_probability", likely),
        _tile(run, "General knowledge", "general", "multiple_choice_accuracy", "right answers of several offered"),
    ]
    return (
        f'<section class="card card-{tone}" aria-label="Verdict"><h3 class="big">{html.escape(head or word)}'
        f'<span class="badge">{html.escape(word)}</span></h3><p>{html.escape(sentence)}</p>'
        + (f'<dl class="tiles">{"".join(tiles)}</dl>' if any(tiles) else "")
        + listed("What was not achieved, or not tested", sentences.not_achieved(run))
        + "<details><summary>What went and what stayed, in the report's words</summary>"
        + listed("What went", sentences.forgotten(run))
        + listed("What stayed", sentences.kept(run))
        + "</details></section>"
    )


def shown_rows(examples) -> list[list]:
    """First rows of forget data: what only leads there, and what carries the loss."""
    rows = []
    for number, example in enumerate(examples[:SHOWN_ROWS], 1):
        turns = [f"{role}: {text}" for role, text in example.history]
        context = "\n".join([*turns, *([example.prompt] if example.prompt else [])])
        rows.append([str(number), context[:2000], example.answer[:2000]])
    return rows


def default_text(value) -> str:
    if value in (None, ""):
        return ""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def info(option, default) -> str:
    """Help of a setting, with the default the method gives it."""
    text = default_text(default)
    return f"{option.help}{f' · default {text}' if text else ''}"
