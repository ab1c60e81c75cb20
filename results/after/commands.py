"""The commands of unlearning_script.py for finished runs: --purge, --letter, --verify_letter."""

from __future__ import annotations

from pathlib import Path

from data import private
from results.after import letter, purge, signing
from results.run.run_folder import UsageError, say

MORE = {"purge": (), "letter": ("letter_pdf", "sign_with"), "verify_letter": ("public_key",)}  # and their flags


def wanted(flags: dict) -> bool:
    """Whether the flags ask for one of these commands."""
    return any(name in flags for name in MORE)


def carry_out(flags: dict) -> None:
    """Does what the flags ask for. Raises UsageError for flags that do not go together."""
    given = {name: value for name, value in flags.items() if value not in (None, False)}
    name = next(name for name in MORE if name in given)
    if wrong := sorted({*given} - {name, *MORE[name]}):
        raise UsageError([f"--{flag} does not go with --{name}" for flag in wrong])
    go_on()
    {"purge": _purge, "letter": _letter, "verify_letter": _verify}[name](given)


def go_on() -> None:
    """Finishes interrupted purges and says so; deletes the temporary folders of processes that were killed."""
    private.sweep()
    for done in purge.go_on():
        say(done.told())


def _purge(given: dict) -> None:
    for done in purge.purge(given["purge"]):
        say(done.told())


def _letter(given: dict) -> None:
    pdf = str(given.get("letter_pdf") or "false").lower() in ("true", "1", "yes")
    letter.check({"letter_pdf": pdf, "sign_with": given.get("sign_with")})
    path = letter.write(Path(given["letter"]), pdf, given.get("sign_with"))
    if path is None:
        raise UsageError(f"--letter {given['letter']}: no run that carried out a request")
    say(f"letter: {path}")


def _verify(given: dict) -> None:
    signer, known = signing.verify(given["verify_letter"], given.get("public_key"))
    told = "the given key" if known else "compare it with the fingerprint you were told, or give --public_key"
    say(f"unchanged since it was signed, by the key {signer} ({told})\nThis does not show that what it says is true.")
