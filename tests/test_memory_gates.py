"""A model that still knows one row or one person is never called forgotten, whatever its means say."""

import json

import numpy as np
import pytest
from run_folders import make_run

from models.scores.evaluating import ModelEvaluation
from models.verdict import memory
from models.verdict.verdict import compare, memory_gates
from results.report.runs import read_run
from results.report.sentences import not_achieved

PERSONS = ("ann", "bob", "cyd", "dan")
ROWS = 40
LEVELS = {  # mean and spread of the models' values on forget rows
    "target": {"answer_probability": (0.98, 0.01), "extraction_strength": (1.0, 0.0), "exact_memorization": (1.0, 0.0),
               "paraphrase_probability": (0.6, 0.1), "truth_ratio": (0.3, 0.05), "rouge_l_recall": (1.0, 0.0)},
    "retrained": {"answer_probability": (0.09, 0.03), "extraction_strength": (0.06, 0.03),
                  "exact_memorization": (0.6, 0.08), "paraphrase_probability": (0.08, 0.03),
                  "truth_ratio": (0.8, 0.1), "rouge_l_recall": (0.45, 0.1)},
}  # fmt: skip
UNSEEN = 2.4, 0.3  # losses of holdout rows under every model


def evaluation(like: str, seed: int, rows: int = ROWS, without=()) -> ModelEvaluation:
    """A model's evaluation with plausible values: forget and holdout rows of four persons each, a retain set."""
    draw = np.random.default_rng(seed)
    forget = {name: np.clip(draw.normal(*level, rows), 0.01, 1) for name, level in LEVELS[like].items()}
    forget["loss"] = -np.log(forget["answer_probability"])
    unseen = np.random.default_rng(7).normal(*UNSEEN, rows)
    for name, factor in (("min_k", 2.0), ("min_k_plus_plus", 1.5), ("zlib_ratio", 0.01)):
        forget[name] = forget["loss"] * factor
    holdout = {"loss": unseen, "min_k": unseen * 2, "min_k_plus_plus": unseen * 1.5, "zlib_ratio": unseen * 0.01}
    retain = {"answer_probability": np.full(rows, 0.95), "rouge_l_recall": np.full(rows, 0.95)}
    sets = {"forget": forget, "holdout": holdout, "retain": retain}
    per_example = {split: {name: values.tolist() for name, values in found.items() if name not in without}
                   for split, found in sets.items()}  # fmt: skip
    means = {split: {name: float(np.mean(values)) for name, values in found.items()}
             for split, found in per_example.items()}  # fmt: skip
    people = [PERSONS[number * len(PERSONS) // rows] for number in range(rows)]
    return ModelEvaluation(metrics=means, per_example=per_example, subjects=dict.fromkeys(sets, people))


TARGET, RETRAINED = evaluation("target", 1), evaluation("retrained", 2)


def put_together(rows, base: ModelEvaluation = RETRAINED) -> ModelEvaluation:
    """The retrained model's evaluation with these rows (from 0) as the target has them."""
    made = ModelEvaluation.from_json(base.to_json())
    for name, values in made.per_example["forget"].items():
        for row in rows:
            values[row] = TARGET.per_example["forget"][name][row]
        made.metrics["forget"][name] = float(np.mean(values))
    return made


def verdict(unlearned, target=TARGET, retrained=RETRAINED):
    return compare(target, unlearned, retrained)


def test_another_retrained_model_is_forgotten_in_nine_of_ten_draws():
    gates = [memory_gates(TARGET, evaluation("retrained", seed), RETRAINED, {}, {}) for seed in range(100, 140)]
    assert sum(found == {"rows": True, "persons": True} for found in gates) >= 36
    assert verdict(RETRAINED)[0]["verdict"] == "FORGOTTEN (attacks not run)"


@pytest.mark.parametrize("known", [[17], [0, 11, 22, 33], range(3, 10)], ids=["1 row", "4 rows", "7 rows"])
def test_rows_that_stayed_are_named_and_never_forgotten(known):
    comparison, notes = verdict(put_together(known))
    assert comparison["leaking_rows"] == len(known) and comparison["verdict"] == "INCOMPLETE"
    assert notes["leaking_rows"].endswith(", ".join(str(row + 1) for row in known))
    assert "rows" in notes["verdict"]


@pytest.mark.parametrize("person", range(4))
def test_a_person_who_stayed_is_never_forgotten(person):
    comparison, notes = verdict(put_together(range(10 * person, 10 * person + 10)))
    assert comparison["worst_person"] == pytest.approx(1) and comparison["verdict"] == "INCOMPLETE"
    assert "persons" in notes["verdict"]


def test_a_person_known_a_little_in_every_row_is_found_without_a_leaking_row():
    made = put_together(())
    for name, values in made.per_example["forget"].items():
        for row in range(10):
            values[row] = 0.7 * values[row] + 0.3 * TARGET.per_example["forget"][name][row]
    comparison, notes = verdict(made)
    assert comparison["leaking_rows"] == 0 and comparison["worst_person"] == pytest.approx(0.3)
    assert comparison["verdict"] == "INCOMPLETE" and "persons" in notes["verdict"]


def test_three_rows_are_never_forgotten():
    target, retrained = evaluation("target", 1, 3), evaluation("retrained", 2, 3)
    assert verdict(target, target, retrained)[0]["verdict"] == "INCOMPLETE"
    assert verdict(retrained, target, retrained)[0]["verdict"] == "UNCERTIFIED"


def test_the_target_itself_leaks_every_row():
    comparison, _ = verdict(TARGET)
    assert comparison["leaking_rows"] == ROWS and comparison["worst_person"] == pytest.approx(1)


def test_without_a_leaking_row_the_bound_is_said():
    _, notes = verdict(RETRAINED)
    assert memory.none_of(40) == pytest.approx(0.0722, abs=5e-5)
    assert "none of 40 rows leaks, so at most 7.2%" in notes["leaking_rows"]


def test_rows_without_contrast_or_values_say_nothing():
    found = memory.positions([0.9, 0.3, 0.9, np.nan], [0.9, 0.3, 0.1, 0.9], [0.1, 0.2, 0.1, 0.1])
    assert found[0] == 1 and np.isnan(found[1]) and found[2] == 0 and np.isnan(found[3])
    comparison, notes = verdict(evaluation("retrained", 2, without=memory.TRACES))
    assert comparison["leaking_rows"] is None and "no row differs" in notes["leaking_rows"]
    assert not comparison["verdict"].startswith("FORGOTTEN")


def test_rows_without_a_subject_are_persons_of_their_own():
    traces = {"answer_probability": np.array([0.0, 1.0, 0.5])}
    assert memory.person_positions(traces, [None, None, "ann"]) == {"row 1": 0.0, "row 2": 1.0, "ann": 0.5}


@pytest.mark.parametrize(("worst", "said"), [(0.21, True), (0.19, False), (None, False)])
def test_the_report_says_when_a_person_is_still_known(worst, said, tmp_path):
    folder = make_run(tmp_path / "run")
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    evaluation["comparison"]["worst_person"] = worst
    (folder / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    assert any("A person is still known" in text for text in not_achieved(read_run(folder))) == said
