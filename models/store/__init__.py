"""Models on disk: finding, fetching, screening, loading and saving them; the project's paths.

In: what turns files into models and back. Not here: run folders (results/run), data files (data/).
"""
