"""What a run keeps where nobody gave rows: what the target itself says to general questions and about nobody.

keep(sets.steering, own_answers(sets.steering, tokenizer, config, model), tokenizer, config)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import unlearning_algorithm as algorithm
from data import preparation
from data.columns import Example
from data.documents.questions import names
from data.sampling import spread
from models.eliciting.asking import Asking
from models.eliciting.nobody import in_place, made_up
from models.eliciting.questions import guessed_kind, questions_about
from models.eliciting.statements import COMPARED, NAMES
from models.eliciting.subject import MADE_UP
from results.run import processes
from results.run.options import BUNDLED
from results.run.run_folder import say


def own_answers(steering, tokenizer, config: dict, model) -> list[Example]:
    """The target's answers to the bundled general questions and about nobody; none for a run with rows of its own.

    To train on the bundled answers teaches the model something else than it says, and hides what it loses. The
    questions about nobody are those of `models.eliciting`, with made-up names like the one that the forget rows name
    most.
    """
    if config["retain_data"] != BUNDLED["general_retain"] or not algorithm.METHODS[config["method"]].forget:
        return []
    general = [row.prompt for row in steering.examples["retain"] if row.prompt]
    nobody = questions_about_nobody(steering.examples["forget"], config["seed"] or 0)
    say(f"keeping the model's own answers to {len(general)} general questions and {len(nobody)} about made-up names")
    asked = [*general, *nobody]
    said = processes.team().from_main(lambda: [one.answer for one in Asking(model, tokenizer).answers(asked)])
    return [Example(answer, question, subject=None if place < len(general) else MADE_UP)
            for place, (question, answer) in enumerate(zip(asked, said)) if answer]  # fmt: skip


def keep(steering, rows: Sequence[Example], tokenizer, config: dict):
    """Trains on these rows in place of the encoded ones to keep, if there are any; what is measured stays."""
    if rows:
        steering.encoded["retain"], _ = preparation.encode_examples(tokenizer, rows, config["max_length"])


def questions_about_nobody(rows: Sequence[Example], seed: int) -> list[str]:
    """Questions about made-up names like the one that stands most often in these rows; none without a name."""
    found = Counter(name for row in rows for name in names(f"{row.prompt or ''} {row.answer}"))
    if not found:
        return []
    name = found.most_common(1)[0][0]
    asked = spread(list(questions_about(name, guessed_kind(name)).asked), COMPARED)
    return [in_place(question, name, other) for other in made_up(name, NAMES, seed) for question in asked]
