"""Finds a model's layers and feed-forward matrices, whatever the model family calls them."""

from __future__ import annotations

import contextlib
import copy

from models.store.folders import ModelError, quiet


class MethodError(ValueError):
    """The method cannot run on this model, these rows or these settings."""

    exit_code = 2


FEED_FORWARD = ("mlp", "feed_forward", "ffn", "block_sparse_moe")


def decoder_layers(model):
    """The decoder's layers of a Hugging Face causal LM, an nn.ModuleList."""
    return model.get_submodule(_layers_name(model))


def _layers_name(model) -> str:
    import torch

    count = model.config.get_text_config().num_hidden_layers
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    ]
    if not found:
        raise ModelError(f"{type(model).__name__}: found no list of {count} layers")
    # a list of experts may have the same length; the decoder's layers hold more weights and are less deeply nested
    return max(found, key=lambda item: (sum(p.numel() for p in item[1].parameters()), -item[0].count(".")))[0]


def truncate_layers(model, keep: list[int]):
    """A smaller model of the same family: copies of the layers `keep` (ascending indices) and of everything else."""
    import torch

    name = _layers_name(model)
    count = len(model.get_submodule(name))
    if not keep or list(keep) != sorted(set(keep)) or keep[0] < 0 or keep[-1] >= count:
        raise ModelError(f"layers to keep: {list(keep)} are not ascending indices below {count}", 2)
    config = copy.deepcopy(model.config)
    text = config.get_text_config()
    for key, value in list(vars(text).items()):  # per-layer lists, layer_types for example
        if isinstance(value, (list, tuple)) and len(value) == count and key != "architectures":
            setattr(text, key, type(value)(value[i] for i in keep))
    text.num_hidden_layers = len(keep)
    places = {old: new for new, old in enumerate(keep)}
    state = {}
    for key, tensor in model.state_dict().items():
        if key.startswith(name + "."):
            old, _, rest = key[len(name) + 1 :].partition(".")
            if int(old) not in places:
                continue
            key = f"{name}.{places[int(old)]}.{rest}"
        state[key] = tensor
    with torch.random.fork_rng(), quiet():  # discarded initial weights must not advance the run's random state
        student = type(model)._from_config(config, dtype=model.dtype)
    student.load_state_dict(state)
    student.generation_config = copy.deepcopy(model.generation_config)
    return student.to(model.device).train(model.training)


def chosen_layer(model, layer: int) -> int:
    """Index of the layer to read: `layer`, or for 0 the end of the first quarter (7 of 32, as published for rmu)."""
    depth = len(decoder_layers(model))
    if layer >= depth:
        raise MethodError(f"layer {layer}: the model has {depth} layers, 0 to {depth - 1}")
    return layer or min(max(2, round(depth / 4) - 1), depth - 1)


def feed_forward(layer):
    """The feed-forward block of one decoder layer."""
    for name, module in layer.named_children():
        if name in FEED_FORWARD:
            return module
    raise MethodError(f"no feed-forward block found in {type(layer).__name__}; use a method that trains all weights")


def output_matrices(model, layer: int) -> list:
    """The trainable matrices of one layer's feed-forward output projection (down_proj)."""
    block = feed_forward(decoder_layers(model)[layer])
    holders = [child for child in block.children() if any(p.ndim == 2 for p in child.parameters())]
    found = [p for p in holders[-1].parameters() if p.requires_grad and p.ndim == 2] if holders else []
    if not found:
        raise MethodError(
            f"layer {layer}: the output projection of the feed-forward block is not trainable (or not a matrix)"
        )
    return found


def feed_forward_matrices(model) -> list:
    """The trainable matrices of all feed-forward blocks."""
    found = [
        p
        for layer in decoder_layers(model)
        for p in feed_forward(layer).parameters()
        if p.requires_grad and p.ndim == 2
    ]
    if not found:
        raise MethodError("the feed-forward blocks have no trainable matrix")
    return found


def output_norm(model):
    """The norm after the decoder's last layer, or None if nothing there looks like one."""
    parent, _, own = _layers_name(model).rpartition(".")
    siblings = list(model.get_submodule(parent).named_children())
    last = [name for name, _ in siblings].index(own)
    found = [module for place, (name, module) in enumerate(siblings) if (place > last or "final" in name)
             and "norm" in f"{name} {type(module).__name__}".lower()
             and {weight.ndim for weight in module.parameters()} == {1}]  # fmt: skip
    return found[-1] if found else None


def scaled_norm(norm, factor: float) -> list | None:
    """New values of the norm's weights with which its output is `factor` times as large, fp32; None if there are none.

    A weight is either multiplied itself, or added to 1 first (Gemma). Each is tried on random numbers.
    """
    import torch

    trial = copy.deepcopy(norm).float()
    draw = torch.Generator().manual_seed(0)
    size = next(trial.parameters()).shape[0]
    some = torch.randn(1, 3, size, generator=draw).to(next(trial.parameters()).device)
    with torch.no_grad():
        start, wanted = [weight.clone() for weight in trial.parameters()], factor * trial(some)
        for offset in (0.0, 1.0):
            for weight, values in zip(trial.parameters(), start):
                weight.copy_(factor * (values + offset) - offset)
            if torch.allclose(trial(some), wanted, rtol=1e-4, atol=1e-5):
                return [weight.clone() for weight in trial.parameters()]
    return None


@contextlib.contextmanager
def narrowed(model, index, last: int):
    """Computes the feed-forward block of the `last` layer only at the positions `index` of the sequence (1, N, d).

    Other positions get zeros, which nothing reads: after the last attention, no position depends on another.
    """
    import torch

    try:
        block = feed_forward(decoder_layers(model)[last])
    except (MethodError, ModelError):
        block = None
    if block is None or not len(index):
        yield
        return
    index, count = torch.unique(index), []

    def narrow(_module, args):
        if not args:  # the block was called with keywords only
            return None
        count.append(args[0].shape[1])
        return (args[0].index_select(1, index), *args[1:])

    def widen(_module, _args, output):
        if not count:
            return None
        found, *rest = output if isinstance(output, tuple) else (output,)
        whole = found.new_zeros(1, count.pop(), found.shape[-1]).index_copy(1, index, found)
        return (whole, *rest) if rest else whole

    hooks = [block.register_forward_pre_hook(narrow), block.register_forward_hook(widen)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def capturing(model, layer: int | None, truncate: bool, others=()):
    """Yields a dictionary that collects the outputs of decoder layer `layer` and of the layers `others` by number.

    `truncate` skips the layers above `layer`.
    """
    import torch

    caught: dict = {}
    wanted = {*others, *(() if layer is None else (layer,))}
    if not wanted:
        yield caught
        return
    parent, _, child = _layers_name(model).rpartition(".")
    owner = model.get_submodule(parent)
    layers = getattr(owner, child)

    def keep(number: int):
        def on_output(_module, _args, output):
            caught[number] = output[0] if isinstance(output, tuple) else output

        return on_output

    hooks = [layers[number].register_forward_hook(keep(number)) for number in sorted(wanted)]
    if truncate and layer is not None:
        setattr(owner, child, torch.nn.ModuleList(layers[: layer + 1]))
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()
        setattr(owner, child, layers)
