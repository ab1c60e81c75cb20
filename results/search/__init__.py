"""--method auto: the search loop, its study, its trials, the score it chooses by, and its part of the report.

In: what only a search needs. Not here: the run of the winner (results/run).
"""
