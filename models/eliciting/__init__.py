"""What a model says about a subject, without its training data: questions, made-up names, statements.

In: asking a loaded model. Not here: the request that a person edits, and the run (results/run/request).
"""
