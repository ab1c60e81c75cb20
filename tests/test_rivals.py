"""The comparison of methods at equal retention, on a tiny model: same trials, other people, equal utility, slices."""

import importlib.util
import json

import pytest
import rivals
import small_world

import unlearning_algorithm as algorithm
import unlearning_script
from results.run import options

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed: pip install optuna"
)
FAST = ["--learning_rate=3e-3", "--max_steps=20", "--dtype=float32"]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The tiny world as the only set, and the tools' folders below the test's."""
    small = small_world.build(tmp_path / "world")
    flags = [f"--{name}_data={path}" for name, path in small.data.items()]
    flags += ["--judging_data=none", f"--model_name_or_path={small.target}"]
    monkeypatch.setattr(rivals, "flags_of", lambda name, tofu=None: [
        *flags, *([] if name == "tuning" else [f"--retrained_model={small.retrained}"])
    ])  # fmt: skip
    monkeypatch.setattr(rivals, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(rivals, "MODELS", tmp_path / "models")
    monkeypatch.setattr(rivals, "KEPT", tmp_path / "kept" / "retention.json")
    monkeypatch.setattr(rivals, "SETTINGS", tmp_path / "kept" / "settings.json")
    small.calls = []

    def run(script, *words):
        assert script == "unlearning_script.py"
        small.calls.append(words)
        assert unlearning_script.main([*words, *FAST]) == 0

    monkeypatch.setattr(rivals, "run", run)
    return small


def test_nobody_who_is_tuned_on_is_reported():
    names = rivals.people_of_retain()
    assert len(names["tuning"]) == len(names["others"]) == 4 and not {*names["tuning"]} & {*names["others"]}
    bundled = {json.loads(line)["subject"] for line in (rivals.ROOT / "data" / "forget.jsonl").open(encoding="utf-8")}
    assert not {*names["tuning"], *names["others"]} & bundled
    forget, retain = ([json.loads(line) for line in text.splitlines()] for text in rivals.people("tuning"))
    assert {row["subject"] for row in forget} == {*names["tuning"]} and len(forget) == 40
    assert {row["subject"] for row in retain} == {None} and len(retain) == 160
    assert not {row["question"] for row in forget} & {row["question"] for row in retain}
    forget, retain = ([json.loads(line) for line in text.splitlines()] for text in rivals.people("others"))
    assert {row["subject"] for row in forget} == {*names["others"]} and {*names["tuning"]} <= {
        row["subject"] for row in retain
    }


@pytest.mark.parametrize(
    ("utility", "most", "expected"),
    [
        (lambda scale: 1 - 0.1 * scale, 1.0, 0.5),
        (lambda scale: 1 - 10 * scale, 1.0, 0.0),
        (lambda scale: 1 - 0.01 * scale, 1.0, 1.0),  # a method is not pushed beyond its own end
        (lambda scale: 1 - 0.01 * scale, 1.3, 1.3),  # unless its search was
        (lambda scale: 0.9 if 0.4 <= scale < 0.9 else 1.0, 1.0, 1.0),  # what was lost on the way came back
    ],
)
def test_the_scale_is_the_largest_that_keeps_the_utility(utility, most, expected):
    assert rivals.largest_scale(utility, 0.95, most) == expected


def test_every_method_compared_can_be_searched():
    assert {"simnpo", "npo", "altpo", "idk_dpo", "repselect", "perta"} <= {*rivals.METHODS}
    assert "proxy_teacher" in rivals.METHODS, "the default is compared too"
    for method in rivals.METHODS[1:]:
        config = options.resolve({"method": "auto", "search_methods": method})
        assert config["method"] == "auto" and options.searched(config | {"search_methods": method}) == (method,)


@needs_optuna
def test_slices_fill_one_table_and_a_second_start_repeats_nothing(world, capsys):
    slice_ = ["--sets=bundled", "--trials=2", "--levels=.95,.97"]
    assert rivals.main(["--methods=npo", "--seeds=1", *slice_]) == 0
    assert rivals.main(["--methods=npo,simnpo", "--seeds=1", *slice_]) == 0
    searches = [words for words in world.calls if "--method=auto" in words]
    assert [next(w for w in words if w.startswith("--search_methods")) for words in searches] == [
        "--search_methods=npo", "--search_methods=simnpo"
    ]  # fmt: skip
    assert all("--max_trials=2" in words for words in searches) and len(world.calls) == 4
    settings = rivals.read(rivals.SETTINGS)
    assert {method: found["tried"] for method, found in settings.items()} == {"npo": 2, "simnpo": 2}
    assert all(rivals.KEPT_BY_ALL in words for words in world.calls)
    assert {str(found["settings"]["general_retain_rows"]) for found in settings.values()} == {"40"}
    assert "update_scale" not in settings["npo"]["settings"] and "seed" not in settings["npo"]["settings"]
    rows = rivals.read(rivals.KEPT)
    assert [(row["method"], row["level"]) for row in rows] == [
        (method, level) for method in ("npo", "simnpo") for level in (0.95, 0.97)
    ]
    for row in rows:
        assert row["utility"] >= row["level"] or row["scale"] == 0
        assert row["memory"] in ("REMEMBERS", "FORGOTTEN", "OVER-FORGOTTEN", "UNDECIDED")
        assert {"rows", "persons", "membership"} <= {*row["tests"]} and row["leaking rows"] is not None
    looser, tighter = rows[0], rows[1]
    assert looser["scale"] >= tighter["scale"]
    assert not list(rivals.MODELS.glob("bundled/*"))  # a measured model is deleted
    calls = len(world.calls)
    assert rivals.main(["--methods=simnpo,npo", "--seeds=1", *slice_]) == 0
    assert len(world.calls) == calls and rivals.read(rivals.KEPT) == rows
    assert rivals.trials_of("npo", 12) == 12 and rivals.trials_of("proxy_teacher", 12) == 0
    assert rivals.missing("bundled", "npo", [1], [0.95], 2) == [] and rivals.missing("bundled", "npo", [1], [0.95], 3)
    shown = capsys.readouterr().out
    assert "| bundled | 0.95 | `npo` | 2 | 1 |" in shown and "| bundled | 0.97 | `simnpo` | 2 | 1 |" in shown


def test_a_change_scaled_to_0_is_the_target_and_to_1_the_unlearned_model(world):
    judge = rivals.Judge(rivals.flags_of("bundled"), rows=4)
    unlearned = judge._load(str(world.retrained)).state_dict()
    for scale, expected in ((0.0, judge.start), (1.0, unlearned)):
        for name, value in judge.scaled(unlearned, scale).state_dict().items():
            algorithm.torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-6)


def test_the_table_puts_the_worst_seed_first_and_ignores_the_score():
    def row(method, leaks, words, score):
        tests = {str(number): [word, 0.0] for number, word in enumerate(words)}
        return {"set": "x", "method": method, "level": 0.95, "seed": 1, "trials": 2, "leaking rows": leaks,
                "worst person": 0.1, "tests": tests, "score": score, "memory": "UNDECIDED", "rest": "KEPT",
                "resistance": "NOT RUN"}  # fmt: skip

    clean, leaky = (
        [row("a", 0, ["passed", "failed"], 0.1)],
        [row("b", 0, ["passed"], 0.9), row("b", 3, ["passed"], 0.9)],
    )
    better = [row("c", 0, ["passed", "passed", "no contrast"], 0.0)]
    assert sorted([leaky, clean, better], key=rivals.order) == [better, clean, leaky]
    assert rivals.passed(better[0]) == 1.0


def test_tofu_is_skipped_where_it_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rivals, "tuned", lambda method, trials: {})
    monkeypatch.setattr(rivals, "KEPT", tmp_path / "none.json")
    assert rivals.main(["--methods=npo", "--sets=tofu", f"--tofu={tmp_path}"]) == 0
    assert "tofu: skipped" in capsys.readouterr().out


def test_tofus_authors_are_in_one_set_each():
    if not (rivals.TOFU / "forget01.jsonl").exists():
        pytest.skip("skipped: ../shared/data/tofu is not there")
    texts = rivals.tofu_texts(rivals.TOFU)
    subjects = {name: {json.loads(line)["subject"] for line in text.splitlines()} for name, text in texts.items()}
    assert {name: len(found) for name, found in subjects.items()} == {
        "forget": 2,
        "retain": 8,
        "holdout": 2,
        "judging": 4,
    }
    assert sum(map(len, subjects.values())) == len(set().union(*subjects.values()))
