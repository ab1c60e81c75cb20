"""The web page behind user_interface.py: the queue of jobs, checks of requests, what the tabs show.

In: code only the page uses. Not here: the runner, which the page starts as a child process.
"""
