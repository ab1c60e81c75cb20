"""A folder with a tiny model that knows its rows, one that never saw some of them, their base, and the rows as files.

world = build(folder); world.flags("npo", folder / "run", "--max_steps=6")
"""

from __future__ import annotations

import json
from pathlib import Path

import tiny_models

from models.methods.table import METHODS
from models.store import saving


class World:
    """The paths of models and data, and the flags of a one-second run on them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.target = folder / "target"
        self.retrained = folder / "retrained"
        self.base = folder / "base"
        self.data = {name: folder / f"{name}.jsonl" for name in ("forget", "retain", "holdout", "general")}

    def flags(self, run: Path, *more: str, without=()) -> list[str]:
        """The flags of a short npo run into `run`; `more` replaces flags of the same name, `without` removes flags."""
        given = {
            "model_name_or_path": self.target,
            **{f"{name}_data": path for name, path in self.data.items()},
            "output_dir": run,
            "model_output_dir": f"{run}-model",
            "method": "npo",
            "max_steps": 6,
            "eval_steps": 2,
            "learning_rate": 1e-3,
            "live_answers": 0,
            "dtype": "float32",
            "early_stop": "false",
            "metrics": "accuracy,loss,answer_probability",
            "eval_rows": 4,
            "probe_rows": 4,
        }
        for word in more:
            name, _, value = word[2:].partition("=")
            given[name] = value
        if given["method"] in METHODS and METHODS[given["method"]].needs_base:
            given.setdefault("base_model", self.base)
        return [f"--{name}={value}" if value != "" else f"--{name}" for name, value in given.items()
                if name not in without]  # fmt: skip


def row(example) -> dict:
    """One line of a data file."""
    return {"question": example.prompt, "answer": example.answer,
            "paraphrased_question": example.paraphrased_question, "paraphrased_answer": example.paraphrased_answer,
            "perturbed_answer": list(example.perturbed_answer), "subject": example.subject}  # fmt: skip


def write_rows(path: Path, examples) -> str:
    """The examples as JSON lines."""
    path.write_text("".join(json.dumps(row(e), ensure_ascii=False) + "\n" for e in examples), encoding="utf-8")
    return str(path)


def without_subjects(world: World, folder: Path) -> World:
    """The same world with a retain set that names nobody, so that a search uses the request's own rows."""
    other = World(world.folder)
    rows = [json.loads(line) for line in world.data["retain"].read_text(encoding="utf-8").splitlines()]
    other.data = {**world.data, "retain": folder / "unnamed.jsonl"}
    other.data["retain"].write_text("".join(json.dumps({**row, "subject": None}) + "\n" for row in rows))
    return other


def build(folder: Path) -> World:
    """Trains and saves the two models (two seconds) and writes the files."""
    world = World(folder)
    everyone = tiny_models.facts()
    sets = {"forget": everyone[:6], "retain": everyone[6:24], "holdout": everyone[24:], "general": everyone[24:30]}
    target, tokenizer, _ = tiny_models.make_tiny([*sets["forget"], *sets["retain"]])
    retrained, _, _ = tiny_models.make_tiny(sets["retain"])
    base, _, _ = tiny_models.make_tiny(sets["general"], epochs=2)
    saving.save_model(base, tokenizer, world.base, "a card")
    saving.save_model(target, tokenizer, world.target, "a card")
    saving.save_model(retrained, tokenizer, world.retrained, "a card")
    for name, rows in sets.items():
        write_rows(world.data[name], rows)
    return world
