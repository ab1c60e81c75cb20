"""Deletion requests over time: the ledger, the rows that runs recorded, and the test that they stay forgotten.

In: the records that outlive a run. Not here: continuing from a run (results/run), reports.
"""
