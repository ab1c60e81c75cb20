"""What --method auto looks at while it chooses, and the score it chooses by: the verdict's own, without its strings.

The rows: up to `OWN_ROWS` of each set, those that the final evaluation does not measure wherever there are enough of
them, each without its paraphrases and perturbed answers; and general texts of the bundled general retain set that no
trial trains on, in place of the general set. In place of the paraphrases every question's answer is also scored alone,
without its question: knowledge that only the question's wording no longer brings out still shows there; and begun at
its rarest word ("late"): a fact that only its sentence no longer brings out still shows there. In place of the
perturbed answers the rows' own answers are used with their rarest words exchanged for those of the set's other rows
(`data.wrong_answers`). Both sides of an exchange were seen as often, so what a method does to all answers of the set
cancels, and what is left is whether the model knows which word belongs to which question. That view, "wrong", gives a
truth ratio, read as min(R, 1/R) like the evaluation's: a model that only flees the true words is as far from one that
never saw the rows as one that prefers them.

The score, in [0, 1], from one teacher-forced pass over these rows:

    score      = harmonic mean of forgetting, privacy and utility
    forgetting = harmonic mean of the closeness of answer probability, exact memorisation and extraction strength, asked
                 and alone, of the answer probability late and of the truth ratio to the target's values on holdout
                 rows: 1 there, 0 at the target's value on the forget rows, and 0 as far beyond; numbers in which the
                 two differ by less than 2 standard errors are left out
    privacy    = harmonic mean, over the membership attacks, of 1 - |AUC - .5| / .5
    utility    = least share that is left of the target's answer probability, and of its truth ratio read as
                 max(0, 1 - R), on retain rows and on general texts

A trial whose truth ratios on the forget rows a KS test tells from the target's on the holdout rows (p below `GATE`, if
it tells the target's own) ranks behind those that it cannot tell, as the verdict's forget quality would have it.

Without a holdout set forgetting is the closeness of the mean loss to the level the loop forgets to, and privacy is left
out. A trial is within the budget when its utility is at least --utility_budget.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

import evaluation_metrics
import unlearning_algorithm as algorithm
from data.wrong_answers import late_answers, wrong_answers
from models.scores.array_scores import standard_error
from models.scores.verdict import scores

OWN_ROWS = 40  # of each set that a trial is judged by
ENOUGH = 16  # fewer unmeasured rows than this judge too little: then rows that the evaluation measures too are taken
COMPARED = ("answer_probability", "exact_memorization", "extraction_strength")
ATTACKS = ("loss", "min_k", "min_k_plus_plus", "zlib_ratio")
LOOKED_AT = tuple(dict.fromkeys((*COMPARED, *ATTACKS)))
RATIO = "truth_ratio"  # of the view of wrong answers
OWN_METRICS = {"wrong": (RATIO,), "late": ("answer_probability",)}  # of views that are not looked at with all of them
GATE = 0.05  # p of the KS test below which a model is told from one that never saw the rows
TOLD_APART = 0.1  # what that costs in the search's objective, in score
OVERDRAWN = 5.0  # what a share of utility below the budget costs in the search's objective, in score


def bare(example):
    """The example without what belongs to the evaluation alone."""
    return dataclasses.replace(example, paraphrased_question=None, paraphrased_answer=None, perturbed_answer=())


def own_rows(examples: list, measured: list, count: int = OWN_ROWS) -> list:
    """Up to `count` rows, evenly spread: of those not in `measured` where they are `ENOUGH`, else of all."""
    taken = {id(example) for example in measured}
    others = [example for example in examples if id(example) not in taken]
    rows = others if len(others) >= ENOUGH else list(examples)
    return rows if len(rows) <= count else [rows[i * len(rows) // count] for i in range(count)]


@dataclass
class SearchSplit:
    """The rows that trials are judged by: {view: {set: bare examples}}, and what is to be known about them."""

    views: dict
    notes: list

    @property
    def answers(self) -> int:
        """How many answers one look scores."""
        rows = [row for sets in self.views.values() for split in sets.values() for row in split]
        return sum(1 + bool(row.paraphrased_answer) + len(row.perturbed_answer) for row in rows)


def search_split(examples: dict, measured: dict, general: list) -> SearchSplit:
    """The search's own rows; `general`: texts that no trial trains on."""
    asked, notes = {}, []
    for split in ("forget", "retain", "holdout"):
        if split in examples:
            rows = own_rows(examples[split], measured.get(split, []))
            shared = {id(row) for row in rows} & {id(row) for row in measured.get(split, [])}
            notes.append(f"{split}: {len(rows)} rows, " + ("that the evaluation measures too, bare of its paraphrases"
                         if shared else "none of which the evaluation measures"))  # fmt: skip
            asked[split] = [bare(row) for row in rows]
    if general:
        asked["general"] = [bare(row) for row in general]
        notes.append(f"general: {len(general)} texts that nothing is trained on")
    alone = {
        split: [dataclasses.replace(row, prompt=None, history=(), chat=False) for row in asked[split]]
        for split in ("forget", "holdout")
        if any(row.prompt is not None for row in asked.get(split, []))
    }
    known = [row for rows in asked.values() for row in rows]
    wrong = {split: _with_wrong_answers(rows, known) for split, rows in asked.items()}
    late = {
        split: [dataclasses.replace(row, answer=end) for row, end in zip(rows, late_answers(rows, known)) if end]
        for split, rows in asked.items()
        if split in alone
    }
    views = {"alone": alone, "late": late, "wrong": wrong}
    views = {view: {split: rows for split, rows in sets.items() if rows} for view, sets in views.items()}
    for view in ("alone", "late"):
        if not {"forget", "holdout"} <= views[view].keys():
            del views[view]
    counts = [f"{len(rows)} {split}" for split, rows in views["wrong"].items()]
    if counts:
        notes.append(f"truth ratio: {', '.join(counts)} rows with wrong answers made of other rows' words")
    return SearchSplit({"asked": asked, **{view: sets for view, sets in views.items() if sets}}, notes)


def _with_wrong_answers(rows: list, known: list) -> list:
    """The rows that have wrong answers of our own, with them; the true answer in the place of its paraphrase."""
    return [
        dataclasses.replace(row, paraphrased_answer=row.answer, perturbed_answer=wrong)
        for row, wrong in zip(rows, wrong_answers(rows, known))
        if wrong
    ]


def look(model, tokenizer, split: SearchSplit, max_length: int) -> dict:
    """{view: ModelEvaluation} of a model on the search's own rows: teacher-forced, nothing is generated."""
    return {
        view: evaluation_metrics.evaluate_model(
            model, tokenizer, sets, metrics=OWN_METRICS.get(view, LOOKED_AT), max_length=max_length
        )
        for view, sets in split.views.items()
    }


def _values(evaluation, split: str, metric: str) -> np.ndarray:
    values = evaluation.per_example.get(split, {}).get(metric, [])
    return scores(metric, split, [math.nan if value is None else value for value in values])


def _finite_ratios(seen: dict, split: str) -> np.ndarray:
    """The truth ratios of the view of wrong answers; none where there is no such view."""
    values = _values(seen["wrong"], split, RATIO) if "wrong" in seen else np.array([])
    return values[np.isfinite(values)]


@dataclass(frozen=True)
class Score:
    """One trial's numbers; `score` and `objective` are what the search compares, `parts` what forgetting is made of,
    `quality` the p-value of the KS test of its truth ratios."""

    forgetting: float
    privacy: float | None
    utility: float
    parts: dict
    quality: float | None = None

    @property
    def score(self) -> float:
        """Harmonic mean of the numbers there are."""
        known = [value for value in (self.forgetting, self.privacy, self.utility) if value is not None]
        return evaluation_metrics.harmonic_mean(known)

    def objective(self, budget: float) -> float:
        """The score, less what a failed gate costs and `OVERDRAWN` times what is missing to the budget: what the
        sampler learns from."""
        return self.score - TOLD_APART * told_apart(self.quality) - OVERDRAWN * max(0.0, budget - self.utility)


def told_apart(quality: float | None) -> bool:
    """Whether the KS test tells the model's forget rows from rows never seen."""
    return quality is not None and quality < GATE


class Judge:
    """Scores models against the target, from what `look` gave for each."""

    def __init__(self, target: dict, level: float | None = None):
        self.target, self.goals = target, {}
        asked = target["asked"]
        self.start_loss = float(np.nanmean(_values(asked, "forget", "loss")))
        if "holdout" in asked.metrics:
            self.goals = {
                (view, metric): pair
                for view, evaluation in target.items()
                for metric in OWN_METRICS.get(view, COMPARED)
                if {"forget", "holdout"} <= evaluation.metrics.keys() and (pair := self._contrast(evaluation, metric))
            }
        self.unseen = _finite_ratios(target, "holdout")
        self.gated = told_apart(self._quality(target))
        self.level = max(level or 0.0, self.start_loss + algorithm.CLEARLY_ABOVE)

    @staticmethod
    def _contrast(evaluation, metric: str) -> tuple[float, float] | None:
        """(the target's mean on forget rows, on holdout rows), or None where they can hardly be told apart."""
        sides, errors = [], []
        for split in ("forget", "holdout"):
            values, groups = _values(evaluation, split, metric), np.array(evaluation.subjects[split], dtype=object)
            there = np.isfinite(values)
            if not there.any():
                return None
            sides.append(float(values[there].mean()))
            errors.append(standard_error(values[there], list(groups[there])))
        if None not in errors and abs(sides[0] - sides[1]) < max(2 * math.hypot(*errors), 1e-9):
            return None
        return tuple(sides)

    def score(self, seen: dict) -> Score:
        """The numbers of a model that `look` gave `seen` of; one whose losses are not finite gets zeros."""
        asked = seen["asked"]
        losses = _values(asked, "forget", "loss")
        if not np.isfinite(losses).all():
            return Score(0.0, None, 0.0, {})
        parts = {}
        for (view, metric), (start, goal) in self.goals.items():
            value = seen[view].metrics["forget"][metric]
            parts[f"{metric} {view}"] = evaluation_metrics.closeness(value, goal, start) if value is not None else 0.0
        if not parts:
            parts["loss"] = evaluation_metrics.closeness(float(losses.mean()), self.level, self.start_loss)
        return Score(evaluation_metrics.harmonic_mean(list(parts.values())), self._privacy(asked),
                     self._utility(seen), parts, self._quality(seen) if self.gated else None)  # fmt: skip

    def _quality(self, seen: dict) -> float | None:
        from scipy.stats import ks_2samp

        ratios = _finite_ratios(seen, "forget")
        return float(ks_2samp(ratios, self.unseen).pvalue) if len(ratios) and len(self.unseen) else None

    @staticmethod
    def _privacy(asked) -> float | None:
        shares = []
        for name in ATTACKS:
            forget, holdout = (_values(asked, split, name) for split in ("forget", "holdout"))
            if len(forget) and len(holdout) and np.isfinite(forget).all() and np.isfinite(holdout).all():
                shares.append(1 - abs(evaluation_metrics.membership_auc(forget, holdout) - 0.5) / 0.5)
        return evaluation_metrics.harmonic_mean(shares) if shares else None

    def _utility(self, seen: dict) -> float:
        shares = [1.0]
        for view, metric in (("asked", "answer_probability"), ("wrong", RATIO)):
            for split in ("retain", "general") if view in self.target else ():
                if before := self.target[view].metrics.get(split, {}).get(metric):
                    shares.append((seen[view].metrics[split][metric] or 0.0) / before)
        return min(shares)


def probe_score(start: dict, seen: dict, level: float) -> tuple[float, float, float]:
    """(value, share of the way to the level, share of the retain probe left) of an evaluation record of the loop.

    The value, for comparing trials at the same part of their way, is the harmonic mean of the closeness of the forget
    probe's loss to the level and of what is left of the retain probe's answer probability.
    """
    begin = start["forget"]["loss"]
    way = (seen["forget"]["loss"] - begin) / max(level - begin, 0.1)
    left = 1.0
    if "retain" in seen:
        left = seen["retain"]["answer_probability"] / max(start["retain"]["answer_probability"], 1e-12)
    value = evaluation_metrics.harmonic_mean([max(0.0, 1 - abs(1 - way)), min(1.0, left)])
    return value, way, left
