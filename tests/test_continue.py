"""A sequence of requests: what a run inherits, that earlier requests stay forgotten, and the retest of all."""

import json
import shutil
from itertools import pairwise

import pytest
import small_world
import tiny_models
import torch

import evaluation_metrics
import unlearning_algorithm as algorithm
from data.preparation import encode_examples
from models.requests import ledger, recorded, retest
from models.store import loading
from results.run import continuing
from results.run.sets import read_sets
from unlearning_script import main, resolve

PEOPLE = tiny_models.PEOPLE[:4]
ENOUGH = ("--max_steps=40", "--eval_steps=10", "--learning_rate=2e-3", "--retain_weight=6", "--forget_weight=4",
          "--collapse_guard=0",
          "--metrics=accuracy,loss,answer_probability,extraction_strength", "--eval_rows=0")  # fmt: skip


class Sequence:
    """A folder of four requests, one known person each; the retain file holds all people."""

    def __init__(self, small, folder):
        self.small, self.folder = small, folder
        everyone = tiny_models.facts()
        self.requests = [small_world.write_rows(folder / f"{name}.jsonl", [e for e in everyone if e.subject == name])
                         for name in PEOPLE]  # fmt: skip
        self.retain = small_world.write_rows(folder / "everybody.jsonl", everyone[:24])

    def first(self, *more):
        """The flags of the first request."""
        given = (f"--forget_data={self.requests[0]}", f"--retain_data={self.retain}", "--allow_overlap", *ENOUGH)
        return self.small.flags(self.folder / "request-1", *given, "--method=profile_matching", *more)

    def next(self, number, *more):
        """The flags of request `number`, which follows the one before."""
        return [f"--continue_from={self.folder / f'request-{number - 1}'}", "--allow_overlap", "--live_answers=0",
                f"--forget_data={self.requests[number - 1]}", f"--output_dir={self.folder / f'request-{number}'}",
                f"--model_output_dir={self.folder / f'request-{number}-model'}", *more]  # fmt: skip

    def retest(self, *more):
        """The exit code of the retest on the last model."""
        return evaluation_metrics.main([f"--ledger={self.folder / 'ledger.jsonl'}", *more])


@pytest.fixture(scope="module")
def done(small, tmp_path_factory):
    """Four requests carried out."""
    sequence = Sequence(small, tmp_path_factory.mktemp("sequence"))
    assert main(sequence.first()) == 0
    for number in (2, 3, 4):
        assert main(sequence.next(number)) == 0
    return sequence


@pytest.fixture
def copied(done, tmp_path):
    """A copy of the four requests that a test may damage; its config.json files name the copy."""
    shutil.copytree(done.folder, tmp_path / "copy")
    for config in (tmp_path / "copy").glob("*/config.json"):
        config.write_text(config.read_text().replace(str(done.folder), str(tmp_path / "copy")))
    return Sequence(done.small, tmp_path / "copy")


def evaluation(sequence, number):
    return json.loads((sequence.folder / f"request-{number}" / "evaluation.json").read_text())


# -- the sequence


def test_four_requests_stay_forgotten(done):
    last = evaluation(done, 4)
    assert [row["verdict"] for row in last["earlier"]] == [retest.STILL] * 3
    for number, row in enumerate(last["earlier"], 1):
        first = evaluation(done, number)["models"]
        assert row["known"] == first["target"]["forget"] and row["then"] == first["unlearned"]["forget"]
        assert row["after"] == last["models"]["unlearned"][f"earlier_{number}"]
        assert row["known"]["answer_probability"] > 0.8 > 0.5 > row["then"]["answer_probability"]
    assert (
        last["models"]["target"]["forget"]["answer_probability"] > 0.5
    )  # the fourth was still known when it was asked


def test_each_run_starts_from_the_model_of_the_one_before(done):
    lines = ledger.entries(done.folder / "ledger.jsonl")
    assert len(lines) == 4 and ledger.problems(done.folder / "ledger.jsonl") == []
    for before, after in pairwise(lines):
        assert after["model_before"] == before["model_after"] and after["follows"] == before["request"]
    assert lines[-1]["model_after"] == loading.model_hash(done.folder / "request-4-model")


def test_settings_are_inherited_and_flags_win(done):
    run = str(done.folder / "request-2")
    given = {"continue_from": run, "forget_text": "a b", "output_dir": "results/x"}
    config, before = resolve(given), json.loads((done.folder / "request-2" / "config.json").read_text())
    for name in ("method", "retain_data", "holdout_data", "learning_rate", "max_steps", "level_scale", "ledger"):
        assert config[name] == before[name], name
    assert config["model_name_or_path"] == str(done.folder / "request-2-model")
    assert config["forget_data"] is None and config["retrained_model"] is None
    other = resolve({**given, "method": "npo", "retain_data": "r.jsonl"})
    assert (other["method"], other["retain_data"]) == ("npo", "r.jsonl")
    assert other["learning_rate"] == resolve({"method": "npo"})["learning_rate"]  # the rate was another method's


def test_a_run_that_kept_its_models_own_answers_asks_the_next_model(copied):
    """Its retain set is the bundled one, which nobody gave: inherited as a file, it would be trained on."""
    run = copied.folder / "request-2"
    config = json.loads((run / "config.json").read_text())
    given = {"continue_from": str(run), "forget_text": "a b"}
    assert resolve(given)["own_answers"] is False
    (run / "config.json").write_text(json.dumps({**config, "own_answers": True}))
    assert resolve(given)["own_answers"] is True
    assert resolve({**given, "retain_data": "r.jsonl"})["own_answers"] is False


def test_earlier_rows_leave_the_retain_set(done, tmp_path):
    config = resolve({"continue_from": str(done.folder / "request-3"), "forget_data": done.requests[3],
                      "output_dir": str(tmp_path / "run"), "allow_overlap": True})  # fmt: skip
    sets = read_sets(config)
    assert {row.subject for row in sets.steering.examples["earlier"]} == set(PEOPLE[:3])
    assert not {row.subject for row in sets.steering.examples["retain"]} & set(PEOPLE)
    assert "retain: 9 rows of earlier requests were removed" in sets.notes
    assert [len(sets.measured[f"earlier_{number}"]) for number in (1, 2, 3)] == [3, 3, 3]


def test_the_report_lists_earlier_requests(done):
    for name in ("report.md", "report.html"):
        text = (done.folder / "request-3" / name).read_text()
        assert "Earlier requests" in text and "This run follows 2 earlier requests" in text
        assert "still forgotten" in text and "request-1" in text and "request-2" in text
    assert "Earlier requests" not in (done.folder / "request-1" / "report.md").read_text()


def test_probes_measure_earlier_rows(done):
    lines = (done.folder / "request-2" / "metrics.jsonl").read_text().splitlines()
    looks = [json.loads(line) for line in lines if '"evaluation"' in line]
    assert looks and all(0 <= look["earlier"]["answer_probability"] <= 1 for look in looks)


# -- kept forgotten by the guard


def earlier_world():
    """(model that has forgotten two people, rows by set)."""
    model, tokenizer, everyone = tiny_models.make_tiny()
    sets = {"earlier": everyone[:6], "forget": everyone[6:9], "retain": everyone[9:24]}
    rows = {name: encode_examples(tokenizer, examples, 64)[0] for name, examples in sets.items()}
    run = algorithm.unlearn(model, {"forget": rows["earlier"], "retain": rows["retain"]}, "level_matching",
                            {"learning_rate": 2e-3, "max_steps": 20, "dtype": "float32"})  # fmt: skip
    list(run)
    return model, rows


@pytest.mark.parametrize("method", ["fine_tuning", "npo", "level_matching"])
def test_the_guard_keeps_earlier_rows_forgotten_when_training_would_relearn_them(method):
    """The worst case: the retain rows hold the forgotten rows. Without the guard they come back."""
    from data.preparation import EncodedRows

    losses = {}
    for weight in (0.0, 10.0):
        model, rows = earlier_world()
        rows = {**rows, "retain": EncodedRows.concat([rows["retain"], rows["earlier"]])}
        start = algorithm.probe(model, rows["earlier"], 0)["loss"]
        settings = {"earlier_weight": weight, "learning_rate": 1e-3, "max_steps": 20, "dtype": "float32",
                    "load_best_model_at_end": False, "early_stop": False, "collapse_guard": 0.0}  # fmt: skip
        list(algorithm.unlearn(model, rows, method, settings))
        losses[weight] = algorithm.probe(model, rows["earlier"], 0)["loss"] / start
    assert losses[0.0] < 0.8 and losses[10.0] > losses[0.0] + 0.2, losses


def test_the_guard_acts_only_below_the_level_reached():
    model, rows = earlier_world()
    run = algorithm.Unlearning(model, rows, "npo", {"dtype": "float32", "max_steps": 4})
    run.prepare()
    term = next(term for term in run._terms(0) if term.name == "earlier")
    value = term.value([algorithm.answer_outputs(model, term.rows.batch(term.indices, 0))])
    assert float(value.detach()) == pytest.approx(0.0, abs=1e-9)  # where it starts
    with torch.no_grad():
        run.references["earlier"].nll += 6.0  # as if more had been forgotten
    lower = term.value([algorithm.answer_outputs(model, term.rows.batch(term.indices, 0))])
    lengths = term.rows.answer_lengths[term.indices]
    assert float(lower.detach()) == pytest.approx(float(((6.0 / lengths) ** 2).mean()), rel=1e-4)
    run.close()


@pytest.mark.parametrize("method", algorithm.METHODS)
def test_every_method_continues(done, small, tmp_path, method):
    if method == "retrain":
        pytest.skip("retrain starts from the base model")
    code = main([f"--continue_from={done.folder / 'request-1'}", f"--forget_data={done.requests[1]}", "--max_steps=2",
                 f"--method={method}", f"--output_dir={tmp_path / 'run'}", f"--model_output_dir={tmp_path / 'model'}",
                 "--allow_overlap", "--dtype=float32", "--live_answers=0", "--ledger=none",
                 *([f"--base_model={small.base}"] if algorithm.METHODS[method].needs_base else [])])  # fmt: skip
    assert code == 0
    (row,) = json.loads((tmp_path / "run" / "evaluation.json").read_text())["earlier"]
    assert row["after"]["loss"] > 0 and row["verdict"] in retest.VERDICTS


def test_an_adapter_is_continued_by_an_adapter(small, tmp_path):
    sequence = Sequence(small, tmp_path)
    assert main(sequence.first("--use_peft", "--max_steps=2")) == 0
    assert main(sequence.next(2)) == 0
    assert (tmp_path / "request-2-model" / "adapter_config.json").exists()
    lines = ledger.entries(tmp_path / "ledger.jsonl")
    assert lines[1]["model_before"] == lines[0]["model_after"]


# -- refusals


def spoil_forget_set(copy):
    with open(copy.requests[0], "a") as file:
        file.write(json.dumps({"question": "who ?", "answer": "nobody"}) + "\n")


def set_state(copy, state):
    path = copy.folder / "request-3" / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": state}))


def break_the_rest(copy):
    path = copy.folder / "request-3" / "evaluation.json"
    found = json.loads(path.read_text())
    found["comparison"]["verdict"] = "FORGOTTEN, BROKEN, NOT RUN"
    path.write_text(json.dumps(found))


def other_model(copy):
    shutil.rmtree(copy.folder / "request-3-model")
    shutil.copytree(copy.folder / "request-1-model", copy.folder / "request-3-model")


def circle(copy):
    path = copy.folder / "request-1" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "continue_from": str(copy.folder / "request-3")}))


REFUSED = {
    "unfinished": (lambda c: (c.folder / "request-3" / "report.html").unlink(), 2, "--resume_from_checkpoint=latest"),
    "collapsed": (lambda c: set_state(c, "collapsed"), 2, "Continue from the run before it"),
    "broken": (break_the_rest, 2, "broke the rest"),
    "no model": (lambda c: shutil.rmtree(c.folder / "request-3-model"), 2, "its model"),
    "another model": (other_model, 2, "is not the model that this run saved"),
    "no run": (lambda c: shutil.rmtree(c.folder / "request-3"), 2, "no such folder"),
    "a run before is gone": (lambda c: shutil.rmtree(c.folder / "request-2"), 2, "restore the folder"),
    "a circle": (circle, 2, "in a circle"),
    "a forget set is gone": (lambda c: (c.folder / f"{PEOPLE[0]}.jsonl").unlink(), 3, f"{PEOPLE[0]}.jsonl"),
    "a forget set has changed": (spoil_forget_set, 3, "has changed: "),
}


@pytest.mark.parametrize(("spoil", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_a_broken_sequence_is_refused_before_a_model_is_loaded(copied, capsys, monkeypatch, spoil, code, said):
    monkeypatch.setattr(loading, "_load_weights", lambda *a, **k: pytest.fail("a model was loaded"))
    spoil(copied)
    flags = [flag.replace("request-4", "again") for flag in copied.next(4)]
    assert main(flags) == code
    error = capsys.readouterr().err
    assert said in error and "request-" in error and "Traceback" not in error


def test_continuing_needs_a_next_request(done, capsys):
    assert main([f"--continue_from={done.folder / 'request-1'}"]) == 2
    assert "give --forget_data or --forget_text" in capsys.readouterr().err


def test_a_moved_forget_set_is_given_again_or_left_out(copied, tmp_path, capsys):
    gone = tmp_path / "moved.jsonl"
    shutil.move(copied.requests[0], gone)
    flags = [flag.replace("request-4", "again") for flag in copied.next(4, "--max_steps=1", "--metrics=loss")]
    assert main(flags) == 3 and "--earlier_data" in capsys.readouterr().err
    config = resolve(dict(flag[2:].partition("=")[::2] for flag in flags if "=" in flag) | {"earlier_data": str(gone)})
    assert [len(request.examples) for request in continuing.read(config).requests] == [3, 3, 3]
    assert main([*flags, "--earlier_data=none"]) == 0
    rows = json.loads((copied.folder / "again" / "evaluation.json").read_text())["earlier"]
    assert rows[0]["verdict"] == retest.UNTESTED and not rows[0]["after"] and rows[1]["after"]


# -- the retest


def retested(sequence, tmp_path, *more):
    code = sequence.retest(f"--output_dir={tmp_path / 'retest'}", *more)
    return code, json.loads((tmp_path / "retest" / "retest.json").read_text())


def test_the_last_model_has_forgotten_all_four(done, tmp_path, capsys):
    code, report = retested(done, tmp_path, f"--model_name_or_path={done.folder / 'request-4-model'}")
    assert code == 0 and report["problems"] == []
    assert [row["verdict"] for row in report["requests"]] == [retest.STILL] * 4
    last = evaluation(done, 4)["models"]["unlearned"]
    for number, row in enumerate(report["requests"], 1):
        split = "forget" if number == 4 else f"earlier_{number}"
        assert row["now"]["answer_probability"] == pytest.approx(last[split]["answer_probability"], abs=1e-4)
    printed = capsys.readouterr().out
    assert printed.count("still forgotten") == 4 and "4 lines, an unbroken chain" in printed


def test_relearned_requests_are_reported(done, tmp_path):
    code, report = retested(done, tmp_path, f"--model_name_or_path={done.small.target}")
    assert code == 8
    assert [row["verdict"] for row in report["requests"]] == [retest.CAME_BACK] * 4
    code, report = retested(done, tmp_path, f"--model_name_or_path={done.folder / 'request-2-model'}")
    assert [row["verdict"] for row in report["requests"]] == [retest.STILL] * 2 + [retest.CAME_BACK] * 2
    assert "unlearned on another model" in report["requests"][3]["why"]


def test_lost_data_is_untested_and_given_data_is_found_by_hash(copied, tmp_path):
    model = f"--model_name_or_path={copied.folder / 'request-4-model'}"
    gone = tmp_path / "elsewhere.jsonl"
    shutil.move(copied.requests[1], gone)
    _, report = retested(copied, tmp_path, model)
    assert [row["verdict"] for row in report["requests"]] == [retest.STILL, retest.UNTESTED, *[retest.STILL] * 2]
    assert report["requests"][1]["now"] == {} and "not found" in report["requests"][1]["why"]
    shutil.rmtree(copied.folder / "request-2")
    _, report = retested(copied, tmp_path, model, f"--forget_data={gone}")
    assert report["requests"][1]["verdict"] == retest.STILL


def test_a_changed_ledger_is_reported_by_line(copied, tmp_path, capsys):
    path = copied.folder / "ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[2], lines[3]]))
    assert copied.retest() == 3
    printed = capsys.readouterr().out
    assert f"{path}:2: does not follow" in printed and "line 2, written by request-2, is missing" in printed


NUMBERS = {
    "as then": (0.9, 0.1, 0.1, retest.STILL),
    "lower": (0.9, 0.1, 0.02, retest.STILL),
    "a little": (0.9, 0.1, 0.17, retest.STILL),
    "a fifth back": (0.9, 0.1, 0.27, retest.CAME_BACK),
    "never forgotten": (0.9, 0.8, 0.8, retest.UNTESTED),
    "never known": (0.1, 0.09, 0.09, retest.UNTESTED),
}


@pytest.mark.parametrize(("known", "then", "now", "word"), NUMBERS.values(), ids=NUMBERS)
def test_the_verdict_follows_from_the_numbers(known, then, now, word):
    assert retest.verdict(*({"answer_probability": value} for value in (known, then, now)))[0] == word


ROWS = 10


def request_of_ten(**now):
    """(known, then, now, unseen, traces, subjects) of ten rows of two persons; `now`: {row: today's probability}."""
    columns = {"known": [0.95] * ROWS, "then": [0.1] * ROWS}
    columns["now"] = [now.get(f"row_{number}", 0.1) for number in range(1, ROWS + 1)]
    rows = [{"answer_probability": values} for values in columns.values()]
    means = [{"answer_probability": sum(values) / ROWS} for values in columns.values()]
    return *means, {}, retest.traces_back(*rows), ["ada"] * 5 + ["ben"] * 5


def test_one_row_of_ten_wholly_back_came_back():
    known, then, now, unseen, traces, subjects = request_of_ten(row_3=0.95)
    assert retest.share_back(known, then, now) <= retest.BACK  # the mean alone would not see it
    assert retest.verdict(known, then, now, unseen)[0] == retest.STILL
    assert retest.verdict(known, then, now, unseen, traces, subjects) == (
        retest.CAME_BACK,
        "1 of 10 rows back: row 3 (100%)",
    )


@pytest.mark.parametrize(
    ("share", "word"), [(0.49, retest.STILL), (0.5, retest.STILL), (0.504, retest.CAME_BACK), (0.6, retest.CAME_BACK)]
)
def test_a_row_came_back_above_half(share, word):
    found, why = retest.verdict(*request_of_ten(row_3=0.1 + 0.85 * share))
    assert found == word and ("row 3 (50.4%)" in why) == (share == 0.504)


def test_a_person_came_back_without_any_row_of_it():
    """Each row of one person is back by a third: no row by half, all rows together by a sixth of the request."""
    word, why = retest.verdict(*request_of_ten(**{f"row_{number}": 0.1 + 0.85 * 0.3 for number in range(1, 6)}))
    assert word == retest.CAME_BACK and why.startswith("1 of 2 persons back: 30%") and "ada" not in why


def test_rows_forgotten_in_another_number_or_not_at_all_are_judged_by_the_mean():
    known, then, now = ({"answer_probability": [value] * 3} for value in (0.9, 0.1, 0.1))
    assert retest.traces_back(known, then, {"answer_probability": [0.1] * 2}) == {}
    assert retest.traces_back({}, then, now) == {} == retest.traces_back(known, None, now)
    assert retest.traces_back(then, then, now) == {}  # nothing had fallen
    word, why = retest.verdict(*({"answer_probability": value} for value in (0.9, 0.1, 0.1)))
    assert word == retest.STILL and "by the mean alone" in why


@pytest.mark.parametrize(
    "text", [None, "{", "[]\n", '{"split": "forget"}\n', '{"split": "forget", "metrics_before": 1}\n']
)
def test_a_damaged_or_missing_examples_file_leaves_the_mean(tmp_path, text):
    if text is not None:
        (tmp_path / "examples.jsonl").write_text(text)
    assert [retest.row_numbers(rows) for rows in recorded.measured_rows(tmp_path)] == [{}, {}]
