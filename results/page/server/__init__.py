"""Between the network and the page. In: which files come in and go out, who may call the server and how often.

Not here: what a request does (results.page.desk), the handlers of the tabs and of programs.
"""
