"""Judges finished runs again with the verdict as it is now, on the rows as they were measured; no model is loaded.

    python tests/judge_again.py results/runs/methods/*

Rewrites evaluation.json and the report of each run, and prints the words before and after. `--measure_again` measures
too, and needs the run's model.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from measured import write

import analyze_results
from models.verdict.evaluation_files import judged_again


def main(argv=None) -> int:
    """Judges each run; a folder without a finished run is told and left as it is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    code = 0
    for folder in parser.parse_args(argv).runs:
        try:
            before = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["comparison"]["verdict"]
            report = judged_again(folder)
        except (OSError, ValueError, KeyError) as error:
            print(f"{folder}: no finished run ({error})", file=sys.stderr)
            code = 1
            continue
        write(folder / "evaluation.json", report)
        analyze_results.write_report(folder)
        print(f"{folder}: {before} -> {report['comparison']['verdict']}")
    return code


if __name__ == "__main__":
    sys.exit(main())
