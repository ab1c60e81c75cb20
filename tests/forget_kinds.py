"""A court-like HTML page, a .docx, an .eml and a code folder, each unlearned on a model that was taught it.

    python tests/forget_kinds.py                     # teaches one model, four runs of the default method
    python tests/forget_kinds.py --only letter.eml --output_dir /tmp/try --teaching_epochs 1 --max_steps=20

The documents are in tests/kinds/. One LoRA model learns the rows that a request makes of each document, with the probes
of all four and some general rows. A run then gets one document and nothing else, so it never sees the probes. An answer
is known, gone or still said as in forget_documents.py, and "others" are the probes of the other three documents. Runs
are in results/runs/kinds/, the summary in results/examples/kinds/; with --output_dir everything is there. A taught
model is used again as long as the base, the rows and the settings of its teaching are the same. Unknown flags go to the
runs that forget.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path

from forget_documents import TARGET, asked, divided, folders, forget, summary
from measured import ROOT, read, run, table, write
from rivals import RETRAIN

from data.documents.request import DocumentRequest, document_request
from data.sampling import spread
from models.training.null_models import base_of

KINDS = ("decision.html", "memo.docx", "letter.eml", "tidewheel")
SOURCES = ROOT / "tests" / "kinds"
GENERAL = ROOT / "data" / "general_retain.jsonl"
GENERAL_ROWS = 60  # taught beside the others, so that the model learns more than these documents


# ---------------------------------------------------------------------------------------------------------------------
# Documents and rows


def documents(folder: Path) -> dict[str, Path]:
    """{name: path} of the four documents, copied into a folder; the .docx file is packed from its parts."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("memo", "__pycache__"))
    with zipfile.ZipFile(folder / "memo.docx", "w", zipfile.ZIP_DEFLATED) as file:
        for part in sorted((SOURCES / "memo").rglob("*.xml")):
            file.write(part, part.relative_to(SOURCES / "memo").as_posix())
    return {name: folder / name for name in KINDS}


def probe_lines(requests: dict[str, DocumentRequest]) -> list[str]:
    """A line per probe; its subject is the name of its document."""
    return [json.dumps({"question": row.prompt, "answer": row.answer, "subject": name}, ensure_ascii=False)
            for name, request in requests.items() for row in request.measured]  # fmt: skip


def lessons(requests: dict[str, DocumentRequest]) -> dict[str, list[dict]]:
    """{file: rows} that teach the documents: a file of passages, and one of their questions and probes."""
    rows = [row for request in requests.values() for row in (*request.forget, *request.measured)]
    return {
        "passages": [{"text": row.answer} for row in rows if row.prompt is None],
        "questions": [{"question": row.prompt, "answer": row.answer} for row in rows if row.prompt is not None],
    }


# ---------------------------------------------------------------------------------------------------------------------
# Teaching


def parser_of(description: str, epochs: int) -> argparse.ArgumentParser:
    """The flags of a measurement that teaches a model first."""
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--output_dir", help="a folder for everything, instead of the project's")
    parser.add_argument("--base_model", default=base_of(TARGET), help="the model that is taught [%(default)s]")
    parser.add_argument("--teaching_epochs", type=float, default=float(epochs), help="[%(default)s]")
    parser.add_argument("--teaching_steps", type=int, default=-1, help="instead of epochs")
    return parser


def taught(rows: dict[str, list[dict]], runs: Path, models: Path, args) -> Path:
    """Folder of a LoRA model that learned rows of several files and `GENERAL_ROWS`; trained if it is missing."""
    general = [json.loads(line) for line in GENERAL.read_text(encoding="utf-8").splitlines()]
    rows = {**rows, "general": spread(general, GENERAL_ROWS)}
    made_of = json.dumps([args.base_model, args.teaching_epochs, args.teaching_steps, RETRAIN, rows])
    model = models / f"taught-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if (model / "manifest.json").exists():
        return model
    folder = runs / model.name
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.jsonl" for name, found in rows.items() if found]
    for path in files:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows[path.stem]]
        path.write_text("".join(lines), encoding="utf-8")
    run("unlearning_script.py", *RETRAIN, "--method=fine_tuning", f"--model_name_or_path={args.base_model}",
        "--forget_data=none", f"--retain_data={','.join(map(str, files))}", "--holdout_data=none",
        "--general_data=none", f"--num_train_epochs={args.teaching_epochs}", f"--max_steps={args.teaching_steps}",
        "--ledger=none", f"--output_dir={folder / 'run'}", "--overwrite_output_dir",
        f"--model_output_dir={model}")  # fmt: skip
    return model


# ---------------------------------------------------------------------------------------------------------------------
# The measurement


def merged(known: list[dict], row: dict, order: tuple[str, ...]) -> list[dict]:
    """The rows of a summary with a new one in its place; those that were measured on another model are left out."""
    rows = {old["subject"]: old for old in known if old["model"] == row["model"]} | {row["subject"]: row}
    return sorted(rows.values(), key=lambda found: order.index(found["subject"]))


def kinds_table(rows: list[dict]) -> str:
    """A row per document: what became of the answers to its probes and to those of the other documents."""
    head = ["document", "own probes", "known before", "gone", "other probes", "known before", "still said", "in full",
            "seconds"]  # fmt: skip
    names = (("own", "questions"), ("own", "known"), ("own", "gone"), ("others", "questions"), ("others", "known"),
             ("others", "said"), ("others", "in full"))  # fmt: skip
    return table(head, [[row["subject"], *(str(row[part][name]) for part, name in names), f"{row['seconds']:.0f}"]
                        for row in rows])  # fmt: skip


def main(argv=None) -> int:
    """Teaches the model, runs and measures each document, writes the summary after each and prints its table."""
    parser = parser_of(__doc__, 10)
    parser.add_argument("--only", choices=KINDS, help="one document")
    args, more = parser.parse_known_args(argv)
    runs, models, target = folders("kinds", args.output_dir)
    paths = documents(runs / "documents")
    requests = {name: document_request(path) for name, path in paths.items()}
    lines, wanted, rows = probe_lines(requests), [args.only] if args.only else KINDS, []
    model = taught(lessons(requests), runs, models, args)
    before = asked(str(model), *divided(lines, wanted[0]), runs / "before")
    kept = target / "kinds.json"
    for name in wanted:
        folder, unlearned = forget(paths[name], runs, models, [f"--model_name_or_path={model}", *more])
        after = asked(str(unlearned), *divided(lines, name), runs / f"{folder.name}-asked")
        row = summary(name, folder, lines, before, after) | {"model": model.name}
        rows = merged(read(kept) if kept.exists() else [], row, KINDS)
        write(kept, rows)
    print("\n" + kinds_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
