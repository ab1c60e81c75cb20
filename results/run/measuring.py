"""A run's models measured: the unlearned one, and those it is held against, whose results are kept for the next run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import evaluation_metrics
from data import preparation
from data.sampling import spread
from models.store import loading, quantised
from models.store.on_first_use import weights
from models.store.paths import PROJECT, RUNS
from results.run import processes
from results.run.run_folder import say

EVALUATIONS = RUNS / ".evaluations"  # of unchanged models, found again by their hashes
GLANCE = 8  # rows of a set that tell an unfit retrained model before the run


def load_target(config: dict, dtype, tokenizer):
    """The target model as the run unlearns it: in float32, or quantised where that is asked for."""
    model, _ = loading.load_model(
        config["model_name_or_path"], dtype="float32", attn_implementation=config["attn_implementation"], progress=say,
        quantization_config=quantised.settings(config, dtype), tokenizer=tokenizer,
    )  # fmt: skip
    return model


def kept_path(what: str, sets, config: dict, model_hash: str) -> Path:
    """Where the evaluation of an unchanged model is kept: named by its model, rows, settings and code."""
    import hashlib

    hashes = {split: preparation.data_hash(rows) for split, rows in sets.measured.items()}
    sources = [PROJECT / name for name in ("evaluation_metrics.py", "unlearning_algorithm.py")]
    sources += [*sorted((PROJECT / "data").glob("*.py")), *sorted((PROJECT / "models").rglob("*.py"))]
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    settings = [config[name] for name in (what, "max_length", "dtype", "load_in_4bit", "load_in_8bit")]
    key = json.dumps([what, model_hash, hashes, settings, code], sort_keys=True)
    return EVALUATIONS / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def read_kept(path: Path):
    """What was kept there; None for nothing, or for a file that does not read."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def keep(path: Path, result):
    """Keeps a result. It saves time and nothing else: a full disk or a folder of somebody else's costs only that."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
        temporary.replace(path)


class Measured:
    """Evaluations and attack results of a run's models by role, begun with what is kept of the unchanged ones."""

    def __init__(self, config: dict, sets, tokenizer, dtype, progress):
        self.config, self.sets, self.tokenizer, self.dtype, self.progress = config, sets, tokenizer, dtype, progress
        sources = {"target": config["model_name_or_path"], "retrained": config["retrained_model"]}
        self.unchanged = {role: source for role, source in sources.items() if source}
        attacks = "forget" in sets.examples and bool(evaluation_metrics.attack_names(config["attacks"]))
        self.wanted = ("metrics", "attacks") if attacks else ("metrics",)
        self.evaluations, self.attacked, self.glance = {}, {}, None
        for role, source in self.unchanged.items():
            model_hash = loading.model_hash(source)
            found = {what: read_kept(kept_path(what, sets, config, model_hash)) for what in self.wanted}
            if None not in found.values():
                self._take(role, found)

    def _take(self, role: str, found: dict):
        self.evaluations[role] = evaluation_metrics.ModelEvaluation(**found["metrics"])
        self.attacked[role] = found.get("attacks", {})

    def glance_at_retrained(self, folder):
        """Before the target is loaded: what `check_retrained` needs where the two have not been measured yet."""
        if "retrained" in self.unchanged and not all(role in self.evaluations for role in self.unchanged):
            folder.stage("checking retrained")
            with self._loaded("retrained") as model:
                self.glance = self._glance(model, "forget")

    def check_retrained(self, target):
        """Raises UnfitReference for a retrained model that knows the forget set, before anything is trained."""
        if self.glance:
            with weights.computing_in(target, self.dtype):
                if evaluation_metrics.knows_as_well(self._glance(target, "forget"), self.glance):
                    evaluation_metrics.check_retrained(self._glance(target, "forget", "holdout"), self.glance)
        elif "retrained" in self.unchanged:
            evaluation_metrics.check_retrained(self.evaluations["target"], self.evaluations["retrained"])

    def _glance(self, model, *splits):
        """The losses of a few rows of these sets."""
        few = {split: spread(rows, GLANCE) for split, rows in self.sets.measured.items() if split in splits}
        return evaluation_metrics.evaluate_model(
            model, self.tokenizer, few, metrics=["loss"], max_length=self.config["max_length"]
        )

    @contextlib.contextmanager
    def _loaded(self, role: str):
        """An unchanged model, computing in the run's type."""
        if role == "target":
            model = load_target(self.config, self.dtype, self.tokenizer)
        else:
            model, _ = loading.load_model(self.unchanged[role], dtype="float32", progress=say, tokenizer=self.tokenizer)
        model = processes.team().placed(model)
        with weights.computing_in(model, self.dtype):
            yield model

    def measure(self, role: str, model=None):
        """Measures and attacks `model`, in the run's type; without one the unchanged model of that role, to be kept."""
        if model is not None:
            with weights.computing_in(model, self.dtype):
                self.evaluations[role], self.attacked[role] = self._evaluate(model), self._attack(model)
        if role in self.evaluations:
            return
        model_hash = loading.model_hash(self.unchanged[role])
        paths = {what: kept_path(what, self.sets, self.config, model_hash) for what in self.wanted}
        found = {what: read_kept(path) for what, path in paths.items()}
        with self._loaded(role) as model:
            if found["metrics"] is None:
                found["metrics"] = json.loads(self._evaluate(model).to_json())
                keep(paths["metrics"], found["metrics"])
            if "attacks" in paths and found["attacks"] is None:
                found["attacks"] = self._attack(model)
                keep(paths["attacks"], found["attacks"])
        self._take(role, found)

    def _evaluate(self, model):
        """All metrics of one model on every split there is."""
        names = self.config["metrics"]
        metrics = None if names == "all" else [name.strip() for name in names.split(",")]
        return evaluation_metrics.evaluate_model(
            model, self.tokenizer, self.sets.measured, metrics=metrics, max_length=self.config["max_length"],
            progress=self.progress,
        )  # fmt: skip

    def _attack(self, model) -> dict:
        """The attacks asked for on one model; every model gets the same rows and budget."""
        if "attacks" not in self.wanted:
            return {}

        def announce(text: str):
            say(text)
            self.progress(text)

        return evaluation_metrics.run_attacks(
            model, self.tokenizer, self.sets.measured, self.config["attacks"], max_length=self.config["max_length"],
            progress=announce,
        )  # fmt: skip
