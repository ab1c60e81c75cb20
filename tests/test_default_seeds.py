"""The tool that runs the default with several seeds: the room of a gate, the files, the table."""

import json

import default_seeds
import pytest


@pytest.mark.parametrize(
    ("gate", "room"),
    [
        ({"value": 0.0, "low": -0.15, "high": 0.1, "least": -0.3, "most": 0.3}, 0.5),
        ({"value": 0.2, "low": 0.1, "high": 0.33, "least": -0.3, "most": 0.3}, -0.1),
        ({"value": 0.05, "low": None, "high": None, "least": None, "most": 0.2}, 0.75),
        ({"value": 0.99, "low": 0.97, "high": 1.0, "least": 0.95, "most": None, "name": "utility"}, 0.4),
        ({"value": 0, "low": None, "high": None, "least": None, "most": 0}, None),  # a count
        ({"value": None, "low": None, "high": None, "least": None, "most": 0.3}, None),
        ({"value": 0.0, "low": -0.1, "high": 0.1, "least": -0.3, "most": 0.3, "word": "no contrast"}, None),
    ],
)
def test_the_room_of_a_gate_is_a_share_of_its_bound(gate, room):
    found = default_seeds.room_of({"name": "x", "word": "passed", **gate})
    assert found == (None if room is None else pytest.approx(room))


def test_a_file_for_each_seed_and_the_table_over_them(tmp_path, monkeypatch, capsys):
    def run(script, *flags):
        told = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
        folder, seed = tmp_path / "runs" / "seeds" / told["seed"], int(told["seed"])
        folder.mkdir(parents=True)
        gate = {"name": "equivalence.x", "label": f"gate {seed}", "word": "passed", "value": 0.0, "low": -0.03 * seed,
                "high": 0.0, "least": -0.3, "most": 0.3}  # fmt: skip
        words = {"memory": "FORGOTTEN", "rest": "KEPT", "resistance": "NOT RUN"}
        sets = {"forget": {"accuracy": 0.6, "paraphrase_probability": 0.05}}
        numbers = {"score": 0.9 + seed / 100, "leaking_rows": seed - 1, "worst_person": 0.1, "utility": 1}
        report = {
            "comparison": {**words, **numbers},
            "evidence": {part: {"gates": [gate] if part == "memory" else []} for part in words},
            "models": {"unlearned": sets, "retrained": sets},
        }  # fmt: skip
        for name, value in (("evaluation", report), ("config", {"seed": seed, "command": ["x"]}),
                            ("timing", {"seconds": {"unlearning": 1.0}})):  # fmt: skip
            (folder / f"{name}.json").write_text(json.dumps(value))
        (folder / "report.html").write_text("done")

    monkeypatch.setattr(default_seeds, "run", run)
    assert default_seeds.main(["--seeds=1,2", f"--output_dir={tmp_path}"]) == 0
    table = capsys.readouterr().out
    assert "| 2 | FORGOTTEN | KEPT | NOT RUN | 0.920 | 1.000 |" in table and "| gate 2 | 0.80 | 1 of 1 |" in table
    assert "| mean |  |  |  | 0.915 | 0.500 |" in table and "| worst |  |  |  | 0.910 | 1.000 |" in table
    monkeypatch.setattr(default_seeds, "run", lambda *_: pytest.fail("a finished seed runs again"))
    assert default_seeds.main(["--seeds=1,2", f"--output_dir={tmp_path}"]) == 0
    kept = json.loads((tmp_path / "seeds" / "seed-2.json").read_text())
    assert kept["gates"][0]["room"] == pytest.approx(0.8) and kept["command"] == ["x"]
