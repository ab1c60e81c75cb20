"""Models of the project: code in rooms by subject, the two bundled adapters, and saved models in `saved/`.

In: what a model says, learns, is measured by, and where it lies. Not here: data, runs, reports.
"""
