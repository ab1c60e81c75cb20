"""Methods: loss functions, the METHODS table, settings, and hooks for methods that need more than loss terms.

In: pure functions of outputs, and rows that use them. Not here: the loop (unlearning_algorithm.py), forward passes.
"""
