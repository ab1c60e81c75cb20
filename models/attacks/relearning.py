"""Relearning: a little training of all weights or of an adapter, on some forgotten rows or on harmless text."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from data.reading import read_examples
from models.attacks.subject import Subject, best, by_subject, frozen, joined, on_a_copy, spread, summary
from models.forward.answers import answer_outputs, unwrapped
from models.store.paths import PROJECT

CURVE = (0.3, 1.0)  # shares of the steps at which a relearning curve is scored
END = (1.0,)
TEXT = PROJECT / "data" / "general_retain.jsonl"
RANK, ALPHA = 16, 32.0  # of the adapter


def points_of(steps: int, shares: tuple[float, ...]) -> tuple[int, ...]:
    """The steps at which the model is scored, rising; (0,) for no steps."""
    return tuple(sorted({max(min(steps, 1), round(share * steps)) for share in shares}))


def drawn(count: int, steps: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """The row numbers of each step: epoch after epoch without replacement."""
    draw = np.random.default_rng(seed)
    epochs = -(-steps * batch_size // count)
    order = np.concatenate([draw.permutation(count) for _ in range(epochs)] or [np.zeros(0, int)])
    yield from (order[step * batch_size : (step + 1) * batch_size] for step in range(steps))


def fine_tune(
    model, rows, *, learning_rate: float, steps: int, batch_size: int, seed: int, pad_token_id: int,
    look: Callable[[int], None] | None = None, points: tuple[int, ...] = (),
):  # fmt: skip
    """Plain fine-tuning on the answers of `rows` in place: AdamW, constant learning rate, fp32 master weights.

    look(step) is called after each of the steps `points`; 0 is before the first.
    """
    import torch

    from models.training.weights import FlatAdamW

    if look and 0 in points:
        look(0)
    if not steps:
        return
    for p in model.parameters():
        p.requires_grad_(p.is_floating_point())
    optimizer = FlatAdamW(model, compute_dtype=next(model.parameters()).dtype)
    model.eval()  # no dropout, so equal budgets give equal steps
    try:
        for step, batch in enumerate(drawn(len(rows), steps, batch_size, seed), 1):
            with torch.enable_grad():
                optimizer.zero_grad()
                answer_outputs(model, rows.batch(batch, pad_token_id)).token_nll().mean().backward()
            optimizer.gather()
            optimizer.step(learning_rate, min(1.0, 1.0 / (optimizer.grad_norm() + 1e-6)))
            if look and step in points:
                look(step)
    finally:
        optimizer.release()


# ---------------------------------------------------------------------------------------------------------------------
# Which rows are taught, and which are scored


def halves(examples: list) -> tuple[list, list]:
    """(first, second half) of the examples by subject, in order of appearance; by row if fewer than two are named."""
    subjects = list(dict.fromkeys(e.subject for e in examples if e.subject is not None))
    if len(subjects) > 1 and all(e.subject is not None for e in examples):
        chosen = set(subjects[: len(subjects) // 2])
        return [e for e in examples if e.subject in chosen], [e for e in examples if e.subject not in chosen]
    return examples[::2], examples[1::2]


def halves_of_each(examples: list) -> tuple[list, list]:
    """(first, second half): every other row of each subject with at least two rows."""
    persons = [rows for rows in by_subject(examples).values() if len(rows) > 1]
    return [e for rows in persons for e in rows[::2]], [e for rows in persons for e in rows[1::2]]


def crossed(parts: tuple[list, list]) -> list[tuple[list, list]]:
    """[(taught, scored), ...] in which each row is scored once; empty if a half is empty."""
    first, second = parts
    return [(first, second), (second, first)] if first and second else []


# ---------------------------------------------------------------------------------------------------------------------
# The attacks


def _taught(subject: Subject, folds: list[tuple[list, list]], shares: tuple[float, ...]) -> list[dict[int, dict]]:
    """For each learning rate {step: summary of all scored rows} of training on each fold's first part; from step 0."""
    budget, curves = subject.budget, []
    points = points_of(budget.steps, shares)
    untouched = joined([subject.untouched(scored) for _, scored in folds])
    for learning_rate in budget.learning_rates:
        parts: dict[int, list] = {step: [] for step in points}
        for taught, scored in folds:
            rows = subject.encode(taught)
            with on_a_copy(subject.model):
                fine_tune(
                    subject.model, rows, learning_rate=learning_rate, steps=budget.steps, points=points,
                    batch_size=budget.batch_size, seed=budget.seed, pad_token_id=subject.pad,
                    look=lambda step, scored=scored, parts=parts: parts[step].append(subject.score(scored)),
                )  # fmt: skip
        curves.append({0: untouched} | {step: joined(found) for step, found in parts.items()})
    return curves


def area(curve: dict[int, dict[int, float]]) -> dict[int, float]:
    """{row: mean height of its curve from step 0 to the last}, by the trapezoid rule; curve: {step: {row: value}}.

    A curve that stays where it began has that height.
    """
    steps = sorted(curve)
    if len(steps) < 2:
        return dict(curve[0])
    rows = sorted(set.intersection(*(set(values) for values in curve.values())))
    return {row: float(np.trapezoid([curve[step][row] for step in steps], steps) / steps[-1]) for row in rows}


def relearning(subject: Subject) -> dict:
    """Fine-tunes on half of the forget subjects and scores the other half, then the halves change places.

    The highest value over the learning rates and the points of the curve, step 0 among them, counts. relearning_area:
    the mean height of the answer probability's curve over the steps. Lynch et al. 2024 (arXiv:2402.16835).
    """
    folds = crossed(halves(subject.forget))
    if not folds:
        return {}
    curves = _taught(subject, folds, CURVE)
    found = best([values for curve in curves for values in curve.values()])
    heights = [{step: values["rows"]["answer_probability"] for step, values in curve.items()} for curve in curves]
    areas = best([summary({"relearning_area": area(curve)}) for curve in heights])
    at = {
        f"answer_probability_at_{step}": best([curve[step] for curve in curves])["answer_probability"]
        for step in curves[0]
    }
    return {**found, **areas, **at, "rows": found["rows"] | areas["rows"]}


def same_person_relearning(subject: Subject) -> dict:
    """As relearning, but teaches every other row of each person and scores that person's other rows.

    Rows of one person share their words, so this asks whether a person is forgotten or only the asked questions. The
    halves do not change places, because half of the rows already speak for every person. Empty without subjects.
    """
    folds = crossed(halves_of_each(subject.forget))[:1]
    return best([values for curve in _taught(subject, folds, END) for values in curve.values()]) if folds else {}


def benign_relearning(subject: Subject) -> dict:
    """Fine-tunes on general text that holds nothing of the forget set and scores it. Hu et al. 2024 (arXiv:2406.13356).

    Other text than the target's own retain rows, because training on these repeats the target's training.
    """
    text = _harmless(subject)
    if not text:
        return {}
    curves = _taught(subject, [(text, subject.forget)], END)
    return best([values for curve in curves for values in curve.values()])


def harmless_text(retain_source: str | None) -> list:
    """The bundled general rows; none if the retain set holds them, because then a model may have been trained on them.

    retain_source: what --retain_data names.
    """
    if not TEXT.is_file() or TEXT.name in str(retain_source or ""):
        return []
    return list(read_examples(str(TEXT)))


def _harmless(subject: Subject) -> list:
    """As many rows of the harmless text as the steps need."""
    text = subject.benign or subject.retain
    return spread(text, max(1, subject.budget.steps * subject.budget.batch_size)) if text else []


@contextlib.contextmanager
def adapter(model, name: str = "attack"):
    """Yields the trainable weights of a new LoRA adapter on all linear layers but the head; removes it afterwards.

    An adapter that the model already has stays active beside it.
    """
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    inner = unwrapped(model)
    attributes, modules = dict(vars(inner)), dict(inner.named_modules())
    adapted = {path: module for path, module in modules.items() if isinstance(module, BaseTunerLayer)}
    active = {path: list(module.active_adapters) for path, module in adapted.items()}
    linear = [
        path for path, module in modules.items()
        if (isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D")
        and module is not inner.get_output_embeddings() and not any(path.startswith(f"{outer}.") for outer in adapted)
    ]  # fmt: skip
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is an adapter already
            torch.manual_seed(0)
            config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=[*adapted, *linear])
            inject_adapter_in_model(config, inner, name)
        for path, module in adapted.items():
            module.set_adapter([*active[path], name])
        weights = [p for path, p in inner.named_parameters() if f".{name}." in path]
        for p in inner.parameters():
            p.requires_grad_(False)
        for p in weights:
            p.data = p.data.float()  # AdamW's small steps would be lost in bf16
            p.requires_grad_(True)
        yield weights
    finally:
        for path, module in list(inner.named_modules()):
            if path in adapted:
                module.delete_adapter(name)
                module.set_adapter(active[path])
            elif isinstance(module, BaseTunerLayer):
                parent, _, child = path.rpartition(".")
                setattr(inner.get_submodule(parent), child, module.get_base_layer())
        vars(inner).clear()
        vars(inner).update(attributes)


def descend(model, rows, weights: list, *, learning_rate: float, steps: int, batch_size: int, seed: int, pad: int,
            look: Callable[[int], None] | None = None, points: tuple[int, ...] = ()):  # fmt: skip
    """AdamW on the few tensors `weights` with the answer loss of `rows`; `look` and `points` as in `fine_tune`."""
    import torch

    if look and 0 in points:
        look(0)
    optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    for step, batch in enumerate(drawn(len(rows), steps, batch_size, seed), 1):
        with torch.enable_grad():
            optimizer.zero_grad()
            answer_outputs(model, rows.batch(batch, pad)).token_nll().mean().backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if look and step in points:
            look(step)


def lora_relearning(subject: Subject) -> dict:
    """As benign_relearning, but trains a LoRA adapter: what a user of the model would do to adapt it.

    Hu et al. 2021 (arXiv:2106.09685); rank 16 on all linear layers.
    """
    text, budget = _harmless(subject), subject.budget
    if not text:
        return {}
    found = [subject.untouched(subject.forget)]
    rows = subject.encode(text)
    subject.model.eval()
    with frozen(subject.model), adapter(subject.model) as weights:
        descend(
            subject.model, rows, weights, learning_rate=budget.lora_learning_rate, steps=budget.steps,
            batch_size=budget.batch_size, seed=budget.seed, pad=subject.pad, points=points_of(budget.steps, END),
            look=lambda step: found.append(subject.score(subject.forget)),
        )  # fmt: skip
    return best(found)
