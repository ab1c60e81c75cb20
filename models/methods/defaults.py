"""The settings of a method for a model of a given size: published values, tuned ones, and a rule for larger models."""

from __future__ import annotations

from models.methods.settings import TRAINING_DEFAULTS
from models.methods.table import METHODS

SMALL_MODEL = 500_000_000
TUNED_AT = 135_000_000  # parameters of the model on which this project's own methods were tuned
RATES = ("learning_rate", "proxy_learning_rate")


def hyper_parameters(name: str, parameters: int | None = None, adapter: bool = False) -> dict:
    """All settings of a method: training defaults, published values, and for a model below `SMALL_MODEL` tuned ones.

    A method `tuned_here` trains all weights of a larger model at rate * (TUNED_AT / parameters)^(1/3): AdamW's best
    rate for hidden weights goes with 1 / width (Yang et al. 2022, arXiv:2203.03466), and parameters with about the cube
    of the width. adapter: LoRA's rate stays.
    """
    method = METHODS[name]
    small = method.small if parameters is not None and parameters < SMALL_MODEL else {}
    chosen = {**TRAINING_DEFAULTS, **method.ending.settings, **method.published, **small}
    if method.tuned_here and not adapter and (parameters or 0) > TUNED_AT:
        factor = (TUNED_AT / parameters) ** (1 / 3)
        chosen |= {rate: float(f"{chosen[rate] * factor:.2g}") for rate in RATES if rate in chosen}
    return chosen
