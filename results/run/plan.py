"""`--plan`: what a run needs (memory by part, operations, time), printed before anything is downloaded or loaded.

No weight is read: the model is on torch's meta device, which holds shapes without values. The loop plans rows, batches
and steps on that model. Memory and time are estimates; the tests compare them with measured runs.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import unlearning_algorithm as algorithm
from models.forward import packing
from models.forward.layers import chosen_layer
from models.store import adapters, default_model, loading
from models.store.folders import ModelError, quiet, read_json
from models.store.paths import PROJECT
from models.store.screening import screen_config_file
from results.run import processes
from results.run.run_folder import UsageError
from results.run.sets import encode_sets, read_sets

GIB = 2**30
DEFAULT_CONFIG = {  # of the default model, which may not be downloaded yet
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 49152, "hidden_size": 576,
    "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip
BYTES = {"float32": 4, "bfloat16": 2}
QUANTISED = {4: 0.56, 8: 1.02}  # bytes a weight with its scales (NF4 in blocks of 64; int8 by row)
EFFICIENCY = 0.5  # share of the measured matrix rate that a step reaches
STAND_IN = "idk_dpo"  # planned instead of methods whose examples the model itself writes
MARGIN = 1.2  # measured peaks were up to a sixth above the plan
LOOKED_AT = 16  # steps whose batches are built to find the largest
SPANS = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))
NAMES = {
    "program": "the program itself",
    "loading": "extra while loading",
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


@dataclass(frozen=True)
class Shape:
    """A model's weight counts and widths."""

    parameters: int
    embedding: int  # in embeddings and head
    trainable: int
    frozen: int
    matrices: int  # in matrices that can be quantised
    layers: int
    hidden: int
    inner: int
    key_value: int
    heads: int
    vocabulary: int


@dataclass(frozen=True)
class Work:
    """Tokens in one process; `answer` tokens are those with logits."""

    pass_tokens: int  # of the largest forward pass
    pass_answer_tokens: int
    longest: int  # row
    step_tokens: int  # of a mean step
    step_answer_tokens: int
    cached_rows: int  # in the reference cache
    cached_tokens: int
    probe_tokens: int  # of one evaluation of the probes


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
        if not (place / "adapter_config.json").is_file():
            return place
        base = str(read_json(place / "adapter_config.json").get("base_model_name_or_path") or "")
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


def shape_of(config, *, lora: dict | None = None, trainable=None) -> Shape:
    """The sizes of the model that a config describes.

    `lora`, {"r", "target_modules"}, or a method's `trainable(model)` chooses the weights that train; default: all.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet():
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        text = config.get_text_config()
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        outside = {id(p): p.numel() for module in (embedding, head) for p in module.parameters()}
        total = sum(p.numel() for p in model.parameters())
        linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
        matrices = sum(m.weight.numel() for m in linear)
        inner = max((m.out_features for m in linear), default=4 * text.hidden_size)
        if lora:
            wrapped = adapters.add_lora(model, r=lora["r"], target_modules=lora["target_modules"])
            chosen = [p for p in wrapped.parameters() if p.requires_grad]
        else:
            chosen = trainable(model) if trainable else list(model.parameters())
    trained, heads = sum(p.numel() for p in chosen), text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Shape(
        parameters=total,
        embedding=sum(outside.values()),
        trainable=trained,
        frozen=total if lora else total - trained,
        matrices=matrices,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=inner,
        key_value=width * (getattr(text, "num_key_value_heads", None) or heads),
        heads=heads,
        vocabulary=text.vocab_size,
    )


def memory(shape: Shape, work: Work, *, dtype: str, needs: set, snapshots: int = 1, springs: int = 0, flat: bool = True,
           checkpointing: bool = False, quantised: int = 0, shards: int = 1) -> dict[str, float]:  # fmt: skip
    """Bytes in one process by part, at the peak of training.

    needs: what references hold ("nll", "distribution", "activation"). snapshots: kept copies of the trained weights
    (the best state). springs: further copies (an anchor, importances). flat: gradients always take memory of their own;
    otherwise they reuse what activations free. shards: processes among which FSDP divides the weights.
    """
    size, coded = BYTES[dtype], shape.matrices if quantised else 0
    plain = shape.frozen - coded
    activations = _activations(shape, work, size, checkpointing)
    gradients = 4 * shape.trainable / shards
    table = size * work.pass_answer_tokens * shape.vocabulary
    parts = {
        "weights": (4 * (shape.trainable + plain) + QUANTISED.get(quantised, 0) * coded) / shards,
        "compute copies": (size * (shape.trainable + plain) if dtype != "float32" else 0) / shards,
        "gradients": gradients if flat else max(0.0, gradients - activations),
        "optimizer": 8 * shape.trainable / shards,
        "kept states": 4 * shape.trainable * (snapshots + springs) / shards,
        "references": _references(shape, work, needs, size),
        "activations": activations,
        "logits": (4 if "distribution" in needs else 2) * table,
    }
    if shards > 1:  # every process holds the current layer, the embeddings and the head in full
        parts["gathered layers"] = 2 * size * (shape.embedding + (shape.parameters - shape.embedding) / shape.layers)
    return parts


def _references(shape: Shape, work: Work, needs: set, size: int) -> float:
    wide = size * work.cached_tokens * shape.hidden
    return (
        4 * work.cached_rows * bool(needs)
        + wide * len(needs & {"distribution", "activation"})
        + ("distribution" in needs) * size * shape.vocabulary * shape.hidden
    )


def _activations(shape: Shape, work: Work, size: int, checkpointing: bool) -> float:
    """Bytes that the forward pass keeps for the backward pass.

    Per layer about 9 tensors of width d, 4 of the inner width and the attention weights. With checkpointing: every
    layer's input, and one layer in full.
    """
    tokens, seen = work.pass_tokens, 2 * shape.heads * min(work.longest, work.pass_tokens)
    norms = 4 * 4 * shape.hidden  # always in float32
    layer = tokens * (norms + size * (5 * shape.hidden + 2 * shape.key_value + 4 * shape.inner + seen))
    if checkpointing:
        return size * tokens * shape.hidden * shape.layers + layer
    return layer * shape.layers


def step_operations(shape: Shape, work: Work, *, lora: bool = False) -> float:
    """Floating-point operations of a step: per weight and token 2 forward and 4 backward (2 for frozen weights)."""
    body = shape.parameters - shape.embedding
    factor = 4 if lora else 6
    return factor * (body * work.step_tokens + shape.vocabulary * shape.hidden * work.step_answer_tokens)


def matrix_rate(dtype: str, hidden: int, inner: int) -> float:
    """This machine's operations per second on products of the model's size, measured in about half a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    left = torch.randn(256, hidden, device=device).to(getattr(torch, dtype))
    right = torch.randn(hidden, inner, device=device).to(getattr(torch, dtype))
    return 2 * 256 * hidden * inner / _shortest(lambda: left @ right, 0.5)


def memory_rate() -> float:
    """Bytes per second that this machine copies (reads and writes), measured in about a fifth of a second."""
    import torch

    source = torch.ones(1 << 24, device="cuda" if torch.cuda.is_available() else "cpu")
    target = torch.empty_like(source)
    return 8 * len(source) / _shortest(lambda: target.copy_(source), 0.2)


def _shortest(work, seconds: float) -> float:
    """The mean time of four calls, the shortest of many tries within `seconds`."""
    import torch

    work()  # warm-up
    best, started = math.inf, time.perf_counter()
    while best == math.inf or time.perf_counter() - started < seconds:
        began = time.perf_counter()
        for _ in range(4):
            work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - began) / 4)
    return best


def available() -> tuple[str, int]:
    """(the device, its free bytes)."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
    return "this machine", psutil.virtual_memory().available


def resident() -> int:
    """Bytes that this process holds now: the program itself, without a model."""
    import psutil

    return psutil.Process().memory_info().rss


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
    """The work of a planned run, from the batches of its first steps."""
    passes, steps, longest = [(0, 0)], [], 0
    for number in range(min(run.total_steps - run.stages[-1].first, LOOKED_AT)):
        run._enter(run.stages[-1])
        terms = [term for term in run._terms(number) if len(term.indices)]
        found = []
        for rows in _groups(run, terms):
            found.append((_tokens(rows, packed), sum(int(rows.answer_lengths[i]) for rows, i in rows)))
            longest = max(longest, *(int(rows.lengths[i]) for rows, i in rows))
        passes += found
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
        snapshots=int(bool(method.guarded and config["load_best_model_at_end"])), springs=springs, flat=flat,
        quantised=bits, shards=processes if sharded else 1,
    )  # fmt: skip
    # while a model loads, its file and its weights are both in memory; with an adapter this exceeds training
    reading = 0 if bits else 8 * shape.parameters
    parts["loading"] = max(0.0, parts["program"] + reading - sum(parts.values()))
    looks = 2 + run.total_steps // run.eval_steps
    passes = 2 * (shape.parameters - shape.embedding) * (looks * work.probe_tokens + work.cached_tokens * 2)
    operations = run.total_steps * step_operations(shape, work, lora=bool(lora)) + passes / processes
    if method.needs_base:
        operations += proxy_operations(shape, rows, config, lora=bool(lora)) / processes
    return {"parts": parts, "total": sum(parts.values()), "shape": shape, "work": work, "steps": run.total_steps,
            "operations": operations}  # fmt: skip


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
    passes = 2 * tokens * (shape.parameters - shape.embedding + shape.vocabulary * shape.hidden) / rate / EFFICIENCY
    more = f"; measuring takes about {span(passes)}" if measured else ""
    return (
        f"time: about {span(seconds)} of unlearning, estimated from {rate / 1e9:,.0f} GFLOP/s measured now, of which "
        f"a run reaches {EFFICIENCY:.0%}{more}; loading, attacks and saving are not included"
    )


def _training_seconds(found: dict, rate: float) -> float:
    """Seconds of the planned training; `rate`: operations per second."""
    return found["operations"] / rate / EFFICIENCY + found["steps"] * 28 * found["shape"].trainable / memory_rate()


def span(seconds: float) -> str:
    """Seconds as a duration to read."""
    size, unit = next((s, u) for limit, s, u in SPANS if seconds < limit)
    return f"{seconds / size:.1f} {unit}"
