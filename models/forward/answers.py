"""A model's outputs at answer positions. `answer_outputs` holds the project's only causal shift and only mask."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from models.forward import packing
from models.forward.layers import capturing, narrowed
from models.store.on_first_use import F, torch


@dataclass
class Answers:
    """A model's outputs where it predicts answer tokens: A answer tokens of B rows, row after row.

    `logits` (A, V) before the softmax, `labels` (A,) the true tokens, `row` (A,) in [0, B), `indices` (B,) the rows'
    places in their set, `hidden` (A, d) the head's input, `activation` (A, d) the requested layer's output. If the
    forward pass ends at that layer, `logits` has no columns. With `place` (A,), the logits of a shared prefix exist
    only once: token i's are `logits[place[i]]`. `states` {layer: (A, d)} holds further layers' outputs.
    """

    logits: Any
    labels: Any
    row: Any
    num_rows: int
    indices: Any = None
    hidden: Any = None
    activation: Any = None
    place: Any = None
    states: dict = field(default_factory=dict)

    def token_nll(self):
        """-log p(label), (A,), nats, fp32 and differentiable; computed once."""
        if not hasattr(self, "_token_nll"):
            from models.forward.cpu_paths import token_nll  # imports torch

            self._token_nll = token_nll(self.logits, self.labels)
        return self._token_nll

    def per_row(self, values):
        """Sum per row of values per token: (A,) -> (B,)."""
        return torch.zeros(self.num_rows, dtype=values.dtype, device=values.device).index_add(0, self.row, values)

    def lengths(self):
        """Answer tokens per row, (B,), float."""
        return self.per_row(torch.ones_like(self.row, dtype=torch.float32))

    def sequence_nll(self):
        """NLL_i, the sum over a row's answer tokens, (B,), nats."""
        return self.per_row(self.token_nll())

    def sequence_mean(self):
        """l_i = NLL_i / |S_i|, (B,), nats per token."""
        return self.sequence_nll() / self.lengths().clamp(min=1)


def unwrapped(model):
    """The Hugging Face model inside data-parallel and PEFT wrappers."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextlib.contextmanager
def evaluating(model):
    """Evaluation mode without gradients; restores the training mode afterwards."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


class _AnswerHead:
    """Hooks that let a causal LM's forward return logits at chosen positions only.

    They narrow the head's input; the model's own forward computes the logits, with its soft-capping and scaling.
    Without the `answer_index` keyword they do nothing, so generation and saving are untouched.
    """

    def __init__(self, model):
        self.index = self.hidden = None
        self.narrows = True  # False: the head computes logits at every position
        self.skip = False  # True: the head computes no logits
        model.register_forward_pre_hook(self._take_index, with_kwargs=True)
        if (head := model.get_output_embeddings()) is not None:
            head.register_forward_pre_hook(self._narrow)

    def _take_index(self, _module, args, kwargs):
        self.index = kwargs.pop("answer_index", None)
        return args, kwargs

    def _narrow(self, _module, args):
        if self.index is None:
            return None
        hidden = args[0].flatten(0, 1)
        if not self.narrows:
            self.hidden = hidden[self.index] if len(hidden) > int(self.index.max()) else None  # a head in pieces
            return None
        self.hidden = hidden[:0] if self.skip else hidden[self.index]
        return (self.hidden.unsqueeze(0), *args[1:])


def _answer_head(model) -> _AnswerHead:
    model = unwrapped(model)
    if not hasattr(model, "_unlearning_answer_head"):
        model._unlearning_answer_head = _AnswerHead(model)
    return model._unlearning_answer_head


class Way(NamedTuple):
    """How rows go through a model.

    `packed`: without padding; `lean`: our norms and rotary embeddings, and the last feed-forward block at answer
    positions only; `narrow`: the head at answer positions only; `alone`: one row at a time.
    """

    packed: bool = False
    lean: bool = False
    narrow: bool = False
    alone: bool = False


# from the fastest to the plain computation; `models.forward.proof` takes the first that is right for the model
WAYS = (Way(packed=True, lean=True, narrow=True), Way(packed=True, narrow=True), Way(narrow=True), Way(),
        Way(alone=True))  # fmt: skip


def answer_outputs(
    model, batch: dict, *, layer: int | None = None, logits: bool = True, distinct: bool = False, states=()
) -> Answers:
    """Runs the model and returns its logits at the positions that predict answer tokens.

    `batch`: `input_ids` (B, T) padded on the right, `lengths` (B,), `answer_starts` (B,), `indices` (B,). Token t
    carries loss when answer_start <= t < length, and position t-1 predicts it. Positions decide, never token ids, so
    an end-of-turn token that is also the padding token keeps its loss. Right padding needs no attention mask, because
    causal attention of a real token never reaches it. On a CPU, rows are packed. A faster way than one row at a time
    is used only if the model's first batch has proved it, see `models.forward.proof`.
    `layer` adds that decoder layer's output; with `logits` False, nothing above it is computed. `states` are layers
    whose outputs are wanted beside it. `distinct` computes the logits of a shared prefix once, see `Answers.place`.
    """
    from models.forward.proof import way_of  # it calls `outputs_by`

    return outputs_by(way_of(model, batch), model, batch, layer=layer, logits=logits, distinct=distinct, states=states)


def outputs_by(way: Way, model, batch: dict, *, layer=None, logits=True, distinct=False, states=()) -> Answers:
    """`answer_outputs` in a given way, right for the model or not."""
    if way.alone:
        rows = range(len(batch["lengths"]))
        found = [_of_one_row(model, batch, row, layer=layer, logits=logits, states=states) for row in rows]
        return _joined_rows(found, batch, distinct)
    head, ids, base = _answer_head(model), batch["input_ids"], unwrapped(model)
    head.skip, head.narrows = not logits, way.narrow
    place = torch.arange(ids.shape[1])[None]
    carries_loss = (place >= batch["answer_starts"][:, None]) & (place < batch["lengths"][:, None])
    row, label_place = carries_loss.nonzero(as_tuple=True)
    device = next(model.parameters()).device
    if way.packed:
        last = -1 if logits or layer is None else layer
        inputs, index, around = _packed(base, batch, row, label_place - 1, last if way.lean else None)
    else:
        index = (row * ids.shape[1] + label_place - 1).to(device)
        inputs, around = {"input_ids": ids.to(device)}, []
    index, place_of = torch.unique(index, return_inverse=True) if distinct else (index, None)
    try:
        with contextlib.ExitStack() as stack:
            for context in around:
                stack.enter_context(context)
            caught = stack.enter_context(capturing(base, layer, truncate=not logits, others=states))
            outputs = model(**inputs, answer_index=index, use_cache=False).logits
        return Answers(
            logits=_at_answers(outputs, index, way, head) if logits else outputs.new_zeros(len(row), 0),
            labels=ids[row, label_place].to(device),
            row=row.to(device),
            num_rows=ids.shape[0],
            indices=batch.get("indices"),
            hidden=head.hidden if logits else None,
            activation=None if layer is None else caught[layer].flatten(0, 1)[index],
            place=place_of,
            states={number: caught[number].flatten(0, 1)[index] for number in states},
        )
    finally:
        head.skip, head.narrows, head.hidden, head.index = False, True, None, None


def _at_answers(outputs, index, way: Way, head: _AnswerHead):
    """The model's logits at the answer positions, (A, V)."""
    logits = outputs.reshape(-1, outputs.shape[-1])
    if not way.narrow:
        return logits[index]
    if head.hidden is None or len(logits) != len(index):
        raise RuntimeError("its head computes logits at other positions")
    return logits


def _of_one_row(model, batch: dict, row: int, **wanted) -> Answers:
    """The answers of one row of the batch, without padding and with the plain computation."""
    length = int(batch["lengths"][row])
    one = {name: values[row : row + 1] for name, values in batch.items()}
    return outputs_by(Way(), model, {**one, "input_ids": one["input_ids"][:, :length]}, **wanted)


def _joined_rows(found: list[Answers], batch: dict, distinct: bool) -> Answers:
    """Answers of single rows as those of their batch."""
    counts = torch.tensor([len(answers.labels) for answers in found])
    first = found[0]
    whole = {name: torch.cat([getattr(answers, name) for answers in found])
             for name in ("logits", "labels", "hidden", "activation") if getattr(first, name) is not None}  # fmt: skip
    row = torch.arange(len(found)).repeat_interleave(counts).to(first.labels.device)
    place = torch.arange(len(row), device=row.device) if distinct else None
    states = {number: torch.cat([answers.states[number] for answers in found]) for number in first.states}
    return Answers(row=row, num_rows=len(found), indices=batch.get("indices"), place=place, states=states, **whole)


def _packed(model, batch: dict, row, predicted_by, last: int | None):
    """(model inputs, the positions in them of token `predicted_by` of each `row`, contexts for the forward pass).

    `last` is the last layer to compute; None leaves norms, rotary embeddings and layers as they are.
    """
    from models.forward.cpu_paths import lean_layers  # both import torch
    from models.forward.packed_attention import packed_attention

    lengths = (batch["lengths"] - 1).clamp(min=1)  # a row's last token predicts nothing, and no token sees it
    layout = packing.lay_out([ids[:length] for ids, length in zip(batch["input_ids"].numpy(), lengths.tolist())])
    ids, positions = (torch.from_numpy(part)[None] for part in (layout.ids, layout.positions))
    starts = torch.cumsum(lengths, 0) - lengths
    index = torch.from_numpy(np.concatenate(layout.paths))[starts[row] + predicted_by]
    lean = [] if last is None else [lean_layers(model), narrowed(model, index, last)]
    return {"input_ids": ids, "position_ids": positions}, index, [packed_attention(model, layout), *lean]


def join_batches(batches: list[dict]) -> dict:
    """Batches of rows as one: `input_ids` padded to the longest, the rest concatenated."""
    width = max(batch["input_ids"].shape[1] for batch in batches)
    joined = {name: torch.cat([batch[name] for batch in batches]) for name in ("lengths", "answer_starts", "indices")}
    padded = [F.pad(batch["input_ids"], (0, width - batch["input_ids"].shape[1])) for batch in batches]
    return {"input_ids": torch.cat(padded), **joined}


def split_rows(answers: Answers, counts: list[int]) -> list[Answers]:
    """Splits joined outputs: the answers of the first `counts[0]` rows, of the next `counts[1]`, and so on."""
    edges = torch.cumsum(torch.tensor([0, *counts]), 0).to(answers.row.device)
    sizes = torch.searchsorted(answers.row, edges).diff().tolist()  # rows are in order
    parts = [
        [None] * len(counts) if values is None else values.split(sizes)
        for values in (answers.logits, answers.labels, answers.row, answers.hidden, answers.activation)
    ]
    return [
        Answers(logits, labels, row - edge, count, indices, hidden, activation)
        for logits, labels, row, hidden, activation, edge, count, indices in zip(
            *parts, edges, counts, answers.indices.split(counts)
        )
    ]


def drops_out(model) -> bool:
    """Whether dropout is active: packed rows would then share the noise of their common prefix."""
    return model.training and any(getattr(module, name) > 0 for module, name in dropouts(model))


def dropouts(model) -> list[tuple]:
    """(what holds it, name of its attribute) of each dropout probability.

    Families keep them as layers or as numbers; a few read them from their config.
    """
    found = [(module, "p") for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    found += [(module, name) for module in model.modules() for name, value in vars(module).items()
              if type(value) in (int, float) and re.search("dropout|pdrop", name)]  # fmt: skip
    config = unwrapped(model).config.get_text_config()
    return found + [(config, name) for name in ("attention_dropout", "dropout")
                    if type(getattr(config, name, None)) in (int, float)]  # fmt: skip
