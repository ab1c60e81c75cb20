"""Data: the bundled sets, and the code that reads, checks, splits and tokenises sets.

In: from a file to token rows. Not here: models, runs.
"""
