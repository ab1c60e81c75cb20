"""Fully sharded data parallel (FSDP2): each process holds a part of every weight, its gradient and AdamW's moments.

Accelerate's configuration turns it on (`accelerate launch --use_fsdp`, or ACCELERATE_USE_FSDP=true under torchrun).
This module calls torch's `fully_shard`. `accelerator.prepare` needs the optimizer before the references are cached, and
it skips FSDP on a CPU, where the tests run.
"""

from __future__ import annotations

import copy
import os

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from models.forward.answers import unwrapped
from models.forward.layers import MethodError, decoder_layers
from models.training import together
from models.training.weights import FlatAdamW


def wanted(accelerator) -> bool:
    """Whether accelerate's configuration asks for FSDP and the run has several processes."""
    return together.count(accelerator) > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def refuse(method, settings):
    """Raises MethodError, with the reasons, for a run that needs whole matrices or sums over all weights."""
    reasons = {
        "a regulariser": method.regularizer != "none" and settings.regularizer_weight,
        "its own update of the weights": method.update,
        "several phases": method.phases,
        "a layer's output": method.reads == "activation" or settings.retain_loss == "hidden_state",
        "a change of the weights at the end": method.finish,
        "a pass over whole embeddings": method.read_once,
        "a proxy": method.needs_base,
        "--sam_rho": settings.sam_rho,
        "--gradient_surgery": settings.gradient_surgery,
        "--auto_batch": settings.auto_batch,
    }
    found = [reason for reason, applies in reasons.items() if applies]
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "").lower() == "true":
        found.append("FSDP's offloading to the CPU")
    if found:
        raise MethodError(f"{method.name} with {' and '.join(found)} does not run sharded (FSDP): use data parallel")


class ShardedAdamW(FlatAdamW):
    """AdamW on this process's parts of the weights, with `FlatAdamW`'s interface; `flats` holds these parts."""

    def __init__(self, model, *, weight_decay: float, compute_dtype, accelerator, frozen=()):
        self.accelerator, self.model = accelerator, model
        self.plain = _without_weights(model, frozen)
        self.compute_dtype = torch.float32  # the master's type; FSDP casts the weights that it gathers
        policy = MixedPrecisionPolicy(param_dtype=None if compute_dtype == torch.float32 else compute_dtype,
                                      reduce_dtype=torch.float32)  # fmt: skip
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        for layer in decoder_layers(unwrapped(model)):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        # reshard the root module too: left gathered, it would ignore changes to its parts until the next forward pass
        fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.names = {p: name for name, p in trainable}
        self.stale, self.gradient, self.rows, self.moments = set(), {}, {}, []
        self.slots, self.flats, self._grads, groups = [], [], [], {True: [], False: []}
        for _, p in trainable:
            flat = p.to_local().detach().view(-1)  # the same memory: FSDP gathers what AdamW changes
            flat.grad = torch.zeros_like(flat)
            self.flats.append(flat)
            self._grads.append(flat.grad)
            self.slots.append((p, flat))
            if len(flat):
                groups[p.ndim > 1].append(flat)
        decays = {True: weight_decay, False: 0.0}
        self.adamw = torch.optim.AdamW(
            [{"params": parts, "weight_decay": decays[kind]} for kind, parts in groups.items() if parts]
        )

    def begin_step(self):
        """Before the first backward of a step."""
        self.zero_grad()
        for p, _ in self.slots:
            p.grad = None

    def gather(self):
        """After the backward passes: turns FSDP's mean over the processes into the sum."""
        for (p, _), slot in zip(self.slots, self._grads):
            if p.grad is not None:
                slot.add_(p.grad.to_local().reshape(-1).float(), alpha=self.accelerator.num_processes)
                p.grad = None

    def grad_norm(self) -> float:
        """Euclidean norm of the whole gradient, over all parts."""
        squares = sum((grad.double().square().sum() for grad in self._grads), torch.zeros((), dtype=torch.float64))
        return float(self.accelerator.reduce(squares, "sum")) ** 0.5

    def step(self, learning_rate: float, scale: float = 1.0):
        """One AdamW step with the gradient multiplied by `scale`."""
        for grad in self._grads:
            grad.mul_(scale)
        for group in self.adamw.param_groups:
            group["lr"] = learning_rate
        self.adamw.step()

    def reset(self):
        """Drops the moments."""
        self.adamw.state.clear()

    def state(self) -> dict:
        """AdamW's state of this process's parts by name."""
        return {f"{i}.{name}": value for i, flat in enumerate(self.flats)
                for name, value in self.adamw.state.get(flat, {}).items()}  # fmt: skip

    def load_state(self, tensors: dict):
        """Restores `state`."""
        self.reset()
        for key, value in tensors.items():
            number, name = key.split(".")
            self.adamw.state[self.flats[int(number)]][name] = value.clone()

    def refresh(self):
        """Does nothing: the parts are the weights."""

    def release(self):
        """The whole, unsharded model in the main process; None in the others."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state = get_model_state_dict(self.model, options=options)
        if not self.accelerator.is_main_process:
            return None
        plain = self.plain
        plain.load_state_dict(state, assign=True, strict=False)  # the state holds tied weights once
        unwrapped(plain).tie_weights()
        left = [name for name, p in plain.named_parameters() if p.is_meta]
        if left:
            raise MethodError(f"weights missing after gathering the shards: {', '.join(left[:5])}")
        return plain.eval()


def _without_weights(model, frozen):
    """A copy of the model with weights on the meta device. Keeps ties and buffers; `frozen` weights train again."""
    thawed = {id(p) for p in frozen}
    memo = {
        id(p): torch.nn.Parameter(p.detach().to("meta"), requires_grad=p.requires_grad or id(p) in thawed)
        for p in model.parameters()
    }
    return copy.deepcopy(model, memo)
