"""The letter of a finished request: one printed page that says what was done, and what that does not show.

    write("results/runs/x")        # letter.html; on request letter.pdf and signatures

It holds hashes and numbers, and no text of the rows. `--purge` leaves it as it is, so a signature stays valid.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from models.requests import desk, ledger
from models.store.folders import read_json_or_empty
from models.verdict import gates
from models.verdict.words import PARTS, WORDS, counted, word_of
from results.after import signing
from results.report.pages import write_text
from results.report.runs import Run, read_run
from results.run.run_folder import UsageError, say

NAME = "letter.html"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
QUIET = ("--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer", "--disable-background-networking")
PATIENCE = 120  # seconds for a browser that prints
PROVES_NOT = (
    "No test proves absence. A model that answers as if it never saw the rows may still hold them in its weights.",
    "The letter speaks of the one model with the hash above. Copies, backups and models that others made from the "
    "model before still know what it knew.",
    "A signature shows who signed this page and that it was not changed since. It does not show that it is true.",
)


def check(config: dict):
    """Raises UsageError if the letter that a run wants could not be printed or signed: before hours of work."""
    if config.get("sign_with"):
        signing.load(config["sign_with"])
    if config.get("letter_pdf") and not browser():
        raise UsageError("--letter_pdf needs Chromium or Chrome, which is not here: print letter.html in any browser")


def write(folder: str | Path, pdf: bool = False, key: str | None = None) -> Path | None:
    """Writes the letter of the finished run in `folder`, prints and signs it; returns its path.

    None for a run that carried out no request. An earlier signature of the letter is removed. Raises UsageError if it
    cannot be printed or signed; the letter is written then.
    """
    folder = Path(folder)
    receipt = read_json_or_empty(folder / ledger.RECEIPT)
    if not receipt.get("request"):
        return None
    for old in folder.glob("letter.*"):
        old.unlink()
        if old.suffix == signing.SUFFIX and not key:
            say(f"note: {old} was removed: the letter is written again and must be signed again")
    path = write_text(folder / NAME, page(read_run(folder), receipt))
    files = [path, *([printed(path)] if pdf else [])]
    for file in files if key else ():
        signing.sign(file, key)
    return path


def page(run: Run, receipt: dict) -> str:
    """The letter as HTML without scripts."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)
    return pages.get_template("letter_page.html").render(
        facts=facts(run, receipt), words=three_words(run), not_shown=not_shown(run), proves_not=PROVES_NOT,
        again=again(run, receipt), kept=kept(run, receipt), number=receipt["request"],
    )  # fmt: skip


def facts(run: Run, receipt: dict) -> list[tuple[str, str]]:
    """(name, value) of what the letter states first."""
    from unlearning_algorithm import METHODS

    method = METHODS.get(run.method)
    done = f"Unlearning with {run.method.replace('_', ' ')}"
    done += f" ({method.paper}): {method.summary}" if method else "."
    steps, seed = run.status.get("step"), run.config.get("seed")
    subjects = receipt.get("subjects") if isinstance(receipt.get("subjects"), list) else []
    listed = ", ".join(map(str, subjects[:4])) + (f" and {len(subjects) - 4} more" if len(subjects) > 4 else "")
    found = {
        "Request": receipt["request"],
        "Received": receipt.get("received") or "not recorded",
        "Due": receipt.get("due") or "not recorded",
        "Carried out": receipt.get("time") or desk.today().isoformat(),
        "Subject, as keyed hash": listed or "none named",
        "Rows, as keyed hash": f"{_rows(receipt.get('rows'))}: {receipt.get('data_hash')}",
        "What was done": f"{done} Steps {_known(steps)}, seed {_known(seed)}.",
        "Model before (SHA-256)": receipt.get("model_before") or "unknown",
        "Model after (SHA-256)": receipt.get("model_after") or "unknown",
    }
    if receipt.get("hash"):
        found["Ledger"] = f"line {receipt.get('line')}, hash {receipt['hash']}"
    return [(name, str(value)) for name, value in found.items()]


def three_words(run: Run) -> list[tuple[str, str, str]]:
    """(part, word, its meaning) of the verdict."""
    titles = {"memory": "What was to go", "rest": "What was to stay", "resistance": "Under attack"}
    if not run.words:
        return [(titles[part], "no verdict", "This run has no verdict of three words.") for part in PARTS]
    return [(titles[part], run.words[part], WORDS[part][word_of(run.words[part])].plain) for part in PARTS]


def not_shown(run: Run) -> list[str]:
    """What this run did not show, in sentences that name nobody."""
    found = []
    if "retrained" not in run.models:
        found.append("No model trained without the rows was at hand to compare with, so nothing is certified.")
    if not run.attacks:
        found.append("Nobody tried to bring it back: no attack was run.")
    open_words = (gates.UNDECIDED, gates.NO_CONTRAST, gates.NOT_MEASURED)
    labels = [gate.label for part in run.evidence.values() for gate in part.gates if gate.word in open_words]
    if labels:
        more = f" and {len(labels) - 6} more" if len(labels) > 6 else ""
        found.append(f"Not decided or not measured: {', '.join(labels[:6])}{more}.")
    missed = (gates.FAILED, gates.OVER)
    failed = [gate.label for part in run.evidence.values() for gate in part.gates if gate.word in missed]
    if failed:
        more = f" and {len(failed) - 6} more" if len(failed) > 6 else ""
        found.append(f"Not passed: {', '.join(failed[:6])}{more}.")
    return found


def _rows(count) -> str:
    return counted(count, "row") if isinstance(count, int) and count else "some rows"


def _known(value) -> str:
    return "unknown" if value is None else str(value)


def again(run: Run, receipt: dict) -> list[str]:
    """How anybody with the rows, the model and the ledger tests again."""
    file = receipt.get("ledger") or "ledger.jsonl"
    command = f"python evaluation_metrics.py --ledger {file} --model_name_or_path MODEL --forget_data ROWS"
    due = f" The next test is due {receipt['retest_after']} after this one." if receipt.get("retest_after") else ""
    return [command, "MODEL is the folder whose weights have the hash above, ROWS your own copy of the rows. The rows "
            f"are recognised by their keyed hash, which needs the key (results/hash.key).{due}"]  # fmt: skip


def kept(run: Run, receipt: dict) -> list[tuple[str, str]]:
    """(who, what they keep)."""
    return [
        ("The run's folder", "numbers, figures, this letter; the text itself until it is deleted (--purge), which "
                             "purge.json there records"),
        ("The ledger", "one line: id, dates, hashes, numbers, verdict; never the text" if receipt.get("hash")
         else "nothing: this run has no line in a ledger"),
        ("The key of the hashes", "without it, no hash on this page tells anything about the text"),
        ("The model after", "its weights and a card without the text or a hash of it"),
        ("The model before", "still knows it: whoever keeps that model keeps the knowledge"),
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Paper


def browser() -> str | None:
    """A browser on this machine that can print."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def printed(path: Path) -> Path:
    """letter.pdf beside letter.html, printed by a browser. Raises UsageError if that fails."""
    program, target = browser(), path.with_suffix(".pdf")
    if not program:
        raise UsageError(f"no Chromium or Chrome on this machine: print {path} in any browser")
    # the page is our own and has no scripts; a browser refuses to start for root with its sandbox
    as_root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="letter-", ignore_cleanup_errors=True) as profile:
        command = [program, *QUIET, *as_root, f"--user-data-dir={profile}", f"--print-to-pdf={target.resolve()}",
                   path.resolve().as_uri()]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            said = done.stderr.strip().splitlines()[-1:] or ["no message"]
        except (OSError, subprocess.TimeoutExpired) as error:
            said = [str(error)]
    if not target.is_file():
        raise UsageError(f"{program} did not print {path}: {said[0][:200]}")
    say(f"letter printed: {target}")
    return target
