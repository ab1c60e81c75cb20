"""Draws one run in figures that fit a phone, with colours for colour-blind readers and grey print.

A new figure is one function and one row of `FIGURES`. Each `draw_*` function returns a `matplotlib.figure.Figure`, or
None when the run lacks the numbers for it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.scores.metric_table import REPORTED
from models.verdict import gates
from models.verdict.gates import Gate
from models.verdict.memory import PERSON
from models.verdict.words import PARTS
from results.report.progress import main_attack_rows
from results.report.runs import SPLITS, Run, curves, finite, marks, per_row, per_subject, training
from results.report.words import attack_label, doc

WIDTH = 4.6  # inches: on a screen of 360 px a 9 pt letter is still 8 px high
# colours of Okabe and Ito; each use also has its own marker, hatch or fill
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE, INK, GREY = "#0072B2", "#D55E00", "#CC79A7", "#222222", "#8A8A8A"
SPLIT_STYLES = {
    "forget": {"color": VERMILION, "marker": "o", "linestyle": "-"},
    "retain": {"color": BLUE, "marker": "s", "linestyle": "-"},
    "holdout": {"color": GREEN, "marker": "^", "linestyle": (0, (5, 1.5))},
    "general": {"color": PURPLE, "marker": "D", "linestyle": (0, (1.5, 1.5))},
}
AT_START, AT_RETRAINED = (0, (1, 2.5)), (0, (6, 3))  # line styles of levels
ROLE_STYLES = {
    "target": {"label": "before (target)", "color": "#FFFFFF", "edgecolor": "#555555"},
    "unlearned": {"label": "after (unlearned)", "color": SKY, "edgecolor": "#1F5F86"},
    "retrained": {"label": "retrained", "color": "#F6D58A", "edgecolor": "#8A5F00", "hatch": "////"},
}
BARS = [name for name, metric in REPORTED.items() if metric.bounded and not metric.minor]
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9.5,
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "figures",
    "svg.fonttype": "path",
    "text.usetex": False,
    "axes.formatter.use_locale": False,
    "axes.unicode_minus": True,
    "figure.constrained_layout.use": True,
}


def save(figure, folder: Path, stem: str) -> None:
    """Writes `<stem>.png` (150 dpi) and `<stem>.svg`. The same figure gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            path = folder / f"{stem}.{kind}"
            temporary = folder / f".{stem}.tmp.{kind}"
            figure.savefig(temporary, dpi=150, metadata=metadata)
            temporary.replace(path)


def styled(draw):
    """Runs a drawing function in the style of this module and leaves matplotlib's global settings alone."""

    @functools.wraps(draw)
    def wrapped(*args, **kwargs):
        import matplotlib

        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(height: float, **kwargs):
    """(figure, axes) of the common width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(**kwargs)


def plain(text, longest: int = 26) -> str:
    """User text as a label: no mathematics, no line breaks or control characters, cut to `longest`."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(text)).strip()
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return text.replace("\\", "\\\\").replace("$", r"\$") if "$" in text else text


# ---------------------------------------------------------------------------------------------------------------------
# One run


@styled
def draw_curves(run: Run):
    """Answer probability of each set over the steps, with its start, the retrained model's level and the events."""
    data = {split: curve for split, curve in curves(run).items() if np.isfinite(curve["answer_probability"]).any()}
    if not data:
        return None
    figure, axes = new_figure(3.7)
    levels = {split: run.value("retrained", split, "answer_probability") for split in data}
    for split, curve in data.items():
        style, values = SPLIT_STYLES[split], curve["answer_probability"]
        axes.plot(curve["step"], values, **style, label=f"{split} set")
        axes.axhline(values[0], color=style["color"], linewidth=0.9, linestyle=AT_START, zorder=1)
        if levels[split] is not None:
            axes.axhline(levels[split], color=style["color"], linewidth=1.1, linestyle=AT_RETRAINED, alpha=0.75,
                         zorder=1)  # fmt: skip
    for number, (step, words) in enumerate(marks(run).items()):
        axes.axvline(step, color="#666666", linewidth=0.9)
        last = step > 0.6 * max(curve["step"].max() for curve in data.values())
        axes.annotate(f" {', '.join(words)} ({step}) ", (step, 1.0 - 0.07 * number), xycoords=("data", "axes fraction"),
                      ha="right" if last else "left", va="bottom", fontsize=8.5, color="#444444",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
    ylabel = "answer probability of the probe rows\n(forget set: down = more forgotten)"
    axes.set(xlabel="optimizer step", ylabel=ylabel, ylim=(-0.03, 1.09), yticks=np.linspace(0, 1, 6))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.plot([], [], color="#666666", linewidth=0.9, linestyle=AT_START, label="at the start")
    if any(level is not None for level in levels.values()):
        axes.plot([], [], color="#666666", linewidth=1.1, linestyle=AT_RETRAINED, label="retrained model")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, columnspacing=1.4, borderaxespad=0.2)
    return figure


def _measured(run: Run, split: str, metric: str) -> dict[str, tuple]:
    """{model: (value, interval)}; missing ones are None."""
    models = [model for model in ROLE_STYLES if model in run.models]
    return {model: (run.value(model, split, metric), run.interval(model, split, metric)) for model in models}


def _any(row: dict[str, tuple]) -> bool:
    return any(value is not None for value, _ in row.values())


def bar_table(run: Run, split: str) -> dict[str, dict[str, tuple]]:
    """{metric: {model: (value, interval)}} of a before/after figure: the metrics in `BARS` that some model has."""
    return {name: row for name in BARS if _any(row := _measured(run, split, name))}


def _grouped_bars(axes, table: dict, labels: list[str]) -> None:
    """Horizontal bars, one group per entry of `table` {name: {model: (value, interval)}}, whiskers for intervals."""
    models = [model for model in ROLE_STYLES if any(model in row for row in table.values())]
    height = 0.8 / max(1, len(models))
    for place, model in enumerate(models):
        y = np.arange(len(table)) - 0.4 + height * (place + 0.5)
        cells = [row.get(model, (None, None)) for row in table.values()]
        axes.barh(y, [value or 0.0 for value, _ in cells], height * 0.86, linewidth=0.9, **ROLE_STYLES[model])
        for where, (value, interval) in zip(y, cells):
            if value is None:
                axes.annotate(" not measured", (0, where), va="center", fontsize=7, color=GREY)
            elif interval is not None:
                axes.plot(interval, (where, where), color=INK, linewidth=1.0, marker="|", markersize=3.5)
    axes.set_yticks(range(len(table)), labels)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)


def arrow(metric: str, split: str) -> str:
    """How knowing a set moves a metric. The folded truth ratio falls only on sets that should be unknown."""
    row = doc(metric)
    falls = split in ("forget", "holdout") if row.folded else row.knowing == "lower"
    return "↓" if falls else "↑"


@styled
def draw_bars(run: Run, split: str):
    """The main metrics of a set for each model, with intervals; the loss has its own scale."""
    table, losses = bar_table(run, split), _measured(run, split, "loss")
    parts = [len(table)] * bool(table) + [1] * _any(losses)  # bars of each plot
    if not parts:
        return None
    height = 0.95 + 0.44 * sum(parts) + 0.5 * _any(losses)
    figure, axes = new_figure(height, nrows=len(parts), height_ratios=parts, squeeze=False)
    first, last = axes[0, 0], axes[-1, 0]
    if table:
        _grouped_bars(first, table, [f"{doc(name).label} {arrow(name, split)}" for name in table])
        first.set(xlim=(0, 1.02), xlabel="share, 0 to 1\n(↑ high, ↓ low = known)")
    if _any(losses):
        _grouped_bars(last, {"loss": losses}, ["loss ↓"])
        last.set(xlim=(0, None), xlabel="nats per token")
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.4)
    return figure


@styled
def draw_scatter(run: Run):
    """Answer probability of each row, before against after: on the diagonal unchanged, below it forgotten."""
    figure, axes = new_figure(4.3)
    axes.plot((0, 1), (0, 1), color="#BBBBBB", linewidth=1.0, zorder=1)
    for split in ("retain", "holdout", "forget"):
        rows, style = per_row(run, split), SPLIT_STYLES[split]
        known = np.isfinite(rows["before"]) & np.isfinite(rows["after"])
        if known.any():
            axes.scatter(rows["before"][known], rows["after"][known], s=22, color=style["color"],
                         marker=style["marker"], alpha=0.65, linewidths=0.5, edgecolors="white",
                         label=f"{split} set ({known.sum()})", rasterized=known.sum() > 1000)  # fmt: skip
    if not axes.collections:
        return None
    axes.set(xlabel="answer probability before", ylabel="answer probability after\n(lower = more forgotten)",
             xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))  # fmt: skip
    axes.annotate("unchanged", (0.5, 0.5), rotation=45, rotation_mode="anchor", transform_rotates_text=True,
                  va="bottom", ha="center", fontsize=8.5, color="#777777")  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handletextpad=0.2)
    return figure


def subject_table(run: Run, longest: int = 14) -> list[tuple[str, dict]]:
    """(set, subject row) of forget, then of retain subjects; per set at most `longest`, those that fell most."""
    found = []
    for split in ("forget", "retain"):
        rows = [row for row in per_subject(run, split) if row["before"] is not None and row["after"] is not None]
        rows.sort(key=lambda row: row["after"] - row["before"])
        found += [(split, row) for row in rows[:longest]]
    return found


@styled
def draw_subjects(run: Run):
    """Mean answer probability of each subject: hollow before, filled after, a tick for the retrained model."""
    rows = subject_table(run)
    if not rows:
        return None
    figure, axes = new_figure(1.15 + 0.245 * len(rows))
    tick = {"marker": "|", "color": INK, "markersize": 10, "markeredgewidth": 1.6, "linestyle": ""}
    for place, (split, row) in enumerate(rows):
        style = {name: SPLIT_STYLES[split][name] for name in ("color", "marker")}
        axes.plot((row["before"], row["after"]), (place, place), color=style["color"], linewidth=1.4, alpha=0.55)
        axes.plot(row["before"], place, **style, markerfacecolor="white", markersize=6)
        axes.plot(row["after"], place, **style, markersize=6)
        if row["retrained"] is not None:
            axes.plot(row["retrained"], place, **tick)
    axes.set_yticks(range(len(rows)), [plain(row["subject"]) for _, row in rows])
    axes.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.4, -0.6),
             xlabel="mean answer probability of rows\n(forget: left = more forgotten)")  # fmt: skip
    axes.grid(axis="y", visible=False)
    for split in dict.fromkeys(split for split, _ in rows):
        axes.plot([], [], **{**SPLIT_STYLES[split], "linestyle": ""}, label=f"{split} set")
    axes.plot([], [], color=GREY, marker="o", markerfacecolor="white", linestyle="", label="before")
    if any(row["retrained"] is not None for _, row in rows):
        axes.plot([], [], **tick, label="retrained")
    figure.legend(loc="outside upper left", ncols=4, columnspacing=1.2, handlelength=1.2)
    return figure


@styled
def draw_training(run: Run):
    """Forget loss, retain loss and learning rate at each logged step."""
    data = training(run)
    drawn = {name for name, values in data.items() if np.isfinite(values).any()}
    losses = [name for name in ("forget_loss", "retain_loss") if name in drawn] or [*({"loss"} & drawn)]
    if not losses:
        return None
    rate = "learning_rate" in drawn
    figure, axes = new_figure(3.1 + 1.1 * rate, nrows=1 + rate, sharex=True, height_ratios=[2.6, 1][: 1 + rate],
                              squeeze=False)  # fmt: skip
    first, last = axes[0, 0], axes[-1, 0]
    for name in losses:
        style = dict(SPLIT_STYLES.get(name.removesuffix("_loss"), {"color": INK}))
        if len(data["step"]) > 60:
            style["marker"] = ""
        first.plot(data["step"], data[name], **style, markersize=3, linewidth=1.4, label=name.replace("_", " "))
    first.set_ylabel("minimised loss")
    first.legend(loc="best", ncols=2)
    if rate:
        last.plot(data["step"], data["learning_rate"], color=INK, linewidth=1.4)
        last.set(ylabel="learning rate", ylim=(0, None))
        last.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=False)
    last.set_xlabel("optimizer step")
    last.xaxis.get_major_locator().set_params(integer=True)
    return figure


def attack_table(run: Run) -> dict[str, dict[str, tuple[float | None, None]]]:
    """{label: {model: (value, None)}} of the main number of each attack."""
    found = {}
    for row in main_attack_rows(run):
        number = attack_label(row["attack"], row["metric"]).split(" of ")[0].split(" at ")[0]
        name = f"{plain(row['attack'].replace('_', ' '), 24)}\n{plain(number, 24)}"
        found[name] = {model: (row[model], None) for model in ROLE_STYLES if row[model] is not None}
    return found


@styled
def draw_attacks(run: Run):
    """The forget set under each attack for all models, beside the numbers without an attack."""
    table = attack_table(run)
    if not table:
        return None
    unharmed = _measured(run, "forget", "answer_probability")
    if _any(unharmed):
        table = {"no attack\nanswer probability": unharmed, **table}
    figure, axes = new_figure(1.2 + 0.5 * len(table))
    _grouped_bars(axes, table, list(table))
    highest = max((value for row in table.values() for value, _ in row.values() if value), default=0)
    axes.set(xlim=(0, max(1.02, 1.05 * highest)), xlabel="on the forget set, 0 to 1\n(right = more is known)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.4)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# The verdict

GATE_STYLES = {  # filled: decided; every word has a marker of its own
    gates.PASSED: {"color": BLUE, "marker": "o"},
    gates.FAILED: {"color": VERMILION, "marker": "X"},
    gates.OVER: {"color": PURPLE, "marker": "<"},
    gates.UNDECIDED: {"color": GREY, "marker": "D", "markerfacecolor": "white"},
}
WIDEST, EDGE = 3.0, 3.25  # margins; what lies beyond is drawn at the edge with an arrow


def in_margins(gate: Gate) -> tuple[float, float, float] | None:
    """(value, low, high) of a gate in units of its margin, so that it is passed up to 1; None without a margin.

    0 is the middle of two bounds, 0 itself for an upper bound, and 1 (all is left) for a lower one.
    """
    if gate.value is None:
        return None
    ends = [gate.value if end is None else end for end in (gate.value, gate.low, gate.high)]
    if gate.least is not None and gate.most is not None:
        middle, margin = (gate.least + gate.most) / 2, (gate.most - gate.least) / 2
    elif gate.most is not None:
        middle, margin = 0.0, gate.most
    elif gate.least is not None:
        middle, margin = 1.0, gate.least - 1.0
    else:
        return None
    if not margin or max(abs(bound) for bound in (gate.least, gate.most) if bound is not None) >= 1:
        return None  # rows are counted
    value, low, high = ((end - middle) / margin for end in ends)
    return value, min(low, high), max(low, high)


def gate_rows(run: Run) -> list[tuple[Gate, tuple[float, float, float]]]:
    """(gate, its numbers in margins) of the decided and undecided gates with a margin, part by part."""
    found = [(gate, in_margins(gate)) for part in PARTS for gate in run.evidence[part].gates]
    return [(gate, numbers) for gate, numbers in found if numbers is not None and gate.word in GATE_STYLES]


@styled
def draw_gates(run: Run):
    """Each gate with its interval in units of what is asked for."""
    rows = gate_rows(run)
    if not rows:
        return None
    figure, axes = new_figure(1.25 + 0.27 * len(rows))
    left = -1.0 if all(low > -1 for _, (_, low, _) in rows) else -WIDEST
    axes.axvspan(max(left - 0.4, -1.0), 1.0, color="#EDF3F7", zorder=0)
    for edge in (-1.0, 1.0):
        axes.axvline(edge, color="#666666", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
    axes.axvline(0.0, color="#BBBBBB", linewidth=0.8, zorder=1)
    for place, (gate, (value, low, high)) in enumerate(rows):
        style = GATE_STYLES[gate.word]
        ends = np.clip((low, high), -EDGE, EDGE)
        axes.plot(ends, (place, place), color=style["color"], linewidth=1.6, solid_capstyle="butt", zorder=2)
        for there, marker, edge in ((low < -EDGE, "<", -EDGE), (high > EDGE, ">", EDGE)):
            if there:
                axes.plot(edge, place, marker=marker, color=style["color"], markersize=4)
        axes.plot(
            np.clip(value, -WIDEST, WIDEST), place, linestyle="", markersize=6.5, markeredgewidth=1.1, zorder=3, **style
        )
    axes.set_yticks(range(len(rows)), [plain(gate.label, 34) for gate, _ in rows])
    axes.set(xlim=(left - 0.4, WIDEST + 0.4), ylim=(len(rows) - 0.4, -0.6),
             xlabel="in units of what is asked for\n(dashed: the bounds)")  # fmt: skip
    axes.grid(axis="y", visible=False)
    for word in dict.fromkeys(gate.word for gate, _ in rows):
        axes.plot([], [], linestyle="", markersize=6.5, label=word, **GATE_STYLES[word])
    figure.legend(loc="outside upper left", ncols=4, columnspacing=1.2, handletextpad=0.2)
    return figure


PERSON_STYLES = {"forgotten": GATE_STYLES[gates.PASSED], "known": GATE_STYLES[gates.FAILED]}


def person_rows(run: Run, longest: int = 30) -> list[tuple[str, float, str]]:
    """(person, position, word) of the persons with a position; at most `longest`, those known best."""
    found = [(str(one.get("subject")), finite(one.get("position")), str(one.get("word")))
             for one in run.evidence["memory"].listed("persons")]  # fmt: skip
    return sorted((row for row in found if row[1] is not None), key=lambda row: -row[1])[:longest]


@styled
def draw_persons(run: Run):
    """How far each person is still known: 0 as the retrained model, 1 as the target."""
    rows = person_rows(run)
    if not rows:
        return None
    figure, axes = new_figure(1.3 + 0.27 * len(rows))
    for place, (_, position, word) in enumerate(rows):
        style = PERSON_STYLES.get(word, GATE_STYLES[gates.UNDECIDED])
        axes.plot((0, position), (place, place), color=style["color"], linewidth=1.4, alpha=0.55)
        axes.plot(position, place, linestyle="", markersize=6.5, **style)
    ends = [position for _, position, _ in rows]
    low, high = min(-0.1, min(ends) - 0.08), max(1.08, max(ends) + 0.08)
    for where, text in ((0, "retrained"), (PERSON, "gate"), (1, "target")):
        line = (0, (4, 2)) if where == PERSON else "-"
        axes.axvline(where, color="#666666", linewidth=1.0, linestyle=line, zorder=1)
        axes.annotate(text, (where, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
                      ha="right" if where == 0 else "left" if where == PERSON else "center", va="bottom", fontsize=8.5,
                      color="#555555")  # fmt: skip
    axes.set_yticks(range(len(rows)), [plain(name) for name, _, _ in rows])
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6),
             xlabel="position, mean over rows and measures\n(left = forgotten)")  # fmt: skip
    axes.grid(axis="y", visible=False)
    for word in dict.fromkeys(word for _, _, word in rows):
        axes.plot(
            [],
            [],
            linestyle="",
            markersize=6.5,
            label=plain(word),
            **PERSON_STYLES.get(word, GATE_STYLES[gates.UNDECIDED]),
        )
    figure.legend(loc="outside upper left", ncols=3, columnspacing=1.2, handletextpad=0.2)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# The table


@dataclass(frozen=True)
class FigureRow:
    """One figure: its file name, drawing function and caption, and the section of the report that shows it."""

    stem: str
    section: str  # a key of `analyze_results.report_blocks`
    draw: Callable
    caption: str
    with_retrained: str = ""  # added if the run has a retrained model

    def caption_of(self, run: Run) -> str:
        return f"{self.caption} {self.with_retrained}".strip() if "retrained" in run.models else self.caption


FIGURES = (
    FigureRow("gates", "gates", draw_gates,
              "Each gate that has a margin, with its interval, in units of that margin. Dashed: the bounds of what is "
              "asked for. The marker says whether the gate is passed. An arrow: beyond the edge."),
    FigureRow("persons", "persons", draw_persons,
              "How far each person is still known, from the retrained model (0) to the target (1). If there are many, "
              "those known best."),
    FigureRow("forgetting_curves", "course", draw_curves,
              "Answer probability over training. The forget set should fall to the level of unseen rows, the retain "
              "set should stay. Dotted: the start.", "Dashed: the retrained model on the whole set."),
    FigureRow("rows", "course", draw_scatter,
              "Each row before and after. On the line: unchanged. Below it: forgotten."),
    *(FigureRow(f"before_after_{split}", "goal", functools.partial(draw_bars, split=split),
                f"The {split} set before and after; whiskers are 95 % intervals.",
                "The goal is the hatched bar, not zero." if split == "forget" else "") for split in SPLITS),
    FigureRow("subjects", "persons", draw_subjects,
              "Change by subject: hollow before, filled after, a tick for the retrained model. If there are many, "
              "those that fell most."),
    FigureRow("attacks", "attacks", draw_attacks, "The forget set under attack, each model with the same budget."),
    FigureRow("training", "training", draw_training, "The minimised losses and the learning rate."),
)  # fmt: skip
