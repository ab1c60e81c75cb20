"""What numbers say about a model: the METRICS table, the statistics behind it, attacks and the verdict.

In: functions of losses, tokens and texts. Not here: the passes that produce them (models/forward), figures and words.
"""
