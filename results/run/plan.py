"""`--plan`: what a run needs (memory by part, operations, time), printed before anything is downloaded or loaded.

No weight is read: the model is on torch's meta device, which holds shapes without values. The loop plans rows, batches
and steps on that model. Memory and time are estimates; the tests compare them with measured runs.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import unlearning_algorithm as algorithm
from models.forward import packing, teacher_forced
from models.forward.layers import chosen_layer
from models.store import adapters, default_model, loading, quantised
from models.store.folders import ModelError, quiet, read_json
from models.store.paths import PROJECT
from models.store.screening import screen_config_file
from models.training.estimates import (
    BYTES,
    Shape,
    Work,
    available,
    matrix_rate,
    memory,
    memory_rate,
    resident,
    shape_of,
    step_operations,
)
from results.run import processes
from results.run.run_folder import UsageError
from results.run.sets import encode_sets, read_sets

GIB = 2**30
DEFAULT_CONFIG = {  # of the default model, which may not be downloaded yet
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 49152, "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip
STAND_IN = "idk_dpo"  # planned instead of methods whose examples the model itself writes
MARGIN = 1.2  # measured peaks were up to a sixth above the plan
LOOKED_AT = 16  # steps whose batches are built to find the largest
SPANS = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))
NAMES = {
    "program": "the program itself",
    "outside training": "extra while loading or measuring",
    "weights": "weights, float32",
    "compute copies": "compute copy",
    "gradients": "gradients, float32",
    "optimizer": "AdamW's moments",
    "kept states": "best state and anchors kept",
    "references": "reference cache",
    "activations": "activations",
    "logits": "logits and their gradient",
    "gathered layers": "the gathered layer",
}


def local_config(name_or_path):
    """The config of a model in a folder or in the Hugging Face cache. Downloads nothing.

    Raises ModelError, with what to do, for a hub name that is not in the cache.
    """
    from transformers import AutoConfig

    folder = local_folder(name_or_path)
    if folder is None:
        return AutoConfig.for_model(**DEFAULT_CONFIG)
    screen_config_file(folder / "config.json")
    return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def local_folder(name_or_path) -> Path | None:
    """The folder with the model's config.json; for an adapter, its base's. None: default model not downloaded."""
    name = str(name_or_path)
    for _ in range(8):
        place = _place(name)
        if place is None and name == default_model.DEFAULT_BASE:
            return None
        if place is None:
            raise ModelError(
                f"--plan downloads nothing, and config.json of {name} is missing: download this small file first "
                f"(hf download {name} config.json), or name a folder"
            )
        if not (place / adapters.CONFIG).is_file():
            return place
        base = str(read_json(place / adapters.CONFIG).get("base_model_name_or_path") or "")
        name = str(place / base) if base.startswith(".") else base
    raise ModelError(f"{name_or_path}: these adapters name each other as their base")


def _place(name: str) -> Path | None:
    for path in (Path(os.path.expanduser(name)), PROJECT / name):
        if path.is_dir():
            return path
    if name == default_model.DEFAULT_BASE:
        return default_model.FOLDER if default_model.FOLDER.is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(name, "config.json")
    except ValueError:  # no valid hub name
        return None
    return Path(cached).parent if isinstance(cached, str) else None


# ---------------------------------------------------------------------------------------------------------------------
# The run that is planned


def planned(config: dict) -> str:
    """The plan for these settings. Reads only the data and the model's config.json."""
    model_config, sets = _read(config)
    return report(config, model_config, sets.steering.encoded, sets.notes, processes.launched(), processes.sharded(),
                  sets.measured)  # fmt: skip


def seconds_of(*configs: dict) -> list[float]:
    """The estimated seconds of training of each run, from one measurement of this machine, so that they compare.

    Reads only the data and the model's config.json.
    """
    found = []
    for config in configs:
        model_config, sets = _read(config)
        found.append(estimate(config, model_config, sets.steering.encoded, processes.launched(), processes.sharded()))
    rate = matrix_rate(type_of(configs[0]), found[0]["shape"].hidden, found[0]["shape"].inner)
    return [_training_seconds(one, rate) for one in found]


def _read(config: dict):
    """(the model's config, the sets with their rows encoded) of a run."""
    check_data(config)
    model_config, folder = local_config(config["model_name_or_path"]), local_folder(config["model_name_or_path"])
    sets = read_sets(config)
    try:
        tokenizer = loading.load_tokenizer(folder or "")
        encode_sets(sets.steering, tokenizer, {**config, "method": planned_method(config)})
    except ModelError:
        encode_roughly(sets.steering)
    return model_config, sets


def check_data(config: dict):
    """Refuses data sets on the hub, which a plan does not download, and a search, which has no method yet."""
    if config["method"] not in algorithm.METHODS:
        raise UsageError(f"--plan needs one method: --method {config['method']} chooses its method only during the run")
    for name in ("forget_data", "retain_data", "holdout_data", "judging_data", "general_data", "exam_data"):
        source = config[name]
        parts = [] if source in (None, "none") or os.path.exists(source) else source.split(",")
        for part in parts:
            if not (os.path.exists(part) or (PROJECT / part).exists()):
                raise UsageError(f"--plan downloads nothing, and --{name} {part} is missing: name a file or a folder")


def encode_roughly(steering):
    """Fills `steering.encoded` without a tokenizer, with 4 characters per token, and adds a note."""
    encoded = steering.encoded
    for name, rows in steering.examples.items():
        prompts, answers = np.array([rough_tokens(row) for row in rows]).T
        encoded[name] = _Rough(prompts + answers, answers)
    encoded["counterpart"] = encoded.get("forget")
    encoded["retain_counterpart"] = encoded.get("retain")
    steering.notes.append("the model's tokenizer is missing: a token is counted as 4 characters")


def rough_tokens(row) -> tuple[int, int]:
    """(tokens before the answer, tokens of the answer) at 4 characters per token."""
    return len(row.prompt or "") // 4 + 8, len(row.answer) // 4 + 1


def measured_tokens(measured: dict) -> int:
    """Roughly the tokens that measuring one model reads.

    Per row the question once, its answer, paraphrase and wrong answers, and a generated answer as long as the true one;
    judging rows have no generated answer.
    """
    total = 0
    for name, rows in measured.items():
        for row in rows:
            before, answer = rough_tokens(row)
            others = [*filter(None, [row.paraphrased_answer]), *row.perturbed_answer]
            total += before + answer * (1 if name == "judging" else 2) + sum(len(text) // 4 + 1 for text in others)
    return total


class _Rough:
    """Replaces encoded rows: lengths are known, ids are not."""

    def __init__(self, lengths, answer_lengths):
        self.lengths, self.answer_lengths = lengths, answer_lengths
        self.example_index = np.arange(len(lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, indices):
        """The rows at `indices`."""
        return _Rough(self.lengths[indices], self.answer_lengths[indices])

    def ids_of(self, index: int):
        """Placeholder ids that no other row shares."""
        return np.arange(self.lengths[index]) + 1_000_000 * (index + 1)


def planned_method(config: dict) -> str:
    """The run's method, or a similar one whose rows can be counted without the model."""
    from data.augmentation import AUGMENTATIONS

    kind = algorithm.METHODS[config["method"]].augmentation
    return STAND_IN if kind and AUGMENTATIONS[kind].needs_model else config["method"]


def dry_run(model_config, rows: dict, config: dict, processes: int = 1):
    """The loop, planned on a model without weights: its stages, batches and number of steps."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet():
        model = AutoModelForCausalLM.from_config(model_config, attn_implementation="eager")
    others = SimpleNamespace(num_processes=processes, process_index=0) if processes > 1 else None
    method = planned_method(config)
    kind = algorithm.METHODS[method]
    proxy = {kind.trained_set: None} if kind.needs_base else None  # not made for a plan
    run = algorithm.Unlearning(model, rows, method, config, accelerator=others, references=proxy)
    run.plan()
    return run


def work_of(run, packed: bool) -> Work:
    """The work of a planned run, from the batches of its first steps. `packed`: if its model can be."""
    passes, steps, most, longest = [(0, 0)], [], 0, 0
    packed = packed and packing.possible(run.model)
    for number in range(min(run.total_steps - run.stages[-1].first, LOOKED_AT)):
        run._enter(run.stages[-1])
        terms = [term for term in run._terms(number) if len(term.indices)]
        found = []
        for rows in _groups(run, terms):
            found.append((_tokens(rows, packed), sum(int(rows.answer_lengths[i]) for rows, i in rows)))
            longest = max(longest, *(int(rows.lengths[i]) for rows, i in rows))
        passes, most = passes + found, max(most, len(found))
        steps.append(np.sum(found, 0))
    cached = [run.rows[name] for name, need in run._needs() if name and need and name in run.rows]
    probes = [rows for name, rows in run._choose_probe_rows().items()]
    mean = np.mean(steps, 0) if steps else (0, 0)
    return Work(
        pass_tokens=max(tokens for tokens, _ in passes),
        pass_answer_tokens=max(answers for _, answers in passes),
        longest=longest,
        step_tokens=int(mean[0]),
        step_answer_tokens=int(mean[1]),
        step_passes=most,
        cached_rows=sum(len(rows) for rows in cached),
        cached_tokens=int(sum(rows.answer_lengths.sum() for rows in cached)),
        probe_tokens=int(sum(rows.lengths.sum() for rows in probes)),
    )


def _groups(run, terms):
    """Yields [(set, row)] of each forward pass: the loop joins the micro-batches of its terms, partners included."""
    for group in itertools.zip_longest(*(run._micro_batches(term.rows, term.indices) for term in terms)):
        rows = []
        for term, part in zip(terms, group):
            if part is not None:
                rows += [(term.rows, i) for i in part]
                rows += [] if term.partner is None else [(term.partner, i) for i in term.partner_of[part]]
        yield rows


def _tokens(rows: list, packed: bool) -> int:
    if packed:
        return len(packing.lay_out([rows.ids_of(index)[:-1] for rows, index in rows]).ids)
    return len(rows) * max(int(rows.lengths[index]) for rows, index in rows)


def estimate(config: dict, model_config, rows: dict, processes: int = 1, sharded: bool = False) -> dict:
    """What a run with these settings needs in one process.

    Returns {"parts": bytes by part, "total": bytes, "shape", "work", "steps", "operations"}.
    """
    import torch

    method = algorithm.METHODS[planned_method(config)]
    lora = {"r": config["lora_r"], "target_modules": config["lora_target_modules"]} if config["use_peft"] else None
    choose = method.trainable and (lambda model: method.trainable(model, chosen_layer(model, config["layer"])))
    shape = shape_of(model_config, lora=lora, trainable=choose)
    run = dry_run(model_config, rows, config, processes)
    work = work_of(run, packed=not torch.cuda.is_available() and not config["gradient_checkpointing"])
    needs, bits = {need for name, need in run._needs() if name and need}, 0
    if config.get("load_in_4bit") or config.get("load_in_8bit"):
        bits = 4 if config.get("load_in_4bit") else 8
    flat = type_of(config) == "float32" or sharded or config["sam_rho"] > 0 or config["gradient_surgery"]
    springs = bool(method.needs_anchor) or config["update_scale"] != 1
    springs = 2 if method.regularizer != "none" and config["regularizer_weight"] else springs
    parts = {"program": resident()} | memory(
        shape, work, dtype=type_of(config), needs=needs, checkpointing=config["gradient_checkpointing"],
        exact=_exact(config, model_config),
        snapshots=int(bool(method.guarded and config["load_best_model_at_end"])), springs=springs, flat=flat,
        quantised=bits, shards=processes if sharded else 1,
    )  # fmt: skip
    # a model takes more where it is loaded from its file, or measured in the compute type, than where an adapter trains
    size, table = BYTES[type_of(config)], 3 * 4 * teacher_forced.PIECE * shape.vocabulary
    loading_it = (4 + BYTES.get(_stored(model_config), 4)) * shape.parameters
    measuring = (4 + size * (size < 4)) * shape.parameters + table
    outside = 0 if bits else max(loading_it, measuring)
    parts["outside training"] = max(0.0, parts["program"] + outside - sum(parts.values()))
    looks = 2 + run.total_steps // run.eval_steps
    passes = 2 * (shape.parameters - shape.embedding) * (looks * work.probe_tokens + work.cached_tokens * 2)
    operations = run.total_steps * step_operations(shape, work, lora=bool(lora)) + passes / processes
    if method.needs_base:
        operations += proxy_operations(shape, rows, config, lora=bool(lora)) / processes
    return {"parts": parts, "total": sum(parts.values()), "shape": shape, "work": work, "steps": run.total_steps,
            "operations": operations}  # fmt: skip


def _stored(model_config) -> str:
    """The type of a model's weights in its files, according to its config.json."""
    return str(model_config.dtype or "float32").removeprefix("torch.")


def _exact(config: dict, model_config) -> bool:
    """Whether the compute type holds the loaded weights exactly: stored in it, no codes, not merged with an adapter."""
    place = _place(str(config["model_name_or_path"]))
    merged = place is not None and (place / adapters.CONFIG).is_file()
    return _stored(model_config) == type_of(config) and not merged and not hasattr(model_config, quantised.STORED)


def proxy_operations(shape: Shape, rows: dict, config: dict, *, lora: bool = False) -> float:
    """Floating-point operations of training a proxy, all its passes."""
    kept = rows.get("retain_probe", rows["retain"])
    passes = config["proxy_epochs"] * min(config["proxy_rows"], len(kept))
    tokens = {"step_tokens": passes * kept.lengths.mean(), "step_answer_tokens": passes * kept.answer_lengths.mean()}
    return step_operations(shape, SimpleNamespace(**tokens), lora=lora)


def type_of(config: dict) -> str:
    """The name of the type that the run computes in on this machine."""
    import torch

    from models.training import weights

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return str(weights.compute_dtype("float32" if config["sam_rho"] else config["dtype"], device)).split(".")[-1]


def changes(config: dict) -> list[tuple[str, dict, dict]]:
    """(flags, settings, options of `estimate`) that need less memory than the run with `config`."""
    batch, more = config["per_device_train_batch_size"], config["gradient_accumulation_steps"]
    small = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": more * batch}
    saving = {"gradient_checkpointing": True}
    found = [("--dtype=bfloat16", {"dtype": "bfloat16"}, {})] if type_of(config) != "bfloat16" else []
    if batch > 1:
        found.append((f"--per_device_train_batch_size=1 --gradient_accumulation_steps={more * batch}", small, {}))
    if not config["gradient_checkpointing"]:
        found.append(("--gradient_checkpointing", saving, {}))
    if not algorithm.METHODS[config["method"]].full_weights_only:
        adapter = {"use_peft": True}
        if not config["use_peft"]:
            found.append(("--use_peft", adapter, {}))
        found.append(("--use_peft, a row at a time, with --gradient_checkpointing", {**adapter, **small, **saving}, {}))
        rounded = {**adapter, **small, **saving, "load_in_4bit": True, "load_in_8bit": False}
        found.append(("all that with --load_in_4bit", rounded, {}))
    found.append(("FSDP over 8 processes", {}, {"processes": 8, "sharded": True}))
    return found


def report(config: dict, model_config, rows: dict, notes: list[str], processes: int = 1, sharded: bool = False,
           measured: dict | None = None) -> str:  # fmt: skip
    """The plan as text. `measured`: the rows that are evaluated after training, by set."""
    found = estimate(config, model_config, rows, processes, sharded)
    shape, work, parts = found["shape"], found["work"], found["parts"]
    device, free = available()
    free = free / (processes if device == "this machine" else 1)
    each = f"in each of {processes} processes" if processes > 1 else "in this process"
    lines = [
        f"plan: {config['model_name_or_path']}, {config['method']}, {type_of(config)} (downloads and loads nothing)",
        f"  parameters      {shape.parameters:,}, {shape.trainable:,} of them trainable"
        + (" (LoRA, added)" if config["use_peft"] else ""),
        *[f"  {name:15} {len(rows[name]):,} rows, {int(rows[name].lengths.sum()):,} tokens"
          for name in rows if name in ("forget", "retain", "holdout")],
        f"  a step          {work.step_tokens * processes:,} tokens, {work.step_answer_tokens * processes:,} of them "
        f"with loss; {work.pass_tokens:,} tokens in the largest pass",
        f"  the run         {found['steps']:,} steps, {found['steps'] * work.step_tokens * processes:,} tokens",
        *([_measuring(measured, config)] if measured else []),
        *[f"  note: {note}" for note in notes],
        f"memory {each} at the peak of training, GiB (estimate):",
        *[f"  {NAMES[name]:30}{size / GIB:9.2f}" for name, size in parts.items() if size > 0],
        f"  {'total':30}{found['total'] / GIB:9.2f}   free on {device}: {free / GIB:.2f}",
        _time(found, config, measured or {}),
    ]  # fmt: skip
    fits = MARGIN * found["total"] <= free
    lines.append("it fits" if fits else "it does NOT fit; these changes need less memory:")
    if not fits:
        for flags, settings, options in changes(config):
            other = estimate({**config, **settings}, model_config, rows, **{"processes": processes, **options})["total"]
            lines.append(f"  {flags:60}{other / GIB:9.2f}{'   fits' if MARGIN * other <= free else ''}")
    return "\n".join(lines)


def _models(config: dict) -> int:
    """The number of models that the run measures."""
    return 2 + bool(config["retrained_model"])


def _measuring(measured: dict, config: dict) -> str:
    """The line on the rows that are evaluated."""
    counts = ", ".join(f"{name} {len(rows):,}" for name, rows in measured.items())
    return f"  measuring       {counts} rows, on each of {_models(config)} models"


def _time(found: dict, config: dict, measured: dict) -> str:
    """The estimated times of unlearning and measuring, from a measurement of this machine that takes half a second."""
    shape = found["shape"]
    rate = matrix_rate(type_of(config), shape.hidden, shape.inner)
    seconds = _training_seconds(found, rate)
    tokens = _models(config) * measured_tokens(measured)
    passes = 2 * tokens * (shape.parameters - shape.embedding + shape.vocabulary * shape.hidden) / rate
    passes /= efficiency(shape.hidden)
    more = f"; measuring takes about {span(passes)}" if measured else ""
    return (
        f"time: about {span(seconds)} of unlearning, estimated from {rate / 1e9:,.0f} GFLOP/s measured now, of which "
        f"a run reaches {efficiency(shape.hidden):.0%}{more}; loading, attacks and saving are not included"
    )


def efficiency(hidden: int) -> float:
    """The share of the measured matrix rate that a run reaches, by the model's width.

    What a step does besides matrix products grows with the width, the products with its square: the time per operation
    is a + b / hidden. a and b fit LoRA runs of models with widths of 896, 2048 and 3072 (`tests/benchmark_sizes.py`).
    """
    return 1 / (0.97 + 330 / hidden)


def _training_seconds(found: dict, rate: float) -> float:
    """Seconds of the planned training; `rate`: operations per second."""
    shape = found["shape"]
    return found["operations"] / rate / efficiency(shape.hidden) + found["steps"] * 28 * shape.trainable / memory_rate()


def span(seconds: float) -> str:
    """Seconds as a duration to read."""
    size, unit = next((s, u) for limit, s, u in SPANS if seconds < limit)
    return f"{seconds / size:.1f} {unit}"
