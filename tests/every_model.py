"""Small random models of every entry of transformers' causal-LM mapping, built by rules on the names of config fields.

python tests/every_model.py jamba mpt     # builds, checks and prints these entries
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from conftest import every_model_seed

TABLE = Path(__file__).with_name("every_model.md")
SHARD = 24  # entries of a run without the flag
WORDS = ("packed", "packed, own norms", "padded", "padded, all logits", "one at a time")  # of `answers.WAYS`
VOCABULARY = 160  # more than the tiny tokenizer has
MOST = 3_000_000  # weights of a small model
# (pattern of a field's name, small value); the first that matches the whole name counts
SIZES = (
    (r".*vocab_size.*", VOCABULARY),
    (r".*(token_id|token_index|token_idx)", None),  # see `_small`
    (r"(max_position_embeddings|n_positions|n_ctx|.*max_.*position.*|max_seq_len|.*max_sequence_length)", 128),
    (r"attn_layer_offset|.*layer_offset|.*_offset", 1),
    (r".*(period|interval|every.*|layer_freq|_pattern|_step|_frequency)", 2),
    (r"num_nextn_predict_layers|num_mtp.*|.*kv_shared_layers", 0),
    (r".*first_k_dense.*|num_dense_layers", 1),
    (r"(.*num_.*layers|n_layers?|num_layers|.*_layers|.*num_.*blocks|depth)", "layers"),
    (r"rotary_dim", 8),
    (r"index_topk|keep_window_size", 64),  # more than a row's tokens, as in the published models
    (r".*(experts_per_tok|top_?k|topk|moe_k|experts_top_k|num_selected_experts|per_token)", 2),
    (r".*(n_group|n_groups|topk_group|num_expert_group|ngroups)", 1),
    (r".*shared_experts?", 1),
    (r".*experts?", 4),
    (r".*nope_head_dim", 16),
    (r".*(head_dim|d_kv|head_size|kv_channels|d_head|head_width)", 8),
    (r"mamba_n_heads|mamba_num_heads|n_mamba_heads", 8),
    (r".*(key_value_heads|kv_heads|num_key_heads|kv_n_heads|group_num|num_kv)", 2),
    (r".*(heads?|n_head)", "heads"),
    (r".*(rank|lora_dim)", 16),
    (r".*(d_state|state_size|ssm_state.*)", 8),
    (r".*(chunk_size|chunk_length|block_size|block_length)", 8),
    (r".*(window|window_size|sliding_window.*|local_attn.*size)", 8),
    (r".*(intermediate|ffn|inner|mlp|feed_forward|expert).*(size|dim)", 64),
    (r"(ffn_dim|.*_ffn_dim|n_inner|d_ff|dim_ff|width|.*mlp_dim)", 64),
    (r".*(hidden_size|hidden_dim|d_model|n_embd|embed_dim|embedding_size|proj_dim|lru_width|emb_dim|hidden_size_per_.*)",
     "hidden"),
    (r"image_size", 16),
    (r".*patch_size", 4),
)  # fmt: skip
# fields that may be None, or must agree with another field, get these values in the tries that say so
FILLED = {"head_dim": 8, "num_key_value_heads": 4, "layer_types": "full_attention", "num_experts_per_tok": 2,
          "n_group": 1, "topk_group": 1, "n_routed_experts": 4, "n_shared_experts": 1}  # fmt: skip
# sizes to try: layers (None: as many as by default), width, heads, a pattern of fields that keep their default
TRIES = [
    {"layers": layers, "hidden": hidden, "heads": heads, "skip": skip, "filled": filled}
    for layers, hidden, heads, skip, filled in (
        (2, 32, 4, "", False), (2, 64, 4, "", False), (2, 32, 4, ".*head_dim|.*d_head", False), (2, 32, 4, "", True),
        (2, 32, 8, "", False), (2, 64, 8, "", True), (4, 32, 4, ".*_offset|.*period|.*interval", False),
        (6, 32, 4, "", True), (2, 64, 4, ".*heads", False), (None, 32, 4, "", False),
    )
]  # fmt: skip
IDS = {"pad": 0, "eos": 0, "bos": 1}  # the tiny tokenizer's end of turn is its padding


def entries() -> dict[str, str]:
    """{model type: class name} of transformers' mapping of causal language models."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return dict(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()))


def chosen(whole: bool, runs: int) -> tuple[list[str], list[str]]:
    """(the types to check, the types to send through the runner): a seeded part, or all and eight times as many runs.

    EVERY_MODEL_PART=2/4 takes the second quarter of all.
    """
    names = list(entries())
    order = [names[i] for i in np.random.default_rng(every_model_seed()).permutation(len(names))]
    part, parts = map(int, os.environ.get("EVERY_MODEL_PART", "1/1").split("/"))
    return (names[part - 1 :: parts], order[part - 1 : 8 * runs : parts]) if whole else (order[:SHARD], order[:runs])


# ---------------------------------------------------------------------------------------------------------------------
# The table


def write_table(told: dict):
    """Puts these rows into tests/every_model.md. Rows of other families stay if transformers is the same."""
    import transformers

    head = [
        "# Every causal language model of transformers",
        "",
        f"transformers {transformers.__version__}, {len(entries())} entries of its causal-LM mapping, built small with",
        "random weights by `tests/every_model.py`. Made by `python -m pytest tests/test_every_model.py --every_model`.",
        "Rows: how the rows of a step go through the model. Generation: as in `models/forward/generation.py`. Loss and",
        "gradient: the largest difference from the plain computation, as a share of the largest value.",
        "",
        "| family | outcome | rows | generation | loss | gradient | saved and loaded | LoRA |",
        "|---|---|---|---|---|---|---|---|",
    ]
    before = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    lines = {line.split("|")[1].strip(): line for line in before[len(head) :]} if before[2:3] == head[2:3] else {}
    for family, row in told.items():
        row = {name: f"{value:.0e}" if isinstance(value, float) else value for name, value in row.items()}
        cells = [row.get(name, "") for name in ("outcome", "rows", "generation", "loss", "gradient", "saved", "LoRA")]
        lines[family] = f"| {family} | " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
    TABLE.write_text("\n".join([*head, *(lines[name] for name in sorted(lines))]) + "\n", encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------------
# Building


def small_config(model_type: str, **sizes):
    """A config of the type in the sizes of one of `TRIES`."""
    from transformers import CONFIG_MAPPING

    return CONFIG_MAPPING[model_type](**_small_fields(CONFIG_MAPPING[model_type], **sizes))


def _small_fields(kind, **sizes) -> dict:
    given = {}
    with contextlib.suppress(Exception):
        before = kind()
        for name, sub in getattr(kind, "sub_configs", {}).items():
            own = type(value) if (value := getattr(before, name, None)) is not None else sub
            if dataclasses.is_dataclass(own):
                given[name] = _small_fields(own, **sizes)
    count = next((_default(f) for f in dataclasses.fields(kind) if f.name in ("num_hidden_layers", "n_layer")), None)
    layers, skip = sizes["layers"], sizes["skip"]
    for f in dataclasses.fields(kind):
        value = _default(f)
        if f.name in given or (skip and re.fullmatch(skip, f.name)):
            continue
        if sizes["filled"] and f.name in FILLED and (value is None or isinstance(value, int)):
            filled = FILLED[f.name]
            given[f.name] = [filled] * (layers or count) if isinstance(filled, str) else filled
        elif isinstance(value, (list, tuple)) and layers and count and len(value) == count:
            given[f.name] = _few(value, layers)
        elif isinstance(value, int) and not isinstance(value, bool):
            small = _small(f.name, value, sizes)
            if small is not None:
                given[f.name] = small
    return given


def _default(f):
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _few(values, count: int):
    """`count` of the values in order, of as many kinds as fit."""
    kinds = list(dict.fromkeys(map(str, values)))[:count]
    first = {kind: next(i for i, value in enumerate(values) if str(value) == kind) for kind in kinds}
    chosen = sorted(first.values())
    chosen += [i for i in range(len(values)) if i not in chosen][: count - len(chosen)]
    return type(values)(values[i] for i in sorted(chosen))


def _small(name: str, value: int, sizes: dict) -> int | None:
    """The small value of a field, never above its default; None keeps the default."""
    for pattern, small in SIZES:
        if re.fullmatch(pattern, name):
            if small is None:
                return next((i for word, i in IDS.items() if word in name), min(value, VOCABULARY - 1))
            small = sizes.get(small, small)
            return value if small is None else min(small, value)
    return min(value, sizes["hidden"]) if value >= 256 else None


def built(model_type: str):
    """(model, None), or (None, the reason why it cannot be built small).

    Of the sizes that build and compute, the first with all of the default's kinds of layers counts, else the first.
    """
    reasons = []
    for sizes in TRIES:
        model, why = _tried(model_type, **sizes)
        if model is not None:
            break
        reasons.append(why)
    else:
        return None, reasons[0]
    missing = _kinds(type(model.config)()) - _kinds(model.config)
    for layers in (4, 6, 8) if missing else ():
        other, _ = _tried(model_type, **{**sizes, "layers": layers})
        if other is not None and not missing & (_kinds(type(model.config)()) - _kinds(other.config)):
            return other, None
    return model, None


def _tried(model_type: str, **sizes):
    """(model, None) or (None, the reason)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = _one(model_type, **sizes)
            with torch.no_grad():
                model(input_ids=torch.tensor([[5, 6, 7, 8, 9]]), use_cache=False)
    except Exception as error:
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return model, None


def _one(model_type: str, **sizes):
    from transformers import AutoModelForCausalLM

    config = small_config(model_type, **sizes)
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if size > MOST:
        raise ValueError(f"{size:,} weights, more than {MOST:,}")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    stir(model)
    return model


def _kinds(config) -> set:
    return set(getattr(config.get_text_config(), "layer_types", None) or ())


def stir(model, scale: float = 0.05):
    """Adds noise to every weight, so that no bias, sink or gate is zero or one, and no table is constant."""
    with torch.no_grad():
        for p in model.parameters():
            if p.is_floating_point():
                values = torch.randn_like(p) * scale
                p.copy_(torch.where(p.isfinite(), p, torch.zeros_like(p)) + values)


# ---------------------------------------------------------------------------------------------------------------------
# The plain way


def plain_losses(model, rows):
    """(B,) summed losses of the rows' answers: one row at a time, the model's own forward, torch's cross entropy."""
    found = []
    for i in range(len(rows)):
        ids = torch.tensor(rows.ids_of(i), dtype=torch.long)
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
        start = int(rows.answer_starts[i])
        found.append(F.cross_entropy(logits[start - 1 :].float(), ids[start:], reduction="sum"))
    return torch.stack(found)


def plain_greedy(model, prompt, count: int) -> tuple[list[int], list[float]]:
    """(greedy tokens by a loop without cache, how far each is above the second best as a share of the largest)."""
    ids, margins = torch.tensor(np.asarray(prompt), dtype=torch.long), []
    with torch.no_grad():
        for _ in range(count):
            logits = model(input_ids=ids[None], use_cache=False).logits[0, -1]
            top = logits.topk(2).values
            margins.append(float((top[0] - top[1]) / logits.abs().max()))
            ids = torch.cat([ids, logits.argmax()[None]])
    return ids[len(prompt) :].tolist(), margins


def gradients(model, losses) -> dict:
    """{weight: gradient of the summed losses}."""
    model.zero_grad()
    losses.sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def apart(found: dict, truth: dict) -> tuple[float, str]:
    """The largest difference of two sets of gradients as a share of a tensor's largest value, and the tensor's name."""
    whole = max(float(grad.abs().max()) for grad in truth.values())
    worst = (0.0, "")
    for name, grad in truth.items():
        other = found.get(name, torch.zeros_like(grad))
        size = float(grad.abs().max()) + 1e-2 * whole
        worst = max(worst, (float((other - grad).abs().max()) / size, name))
    return worst


def is_causal(model, rows) -> bool:
    """Whether the model computes from ids alone, and a row's logits stay when its last tokens are cut off."""
    ids = torch.tensor(rows.ids_of(0), dtype=torch.long)
    try:
        with torch.no_grad():
            whole, part = (model(input_ids=some[None], use_cache=False).logits[0] for some in (ids, ids[:-3]))
    except Exception:
        return False
    same = whole.shape[0] == len(ids) and part.shape[0] == len(ids) - 3
    return same and bool((whole[:-3] - part).abs().max() < 1e-3 * whole.abs().max())


# ---------------------------------------------------------------------------------------------------------------------
# Faults


def spoil(model, what: str, monkeypatch):
    """Gives a Llama a peculiarity that one of the fast ways does not have."""
    from models.forward import cpu_paths, packed_attention

    if what == "rotary":  # turns the other way round
        monkeypatch.setattr(cpu_paths, "_same", lambda ours, own: True)
        apply = cpu_paths._Rotary.apply
        monkeypatch.setattr(cpu_paths._Rotary, "apply", lambda values, cos, sin: apply(values, cos, -sin))
    elif what == "packed":  # a gradient that only packed attention gets wrong
        per_token = packed_attention._Gather.per_token
        monkeypatch.setattr(packed_attention._Gather, "per_token", lambda self, rows: 1.1 * per_token(self, rows))
    else:
        monkeypatch.setattr(type(model), "_supports_attention_backend", False)
        if what == "head":  # its hooks are not called
            monkeypatch.setattr(torch.nn.Linear, "__call__", lambda self, *given: self.forward(*given))
        else:  # all rows of a batch change with the first
            table = model.get_input_embeddings()
            table.register_forward_hook(lambda _m, _a, found: found + found[0].mean() if len(found) > 1 else None)


def spoil_generation(model, what: str, monkeypatch):
    """Gives a Llama a fault that only some ways of generation meet."""
    from transformers import DynamicCache

    from models.forward import generation

    if what == "prefix":  # a token that the prompts do not share counts as shared
        shared = generation._shared_prefix
        monkeypatch.setattr(generation, "_shared_prefix", lambda *given: (found := shared(*given)) + (found > 1))
    elif what == "rows of a cache":  # the cache keeps other rows than it was told
        select = DynamicCache.batch_select_indices
        monkeypatch.setattr(DynamicCache, "batch_select_indices", lambda cache, rows: select(cache, rows.flip(0)))
    elif what == "padding":  # it is attended to
        own = model.forward

        @functools.wraps(own)
        def unmasked(**given):
            mask = given.get("attention_mask")
            return own(**given) if mask is None or bool(mask.all()) else own(**{**given, "attention_mask": None})

        monkeypatch.setattr(model, "forward", unmasked)
    else:  # the second token after a prompt is computed wrongly
        steps = []

        def wrong(_module, args, found):
            steps.append(args[0].shape[1])
            return found.flip(-1) if steps[-2:] == [1, 1] else None

        model.get_input_embeddings().register_forward_hook(wrong)
