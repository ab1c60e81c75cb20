"""The request that a search rehearses: other people of the retain set, whom the model should know as well.

    examples, note = rehearsal(steering.examples)

A search that tries its settings on the request's own rows and is then scored on them reports the luck of its choice. It
tries them on other people, and the chosen settings run on the request once.
"""

from __future__ import annotations

import hashlib

SALT = "unlearning rehearsal:"  # another salt rehearses on other people
LEAST = 2  # named subjects of the retain set for each of the forget set; with fewer, too little would be left to keep
REHEARSED = "rehearsed on other people"
OWN_ROWS = "searched on the request's own rows: its score is optimistic"


def rehearsal(examples: dict) -> tuple[dict | None, str]:
    """(the sets with a rehearsal request as "forget" and the rest of the retain rows, a note); (None, note) without.

    The request has as many subjects of the retain set as the forget set names, the first by SHA-256 of `SALT` and their
    name. The retain set must name at least `LEAST` times as many, other than those of the forget set and with rows of
    the same kind (questions or raw texts). The request's own rows are in no set.
    """
    asked = {row.subject for row in examples["forget"] if row.subject}
    chosen = _chosen(examples["forget"], examples.get("retain", ()), asked)
    if not chosen:
        return None, OWN_ROWS
    forget = [row for row in examples["retain"] if row.subject in chosen]
    retain = [row for row in examples["retain"] if row.subject not in chosen]
    note = f"{REHEARSED}: {len(forget)} rows of {len(chosen)} subjects of the retain set"
    return {**examples, "forget": forget, "retain": retain}, note


def _chosen(forget, retain, asked: set[str]) -> set[str]:
    """The subjects to rehearse on; empty if there are too few."""
    kinds = {row.prompt is None for row in forget}
    others: dict[str, set[bool]] = {}
    for row in retain:
        if row.subject and row.subject not in asked:
            others.setdefault(row.subject, set()).add(row.prompt is None)
    able = [name for name, found in others.items() if found <= kinds]
    if not asked or len(able) < LEAST * len(asked):
        return set()
    order = sorted(able, key=lambda name: hashlib.sha256((SALT + name).encode("utf-8")).digest())
    return set(order[: len(asked)])
