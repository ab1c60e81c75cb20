"""Training: a run's stages, the terms of a step, the flat AdamW, FSDP2, agreement between processes, estimates.

In: code between a loss and a checkpoint, and null models. Not here: losses (models/methods), forward passes.
"""
