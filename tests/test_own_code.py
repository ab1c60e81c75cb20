"""A method and a metric of the user's own: checked, listed, run, and never taken from a run's files."""

import json

import pytest

import evaluation_metrics as em
import unlearning_algorithm as algorithm
import unlearning_script as script
import user_interface
from models.methods import own as own_methods
from models.scores import own as own_metrics
from models.scores.metric_table import REPORTED
from models.store import own_code
from models.store.folders import ModelError
from results.page import methods as page_methods
from results.page.desk import ADVANCED
from results.run import continuing, measuring, options, run_folder

METHOD = '''
from unlearning_algorithm import Method
from models.methods.settings import Setting

def capped(answers, context, settings):
    """-min(NLL, cap)"""
    return -answers.token_nll().clamp(max=settings.own_cap)

MINE = Method(
    "mine", "gradient", "Ascent up to a cap.", "nowhere", "none known", capped, plain="Pushes a little.",
    use_when="you test", defaults={"learning_rate": 1e-3}, own={"own_cap": Setting(5.0, "nats", above=0)},
)
'''
METRIC = '''
def shouted(measured):
    """Share of capitals in the answer."""
    return sum(letter.isupper() for letter in measured.generated) / max(1, len(measured.generated))
'''


@pytest.fixture(autouse=True)
def tables():
    """The tables as they were; every test may add to them."""
    kept = [(table, dict(table)) for table in (algorithm.METHODS, own_methods.OWN, options.OPTIONS, em.METRICS,
                                               REPORTED, own_metrics.OWN, ADVANCED)]  # fmt: skip
    yield
    for table, before in kept:
        table.clear()
        table.update(before)


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(METHOD)
    return f"{tmp_path / 'mine.py'}:MINE"


@pytest.fixture
def shouted(tmp_path):
    (tmp_path / "metric.py").write_text(METRIC)
    return f"{tmp_path / 'metric.py'}:shouted"


# -- the checks


@pytest.mark.parametrize("method", algorithm.METHODS.values(), ids=lambda m: m.name)
def test_every_built_in_method_keeps_the_identities_of_an_own_one(method):
    assert list(own_methods.problems(method)) == []


BAD = {
    "its name": ('"mine", "grad', '"My method", "grad', "small letters"),
    "no summary": ('"Ascent up to a cap."', '" "', "summary is empty"),
    "unknown family": ('"gradient"', '"magic"', "family 'magic'"),
    "undeclared setting": ('"learning_rate": 1e-3', '"speed": 1e-3', "setting 'speed' is not declared"),
    "wrong type": ('"learning_rate": 1e-3', '"learning_rate": "fast"', "must be float"),
    "out of range": ("Setting(5.0", "Setting(-5.0", "too small"),
    "a taken setting": ('own={"own_cap"', 'own={"beta"', "this name is taken"),
    "no Setting": ('Setting(5.0, "nats", above=0)', "5.0", "expected a Setting"),
    "averages": ("return -answers", "return -answers.token_nll().mean() - 0 * answers", "depends on the other rows"),
    "one number": ("clamp(max=settings.own_cap)", "mean()", "one value per token"),
    "per row": ("-answers.token_nll().clamp(max=settings.own_cap)", "answers.sequence_nll()", "one value per token"),
    "no gradient": ("-answers.token_nll()", "-answers.token_nll().detach()", "no finite gradient"),
    "not finite": ("clamp(max=settings.own_cap)", "div(0)", "not finite"),
    "random": ("(max=settings.own_cap)", "(max=__import__('torch').rand(()))", "pure function"),
    "fails": ("settings.own_cap)", "settings.gone)", "fails on random answers: AttributeError"),
    "a built-in name": ('"mine", "grad', '"npo", "grad', "built-in method"),
    "not a hook": ("capped, plain", "capped, finish=3, plain", "finish is not a function"),
    "no Method": ("MINE = Method(", "MINE = dict if 1 else Method(", "expected a Method"),
    "syntax": ("def capped(", "def capped((", "mine.py:5: SyntaxError"),
    "fails at import": ("def capped(", "1 / 0\ndef capped(", "mine.py:5: ZeroDivisionError"),
}


@pytest.mark.parametrize("flaw", BAD)
def test_a_flawed_method_is_refused_with_its_reason(tmp_path, flaw):
    old, new, reason = BAD[flaw]
    assert METHOD.count(old) == 1
    (tmp_path / "mine.py").write_text(METHOD.replace(old, new))
    before = dict(algorithm.METHODS)
    with pytest.raises(ModelError) as refused:
        own_methods.use(f"{tmp_path / 'mine.py'}:MINE")
    assert reason in str(refused.value) and refused.value.exit_code == 2 and "--method_from" in str(refused.value)
    assert before == algorithm.METHODS


@pytest.mark.parametrize(
    ("source", "reason"),
    [("mine.py", "mine.py:NAME"), ("mine.txt:MINE", "mine.py:NAME"), ("gone.py:MINE", "No such file"),
     ("mine.py:THEIRS", "it has Method, Setting, capped, MINE"), ("mine.py:a b", "mine.py:NAME")],
)  # fmt: skip
def test_a_wrong_source_is_refused(mine, tmp_path, monkeypatch, source, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=reason):
        own_code.read(source, "method_from")


def test_all_problems_are_told_at_once(tmp_path):
    text = METHOD.replace('"Ascent up to a cap."', '""').replace('"gradient"', '"magic"')
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ModelError) as refused:
        own_methods.use(f"{tmp_path / 'mine.py'}:MINE")
    assert len(str(refused.value).splitlines()) == 2


# -- a run


def test_an_own_method_and_metric_run_and_are_recorded(small, tmp_path, mine, shouted, capsys):
    run = tmp_path / "run"
    flags = small.flags(run, f"--method_from={mine}", "--own_cap=2.5", f"--metric_from={shouted}", without=("method",))
    assert script.main(flags) == 0, capsys.readouterr().err
    config = json.loads((run / "config.json").read_text())
    assert (config["method"], config["own_cap"]) == ("mine", 2.5) and len(config["method_code"]) == 64
    report = json.loads((run / "evaluation.json").read_text())
    assert report["models"]["unlearned"]["forget"]["shouted"] == 0  # the tiny model knows no capitals
    assert report["docs"]["shouted"].startswith("Share of capitals")
    assert "shouted" in (run / "report.md").read_text() and "mine" in (tmp_path / "run-model/README.md").read_text()

    # the file is not run again because a run's config.json names it
    with pytest.raises(script.UsageError, match=r"add --method_from .*mine\.py:MINE"):
        measuring.settings_again(run, {})
    again = measuring.settings_again(run, {"method_from": mine, "metric_from": shouted})
    assert again["method"] == "mine" and "shouted" in again["metrics"]
    del algorithm.METHODS["mine"]
    problems = []
    assert continuing.inherited({"continue_from": str(run), "forget_text": "a"}, problems) == {}
    assert "add --method_from" in problems[0]


def test_a_changed_file_does_not_resume_a_run(tmp_path, mine):
    def identity():
        return run_folder.identity_of(options.resolve({"method_from": mine, "output_dir": "x"}), {}, "hash")

    first = identity()
    assert identity() == first
    (tmp_path / "mine.py").write_text(METHOD + "# changed\n")
    assert identity() != first


def test_help_list_and_page_name_it(mine, shouted, capsys):
    with pytest.raises(SystemExit):
        script.main(["--method_from", mine, "--metric_from", shouted, "--help"])
    text = capsys.readouterr().out
    assert "mine " in text and "--own_cap" in text and "shouted" in text
    assert script.main([f"--method_from={mine}", "--list_methods"]) == 0
    assert "Ascent up to a cap." in capsys.readouterr().out
    options.use_own({"method_from": mine})
    assert ("mine", "mine") in page_methods.method_choices("gradient", "pairs")
    assert "nowhere" in page_methods.method_text("mine")


def test_the_page_runs_the_servers_method_and_takes_none_from_a_user(desk, mine):
    options.use_own({"method_from": mine})
    form = {"source": "text", "text": "some words", "method": "mine", "method_from": "/tmp/evil.py:X"}
    given = desk.settings(None, form)
    assert given["method_from"] == own_methods.OWN["mine"].source == mine
    assert "method_from" not in desk.settings(None, {**form, "method": "npo"})
    assert user_interface._parser().parse_args(["--method_from", mine]).method_from == mine


def test_a_file_beside_it_may_be_imported(tmp_path, mine):
    (tmp_path / "a_cap_of_my_own.py").write_text("CAP = 7.0\n")
    (tmp_path / "mine.py").write_text(
        "from a_cap_of_my_own import CAP\n" + METHOD.replace("Setting(5.0", "Setting(CAP")
    )
    assert own_methods.use(mine).own["own_cap"].default == 7.0


def test_a_yaml_file_may_name_it(tmp_path, mine):
    (tmp_path / "run.yaml").write_text(f"method_from: {mine}\nown_cap: 3\n")
    config = options.resolve(options.read_config_file(str(tmp_path / "run.yaml")))
    assert (config["method"], config["own_cap"]) == ("mine", 3.0)


def test_a_search_names_the_contradiction(mine):
    pytest.importorskip("optuna")
    with pytest.raises(script.UsageError, match="--method_from is not for --method auto"):
        options.resolve({"method": "auto", "method_from": mine})


# -- metrics


BAD_METRICS = {
    "returns text": ("return sum", "return 'much' or sum", "ValueError"),
    "not finite": ("return sum", "return float('nan') or sum", "finite number"),
    "fails": ("measured.generated)", "measured.gone)", "AttributeError"),
    "a built-in name": ("def shouted", "def accuracy", "has no shouted"),
}


@pytest.mark.parametrize("flaw", BAD_METRICS)
def test_a_flawed_metric_is_refused(tmp_path, flaw):
    old, new, reason = BAD_METRICS[flaw]
    (tmp_path / "metric.py").write_text(METRIC.replace(old, new, 1))
    with pytest.raises(ModelError, match=reason):
        own_metrics.use(f"{tmp_path / 'metric.py'}:shouted")


def test_a_built_in_metric_is_not_replaced(tmp_path):
    (tmp_path / "metric.py").write_text("def accuracy(measured):\n    return 1.0\n")
    with pytest.raises(ModelError, match="built-in metric"):
        own_metrics.use(f"{tmp_path / 'metric.py'}:accuracy")


def test_a_row_on_which_it_fails_counts_as_missing(tmp_path, capsys, tiny):
    model, tokenizer, examples = tiny
    (tmp_path / "metric.py").write_text("def first(measured):\n    return 1 / (measured.gold[0] in 'Sa')\n")
    own_metrics.use(f"{tmp_path / 'metric.py'}:first")
    found = em.evaluate_model(model, tokenizer, {"forget": examples[:4]}, metrics=["first"])
    golds = [example.answer[0] in "Sa" for example in examples[:4]]
    assert [value is not None for value in found.per_example["forget"]["first"]] == golds
    assert capsys.readouterr().err.count("warning: metric first fails") == (0 if all(golds) else 1)


@pytest.fixture(scope="module")
def tiny():
    import tiny_models

    return tiny_models.make_tiny(epochs=0)


def test_a_kept_measurement_depends_on_the_metrics_file(tmp_path, shouted):
    own_metrics.use(shouted)
    before = own_metrics.code()
    (tmp_path / "metric.py").write_text(METRIC + "# changed\n")
    own_metrics.use(shouted)
    assert before.keys() == own_metrics.code().keys() == {"shouted"} and before != own_metrics.code()


def test_the_evaluation_script_takes_an_own_metric(small, tmp_path, shouted):
    flags = [f"--model_name_or_path={small.target}", f"--forget_data={small.data['forget']}", "--limit=3",
             "--general_data=none", "--metrics=loss", f"--metric_from={shouted}",
             f"--output_dir={tmp_path / 'out'}"]  # fmt: skip
    assert em.main(flags) == 0
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert {*report["models"]["unlearned"]["forget"]} >= {"loss", "shouted"}
