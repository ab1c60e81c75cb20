"""Measures one model: one teacher-forced pass and one generation pass serve every metric."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from data import sampling
from data.columns import Example
from data.exams import is_exam
from data.messages import without_thought
from data.preparation import data_hash, encode_examples, end_of_turn
from data.wrong_answers import completed, question_of
from models.forward import generation
from models.forward.answers import evaluating
from models.forward.proof import packs
from models.forward.teacher_forced import packed_batches, teacher_forced
from models.scores.facts import common_words, word_counts
from models.scores.intervals import mean_interval
from models.scores.metric_table import (
    BASE_LOSS,
    METRICS,
    NEEDS,
    PERPLEXITY,
    REDUCTIONS,
    REPORTED,
    Measured,
    known_names,
    metric_names,
)

NEW_TOKENS = 200  # maximum tokens generated for one answer
FORGET_SIDE = ("forget", "probes", "holdout")  # see `Metric.folded`
BASE_SETS = ("forget", "holdout", "judging")  # on which the base model's losses are of use: see `add_base_loss`
OPTION_SETS = ("general", "real_authors", "world_facts")  # TOFU's sets of short answers with wrong options
# Inputs (see `Need`) of the metrics that are measured on a set; on other sets all are. The rows of "judging" serve as
# non-members in membership tests; those of "in_context" give the true answer away, so its probability says nothing.
SET_INPUTS = {"judging": frozenset({"answer", "paraphrase"}), "in_context": frozenset({"generation"})}
EXAM_METRICS = ("multiple_choice_accuracy", "option_probability")  # an exam's choices are letters
_ALL_INPUTS = frozenset().union(*(need.inputs for need in NEEDS.values()))


@dataclass
class ModelEvaluation:
    """All metrics of one model: values per set, 95 % intervals, values and generations per example, notes, seconds.

    measured_on: {set: {"content": the rows' hash, "answer tokens", "truth_ratio", "made": the number of rows with made
    wrong answers}}; two evaluations are comparable only if these agree.
    """

    metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    intervals: dict[str, dict[str, list[float] | None]] = field(default_factory=dict)
    per_example: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    generations: dict[str, list[str | None]] = field(default_factory=dict)
    subjects: dict[str, list[str | None]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    measured_on: dict[str, dict] = field(default_factory=dict)

    def to_json(self) -> str:
        """The evaluation as JSON text; every number in it is finite."""
        return json.dumps(dataclasses.asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelEvaluation:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


def evaluate_model(
    model,
    tokenizer,
    splits: dict[str, Sequence[Example]],
    *,
    metrics: Sequence[str] | None = None,
    max_length: int = 512,
    max_new_tokens: int = NEW_TOKENS,
    batch_tokens: int = 2048,
    truth_ratio_reduction: str = "geometric",
    progress: Callable[[str], None] | None = None,
) -> ModelEvaluation:
    """Every metric (or the named ones) of a model on every set.

    splits: {"forget", "retain", "holdout", "general", ...: examples}. `SET_INPUTS` says what some sets are measured
    for. Rows without wrong answers get made ones, see `data.wrong_answers.completed`; the notes and `measured_on` say
    how many. max_new_tokens caps the generated answers, which may otherwise be 1.5 times as long as the longest gold
    answer. batch_tokens: tokens per forward pass. truth_ratio_reduction: a key of `REDUCTIONS`. Raises ValueError for
    an unknown metric or reduction.
    """
    names = metric_names(metrics)
    known_names([truth_ratio_reduction], REDUCTIONS, "truth ratio reductions")
    splits = {split: list(examples) for split, examples in splits.items() if examples}
    result = ModelEvaluation(subjects={split: [example.subject for example in rows] for split, rows in splits.items()})
    wanted = {split: _measurable(split, names) for split in splits}
    clock = [time.perf_counter()]
    jobs, made = _jobs(splits, wanted, result.notes)
    measured: dict[str, list] = {split: [None] * len(rows) for split, rows in splits.items()}
    if jobs:
        rows, report = encode_examples(tokenizer, [job.example for job in jobs], max_length)
        result.notes |= {f"encoding_{number}": note for number, note in enumerate(report.notes, 1)}
        answers = np.array([job.kind == "answer" for job in jobs])[rows.example_index]
        statistics = _statistics(model, tokenizer, rows, answers, batch_tokens, progress)
        starts = _fill_in(measured, tokenizer, jobs, rows, statistics, max_new_tokens, truth_ratio_reduction)
    clock.append(time.perf_counter())
    if generated := [split for split in splits if "generation" in _inputs(wanted[split])]:
        drafts = _drafts({split: measured[split] for split in generated}, starts, rows, max_new_tokens)
        said = _finished(model, tokenizer, list(drafts.values()), progress)
        for (split, number), (text, ended) in zip(drafts, said):
            m = measured[split][number]
            m.generated, m.ended = text, None if m.example.prompt is None else ended
        _add_words(measured[split] for split in generated)
    clock.append(time.perf_counter())
    for split, found in measured.items():
        tokens = sum(len(m.labels) for m in found if m)
        result.measured_on[split] = {
            "content": data_hash(splits[split]), "answer tokens": tokens, "truth_ratio": truth_ratio_reduction,
            "made": made.get(split, 0),
        }  # fmt: skip
        result.generations[split] = [m.generated if m else None for m in found]
        result.per_example[split] = {name: [_value(METRICS[name], m) for m in found] for name in wanted[split]}
    _summarise(result)
    clock.append(time.perf_counter())
    result.seconds = dict(zip(("teacher_forced", "generation", "statistics"), np.diff(clock).tolist()))
    return result


def _measurable(split: str, names: Sequence[str]) -> list[str]:
    """The metrics that are measured on a set, see `SET_INPUTS`; on an exam always the `EXAM_METRICS`."""
    if is_exam(split):
        return list(EXAM_METRICS)
    return [name for name in names if NEEDS[METRICS[name].needs].inputs <= SET_INPUTS.get(split, _ALL_INPUTS)]


def _inputs(names: Sequence[str]) -> set[str]:
    return set().union(*(NEEDS[METRICS[name].needs].inputs for name in names))


# ---------------------------------------------------------------------------------------------------------------------
# The teacher-forced pass


@dataclass
class _Job:
    """One answer to score: its set, the example's number in the set, and the kind of answer."""

    split: str
    number: int
    kind: str | int  # "answer", "paraphrase" or a wrong answer's number
    example: Example  # with this answer


def _jobs(splits: dict, wanted: dict, notes: dict) -> tuple[list[_Job], dict[str, int]]:
    """(all answers to score, {set: rows with made wrong answers}); adds the notes on made answers.

    Paraphrased and wrong answers follow the original question, as in TOFU's code.
    """
    jobs, made = [], {}
    for split, rows in splits.items():
        inputs, options = _inputs(wanted[split]), rows
        if "wrong" in inputs:
            options, note = completed(rows, rows)
            made[split] = sum(a.perturbed_answer != b.perturbed_answer for a, b in zip(options, rows))
            notes.update({f"{split}.options": note} if note else {})
        for number, example in enumerate(rows if inputs else ()):
            jobs.append(_Job(split, number, "answer", example))
            others: list[tuple[str | int, str]] = []
            if "paraphrase" in inputs and example.paraphrased_answer:
                others.append(("paraphrase", example.paraphrased_answer))
            if "wrong" in inputs:
                others += enumerate(options[number].perturbed_answer)
            jobs += [_Job(split, number, kind, dataclasses.replace(example, answer=text)) for kind, text in others]
    return jobs, made


def _statistics(model, tokenizer, rows, detailed, batch_tokens: int, progress=None) -> list:
    """Statistics of each row's answer tokens, see `teacher_forced`."""
    if packs(model, rows, tokenizer.pad_token_id or 0):
        batches = packed_batches(rows, detailed, batch_tokens // 2)  # without padding, fewer tokens hold as many rows
    else:
        batches = sampling.token_budget_batches(rows.lengths, batch_tokens)
    return teacher_forced(model, rows, batches, detailed, tokenizer.pad_token_id or 0, progress)


def _fill_in(measured: dict, tokenizer, jobs, rows, statistics, max_new_tokens, reduction) -> dict[tuple, int]:
    """Fills {split: [Measured, or None for an example without tokens]}; returns {(split, number): its first row}."""
    ends = set(end_of_turn(tokenizer))
    starts: dict[tuple, int] = {}
    others: dict[tuple, dict] = {}  # losses of paraphrased and wrong answers; a long raw text has several rows
    for index, place in enumerate(rows.example_index.tolist()):
        job, piece = jobs[place], statistics[index]
        key = (job.split, job.number)
        if job.kind != "answer":
            others.setdefault(key, {}).setdefault(job.kind, []).append(piece[0])
            continue
        starts.setdefault(key, index)
        labels, before = rows.ids_of(index)[rows.answer_starts[index] :], measured[job.split][job.number]
        found = _scored_row(tokenizer, job.example, piece, labels, ends, max_new_tokens, reduction)
        measured[job.split][job.number] = found if before is None else _joined(before, found)
    for (split, number), pieces in others.items():
        if (row := measured[split][number]) is not None:
            losses = {kind: float(np.concatenate(found).mean()) for kind, found in pieces.items()}
            row.paraphrased_loss = losses.pop("paraphrase", None)
            row.wrong_losses = np.array(list(losses.values())) if losses else None
    return starts


def _scored_row(tokenizer, example, piece, labels, ends, max_new_tokens, reduction) -> Measured:
    nll, predicted, means, stds = piece
    gold, asked, content = example.answer, question_of(example), len(labels)
    if example.prompt is None:
        half = _half(labels)
        gold, asked = decoded(tokenizer, labels[half:][:max_new_tokens]), decoded(tokenizer, labels[:half])
    elif len(labels) > 1 and int(labels[-1]) in ends:
        content -= 1
    predicted = predicted.astype(np.int64)
    return Measured(example, nll, predicted, labels, content, means, stds, gold, asked, reduction=reduction)


def _joined(first: Measured, second: Measured) -> Measured:
    """Joins two rows of one long raw text; keeps the generation of the first row."""
    for name in ("nll", "predicted", "labels", "means", "stds"):
        setattr(first, name, np.concatenate([getattr(first, name), getattr(second, name)]))
    first.content = len(first.labels)
    return first


# ---------------------------------------------------------------------------------------------------------------------
# The generation pass


def _half(labels) -> int:
    """The number of tokens of a raw text that serve as its prompt: half of them."""
    return len(labels) // 2


def prompt_end(example: Example, ids, answer_start: int) -> int:
    """Where generation starts in a row's ids: after the prompt, or in the middle of a raw text."""
    return answer_start + (_half(ids[answer_start:]) if example.prompt is None else 0)


def stop_ids(model, tokenizer) -> set[int]:
    """Token ids that end an answer."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    configured = configured if isinstance(configured, (list, tuple)) else [configured]
    return {int(i) for i in [*end_of_turn(tokenizer), tokenizer.eos_token_id, *configured] if i is not None}


def decoded(tokenizer, ids) -> str:
    """The text of generated ids."""
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


def spoken(tokenizer, ids) -> str:
    """The text of generated ids without the block of thinking that it may begin with."""
    return without_thought(decoded(tokenizer, ids))[1].strip()


def _draft(example: Example, rows, index: int, predicted, limit: int) -> generation.Draft:
    """The draft of a row's generation; a raw text is continued at most to its end."""
    ids, start = rows.ids_of(index), int(rows.answer_starts[index])
    first = prompt_end(example, ids, start)
    return generation.draft(ids[:first], ids[first:], predicted[first - start : len(ids) - start], limit)


def _drafts(measured: dict, starts: dict, rows, max_new_tokens: int) -> dict[tuple, generation.Draft]:
    """The draft of each example's generation.

    An answer may be 1.5 times as long as the longest gold answer of its set. A raw text is continued over the length of
    its second half.
    """
    drafts = {}
    for split, examples in measured.items():
        longest = max((len(m.labels) for m in examples if m and m.example.prompt is not None), default=0)
        for number, m in enumerate(examples):
            if m is None:
                continue
            index = starts[split, number]
            limit = max(24, int(1.5 * longest) + 8)
            if m.example.prompt is None:
                ids = rows.ids_of(index)
                limit = len(ids) - prompt_end(m.example, ids, int(rows.answer_starts[index]))
            drafts[split, number] = _draft(m.example, rows, index, m.predicted, min(max_new_tokens, limit))
    return drafts


def _finished(model, tokenizer, drafts: list[generation.Draft], progress) -> list[tuple[str, bool]]:
    """(text, whether it ended before its limit) of each draft's answer."""
    with evaluating(model):
        said, ended = generation.finish(model, drafts, stop_ids(model, tokenizer), progress)
    return list(zip((spoken(tokenizer, ids) for ids in said), ended))


def _add_words(sets):
    """Adds to each row which words are frequent in its set's true answers, see `models.scores.facts`."""
    for found in sets:
        golds = [m.gold for m in found if m]
        common, counts = common_words(golds), word_counts(golds)
        for m in found:
            if m:
                m.common, m.counts = common, counts


def generate_answers(model, tokenizer, examples, max_new_tokens: int = NEW_TOKENS, max_length: int = 512) -> list[str]:
    """The model's greedy answers to the examples' prompts, in order; a raw text is continued from its middle.

    One pass over the examples' own answers gives the generations as far as they agree with these answers.
    """
    rows, _ = encode_examples(tokenizer, examples, max_length)
    statistics = _statistics(model, tokenizer, rows, np.ones(len(rows), dtype=bool), 2048)
    drafts: dict[int, generation.Draft] = {}
    for index, number in enumerate(rows.example_index.tolist()):
        predicted = statistics[index][1].astype(np.int64)
        drafts.setdefault(number, _draft(examples[number], rows, index, predicted, max_new_tokens))
    said = dict(zip(drafts, _finished(model, tokenizer, list(drafts.values()), None)))
    return [said.get(number, ("",))[0] for number in range(len(examples))]


def add_perplexity(evaluation: ModelEvaluation, judge, tokenizer, splits: dict, max_length: int = 512) -> None:
    """Adds `generation_perplexity` per set: exp(mean loss of the generated answers under `judge`).

    The judge is the base or target model; nonsense has a high perplexity. Empty answers are left out and counted in the
    notes. A set with no other answers gets None, an exam or a set of `SET_INPUTS` no number.
    """
    for split, texts in evaluation.generations.items():
        if split in SET_INPUTS or is_exam(split):
            continue
        rows = [dataclasses.replace(e, answer=text) for e, text in zip(splits[split], texts) if text and e.prompt]
        losses = []
        if rows:
            judged = evaluate_model(judge, tokenizer, {split: rows}, metrics=["loss"], max_length=max_length)
            losses = [value for value in judged.per_example[split]["loss"] if value is not None]
        evaluation.metrics[split][PERPLEXITY.name] = float(np.exp(np.mean(losses))) if losses else None
        if len(losses) < len(texts):
            why = f"left out {len(texts) - len(losses)} of {len(texts)} rows: raw texts and empty answers have none"
            evaluation.notes[f"{split}.{PERPLEXITY.name}"] = why


def base_losses(base, tokenizer, splits: dict, max_length: int = 512) -> dict[str, list[float | None]]:
    """{set of `BASE_SETS`: the loss of each row under the base model}, None where it is not finite.

    Empty for a base model of a smaller vocabulary than the tokenizer's.
    """
    known = {split: splits[split] for split in BASE_SETS if splits.get(split)}
    if base.get_input_embeddings().num_embeddings < len(tokenizer):
        return {}
    found = evaluate_model(base, tokenizer, known, metrics=["loss"], max_length=max_length)
    return {split: table["loss"] for split, table in found.per_example.items()}


def add_base_loss(evaluation: ModelEvaluation, losses: dict[str, list[float | None]]) -> None:
    """Adds `base_losses` to the target's evaluation, for the membership score "loss minus the base model's"."""
    for split, values in losses.items():
        if len(values) == len(evaluation.subjects.get(split, [])):
            present = [value for value in values if value is not None]
            evaluation.per_example[split][BASE_LOSS.name] = values
            evaluation.metrics[split][BASE_LOSS.name] = float(np.mean(present)) if present else None


# ---------------------------------------------------------------------------------------------------------------------
# From rows to sets


def scores(name: str, split: str, values) -> np.ndarray:
    """Per-example values (n,) in the form that the mean of a set uses, see `Metric.folded`."""
    values = np.asarray(values, dtype=np.float64)
    folded = REPORTED[name].folded
    return folded[split not in FORGET_SIDE](values) if folded else values


def _value(metric, m: Measured | None) -> float | None:
    """The metric of one example; None if its input is missing or the value is not finite."""
    if m is None or not NEEDS[metric.needs].given(m):
        return None
    with np.errstate(all="ignore"):  # a broken model's losses overflow
        value = metric.function(m)
    return float(value) if math.isfinite(value) else None


def _summarise(result: ModelEvaluation) -> None:
    """Fills in means, intervals and the notes on missing values."""
    for split, table in result.per_example.items():
        subjects = result.subjects[split]
        result.metrics[split], result.intervals[split] = {}, {}
        for name, values in table.items():
            present = [i for i, value in enumerate(values) if value is not None]
            result.metrics[split][name] = result.intervals[split][name] = None
            if len(present) < len(values):
                missing = f"missing for {len(values) - len(present)} of {len(values)} rows"
                result.notes[f"{split}.{name}"] = f"{missing}: {NEEDS[REPORTED[name].needs].missing}"
            if present:
                found = scores(name, split, [values[i] for i in present])
                interval = mean_interval(found, [subjects[i] for i in present], share=REPORTED[name].share)
                result.metrics[split][name] = float(found.mean())
                if interval:  # no value of a bounded metric lies outside 0 to 1
                    interval = np.clip(interval, 0, 1).tolist() if REPORTED[name].bounded else list(interval)
                result.intervals[split][name] = interval
        if len(set(subjects)) == 1 and subjects[0] is not None:
            result.notes[f"{split}.intervals"] = "only one subject: no interval, because an interval compares subjects"
        elif len(subjects) < 2:
            result.notes[f"{split}.intervals"] = "only one row: no interval"
