"""Scores of a model: the METRICS table, the statistics behind it, measuring, attacks and the verdict.

In: all steps from a model and examples to evaluation.json. Not here: single passes (models/forward), reports.
"""
