"""The report's section on --method auto: the trade-off of its trials, their table, the winner's command.

Reads search.json of a run folder. A missing file means that there was no search; an unreadable one becomes one of the
run's problems.
"""

from __future__ import annotations

import itertools
import json
import shlex

import numpy as np

from models.scores.array_scores import harmonic_mean
from models.verdict.words import PARTS, counted
from results.report.comparison_figures import draw_front, method_style, name_points
from results.report.figures import INK, FigureRow, new_figure, plain, styled
from results.report.pages import Code, Details, Heading, Paragraph, Table
from results.report.ranking import verdict_cells
from results.report.runs import Run, finite
from results.report.words import duration, number, percent
from results.search.rehearsal import REHEARSED

SHOWN = 12  # trials shown; the others are folded


def read_search(run: Run) -> dict:
    """search.json of the run; {} if it is missing or unreadable."""
    try:
        found = json.loads((run.folder / "search.json").read_text(encoding="utf-8"))
        trials = [trial for trial in found["trials"] if isinstance(trial, dict)]
        return {**found, "trials": trials, "utility_budget": float(found["utility_budget"])}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        problem = f"search.json: not readable ({type(error).__name__})"
        run.problems += [problem] if problem not in run.problems else []
        return {}


def _placed(trials) -> list[dict]:
    """The trials (or looks at one) with a place in the figure: "gone", the harmonic mean of forgetting and privacy, and
    "kept", the utility."""
    found = []
    for trial in trials if isinstance(trials, list) else ():
        trial = trial if isinstance(trial, dict) else {}
        values = [finite(trial.get(name)) for name in ("forgetting", "privacy")]
        known = [max(0.0, value) for value in values if value is not None]
        if known and finite(trial.get("utility")) is not None:
            found.append({**trial, "gone": harmonic_mean(known), "kept": finite(trial["utility"])})
    return found


@styled
def draw_search(run: Run):
    """What each trial forgot against what it kept, with the front, the budget and the winner."""
    search = read_search(run)
    trials = _placed(search.get("trials"))
    if not trials:
        return None
    figure, axes = new_figure(4.3)
    looks = {id(trial): _placed(trial.get("looks")) for trial in trials}
    seen = [*trials, *itertools.chain(*looks.values())]
    x, y = (np.array([trial[name] for trial in trials]) for name in ("gone", "kept"))
    lines = draw_front(axes, x, y, search["utility_budget"], [1.0, *(one["kept"] for one in seen)])
    for method in dict.fromkeys(str(trial.get("method")) for trial in trials):
        colour, marker, _ = method_style(method)
        mine = [trial for trial in trials if str(trial.get("method")) == method]
        axes.scatter([t["gone"] for t in mine], [t["kept"] for t in mine], s=40, marker=marker, color=colour,
                     edgecolors="white", linewidths=0.7, zorder=4, label=plain(method))  # fmt: skip
        for trial in mine:  # the same weights with less or more of their change
            axes.plot([look["gone"] for look in looks[id(trial)]], [look["kept"] for look in looks[id(trial)]],
                      color=colour, marker=".", markersize=3.5, linewidth=0.7, alpha=0.7, zorder=2)  # fmt: skip
    defaults = [trial for trial in trials if trial.get("default")]
    defaults = [next((look for look in looks[id(trial)] if look.get("update_scale") == 1), trial) for trial in defaults]
    axes.scatter([t["gone"] for t in defaults], [t["kept"] for t in defaults], s=14, marker="x", color=INK,
                 linewidths=0.8, zorder=5)  # fmt: skip
    axes.set(xlabel="forgetting and privacy on the search's rows\n(right = nearer to rows never seen)",
             ylabel="share of the target's utility left\n(up = more kept)")  # fmt: skip
    figure.legend(loc="outside upper left", ncols=3, columnspacing=1.1, handletextpad=0.1)
    if best := _winner(search, trials):
        axes.scatter(best["gone"], best["kept"], s=150, marker="o", facecolors="none", edgecolors=INK, linewidths=1.3,
                     zorder=6)  # fmt: skip
        points = {(one["gone"], one["kept"]) for one in seen} - {(best["gone"], best["kept"])}
        drawn = [*lines, *((*point, *point) for point in points)]
        name_points(figure, axes, [(f"winner: trial {best['number']}", best["gone"], best["kept"])], drawn)
    return figure


FIGURES = (
    FigureRow("search_tradeoff", "search", draw_search,
              "What the trials of the search forgot and what they kept, on the search's own rows. Best is top right; "
              "the dashed line joins trials that no other beats in both. Ringed: the winner. Crosses: the methods' "
              "defaults. Small dots on a line: the same trained weights with less or more of their change "
              "(--update_scale)."),
)  # fmt: skip


def _winner(search: dict, trials: list[dict]) -> dict | None:
    return next((trial for trial in trials if trial.get("number") == search.get("winner")), None)


def search_section(run: Run, shown: list) -> list:
    """The report's section on the search around the blocks `shown`; [] without a search."""
    search = read_search(run)
    if not search:
        return []
    told = zip(PARTS, verdict_cells(run.words, run.comparison.get("verdict")))
    blocks: list = [Heading("Search"), Paragraph(_told(search)), *shown]
    words = "; ".join(f"{part} {word}" for part, word in told)
    blocks.append(Paragraph(["The run with the winner's settings: ", ("user", words), "."]))
    command = search.get("winner_command")
    if isinstance(command, list):
        blocks += [Paragraph("The winner's command, without a search:"), Code(shlex.join(map(str, command)))]
    order = sorted(search["trials"], key=lambda trial: (
        trial.get("number") != search.get("winner"), not trial.get("within"), -(finite(trial.get("score")) or 0.0)
    ))  # fmt: skip
    blocks.append(_table(order[:SHOWN], "The winner, then the others within the budget by score, then the rest."))
    if order[SHOWN:]:
        blocks.append(Details(f"The other {len(order) - SHOWN} trials", [_table(order[SHOWN:], "")]))
    return blocks


def _told(search: dict) -> list:
    """The search in sentences, as a text."""
    trials = search["trials"]
    given_up = sum(trial.get("state") != "complete" for trial in trials)
    best = _winner(search, trials)
    budget, took = percent(search["utility_budget"]), duration(finite(search.get("seconds")))
    text = f"{counted(len(trials), 'trial')} in {took}, {given_up} of them given up. "
    if best is None:
        text += "No trial was completed, so the run used the default method with its defaults. "
    elif best.get("within"):
        text += f"Trial {best['number']} has the best score of those that keep {budget} of the target's utility"
        if not best.get("known") and any(trial.get("known") for trial in trials):
            text += ", that leave no row known"
        if best.get("told_apart"):
            text += ", although a test tells its rows from rows never seen"
        elif any(trial.get("told_apart") for trial in trials):
            text += " and whose rows a test does not tell from rows never seen"
        text += ". "
    else:
        text += f"No trial kept {budget} of the target's utility; trial {best['number']} kept the most. "
    if search.get("rehearsal"):
        text += f"How it was judged: {search['rehearsal']}. "
        if str(search["rehearsal"]).startswith(REHEARSED):
            text += "The request itself was unlearned once, with the settings chosen. "
    text += (
        "The score is the harmonic mean of forgetting (how near the forget rows are to rows never seen, on either "
        "side), privacy (membership attacks) and utility. It uses the search's own rows, never the evaluation's "
        "paraphrases or wrong answers, so it differs from the score of the verdict above. Rows used: "
    )
    return [text, ("user", "; ".join(map(str, search.get("rows") or []))), "."]


def _table(trials: list[dict], caption: str) -> Table:
    columns = ("trial", "settings", "score", "forgetting", "privacy", "utility", "front", "time", "outcome")
    rows = []
    for trial in trials:
        settings = trial.get("settings")
        settings = settings if isinstance(settings, dict) else {}
        said = [str(trial.get("method"))] + [f"{name} {value}" for name, value in settings.items()]
        outcome = "within the budget" if trial.get("within") else "below the budget"
        outcome += ", distinguishable from rows never seen" if trial.get("told_apart") else ""
        outcome = outcome if trial.get("state") == "complete" else f"given up: {trial.get('why')}"
        outcome += " (defaults)" if trial.get("default") else ""
        rows.append([
            str(trial.get("number")), [("user", ", ".join(said))],
            *(number(finite(trial.get(name))) for name in ("score", "forgetting", "privacy", "utility")),
            "yes" if trial.get("front") else "", duration(finite(trial.get("seconds"))), [("user", outcome)],
        ])  # fmt: skip
    return Table(columns, rows, words=2, caption=caption, tail=1)
