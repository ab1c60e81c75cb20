"""The verdict on an unlearned model, from its own, the target's and the retrained model's scores.

In: memory, rest, resistance, usable references, evaluation.json. Not here: measuring a model (models/scores).
"""
