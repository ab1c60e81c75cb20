"""The tabs of the page. In: one file per tab with its components, handlers and wiring, as `page.wiring` describes.

To add a tab: write its file, and add a line to `TABS` in user_interface.py. Not here: checks of requests (desk).
"""
