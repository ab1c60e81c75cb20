"""What people ask to be forgotten, made into the sets of a run: the split of training data, and its exact answer.

In: questions at the terminal, the request folder and the list of its rows, the retrained model of a request. Not here:
matching (data/finding), documents (data/documents).
"""
