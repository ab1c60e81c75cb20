"""One sentence about a subject: what the model said about it before, and what it still says.

about_subject(sets.measured, evaluations)     # for evaluation.json, comparison.subject
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.columns import Example

SAID = 0.5  # share of the words that carry a fact
SHOWN = 200  # questions listed
LEFT = "To forget what is left, give a text that says it, or the data that the model was trained on."
MADE_UP = "made-up names"  # the subject of retain rows that only anchor a run: what they say is not known of anybody


def about_subject(
    measured: Mapping[str, Sequence[Example]], evaluations: Mapping, by_name: bool = False
) -> dict | None:
    """What became of the answers about the subject: counts, the questions, a sentence. None without facts in words.

    by_name: whether the run had a name alone and changed what the name brings up. If some is left, the sentence tells
    what else to do.
    A thing is known before if the target says at least half of the words that carry it (`fact_recall`). The questions
    are the probes, which nothing is trained on; without probes, those of the forget set.
    """
    split = "probes" if measured.get("probes") else "forget"
    rows = measured.get(split) or ()
    before, after = (_recalls(evaluations.get(role), split, len(rows)) for role in ("target", "unlearned"))
    asked = [place for place in range(len(rows)) if rows[place].prompt and None not in (before[place], after[place])]
    if not asked:
        return None
    known = [place for place in asked if before[place] >= SAID]
    others_known, others_said, others = _others(measured.get("retain") or (), evaluations)
    told = {
        "name": ", ".join(dict.fromkeys(row.subject for row in rows if row.subject)) or None,
        "new_questions": split == "probes",
        "asked": len(asked),
        "known_before": len(known),
        "said_after": sum(after[place] >= SAID for place in known),
        "others": others,
        "others_known": others_known,
        "others_said": others_said,
    }
    said = {role: _answers(evaluations.get(role), split, len(rows)) for role in ("target", "unlearned")}
    told["questions"] = [
        {"question": rows[place].prompt, "before": said["target"][place], "after": said["unlearned"][place],
         "known_before": place in known, "said_after": after[place] >= SAID}
        for place in asked[:SHOWN]
    ]  # fmt: skip
    advice = f" {LEFT}" if by_name and told["said_after"] else ""
    return {**told, "sentence": sentence(told) + advice}


def sentence(told: Mapping) -> str:
    """The result in one sentence, from the counts alone."""
    name, asked, known = told["name"] or "it", told["asked"], told["known_before"]
    kind = "new question" if told["new_questions"] else "question that it was trained to forget"
    kind = kind.replace("question", "questions", 1) if asked != 1 else kind
    start = f"Asked {asked} {kind} about {name}, it "
    if not known:
        first = f"{start}said nothing that it knew before: it knew none of the answers"
    else:
        thing = "the one thing" if known == 1 else f"the {known} things"
        first = f"{start}said {told['said_after']} of {thing} it knew before"
    if not told["others_known"]:
        return f"{first}. What else it knew was not asked."
    whom = f"about {told['others']} others" if told["others"] > 1 else "about other things"
    return f"{first}; {whom} it still says {told['others_said']} of {told['others_known']}."


def _others(rows: Sequence[Example], evaluations: Mapping) -> tuple[int, int, int]:
    """(things known before, those still said, subjects) of the retain set, without its rows about made-up names."""
    before, after = (_recalls(evaluations.get(role), "retain", len(rows)) for role in ("target", "unlearned"))
    known = [place for place, value in enumerate(before)
             if None not in (value, after[place]) and value >= SAID and rows[place].subject != MADE_UP]  # fmt: skip
    subjects = {rows[place].subject for place in known if rows[place].subject}
    return len(known), sum(after[place] >= SAID for place in known), len(subjects)


def _recalls(evaluation, split: str, count: int) -> list[float | None]:
    values = evaluation.per_example.get(split, {}).get("fact_recall") if evaluation else None
    return list(values) if values and len(values) == count else [None] * count


def _answers(evaluation, split: str, count: int) -> list[str | None]:
    values = evaluation.generations.get(split) if evaluation else None
    return list(values) if values and len(values) == count else [None] * count
