"""Attacks on an unlearned model: the ATTACKS table, what each does, and running them within a budget.

In: attacks on weights, on prompts and on hidden states. Not here: judging what they brought back (models/verdict).
"""
