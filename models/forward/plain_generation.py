"""Slower ways of generation for models that `models.forward.generation` does not fit: transformers' own, and no cache.

Each takes (model, prompts, limits, stop_ids, temperature, draw, seen), see `models.forward.generation.by_way`.
"""

from __future__ import annotations

import contextlib

import numpy as np

from models.forward.answers import unwrapped
from models.forward.generation import choose


def in_batch(model, prompts, limits, stop_ids, temperature, draw, seen) -> list[list[int]]:
    """transformers' `generate` on the batch, padded on the left; answers are cut at their own limits."""
    import torch
    from transformers import GenerationConfig

    base, width = unwrapped(model), max(map(len, prompts))
    device = next(model.parameters()).device
    ids = np.stack([np.pad(np.asarray(prompt, np.int64), (width - len(prompt), 0)) for prompt in prompts])
    mask = np.stack([np.arange(width) >= width - len(prompt) for prompt in prompts]).astype(np.int64)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    config = GenerationConfig(
        max_new_tokens=max(limits), eos_token_id=sorted(stop_ids) or None, pad_token_id=0, use_cache=True,
        return_dict_in_generate=True, output_logits=seen is not None, **{"do_sample": False, **sampling},
        remove_invalid_values=True,
    )  # fmt: skip
    with _without_own_settings(base), torch.random.fork_rng([device] if device.type == "cuda" else []):
        if temperature:
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=draw, device=device)))
        found = base.generate(
            torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device), generation_config=config
        )
    said = []
    for number, (tokens, limit) in enumerate(zip(found.sequences[:, width:].tolist(), limits)):
        end = next((place for place, token in enumerate(tokens) if token in stop_ids), len(tokens))
        said.append(tokens[: min(end, limit)])
        if seen is not None:
            for step in found.logits:
                seen[number].append(step[number])
    return said


@contextlib.contextmanager
def _without_own_settings(model):
    """Sets the model's own generation settings aside, which transformers mixes into those that are asked for."""
    from transformers import GenerationConfig

    own, model.generation_config = getattr(model, "generation_config", None), GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def alone(model, prompts, limits, stop_ids, temperature, draw, seen) -> list[list[int]]:
    """transformers' `generate`, one prompt at a time."""
    said = []
    for number, (prompt, limit) in enumerate(zip(prompts, limits)):
        steps = None if seen is None else [seen[number]]
        said += in_batch(model, [prompt], [limit], stop_ids, temperature, draw, steps)
    return said


def without_cache(model, prompts, limits, stop_ids, temperature, draw, seen) -> list[list[int]]:
    """The plain loop: each new token of each prompt is one forward pass over its whole row."""
    import torch

    device, said = next(model.parameters()).device, []
    for number, (prompt, limit) in enumerate(zip(prompts, limits)):
        row, tokens = torch.as_tensor(np.asarray(prompt, np.int64), device=device), []
        while len(tokens) < limit:
            logits = model(input_ids=row[None], use_cache=False).logits[:, -1]
            if seen is not None:
                seen[number].append(logits[0])
            chosen = choose(logits, temperature, draw)
            if int(chosen) in stop_ids:
                break
            tokens.append(int(chosen))
            row = torch.cat([row, chosen])
        said.append(tokens)
    return said
