"""Where the bundled sets come from: the fictitious people, the general questions, and the script that writes them.

In: tables of facts and the maker of data/*.jsonl. Not here: anything a run imports; runs read the .jsonl files.
"""
