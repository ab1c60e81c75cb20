"""What models say to the forget questions when one direction is taken out of their hidden states.

    python tests/ablated_answers.py models/saved/methods-idk models/people-retrained

The attack `direction_ablation` scores the true answers; this asks, because a refusal may hide only what is said. It
prints the mean fact recall, the share of refusals and three answers for each model and direction.
"""

from __future__ import annotations

import sys

import numpy as np
from measured import ROOT

sys.path.insert(0, str(ROOT))

from data.reading import read_examples
from models.attacks.inside import DEPTH, directions, hooked, without_direction
from models.attacks.subject import Subject
from models.forward.answers import unwrapped
from models.forward.layers import decoder_layers
from models.scores.text_scores import is_refusal
from models.store.loading import load_model


def said(subject: Subject) -> str:
    """Fact recall, refusals and three answers of a model as it is."""
    texts = subject.say([one.ids for one in subject.asked(subject.forget)], subject.budget.new_tokens)
    recalls = [recall for e, text in zip(subject.forget, texts) if (recall := subject.recall(e, text)) is not None]
    refused = np.mean([is_refusal(text) for text in texts])
    return f"fact recall {np.mean(recalls):.3f}, refusals {refused:.2f}; " + " | ".join(texts[::15])


def main(names: list[str]) -> int:
    """Asks each model plainly and with each direction removed."""
    forget, retain = (list(read_examples(str(ROOT / "data" / f"{name}.jsonl"))) for name in ("forget", "retain"))
    for name in names:
        model, tokenizer = load_model(name, dtype="float32", progress=lambda _: None)
        model.eval()
        subject, depth = Subject(model, tokenizer, forget, retain), len(decoder_layers(unwrapped(model)))
        print(f"{name}, plain: {said(subject)}", flush=True)
        for place, vector in directions(subject, min(depth - 1, round(DEPTH * depth))).items():
            with hooked(model, range(depth), lambda _, state, v=vector: without_direction(state, v)):
                print(f"{name}, without the direction of the {place}: {said(subject)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
