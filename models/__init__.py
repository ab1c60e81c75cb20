"""Models of the project: code in rooms by subject, the two bundled adapters, and saved models in `saved/`.

In: forward passes, methods, training, metrics, and models on disk. Not here: data, runs, reports.
"""
