"""`--plan`: what a run needs, said before anything is fetched or loaded, and what to change where it does not fit.

The rows, batches and steps are the run's own: the loop plans them on a model without weights. Memory and time are
estimates (`results.run.plan`), compared with measured runs by the tests.
"""

from __future__ import annotations

import itertools
import os
from types import SimpleNamespace

import numpy as np

import unlearning_algorithm as algorithm
from models.forward import packing
from models.forward.layers import chosen_layer
from models.store.folders import quiet
from models.store.paths import PROJECT
from results.run import plan
from results.run.run_folder import UsageError

STAND_IN = "idk_dpo"  # planned in place of methods whose examples the model itself has yet to write
MARGIN = 1.2  # measured peaks stood up to a sixth above the plan
LOOKED_AT = 16  # steps whose batches are laid out to find the largest
SPANS = ((120, 1, "s"), (7200, 60, "min"), (float("inf"), 3600, "h"))
NAMES = {
    "program": "the program itself",
    "loading": "more, while the model is read",
    "weights": "weights, float32",
    "compute copies": "copy in the type computed in",
    "gradients": "gradients, float32",
    "optimizer": "AdamW's moments",
    "kept states": "best state and anchors kept",
    "references": "reference cache",
    "activations": "activations",
    "logits": "logits and their gradient",
    "gathered layers": "the layer at work, gathered",
}


def check_data(config: dict):
    """Refuses data sets of the hub, since a plan fetches nothing, and a search, which has no method yet."""
    if config["method"] not in algorithm.METHODS:
        raise UsageError(f"--plan plans one method, and --method {config['method']} has still to choose: name one")
    for name in ("forget_data", "retain_data", "holdout_data", "general_data"):
        source = config[name]
        parts = [] if source in (None, "none") or os.path.exists(source) else source.split(",")
        for part in parts:
            if not (os.path.exists(part) or (PROJECT / part).exists()):
                raise UsageError(f"--plan fetches nothing, and --{name} {part} is not here: name a file or a folder")


def encode_roughly(sets):
    """`sets.encoded` for a model whose tokenizer is not here: 4 characters a token, and said so."""
    wanted = [name for name in ("forget", "retain", "holdout") if name in sets.examples]
    sets.encoded = {name: rough_rows(sets.examples[name]) for name in wanted}
    sets.encoded["counterpart"] = sets.encoded.get("forget")
    sets.encoded["retain_counterpart"] = sets.encoded.get("retain")
    sets.notes.append("the model's tokenizer is not here: tokens are counted as 4 characters each")


def rough_rows(examples):
    """Rows of about as many tokens as examples would have, 4 characters each."""
    answers = np.array([max(1, len(example.answer) // 4 + 1) for example in examples])
    prompts = np.array([len(example.prompt or "") // 4 + 8 for example in examples])
    return _Rough(prompts + answers, answers)


class _Rough:
    """Lengths without ids; what the loop's planning asks of rows."""

    def __init__(self, lengths, answer_lengths):
        self.lengths, self.answer_lengths = lengths, answer_lengths
        self.example_index = np.arange(len(lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, indices):
        """The rows at `indices`."""
        return _Rough(self.lengths[indices], self.answer_lengths[indices])

    def ids_of(self, index: int):
        """Ids that no other row shares."""
        return np.arange(self.lengths[index]) + 1_000_000 * (index + 1)


def planned_method(config: dict) -> str:
    """The method that is planned: the run's, or one like it whose rows can be counted without the model."""
    from data.augmentation import AUGMENTATIONS

    kind = algorithm.METHODS[config["method"]].augmentation
    return STAND_IN if kind and AUGMENTATIONS[kind].needs_model else config["method"]


def dry_run(model_config, rows: dict, config: dict, processes: int = 1):
    """The loop with its stages, batches and number of steps, on a model that has no weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), quiet():
        model = AutoModelForCausalLM.from_config(model_config, attn_implementation="eager")
    others = SimpleNamespace(num_processes=processes, process_index=0) if processes > 1 else None
    run = algorithm.Unlearning(model, rows, planned_method(config), config, accelerator=others)
    run.plan()
    return run


def work_of(run, packed: bool) -> plan.Work:
    """The tokens of the largest pass and of a mean step of a planned run, and what its reference cache holds."""
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
    return plan.Work(
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
    """[(set, row)] of each forward pass, as the loop joins the micro-batches of its terms; partners included."""
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


def needs_of(run) -> set:
    """What the references of a planned run hold."""
    return {need for name, need in run._needs() if name and need}


def estimate(config: dict, model_config, rows: dict, processes: int = 1, sharded: bool = False) -> dict:
    """{"parts": bytes by part, "total", "shape", "work", "steps"} of a run with these settings, in one process."""
    import torch

    method = algorithm.METHODS[planned_method(config)]
    lora = {"r": config["lora_r"], "target_modules": config["lora_target_modules"]} if config["use_peft"] else None
    choose = method.trainable and (lambda model: method.trainable(model, chosen_layer(model, config["layer"])))
    shape = plan.shape_of(model_config, lora=lora, trainable=choose)
    run = dry_run(model_config, rows, config, processes)
    gpu = torch.cuda.is_available()
    work = work_of(run, packed=not gpu and not config["gradient_checkpointing"])
    flat = type_of(config) == "float32" or sharded or config["sam_rho"] > 0 or config["gradient_surgery"]
    springs = bool(method.needs_anchor) or config["update_scale"] != 1
    springs = 2 if method.regularizer != "none" and config["regularizer_weight"] else springs
    parts = {"program": plan.resident()} | plan.memory(
        shape, work, dtype=type_of(config), needs=needs_of(run), checkpointing=config["gradient_checkpointing"],
        snapshots=int(bool(method.guarded and config["load_best_model_at_end"])), springs=springs, flat=flat,
        quantised=4 if config.get("load_in_4bit") else 8 if config.get("load_in_8bit") else 0,
        shards=processes if sharded else 1,
    )  # fmt: skip
    # a file that is read and the weights made of it: more than training where an adapter alone trains
    loading_it = 0 if config.get("load_in_4bit") or config.get("load_in_8bit") else 8 * shape.parameters
    parts["loading"] = max(0.0, parts["program"] + loading_it - sum(parts.values()))
    looks = 2 + run.total_steps // run.eval_steps
    passes = 2 * (shape.parameters - shape.embedding) * (looks * work.probe_tokens + work.cached_tokens * 2)
    operations = run.total_steps * plan.step_operations(shape, work, lora=bool(lora)) + passes / processes
    return {"parts": parts, "total": sum(parts.values()), "shape": shape, "work": work, "steps": run.total_steps,
            "operations": operations, "passes": config["gradient_accumulation_steps"]}  # fmt: skip


def type_of(config: dict) -> str:
    """The type that the run computes in here."""
    import torch

    from models.training import weights

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return str(weights.compute_dtype("float32" if config["sam_rho"] else config["dtype"], device)).split(".")[-1]


def changes(config: dict) -> list[tuple[str, dict, dict]]:
    """(flags, settings, options of `estimate`) that need less memory than the run as asked for."""
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


def report(config: dict, model_config, rows: dict, notes: list[str], processes: int = 1, sharded: bool = False) -> str:
    """The plan in words and numbers."""
    found = estimate(config, model_config, rows, processes, sharded)
    shape, work, parts = found["shape"], found["work"], found["parts"]
    device, free = plan.available()
    free = free / (processes if device == "this machine" else 1)
    each = f"in each of {processes} processes" if processes > 1 else "in this process"
    lines = [
        f"plan: {config['model_name_or_path']}, {config['method']}, {type_of(config)} (nothing is fetched or loaded)",
        f"  parameters      {shape.parameters:,}, of which {shape.trainable:,} train"
        + (" (LoRA, on top)" if config["use_peft"] else ""),
        *[f"  {name:15} {len(rows[name]):,} rows, {int(rows[name].lengths.sum()):,} tokens"
          for name in rows if name in ("forget", "retain", "holdout")],
        f"  a step          {work.step_tokens * processes:,} tokens, {work.step_answer_tokens * processes:,} of them "
        f"with loss; {work.pass_tokens:,} tokens in the largest pass",
        f"  the run         {found['steps']:,} steps, {found['steps'] * work.step_tokens * processes:,} tokens",
        *[f"  note: {note}" for note in notes],
        f"memory {each} at the peak of training, GiB (estimate):",
        *[f"  {NAMES[name]:30}{size / plan.GIB:9.2f}" for name, size in parts.items() if size > 0],
        f"  {'together':30}{found['total'] / plan.GIB:9.2f}   free on {device}: {free / plan.GIB:.2f}",
        _time(found, config),
    ]  # fmt: skip
    fits = not free or MARGIN * found["total"] <= free
    lines.append("it fits" if fits else "it does NOT fit; what would change that:")
    if not fits:
        for flags, settings, options in changes(config):
            other = estimate({**config, **settings}, model_config, rows, **{"processes": processes, **options})["total"]
            lines.append(f"  {flags:60}{other / plan.GIB:9.2f}{'   fits' if MARGIN * other <= free else ''}")
    return "\n".join(lines)


def _time(found: dict, config: dict) -> str:
    """About how long unlearning takes, from what the machine multiplies in half a second."""
    shape = found["shape"]
    rate = plan.matrix_rate(type_of(config), shape.hidden, shape.inner)
    seconds = found["operations"] / rate / plan.EFFICIENCY + found["steps"] * 28 * shape.trainable / plan.memory_rate()
    size, unit = next((s, u) for limit, s, u in SPANS if seconds < limit)
    return (
        f"time: about {seconds / size:.1f} {unit} of unlearning, an estimate from {rate / 1e9:,.0f} GFLOP/s measured "
        f"just now ({plan.EFFICIENCY:.0%} of it reached); loading, measuring and saving come on top"
    )
