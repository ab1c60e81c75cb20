"""A tiny model that knows its rows, and what the attacks on it need."""

from __future__ import annotations

import hashlib
import importlib.util

import pytest
from tiny_models import facts, make_tiny

import evaluation_metrics as em
from models.attacks import asking, subject

SMALL = em.Budget(
    learning_rates=(1e-3,), steps=6, batch_size=4, rows=12, samples=4, sample_tokens=12, new_tokens=16, soft_steps=4,
    permutations=5,
)  # fmt: skip
OUTSIDERS = facts(("mia", "ned", "oda", "pam"), shift=5)


@pytest.fixture(scope="module")
def known():
    return make_tiny(vocabulary=OUTSIDERS)


@pytest.fixture(scope="module")
def splits(known):
    _, _, examples = known
    return {"forget": examples[:12], "retain": examples[12:], "judging": OUTSIDERS}


@pytest.fixture(scope="module")
def evaluation(known, splits):
    model, tokenizer, _ = known
    return em.evaluate_model(model, tokenizer, splits)


@pytest.fixture
def spoken(monkeypatch, splits):
    """The tiny questions with translations, so that `languages` has something to ask."""
    told = {e.prompt: dict.fromkeys(asking.LANGUAGES, f"{e.prompt} a") for e in splits["forget"]}
    monkeypatch.setattr(asking, "translations", lambda: told)


def attacked_subject(known, splits, budget=SMALL, **more):
    model, tokenizer, _ = known
    return subject.Subject(model, tokenizer, splits["forget"], splits["retain"], budget=budget, **more)


def installed(name):
    package = em.ATTACKS[name].package
    return not package or importlib.util.find_spec(package) is not None


def fingerprint(model) -> tuple:
    """Hashes of all weights and buffers, where they lie, what is trained, and the classes and hooks of all modules."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    hashes = [(name, hashlib.sha256(value.detach().numpy().tobytes()).hexdigest(), value.data_ptr(), value.dtype,
               value.requires_grad, id(value.grad)) for name, value in tensors]  # fmt: skip
    modules = [(name, type(module), module.training, len(module._forward_hooks), sorted(vars(module)))
               for name, module in model.named_modules()]  # fmt: skip
    return hashes, modules
