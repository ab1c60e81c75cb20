"""Draws many runs side by side, in the colour and marker of their memory word.

Up to `DIRECT` methods are named beside their points. With more, the points show their place in the table and the legend
has the names. A new figure is one function and one row of `FIGURES`.
"""

from __future__ import annotations

import functools
import itertools
import math
import textwrap
import zlib

import numpy as np

from models.methods.table import METHODS
from results.report.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WIDTH,
    new_figure,
    plain,
    styled,
)
from results.report.ranking import Comparison
from results.report.runs import curves, pareto_front
from results.report.words import number

_STYLED = (  # a method's position sets its colour, marker and line, so these positions are fixed
    "profile_matching", "npo", "simnpo", "gradient_difference", "idk", "kl_minimization", "rmu", "undial",
    "gradient_ascent", "level_matching", "task_vector", "idk_dpo", "l2_sp", "fine_tuning", "knowledge_distillation",
    "retrain", "wga", "satimp", "ce_u", "pdu", "me_gd", "idk_ap", "altpo", "jensun", "whp", "ewc", "adaptive_rmu",
    "repselect", "scrub", "shred", "undo",
)  # fmt: skip
METHOD_ORDER = (*_STYLED, *sorted(set(METHODS) - set(_STYLED)))
_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, INK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")  # 11: no common factor with the 7 colours
_LINES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
DIRECT, LONGEST = 10, 24  # most names that fit beside points, and the longest of them
PARTS = {  # part of the score: colour, marker
    "forgetting": (VERMILION, "o"),
    "privacy": (PURPLE, "D"),
    "utility": (BLUE, "s"),
    "robustness": (GREEN, "^"),
}


# {a group's worst memory word: its colour and marker}; other words: no verdict of this version
WORD_STYLES = {
    "FORGOTTEN": (GREEN, "o"),
    "OVER-FORGOTTEN": (PURPLE, "v"),
    "UNDECIDED": (ORANGE, "D"),
    "REMEMBERS": (VERMILION, "X"),
}
NO_WORD = (GREY, "s")


def word_style(group: dict) -> tuple:
    """(colour, marker) of a group's memory word."""
    return WORD_STYLES.get(group["word"], NO_WORD)


def word_legend(figure, groups: list[dict], line: bool = False) -> None:
    """A legend of the memory words among the groups, above the plot. `line`: the words colour lines, not markers."""
    from matplotlib.lines import Line2D

    handles = []
    for word in (*WORD_STYLES, None):
        if any(group["word"] == word for group in groups):
            colour, marker = WORD_STYLES.get(word, NO_WORD)
            look = {"linewidth": 3} if line else {"linestyle": "", "marker": marker, "markersize": 6}
            handles.append(Line2D([], [], color=colour, label=word or "no verdict", **look))
    figure.legend(handles=handles, loc="outside upper left", ncols=4, columnspacing=1.1, handletextpad=0.3,
                  handlelength=1.2, fontsize=8)  # fmt: skip


def method_style(method: str) -> tuple:
    """(colour, marker, line) of a method, the same in every figure of every report."""
    place = METHOD_ORDER.index(method) if method in METHOD_ORDER else zlib.crc32(method.encode("utf-8", "replace"))
    return _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)], _LINES[place % len(_LINES)]


def _direct(groups: list[dict]) -> bool:
    return len(groups) <= DIRECT and all(len(group["label"]) <= LONGEST for group in groups)


# ---------------------------------------------------------------------------------------------------------------------
# Names beside points


def _boxes_beside(point, width: float, height: float, unit: float):
    """Boxes (x0, y0, x1, y1) for a text of this size around a point, in pixels, the nearest first."""
    angles = np.deg2rad([0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240, 15, 165, 345, 195])
    for radius in (7, 11, 16, 22, 29, 37, 46, 56, 68, 82):
        for angle in angles:
            across, up = math.cos(angle), math.sin(angle)
            x = point[0] + radius * unit * across + width / 2 * (np.sign(round(across, 3)) - 1)
            y = point[1] + radius * unit * up + height / 2 * (np.sign(round(up, 3)) - 1)
            yield x, y, x + width, y + height


def _overlap(box, others: np.ndarray) -> float:
    """Area that a box shares with `others` (n, 4)."""
    wide = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    high = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    return float((np.clip(wide, 0, None) * np.clip(high, 0, None)).sum())


def name_points(figure, axes, points: list[tuple[str, float, float]], drawn=()) -> None:
    """Writes each name in free space near its point, with a thin line to it if the nearest space is taken.

    points: (name, x, y). drawn: boxes (x0, y0, x1, y1) in data units to avoid. The axes' limits must be final.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()  # moves the axes to their final place
    unit, frame = figure.dpi / 72, axes.get_window_extent(renderer)
    pixels = axes.transData.transform([(x, y) for _, x, y in points])
    taken = [(x - 5 * unit, y - 5 * unit, x + 5 * unit, y + 5 * unit) for x, y in pixels]
    taken += [text.get_window_extent(renderer).extents for text in axes.texts]
    for x0, y0, x1, y1 in drawn:
        (x0, y0), (x1, y1) = axes.transData.transform([(x0, y0), (x1, y1)])
        taken.append((x0 - unit, y0 - unit, x1 + unit, y1 + unit))
    # the most crowded point first, because it has the least choice
    gaps = np.linalg.norm(pixels[:, None] - pixels[None], axis=2) + np.diag(np.full(len(points), np.inf))
    for place in np.argsort(np.sort(gaps, axis=1)[:, : min(3, len(points))].sum(1), kind="stable"):
        name, x, y = points[place]
        note = axes.annotate(name, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=8.5, color=INK, zorder=6,
                             va="bottom", ha="left")  # fmt: skip
        size, others = note.get_window_extent(renderer), np.array(taken)

        def cost(box, size=size, others=others):
            outside = max(0, frame.x0 - box[0], box[2] - frame.x1, frame.y0 - box[1], box[3] - frame.y1)
            return _overlap(box, others) + outside * size.height

        best = min(_boxes_beside(pixels[place], size.width, size.height, unit), key=cost)
        note.xyann = (best[0] - pixels[place][0]) / unit, (best[1] - pixels[place][1]) / unit
        note.set_in_layout(False)
        taken.append(best)
        _lead(axes, pixels[place], best, unit)


def _lead(axes, point, box, unit: float) -> None:
    """Draws a thin line from a point to its name's box if they are apart."""
    nearest = np.array([np.clip(point[0], box[0], box[2]), np.clip(point[1], box[1], box[3])])
    if np.linalg.norm(nearest - point) > 9 * unit:
        ends = axes.transData.inverted().transform([point, nearest])
        axes.plot(*ends.T, color=GREY, linewidth=0.6, zorder=3, scalex=False, scaley=False)


# ---------------------------------------------------------------------------------------------------------------------
# Forgetting against utility


def draw_front(axes, x, y, budget: float, heights) -> list[tuple]:
    """Draws the Pareto front of points (n,) as steps and the range below the budget as a shade, and sets the limits.

    heights: of all that is drawn later. Returns the front's lines as boxes (x0, y0, x1, y1).
    """
    low, high = min(budget, *heights), max(budget, *heights)
    room = 0.09 * max(0.15, high - low)
    axes.set(xlim=(-0.06, 1.06), ylim=(low - room, high + 1.5 * room))
    axes.axhspan(-10, budget, color="#F3F3F1", zorder=0)
    axes.annotate(f"shaded: below the budget of {budget:g}", (0.01, 0.012), xycoords="axes fraction", va="bottom",
                  fontsize=8, color="#555555")  # fmt: skip
    front = np.flatnonzero(pareto_front(x, y))
    front = front[np.lexsort((-y[front], x[front]))]
    steps = [[-1, *x[front], x[front][-1]], [y[front][0], *y[front], -10]]
    axes.step(*steps, where="pre", color=INK, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1, scalex=False,
              scaley=False)  # fmt: skip
    return [
        box
        for (x0, y0), (x1, y1) in itertools.pairwise(zip(*steps))
        for box in ((x0, y1, x1, y1), (x0, min(y0, y1), x0, max(y0, y1)))
    ]


def _cloud(axes, groups: list[dict], x: str, y: str) -> None:
    """Means with their spread over seeds as whiskers, single runs faint behind them."""
    direct = _direct(groups)
    for group in groups:
        colour, marker = word_style(group)
        if group["n"] > 1:
            for run in group["runs"]:
                if run[x] is not None and run[y] is not None:
                    own = WORD_STYLES.get(run["words"].get("memory"), NO_WORD)
                    axes.scatter(run[x], run[y], s=14, color=own[0], marker=own[1], alpha=0.4, linewidths=0)
            axes.errorbar(group[x], group[y], xerr=group["spread"][x], yerr=group["spread"][y], color=colour,
                          linewidth=1, alpha=0.6)  # fmt: skip
        label = plain(group["label"], 34) if direct else f"{group['place']}  {plain(group['label'], 30)}"
        axes.scatter(group[x], group[y], s=52, marker=marker, color=colour, edgecolors="white", linewidths=0.8,
                     zorder=4, label=label)  # fmt: skip


def _stars(axes, points: dict[str, tuple[float, float]]) -> None:
    for x, y in points.values():
        axes.scatter(x, y, s=105, marker="*", facecolors="white", edgecolors=INK, linewidths=1.1, zorder=5)


def _name_cloud(figure, axes, groups, x: str, y: str, stars: dict, drawn=()) -> None:
    """Writes names, or places with a legend, beside the points of `_cloud` and `_stars`, off their whiskers."""
    word_legend(figure, groups)
    drawn = list(drawn)
    for group in groups:
        wide, high = (group["spread"][name] or 0 for name in (x, y))
        drawn.append((group[x] - wide, group[y], group[x] + wide, group[y]))
        drawn.append((group[x], group[y] - high, group[x], group[y] + high))
    direct = _direct(groups)
    if not direct:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, columnspacing=1.2,
                      handletextpad=0.2)  # fmt: skip
    points = [(plain(group["label"]) if direct else str(group["place"]), group[x], group[y]) for group in groups]
    name_points(figure, axes, [*points, *((name, *pair) for name, pair in stars.items())], drawn)


def _cloud_figure(groups: list[dict]):
    return new_figure(3.9 if _direct(groups) else 4.0 + 0.2 * math.ceil(len(groups) / 2))


@styled
def draw_tradeoff(comparison: Comparison):
    """Closeness to the retrained model against utility left, with the Pareto front."""
    known = [group for group in comparison.groups if None not in (group["closeness"], group["utility"])]
    if not known:
        return None
    figure, axes = _cloud_figure(known)
    stars = {"target": (0.0, 1.0)}
    if comparison.retrained_utility is not None:
        stars["retrained"] = (1.0, comparison.retrained_utility)
    x, y = (np.array([group[key] for group in known]) for key in ("closeness", "utility"))
    front = draw_front(axes, x, y, comparison.budget, [*y, *(pair[1] for pair in stars.values())])
    _cloud(axes, known, "closeness", "utility")
    _stars(axes, stars)
    axes.set(
        xlabel=textwrap.fill(f"{comparison.closeness_name} (right = better)", 50),
        ylabel=textwrap.fill(f"share left of the target's {comparison.utility_name} (up = better)", 40),
    )
    _name_cloud(figure, axes, known, "closeness", "utility", stars, front)
    return figure


@styled
def draw_levels(comparison: Comparison):
    """Answer probability on the forget and the retain set, with the target and the retrained model as stars."""
    names = ("forget_probability", "retain_probability")
    known = [group for group in comparison.groups if None not in (group[names[0]], group[names[1]])]
    if not known:
        return None
    figure, axes = _cloud_figure(known)
    stars = comparison.levels
    values = [group["retain_probability"] for group in known] + [pair[1] for pair in stars.values()]
    room = 0.09 * max(0.15, max(values) - min(values))
    axes.set(xlim=(-0.06, 1.06), ylim=(min(values) - room, max(values) + 1.5 * room))
    xlabel = "forget-set answer probability (left = more forgotten"
    if "retrained" in stars:
        axes.axvline(stars["retrained"][0], color="#444444", linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
        xlabel += ";\nleft of the line = below the retrained model"
    _cloud(axes, known, *names)
    _stars(axes, stars)
    axes.set(xlabel=xlabel + ")", ylabel="retain-set answer probability\n(up = more kept)")
    _name_cloud(figure, axes, known, *names, stars)
    return figure


@styled
def draw_parts(comparison: Comparison):
    """The parts of each method's score: where it is strong and where it fails."""
    known = [group for group in comparison.groups if any(group["parts"][name] is not None for name in PARTS)]
    if not known:
        return None
    figure, axes = new_figure(1.05 + 0.235 * len(known))
    for place, group in enumerate(known):
        values = [group["parts"][name] for name in PARTS if group["parts"][name] is not None]
        axes.plot((min(values), max(values)), (place, place), color="#BBBBBB", linewidth=1.2, zorder=1)
    for order, (name, (colour, marker)) in enumerate(PARTS.items()):
        places = [place for place, group in enumerate(known) if group["parts"][name] is not None]
        if places:
            axes.scatter([known[place]["parts"][name] for place in places], places, s=34, color=colour, marker=marker,
                         edgecolors="white", linewidths=0.6, zorder=3 + order, label=name)  # fmt: skip
    axes.set_yticks(range(len(known)), [plain(group["label"]) for group in known])
    axes.set(xlim=(-0.03, 1.03), ylim=(len(known) - 0.5, -0.5), xlabel="part of the score, 0 to 1\n(right = better)")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper left", ncols=4, columnspacing=1.1, handletextpad=0.1)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Over training


def method_curve(group: dict, split: str = "forget") -> tuple | None:
    """(steps, mean, lowest, highest) of a set's answer probability over the group's seeds, (n,) each, or None.

    Leaves out seeds that were measured at different steps than the first one.
    """
    found = [curve for row in group["runs"] if (curve := curves(row["run"]).get(split)) is not None]
    found = [curve for curve in found if np.isfinite(curve["answer_probability"]).any()]
    if not found:
        return None
    steps = found[0]["step"]
    values = np.array([c["answer_probability"] for c in found if np.array_equal(c["step"], steps, equal_nan=True)])
    return steps, values.mean(0), values.min(0), values.max(0)


@styled
def draw_method_curves(comparison: Comparison):
    """Forget-set answer probability over training: one plot with names at the lines' ends, or one plot per method."""
    drawn = [(group, curve) for group in comparison.groups if (curve := method_curve(group)) is not None]
    if not drawn:
        return None
    level = comparison.levels.get("retrained", (None,))[0]
    return _one_plot(drawn, level) if _direct([group for group, _ in drawn]) else _small_plots(drawn, level)


def _spaced(heights: list[float], gap: float, bottom: float, top: float) -> list[float]:
    """The heights moved apart by at least `gap` in the same order, below `top` and, if they fit, above `bottom`."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = [heights[place] for place in order]
    for _ in range(200):
        for low in range(len(placed) - 1):
            lack = gap - (placed[low + 1] - placed[low])
            if lack > 1e-9:
                placed[low] -= lack / 2
                placed[low + 1] += lack / 2
    shift = max(0.0, bottom - placed[0])
    shift -= max(0.0, placed[-1] + shift - top)
    found = dict(zip(order, (height + shift for height in placed)))
    return [found[place] for place in range(len(heights))]


def _one_plot(drawn: list, level: float | None):
    figure, axes = new_figure(3.6)
    ends = []
    for group, (steps, mean, low, high) in drawn:
        colour, (_, marker, line) = word_style(group)[0], method_style(group["method"])
        axes.plot(steps, mean, color=colour, marker=marker, linestyle=line, linewidth=1.5)
        if group["n"] > 1:
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        ends.append((plain(group["label"]), steps[-1], mean[-1], colour))
    if level is not None:
        axes.axhline(level, color="#666666", linewidth=1.1, linestyle=(0, (6, 3)), zorder=1)
        ends.append(("retrained model", max(end[1] for end in ends), level, "#666666"))
    axes.set(
        xlabel="optimizer step",
        ylabel="answer probability of forget rows\n(down = more forgotten)",
        ylim=(-0.03, 1.05),
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    right = axes.get_xlim()[1]
    for (name, step, value, colour), height in zip(ends, _spaced([end[2] for end in ends], 0.062, 0.0, 1.02)):
        axes.annotate(name, (step, value), xytext=(1.035, (height + 0.03) / 1.08), textcoords="axes fraction",
                      fontsize=8.5, va="center", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2,
                                  "relpos": (0, 0.5)})  # fmt: skip
    axes.set_xlim(right=right)
    word_legend(figure, [group for group, _ in drawn], line=True)
    return figure


UNEVEN = 4  # a run of more than this many times the median steps is far longer than the others


def _small_plots(drawn: list, level: float | None):
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    ends = [curve[0][-1] for _, curve in drawn]
    uneven = max(ends) > UNEVEN * np.median(ends)  # one long run would squeeze the others to the left edge
    if uneven:
        drawn = [(group, (100 * curve[0] / max(curve[0][-1], 1), *curve[1:])) for group, curve in drawn]
    others = [np.column_stack(curve[:2]) for _, curve in drawn]
    rows = math.ceil(len(drawn) / 3)
    height = 0.75 + 0.98 * rows
    figure = Figure(figsize=(WIDTH, height), layout="none")  # constrained layout takes seconds for thirty plots
    plots = figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False).ravel()
    label = textwrap.fill("answer probability of forget rows (down = more forgotten)", int(height / 0.08))
    figure.subplots_adjust(left=(0.4 + 0.15 * (1 + label.count("\n"))) / WIDTH, right=0.98, top=1 - 0.22 / height,
                           bottom=0.53 / height, wspace=0.09, hspace=0.4)  # fmt: skip
    for axes, (group, (steps, mean, low, high)) in zip(plots, drawn):
        axes.add_collection(LineCollection(others, colors="#DDDDDD", linewidths=0.6, zorder=1))
        colour, _ = word_style(group)
        axes.plot(steps, mean, color=colour, linewidth=1.8, zorder=3)
        axes.fill_between(steps, low, high, color=colour, alpha=0.25, linewidth=0, zorder=2)
        if level is not None:
            axes.axhline(level, color="#555555", linewidth=0.9, linestyle=(0, (4, 2)), zorder=2)
        axes.set_title(f"{group['place']}  {plain(group['label'], 24)}", fontsize=7, fontweight="normal", pad=3)
        axes.set(ylim=(-0.04, 1.04), yticks=(0, 0.5, 1))
        axes.tick_params(labelsize=7.5)
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=3)
    for axes in plots[len(drawn) :]:
        axes.set_visible(False)
    for axes in plots[max(0, len(drawn) - 3) : len(drawn)]:
        axes.xaxis.set_tick_params(labelbottom=True)
    axis = "percent of the run's steps" if uneven else "optimizer step"
    figure.supxlabel(axis + ("" if level is None else " (dashed: retrained model)"), fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Cost


@styled
def draw_cost(comparison: Comparison, name: str, label: str):
    """A cost of each method: "seconds" of unlearning or peak "memory"."""
    groups = comparison.groups
    if all(group[name] is None for group in groups):
        return None
    figure, axes = new_figure(1.05 + 0.235 * len(groups))
    word_legend(figure, groups, line=True)
    for place, group in enumerate(groups):
        if group[name] is None:
            axes.annotate(" not measured", (0, place), va="center", fontsize=8, color=GREY)
            continue
        spread = group["spread"][name]
        axes.barh(place, group[name], 0.62, color=word_style(group)[0], xerr=spread or None,
                  error_kw={"linewidth": 1, "ecolor": INK})  # fmt: skip
        axes.annotate(f" {number(group[name], 1)}", (group[name] + (spread or 0), place), va="center", fontsize=8)
    axes.set_yticks(range(len(groups)), [plain(group["label"]) for group in groups])
    axes.set(ylim=(len(groups) - 0.5, -0.5))
    longest = max(group[name] + (group["spread"][name] or 0) for group in groups if group[name] is not None)
    axes.set_xlim(0, 1.14 * longest or 1)
    axes.set_xlabel(f"{label}\n(left = cheaper)")
    axes.grid(axis="y", visible=False)
    return figure


FIGURES = (  # (stem, function of the comparison, caption)
    ("tradeoff", draw_tradeoff,
     "Forgetting against utility, in the colour of the memory word. Best is top right; the dashed line is the Pareto "
     "front, the methods that no other mean beats in both. Stars: target and retrained model. Faint: single seeds; "
     "whiskers: their spread."),
    ("levels", draw_levels, "Answer probability on both sets; stars are the target and the retrained model."),
    ("parts", draw_parts, "The parts of the score: 1 is as good as the retrained model."),
    ("curves", draw_method_curves,
     "How fast the forget set falls, in the colour of the memory word: means over seeds, shaded from the lowest to the "
     "highest."),
    ("time", functools.partial(draw_cost, name="seconds", label="time of unlearning, seconds"),
     "Seconds of unlearning, in the colour of the memory word; whiskers are the spread over seeds."),
    ("memory", functools.partial(draw_cost, name="memory", label="peak memory, GiB"),
     "Peak memory of the whole run, in the colour of the memory word."),
)  # fmt: skip
