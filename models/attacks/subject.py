"""What every attack gets: a model with its rows, a budget, and ways to score it and to undo changes of its weights."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from data.preparation import data_hash, encode_examples
from data.wrong_answers import question_of
from models.forward import generation
from models.scores.evaluating import ModelEvaluation, decoded, evaluate_model, prompt_end, spoken, stop_ids
from models.scores.facts import common_words, fact_recall

SCORED = ("answer_probability", "exact_memorization", "extraction_strength")  # the metrics of `Subject.score`
SAID = ("answer_probability", "fact_recall")  # those of `Subject.ask`
AT_ONCE = 128  # prompts of a batch that generates: short answers of a small model need little memory
FLAG = "attack_"  # before a field's name in a flag
LONGEST = 2048  # tokens of a prompt with other rows before the question


# ---------------------------------------------------------------------------------------------------------------------
# The budget


def _limit(default, text: str, low: float | None = None):
    return field(default=default, metadata={"help": text, "low": low})


@dataclass(frozen=True)
class Budget:
    """The attacker's budget for each model; sized for a 135M model on two cores, so raise it on a GPU.

    Every field is a flag of the scripts that attack, --attack_<field>.
    """

    learning_rates: tuple[float, ...] = _limit(
        (3e-4,), "learning rates of attacks that fine-tune all weights, separated by commas; the best one counts"
    )
    lora_learning_rate: float = _limit(1e-3, "learning rate of the attack that trains an adapter", 0.0)
    steps: int = _limit(10, "steps of attacks that fine-tune; relearning is scored on the way too", 0)
    batch_size: int = _limit(4, "rows per step of attacks that fine-tune", 1)
    rows: int = _limit(40, "forget rows that attacks ask about, evenly spread", 1)
    samples: int = _limit(16, "random answers per row", 1)
    sample_tokens: int = _limit(28, "tokens of a random answer", 1)
    new_tokens: int = _limit(32, "tokens of an answer to another way of asking", 1)
    shots: int = _limit(5, "rows of the same person given before the question", 1)
    soft_tokens: int = _limit(16, "trained embeddings before the answer", 1)
    soft_steps: int = _limit(16, "steps that train these embeddings", 0)
    leak: float = _limit(0.8, "fact recall from which a random answer counts as a leak", 0.0)
    permutations: int = _limit(49, "permutations behind the p-value of the membership probe", 1)
    seed: int = _limit(0, "seed of the attacks", 0)


def budget_flags() -> dict[str, tuple[type, Any, str, float | None]]:
    """{flag without dashes: (type, default, help, lowest value)}; learning rates are text."""
    found = {}
    for setting in dataclasses.fields(Budget):
        default = setting.default
        if isinstance(default, tuple):
            default = ",".join(f"{value:g}" for value in default)
        found[FLAG + setting.name] = type(default), default, setting.metadata["help"], setting.metadata["low"]
    return found


def budget_of(values: Mapping[str, Any]) -> Budget:
    """The budget of flags by name; a flag that is missing or None keeps its default. Raises ValueError."""
    given = {flag: values[flag] for flag in budget_flags() if values.get(flag) is not None}
    if problems := budget_problems(given):
        raise ValueError("\n".join(problems))
    kinds = {flag: kind for flag, (kind, *_) in budget_flags().items()}
    typed = {flag: _rates(value) if kinds[flag] is str else kinds[flag](value) for flag, value in given.items()}
    return Budget(**{flag.removeprefix(FLAG): value for flag, value in typed.items()})


def budget_problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of the budget's flags; other keys are ignored."""
    problems = []
    for flag, (kind, _, _, low) in budget_flags().items():
        value = values.get(flag)
        if kind is str and value is not None and not _rates(value):
            problems.append(f"--{flag} {value}: give numbers above 0 and below 1, separated by commas")
        elif kind is not str and value is not None and value < low:
            problems.append(f"--{flag} {value}: must be at least {low:g}")
    return problems


def _rates(text: str) -> tuple[float, ...]:
    """The learning rates in a text; none if it holds anything else."""
    try:
        found = tuple(float(part) for part in str(text).split(",") if part.strip())
    except ValueError:
        return ()
    return found if all(0 < rate < 1 for rate in found) else ()


# ---------------------------------------------------------------------------------------------------------------------
# Numbers of rows: {metric: {1-based number of a forget row: value}}


def summary(rows: dict[str, dict[int, float]]) -> dict:
    """{metric: mean over the rows or None, "rows": the rows}."""
    means = {name: float(np.mean(list(values.values()))) if values else None for name, values in rows.items()}
    return {**means, "rows": rows}


def joined(parts: Sequence[dict]) -> dict:
    """The summary of results that scored different rows."""
    names = dict.fromkeys(name for part in parts for name in part["rows"])
    rows = {name: {} for name in names}
    for part in parts:
        for name, values in part["rows"].items():
            rows[name] |= values
    return summary({name: dict(sorted(values.items())) for name, values in rows.items()})


def best(found: Sequence[dict]) -> dict:
    """For each metric the result with the highest mean: an attacker keeps the best try."""
    names = dict.fromkeys(name for part in found for name in part["rows"])
    chosen = {name: max(found, key=lambda part: -np.inf if part.get(name) is None else part[name]) for name in names}
    return summary({name: chosen[name]["rows"][name] for name in names})


def spread(examples: list, count: int) -> list:
    """At most `count` evenly spaced examples, so every subject is represented."""
    return [examples[i] for i in np.unique(np.linspace(0, len(examples) - 1, min(count, len(examples))).astype(int))]


def by_subject(examples: Iterable) -> dict[str, list]:
    """The examples of each named subject."""
    found: dict[str, list] = {}
    for example in examples:
        if example.subject is not None:
            found.setdefault(example.subject, []).append(example)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The model


@dataclass(frozen=True)
class Asked:
    """A prompt's token ids, the words in it, and the words that should follow."""

    ids: Any
    question: str
    gold: str


@dataclass(frozen=True)
class Subject:
    """One model under attack; every model gets the same rows and budget.

    benign: text that teaches nothing of the forget set; outsiders: rows of the same kind that no model saw;
    evaluation: the model's own, from which numbers without the attack are taken.
    """

    model: Any
    tokenizer: Any
    forget: list
    retain: list
    max_length: int = 512
    budget: Budget = Budget()
    benign: list = field(default_factory=list)
    outsiders: list = field(default_factory=list)
    evaluation: ModelEvaluation | None = None

    @functools.cached_property
    def _numbers(self) -> dict[int, int]:
        return {id(example): number for number, example in enumerate(self.forget, 1)}

    @functools.cached_property
    def _common(self) -> frozenset[str]:
        return common_words(example.answer for example in self.forget)

    def encode(self, examples: list, max_length: int | None = None):
        """The examples' token rows, with ids and answer starts."""
        return encode_examples(self.tokenizer, examples, max_length or self.max_length)[0]

    def score(self, rows: list, of: list | None = None) -> dict:
        """{metric: mean over `rows`} of the `SCORED` metrics, and "rows": their values per forget row.

        of: the forget rows that `rows` are variants of.
        """
        found = evaluate_model(self.model, self.tokenizer, {"forget": rows}, metrics=SCORED, max_length=self.max_length)
        return self._summary(found, rows if of is None else of, SCORED)

    def ask(self, variants: list, of: list, max_length: int | None = None) -> dict:
        """As `score` for the `SAID` metrics: of `variants`, which ask for the facts of the forget rows `of`."""
        found = evaluate_model(
            self.model, self.tokenizer, {"forget": variants}, metrics=SAID, max_length=max_length or self.max_length,
            max_new_tokens=self.budget.new_tokens,
        )  # fmt: skip
        said = found.generations["forget"]
        values = [None if text is None else self.recall(example, text) for example, text in zip(of, said)]
        found.per_example["forget"]["fact_recall"] = values
        return self._summary(found, of, SAID)

    def _summary(self, found: ModelEvaluation, examples: list, names: Sequence[str]) -> dict:
        numbers, table = [self._numbers.get(id(example)) for example in examples], found.per_example["forget"]
        result = {}
        for name in names:
            values = [value for value in table[name] if value is not None]
            result[name] = float(np.mean(values)) if values else None
        rows = {
            name: {number: value for number, value in zip(numbers, table[name]) if None not in (number, value)}
            for name in names
        }
        return {**result, "rows": rows}

    def recall(self, example, said: str) -> float | None:
        """Share of the words that carry the example's fact that a text says."""
        return fact_recall(question_of(example), example.answer, said, self._common)

    def words_recalled(self, asked: Asked, said: str) -> float | None:
        """As `recall`, of the words that should follow a prompt."""
        return fact_recall(asked.question, asked.gold, said, self._common)

    def row_numbers(self, examples: list) -> list[int]:
        """The 1-based numbers of these forget rows."""
        return [self._numbers[id(example)] for example in examples]

    # -- without the attack

    def unattacked(self, name: str) -> dict[int, float]:
        """{row: value} of a metric on the forget set without an attack: the evaluation's if it has it, else measured.

        Call it while the model is unchanged.
        """
        kept = self.evaluation
        if kept is not None and kept.measured_on.get("forget", {}).get("content") not in (None, self._content):
            kept = None
        values = kept.per_example.get("forget", {}).get(name) if kept is not None else None
        if values is None or len(values) != len(self.forget):
            values = self._measured(name)
        return {number: value for number, value in enumerate(values, 1) if value is not None}

    def untouched(self, examples: list) -> dict:
        """The result of not attacking: the `SCORED` metrics of these forget rows, as `score` gives them.

        An attacker who makes things worse stops, so it is among the tries of which the best counts. Call it while the
        model is unchanged.
        """
        rows = {}
        for name in SCORED:
            values = self.unattacked(name)
            rows[name] = {number: values[number] for number in self.row_numbers(examples) if number in values}
        return summary(rows)

    @functools.cached_property
    def _content(self) -> str:
        return data_hash(self.forget)

    @functools.cached_property
    def _own(self) -> dict[str, list]:
        return {}

    def _measured(self, name: str) -> list:
        if name not in self._own:
            together = SCORED if name in SCORED else (name,)
            found = evaluate_model(
                self.model, self.tokenizer, {"forget": self.forget}, metrics=together, max_length=self.max_length,
                max_new_tokens=self.budget.new_tokens,
            )  # fmt: skip
            self._own.update(found.per_example["forget"])
        return self._own[name]

    # -- prompts

    def asked(self, examples: list, begun: list[str] | None = None) -> list[Asked]:
        """The prompt of each example; with `begun`, each is followed by this opening of its answer."""
        if begun is not None:
            examples = [dataclasses.replace(e, answer=text) for e, text in zip(examples, begun)]
        rows, found = self.encode(examples), [None] * len(examples)
        ends = stop_ids(self.model, self.tokenizer)
        for i, number in enumerate(rows.example_index.tolist()):
            example, ids, start = examples[number], rows.ids_of(i), int(rows.answer_starts[i])
            question, gold = question_of(example), example.answer
            if begun is not None:
                ids = ids[:-1] if int(ids[-1]) in ends else ids
                question = f"{question} {example.answer}"
            else:
                end = prompt_end(example, ids, start)
                if example.prompt is None:  # a raw text is continued from its middle
                    question, gold = (decoded(self.tokenizer, part) for part in (ids[:end], ids[end:]))
                ids = ids[:end]
            found[number] = found[number] or Asked(ids, question, gold)
        return found

    def say(self, prompts: list, new_tokens: int, **sampling) -> list[str]:
        """The model's continuation of each prompt (ids)."""
        ends, limits = stop_ids(self.model, self.tokenizer), [new_tokens] * len(prompts)
        said = generation.generate(self.model, prompts, limits, ends, rows=AT_ONCE, **sampling)
        return [spoken(self.tokenizer, ids) for ids in said]

    @property
    def pad(self) -> int:
        """The id that pads rows; masked by position, so any id will do."""
        return self.tokenizer.pad_token_id or 0

    @property
    def room(self) -> int:
        """Tokens of a row with a long history: the model's context, at most `LONGEST`."""
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or LONGEST
        return max(self.max_length, min(context, LONGEST))


@contextlib.contextmanager
def on_a_copy(model):
    """Lets the caller change weights and buffers of `model`; restores the original tensors afterwards."""
    saved = [(t, t.data, t.requires_grad, t.grad) for t in [*model.parameters(), *model.buffers()]]
    training = model.training
    for tensor, data, *_ in saved:
        tensor.data = data.clone()
    try:
        yield model
    finally:
        restored(saved)
        model.train(training)


def restored(saved: list):
    """Gives tensors back their data, gradients and whether they are trained."""
    for tensor, data, requires_grad, grad in saved:
        tensor.data, tensor.grad = data, grad
        if tensor.requires_grad != requires_grad:
            tensor.requires_grad_(requires_grad)


@contextlib.contextmanager
def frozen(model):
    """Trains nothing of `model` itself, so that gradients reach only what an attack adds; restores it afterwards."""
    saved = [(p, p.data, p.requires_grad, p.grad) for p in model.parameters()]
    for p in model.parameters():
        p.requires_grad_(False)
    try:
        yield model
    finally:
        restored(saved)
