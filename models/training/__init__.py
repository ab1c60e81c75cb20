"""Training: a run's stages, the terms of a step, the flat AdamW, FSDP2, agreement between processes.

In: code between a loss and a checkpoint. Not here: the losses (models/methods), forward passes (models/forward).
"""
