"""Documents: from a file, folder or archive to passages, questions about them, and probes that nothing is trained on.

In: readers by format, limits, passages, questions made by rule, request folders. Not here: rows of data, models.
"""
