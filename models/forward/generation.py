"""Batched generation from prompts of token ids, greedy or sampled.

Unlike transformers' `generate`, this loop drops finished rows and computes a common prefix once. Its greedy output is
the same (tested).
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.forward.answers import unwrapped

ROWS = 32  # rows at a time; more rows need a larger cache
CPU_ROWS = 64  # of `finish` on a CPU: a step of 64 rows takes a quarter less time per row than one of 32
# from the fastest to the plain computation: {way: (what it is, what it costs)}; see `models.forward.proof`
WAYS = {
    "shared": ("generation in batches with a common prefix", ""),
    "padded": ("generation in batches", "a common prefix is computed for each prompt"),
    "library": ("transformers' generate in batches", "a batch computes until its longest answer ends"),
    "alone": (
        "transformers' generate, one prompt at a time",
        "as many times the forward passes as a batch has prompts",
    ),
    "uncached": ("generation without a cache, one prompt at a time", "every new token computes its whole row again"),
}


def generate(
    model, prompts, limits, stop_ids, *, temperature: float = 0.0, seed: int = 0, rows: int = ROWS, progress=None,
    seen=None,
):  # fmt: skip
    """Token ids after each prompt, without the stop token: greedy at temperature 0, else sampled (top_p = 1).

    prompts: list of (length,) ids, each at least one; limits: maximum new tokens per prompt; stop_ids: ids that end an
    answer. Rows of similar length share a batch. The model must be in evaluation mode. The same seed repeats a sample.
    progress: called with a line of text before each batch; an exception it raises ends the generation. The first call
    for a model proves on these prompts which of `WAYS` is right.
    seen: an object per prompt; its `append` gets the logits (V,) of each step, also of some after the last token.
    """
    import torch

    from models.forward.proof import way_of_generation  # it calls `by_way`

    limits = _within_context(model, prompts, limits)
    outputs: list = [[] for _ in prompts]
    order = sorted((i for i in range(len(prompts)) if limits[i] > 0), key=lambda i: (len(prompts[i]), limits[i]))
    longest = max((len(prompts[i]) + limits[i] for i in order), default=0)
    way = way_of_generation(model, [prompts[i] for i in order], longest) if order else None
    draw = torch.Generator(device=next(model.parameters()).device).manual_seed(seed)
    with torch.no_grad():
        for start in range(0, len(order), rows):
            batch = order[start : start + rows]
            if progress:
                progress(f"generating answers: {start} of {len(order)}")
            said = by_way(
                way, model, [prompts[i] for i in batch], [limits[i] for i in batch], stop_ids, temperature, draw,
                None if seen is None else [seen[i] for i in batch],
            )  # fmt: skip
            for i, ids in zip(batch, said):
                outputs[i] = ids
    return outputs


def by_way(way: str, model, prompts, limits, stop_ids, temperature=0.0, draw=None, seen=None) -> list[list[int]]:
    """The answers of one batch in one of `WAYS`, right for the model or not.

    `seen`: a list per prompt, which receives the logits (V,) of each step.
    """
    from models.forward import plain_generation

    slower = {"library": plain_generation.in_batch, "alone": plain_generation.alone}
    slower["uncached"] = plain_generation.without_cache
    if way in slower:
        return slower[way](model, prompts, limits, stop_ids, temperature, draw, seen)
    return _generate_batch(model, prompts, limits, stop_ids, temperature, draw, seen, share=way == "shared")


def positions(model) -> int:
    """The size of the model's position table; a very large number if its config states none, or a negative one."""
    size = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 0
    return size if size > 0 else 1 << 30


def _within_context(model, prompts, limits) -> list[int]:
    """Limits that fit the model's position table."""
    return [min(int(limit), positions(model) - len(prompt)) for prompt, limit in zip(prompts, limits)]


def _generate_batch(model, prompts, limits, stop_ids, temperature, draw, seen, share: bool) -> list[list[int]]:
    import torch

    device = next(model.parameters()).device
    logits, cache, mask = _prefill(model, prompts, device, share)
    alive = list(range(len(prompts)))  # the prompt of each row of the cache
    finished, outputs = [False] * len(prompts), [[] for _ in prompts]
    while True:
        chosen = choose(logits, temperature, draw)
        if seen is not None:
            for number, row in zip(alive, logits):
                seen[number].append(row)
        for number, token in zip(alive, chosen.tolist()):
            if not finished[number]:
                finished[number] = token in stop_ids
                if not finished[number]:
                    outputs[number].append(token)
                    finished[number] = len(outputs[number]) >= limits[number]
        keep = [place for place, number in enumerate(alive) if not finished[number]]
        if not keep:
            return outputs
        if len(keep) <= 0.75 * len(alive):  # narrowing copies the cache, so do not narrow after every row
            index = torch.tensor(keep, device=device)
            cache.batch_select_indices(index)
            chosen, mask, alive = chosen[index], mask[index], [alive[place] for place in keep]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
        out = model(
            input_ids=chosen[:, None],
            attention_mask=mask,
            position_ids=mask.sum(1, keepdim=True) - 1,
            **_using(model, cache),
            logits_to_keep=1,
        )
        logits = out.logits[:, -1]


def _using(model, cache) -> dict:
    """The keywords that pass the cache to the model: transformers 5.24 renamed one for some families."""
    known = inspect.signature(unwrapped(model).forward).parameters
    return {"cache" if "cache" in known else "past_key_values": cache, "use_cache": True}


def choose(logits, temperature: float, draw):
    """(B,) next tokens of logits (B, V)."""
    import torch

    if temperature == 0:
        return logits.max(-1).indices  # argmax takes three times as long in bfloat16
    scaled = torch.nan_to_num(logits.float() / temperature, nan=0.0)  # a broken model samples noise instead of crashing
    return torch.multinomial(scaled.softmax(-1), 1, generator=draw)[:, 0]


def _prefill(model, prompts, device, share: bool = True):
    """Logits (B, V) after each prompt, the cache and its mask, laid out [shared prefix] [padding] [rest of prompt].

    A prompt that is given several times, for several samples, is computed once.
    """
    import torch

    places: dict[bytes, int] = {}
    index = [places.setdefault(np.asarray(prompt, np.int64).tobytes(), len(places)) for prompt in prompts]
    if len(places) == len(prompts):
        return _prefill_distinct(model, prompts, device, share)
    distinct = [prompts[index.index(i)] for i in range(len(places))]
    logits, cache, mask = _prefill_distinct(model, distinct, device, share)
    index = torch.tensor(index, device=device)
    cache.batch_select_indices(index)
    return logits[index], cache, mask[index]


def _prefill_distinct(model, prompts, device, share: bool):
    """As `_prefill`, for different prompts."""
    import torch
    from transformers import DynamicCache

    count, cache = len(prompts), DynamicCache(config=model.config.get_text_config())
    shared = _shared_prefix(model, prompts) if share else 0
    if shared:
        prefix = torch.as_tensor(np.asarray(prompts[0][:shared], np.int64), device=device)[None]
        model(input_ids=prefix, **_using(model, cache), logits_to_keep=1)
        cache.batch_repeat_interleave(count)
    width = max(len(prompt) for prompt in prompts) - shared
    ids = np.zeros((count, width), np.int64)
    mask = np.ones((count, shared + width), np.int64)
    for row, prompt in enumerate(prompts):
        padding = width - (len(prompt) - shared)
        ids[row, padding:] = prompt[shared:]
        mask[row, shared : shared + padding] = 0
    ids, mask = torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        **_using(model, cache),
        logits_to_keep=1,
    )
    return out.logits[:, -1], cache, mask


def _shared_prefix(model, prompts) -> int:
    """The length of the prompts' common prefix, at most the shortest - 1; 0 with sliding-window attention."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if len(prompts) < 2 or kinds != {"full_attention"} or getattr(config, "sliding_window", None):
        return 0
    shortest = min(len(prompt) for prompt in prompts) - 1
    block = np.stack([np.asarray(prompt[:shortest]) for prompt in prompts])
    differ = np.flatnonzero((block != block[0]).any(0))
    return int(differ[0]) if len(differ) else shortest


@dataclass
class Draft:
    """The part of a greedy answer that is known before generation."""

    prompt: Any  # ids
    known: list[int]  # greedy tokens known from the teacher-forced pass
    limit: int


def draft(prompt, gold, predicted, limit: int) -> Draft:
    """The gold answer up to the first token that the model predicts differently, then the model's own token.

    Greedy generation starts with exactly these tokens, so the teacher-forced pass already gives them: the whole answer
    if the model knows it by heart.
    """
    wrong = np.flatnonzero(np.asarray(gold) != predicted)
    known = np.asarray(gold).tolist() if not len(wrong) else [*gold[: wrong[0]].tolist(), int(predicted[wrong[0]])]
    return Draft(prompt, known[:limit], limit)


def finish(model, drafts: list[Draft], stop_ids, progress=None) -> tuple[list[list[int]], list[bool]]:
    """(the greedy answers that start with the drafts, without the stop token; whether each ended before its limit)."""
    outputs, ended, open_drafts = [], [], []
    for number, begun in enumerate(drafts):
        end = next((place for place, token in enumerate(begun.known) if token in stop_ids), None)
        outputs.append(begun.known[:end])
        ended.append(end is not None)
        if end is None and len(begun.known) < begun.limit:
            open_drafts.append(number)
    if progress and open_drafts:
        progress(f"generating {len(open_drafts)} answers; {len(drafts) - len(open_drafts)} are known by heart")
    prompts = [np.concatenate([drafts[i].prompt, drafts[i].known]).astype(np.int64) for i in open_drafts]
    limits = _within_context(model, prompts, [drafts[i].limit - len(drafts[i].known) for i in open_drafts])
    rows = CPU_ROWS if next(model.parameters()).device.type == "cpu" else ROWS
    said = generate(model, prompts, limits, stop_ids, rows=rows, progress=progress)
    for number, ids, limit in zip(open_drafts, said, limits):
        outputs[number] = outputs[number] + ids
        ended[number] = len(ids) < limit
    return outputs, ended
