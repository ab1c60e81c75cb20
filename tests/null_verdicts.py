"""The verdict on models that never saw the forget set: how often does it raise a false alarm?

    python tests/null_verdicts.py models/saved/null/*-seed-*               # each in place of the unlearned model
    python tests/null_verdicts.py models/saved/null/*-seed-* --pairs       # each against each, too
    python tests/null_verdicts.py FOLDERS --target M --retrained R --forget_data F --retain_data T --holdout_data H

For each model it prints the three words and the tests that did not pass, and then the same over draws of the rows
within persons, and of persons, with replacement. A person drawn twice counts as two. Evaluations are kept, so a second
call only judges.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from measured import ROOT, table

sys.path.insert(0, str(ROOT))

import evaluation_metrics
from models.scores.evaluating import BASE_SETS, ModelEvaluation, _summarise, add_base_loss
from models.store.loading import resolve_model
from models.training import null_models
from models.verdict.gates import PASSED
from models.verdict.verdict import judge

MAX_LENGTH = 512  # the default of evaluation_metrics.py
SPLITS = ("forget", "retain", "holdout", "judging", "general")
KINDS = {"rows": "rows within persons", "persons": "persons"}
DATA = {name: f"data/{name}.jsonl" for name in ("forget", "retain", "holdout")}


def drawn(model: ModelEvaluation, kind: str, seed: int) -> ModelEvaluation:
    """The evaluation of rows drawn with replacement; every model gets the same ones for the same seed.

    kind: "rows" draws within each person, "persons" draws whole persons. A row without a subject is a person.
    """
    made = ModelEvaluation(measured_on=model.measured_on)
    for place, (split, values) in enumerate(model.per_example.items()):
        chosen, subjects = _chosen(model.subjects[split], kind, np.random.default_rng([seed, place]))
        made.subjects[split] = subjects
        made.per_example[split] = {name: [column[row] for row in chosen] for name, column in values.items()}
        said = model.generations.get(split) or [None] * len(model.subjects[split])
        made.generations[split] = [said[row] for row in chosen]
    _summarise(made)
    return made


def _chosen(subjects: list, kind: str, draw: np.random.Generator) -> tuple[list[int], list]:
    """(row numbers, their subjects) of one draw."""
    names = [f"row {row}" if name is None else name for row, name in enumerate(subjects)]
    rows = {name: [row for row, other in enumerate(names) if other == name] for name in dict.fromkeys(names)}
    alone = all(name is None for name in subjects)
    if kind == "persons" or alone:  # persons of one row can only be drawn whole
        picked = [list(rows)[number] for number in draw.integers(0, len(rows), len(rows))]
        chosen = [(row, None if subjects[row] is None else f"{name} #{copy}")
                  for copy, name in enumerate(picked) for row in rows[name]]  # fmt: skip
    else:
        chosen = [(int(row), subjects[row]) for own in rows.values() for row in draw.choice(own, len(own))]
    return [row for row, _ in chosen], [name for _, name in chosen]


def judged(target, unlearned, retrained) -> tuple[str, list[str]]:
    """(the verdict, the tests that decided something and did not pass)."""
    found = judge(target, unlearned, retrained)
    gates = [gate for part in ("memory", "rest") for gate in found.evidence[part]["gates"]]
    open_ = [f"{gate['name']} {gate['word']}" for gate in gates
             if gate["word"] not in (PASSED, "no contrast", "not measured")]  # fmt: skip
    return found.comparison["verdict"], open_


def false_alarms(target, pairs: list[tuple], draws: int) -> list[str]:
    """Lines: how many draws of all pairs got which verdict, and which tests did not pass."""
    lines = []
    for kind, words in KINDS.items():
        verdicts, tests = Counter(), Counter()
        for seed, (unlearned, retrained) in itertools.product(range(draws), pairs):
            verdict, gates = judged(*(drawn(model, kind, seed) for model in (target, unlearned, retrained)))
            verdicts[verdict] += 1
            tests.update(gates)
        total = draws * len(pairs)
        lines.append(f"\n{total} draws of {words}:")
        lines += [f"  {count / total:6.1%}  {verdict}" for verdict, count in verdicts.most_common()]
        lines += [f"  {count / total:6.1%}  not passed: {gate}" for gate, count in tests.most_common()]
    return lines


def measured_models(args, sets: dict) -> dict[str, ModelEvaluation]:
    """{name: evaluation}; the target and the retrained model come first."""
    folders = {"target": args.target, "retrained": args.retrained, **{Path(name).name: name for name in args.models}}
    found = {}
    for name, folder in folders.items():
        path = Path(folder) if Path(folder).is_dir() else ROOT / folder
        print(f"{name}: {path}", flush=True)
        target = found.get("target")
        found[name] = null_models.evaluated([path], sets, target, max_length=MAX_LENGTH, splits=SPLITS,
                                            say=lambda _: print("  measuring", flush=True))[0]  # fmt: skip
    if base := null_models.base_of(args.target, args.retrained):
        losses = null_models.evaluated([resolve_model(base)], sets, None, metrics=["loss"], max_length=MAX_LENGTH,
                                       splits=BASE_SETS)[0]  # fmt: skip
        add_base_loss(found["target"], {split: table["loss"] for split, table in losses.per_example.items()})
    return found


def measured_sets(args) -> dict:
    """The sets that evaluation_metrics.py reads for the same data flags."""
    flags = [f"--model_name_or_path={args.target}", "--output_dir=unused"]
    for name in (*(f"{name}_data" for name in DATA), "judging_data", "general_data"):
        flags += [f"--{name}={getattr(args, name)}"] if getattr(args, name) else []
    return evaluation_metrics._read_sets(evaluation_metrics._parse(flags))[0]


def main(argv=None) -> int:
    """Measures the models, judges each as if it were unlearned, and prints what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("models", nargs="+", help="folders of null models")
    parser.add_argument("--target", default="models/people-target")
    parser.add_argument("--retrained", default="models/people-retrained")
    for name, path in DATA.items():
        parser.add_argument(f"--{name}_data", default=str(ROOT / path))
    parser.add_argument("--judging_data")
    parser.add_argument("--general_data")
    parser.add_argument("--draws", type=int, default=20, help="draws of each kind and pair; 0: none")
    parser.add_argument("--pairs", action="store_true", help="also judge each model against each other one")
    args = parser.parse_args(argv)
    found = measured_models(args, measured_sets(args))
    nulls = [name for name in found if name not in ("target", "retrained")]
    pairs = [(name, "retrained") for name in nulls]
    if args.pairs:
        pairs = list(itertools.permutations([*nulls, "retrained"], 2))
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # thousands of tiny fits: more threads only wait for each other
        _print(found, pairs, args.draws)
    return 0


def _print(found: dict, pairs: list[tuple[str, str]], draws: int):
    rows = [(a, b, *judged(found["target"], found[a], found[b])) for a, b in pairs]
    print("\n" + table(["in place of the unlearned model", "retrained model", "verdict", "not passed"],
                       [[a, b, verdict, ", ".join(gates) or "-"] for a, b, verdict, gates in rows]))  # fmt: skip
    if draws > 0:
        print("\n".join(false_alarms(found["target"], [(found[a], found[b]) for a, b in pairs], draws)))


if __name__ == "__main__":
    sys.exit(main())
