"""Scores of a model: the METRICS table, the statistics behind it, and measuring a model.

In: metrics, statistics, facts, benchmarks. Not here: single passes (models/forward), attacks, the verdict.
"""
