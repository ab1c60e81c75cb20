"""What runs do and leave: code in rooms by subject, run folders in `runs/`, kept examples in `examples/`.

In: runs, the search, reports, the web page. Not here: methods, metrics, models.
"""
