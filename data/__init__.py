"""Data: the bundled sets, and the code that reads, checks, batches and tokenises sets.

In: from a file to token rows. Not here: models, runs.
"""
