"""Modules that are imported on first use: importing torch takes longer than `--help` may, and Windows lacks two."""

from __future__ import annotations

import importlib
from typing import Any


class OnFirstUse:
    """Stands for a module and imports it when one of its attributes is first used."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str):
        return getattr(importlib.import_module(self._name), attribute)


torch: Any = OnFirstUse("torch")
F: Any = OnFirstUse("torch.nn.functional")
weights: Any = OnFirstUse("models.training.weights")
sharded: Any = OnFirstUse("models.training.sharded")
fcntl: Any = OnFirstUse("fcntl")  # see `folders.check_platform`
resource: Any = OnFirstUse("resource")
