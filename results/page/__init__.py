"""The web page behind user_interface.py: the queue of jobs, checks of requests, the tabs and what they show.

In: code that only the page uses. Not here: the runner, which the page starts as a child process.
"""
