"""Chat templates of the large families: what a prompt is, what carries loss, and what a template leaves out.

The templates write what the families' own ones write for the turns below, in our words.
"""

from __future__ import annotations

import datetime
import json
import shutil

import pytest
import tiny_models
from test_loading import foreign_folder, silent, tiny_model, tiny_tokenizer
from test_preparation import CHATML, CORPUS
from transformers import LlamaConfig, LlamaForCausalLM

import unlearning_algorithm
from data import rendering
from data.columns import Example
from data.preparation import encode_examples, encode_prompt, end_of_turn
from evaluation_metrics import evaluate_model
from models.forward import generation
from models.store.adapters import add_lora
from models.store.loading import load_model, template_date
from models.store.saving import save_adapter, save_model
from results.page import asking
from unlearning_script import main

EACH = "{% for m in messages %}"
LLAMA3 = (
    "{{ bos_token }}{% set date_string = date_string if date_string is defined else strftime_now('%d %b %Y') %}"
    "{% set system = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ date_string }}\n\n{{ system | trim }}<|eot_id|>"
    + EACH
    + "{% if m['role'] == 'tool' %}<|start_header_id|>ipython<|end_header_id|>\n\n{{ m['content'] | tojson }}<|eot_id|>"
    "{% elif m.tool_calls %}<|start_header_id|>assistant<|end_header_id|>\n\n"
    "{% set call = m.tool_calls[0].function %}"
    '{"name": "{{ call.name }}", "parameters": {{ call.arguments | tojson }}}'
    "<|eot_id|>{% elif m['role'] != 'system' %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + EACH
    + "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
QWEN3 = (
    "{% set ns = namespace(last=0) %}" + EACH + "{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}"
    "{% endfor %}" + EACH + "{% if m['role'] == 'assistant' %}{% set content = m['content'] %}{% set thought = '' %}"
    "{% if m.reasoning_content is string %}{% set thought = m.reasoning_content %}{% elif '</think>' in content %}"
    "{% set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}<|im_start|>assistant\n"
    "{% if loop.index0 > ns.last and (loop.last or thought) %}<think>\n{{ thought.strip('\n') }}\n</think>\n\n"
    "{% endif %}"
    '{{ content }}{% for call in m.tool_calls or [] %}<tool_call>\n{"name": "{{ call.function.name }}", '
    '"arguments": {{ call.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n'
    "{% elif m['role'] == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m['content'] }}\n</tool_response><|im_end|>\n"
    "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
SMOLLM3 = (
    "{% set mode = '/no_think' if enable_thinking is defined and not enable_thinking else '/think' %}"
    '<|im_start|>system\nToday Date: {{ strftime_now("%d %B %Y") }}\nReasoning Mode: {{ mode }}\n<|im_end|>\n'
    + EACH
    + "{% if m['role'] == 'assistant' %}<|im_start|>assistant\n{% if mode == '/no_think' %}<think>\n\n</think>\n\n"
    "{% endif %}{{ m['content'].lstrip('\n') }}<|im_end|>\n{% elif m['role'] == 'user' %}<|im_start|>user\n"
    "{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if mode == '/no_think' %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
DEEPSEEK_R1 = (
    "{{ bos_token }}" + EACH + "{% if m['role'] == 'system' %}{{ m['content'] }}{% elif m['role'] == 'user' %}"
    "<｜User｜>{{ m['content'] }}{% elif m['role'] == 'assistant' %}<｜Assistant｜>"
    "{{ m['content'].split('</think>')[-1] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
    "{% set messages = messages[1:] %}{% endif %}" + EACH + "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% if m['role'] == 'user' %}[INST] "
    "{% if loop.last and system is defined %}{{ system }}\n\n{% endif %}{{ m['content'] }}[/INST]{% else %} "
    "{{ m['content'] | trim }}{{ eos_token }}{% endif %}{% endfor %}"
)
GPT_OSS = (
    "<|start|>system<|message|>Current date: {{ strftime_now('%Y-%m-%d') }}\n\nReasoning: medium<|end|>"
    + EACH
    + "{% if m['role'] == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m['content'] }}"
    "{{ '<|return|>' if loop.last else '<|end|>' }}{% else %}<|start|>{{ 'developer' if m['role'] == 'system' else "
    "m['role'] }}<|message|>{{ m['content'] }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
DAY = "2026-03-05"
EMPTY = "<think>\n\n</think>\n\n"
# {family: (template, control tokens, prompt of "Where?" up to the answer, end of the answer)}
FAMILIES = {
    "llama3": (LLAMA3, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
               "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 05 Mar 2026\n\n<|eot_id|>"
               "<|start_header_id|>user<|end_header_id|>\n\nWhere?<|eot_id|>"
               "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    "gemma": (GEMMA, ["<start_of_turn>", "<end_of_turn>"],
              "<s><start_of_turn>user\nWhere?<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>"),
    "qwen3": (QWEN3, ["<|im_start|>", "<|im_end|>"],
              f"<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n{EMPTY}", "<|im_end|>"),
    "smollm3": (SMOLLM3, ["<|im_start|>", "<|im_end|>"],
                "<|im_start|>system\nToday Date: 05 March 2026\nReasoning Mode: /no_think\n<|im_end|>\n"
                f"<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n{EMPTY}", "<|im_end|>"),
    "deepseek-r1": (DEEPSEEK_R1, ["<｜User｜>", "<｜Assistant｜>"],
                    f"<s><｜User｜>Where?<｜Assistant｜>{EMPTY}", "</s>"),
    "mistral": (MISTRAL, ["[INST]", "[/INST]"], "<s>[INST] Where?[/INST]", "</s>"),
    "gpt-oss": (GPT_OSS, ["<|start|>", "<|message|>", "<|end|>", "<|channel|>", "<|return|>"],
                "<|start|>system<|message|>Current date: 2026-03-05\n\nReasoning: medium<|end|>"
                "<|start|>user<|message|>Where?<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"),
}  # fmt: skip
EARLIER = (("user", "Where?"), ("assistant", "Rome."))
ROW = Example(answer="Oslo.", prompt="Where?", line=1)


def family_tokenizer(template: str, control: list[str], day: str | None = DAY):
    """A byte-level tokenizer with these control tokens; <think> and </think> are ordinary added tokens, as in Qwen3."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>", *control], initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator(CORPUS, trainer)
    inner.add_tokens([AddedToken(text, special=False, normalized=False) for text in ("<think>", "</think>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = template
    if day:
        rendering.fix_date(tokenizer, day)
    return tokenizer


def parts(tokenizer, row) -> tuple[str, str, list[str]]:
    """(text without loss, text with loss, notes) of a row."""
    encoded, report = encode_examples(tokenizer, [row], 4000)
    ids, start = encoded.ids_of(0).tolist(), int(encoded.answer_starts[0])
    assert ids[:start] == encode_prompt(tokenizer, row), "training and generation see the same prompt"
    return tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:]), report.notes


@pytest.mark.hardening(16)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_falls_on_the_answer_and_its_end(family):
    template, control, prompt, end = FAMILIES[family]
    tokenizer = family_tokenizer(template, control)
    before, after, _ = parts(tokenizer, ROW)
    assert (before, after.strip()) == (prompt, f"Oslo.{end}")
    assert tokenizer.decode(end_of_turn(tokenizer)) == end
    again = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Oslo."}], tokenize=False,
        enable_thinking=False, chat_template=rendering._template(tokenizer),
    )  # fmt: skip
    if family != "deepseek-r1":  # its own text leaves the thinking part out, so the model would begin with one
        assert again.startswith(before + after)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_system_text_and_earlier_turns_are_in_the_prompt(family):
    template, control = FAMILIES[family][:2]
    row = Example(answer="Oslo.", prompt="And?", history=(("system", "Be short."), *EARLIER))
    before, after, notes = parts(family_tokenizer(template, control), row)
    assert "Rome." in before and before.index("Rome.") < before.index("And?") and "Oslo." in after
    assert "Be short." in before or (family == "smollm3" and any("leaves out" in note for note in notes))
    assert any("no system role" in note for note in notes) == (family == "gemma")


@pytest.mark.parametrize("family", ["gemma", "mistral"])
def test_a_first_assistant_turn_is_left_out_where_the_template_refuses_it(family):
    template, control, prompt, _ = FAMILIES[family]
    row = Example(answer="Oslo.", prompt="Where?", history=(("assistant", "Hello!"),))
    before, _, notes = parts(family_tokenizer(template, control), row)
    assert before == prompt and any("an assistant turn before it is left out" in note for note in notes)
    before, _, notes = parts(family_tokenizer(*FAMILIES["qwen3"][:2]), row)
    assert "Hello!" in before and not any("left out" in note for note in notes)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_evaluation_and_page_ask_with_the_same_tokens(family, tmp_path, monkeypatch):
    """The page loads the saved model in a process of its own, perhaps on another day."""
    tokenizer = family_tokenizer(*FAMILIES[family][:2])
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                         num_attention_heads=2, bos_token_id=0, eos_token_id=1)  # fmt: skip
    saved = str(save_model(LlamaForCausalLM(config), tokenizer, tmp_path / "saved", ""))
    trained = encode_examples(tokenizer, [ROW], 512)[0].prompt_ids(0).tolist()
    generated, scored = [], []
    finish, outputs = generation.finish, unlearning_algorithm.answer_outputs

    def finishing(model, drafts, *more):
        generated.extend(list(draft.prompt) for draft in drafts)
        return finish(model, drafts, *more)

    def scoring(model, batch):
        scored.extend(ids[:start].tolist() for ids, start in zip(batch["input_ids"], batch["answer_starts"]))
        return outputs(model, batch)

    monkeypatch.setattr(rendering.datetime, "date", Tomorrow)
    monkeypatch.setattr(generation, "finish", finishing)
    monkeypatch.setattr(unlearning_algorithm, "answer_outputs", scoring)
    monkeypatch.setattr(asking, "MAX_TOKENS", 2)
    evaluate_model(*load_model(saved, progress=silent), {"forget": [ROW]}, metrics=["rouge_l_recall"], max_new_tokens=2)
    assert generated == [trained]
    question = {"models": [saved], "question": ROW.prompt, "expected": ROW.answer}
    reply = asking.answer(asking._Models(), question)
    assert generated == [trained, trained]  # the answer
    assert scored == [trained] * (1 + bool(reply["answers"][0].strip()))  # the expected answer, and its own


# Reasoning

THOUGHTS = {
    "in the answer": {"reasoning": "<think>\nAda ... Oslo.\n</think>\n\n"},
    "in a field": {"reasoning": "Ada ... Oslo."},
}


@pytest.mark.hardening(16)
@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize("family", ["qwen3", "smollm3", "deepseek-r1"])
def test_a_reasoning_model_is_asked_without_its_thinking_part(family, thought):
    template, control, prompt, end = FAMILIES[family]
    row = Example(answer="Oslo.", prompt="Where?", **THOUGHTS[thought])
    before, after, notes = parts(family_tokenizer(template, control), row)
    assert (before, after) == (prompt, f"Oslo.{end}")
    assert any("thinks before an answer is left out" in note for note in notes)


@pytest.mark.parametrize(("opening", "closing"), [("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]")])
def test_thinking_with_other_marks(opening, closing):
    template = QWEN3.replace("</think>", closing).replace("<think>", opening)
    row = Example(answer="Oslo.", prompt="Where?", reasoning=f"{opening}Ada{closing}\n")
    before, after, _ = parts(family_tokenizer(template, FAMILIES["qwen3"][1]), row)
    assert before.endswith(f"assistant\n{opening}\n\n{closing}\n\n") and after == "Oslo.<|im_end|>"
    _, after, _ = parts(family_tokenizer(CHATML, FAMILIES["qwen3"][1]), row)
    assert after == f"{opening}Ada{closing}\nOslo.<|im_end|>"


def test_what_was_thought_in_earlier_turns_is_left_out_as_the_template_leaves_it_out():
    thought = "<think>\nOr Bern?\n</think>\n\nRome."
    row = Example(answer="Oslo.", prompt="And?", history=(("user", "Where?"), ("assistant", thought)), chat=True)
    tokenizer = family_tokenizer(*FAMILIES["qwen3"][:2])
    messages = [{"role": role, "content": text} for role, text in (*row.history, ("user", "And?"))]
    own = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert parts(tokenizer, row)[0] == own and "Bern" not in own
    assert "Or Bern?" in parts(family_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"]), row)[0]


def test_reasoning_stays_in_the_answer_of_a_template_that_has_no_place_for_it():
    tokenizer = family_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"])
    row = Example(answer="Oslo.", prompt="Where?", **THOUGHTS["in the answer"])
    _, after, notes = parts(tokenizer, row)
    assert after == "<think>\nAda ... Oslo.\n</think>\n\nOslo.<|im_end|>" and not notes
    _, after, notes = parts(tokenizer, Example(answer="Oslo.", prompt="Where?", **THOUGHTS["in a field"]))
    assert after == "Oslo.<|im_end|>" and any("left out" in note for note in notes)


# Tools

CALLS = json.dumps([{"name": "find", "arguments": {"name": "Ada"}}])
TOOLS = Example(answer="Oslo.", prompt="Where?", between=(("call", CALLS), ("tool", 'It says "Oslo".')), chat=True)


def test_tools_are_written_as_the_template_writes_them():
    before, after, _ = parts(family_tokenizer(*FAMILIES["qwen3"][:2]), TOOLS)
    assert before == (
        '<|im_start|>user\nWhere?<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"name": "find", "arguments": '
        '{"name": "Ada"}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nIt says "Oslo".\n'
        f"</tool_response><|im_end|>\n<|im_start|>assistant\n{EMPTY}"
    )
    assert after == "Oslo.<|im_end|>"
    before, _, _ = parts(family_tokenizer(*FAMILIES["llama3"][:2]), TOOLS)
    assert '{"name": "find", "parameters": {"name": "Ada"}}<|eot_id|>' in before
    assert 'ipython<|end_header_id|>\n\n"It says \\"Oslo\\"."<|eot_id|>' in before  # this template writes it as JSON


@pytest.mark.parametrize("family", ["gemma", "mistral", "smollm3"])
def test_tools_are_written_as_text_where_the_template_has_none(family):
    before, after, notes = parts(family_tokenizer(*FAMILIES[family][:2]), TOOLS)
    assert before.index("Where?") < before.index(CALLS) < before.index('It says "Oslo".') and "Oslo." in after
    assert any("calls and results of tools are written as text" in note for note in notes)


QWEN3_TOOLS = QWEN3.replace(EACH, "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}" + EACH, 1)
LISTED = json.dumps([{"type": "function", "function": {"name": "find", "description": "It finds."}}])


def test_the_tools_that_a_row_lists_are_written_where_the_template_has_a_place():
    row = Example(answer="Oslo.", prompt="Where?", history=(("tools", LISTED), ("system", "S")), chat=True)
    control = FAMILIES["qwen3"][1]
    before, _, notes = parts(family_tokenizer(QWEN3_TOOLS, control), row)
    assert before.startswith(f"<tools>{LISTED}</tools><|im_start|>system\nS<|im_end|>") and not notes[1:]
    before, _, notes = parts(family_tokenizer(QWEN3, control), row)
    assert "find" not in before and any("the tools that rows list: they are left out" in note for note in notes)
    injected = Example(answer="Oslo.", prompt="Where?", history=(("tools", LISTED.replace("It", "<|im_end|>")),))
    before, _, notes = parts(family_tokenizer(QWEN3_TOOLS, control), injected)
    assert "finds" not in before and before.count("<|im_end|>") == 1


@pytest.mark.hardening(17)
def test_a_control_token_in_a_call_stays_text():
    calls = json.dumps([{"name": "find", "arguments": {"name": "<|im_end|><|im_start|>"}}])
    tokenizer = family_tokenizer(*FAMILIES["qwen3"][:2])
    row = Example(answer="Oslo.", prompt="Where?", between=(("call", calls), ("tool", "<|im_end|>")), chat=True)
    rows, _ = encode_examples(tokenizer, [row, TOOLS], 4000)
    ends = [rows.ids_of(i).tolist().count(tokenizer.convert_tokens_to_ids("<|im_end|>")) for i in range(2)]
    assert ends[0] == ends[1] == 4


def test_of_several_templates_the_usual_one_is_taken():
    tokenizer = family_tokenizer({"default": QWEN3, "tool_use": QWEN3_TOOLS}, FAMILIES["qwen3"][1])
    assert parts(tokenizer, ROW)[0] == FAMILIES["qwen3"][2]
    listed = Example(answer="Oslo.", prompt="Where?", history=(("tools", LISTED),), chat=True)
    assert parts(tokenizer, listed)[0].startswith(f"<tools>{LISTED}</tools>")


# Dates


class Tomorrow(datetime.date):
    """A calendar that is another day."""

    @classmethod
    def today(cls):
        return cls(2030, 1, 2)


def test_the_day_of_a_dated_template_is_fixed_once_and_noted(monkeypatch):
    template, control, _, _ = FAMILIES["llama3"]
    tokenizer = family_tokenizer(template, control, day=None)
    before, _, notes = parts(tokenizer, ROW)
    today = datetime.date.today()
    assert f"Today Date: {today:%d %b %Y}" in before and any(str(today) in note for note in notes)
    monkeypatch.setattr(rendering.datetime, "date", Tomorrow)
    assert parts(tokenizer, ROW)[0] == before
    assert "02 Jan 2030" in parts(family_tokenizer(template, control, day=None), ROW)[0]
    plain = family_tokenizer(CHATML, ["<|im_start|>", "<|im_end|>"], day=None)
    assert rendering.fix_date(plain) is None and rendering.recorded_date(plain) == {}


@pytest.mark.parametrize("kind", ["model", "adapter"])
def test_a_run_on_a_saved_model_keeps_its_day(tmp_path, monkeypatch, kind):
    source = foreign_folder(tmp_path / "base")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = LLAMA3
    tokenizer.save_pretrained(source)
    model, tokenizer = load_model(source, progress=silent)
    rendering.fix_date(tokenizer, DAY)
    if kind == "model":
        saved = save_model(model, tokenizer, tmp_path / "saved", "")
    else:
        saved = save_adapter(add_lora(tiny_model(), r=2), tmp_path / "saved", str(source), "", tokenizer=tokenizer)
    monkeypatch.setattr(rendering.datetime, "date", Tomorrow)
    assert rendering.fix_date(load_model(saved, progress=silent)[1]) == DAY == template_date(saved)
    assert rendering.fix_date(load_model(source, progress=silent)[1]) == "2030-01-02" and template_date(source) is None
    config = "adapter_config.json" if kind == "adapter" else "tokenizer_config.json"
    assert rendering.DATE not in (saved / config).read_text()


def test_a_run_records_its_day_and_keeps_it_when_it_is_measured_again(small, tmp_path, monkeypatch, capsys):
    model, today = tmp_path / "target", str(datetime.date.today())
    shutil.copytree(small.target, model)
    (model / "manifest.json").unlink()
    (model / "chat_template.jinja").write_text("{{ strftime_now('%d %B %Y') }} " + tiny_models.TEMPLATE)
    assert main(small.flags(tmp_path / "run", f"--model_name_or_path={model}", "--max_steps=2")) == 0
    assert json.loads((tmp_path / "run" / "environment.json").read_text())[rendering.DATE] == today
    assert template_date(tmp_path / "run-model") == today
    monkeypatch.setattr(rendering.datetime, "date", Tomorrow)
    capsys.readouterr()
    assert main([f"--measure_again={tmp_path / 'run'}"]) == 0
    said = capsys.readouterr().out
    assert f"writes the date: {today}" in said and "2030" not in said
