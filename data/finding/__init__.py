"""Finding the rows that a request means: mentions of a subject, rows that resemble them, and the split to look at.

In: names, contacts and files of rows, as text. Not here: models, tokens, the questions asked at a terminal.
"""
