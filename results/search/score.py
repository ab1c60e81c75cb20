"""What --method auto sees of a trial, and the score it chooses by.

The score follows the verdict (models/verdict/verdict.py), but sees none of the evaluation's paraphrases and wrong
answers. It judges up to `OWN_ROWS` rows of each set, and prefers rows that the final evaluation does not measure. For
the general set it uses texts of the bundled general retain set that no trial trains on. Every row is seen in up to four
views; one teacher-forced pass scores them all:

    asked  the answer after its question
    alone  the answer without its question: finds knowledge that the question no longer triggers
    late   the answer from its rarest word on: finds facts that the start of the sentence no longer triggers
    wrong  the answer beside wrong answers, in which rare words come from other rows of the set (`data.wrong_answers`).
           Both words are equally frequent, so an effect on all answers of the set cancels. What remains is whether the
           model knows which word belongs to which question. The truth ratio is folded, min(R, 1/R): a model that only
           avoids the true words is as far from an unseen row as one that prefers them.

    score      = (1 + H) / 2 with H = harmonic mean of forgetting, privacy and utility; for a model that still knows a
                 row, H / 2 times the share of rows that it does not know. So a row that stayed always costs more than
                 any mean can win. A row is known if its answer probability or extraction strength lies more than half
                 of the way from the highest holdout row to what the target has on it
    forgetting = harmonic mean of closeness(metric): 1 at the target's value on holdout rows, 0 at its value on forget
                 rows, and 0 as far beyond. Metrics: answer probability, exact memorisation and extraction strength
                 asked and alone, answer probability late, truth ratio. A metric is left out if the target's two
                 values differ by less than 2 standard errors.
    privacy    = harmonic mean over the membership attacks of 1 - |AUC - .5| / .5
    utility    = smallest share kept of the target's answer probability and of its truth ratio max(0, 1 - R), on retain
                 rows and general texts

The gate: a KS test compares a trial's truth ratios on forget rows with the target's on holdout rows. A trial that
fails the test (p < `GATE`) ranks behind the others, as in the verdict's forget quality. There is no gate if the target
itself passes the test.

Without a holdout set, forgetting is the closeness of the mean loss to the level that the loop forgets to, and privacy
is left out. A trial is within the budget when its utility is at least --utility_budget.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

import evaluation_metrics
import unlearning_algorithm as algorithm
from data.judging import bare
from data.sampling import spread
from data.wrong_answers import late_answers, wrong_answers
from models.scores.array_scores import harmonic_mean
from models.scores.evaluating import scores
from models.scores.intervals import standard_error
from models.verdict.memory import LEAK, positions

OWN_ROWS = 40  # rows of each set that judge a trial
ENOUGH = 16  # with fewer unmeasured rows than this, measured rows are used too
COMPARED = ("answer_probability", "exact_memorization", "extraction_strength")
ATTACKS = ("loss", "min_k", "min_k_plus_plus", "zlib_ratio")
RATIO = "truth_ratio"
OWN_METRICS = {"wrong": (RATIO,), "late": ("answer_probability",)}  # views that are not scored by all metrics
GATE = 0.05  # p-value of the KS test
TOLD_APART = 0.05  # penalty for failing the gate
NUMBERS = ("forgetting", "privacy", "utility", "score", "quality", "parts", "known")  # of a `Score`, as reported
OVERDRAWN = 5.0  # penalty for utility below the budget, times the missing share


def own_rows(examples: list, measured: list) -> list:
    """Up to `OWN_ROWS` rows, evenly spread: of those not in `measured` if there are `ENOUGH`, else of all."""
    taken = {bare(example) for example in measured}
    others = [example for example in examples if bare(example) not in taken]
    return spread(others if len(others) >= ENOUGH else examples, OWN_ROWS)


@dataclass
class SearchSplit:
    """The rows that judge trials, {view: {set: examples}}, and notes for the report."""

    views: dict
    notes: list

    @property
    def answers(self) -> int:
        """The number of answers that one `look` scores."""
        rows = [row for sets in self.views.values() for split in sets.values() for row in split]
        return sum(1 + bool(row.paraphrased_answer) + len(row.perturbed_answer) for row in rows)


def search_split(examples: dict, measured: dict, general: list) -> SearchSplit:
    """The search's own rows in each view that they support; `general`: texts that no trial trains on.

    `examples`: the sets that steer; `measured`: rows of them that the final evaluation measures.
    """
    asked, notes = {}, []
    everything = {bare(row) for rows in measured.values() for row in rows}
    for split in ("forget", "retain", "holdout"):
        if split in examples:
            rows = own_rows(examples[split], measured.get(split, []))
            asked[split] = [bare(row) for row in rows]
            shared = everything & {*asked[split]}
            notes.append(f"{split}: {len(rows)} rows, " + ("which the evaluation measures too, without its paraphrases"
                         if shared else "none of which the evaluation measures"))  # fmt: skip
    if general:
        asked["general"] = [bare(row) for row in general]
        notes.append(f"general: {len(general)} texts that no trial trains on")
    views, known = {"asked": asked}, [row for rows in asked.values() for row in rows]
    if all(any(row.prompt is not None for row in asked.get(split, [])) for split in ("forget", "holdout")):
        sides = {split: asked[split] for split in ("forget", "holdout")}
        views["alone"] = {split: [_alone(row) for row in rows] for split, rows in sides.items()}
        late = {split: _late(rows, known) for split, rows in sides.items()}
        if all(late.values()):
            views["late"] = late
    wrong = {split: found for split, rows in asked.items() if (found := _with_wrong_answers(rows, known))}
    if wrong:
        views["wrong"] = wrong
        counts = ", ".join(f"{len(rows)} {split}" for split, rows in wrong.items())
        notes.append(f"truth ratio: {counts} rows, with wrong answers made of other rows' words")
    return SearchSplit(views, notes)


def _alone(row):
    return dataclasses.replace(row, prompt=None, history=(), chat=False)


def _late(rows: list, known: list) -> list:
    return [dataclasses.replace(row, answer=end) for row, end in zip(rows, late_answers(rows, known)) if end]


def _with_wrong_answers(rows: list, known: list) -> list:
    """The rows that wrong answers can be made for, with these answers; the true answer replaces the paraphrase."""
    return [
        dataclasses.replace(row, paraphrased_answer=row.answer, perturbed_answer=wrong)
        for row, wrong in zip(rows, wrong_answers(rows, known))
        if wrong
    ]


def look(model, tokenizer, split: SearchSplit, max_length: int) -> dict:
    """{view: ModelEvaluation} of a model on the search's own rows. Nothing is generated."""
    return {
        view: evaluation_metrics.evaluate_model(
            model, tokenizer, sets, metrics=OWN_METRICS.get(view, (*COMPARED, *ATTACKS)), max_length=max_length
        )
        for view, sets in split.views.items()
    }


def _values(evaluation, split: str, metric: str) -> np.ndarray:
    values = evaluation.per_example.get(split, {}).get(metric, [])
    return scores(metric, split, [math.nan if value is None else value for value in values])


def _finite_ratios(seen: dict, split: str) -> np.ndarray:
    """Truth ratios of the view "wrong"; empty without that view."""
    values = _values(seen["wrong"], split, RATIO) if "wrong" in seen else np.array([])
    return values[np.isfinite(values)]


@dataclass(frozen=True)
class Score:
    """One trial's numbers. `parts`: closeness by metric; `quality`: p-value of the gate's KS test.

    `known`: share of the forget rows that are still known.
    """

    forgetting: float
    privacy: float | None
    utility: float
    parts: dict
    quality: float | None = None
    known: float = 0.0

    @property
    def score(self) -> float:
        """From the harmonic mean of forgetting, privacy and utility; below .5 if a row is still known."""
        values = [value for value in (self.forgetting, self.privacy, self.utility) if value is not None]
        whole = harmonic_mean(values)
        return whole / 2 * (1 - self.known) if self.known else (1 + whole) / 2

    @property
    def beyond(self) -> bool:
        """Whether the change went too far: no row is known, and yet one of the numbers is as far off as it can be."""
        return not self.known and 0 in (self.forgetting, self.privacy)

    def objective(self, budget: float) -> float:
        """What the sampler maximises: the score, minus penalties for a failed gate and for utility below `budget`."""
        return self.score - TOLD_APART * told_apart(self.quality) - OVERDRAWN * max(0.0, budget - self.utility)


def told_apart(quality: float | None) -> bool:
    """Whether the KS test can distinguish a model's forget rows from unseen rows."""
    return quality is not None and quality < GATE


class Judge:
    """Scores models against the target, both seen by `look`. `level`: the loss that counts as forgotten."""

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

    @property
    def knows(self) -> bool:
        """Whether the target knows the forget rows better than the holdout rows; True without a holdout set."""
        start, goal = self.goals.get(("asked", "answer_probability"), (0.0, 0.0))
        return start > goal or "holdout" not in self.target["asked"].metrics

    @staticmethod
    def _contrast(evaluation, metric: str) -> tuple[float, float] | None:
        """The target's means on (forget rows, holdout rows); None if they differ by no more than the noise."""
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
        """The numbers of the model that `look` saw. A model with non-finite losses scores 0."""
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
        quality = self._quality(seen) if self.gated else None
        forgetting, known = harmonic_mean(list(parts.values())), self._known(asked)
        return Score(forgetting, self._privacy(asked), self._utility(seen), parts, quality, known)

    def _known(self, asked) -> float:
        """The share of forget rows that are still known, beside what the target has on rows that it never saw."""
        leaks = []
        for metric in ("answer_probability", "extraction_strength"):
            before, after = (_values(evaluation, "forget", metric) for evaluation in (self.target["asked"], asked))
            unseen = _values(self.target["asked"], "holdout", metric)
            if len(before) == len(after) and np.isfinite(unseen).any():
                with np.errstate(invalid="ignore"):
                    leaks.append(positions(before, after, np.full(len(before), np.nanmax(unseen))) > LEAK)
        return float(np.logical_or.reduce(leaks).mean()) if leaks else 0.0

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
        return harmonic_mean(shares) if shares else None

    def _utility(self, seen: dict) -> float:
        shares = [1.0]
        for view, metric in (("asked", "answer_probability"), ("wrong", RATIO)):
            for split in ("retain", "general") if view in self.target else ():
                if before := self.target[view].metrics.get(split, {}).get(metric):
                    shares.append((seen[view].metrics[split][metric] or 0.0) / before)
        return min(shares)


def probe_score(start: dict, seen: dict, level: float) -> tuple[float, float, float]:
    """(value, share of the way to the level, share of the retain probe left), from two evaluation records of the loop.

    The value compares trials at the same point of their training. It is the harmonic mean of the closeness of the
    forget probe's loss to `level` and of the share left of the retain probe's answer probability.
    """
    begin = start["forget"]["loss"]
    way = (seen["forget"]["loss"] - begin) / max(level - begin, 0.1)
    left = 1.0
    if "retain" in seen:
        left = seen["retain"]["answer_probability"] / max(start["retain"]["answer_probability"], 1e-12)
    return harmonic_mean([max(0.0, 1 - abs(1 - way)), min(1.0, left)]), way, left
