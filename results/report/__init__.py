"""Reports: runs read as numbers, put into words, drawn as figures, and laid out as pages; comparisons of runs.

In: code that reads finished runs and writes pages, without torch. Not here: anything that runs a model or the web page.
"""
