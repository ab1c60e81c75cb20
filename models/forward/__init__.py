"""Forward passes: packing, outputs at answer positions, generation, frozen references, probes.

In: code that calls a model. Not here: losses (models/methods), the optimizer (models/training), metrics.
"""
