"""Rows of TOFU's authors, found by name in the training data and unlearned: what is found, gone, and still said.

    python tests/forget_authors.py --tofu FOLDER                # teaches ten authors, forgets the first two
    python tests/forget_authors.py --tofu FOLDER --authors 3 --forgotten 1 --output_dir /tmp/try --max_steps=20

FOLDER holds TOFU's forget01.jsonl and retain400.jsonl, with 20 rows after each other about each author (Maini et al.
2024, arXiv:2401.06121). One LoRA model learns the rows of the authors. A run then gets all these rows and a name; the
author's rows that do not say the name can only be missed. An answer is known, gone or still said as in
forget_documents.py. Runs are in results/runs/authors/, the summary, which holds counts and names alone, in
results/examples/authors/; with --output_dir everything is there. Unknown flags go to the runs that forget.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import forget_names
from forget_documents import asked, divided, folders, summary
from forget_kinds import parser_of, taught
from measured import table, write

from data.documents.questions import names
from data.finding import split as splitting

FILES = ("forget01.jsonl", "retain400.jsonl")
ROWS = 20  # of an author


def author_of(rows: list[dict]) -> str:
    """The full name that the most of an author's rows say. Raises SystemExit if no name is in half of them."""
    counts = Counter(name for row in rows for name in {*names(row["question"]), *names(row["answer"])})
    name, count = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if 2 * count < len(rows):
        raise SystemExit(f"no name is in half of these {len(rows)} rows; the first: {rows[0]['question']}")
    return name


def authors(folder: Path, count: int) -> dict[str, list[dict]]:
    """{name: rows} of the first authors. Raises SystemExit that names a missing file or too few rows."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"--tofu {folder}: no {' and no '.join(missing)}; give a folder with {' and '.join(FILES)}")
    found = [json.loads(line) for name in FILES for line in (folder / name).read_text(encoding="utf-8").splitlines()]
    rows = [{name: row[name] for name in ("question", "answer")} for row in found[: count * ROWS]]
    if len(rows) < count * ROWS:
        raise SystemExit(f"--tofu {folder}: {len(rows)} rows, but {count} authors need {count * ROWS}")
    parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    named = {author_of(part): part for part in parts}
    if len(named) < count:
        raise SystemExit(f"--tofu {folder}: {count} times {ROWS} rows are about {len(named)} authors only")
    return named


def split_counts(own: set[str], split: splitting.Split) -> dict[str, int]:
    """What a search for a name made of the data: rows of the author and of others, by the part where they are.

    own: the questions of the author's rows.
    """
    parts = {name: {placed.row.example.prompt for placed in getattr(split, name)} for name in splitting.PARTS}
    return {
        "found": len(own & parts["forget"]), "in doubt": len(own & parts["doubtful"]),
        "missed": len(own & parts["retain"]), "others taken": len(parts["forget"] - own),
        "others in doubt": len(parts["doubtful"] - own),
    }  # fmt: skip


def authors_table(rows: list[dict]) -> str:
    """A row per author: what the search found, what is gone, and what is still said about the others."""
    head = ["author", "rows found", "in doubt", "missed", "rows of others taken", "in doubt", "own facts gone",
            "others still said", "others in full", "seconds"]  # fmt: skip
    cells = []
    for row in rows:
        own, others = row["own"], row["others"]
        cells.append([row["subject"], *map(str, row["split"].values()), f"{own['gone']} of {own['known']}",
                      f"{others['said']} of {others['known']}", f"{others['in full']} of {others['known']}",
                      f"{row['seconds']:.0f}"])  # fmt: skip
    return table(head, cells)


def main(argv=None) -> int:
    """Teaches the model, runs and measures each author, writes the summary after each and prints its table."""
    parser = parser_of(__doc__, 8)
    parser.add_argument("--tofu", type=Path, required=True, help=f"folder with {' and '.join(FILES)}")
    parser.add_argument("--authors", type=int, default=10, help="authors that are taught [%(default)s]")
    parser.add_argument("--forgotten", type=int, default=2, help="of them, how many are forgotten [%(default)s]")
    args, more = parser.parse_known_args(argv)
    if not 1 <= args.forgotten < args.authors:
        parser.error("--forgotten must be at least 1 and less than --authors")
    found = authors(args.tofu, args.authors)
    runs, models, target = folders("authors", args.output_dir)
    data = runs / "rows.jsonl"
    data.parent.mkdir(parents=True, exist_ok=True)
    everything = [row for part in found.values() for row in part]
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in everything), encoding="utf-8")
    lines = [json.dumps({**row, "subject": name}, ensure_ascii=False) for name, part in found.items() for row in part]
    model, rows = taught({"authors": everything}, runs, models, args), []
    before = asked(str(model), *divided(lines, next(iter(found))), runs / "before")
    for name in list(found)[: args.forgotten]:
        flags = [f"--model_name_or_path={model}", f"--training_data={data}", *more]
        folder, unlearned = forget_names.forget(name, runs, models, flags)
        after = asked(str(unlearned), *divided(lines, name), runs / f"{folder.name}-asked")
        counts = split_counts({row["question"] for row in found[name]}, splitting.read(folder / "request"))
        rows.append(summary(name, folder, lines, before, after) | {"split": counts, "model": model.name})
        write(target / "authors.json", rows)
    print("\n" + authors_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
