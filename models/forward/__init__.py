"""What a model says: packed forward passes, outputs at answer positions, generation, frozen references.

In: code that calls a model. Not here: losses (models/methods), the optimizer (models/training), metrics.
"""
