"""The part of a report that a continued run has: the requests it follows, and whether they stayed forgotten."""

from __future__ import annotations

from pathlib import Path

from models.requests import retest
from results.report.pages import Heading, Paragraph, Table
from results.report.runs import Run, finite
from results.report.words import doc, number

SHOWN = ("answer_probability", "extraction_strength", "rouge_l_recall", "accuracy", "loss")


def came_back(run: Run) -> list[str]:
    """A sentence for each earlier request that came back, for what was not achieved."""
    return [
        f"An earlier request came back ({Path(str(row.get('run'))).name}): {row.get('why')}."
        for row in run.earlier
        if row.get("verdict") == retest.CAME_BACK
    ]


def blocks(run: Run) -> list:
    """Heading, one sentence, and a table by request and metric; [] for a run that continues from none."""
    if not run.earlier:
        return []
    names = [Path(str(row.get("run"))).name for row in run.earlier]
    count = {word: sum(row.get("verdict") == word for row in run.earlier) for word in retest.VERDICTS}
    said = ", ".join(f"{found} {word}" for word, found in count.items() if found)
    text = [f"This run follows {len(names)} earlier request{'s' if len(names) > 1 else ''}: "]
    text += [part for name in names for part in (("user", name), ", ")][:-1]
    text += [
        f". On the model of this run: {said}. Before and after are those of this run; known and then are those of "
    ]
    text += ["the run that carried the request out."]
    columns = ("request", "number", "known", "then", "before", "after", "verdict")
    return [Heading("Earlier requests"), Paragraph(text), Table(columns, _rows(run), words=2, tail=1)]


def _rows(run: Run) -> list:
    rows = []
    for name, row in zip((Path(str(row.get("run"))).name for row in run.earlier), run.earlier):
        tables = [
            row.get(key) if isinstance(row.get(key), dict) else {} for key in ("known", "then", "before", "after")
        ]
        shown = [metric for metric in SHOWN if any(finite(table.get(metric)) is not None for table in tables)]
        for place, metric in enumerate(shown or [""]):
            label = doc(metric).label if metric else "–"
            verdict = f"{row.get('verdict')} ({row.get('why')})" if not place else ""
            cells = [number(finite(table.get(metric))) for table in tables]
            rows.append([[("user", name)] if not place else "", label, *cells, verdict])
    return rows
