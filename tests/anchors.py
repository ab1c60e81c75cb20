"""Public checkpoints on TOFU forget10, scored by this project's formulas: what rivals reach where others tuned them.

    python tests/anchors.py FILE      # tofu_forget10_llama32_1b_public.json of gnueaj/unlearning-depth-score

The file holds the numbers of 150 unlearned Llama-3.2-1B models, of the target and of the retrained model. They are no
race against the runs of this project, which have another model and another set: only the formulas are the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from measured import ROOT, table

sys.path.insert(0, str(ROOT))

from evaluation_metrics import closeness, harmonic_mean

FILE = ROOT.parent / "shared" / "data" / "anchors" / "tofu_forget10_llama32_1b_public.json"
MEMORY = ("one_minus_es", "one_minus_em", "one_minus_paraprob", "one_minus_truth")
PRIVACY = ("s_loss", "s_zlib", "s_mink", "s_minkpp")
UTILITY = tuple(f"{part}_{name}" for part in ("retain", "ra", "wf") for name in ("q_prob", "q_rouge", "truth_ratio"))
BUDGET = 0.95  # the share of the target's utility that must be left


def read(path: Path = FILE) -> list[dict]:
    """The file's models."""
    return json.loads(path.read_text(encoding="utf-8"))["models"]


def scores(rows: list[dict]) -> dict[str, dict]:
    """{model: {"method", "score", "forgetting", "privacy", "utility"}} of the unlearned models.

    forgetting: the harmonic mean of the closeness to the retrained model, on both sides, in four metrics. privacy: the
    harmonic mean of the file's four membership scores. score: the harmonic mean of forgetting, privacy and the share of
    utility that is left.
    """
    target, retrained = (next(row for row in rows if row["model"] == name) for name in ("full", "retain"))
    found = {}
    for row in rows:
        if not row["is_reference"]:
            parts = {
                "forgetting": harmonic_mean([closeness(row[key], retrained[key], target[key]) for key in MEMORY]),
                "privacy": harmonic_mean([row[key] for key in PRIVACY]),
                "utility": row["utility_rel"],
            }
            found[row["model"]] = {"method": row["method"], "score": harmonic_mean([*parts.values()]), **parts}
    return found


def best(found: dict[str, dict]) -> dict[str, str]:
    """{method: its model of the highest score}, among those that keep the budget, highest first."""
    order = sorted((name for name in found if found[name]["utility"] >= BUDGET), key=lambda name: -found[name]["score"])
    first: dict[str, str] = {}
    for name in order:
        first.setdefault(found[name]["method"], name)
    return first


def anchors_table(found: dict[str, dict]) -> str:
    """The best public model of each method."""
    numbers = ("score", "forgetting", "privacy", "utility")
    lines = [[f"`{method}`", f"`{name}`", *(f"{found[name][key]:.3f}" for key in numbers)]
             for method, name in best(found).items()]  # fmt: skip
    return table(["method", "checkpoint", *numbers], lines)


if __name__ == "__main__":
    print(anchors_table(scores(read(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE))))
