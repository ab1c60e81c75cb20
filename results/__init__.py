"""Runs and their results: code in folders by subject, run folders in `runs/`, kept examples in `examples/`.

In: runs, the search, reports, the web page. Not here: methods, metrics, models.
"""
