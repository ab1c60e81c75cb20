"""Methods: loss functions, the METHODS table, settings, and hooks of methods that are more than their terms.

In: pure functions of outputs, and rows that name them. Not here: the loop (unlearning_algorithm.py), forward passes.
"""
