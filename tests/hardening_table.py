"""The hardening table: every case of bad input, fault and attack, with the tests that show what happens.

python tests/hardening_table.py            # writes tests/HARDENING.md from the marks on the tests
"""

from __future__ import annotations

import ast
from pathlib import Path

import hardening_cases
import measured

TESTS = Path(__file__).resolve().parent
PAGE = TESTS / "HARDENING.md"

# row: (what is given or happens, what must follow)
ROWS = {
    1: ("an empty forget file", "exit 3 with the file"),
    2: ("a file of blank lines or white space", "exit 3"),
    3: ("an empty or missing question or answer", "exit 3 with the line of each"),
    4: ("CRLF, a byte order mark, blank lines between rows", "read; the tokens are the same"),
    5: ("one malformed line among good ones", "exit 3 with line and column"),
    6: ("a trailing comma, a key twice", "exit 3 with the line"),
    7: ("an array in .jsonl, lines in .json", "read, with a note"),
    8: ("binary, UTF-16 or Latin-1 bytes", "exit 3 with the byte offset; no encoding is guessed"),
    9: ("columns of other names", "exit 3 with the names found and the names accepted"),
    10: ("rows of two kinds in one file", "exit 3 at the first row of the other kind"),
    11: ("NaN, Infinity, numbers or lists where text belongs", "exit 3"),
    12: ("NUL characters, lone surrogates", "exit 3"),
    13: ("a single line of 10 MB", "loads in less than 1 GB; cut rows are counted"),
    14: ("JSON 5,000 levels deep", "exit 3 with a message"),
    15: ("a million rows", "streamed; the page checks the first thousand"),
    16: ("emoji sequences, right-to-left, combining and CJK text", "every byte is kept; shown in its own direction"),
    17: ("control tokens and instructions inside the data", "plain text; no content becomes a control token"),
    18: ("markup, scripts and spreadsheet formulas in the data", "escaped in page, report and CSV"),
    19: ("one forget row and a batch of eight", "runs with a batch of one"),
    20: ("one retain row", "runs; numbers that need two rows are left out with a reason"),
    21: ("repeated rows", "kept; a note counts them"),
    22: ("the same file as forget set and retain set", "exit 3"),
    23: ("rows in both sets, also if they differ in case or space", "removed and counted; exit 3 above a tenth"),
    24: ("--retain_data=none", "methods that need retain rows: exit 2 with those that do not"),
    25: ("rows longer than the model accepts", "cut at the left of the prompt and counted; exit 3 if nothing is left"),
    26: ("an answer without tokens", "left out, with a note"),
    27: ("a model folder that is missing or a file", "exit 4 with the reason"),
    28: ("a hub name while the hub is forbidden", "exit 4 with the variable"),
    29: ("cut, empty or garbled weights", "exit 4 with the file"),
    30: ("one bit of a checkpoint flipped", "found by its manifest; the previous checkpoint is used"),
    31: (
        "weights as a pickle, also a harmful one",
        "exit 4, never opened; nothing saved is a pickle or names the machine",
    ),
    32: ("a config with code, downloaded kernels, wrong types, absurd sizes", "exit 4 before memory is allocated"),
    33: ("weights, vocabulary and config that do not match", "exit 4 with sizes or names"),
    34: ("no chat template", "a plain one, with a note; chat messages: exit 3 with the remedy"),
    35: ("no padding token, or the end-of-turn token as padding", "works; the end-of-turn token keeps its loss"),
    36: ("no tokenizer files", "exit 4"),
    37: ("a model that is not a causal language model", "exit 4"),
    38: ("LoRA modules that the model does not have", "exit 2 with the modules it has, before weights are read"),
    39: ("an adapter folder as the model", "base and adapter are loaded; without the base exit 4 with the remedy"),
    40: ("learning rates: absurd, zero, negative, not numbers, 1e-5 in YAML", "exit 5 or 2; 1e-5 in YAML is a number"),
    41: ("a NaN loss at some step", "exit 5 at that step, no later checkpoint"),
    42: ("gradient ascent without end", "stopped by the guard or reported as BROKEN; never a success"),
    43: ("several impossible numbers at once", "exit 2 with all problems"),
    44: ("unknown flags and YAML keys", "exit 2 with the nearest name"),
    45: ("no memory left", "exit 6 with advice"),
    46: ("output folders that are closed, in use, files, or hold other files", "exit 6 or 2 before the model loads"),
    47: ("the disk fills up", "exit 6; the last checkpoint is complete and resumes"),
    48: ("kill -9 while it trains", "the resumed run ends with the same weights, bit for bit"),
    49: ("kill -9 while it saves", "the next run resumes without help"),
    50: ("SIGINT, SIGTERM, SIGHUP, and a second one", "step ends, checkpoint, exit 130, 143, 129; the second: at once"),
    51: ("two runs in one folder; the lock of a dead one", "exit 7 with the process; a dead lock is taken over"),
    52: ("a finished run started again", "exit 2 without --overwrite_output_dir"),
    53: ("resuming with other settings, data or model", "exit 2 with the differences, before the model loads"),
    54: ("links that lead out of the folder, linked checkpoints", "not followed"),
    55: ("paths with .., absolute paths, ~, NUL, URLs, 5,000 characters", "refused with a message"),
    56: ("shell syntax and flags in the page's fields", "passed as one argument, as typed"),
    57: ("scripts and markup in every field, name and answer", "no script runs"),
    58: ("uploads of other kinds, too large, empty, with names like ../x", "refused with a message; nothing is kept"),
    59: ("the page's functions called by a program", "the same checks"),
    60: ("a tab closed or reloaded, a server restarted", "the job continues and is found again"),
    61: ("a stop while a job waits, prepares, trains, saves, measures", "stops cleanly; results so far are kept"),
    62: ("a job that crashes", "shown in red with exit code and log; the queue continues"),
    63: ("a hundred submissions at once", "all run, first come, first served; people take turns"),
    64: ("two accounts", "neither sees the other's jobs, files or texts"),
    65: ("an address that others can reach, without a password", "does not start"),
    66: ("a half-written last line", "ignored"),
    67: ("no network", "page, run and report work and contact no other host"),
    68: ("results missing, partial, damaged or empty", "exit 3 with the file; the others are shown"),
    69: ("a clock set back, other locales, encodings and time zones", "the same numbers"),
    70: ("two processes", "the same losses as with one"),
    71: ("a batch of 1 accumulated 8 times", "the same steps as a batch of 8"),
    72: ("random bytes and JSON", "read, or refused with a line number"),
}
# rows whose tests show less than the text says
LIMITS = {
    15: "The test streams 300,000 rows. Rows are not kept in memory, so more rows only take more time.",
    42: "A collapse that the guard stops ends with exit code 0 and the state `collapsed`; the report says BROKEN.",
    45: "A tokenizer that runs out of memory aborts by itself (134), before any training.",
    46: "A missing parent folder is created; it is an error if that fails.",
    47: "As root, the tests fill a real file system; otherwise a limit on file sizes replaces it.",
    69: "The test asks for a locale with a decimal comma by name; a machine without it falls back to C.",
}


def marked(tree: ast.Module) -> dict[str, set[int]]:
    """{test: rows} of the `hardening` marks in a file."""
    found: dict[str, set[int]] = {}
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.hardening":
                found.setdefault(function.name, set()).update(ast.literal_eval(arg) for arg in mark.args)
    return found


def collected() -> dict[int, list[str]]:
    """{row: its tests}, as file::test."""
    found: dict[int, set[str]] = {row: set() for row in ROWS}
    for path in sorted(TESTS.glob("test_*.py")):
        for test, rows in marked(ast.parse(path.read_text(encoding="utf-8"))).items():
            for row in rows:
                found[row].add(f"{path.name}::{test}")
    for case in hardening_cases.CASES:
        found[case.row].add("test_hardening.py::test_bad_input_is_refused_with_a_message")
    return {row: sorted(tests) for row, tests in found.items()}


def page() -> str:
    """The table as Markdown."""
    rows = [[str(row), *(text.replace("|", "\\|") for text in ROWS[row]), "<br>".join(f"`{test}`" for test in tests)]
            for row, tests in collected().items()]  # fmt: skip
    limits = [f"- Row {row}: {text}" for row, text in LIMITS.items()]
    return f"""# Bad input, faults and attacks, and the tests for each

`python tests/hardening_table.py` writes this page from the marks on the tests. Do not edit it by hand.

{measured.table(["row", "given", "what happens", "shown by"], rows)}

Rows whose tests show less than the text says:

{chr(10).join(limits)}
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
