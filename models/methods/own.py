"""A method of the user's own: a `Method` in a Python file, checked and added to METHODS.

The checks are the identities that every built-in method keeps. They need no model and take milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

from data.augmentation import AUGMENTATIONS
from models.forward.answers import Answers
from models.forward.reference import Reference
from models.methods import losses
from models.methods.settings import SHARED_SETTINGS, TRAINING_DEFAULTS, TRAINING_SETTINGS, Setting
from models.methods.table import FAMILIES, METHODS, REGULARIZERS, Method
from models.store import own_code
from models.store.folders import ModelError
from models.store.on_first_use import torch

OWN: dict[str, own_code.Own] = {}  # the user's methods in METHODS, by name
TEXTS = ("summary", "paper", "known_failure", "plain", "use_when")
HOOKS = ("forget", "draws", "trainable", "before", "schedule", "update", "after_step", "finish")
ROWS, VOCABULARY, WIDTH = (3, 5, 1), 11, 8  # the random answers of the checks: tokens per row, sizes


def use(source: str) -> Method:
    """The method `source` (file.py:NAME), added to METHODS. Raises ModelError (2) with all of its problems."""
    found = own_code.read(source, "method_from")
    method, what = found.value, f"--method_from {source}"
    if not isinstance(method, Method):
        raise ModelError(
            f"{what}: {found.name} is {type(method).__name__}, expected a Method (from unlearning_algorithm)", 2
        )
    taken = isinstance(method.name, str) and method.name in METHODS and method.name not in OWN
    flaws = [f"{method.name} is a built-in method: choose another name"] if taken else list(problems(method))
    if flaws:
        raise ModelError("\n".join(f"{what}: {flaw}" for flaw in flaws), 2)
    METHODS[method.name], OWN[method.name] = method, found
    return method


def problems(method: Method) -> Iterator[str]:
    """What is wrong with a row of METHODS: its texts, its parts, its settings, and the identities of its loss."""
    flaws = [*_of_texts(method), *_of_parts(method), *_of_settings(method)]
    yield from flaws or _of_loss(method)


def _of_texts(method: Method) -> Iterator[str]:
    if not isinstance(method.name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", method.name):
        yield f"the name {method.name!r} must be small letters, digits and _"
    for name in TEXTS:
        text = getattr(method, name)
        if not isinstance(text, str) or not text.strip():
            yield f"{name} is empty: help and page show it"


def _of_parts(method: Method) -> Iterator[str]:
    known = {
        "family": FAMILIES,
        "reduction": ("token", "row"),
        "retain": losses.RETAIN_LOSSES,
        "regularizer": ("none", *REGULARIZERS),
        "reads": ("logits", "activation"),
        "needs_reference": ("", "sequence", "distribution"),
        "augmentation": ("", *AUGMENTATIONS),
    }
    for name, values in known.items():
        if getattr(method, name) not in values:
            yield f"{name} {getattr(method, name)!r}: must be one of {', '.join(map(repr, values))}"
    for name in HOOKS:
        if getattr(method, name) is not None and not callable(getattr(method, name)):
            yield f"{name} is not a function"
    if method.pairwise and not method.augmentation:
        yield "pairwise needs an augmentation that makes the partner rows"
    if method.forget is None and method.retain == "none" and not method.phases:
        yield "it has neither a forget loss nor a retain loss, so it would train nothing"


def _of_settings(method: Method) -> Iterator[str]:
    general = {**TRAINING_SETTINGS, **SHARED_SETTINGS}
    others = {name: other.name for other in METHODS.values() if other.name != method.name for name in other.own}
    for name, setting in method.own.items():
        if not isinstance(setting, Setting):
            yield f"own[{name!r}] is {type(setting).__name__}, expected a Setting"
        elif not name.isidentifier() or name in general or name in others:
            yield f"own setting {name!r}: {'not a name' if not name.isidentifier() else 'this name is taken'}"
    declared = {**general, **{name: s for name, s in method.own.items() if isinstance(s, Setting)}}
    given = [(name, value) for table in (method.defaults, method.small) for name, value in table.items()]
    own = [(name, s.default) for name, s in method.own.items() if isinstance(s, Setting)]
    for name, value in (*given, *own):
        if name not in declared:
            yield f"setting {name!r} is not declared: add it to own"
        elif flaw := _flaw(declared[name], value):
            yield f"setting {name} {value!r}: {flaw}"


def _flaw(setting: Setting, value) -> str | None:
    kind = float if setting.default is None else type(setting.default)
    if type(value) is not kind:
        return None if value is None and setting.default is None else f"must be {kind.__name__}"
    if setting.choices and value not in setting.choices:
        return f"must be one of {', '.join(map(repr, setting.choices))}"
    if isinstance(value, (int, float)):
        if (setting.low is not None and value < setting.low) or (setting.above is not None and value <= setting.above):
            return "too small"
        if setting.high is not None and value > setting.high:
            return "too large"
    return None


# ---------------------------------------------------------------------------------------------------------------------
# The identities of a forget loss, on random answers


def _of_loss(method: Method) -> Iterator[str]:
    """Its shape, its gradient, and that a row's value depends on no other row of the batch."""
    if method.forget is None:
        return
    try:
        whole, slope = _values(method, range(len(ROWS)))
        again, _ = _values(method, range(len(ROWS)))
        parts = [_values(method, [row])[0] for row in range(len(ROWS))]
    except Exception as error:  # whatever the user's function raises is its problem, told in one line
        yield f"the forget loss fails on random answers: {type(error).__name__}: {error}"
        return
    tokens, rows = sum(ROWS), len(ROWS)
    wanted, each = (tokens, "token") if method.reduction == "token" else (rows, "row")
    if tuple(whole.shape) != (wanted,):
        yield (
            f"the forget loss gives shape {tuple(whole.shape)} for {tokens} tokens of {rows} rows; with reduction "
            f"{each!r} it must give one value per {each}, ({wanted},), and average nothing"
        )
        return
    if not bool(torch.isfinite(whole).all()):
        yield "the forget loss is not finite on random answers"
    elif slope is None or not bool(torch.isfinite(slope).all()):
        yield f"the forget loss has no finite gradient by the {method.reads}: nothing would be trained"
    elif not torch.equal(whole, again):
        yield "the forget loss gives other values for the same answers: it must be a pure function"
    elif not torch.allclose(whole, torch.cat(parts), rtol=1e-4, atol=1e-5):
        yield (
            "a row's forget loss depends on the other rows of its batch, so --per_device_train_batch_size would "
            "change the method: use answers.per_row, and let the loop average"
        )


def _values(method: Method, rows):
    """(the loss of these rows, its gradient by what the method reads or None)."""
    settings = SimpleNamespace(**{**TRAINING_DEFAULTS, **method.published})
    answers, partner = _answers(rows, 1), _answers(rows, 2)
    levels = (method.draws or losses.draw_levels)([], len(ROWS), 2.0, 0)
    control = torch.linspace(-1, 1, WIDTH)
    context = losses.Context(_reference(3), levels, partner, _reference(4), _reference(5), control)
    context.corrupted = SimpleNamespace(logits=_reference(6).logits, is_name=lambda answers: answers.labels % 2 == 0)
    values = method.forget(answers, context, settings)
    read = answers.activation if method.reads == "activation" else answers.logits
    slope = torch.autograd.grad(values.sum(), read, allow_unused=True)[0] if values.requires_grad else None
    return values.detach(), slope


def _answers(rows, seed: int) -> Answers:
    """The random answers of some of the `ROWS` rows; a row's are the same in every batch."""
    made = [torch.Generator().manual_seed(100 * seed + row) for row in rows]
    sizes = [(ROWS[row], generator) for row, generator in zip(rows, made)]
    logits = torch.cat([2 * torch.randn(size, VOCABULARY, generator=g) for size, g in sizes]).requires_grad_()
    activation = torch.cat([torch.randn(size, WIDTH, generator=g) for size, g in sizes]).requires_grad_()
    labels = torch.cat([torch.randint(0, VOCABULARY, (size,), generator=g) for size, g in sizes])
    row = torch.cat([torch.full((size,), place) for place, (size, _) in enumerate(sizes)])
    return Answers(logits, labels, row, len(sizes), torch.tensor(list(rows)), activation, activation)


def _reference(seed: int) -> Reference:
    answers = _answers(range(len(ROWS)), seed)
    offsets = np.concatenate([[0], np.cumsum(ROWS)])
    hidden = answers.logits.detach()
    return Reference(answers.sequence_nll().detach(), hidden, offsets, lambda found: found, answers.activation.detach())
