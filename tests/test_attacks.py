"""Attacks: what they find on tiny models, that they restore the model, and the rounding they use."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import facts, make_tiny, train_tiny

import evaluation_metrics as em
from models.scores import attacks

PROJECT = Path(__file__).resolve().parents[1]
SMALL = em.Budget(learning_rates=(1e-3,), steps=8, prompts=6, samples=4, sample_tokens=12, new_tokens=16)


@pytest.fixture(scope="module")
def known():
    return make_tiny()


@pytest.fixture(scope="module")
def splits(known):
    _, _, examples = known
    return {"forget": examples[:12], "retain": examples[12:]}


def state(model) -> dict:
    return {name: (value.clone(), value.data_ptr()) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", em.ATTACKS)
def test_an_attack_gives_finite_numbers_and_restores_the_model_bit_for_bit(name, known, splits):
    if em.ATTACKS[name].package:
        pytest.importorskip(em.ATTACKS[name].package)
    model, tokenizer, _ = known
    before, trainable = state(model), [(p.requires_grad, id(p.grad)) for p in model.parameters()]
    found = em.run_attacks(model, tokenizer, splits, [name], budget=SMALL)[name]
    assert found and all(np.isfinite(value) for value in found.values())
    assert set(em.ATTACKS[name].judged) <= set(found)
    for key, value in model.state_dict().items():
        assert torch.equal(before[key][0], value) and before[key][1] == value.data_ptr(), key
    assert [(p.requires_grad, id(p.grad)) for p in model.parameters()] == trainable
    assert not model.training


def test_an_attack_is_deterministic(known, splits):
    model, tokenizer, _ = known
    names = ["relearning", "sampling"]
    first, second = (em.run_attacks(model, tokenizer, splits, names, budget=SMALL) for _ in range(2))
    assert first == second


def test_relearning_with_zero_steps_changes_no_metric(known, splits):
    model, tokenizer, _ = known
    budget = dataclasses.replace(SMALL, steps=0)
    for name in ("relearning", "benign_relearning"):
        found = em.run_attacks(model, tokenizer, splits, [name], budget=budget)[name]
        for metric in attacks.SCORED:
            assert found[metric] == found[f"{metric}_before"]


def test_relearning_changes_the_scores():
    """From half of the subjects, an untrained model learns the form of the other half's answers."""
    model, tokenizer, examples = make_tiny(epochs=0)
    found = em.run_attacks(
        model, tokenizer, {"forget": examples}, ["relearning"], budget=dataclasses.replace(SMALL, steps=60)
    )["relearning"]
    assert found["exact_memorization"] > found["exact_memorization_before"] + 0.2


def test_halves_share_no_subject(splits):
    first, second = attacks.halves(splits["forget"])
    assert first and second and not {e.subject for e in first} & {e.subject for e in second}
    rows = [dataclasses.replace(e, subject=None) for e in splits["forget"]]
    assert [len(part) for part in attacks.halves(rows)] == [6, 6]


def test_sampling_leaks_only_from_a_model_that_knows(known, splits):
    model, tokenizer, examples = known
    empty, _, _ = make_tiny(examples, epochs=0)
    knows, ignorant = (
        em.run_attacks(m, tokenizer, splits, ["sampling"], budget=SMALL)["sampling"] for m in (model, empty)
    )
    assert knows["best_rouge_l_recall_before"] > 0.9  # the greedy answer
    assert knows["leak_at_1"] > 0.5 and knows["leak_at_4"] >= knows["leak_at_1"]
    assert ignorant["leak_at_4"] == 0


def test_prompts_take_the_best_per_question(known, splits):
    model, tokenizer, _ = known
    found = em.run_attacks(model, tokenizer, splits, ["prompts"], budget=SMALL)["prompts"]
    names = ("plain", "answer_begun", "half_given", "three_shot", "paraphrase")
    assert found["best_rouge_l_recall"] >= max(found[f"{name}_rouge_l_recall"] for name in names) - 1e-9
    assert found["plain_rouge_l_recall"] > 0.9
    assert found["best_rouge_l_recall_before"] == found["plain_rouge_l_recall"]


def test_the_last_layer_of_the_logit_lens_gives_the_models_own_answer(known, splits):
    model, tokenizer, _ = known
    found = em.run_attacks(model, tokenizer, splits, ["logit_lens"], budget=SMALL)["logit_lens"]
    accuracy = em.evaluate_model(model, tokenizer, {"forget": splits["forget"]}, metrics=["accuracy"])
    assert accuracy.metrics["forget"]["accuracy"] == 1
    assert found["last_reciprocal_rank"] == pytest.approx(1)
    assert found["best_reciprocal_rank"] >= found["layer_1_reciprocal_rank"]
    assert found["best_reciprocal_rank_before"] == found["last_reciprocal_rank"]


# -- rounding


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 150), st.sampled_from([(8, None), (4, 64), (4, None)]), st.integers(0, 9))
def test_rounding_is_idempotent_and_bounded(rows, width, scheme, seed):
    weight = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    bits, group = scheme
    once = attacks.rounded(weight, bits, group)
    assert once.shape == weight.shape
    assert torch.allclose(attacks.rounded(once, bits, group), once, rtol=1e-5, atol=1e-7)
    step = weight.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)
    assert ((once - weight).abs() <= step / 2 + 1e-6).all()


def test_eight_bits_err_less_than_four_and_keep_zero_rows():
    weight = torch.randn(16, 256, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    errors = [(attacks.rounded(weight, *scheme) - weight).norm() for scheme in ((8, None), (4, 64))]
    assert 0 < errors[0] < errors[1] / 4
    assert (attacks.rounded(weight, 4, 64)[3] == 0).all()


def test_quantising_leaves_the_head_alone(known):
    model, _, _ = known
    head = model.get_output_embeddings().weight.clone()
    with attacks.on_a_copy(model):
        count = attacks.quantise(model, 4, 64)
        assert count == 2 * 7  # attention 4, feed-forward 3, two layers
        assert torch.equal(model.get_output_embeddings().weight, head)
        weight = model.model.layers[0].self_attn.q_proj.weight
        assert len(torch.unique(weight[0])) <= 15


@pytest.mark.parametrize(("bits", "group"), [(8, None), (4, 64)])
def test_torchao_rounds_as_coarsely_as_our_own_code(bits, group):
    pytest.importorskip("torchao")
    weight = torch.randn(32, 256, generator=torch.Generator().manual_seed(0))
    ours, theirs = (by(weight, bits, group) for by in (attacks.rounded, attacks.rounded_by_torchao))
    errors = [float((rounded - weight).norm()) for rounded in (ours, theirs)]
    assert type(theirs) is torch.Tensor and theirs.shape == weight.shape
    assert 0.8 < errors[0] / errors[1] < 1.25
    assert torch.equal(attacks.rounded_by_torchao(weight[:, :100], 4, 64), attacks.rounded(weight[:, :100], 4, 64))


def pull(model, base: dict) -> float:
    """How far 4-bit rounding moves trained weights back to those before training: 0 not at all, 1 fully."""
    towards = apart = 0.0
    with attacks.on_a_copy(model), torch.no_grad():
        trained = {name: value.clone() for name, value in model.named_parameters()}
        attacks.quantise(model, 4, 64)
        for name, value in model.named_parameters():
            back = base[name] - trained[name]
            towards += float(((value - trained[name]) * back).sum())
            apart += float((back * back).sum()) if not torch.equal(value, trained[name]) else 0.0
    return towards / apart


def test_four_bit_rounding_undoes_small_training_only_on_the_same_grid():
    """The packaged model's weights were once on a different 4-bit grid. Such a history changes the attack's result only
    if both grids are the same: then rounding restores the model that the weights came from."""
    model, tokenizer, examples = make_tiny(epochs=6)
    gridded = copy.deepcopy(model)
    attacks.quantise(gridded, 4, 64)
    found = {}
    for name, start in (("smooth", model), ("gridded", gridded)):
        base = {key: value.clone() for key, value in start.named_parameters()}
        train_tiny(start, tokenizer, examples[:12], epochs=2, learning_rate=2e-4)
        found[name] = pull(start, base)
    assert abs(found["smooth"]) < 0.15
    assert found["gridded"] > 0.8


# -- from attacks to the verdict


def test_attacks_enter_the_report_and_the_verdict(known, splits):
    target, tokenizer, examples = known
    retrained, _, _ = make_tiny(examples, epochs=0)
    train_tiny(retrained, tokenizer, splits["retain"], epochs=20)
    sets = {**splits, "holdout": facts(("mia", "ned", "oda", "pam"), shift=5)}
    models = {"target": target, "retrained": retrained}
    found = {name: em.evaluate_model(model, tokenizer, sets) for name, model in models.items()}
    # an unlearned model that passes every gate: the retrained one on the forget side, the target on what it keeps
    found["unlearned"] = em.ModelEvaluation.from_json(found["retrained"].to_json())
    found["unlearned"].metrics["retain"] = found["target"].metrics["retain"]
    attacked = {
        name: em.run_attacks(model, tokenizer, splits, ["quantisation_int8", "sampling"], budget=SMALL)
        for name, model in models.items()
    }
    report = em.evaluation_json(found, {**attacked, "unlearned": attacked["retrained"]})
    json.dumps(report, allow_nan=False)
    assert set(report["attacks"]) == {"quantisation_int8", "sampling"}
    assert set(report["attacks"]["sampling"]) == set(found)
    assert report["comparison"]["robustness"] == 1
    assert report["comparison"]["verdict"] == "FORGOTTEN", report["notes"]["verdict"]
    recovered = report["recovery"]["quantisation_int8"]["answer_probability"]
    assert abs(recovered["unlearned"]) < 0.2 and recovered["unlearned"] == recovered["retrained"]

    comparison = em.evaluation_json(found, {**attacked, "unlearned": attacked["target"]})["comparison"]
    assert comparison["robustness"] == 0 and comparison["robust_score"] == 0
    assert comparison["weakest_part"] == "robustness"
    assert comparison["verdict"] == "SUPPRESSED"
    assert em.evaluation_json(found)["comparison"]["verdict"] == "FORGOTTEN (attacks not run)"


def test_recovery_by_hand():
    table = {"relearning": {"target": {"m": 1.0, "m_before": 1.0}, "unlearned": {"m": 0.7, "m_before": 0.2},
                            "retrained": {"m": 0.36, "m_before": 0.2}}}  # fmt: skip
    shares = em.recoveries(table)["relearning"]["m"]
    assert shares["unlearned"] == pytest.approx(0.625) and shares["retrained"] == pytest.approx(0.2)
    table["relearning"]["unlearned"]["m_before"] = 0.99
    assert em.recoveries(table)["relearning"]["m"]["unlearned"] is None  # nothing was gone


def test_a_new_attack_is_one_row(known, splits, monkeypatch):
    model, tokenizer, _ = known

    def noise(subject):
        with attacks.on_a_copy(subject.model), torch.no_grad():
            for parameter in subject.model.parameters():
                parameter.mul_(0.5)
            return subject.score(subject.forget)

    row = attacks.Attack("noise", noise, ("answer_probability",), "halves weights", "Whether it holds.", "Much.")
    monkeypatch.setitem(em.ATTACKS, "noise", row)
    found = em.run_attacks(model, tokenizer, splits, "noise")
    assert found["noise"]["answer_probability"] < found["noise"]["answer_probability_before"]
    evaluation = em.evaluate_model(model, tokenizer, splits, metrics=["loss"])
    report = em.evaluation_json({"target": evaluation, "unlearned": evaluation}, {"target": found, "unlearned": found})
    assert report["docs"]["noise"] == "Whether it holds. Not shown: Much."
    assert report["recovery"]["noise"]["answer_probability"]["retrained"] is None
    assert "noise: halves weights" in em._parser().format_help()


def test_attack_names_from_text():
    assert em.attack_names("all") == [name for name in em.ATTACKS if not name.endswith("_torchao")]
    assert em.attack_names("none") == em.attack_names("") == em.attack_names(None) == []
    assert em.attack_names("sampling, prompts") == ["sampling", "prompts"]
    with pytest.raises(ValueError, match="did you mean relearning"):
        em.attack_names("relerning")


def test_an_attack_names_its_missing_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install torchao"):
        em.attack_names("sampling,quantisation_int4_torchao")
    assert "quantisation_int4_torchao" not in em.attack_names("all")


def test_models_without_a_retain_set_can_be_attacked(known, splits):
    model, tokenizer, _ = known
    found = em.run_attacks(
        model, tokenizer, {"forget": splits["forget"]}, ["benign_relearning", "prompts"], budget=SMALL
    )
    assert found["benign_relearning"] == {}
    assert "three_shot_rouge_l_recall" not in found["prompts"]


# -- benchmarks and the command line


def write(path: Path, rows: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps(row) for row in rows)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")
    return path


def as_row(example) -> dict:
    return {
        "question": example.prompt,
        "answer": example.answer,
        "paraphrased_answer": example.paraphrased_answer,
        "perturbed_answer": list(example.perturbed_answer),
        "subject": example.subject,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, known):
    """A saved tiny model and data files."""
    folder = tmp_path_factory.mktemp("evaluation")
    model, tokenizer, examples = known
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    write(folder / "forget.jsonl", [as_row(e) for e in examples[:6]])
    write(folder / "retain.jsonl", [as_row(e) for e in examples[6:12]])
    short = [{k: v for k, v in as_row(e).items() if k in ("question", "answer", "perturbed_answer")} for e in examples]
    whole = [as_row(e) for e in examples]
    sets = {"forget01": whole[:6], "retain400": whole[6:12], "real_authors": short[12:15], "world_facts": short[15:18]}
    for name, rows in sets.items():
        write(folder / "tofu" / f"{name}.jsonl", rows)
    write(folder / "muse" / "verbmem" / "forget.json", [{"prompt": "ada lives in", "gt": "lund by the sea"}] * 2)
    for side in ("forget", "retain"):
        rows = [{"question": e.prompt, "answer": e.answer} for e in examples[:3]]
        write(folder / "muse" / "knowmem" / f"{side}_qa.json", rows)
        write(folder / "muse" / "knowmem" / f"{side}_qa_icl.json", rows[:1])
    write(folder / "muse" / "privleak" / "forget.json", [e.answer for e in examples[:6]])
    write(folder / "muse" / "privleak" / "holdout.json", [e.answer for e in facts(shift=4)[:6]])
    return folder


def evaluate(folder, *more, output="out"):
    return em.main(
        ["--model_name_or_path", str(folder / "model"), "--output_dir", str(folder / output), *map(str, more)]
    )


def test_the_command_writes_an_evaluation(folder, capsys):
    data = ["--forget_data", folder / "forget.jsonl", "--retain_data", folder / "retain.jsonl"]
    assert evaluate(folder, *data, "--target_model", folder / "model", "--metrics", "loss,recall") == 0
    report = json.loads((folder / "out" / "evaluation.json").read_text())
    assert set(report["models"]) == {"target", "unlearned"}
    assert set(report["models"]["unlearned"]["forget"]) == {"loss", "recall", "generation_perplexity"}
    assert report["models"]["unlearned"]["forget"]["generation_perplexity"] < 1.5  # it says what the target says
    assert report["comparison"]["verdict"] == "UNCERTIFIED"
    assert "verdict" in capsys.readouterr().out
    assert evaluate(folder, *data) == 2
    assert "--overwrite_output_dir" in capsys.readouterr().err


def test_the_command_writes_every_rows_values_and_prints_attacks(folder, capsys):
    data = ["--forget_data", folder / "forget.jsonl", "--retain_data", folder / "retain.jsonl"]
    more = ["--limit", "3", "--attacks", "quantisation_int8", "--metrics", "accuracy,f1", "--general_data"]
    assert evaluate(folder, *data, *more, folder / "retain.jsonl", output="rows") == 0
    rows = [json.loads(line) for line in (folder / "rows" / "examples.jsonl").read_text().splitlines()]
    assert [row["split"] for row in rows] == ["forget"] * 3 + ["retain"] * 3 + ["general"] * 3
    report = json.loads((folder / "rows" / "evaluation.json").read_text())
    forget = [row["metrics_after"]["accuracy"] for row in rows[:3]]
    assert report["models"]["unlearned"]["forget"]["accuracy"] == pytest.approx(np.mean(forget))
    assert rows[0]["after"] and rows[0]["before"] is None and rows[0]["metrics_retrained"] is None
    printed = capsys.readouterr().out
    assert "under attack" in printed and "quantisation_int8" in printed


@pytest.fixture(scope="module")
def copies(folder, known):
    """Two copies of the target: the copied folder, and the same model saved with different bytes."""
    _, tokenizer, examples = known
    shutil.copytree(folder / "model", folder / "copied")
    other, _, _ = make_tiny(examples, seed=3)
    other.save_pretrained(folder / "taught_all")
    tokenizer.save_pretrained(folder / "taught_all")
    return folder


@pytest.mark.parametrize(
    ("retrained", "message"),
    [("model", "is the target model"), ("copied", "same weights"), ("taught_all", "knows the forget set as well")],
)
def test_the_target_given_as_retrained_model_is_refused(copies, retrained, message, capsys):
    data = ["--forget_data", copies / "forget.jsonl", "--target_model", copies / "model"]
    assert evaluate(copies, *data, "--retrained_model", copies / retrained, output=f"refused_{retrained}") == 4
    printed = capsys.readouterr()
    assert message in printed.err and "unlearned:" not in printed.out  # before the model itself was measured
    assert not (copies / f"refused_{retrained}" / "evaluation.json").exists()


def test_the_runner_refuses_the_target_as_retrained_model(copies, tmp_path, capsys, monkeypatch):
    import unlearning_script
    from results.run import measuring

    monkeypatch.setattr(measuring, "EVALUATIONS", tmp_path / "evaluations")
    for retrained, message in (("copied", "same weights"), ("taught_all", "knows the forget set")):
        code = unlearning_script.main(
            [f"--model_name_or_path={copies / 'model'}", f"--retrained_model={copies / retrained}",
             f"--forget_data={copies / 'forget.jsonl'}", f"--retain_data={copies / 'retain.jsonl'}", "--method=npo",
             "--max_steps=2", "--metrics=loss", f"--output_dir={tmp_path / retrained}",
             f"--model_output_dir={tmp_path / 'out'}"]
        )  # fmt: skip
        assert code == 4 and message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_reports_all_problems_together(folder, capsys):
    code = evaluate(folder, "--forget_dat", "x", "--metrics", "f2", "--attacks", "samplin", "--benchmark", "wmdp")
    message = capsys.readouterr().err
    assert code == 2
    for hint in ("did you mean --forget_data", "did you mean f1", "did you mean sampling", "tofu, muse", "--data_dir"):
        assert hint in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("flags", "code"),
    [(["--forget_data", "missing.jsonl"], 3), (["--forget_data", "forget.jsonl", "--target_model", "nowhere"], 4)],
)
def test_the_command_exits_with_the_code_of_the_problem(folder, flags, code, capsys):
    flags = [str(folder / flag) if flag.endswith((".jsonl", "nowhere")) else flag for flag in flags]
    assert evaluate(folder, *flags, output="wrong") == code
    assert capsys.readouterr().err.startswith("error: ")


def test_tofu_scores_have_their_own_names(folder):
    flags = ["--benchmark", "tofu", "--data_dir", folder / "tofu", "--retrained_model", folder / "model"]
    assert evaluate(folder, *flags, output="tofu_out") == 0
    report = json.loads((folder / "tofu_out" / "evaluation.json").read_text())
    table = report["benchmark"]["models"]["unlearned"]
    assert table["Forget Quality"] == 1 and 0 < table["Model Utility"] < 1
    assert table["ROUGE Retain"] > 0.9
    wanted = {
        f"{n} {s}"
        for n in ("ROUGE", "Prob.", "Truth Ratio")
        for s in ("Real Authors", "Real World", "Retain", "Forget")
    }
    assert set(table) == wanted | {"Model Utility", "Forget Quality"}
    numbers = [value for key, value in table.items() if key.split()[-1] in ("Authors", "World", "Retain")]
    assert len(numbers) == 9 and table["Model Utility"] == pytest.approx(em.model_utility(numbers))


def test_muse_scores_have_their_own_names(folder):
    flags = ["--benchmark", "muse", "--data_dir", folder / "muse", "--retrained_model", folder / "model"]
    assert evaluate(folder, *flags, output="muse_out") == 0
    table = json.loads((folder / "muse_out" / "evaluation.json").read_text())["benchmark"]["models"]["unlearned"]
    assert set(table) == {"verbmem_f", "knowmem_f", "knowmem_r", "min_k_auc", "privleak"}
    assert table["privleak"] == 0
    assert evaluate(folder, *flags[:-2], output="muse_alone") == 0
    alone = json.loads((folder / "muse_alone" / "evaluation.json").read_text())
    assert alone["benchmark"]["models"]["unlearned"]["privleak"] is None and "retrained" in alone["notes"]["privleak"]
    assert 0 <= table["verbmem_f"] <= 100


def test_benchmark_folders_are_checked(tmp_path, capsys):
    for name in ("tofu", "muse"):
        assert em.main(["--model_name_or_path", "m", "--output_dir", str(tmp_path / "o"), "--benchmark", name,
                        "--data_dir", str(tmp_path)]) == 3  # fmt: skip
    write(tmp_path / "verbmem" / "forget.json", [{"prompt": 3}])
    assert em.main(["--model_name_or_path", "m", "--output_dir", str(tmp_path / "o"), "--benchmark", "muse",
                    "--data_dir", str(tmp_path)]) == 3  # fmt: skip
    assert "prompt and gt" in capsys.readouterr().err


def test_help_is_quick():
    """Measures processor time, which other jobs hardly affect. Importing torch alone would take longer."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "evaluation_metrics.py", "--help"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0 and all(name in done.stdout for name in [*em.METRICS, *em.ATTACKS])
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
