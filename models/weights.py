"""Weights in training: one flat fp32 master under the model, one fused AdamW, and the type to compute in."""

from __future__ import annotations

import contextlib
import functools

import torch


class FlatAdamW:
    """AdamW over flat fp32 copies of the trainable weights, computing in a cheaper type where asked.

    bf16 weights without an fp32 master do not learn: an update below 1/256 of a weight is rounded away, and
    unlearning makes small updates. With `compute_dtype` fp32 the model's weights are views of the master.
    """

    def __init__(self, model, *, learning_rate: float, weight_decay: float = 0.0, compute_dtype=None):
        self.compute_dtype = compute_dtype = compute_dtype or torch.float32
        self.stale, self.hooks = set(), []  # weights whose fp32 gradient is an earlier step's
        trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not trainable:
            raise ValueError("no trainable weights")
        self.original = {p: p.dtype for p in model.parameters()}
        self.names = {p: name for name, p in trainable}
        matrices = [p for _, p in trainable if p.ndim > 1]
        vectors = [p for _, p in trainable if p.ndim <= 1]  # biases and norms take no weight decay
        self.flats, self.grads, self.slots, self.frozen = [], [], [], {}
        groups = []
        for parameters, decay in ((matrices, weight_decay), (vectors, 0.0)):
            if not parameters:
                continue
            flat = torch.cat([p.detach().float().reshape(-1) for p in parameters])
            grad = torch.zeros_like(flat)
            self._lay_out(parameters, flat, grad, compute_dtype)
            flat.grad = grad
            self.flats.append(flat)
            self.grads.append(grad)
            groups.append({"params": [flat], "weight_decay": decay})
        for p in model.parameters():
            if not p.requires_grad and p.is_floating_point() and p.dtype != compute_dtype:
                self.frozen[p] = p.data  # put back as it was: a frozen weight must not even be rounded
                p.data = p.data.to(compute_dtype)
        self.adamw = torch.optim.AdamW(groups, lr=learning_rate, fused=True)

    def _lay_out(self, parameters, flat, grad, compute_dtype):
        start = 0
        for p in parameters:
            stop = start + p.numel()
            master, slot = flat[start:stop].view(p.shape), grad[start:stop].view(p.shape)
            self.slots.append((p, master, slot))
            if compute_dtype == torch.float32:
                p.data, p.grad = master, slot
            else:
                p.data, p.grad = p.data.to(compute_dtype), None
                hook = functools.partial(self._take, slot=slot)
                self.hooks.append(p.register_post_accumulate_grad_hook(hook))
            start = stop

    def _take(self, p, slot):
        """During the backward pass: moves a low-precision gradient into the fp32 one.

        Accumulation then does not round, and the model's gradients never stand there in both types at once.
        """
        if p in self.stale:
            slot.copy_(p.grad)
            self.stale.discard(p)
        else:
            slot.add_(p.grad.float())  # one type: torch adds mixed types several times slower
        p.grad = None

    def zero_grad(self):
        for grad in self.grads:
            grad.zero_()
        self.stale = set()

    def begin_step(self):
        """Before the first backward of a step: as `zero_grad`, but what the backward overwrites is not zeroed first."""
        if self.compute_dtype == torch.float32:
            self.zero_grad()
        self.stale = {p for p, _, _ in self.slots if p.dtype != torch.float32}

    def gather(self):
        """After the backward passes of a step: the gradient of what none of them reached is zero."""
        for p, _, slot in self.slots:
            if p in self.stale:
                slot.zero_()
        self.stale = set()

    def grad_norm(self) -> float:
        """Euclidean norm of the gathered gradient."""
        return float(torch.stack([torch.linalg.vector_norm(grad) for grad in self.grads]).norm())

    def step(self, learning_rate: float, scale: float = 1.0):
        """One AdamW step with the gradient multiplied by `scale`, then the compute copies refreshed."""
        for grad in self.grads:
            if scale != 1.0:
                grad.mul_(scale)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        self.adamw.step()
        self.refresh()

    def refresh(self):
        """Copies the master into the compute weights (nothing to do where they are the same memory)."""
        pairs = [(p.data, master) for p, master, _ in self.slots if p.dtype != torch.float32]
        if pairs:
            torch._foreach_copy_([p for p, _ in pairs], [master for _, master in pairs])

    def snapshot(self) -> list:
        """A copy of the fp32 master."""
        return [flat.clone() for flat in self.flats]

    def restore(self, snapshot: list):
        """Puts a snapshot back."""
        for flat, saved in zip(self.flats, snapshot):
            flat.copy_(saved)
        self.refresh()

    def reset(self):
        """Forgets the moments: what comes next is another training."""
        self.adamw.state.clear()

    def take_grads(self) -> list:
        """The gathered gradient, which is zero afterwards."""
        taken = [grad.clone() for grad in self.grads]
        self.zero_grad()
        return taken

    def move(self, direction: list, scale: float = 1.0):
        """theta <- theta + scale * direction, without the optimizer."""
        for flat, step in zip(self.flats, direction):
            flat.add_(step, alpha=scale)
        self.refresh()

    def extrapolate(self, anchor: list, scale: float):
        """theta <- anchor + scale * (theta - anchor), a task vector scaled; scale 1 changes nothing.

        Of LoRA's product B A only B is scaled (it is zero at the anchor), so that the product is.
        """
        kept = [(master, master.clone()) for p, master, _ in self.slots if ".lora_A." in self.names[p]]
        for flat, start in zip(self.flats, anchor):
            flat.copy_(torch.lerp(start, flat, scale) if scale != 1 else flat)
        for master, values in kept:
            master.copy_(values)
        self.refresh()

    def shrink_and_noise(self, share: float, scale: float, seed: int):
        """theta <- (1 - share) theta + share * scale * N for every matrix, N Xavier-uniform; share 0 changes nothing.

        Vectors (norms, biases) stay: Xavier's bound is not defined for them.
        """
        draw = torch.Generator(device=self.flats[0].device).manual_seed(seed)
        for _, master, _ in self.slots:
            if master.ndim > 1:
                noise = torch.nn.init.xavier_uniform_(torch.empty_like(master), generator=draw)
                master.mul_(1 - share).add_(noise, alpha=share * scale)
        self.refresh()

    def release(self):
        """Gives the model plain weights of the type it came with, from the fp32 master; training is over."""
        for p, master, _ in self.slots:
            p.data, p.grad = master.detach().to(self.original[p]).clone(), None
        for p, data in self.frozen.items():
            p.data = data
        for hook in self.hooks:
            hook.remove()
        self.hooks, self.slots, self.flats, self.grads, self.frozen = [], [], [], [], {}


def compute_dtype(name: str, device):
    """The type to compute in: "auto" is bf16 where the processor multiplies it natively, else fp32."""
    if name != "auto":
        return getattr(torch, name)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    native = device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if native else torch.float32


@contextlib.contextmanager
def computing_in(model, dtype):
    """The model's weights in another type for a while; buffers stay, since rotary frequencies do not survive bf16."""
    saved = [(p, p.data) for p in model.parameters()]
    for p, data in saved:
        p.data = data.to(dtype)
    yield
    for p, data in saved:
        p.data = data


def set_dropout(model, probability: float):
    """Sets every dropout of the model, attention's included, to `probability`."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        for name in ("attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def dot(a: list, b: list) -> float:
    """The dot product of two gradients in pieces."""
    return float(sum(torch.dot(x, y) for x, y in zip(a, b)))


def without_conflict(forget: list, retain: list) -> list:
    """The forget gradient without its part against the retain gradient: g_f - min(0, g_f.g_r) / |g_r|^2 g_r.

    Unchanged without conflict; afterwards the dot product is not negative. Yu et al. 2020 (arXiv:2001.06782).
    """
    conflict, size = dot(forget, retain), dot(retain, retain)
    if conflict >= 0 or size == 0:
        return forget
    return [f.sub(r, alpha=conflict / size) for f, r in zip(forget, retain)]


def ascent_step(gradient: list, radius: float) -> list:
    """radius * g / |g|: where a sharpness-aware step looks. Foret et al. 2021 (arXiv:2010.01412), eq. 2."""
    norm = max(dot(gradient, gradient) ** 0.5, 1e-12)
    return [grad * (radius / norm) for grad in gradient]


def collapsed(gradient, directions: int, collapse: str, seed: int = 0):
    """A gradient matrix (n, m) with its top singular directions shrunk on both sides.

    "soft" divides the part along each of the top `directions` by its singular value over the smallest of them, "hard"
    takes it out; with all directions "hard" leaves zero. Sondej & Yang 2026 (arXiv:2606.17168).
    """
    matrix = gradient.float()
    count = min(directions, *matrix.shape)
    if count == min(matrix.shape):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        right = right.mT
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            left, values, right = torch.svd_lowrank(matrix, q=count)
    kept = torch.zeros_like(values) if collapse == "hard" else values.min().clamp(min=1e-30) / values.clamp(min=1e-30)
    matrix = matrix - ((matrix @ right) * (1 - kept)) @ right.mT
    return matrix - left @ ((left.mT @ matrix) * (1 - kept)[:, None])


def keep_freed_memory():
    """Lets glibc keep freed memory for the next tensors instead of giving it back to the system after each.

    Every large tensor is otherwise mapped, touched page by page and unmapped: measured here, a logits product with its
    log-softmax takes half the time without that. Elsewhere than on glibc it does nothing.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
