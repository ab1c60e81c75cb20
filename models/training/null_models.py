"""Null models: further models trained like the retrained one, each with another seed. Built once, measured once.

    folders = built(Recipe(base, "forget.jsonl", "retain.jsonl"), 5)   # trains what is missing
    evaluations = evaluated(folders, sets, target, ...)                # one model in memory at a time

A model is trained by `unlearning_script.py --method retrain` in a process of its own, and lies in
models/saved/null/<hash of base, rows and settings>-seed-<n>.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from data.preparation import content_hash, data_hash, remove_overlap
from data.reading import read_examples
from models.scores import kept
from models.scores import own as own_metrics
from models.scores.evaluating import ModelEvaluation, evaluate_model
from models.store import loading
from models.store.folders import MANIFEST, ModelError, known_hash, verify_manifest
from models.store.paths import PROJECT, RUNS, SAVED, shown_path
from models.verdict.references import UnfitReference, check_retrained

# how models/people-target and models/people-retrained were made
SETTINGS = {
    "use_peft": True, "lora_r": 16, "lora_alpha": 32, "learning_rate": 1e-3, "num_train_epochs": 8,
    "lr_scheduler_type": "linear", "warmup_steps": 10, "per_device_train_batch_size": 8,
}  # fmt: skip
# what a user's settings may not change: these are set for each model
OURS = (
    "method", "model_name_or_path", "forget_data", "retain_data", "holdout_data", "judging_data", "general_data",
    "seed", "output_dir", "model_output_dir", "ledger", "retrained_model", "continue_from", "attacks", "merge_adapter",
)  # fmt: skip
# the run's own measuring is kept short, because `evaluated` measures
QUICK = {"metrics": "loss", "eval_rows": 4, "probe_rows": 4, "eval_steps": 1000, "live_answers": 0, "save_steps": 40}
SPLITS = ("forget", "judging", "holdout", "retain", "general")  # the sets that a null model is measured on
# two idle cores took 270 s for 8 epochs of 160 rows with 135M parameters
SECONDS_PER_ROW = 270 / (8 * 160 * 134.5e6)


@dataclass(frozen=True)
class Recipe:
    """What null models are made from: the base model, the data, and the settings of `unlearning_script.py`."""

    base: str
    forget_data: str
    retain_data: str
    settings: dict = field(default_factory=lambda: dict(SETTINGS))


def read_settings(path: str | None) -> dict:
    """`SETTINGS`, or the table in a YAML file instead. Raises ModelError with exit code 2 for anything else."""
    if not path:
        return dict(SETTINGS)
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"--null_config {path}: {error.strerror}", 2) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ModelError(f"--null_config {path}: not YAML: {' '.join(str(error).split())}", 2) from None
    if not isinstance(values, dict):
        raise ModelError(f"--null_config {path}: must be a table of settings, such as 'learning_rate: 1e-5'", 2)
    if taken := [name for name in values if name in OURS]:
        raise ModelError(f"--null_config {path}: {', '.join(taken)} cannot be chosen for null models", 2)
    return values


def base_of(*models: str | None) -> str | None:
    """The base of the first of these models that is a LoRA adapter; None if none is. Downloads no base."""
    for name in models:
        places = [Path(os.path.expanduser(name)), PROJECT / name] if name else []
        folder = next((path for path in places if (path / loading.ADAPTER_CONFIG).is_file()), None)
        if folder:
            base = loading.screen_adapter(folder)["base_model_name_or_path"]
            return str(folder / base) if base.startswith(".") and (folder / base).is_dir() else base
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Building


def built(recipe: Recipe, count: int, say=print) -> list[Path]:
    """Folders of `count` null models, seeds 1 to `count`; trains those that do not exist yet, one after another.

    A stopped training continues from its checkpoint. Raises DataError, ModelError and, with the trainer's message and
    exit code, ModelError for a training that fails.
    """
    if count < 2:
        raise ModelError(f"--null {count}: at least 2 null models are needed to see how much they differ", 2)
    labels = {seed: f"null model {seed} of {count}" for seed in range(1, count + 1)}
    return list(_built(recipe, labels, say).values())


def reference(recipe: Recipe, say=print) -> Path:
    """Folder of the retrained model itself: the one of seed 0, beside its null models. Raises like `built`."""
    return _built(recipe, {0: "retrained model"}, say)[0]


def _built(recipe: Recipe, labels: dict[int, str], say) -> dict[int, Path]:
    """{seed: folder} for the seeds of `labels`; trains the models that do not exist yet."""
    rows, name = _name_of(recipe)
    folders = {seed: SAVED / "null" / f"{name}-seed-{seed}" for seed in labels}
    missing = [seed for seed, folder in folders.items() if not _finished(folder, say)]
    seconds = _expected_seconds(recipe, rows)
    for done, seed in enumerate(missing):
        log = RUNS / ".null" / f"{folders[seed].name}.log"
        minutes = f"about {max(1, round(seconds / 60))} min" if seconds else "an unknown time"
        say(
            f"{labels[seed]}: training takes {minutes}{'' if done else ' on two idle cores'} "
            f"({len(missing) - done} to train); log: {shown_path(log)}"
        )
        started = time.perf_counter()
        _train(recipe, seed, folders[seed], log)
        seconds = time.perf_counter() - started
    return folders


def _name_of(recipe: Recipe) -> tuple[int, str]:
    """(rows to train on, a hash of all that decides the weights besides the seed).

    The forget set counts only by the rows that it takes out of the retain set: a null model never sees it.
    """
    forget = read_examples(recipe.forget_data)
    rows, _ = remove_overlap(forget, read_examples(recipe.retain_data), True)
    parts = [loading.model_hash(recipe.base), content_hash(rows), recipe.settings]
    return len(rows), hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _finished(folder: Path, say) -> bool:
    """Whether a folder holds a whole model. Folders are published whole, so only a later change can damage one."""
    if not (folder / MANIFEST).is_file():
        return False
    problems = [text for text in verify_manifest(folder, digest=known_hash) if not text.startswith("README.md")]
    if problems:
        say(f"{shown_path(folder)} has changed since it was saved ({problems[0]}): it is trained again")
    return not problems


def _expected_seconds(recipe: Recipe, rows: int) -> float | None:
    """Seconds of one training on two idle cores, scaled from the bundled people's; None for a model of unknown size."""
    parameters = loading.parameter_count(recipe.base)
    with contextlib.suppress(TypeError, ValueError):
        epochs = float(recipe.settings.get("num_train_epochs", 5))
        steps = int(recipe.settings.get("max_steps", -1))
        seen = steps * int(recipe.settings.get("per_device_train_batch_size", 8)) if steps > 0 else rows * epochs
        return seen * parameters * SECONDS_PER_ROW if parameters else None
    return None


def _command(recipe: Recipe, seed: int, folder: Path, run: Path) -> list[str]:
    """The training's command; it goes on where an earlier one stopped."""
    own = {
        "method": "retrain", "model_name_or_path": recipe.base, "forget_data": recipe.forget_data,
        "retain_data": recipe.retain_data, "holdout_data": "none", "seed": seed, "output_dir": run,
        "model_output_dir": folder, "ledger": "none", "allow_overlap": "true",
    }  # fmt: skip
    again = any(run.glob("checkpoint-*/manifest.json"))
    own |= {"resume_from_checkpoint": "latest"} if again else {"overwrite_output_dir": "true"}
    settings = {**QUICK, **recipe.settings, **own}
    flags = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in settings.items()]
    return [sys.executable, str(PROJECT / "unlearning_script.py"), *flags]


def _train(recipe: Recipe, seed: int, folder: Path, log: Path):
    """Trains one model in a process of its own. Its run folder is removed when the model is saved."""
    run = log.with_suffix("")
    run.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        code = _waited(_command(recipe, seed, folder, run), file)
    if code or not (folder / MANIFEST).is_file():
        text = log.read_text(encoding="utf-8", errors="replace")
        lines = [line.removeprefix("error: ") for line in text.splitlines() if line.startswith("error: ")]
        why = "; ".join(lines) or (text.strip().splitlines() or ["no output"])[-1][:300]
        raise ModelError(f"training of null model {seed} ended with exit code {code}: {why} (log: {shown_path(log)})",
                         code if code > 0 else 1)  # fmt: skip
    shutil.rmtree(run, ignore_errors=True)
    log.unlink(missing_ok=True)


def _waited(command: list[str], output) -> int:
    """The exit code of a process. Ctrl-C and SIGTERM reach it once, and it saves its state before they go on.

    The process has a session of its own: a terminal would send Ctrl-C to both, and the second one ends it at once.
    """
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                               start_new_session=True)  # fmt: skip
    with _interrupted_by_sigterm():
        try:
            return process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            try:
                process.wait()
            except BaseException:
                process.kill()
                process.wait()
                raise
            raise


@contextlib.contextmanager
def _interrupted_by_sigterm():
    """Lets SIGTERM raise KeyboardInterrupt, in the main thread, which alone may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# ---------------------------------------------------------------------------------------------------------------------
# Measuring


def evaluated(
    folders: Sequence[Path],
    sets: dict,
    target: ModelEvaluation | None,
    *,
    metrics=None,
    max_length: int = 512,
    dtype: str = "float32",
    truth_ratio_reduction: str = "geometric",
    splits: Sequence[str] | None = None,
    say=print,
) -> list[ModelEvaluation]:
    """The evaluation of each null model, kept for later calls; one model is in memory at a time.

    Measures the named `splits` of `sets`; without names `SPLITS`, but holdout only without judging rows. Raises
    UnfitReference for a model that knows the forget set as the target does, or whose losses are not finite.
    """
    needed = [split for split in SPLITS if split != "holdout" or not sets.get("judging")]
    wanted = {split: sets[split] for split in splits or needed if sets.get(split)}
    hashes = {split: data_hash(rows) for split, rows in wanted.items()}
    settings = [sorted(metrics) if metrics else None, max_length, dtype, truth_ratio_reduction, own_metrics.code()]
    found = []
    for number, folder in enumerate(folders, 1):
        path = kept.EVALUATIONS / f"{kept.key_of('null', loading.model_hash(folder), hashes, settings)}.json"
        known = kept.read_kept(path)
        if known is None:
            say(f"null model {number} of {len(folders)}: measuring")
            model, tokenizer = loading.load_model(folder, dtype=dtype, progress=lambda _: None)
            measured = evaluate_model(model, tokenizer, wanted, metrics=metrics, max_length=max_length,
                                      truth_ratio_reduction=truth_ratio_reduction)  # fmt: skip
            del model
            known = asdict(measured)
            kept.keep(path, known)
        found.append(ModelEvaluation(**known))
        _check(found[-1], target, folder)
    return found


def _check(evaluation: ModelEvaluation, target: ModelEvaluation | None, folder: Path):
    """Raises UnfitReference for a null model that knows the forget set, or that is broken."""
    name = f"null model {shown_path(folder)}"
    losses = evaluation.per_example.get("forget", {}).get("loss", [])
    if losses and not any(loss is not None and np.isfinite(loss) for loss in losses):
        raise UnfitReference(f"{name}: no forget row has a finite loss, so its training has failed; delete the folder")
    if target is not None:
        try:
            check_retrained(target, evaluation)
        except UnfitReference as error:
            raise UnfitReference(f"{name}, as a retrained model: {error}") from None
