"""Cross-entropy of large vocabularies in pieces that stay in the processor's cache.

The plain way copies the logits to fp32, keeps the log-probabilities for the backward pass and makes the gradient in
fp32 again: three tables of tokens x vocabulary. Here only the logits themselves are kept.
"""

from __future__ import annotations

import torch

PIECE = 1 << 20  # logits at a time on a CPU: 4 MiB in fp32
PIECE_ELSEWHERE = 1 << 28


class _TokenNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        found = torch.empty(len(labels), dtype=torch.float32, device=logits.device)
        for part in _pieces(logits):
            log_p = logits[part].log_softmax(-1, dtype=torch.float32)
            found[part] = -log_p.gather(1, labels[part, None])[:, 0]
        ctx.save_for_backward(logits, labels)
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        logits, labels = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        for part in _pieces(logits):
            p = logits[part].softmax(-1, dtype=torch.float32)
            p[torch.arange(len(p), device=p.device), labels[part]] -= 1
            gradient[part] = p.mul_(upstream[part, None])
        return gradient, None


def _pieces(logits):
    size = PIECE if logits.device.type == "cpu" else PIECE_ELSEWHERE
    rows = max(1, size // max(1, logits.shape[-1]))
    return (slice(start, start + rows) for start in range(0, len(logits), rows))


def token_nll(logits, labels):
    """-log softmax(logits)[label], (A, V), (A,) -> (A,), nats, fp32; equals F.cross_entropy on fp32 logits."""
    return _TokenNll.apply(logits, labels)
