"""Reports: runs read as numbers, put into words, drawn as figures, and laid out as pages; comparisons of runs.

In: files of finished runs in, pages out. No torch. Not here: anything that runs a model or the web page.
"""
