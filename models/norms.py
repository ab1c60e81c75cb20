"""RMS norms with a backward pass by hand, on a CPU: autograd keeps several fp32 tables for each and passes over them a
dozen times, which for a small model is a twentieth of a step."""

from __future__ import annotations

import contextlib
import functools

import torch

_equal: dict[type, bool] = {}  # by class: whether its own forward computes what `_RmsNorm` does


@contextlib.contextmanager
def lean_norms(model):
    """The model's RMS norms through `_RmsNorm`; the modules' own forward is put back afterwards."""
    found = [module for module in model.modules() if _looks_plain(module)]
    for module in found:
        module.forward = functools.partial(_forward, module)
    try:
        yield
    finally:
        for module in found:
            del module.forward


def _looks_plain(module) -> bool:
    named = type(module).__name__.endswith("RMSNorm") and "forward" not in vars(module)
    return named and getattr(module, "weight", None) is not None and isinstance(_epsilon(module), float)


def _epsilon(module):
    return getattr(module, "variance_epsilon", getattr(module, "eps", None))


def _forward(module, hidden):
    """weight * hidden / rms(hidden), unless the module's class turns out to mean something else by its name."""
    kind = type(module)
    if kind not in _equal:
        with torch.no_grad():
            probe = torch.linspace(-3, 2, 4 * hidden.shape[-1]).to(hidden).view(4, -1)
            ours, own = _RmsNorm.apply(probe, module.weight, _epsilon(module)), kind.forward(module, probe)
            near = 1e-5 if own.dtype == torch.float32 else 1e-2
            _equal[kind] = ours.dtype == own.dtype and torch.allclose(ours, own, rtol=near, atol=near)
    return _RmsNorm.apply(hidden, module.weight, _epsilon(module)) if _equal[kind] else kind.forward(module, hidden)


class _RmsNorm(torch.autograd.Function):
    """y = w n, n = x / sqrt(mean(x^2) + eps), in fp32 up to n. With g = w dL/dy: dL/dx = (g - n mean(g n)) / rms."""

    @staticmethod
    def forward(ctx, hidden, weight, epsilon):
        values = hidden.to(torch.float32, copy=True)
        norm = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
        inverse = norm.square_().div_(values.shape[-1]).add_(epsilon).rsqrt_()
        normed = values.mul_(inverse).to(hidden.dtype)
        ctx.save_for_backward(normed, weight, inverse)
        return weight * normed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        normed, weight, inverse = ctx.saved_tensors
        to_weight = (upstream * normed).flatten(0, -2).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        above, values = (upstream * weight).to(torch.float32, copy=True), normed.float()
        mean = torch.linalg.vecdot(above, values).unsqueeze_(-1).div_(values.shape[-1])
        return above.addcmul_(values, mean, value=-1).mul_(inverse).to(normed.dtype), to_weight, None
