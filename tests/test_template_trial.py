"""Chat templates that never end, or fill the memory: refused in seconds, before a model is loaded."""

import json
import os
import signal
import time

import pytest
import test_templates
import tiny_models

from data import template_trial
from data.columns import Example
from data.preparation import encode_examples
from unlearning_script import main

LOOP, END = "{% for i in range(99999) %}", "{% endfor %}"
LOOPS = 3 * LOOP + 3 * END
ENDLESS = {
    "nested loops": (LOOPS, "does not end"),
    "a power": ("{{ 9 ** (9 ** 9) }}", "does not end"),
    "a power of something": ("{{ (messages | length + 8) ** 99999999 }}", "does not end"),
    "a text that doubles": (
        "{% set ns = namespace(x='ab') %}" + LOOP + "{% set ns.x = ns.x ~ ns.x %}" + END,
        "(does not end|needs too much)",
    ),
    "a list": ("{% set x = [0] * 10 ** 9 %}", "needs too much memory"),
    "a long text": (2 * LOOP + "again and again " + 2 * END, "writes millions of characters"),
}  # fmt: skip


@pytest.fixture
def short(monkeypatch):
    """A new process that computes for half a second only."""
    monkeypatch.setattr(template_trial, "SECONDS", 0.5)
    monkeypatch.setattr(template_trial, "_process", None)


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_template_without_an_end_is_refused_and_the_next_one_is_tried(kind, short):
    template, told = ENDLESS[kind]
    variables = {"messages": [{"role": "user", "content": "x"}]}
    began = time.perf_counter()
    with pytest.raises(template_trial.Endless, match=f"models/x: its chat template {told}") as raised:
        template_trial.tried("models/x", template, variables)
    assert "chat_template.jinja" in str(raised.value) and raised.value.exit_code == 4
    assert time.perf_counter() - began < 20
    template_trial.tried("models/x", "{{ messages[0].content }}", variables)
    assert template_trial._ask(json.dumps(["{{ messages[0].content }}", variables])) == "done"


def test_a_template_that_ends_for_the_first_conversation_only_is_refused_at_the_other(short):
    tokenizer = tiny_models.make_tokenizer([])
    tokenizer.name_or_path = "models/x"
    tokenizer.chat_template = "{% if messages | length > 2 %}" + LOOPS + "{% endif %}" + tiny_models.TEMPLATE
    row = Example(answer="b", prompt="a")
    assert len(encode_examples(tokenizer, [row], 64)[0]) == 1
    with pytest.raises(template_trial.Endless, match="models/x"):
        encode_examples(tokenizer, [Example(answer="b", prompt="a", history=(("user", "a"), ("assistant", "b")))], 64)


def test_a_run_ends_before_the_model_is_loaded(small, tmp_path, short, capsys, monkeypatch):
    import shutil

    model = tmp_path / "model"
    shutil.copytree(small.target, model)
    (model / "manifest.json").unlink(missing_ok=True)
    (model / "chat_template.jinja").write_text(LOOPS + tiny_models.TEMPLATE)
    monkeypatch.setattr("models.store.loading.load_model", lambda *_, **__: pytest.fail("it was loaded"))
    assert main([*small.flags(tmp_path / "run"), f"--model_name_or_path={model}"]) == 4
    said = capsys.readouterr().err
    assert f"{model}: its chat template does not end" in said and "Traceback" not in said


def test_a_template_that_acts_at_random_ends_in_the_run_too(short, monkeypatch):
    """Its trial was fine, and the rendering for the run takes the other way."""
    monkeypatch.setattr(template_trial, "SECONDS", 0.2)
    tokenizer = tiny_models.make_tokenizer([])
    tokenizer.name_or_path, tokenizer.chat_template = "models/x", LOOPS + tiny_models.TEMPLATE
    monkeypatch.setattr(template_trial, "_ask", lambda line: "done")
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(template_trial.Endless, match="models/x: its chat template does not end"):
        encode_examples(tokenizer, [Example(answer="b", prompt="a")], 64)
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0 and signal.getsignal(signal.SIGVTALRM) == before


def test_renderings_that_another_package_asks_for_are_tried(short):
    tokenizer = tiny_models.make_tokenizer([])
    tokenizer.name_or_path = "models/x"
    tokenizer.chat_template = "{% if 'loop' in messages[0].content %}" + LOOPS + "{% endif %}" + tiny_models.TEMPLATE
    ask = {"tokenize": False, "add_generation_prompt": True, "continue_final_message": False}
    plain = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], **ask)
    with template_trial.watched(tokenizer):
        assert tokenizer.apply_chat_template([{"role": "user", "content": "a"}], **ask) == plain
        with pytest.raises(template_trial.Endless, match="models/x"):
            tokenizer.apply_chat_template([{"role": "user", "content": "a loop"}], **ask)
    assert "apply_chat_template" not in vars(tokenizer)


def families():
    return [
        text
        for name, text in vars(test_templates).items()
        if name.isupper() and isinstance(text, str) and "{% endfor" in text
    ]


def test_the_trial_knows_all_that_templates_use(short):
    """It would try nothing of a template at whose first word it stops."""
    marks = "{% generation %}{{ messages[0].content | tojson(indent=1) }}{% endgeneration %}{% break_here %}"
    known = marks.replace("{% break_here %}", "{% for m in messages %}{% break %}{% endfor %}{{ strftime_now('%d') }}")
    variables = {
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        "bos_token": "<s>",
    }
    templates = [*families(), tiny_models.TEMPLATE, known]
    assert len(templates) >= 8
    for template in templates:
        assert template_trial._ask(json.dumps([template, variables])) == "done", template
    for template in (marks, "{{ raise_exception('no') }}", "{{ messages.__class__.__mro__[1] }}", "{{ ''.nothing() }}"):
        assert template_trial._ask(json.dumps([template, variables])) == "error", template


def test_a_signal_to_the_run_or_a_lost_process_costs_nothing(short):
    template, variables = "{{ messages }}", {"messages": []}
    assert template_trial._ask(json.dumps([template, variables])) == "done"
    first = template_trial._process
    assert os.getpgid(first.pid) != os.getpgid(0), "a stop of the group would end it"
    first.send_signal(signal.SIGTERM)
    first.wait()
    template_trial.tried("models/x", template, variables)
    assert template_trial._process is not first
