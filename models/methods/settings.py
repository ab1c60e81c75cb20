"""The settings of training and methods, each declared once: default, help and limits.

A method's row (models/methods/table.py) declares the settings that only this method has.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.methods.losses import RETAIN_LOSSES
from models.training.step import LR_SCHEDULES


@dataclass(frozen=True)
class Setting:
    """A setting: default, help and allowed values. The default's type is the setting's type (None: float)."""

    default: object
    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple = ()


# every method has these; a method's row may replace the default
TRAINING_SETTINGS: dict[str, Setting] = {
    "learning_rate": Setting(1e-5, "AdamW's step size", above=0),
    "find_learning_rate": Setting(
        False, "first try learning rates for a few steps each and take the best (also: --learning_rate auto)"
    ),
    "num_train_epochs": Setting(5.0, "passes over the forget set", above=0),
    "max_steps": Setting(-1, "optimizer steps; above 0 it replaces num_train_epochs", low=-1),
    "min_steps": Setting(0, "steps at least: a small forget set is passed more often than num_train_epochs", low=0),
    "per_device_train_batch_size": Setting(8, "rows in a forward pass", low=1),
    "gradient_accumulation_steps": Setting(1, "forward passes in a step", low=1),
    "auto_batch": Setting(False, "when memory runs out, halve the rows in a forward pass; keep the effective batch"),
    "warmup_steps": Setting(0, "steps of linear warm-up", low=0),
    "lr_scheduler_type": Setting("constant", "shape of the learning rate", choices=LR_SCHEDULES),
    "weight_decay": Setting(0.0, "decoupled weight decay", low=0),
    "max_grad_norm": Setting(1.0, "clip the gradient to this norm (0: off)", low=0),
    "seed": Setting(42, "seed of sampling, dropout and levels", low=0, high=2**32 - 1),
    "dropout": Setting(None, "sets the model's dropout while unlearning", low=0, high=0.99),
    "forget_weight": Setting(1.0, "factor of the forget loss", low=0),
    "retain_weight": Setting(1.0, "factor of the retain loss", low=0),
    "retain_loss": Setting("", "loss on the retain set", choices=tuple(RETAIN_LOSSES)),
    "earlier_weight": Setting(1.0, "factor of the loss that keeps earlier requests forgotten", low=0),
    "retain_rows_per_forget_row": Setting(1.0, "retain rows for each forget row of a step", above=0),
    "general_retain_rows": Setting(0, "rows of the bundled general retain set to add to the retain set", low=0),
    "regularizer_weight": Setting(0.0, "mu of the regulariser", low=0),
    "update_scale": Setting(
        1.0, "factor on the total weight change, applied at the end (below 1: forgets less, keeps more)",
        above=0, high=2,
    ),
    "level": Setting(
        2.3, "loss (nats per token) that counts as forgotten without a holdout set; at least 1 above the start", above=0
    ),
    "early_stop": Setting(True, "stop when the forget probe reaches the holdout level"),
    "load_best_model_at_end": Setting(
        True, "end in the best state: the lowest forgetting left + 5 x retain lost, or, of a method that ends by "
        "itself, the last within --collapse_guard"
    ),
    "collapse_guard": Setting(
        0.5, "stop when the retain probe falls below this share of its start; a method that wins back what it lost may "
        "fall to half before its end", low=0, high=1,
    ),
    "eval_steps": Setting(
        0, "steps between probes of the sets (0: a tenth of a run that a probe may end, a fifth of another)", low=0
    ),
    "probe_rows": Setting(16, "rows of each set in a probe; of the forget set, twice as many", low=1),
    "dtype": Setting(
        "auto", "compute type; weights are kept in float32", choices=("auto", "float32", "bfloat16")
    ),
    "gradient_checkpointing": Setting(False, "recompute activations to save memory"),
    "layer": Setting(
        0, "index of the layer that hidden_state, rmu and adaptive_rmu read, and the last that name_refusal, name_swap "
        "and lower_profile train (0: the end of the first quarter)", low=0
    ),
    "sam_rho": Setting(
        0.0, "radius of a sharpness-aware step on the forget gradient (0: off; published .01)", low=0
    ),
    "gradient_surgery": Setting(False, "remove the part of the forget gradient that opposes the retain gradient"),
}  # fmt: skip

# several methods have these; each gives its own default in its row
SHARED_SETTINGS: dict[str, Setting] = {
    "beta": Setting(0.1, "how soon the gradient of a forgotten row fades", above=0),
    "strength": Setting(10.0, "nats to subtract from the true token's logit", low=0),
    "level_scale": Setting(1.35, "factor on the losses to match (above 1: beyond rows never seen)", above=0),
    "temperature": Setting(2.0, "softens teacher and student", above=0),
    "teacher_method": Setting("", "method that unlearns the teacher first"),
    "contrast": Setting(0.1, "factor on what it says with the name, subtracted from what it says without", low=0),
    "task_scale": Setting(1.0, "size of the opposite change, in multiples of the training's", low=0),
    "importance_rows": Setting(64, "rows of a set to measure the weights' importance on", low=1),
}

TRAINING_DEFAULTS = {name: setting.default for name, setting in TRAINING_SETTINGS.items()}
