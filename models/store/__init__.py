"""Where models lie: finding, fetching, screening, loading and saving them; the project's own paths.

In: files in, models out, and back. Not here: runs' folders (results/run) and data files (data/).
"""
