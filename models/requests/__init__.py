"""Deletion requests over time: the ledger, the rows a run recorded, and the test whether they came back.

In: what outlives a single run. Not here: how a run continues from another (results/run), how reports show it.
"""
