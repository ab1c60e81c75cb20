"""After a run: the letter of a request, its signature, and the deletion of the forgotten text.

In: what is done with a finished run besides reports. Not here: the ledger and its desk (models/requests), the page.
"""
