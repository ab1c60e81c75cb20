"""--method auto: the search loop, its study, its trials, its score, and its section of the report.

In: what only a search needs. Not here: the run of the winner (results/run).
"""
