"""Outputs at answer positions, and references: the target model's frozen outputs, computed once.

`answer_outputs` holds the only causal shift and the only mask of the project.
"""

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
    """What a model says where it predicts answer tokens; A answer tokens of B rows, row after row.

    `logits` (A, V) in nats before the softmax, `labels` (A,) the token that stands there, `row` (A,) in [0, B),
    `indices` (B,) the rows' places in their set, `hidden` (A, d) the head's input, `activation` (A, d) the output of
    the layer that was asked for. Without logits (a forward that ends at that layer) `logits` has no columns. With
    `place` (A,) the logits of a prefix that rows share stand once, and token i's are `logits[place[i]]`.
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
            from models.forward.cross_entropy import token_nll  # not before: it needs torch

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


class _AnswerHead:
    """Hooks that let a causal LM's forward return logits at chosen positions only.

    The model's own forward computes the logits, so soft-capping and logit scaling stay its own; only the head's input
    is narrowed. Without the `answer_index` keyword the hooks do nothing, so generation and saving are untouched.
    """

    def __init__(self, model):
        self.index = self.hidden = None
        self.skip = False  # nobody wants the logits: the head computes none
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
    carries loss when answer_start <= t < length, and position t-1 predicts it: positions decide, never token ids, so
    an end-of-turn token that is also the padding token keeps its loss. No attention mask is needed: with padding on
    the right, causal attention of a real token never reaches it. On a CPU rows are packed.
    `layer` asks for that decoder layer's output too; with `logits` False nothing above it is computed. `distinct`: no
    logits twice for what rows share, see `Answers.place`.
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
    """(inputs of the packed rows, where their tokens `predicted_by` of `row` stand, what the forward runs within);
    `last` is the last layer to be computed."""
    from models.forward.lean import lean_layers  # not before: they need torch
    from models.forward.packed_attention import packed_attention

    lengths = (batch["lengths"] - 1).clamp(min=1)  # nothing is read from a row's last token, nor does any see it
    layout = packing.lay_out([ids[:length] for ids, length in zip(batch["input_ids"].numpy(), lengths.tolist())])
    ids, positions = (torch.from_numpy(part)[None] for part in (layout.ids, layout.positions))
    starts = torch.cumsum(lengths, 0) - lengths
    index = torch.from_numpy(np.concatenate(layout.paths))[starts[row] + predicted_by]
    around = [packed_attention(model, layout), lean_layers(model), narrowed(model, index, last)]
    return {"input_ids": ids, "position_ids": positions}, index, around


def join_batches(batches: list[dict]) -> dict:
    """Batches of rows as one: `input_ids` padded to the longest, the rest one after another."""
    width = max(batch["input_ids"].shape[1] for batch in batches)
    joined = {name: torch.cat([batch[name] for batch in batches]) for name in ("lengths", "answer_starts", "indices")}
    padded = [F.pad(batch["input_ids"], (0, width - batch["input_ids"].shape[1])) for batch in batches]
    return {"input_ids": torch.cat(padded), **joined}


def split_rows(answers: Answers, counts: list[int]) -> list[Answers]:
    """The inverse for outputs: the answers of the first `counts[0]` rows, of the next `counts[1]`, and so on."""
    edges = torch.cumsum(torch.tensor([0, *counts]), 0).to(answers.row.device)
    sizes = torch.searchsorted(answers.row, edges).diff().tolist()  # rows stand in order
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
    """Whether dropout is at work: rows that share a prefix would then share its noise."""
    return model.training and any(
        (isinstance(m, torch.nn.Dropout) and m.p > 0) or getattr(m, "attention_dropout", 0) > 0 for m in model.modules()
    )


# ---------------------------------------------------------------------------------------------------------------------
# References: the target model's frozen outputs, computed once


class FrozenHead:
    """A frozen copy of the output head with the model's own scaling: hidden (A, d) -> logits (A, V)."""

    def __init__(self, model):
        model = unwrapped(model)
        head, config = model.get_output_embeddings(), model.config.get_text_config()
        weight = head.weight.detach()
        self.weight = (
            weight.full_tensor() if hasattr(weight, "full_tensor") else weight.clone()
        )  # FSDP's parts together
        self.bias = None if getattr(head, "bias", None) is None else head.bias.detach().clone()
        self.scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        self.softcap = getattr(config, "final_logit_softcapping", None)

    def __call__(self, hidden):
        logits = F.linear(hidden, self.weight, self.bias)
        if self.scale != 1:
            logits = logits * self.scale
        return torch.tanh(logits / self.softcap) * self.softcap if self.softcap else logits


@contextlib.contextmanager
def evaluating(model):
    """Evaluation mode without gradients, the training mode restored afterwards."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        yield
    model.train(was_training)


@dataclass
class Reference:
    """The frozen outputs for one set of rows: `nll` (N,) per row; per answer token `hidden` with the frozen head, or
    a layer's `activation`; `offsets` (N + 1,) says where a row's answer tokens begin."""

    nll: Any = None
    hidden: Any = None
    offsets: Any = None
    head: FrozenHead | None = None
    activation: Any = None

    def sequence_nll(self, answers: Answers):
        """NLL_i of the reference for the rows of a batch, (B,)."""
        return self.nll[answers.indices.to(self.nll.device)].to(answers.labels.device)

    def logits(self, answers: Answers):
        """Logits of the reference for a batch's answer tokens, (A, V)."""
        return self.head(self._of(self.hidden, answers))

    def activations(self, answers: Answers):
        """A layer's output of the reference for a batch's answer tokens, (A, d)."""
        return self._of(self.activation, answers)

    def _of(self, values, answers: Answers):
        spans = [torch.arange(self.offsets[i], self.offsets[i + 1]) for i in answers.indices.tolist()]
        return values[torch.cat(spans).to(values.device)].to(answers.labels.device)

    def tensors(self) -> dict:
        """The reference as tensors by name, for a checkpoint."""
        kept = {"nll": self.nll, "hidden": self.hidden, "activation": self.activation}
        kept["offsets"] = None if self.offsets is None else torch.as_tensor(self.offsets)
        if self.head is not None:
            kept.update(weight=self.head.weight, bias=self.head.bias)
        return {name: value for name, value in kept.items() if value is not None}

    @classmethod
    def from_tensors(cls, model, tensors: dict) -> Reference:
        """The inverse of `tensors`; `model` gives the head's scaling."""
        head = FrozenHead(model) if "weight" in tensors else None
        if head:
            head.weight, head.bias = tensors["weight"], tensors.get("bias")
        offsets = tensors["offsets"].numpy() if "offsets" in tensors else None
        return cls(tensors.get("nll"), tensors.get("hidden"), offsets, head, tensors.get("activation"))
