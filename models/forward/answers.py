"""A model's outputs at answer positions. `answer_outputs` holds the project's only causal shift and only mask."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

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
    only once: token i's are `logits[place[i]]`.
    """

    logits: Any
    labels: Any
    row: Any
    num_rows: int
    indices: Any = None
    hidden: Any = None
    activation: Any = None
    place: Any = None

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
        self.skip = False  # True: the head computes no logits
        model.register_forward_pre_hook(self._take_index, with_kwargs=True)
        head = model.get_output_embeddings()
        if head is None:
            raise ValueError(f"{type(model).__name__} has no output embeddings: not a causal language model")
        head.register_forward_pre_hook(self._narrow)

    def _take_index(self, _module, args, kwargs):
        self.index = kwargs.pop("answer_index", None)
        return args, kwargs

    def _narrow(self, _module, args):
        if self.index is None:
            return None
        self.hidden = args[0].flatten(0, 1)[self.index]
        if self.skip:
            self.hidden = self.hidden[:0]
        return (self.hidden.unsqueeze(0), *args[1:])


def _answer_head(model) -> _AnswerHead:
    model = unwrapped(model)
    if not hasattr(model, "_unlearning_answer_head"):
        model._unlearning_answer_head = _AnswerHead(model)
    return model._unlearning_answer_head


def answer_outputs(
    model, batch: dict, *, layer: int | None = None, logits: bool = True, distinct: bool = False
) -> Answers:
    """Runs the model and returns its logits at the positions that predict answer tokens.

    `batch`: `input_ids` (B, T) padded on the right, `lengths` (B,), `answer_starts` (B,), `indices` (B,). Token t
    carries loss when answer_start <= t < length, and position t-1 predicts it. Positions decide, never token ids, so
    an end-of-turn token that is also the padding token keeps its loss. Right padding needs no attention mask, because
    causal attention of a real token never reaches it. On a CPU, rows are packed.
    `layer` adds that decoder layer's output; with `logits` False, nothing above it is computed. `distinct` computes the
    logits of a shared prefix once, see `Answers.place`.
    """
    head, ids = _answer_head(model), batch["input_ids"]
    head.skip = not logits
    place = torch.arange(ids.shape[1])[None]
    carries_loss = (place >= batch["answer_starts"][:, None]) & (place < batch["lengths"][:, None])
    row, label_place = carries_loss.nonzero(as_tuple=True)
    predicted_by = label_place - 1
    device = next(model.parameters()).device
    last = -1 if logits or layer is None else layer
    if packing.supported(unwrapped(model)) and not _drops_out(model):
        inputs, index, around = _packed(unwrapped(model), batch, row, predicted_by, last)
    else:
        index = (row * ids.shape[1] + predicted_by).to(device)
        inputs, around = {"input_ids": ids.to(device)}, []
    index, place_of = torch.unique(index, return_inverse=True) if distinct else (index, None)
    with contextlib.ExitStack() as stack:
        for context in around:
            stack.enter_context(context)
        caught = stack.enter_context(capturing(unwrapped(model), layer, truncate=not logits))
        outputs = model(**inputs, answer_index=index, use_cache=False).logits
    answers = Answers(
        logits=outputs.reshape(-1, outputs.shape[-1]) if logits else outputs.new_zeros(len(row), 0),
        labels=ids[row, label_place].to(device),
        row=row.to(device),
        num_rows=ids.shape[0],
        indices=batch.get("indices"),
        hidden=head.hidden if logits else None,
        activation=caught[0].flatten(0, 1)[index] if caught else None,
        place=place_of,
    )
    head.skip = False
    head.hidden = None
    return answers


def _packed(model, batch: dict, row, predicted_by, last: int):
    """(model inputs, the positions in them of token `predicted_by` of each `row`, contexts for the forward pass).

    `last` is the last layer to compute.
    """
    from models.forward.cpu_paths import lean_layers  # both import torch
    from models.forward.packed_attention import packed_attention

    lengths = (batch["lengths"] - 1).clamp(min=1)  # a row's last token predicts nothing, and no token sees it
    layout = packing.lay_out([ids[:length] for ids, length in zip(batch["input_ids"].numpy(), lengths.tolist())])
    ids, positions = (torch.from_numpy(part)[None] for part in (layout.ids, layout.positions))
    starts = torch.cumsum(lengths, 0) - lengths
    index = torch.from_numpy(np.concatenate(layout.paths))[starts[row] + predicted_by]
    around = [packed_attention(model, layout), lean_layers(model), narrowed(model, index, last)]
    return {"input_ids": ids, "position_ids": positions}, index, around


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


def _drops_out(model) -> bool:
    """Whether dropout is active: packed rows would then share the noise of their common prefix."""
    return model.training and any(
        (isinstance(m, torch.nn.Dropout) and m.p > 0) or getattr(m, "attention_dropout", 0) > 0 for m in model.modules()
    )
