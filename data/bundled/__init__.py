"""Sources of the bundled sets: fictitious people, general questions, and the script that writes data/*.jsonl.

In: tables of facts and their script. Not here: anything a run imports; runs read the .jsonl files.
"""
