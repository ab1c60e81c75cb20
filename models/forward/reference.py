"""References: the target model's frozen outputs, computed once. Probes: quick measurements of the sets during a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data.sampling import token_budget_batches
from models.forward import proof
from models.forward.answers import Answers, answer_outputs, evaluating, unwrapped
from models.store.on_first_use import F, torch
from models.training import together


class FrozenHead:
    """A frozen copy of the output head with the model's own scaling: hidden (A, d) -> logits (A, V)."""

    def __init__(self, model):
        model = unwrapped(model)
        head, config = model.get_output_embeddings(), model.config.get_text_config()
        weight = head.weight.detach()
        self.weight = weight.full_tensor() if hasattr(weight, "full_tensor") else weight.clone()  # FSDP shards it
        self.bias = None if getattr(head, "bias", None) is None else head.bias.detach().clone()
        self.scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        self.softcap = getattr(config, "final_logit_softcapping", None)

    def __call__(self, hidden):
        logits = F.linear(hidden, self.weight, self.bias)
        if self.scale != 1:
            logits = logits * self.scale
        return torch.tanh(logits / self.softcap) * self.softcap if self.softcap else logits


@dataclass
class Reference:
    """Frozen outputs for one set of rows.

    `nll` (N,) per row; per answer token `hidden`, the input of the frozen `head` (without it the logits themselves), or
    a layer's `activation`; `offsets` (N + 1,) gives the place of each row's first answer token. `temperature` divides
    the logits.
    """

    nll: Any = None
    hidden: Any = None
    offsets: Any = None
    head: FrozenHead | None = None
    activation: Any = None
    temperature: float = 1.0

    def sequence_nll(self, answers: Answers):
        """NLL_i of the reference for the rows of a batch, (B,)."""
        return self.nll[answers.indices.to(self.nll.device)].to(answers.labels.device)

    def logits(self, answers: Answers):
        """Logits of the reference for a batch's answer tokens, (A, V)."""
        logits = self._logits(self._of(self.hidden, answers))
        return logits if self.temperature == 1 else logits / self.temperature

    def _logits(self, kept):
        return self.head(kept) if self.head else kept

    def losses_at(self, rows, temperatures):
        """The rows' mean loss (nats per token) with logits divided by each temperature, (K,). Reads a row at a time."""
        found = np.zeros(len(temperatures))
        for row in range(len(rows)):
            labels = torch.from_numpy(rows.ids_of(row)[rows.answer_starts[row] :].astype(np.int64))
            logits = self._logits(self.hidden[self.offsets[row] : self.offsets[row + 1]]).float()
            found += [float(F.cross_entropy(logits / t, labels.to(logits.device))) for t in temperatures]
        return found / len(rows)

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


def cache_reference(
    model,
    rows,
    pad_token_id: int,
    *,
    distribution: bool = False,
    layer: int | None = None,
    batch_tokens: int = 4096,
    accelerator=None,
) -> Reference:
    """The model's current outputs on `rows`, from one pass. Needs 4 bytes per row, or d values per answer token.

    `distribution` keeps the head's input and a copy of the head, or the logits, V values per answer token, if the first
    batch shows that the head does more than scaling and soft-capping. `layer` keeps only that layer's output. Loss and
    gradient are the same as with a second model in memory. Processes share the work; each gets the whole result.
    """
    losses, kept = torch.zeros(len(rows)), None
    offsets = _answer_offsets(rows)
    head = FrozenHead(model) if distribution else None
    with evaluating(model):
        mine = together.share(accelerator, token_budget_batches(rows.lengths, batch_tokens))
        for number, (indices, counts) in enumerate(mine):
            answers = answer_outputs(model, rows.batch(indices, pad_token_id), layer=layer, logits=layer is None)
            if head and not number and not proof.rebuilds(model, head, answers, int(offsets[-1])):
                head = None
            if counts and layer is None:
                losses[torch.as_tensor(indices)] = answers.sequence_nll().float().cpu()
            if distribution or layer is not None:
                values = answers.activation if layer is not None else answers.hidden if head else answers.logits
                kept = values.new_zeros(int(offsets[-1]), values.shape[-1]) if kept is None else kept
                for index, piece in zip(indices, values.split(answers.lengths().long().tolist()) if counts else ()):
                    kept[offsets[index] : offsets[index + 1]] = piece
    if kept is not None:
        device = kept.device
        kept = together.summed(accelerator, kept)[0].to(device)
    if layer is not None:
        return Reference(offsets=offsets, activation=kept)
    (losses,) = together.summed(accelerator, losses)
    return Reference(losses, kept, offsets, head) if distribution else Reference(losses)


def token_losses(model, rows, pad_token_id: int, batch_tokens: int = 2048, accelerator=None) -> tuple[list, np.ndarray]:
    """(-log p per answer token in nats, one array per row; next-token accuracy per row (N,)), without gradient."""
    offsets = _answer_offsets(rows)
    losses, accuracy = torch.zeros(int(offsets[-1])), torch.zeros(len(rows), dtype=torch.float64)
    with evaluating(model):
        for indices, counts in together.share(accelerator, token_budget_batches(rows.lengths, batch_tokens)):
            answers = answer_outputs(model, rows.batch(indices, pad_token_id))
            if not counts:
                continue
            right = (answers.logits.max(-1).indices == answers.labels).float()  # argmax takes three times as long
            accuracy[indices] = (answers.per_row(right) / answers.lengths()).cpu().double()
            pieces = answers.token_nll().float().cpu().split(answers.lengths().long().tolist())
            for index, piece in zip(indices, pieces):
                losses[offsets[index] : offsets[index + 1]] = piece
    losses, accuracy = together.summed(accelerator, losses, accuracy)
    return np.split(losses.numpy(), offsets[1:-1]), accuracy.numpy()


def probe(model, rows, pad_token_id: int, accelerator=None) -> dict:
    """Mean loss (nats per token), mean answer probability exp(-l_i) and mean next-token accuracy of `rows`."""
    losses, accuracy = token_losses(model, rows, pad_token_id, accelerator=accelerator)
    return summary(np.array([values.mean() for values in losses]), accuracy)


def summary(losses, accuracy) -> dict:
    """A probe's numbers from the mean loss l_i (N,) and the accuracy (N,) of each row."""
    return {
        "loss": float(losses.mean()),
        "answer_probability": float(np.exp(-losses).mean()),
        "accuracy": float(accuracy.mean()),
    }


def _answer_offsets(rows) -> np.ndarray:
    """The index of each row's first answer token among all answer tokens, (N + 1,)."""
    return np.concatenate([[0], np.cumsum(rows.answer_lengths)]).astype(np.int64)
