"""Which test shows which row of the hardening table: collected from the tests' own marks, written to HARDENING.md.

python tests/hardening_table.py            # writes tests/HARDENING.md
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS / "HARDENING.md"

# row: (what is handed in or happens, what must come of it)
ROWS = {
    1: ("a forget file without a byte", "exit 3, the file is named"),
    2: ("nothing but blank lines or white space", "exit 3"),
    3: ("an empty or missing question or answer", "exit 3 with the line of each"),
    4: ("CRLF, a byte order mark, blank lines between rows", "read; the same tokens"),
    5: ("one malformed line among good ones", "exit 3 with line and column"),
    6: ("a trailing comma, a key twice", "exit 3 with the line"),
    7: ("an array in .jsonl, lines in .json", "read, and said"),
    8: ("binary, UTF-16 or Latin-1 bytes", "exit 3 with the byte offset; no encoding is guessed"),
    9: ("columns of other names", "exit 3: those found, those accepted"),
    10: ("rows of two kinds in one file", "exit 3 at the first row of the other kind"),
    11: ("NaN, Infinity, numbers or lists where text belongs", "exit 3"),
    12: ("NUL characters, lone surrogates", "exit 3"),
    13: ("a single line of 10 MB", "loads below 1 GB; what was cut is counted"),
    14: ("JSON 5,000 levels deep", "exit 3 in words"),
    15: ("a million rows", "stream; the page looks at the first thousand"),
    16: ("emoji sequences, right-to-left, combining and CJK text", "every byte kept, shown in its own direction"),
    17: ("control tokens and instructions inside the data", "plain text; no content becomes a control token"),
    18: ("markup, scripts and spreadsheet formulas in the data", "escaped in page, report and CSV"),
    19: ("one row to forget, a batch of eight", "runs with a batch of one"),
    20: ("one row to keep", "runs; what needs two is left out with a reason"),
    21: ("repeated rows", "kept, counted, said"),
    22: ("the same file to forget and to keep", "exit 3"),
    23: ("some rows in both sets, also after folding case and space", "removed and counted; exit 3 above a tenth"),
    24: ("no rows to keep, and none wanted", "methods that need them: exit 2, naming those that do not"),
    25: ("rows longer than the model reads", "cut at the left of the prompt, counted; exit 3 when nothing is left"),
    26: ("an answer that becomes no token", "left out, said"),
    27: ("a model folder that is missing or a file", "exit 4: no such folder, is a file"),
    28: ("a hub name while the hub is forbidden", "exit 4, the variable is named"),
    29: ("cut, empty or garbled weights", "exit 4, the file is named"),
    30: ("one bit of a checkpoint flipped", "found by its manifest; the one before is used"),
    31: ("weights as pickle, harmful ones too", "exit 4, never opened; nothing saved is one or tells of the machine"),
    32: ("a config with code, fetched kernels, wrong types, absurd sizes", "exit 4 before memory is taken"),
    33: ("weights, vocabulary and config that do not fit", "exit 4 with sizes or names"),
    34: ("no chat template", "a plain one, said; chat messages: exit 3 with the way out"),
    35: ("no padding token, or the end-of-turn token as padding", "works; the end of a turn keeps its loss"),
    36: ("no tokenizer files", "exit 4"),
    37: ("a model that is no causal language model", "exit 4"),
    38: ("LoRA modules that the model does not have", "exit 2 with those it has, before weights are read"),
    39: ("an adapter folder as the model", "base and adapter; exit 4 with the way out where the base is missing"),
    40: ("learning rates absurd, zero, negative, not numbers, 1e-5 in YAML", "exit 5 or 2; YAML's is a number"),
    41: ("a loss that is not a number, at some step", "exit 5 in that step, no later checkpoint"),
    42: ("gradient ascent without end", "stopped by the guard, or called COLLAPSED; never a success"),
    43: ("several impossible numbers at once", "exit 2 with all of them"),
    44: ("unknown flags and YAML keys", "exit 2 with the nearest name"),
    45: ("no memory left", "exit 6 with advice"),
    46: ("output folders closed, taken, files, or holding something else", "exit 6 or 2 before the model loads"),
    47: ("the disk fills up", "exit 6; the checkpoint before is whole and resumes"),
    48: ("kill -9 while it trains", "the resumed run ends in the same weights, bit for bit"),
    49: ("kill -9 while it saves", "the next run resumes unaided"),
    50: ("SIGINT, SIGTERM, SIGHUP, and a second one", "the step ends, a checkpoint, exit 130, 143, 129; then at once"),
    51: ("two runs in one folder; the lock of a dead one", "exit 7 with the process; taken over"),
    52: ("a finished run started again", "exit 2 unless told to overwrite"),
    53: ("resuming with other settings, data or model", "exit 2 with the differences, before the model loads"),
    54: ("links that lead out, linked checkpoints", "not followed"),
    55: ("paths that climb, absolute ones, ~, NUL, addresses, 5,000 characters", "refused in words"),
    56: ("shell syntax and flags in the page's fields", "one argument, as typed"),
    57: ("scripts and markup in every field, name and answer", "no script runs"),
    58: ("uploads of other kinds, too large, empty, named like a way out", "refused in words, nothing left behind"),
    59: ("the page's functions called by a program", "the same checks"),
    60: ("the tab closed or reloaded, the server restarted", "the job goes on and is found again"),
    61: ("stop while it waits, prepares, trains, saves, measures", "stops in order; what was made is kept"),
    62: ("a job that crashes", "red, exit code, log; the queue goes on"),
    63: ("a hundred submissions at once", "all run, first come, first served"),
    64: ("two accounts", "neither sees the other's jobs, files or texts"),
    65: ("an address that others reach, no password", "does not start"),
    66: ("a last line half written", "ignored"),
    67: ("no network", "page, run and report work and ask nobody"),
    68: ("results missing, partial, damaged or empty", "exit 3 with the file; the others are drawn"),
    69: ("a clock that goes back, other locales, encodings and time zones", "the same numbers"),
    70: ("two processes", "the losses of one"),
    71: ("a batch of 1 accumulated 8 times", "the steps of a batch of 8"),
    72: ("random bytes and JSON", "read, or refused with a line"),
}
# rows that no test of this suite can show, and why
EXCEPTIONS: dict[int, str] = {}
# rows whose tests show less than the row's words
LIMITS = {
    15: "The test streams 300,000 rows: rows are not kept, so their number costs time alone.",
    42: "A collapse that the guard stops ends with exit code 0 and the state `collapsed`; the report says COLLAPSED.",
    45: "A tokenizer that runs out of memory aborts by itself (134), before any training.",
    46: "A parent folder that is missing is made; it is an error where it cannot be.",
    47: "The full file system is a real one where the tests run as root; elsewhere a limit on file sizes stands in.",
    69: "The locale with a decimal comma is asked for by name; a machine that lacks it falls back to C.",
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
    """{row: tests that show it}, as file::test."""
    if str(TESTS) not in sys.path:
        sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    import hardening_cases

    found: dict[int, set[str]] = {row: set() for row in ROWS}
    for path in sorted(TESTS.glob("test_*.py")):
        for test, rows in marked(ast.parse(path.read_text(encoding="utf-8"))).items():
            for row in rows:
                found[row].add(f"{path.name}::{test}")
    for case in hardening_cases.CASES:
        found[case.row].add("test_hardening.py::test_bad_input_is_refused_in_words")
    return {row: sorted(tests) for row, tests in found.items()}


def page() -> str:
    """The table as Markdown."""
    lines = ["# Bad input, faults and attacks: what shows that each is met", "",
             "Written by `python tests/hardening_table.py` from the marks on the tests; not edited by hand.", "",
             "| row | given | what comes of it | shown by |", "|---|---|---|---|"]  # fmt: skip
    for row, tests in collected().items():
        given, expected = (text.replace("|", "\\|") for text in ROWS[row])
        shown = "<br>".join(f"`{test}`" for test in tests) or f"not tested: {EXCEPTIONS.get(row, '')}"
        lines.append(f"| {row} | {given} | {expected} | {shown} |")
    lines += ["", "What the tests show less of than the row says:", ""]
    lines += [f"- Row {row}: {text}" for row, text in LIMITS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
