"""How weights move: the flat AdamW, FSDP2, agreement between processes, terms of a step and their state.

In: code between a gradient and a checkpoint. Not here: what the loss is (models/methods) or says (models/forward).
"""
