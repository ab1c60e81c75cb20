"""Values of an evaluation against a plain computation: losses, generations, raw text, made answers."""

from __future__ import annotations

import copy
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import make_tiny, train_tiny

import evaluation_metrics as em
from data.columns import Example
from data.preparation import data_hash, encode_examples
from data.wrong_answers import completed, in_context
from models.forward import generation, packing
from models.forward import teacher_forced as passes
from models.scores import benchmarks
from models.store import loading


@pytest.fixture(scope="module")
def memorised():
    return make_tiny()


# -- the passes against a plain computation


def plain_losses(model, tokenizer, example, answer, most=128):
    """Token losses and logits of one answer by the model's own forward, alone."""
    import torch

    rows, _ = encode_examples(tokenizer, [dataclasses.replace(example, answer=answer)], most)
    ids, start = torch.tensor(rows.ids_of(0).astype(np.int64)), int(rows.answer_starts[0])
    with torch.no_grad():
        log_p = model(ids[None]).logits[0].log_softmax(-1)
    return -log_p[start - 1 : -1].gather(1, ids[start:, None])[:, 0].numpy(), log_p[start - 1 : -1], ids[start:]


def plain_answer(model, tokenizer, example, new_tokens):
    """Greedy answer by transformers' own generate, alone, without padding."""
    import torch

    rows, _ = encode_examples(tokenizer, [example], 128)
    prompt = torch.tensor(rows.prompt_ids(0).astype(np.int64))[None]
    ids = model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new_tokens, do_sample=False, pad_token_id=0
    )
    return tokenizer.decode(ids[0, prompt.shape[1] :], skip_special_tokens=True).strip()


def test_batched_values_equal_those_of_single_answers():
    model, tokenizer, examples = make_tiny(epochs=6)
    found = em.evaluate_model(model, tokenizer, {"forget": examples})
    for number in (0, 7, 20):
        example, values = examples[number], {name: v[number] for name, v in found.per_example["forget"].items()}
        nll, log_p, labels = plain_losses(model, tokenizer, example, example.answer)
        assert values["loss"] == pytest.approx(nll.mean(), rel=1e-4)
        assert values["accuracy"] == pytest.approx(float((log_p.argmax(-1) == labels).float().mean()))
        assert values["exact_memorization"] == em.exact_memorization(log_p.argmax(-1)[:-1], labels[:-1])
        p = log_p.exp()
        mean = (p * log_p).sum(-1)
        std = (p * (log_p - mean[:, None]) ** 2).sum(-1).sqrt()
        assert values["min_k"] == pytest.approx(em.min_k(-nll[:-1]), rel=1e-4)  # end-of-turn excluded
        assert values["min_k_plus_plus"] == pytest.approx(em.min_k_plus_plus(-nll[:-1], mean[:-1], std[:-1]), rel=1e-3)
        assert values["verbatim_probability"] == pytest.approx(np.exp(-nll.sum()), rel=1e-3)
        paraphrase = plain_losses(model, tokenizer, example, example.paraphrased_answer)[0].mean()
        wrong = [plain_losses(model, tokenizer, example, answer)[0].mean() for answer in example.perturbed_answer]
        assert values["truth_ratio"] == pytest.approx(em.truth_ratio([paraphrase], [wrong])[0], rel=1e-3)
        assert values["multiple_choice_accuracy"] == float(paraphrase < min(wrong))
        assert values["option_probability"] == pytest.approx(em.option_probability([paraphrase], [wrong])[0], rel=1e-3)


@pytest.mark.parametrize("epochs", [0, 4, 20])
def test_generations_equal_those_of_transformers(epochs):
    model, tokenizer, examples = make_tiny(epochs=epochs)
    found = em.evaluate_model(model, tokenizer, {"forget": examples}, metrics=["f1"])
    longest = max(len(example.answer.split()) + 1 for example in examples)
    limit = max(24, int(1.5 * longest) + 8)
    expected = [plain_answer(model, tokenizer, example, limit) for example in examples]
    assert found.generations["forget"] == expected
    assert em.generate_answers(model, tokenizer, examples, max_new_tokens=limit) == expected


def test_an_answer_known_by_heart_costs_no_generation(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    asked = []
    original = generation.generate

    def recording(model, prompts, *rest, **options):
        asked.append(prompts)
        return original(model, prompts, *rest, **options)

    monkeypatch.setattr(generation, "generate", recording)
    found = em.evaluate_model(model, tokenizer, {"forget": examples}, metrics=["accuracy", "recall"])
    assert found.metrics["forget"]["accuracy"] == 1
    assert [len(prompts) for prompts in asked] == [0]
    assert found.generations["forget"] == [example.answer for example in examples]
    assert em.generate_answers(model, tokenizer, examples) == [example.answer for example in examples]
    assert [len(prompts) for prompts in asked] == [0, 0]


def test_evaluation_does_not_change_the_model(memorised):
    import torch

    model, tokenizer, examples = memorised
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    em.evaluate_model(model, tokenizer, {"forget": examples[:4]})
    assert model.training
    model.eval()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_padded_and_packed_batches_give_equal_values(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    packed = em.evaluate_model(model, tokenizer, {"forget": examples[:9]})
    monkeypatch.setattr(packing, "supported", lambda model: False)
    padded = em.evaluate_model(model, tokenizer, {"forget": examples[:9]}, batch_tokens=100)
    for name, value in padded.metrics["forget"].items():
        assert value == pytest.approx(packed.metrics["forget"][name], rel=1e-3, abs=1e-4), name
    assert padded.generations == packed.generations


def counted(monkeypatch, model, tokenizer, splits, metrics) -> tuple[int, int, int]:
    """(rows that went through teacher forcing, logits computed, calls of generation) of one evaluation."""
    found = [0, 0, 0]
    forward, generate = passes.answer_outputs, generation.generate

    def counting_forward(model, batch, **options):
        answers = forward(model, batch, **options)
        found[0] += len(batch["lengths"])
        found[1] += len(answers.logits)
        return answers

    def counting_generate(*arguments, **options):
        found[2] += 1
        return generate(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(passes, "answer_outputs", counting_forward)
        patch.setattr(generation, "generate", counting_generate)
        em.evaluate_model(model, tokenizer, splits, metrics=metrics)
    return tuple(found)


def test_all_metrics_share_the_passes(monkeypatch):
    model, tokenizer, examples = make_tiny(epochs=3)
    splits = {"forget": examples[:9], "retain": examples[9:30]}
    by_need = {}
    for metric in em.METRICS.values():
        by_need.setdefault(metric.needs, []).append(metric.name)
    assert {need for need, names in by_need.items() if len(names) > 1} >= {"answer", "paraphrase", "options"}
    for names in by_need.values():
        one, all_of_a_kind = (counted(monkeypatch, model, tokenizer, splits, chosen) for chosen in (names[:1], names))
        assert one == all_of_a_kind
    rows, logits, generations = counted(monkeypatch, model, tokenizer, splits, None)
    assert (rows, generations) == (30 * 5, 1)  # every answer, its paraphrase and three wrong ones: once
    assert logits < sum(
        len(text.split()) + 1 for e in examples[:30] for text in (e.answer, e.paraphrased_answer, *e.perturbed_answer)
    )  # what answers to one question share is read from the same logits


def test_values_do_not_depend_on_the_batches(memorised):
    model, tokenizer, examples = memorised
    whole, pieces = (
        em.evaluate_model(model, tokenizer, {"forget": examples}, batch_tokens=size) for size in (10**6, 60)
    )
    for name, values in whole.per_example["forget"].items():
        assert values == pytest.approx(pieces.per_example["forget"][name], rel=1e-4, abs=1e-5), name


def test_raw_text_is_continued_from_its_middle(memorised):
    model, tokenizer, examples = copy.deepcopy(memorised)
    texts = [Example(answer=e.answer + " . " + f.answer) for e, f in zip(examples[:6], examples[6:12])]
    train_tiny(model, tokenizer, [dataclasses.replace(t, paraphrased_answer=None) for t in texts], epochs=30)
    found = em.evaluate_model(model, tokenizer, {"forget": texts})
    ids = tokenizer(texts[0].answer)["input_ids"]
    assert found.generations["forget"][0] == tokenizer.decode(ids[len(ids) // 2 :], skip_special_tokens=True)
    assert found.metrics["forget"]["rouge_l_recall"] > 0.95
    assert found.metrics["forget"]["fact_recall"] > 0.95  # of words that the first half does not say
    assert None not in found.per_example["forget"]["truth_ratio"]
    assert found.metrics["forget"]["run_on"] is None and "raw text" in found.notes["forget.run_on"]


def test_a_long_raw_text_has_the_loss_of_all_its_rows(memorised):
    model, tokenizer, examples = memorised
    text = Example(answer=" ".join(e.answer for e in examples[:8]), paraphrased_answer=" ".join(
        e.paraphrased_answer for e in examples[:8]))  # fmt: skip
    found = em.evaluate_model(model, tokenizer, {"forget": [text]}, metrics=["loss", "paraphrase_loss"], max_length=20)
    for name, answer in (("loss", text.answer), ("paraphrase_loss", text.paraphrased_answer)):
        rows, _ = encode_examples(tokenizer, [Example(answer=answer)], 20)
        parts = [passes.teacher_forced(model, rows, [[i]], np.ones(len(rows), bool), 0)[i][0] for i in range(len(rows))]
        assert len(parts) > 1
        assert found.metrics["forget"][name] == pytest.approx(np.concatenate(parts).mean(), rel=1e-3)


def test_muse_texts_are_scored_whole_or_counted(memorised, monkeypatch):
    """MUSE scores a text in one pass; parts of 512 tokens would each start without what came before."""
    model, tokenizer, examples = copy.deepcopy(memorised)
    model.config.max_position_embeddings = 1024
    answers = [example.answer for example in examples] * 3
    texts = {"forget": [" ".join(answers[i : i + 90]) for i in (0, 7, 11)],
             "holdout": [" ".join(reversed(" ".join(answers[i : i + 90]).split())) for i in (3, 5)]}  # fmt: skip
    parts = {f"privleak_{side}": found for side, found in texts.items()}
    expected = {}
    for side, found in texts.items():
        whole = [plain_losses(model, tokenizer, Example(answer=text), text, 1024)[0] for text in found]
        assert min(map(len, whole)) > 512
        expected[side] = [em.min_k(-nll) for nll in whole]
    found = em.muse_scores(model, tokenizer, parts)
    assert found == {"min_k_auc": em.membership_auc(expected["forget"], expected["holdout"])}
    seen = {}
    monkeypatch.setattr(benchmarks, "membership_auc", lambda *sides: seen.update(zip(texts, sides)) or 0.5)
    em.muse_scores(model, tokenizer, parts)
    assert all(seen[side] == pytest.approx(values, rel=1e-3) for side, values in expected.items())
    model.config.max_position_embeddings = 256
    cut = em.muse_scores(model, tokenizer, parts)
    assert cut["cut_texts"] == 5
    assert "5 texts were longer" in em.add_privleak({"unlearned": cut, "retrained": dict(cut)})


def plain(examples):
    return [dataclasses.replace(e, paraphrased_answer=None, perturbed_answer=()) for e in examples]


def test_plain_rows_get_wrong_answers_that_are_kept_apart(memorised):
    model, tokenizer, examples = memorised
    bare = plain(examples)
    found = em.evaluate_model(model, tokenizer, {"forget": bare, "retain": examples}, metrics=["truth_ratio", "loss"])
    assert None not in found.per_example["forget"]["truth_ratio"]
    assert found.notes["forget.options"].startswith("wrong answers were made from other rows' words for 36 of 36 rows")
    assert found.measured_on["forget"]["made"] == 36 and found.measured_on["retain"]["made"] == 0
    assert found.measured_on["forget"]["content"] == data_hash(bare)
    assert "retain.options" not in found.notes
    for number in (0, 20):
        loss = plain_losses(model, tokenizer, bare[number], bare[number].answer)[0].mean()
        wrong = completed(bare, bare)[0][number].perturbed_answer
        wrong = [plain_losses(model, tokenizer, bare[number], text)[0].mean() for text in wrong]
        expected = em.truth_ratio([loss], [wrong])[0]
        assert found.per_example["forget"]["truth_ratio"][number] == pytest.approx(expected, rel=1e-3)
    alone = em.evaluate_model(model, tokenizer, {"forget": bare}, metrics=["truth_ratio"])
    assert alone.per_example["forget"]["truth_ratio"] == pytest.approx(found.per_example["forget"]["truth_ratio"], 1e-3)


def test_options_are_in_one_wording(memorised):
    """The paraphrase competes with its own variants; without a paraphrase, as in TOFU's facts, the answer does."""
    model, tokenizer, examples = memorised
    short = [dataclasses.replace(e, paraphrased_answer=None) for e in examples[:4]]
    metrics = ["truth_ratio", "option_probability", "multiple_choice_accuracy"]
    found = em.evaluate_model(model, tokenizer, {"general": examples[:4], "world_facts": short}, metrics=metrics)
    for number, example in enumerate(examples[:4]):
        wrong = [plain_losses(model, tokenizer, example, text)[0].mean() for text in example.perturbed_answer]
        for split, answer in (("general", example.paraphrased_answer), ("world_facts", example.answer)):
            right = [plain_losses(model, tokenizer, example, answer)[0].mean()]
            values = {name: found.per_example[split][name][number] for name in metrics}
            assert values == pytest.approx({
                "truth_ratio": em.truth_ratio(right, [wrong])[0],
                "option_probability": em.option_probability(right, [wrong])[0],
                "multiple_choice_accuracy": em.multiple_choice_accuracy(right, [wrong])[0],
            }, rel=1e-3)  # fmt: skip
    assert "stands in for a paraphrase in 4 of 4 rows" in found.notes["world_facts.options"]


def test_tofu_numbers_do_not_rest_on_made_answers(memorised):
    model, tokenizer, examples = memorised
    sets = {"forget": plain(examples[:12]), "retain": examples[12:24], "world_facts": plain(examples[24:])}
    table = em.tofu_scores(em.evaluate_model(model, tokenizer, sets))
    assert table["Truth Ratio Retain"] is not None and table["ROUGE Forget"] is not None
    for name in ("Truth Ratio Forget", "Prob. Real World", "Truth Ratio Real World", "Forget Quality", "Model Utility"):
        assert table[name] is None, name


# -- sets that are measured for one purpose


def test_judging_rows_are_scored_and_not_asked(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    asked = counted(monkeypatch, model, tokenizer, {"judging": examples[:6]}, None)
    assert asked[0] == 6 * 2 and asked[2] == 0  # the answer and its paraphrase, no wrong answer, no generation
    found = em.evaluate_model(model, tokenizer, {"judging": plain(examples[:6])})
    assert {"loss", "min_k", "min_k_plus_plus", "zlib_ratio", "accuracy"} <= set(found.metrics["judging"])
    assert not {"truth_ratio", "rouge_l_recall", "fact_recall", "option_probability"} & set(found.metrics["judging"])
    assert found.generations["judging"] == [None] * 6 and found.measured_on["judging"]["made"] == 0


def test_in_context_rows_are_asked_and_not_scored(memorised):
    model, tokenizer, examples = memorised
    sets = {"forget": examples[:6], "in_context": in_context(examples[:6])}
    found = em.evaluate_model(model, tokenizer, sets)
    assert {"fact_recall", "rouge_l_recall", "run_on"} <= set(found.metrics["in_context"])
    assert not {"loss", "answer_probability", "truth_ratio", "min_k"} & set(found.metrics["in_context"])
    assert None not in found.per_example["in_context"]["fact_recall"]  # the fact in the prompt is not the question
    limit = max(24, int(1.5 * max(len(e.answer.split()) + 1 for e in examples[:6])) + 8)
    assert found.generations["in_context"] == [plain_answer(model, tokenizer, e, limit) for e in sets["in_context"]]
    em.add_perplexity(found, model, tokenizer, sets)
    assert "generation_perplexity" in found.metrics["forget"]
    assert "generation_perplexity" not in found.metrics["in_context"]
    assert em.evaluate_model(model, tokenizer, {"in_context": sets["in_context"]}, metrics=["loss"]).metrics == {
        "in_context": {}
    }
    json.loads(found.to_json())


def test_the_losses_of_the_base_model_stand_beside_the_targets(memorised):
    model, tokenizer, examples = memorised
    sets = {"forget": examples[:4], "judging": examples[4:7], "retain": examples[7:9]}
    losses = em.base_losses(model, tokenizer, sets)
    assert set(losses) == {"forget", "judging"}
    found = em.evaluate_model(model, tokenizer, sets, metrics=["loss"])
    assert losses["judging"] == pytest.approx(found.per_example["judging"]["loss"])  # here, it is the target itself
    em.add_base_loss(found, losses | {"holdout": [1.0]})  # a set that was not measured is left out
    assert found.metrics["forget"]["base_loss"] == pytest.approx(found.metrics["forget"]["loss"])
    assert "base_loss" not in found.metrics["retain"] and "holdout" not in found.metrics
    small = SimpleNamespace(get_input_embeddings=lambda: SimpleNamespace(num_embeddings=3))
    assert em.base_losses(small, tokenizer, sets) == {}  # another vocabulary


def test_the_base_model_is_loaded_only_where_a_test_of_membership_reads_its_losses(memorised, monkeypatch):
    model, tokenizer, examples = memorised
    sets = {"forget": examples[:4], "judging": examples[4:7]}
    found = {role: em.evaluate_model(model, tokenizer, sets, metrics=["loss"]) for role in ("target", "retrained")}
    args = SimpleNamespace(base_model="base", target_model="t", retrained_model="r", dtype="float32", max_length=64,
                           model_name_or_path="t")  # fmt: skip
    loaded = []
    monkeypatch.setattr(loading, "load_model", lambda name, **_: loaded.append(name) or (model, tokenizer))
    monkeypatch.setattr(loading, "template_date", lambda name: None)
    em._add_base_losses(args, {"target": found["target"]}, sets)
    em._add_base_losses(args, found, {"forget": sets["forget"]})
    assert not loaded and "base_loss" not in found["target"].metrics["forget"]
    em._add_base_losses(args, found, sets)
    assert loaded == ["base"] and found["target"].metrics["judging"]["base_loss"] > 0


def test_the_papers_truth_ratio_is_an_option(memorised):
    model, tokenizer, examples = memorised
    found = {
        kind: em.evaluate_model(model, tokenizer, {"forget": examples[:6]}, metrics=["truth_ratio"],
                                truth_ratio_reduction=kind).per_example["forget"]["truth_ratio"]
        for kind in em.REDUCTIONS
    }  # fmt: skip
    for number, example in enumerate(examples[:6]):
        right = plain_losses(model, tokenizer, example, example.paraphrased_answer)[0].mean()
        wrong = [plain_losses(model, tokenizer, example, answer)[0].mean() for answer in example.perturbed_answer]
        for kind, values in found.items():
            assert values[number] == pytest.approx(em.truth_ratio([right], [wrong], kind)[0], rel=1e-3)
    with pytest.raises(ValueError, match="did you mean arithmetic"):
        em.evaluate_model(model, tokenizer, {"forget": examples}, truth_ratio_reduction="aritmetic")
