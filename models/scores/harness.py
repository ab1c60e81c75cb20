"""Tasks of lm-eval (package lm-eval, optional) on a model in memory: published exams under their own names.

A task is a name that lm-eval knows, which it fetches from the hub, or a YAML file of a task, whose data may be local
files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from data.template_trial import watched
from models.store.folders import ModelError

MISSING = "--lm_eval needs the package lm-eval, which is not installed: pip install lm-eval"


def tasks_of(given: str | None) -> list[str]:
    """The tasks of the flag, in order; [] for none."""
    return [name.strip() for name in str(given or "").split(",") if name.strip() and name.strip() != "none"]


def problems(given: str | None) -> list[str]:
    """What is wrong with the flag, before a model is loaded. Names of lm-eval's own tasks are checked by lm-eval."""
    tasks = tasks_of(given)
    files = [task for task in tasks if task.endswith((".yaml", ".yml"))]
    found = [f"--lm_eval {file[:300]}: no such file" for file in files if not Path(file).is_file()]
    return [*([MISSING] if tasks and importlib.util.find_spec("lm_eval") is None else []), *found]


def check(given: str | None) -> None:
    """Raises ModelError (2) for a task that lm-eval cannot load, before a model is."""
    manager = None
    for task in tasks_of(given):
        try:
            from lm_eval.tasks import TaskManager

            manager = manager or TaskManager()  # it reads thousands of files
            manager.load([task])
        except Exception as error:  # lm-eval and datasets raise dozens of types; each means: not available
            raise ModelError(
                f"--lm_eval {task}: lm-eval cannot load it: {' '.join(str(error).split())[:300]}", 2
            ) from None


def identity(given: str | None) -> list:
    """What the numbers depend on besides the model: lm-eval's version, the tasks, and the files that they name."""
    files = [Path(task) for task in tasks_of(given) if Path(task).is_file()]
    files += [named for file in files for named in _data_files(file)]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return [version("lm-eval"), tasks_of(given), hashes]


def _data_files(task: Path) -> Iterator[Path]:
    """The local files under dataset_kwargs of a task's YAML."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads lm-eval's !function and other tags as plain values; runs nothing."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    values = Loader(task.read_text(encoding="utf-8")).get_single_data()
    open_values = [values.get("dataset_kwargs") if isinstance(values, dict) else None]
    while open_values:
        value = open_values.pop()
        if isinstance(value, dict):
            open_values += value.values()
        elif isinstance(value, list):
            open_values += value
        elif isinstance(value, str) and Path(value).is_file():
            yield Path(value)


def measure(model, tokenizer, given: str, limit: int | None = None, batch_size: int = 8) -> dict[str, dict]:
    """{task: {metric: {"value", "stderr" or None}}} of one model, at most `limit` rows of a task, by lm-eval."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    wrapped = HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=batch_size)
    with watched(tokenizer):
        found = lm_eval.simple_evaluate(
            wrapped, tasks=tasks_of(given), limit=limit, bootstrap_iters=1000, log_samples=False,
            apply_chat_template=bool(getattr(tokenizer, "chat_template", None)),
        )  # fmt: skip
    return {task: _numbers(values) for task, values in found["results"].items()}


def _numbers(values: dict) -> dict[str, dict]:
    """lm-eval's "acc,none" and "acc_stderr,none" as {"acc": {"value", "stderr"}}; a named filter stays in the name."""
    found = {}
    for key, value in values.items():
        metric, _, kind = key.partition(",")
        if not _finite(value) or metric.endswith("_stderr") or not kind:
            continue
        stderr = values.get(f"{metric}_stderr,{kind}")
        name = metric if kind == "none" else f"{metric} ({kind})"
        found[name] = {"value": float(value), "stderr": float(stderr) if _finite(stderr) else None}
    return found


def _finite(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def beside(models: dict[str, dict]) -> dict[str, dict]:
    """{"task: metric": {model: value}} for the numbers beside the verdict's rest, from {model: `measure`}."""
    found: dict[str, dict] = {}
    for model, tasks in models.items():
        for task, metrics in tasks.items():
            for metric, number in metrics.items():
                found.setdefault(f"{task}: {metric}", {})[model] = number["value"]
    return found
