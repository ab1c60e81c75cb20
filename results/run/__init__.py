"""One run: its settings, folder, processes, stopping, measuring, plan, and the card of the saved model.

In: what unlearning_script.py uses. Not here: reports (results/report), the search, the page.
"""
