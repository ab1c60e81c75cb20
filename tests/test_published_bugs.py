"""Published bugs of unlearning code; each test names one."""

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_models
import torch
import torch.nn.functional as F
from random_loops import FAST, PAD, nudge, prepared, rows_for
from random_models import encoded, random_answers, random_rows, tiny
from random_models import settings as words

import unlearning_algorithm as algorithm
from data.columns import Example
from data.other_names import Similar, name_places, names_of, other_names
from data.preparation import encode_examples
from models.forward import packing
from models.forward.reference import Reference
from models.methods import corruption, hooks
from models.methods.losses import Context, npo
from models.training.step import pair_rows


def forget_loss_by_hand(value, rows, model):
    """The mean over answer tokens of `value(logits (V,), label)`, one row at a time, through the plain forward."""
    total = []
    for i in range(len(rows)):
        ids = torch.tensor(rows.ids_of(i), dtype=torch.long)
        logits = model(input_ids=ids[None]).logits[0]
        total += [value(logits[t - 1], ids[t]) for t in range(int(rows.answer_starts[i]), len(ids))]
    return float(torch.stack(total).mean())


def first_losses(method, packed, monkeypatch, **settings):
    if not packed:
        monkeypatch.setattr(packing, "supported", lambda model: False)
    unlearning = prepared(method, per_device_train_batch_size=6, **settings)
    nudge(unlearning)
    return unlearning, unlearning._accumulate(unlearning._terms(0))


@pytest.mark.parametrize("packed", [True, False])
def test_undial_ignores_padding_and_averages_only_answer_tokens(packed, monkeypatch):
    """OpenUnlearning's undial used -100 as an index (column V - 100) and averaged over prompt and padding."""
    unlearning, losses = first_losses("undial", packed, monkeypatch, strength=2.0)
    target, rows = tiny(), unlearning.rows["forget"]
    with torch.no_grad():
        at = {}
        for i in range(len(rows)):
            ids = torch.tensor(rows.ids_of(i), dtype=torch.long)
            at[i] = target(input_ids=ids[None]).logits[0]
        total = []
        for i in range(len(rows)):
            ids = torch.tensor(rows.ids_of(i), dtype=torch.long)
            logits = unlearning.model(input_ids=ids[None]).logits[0].log_softmax(-1)
            for t in range(int(rows.answer_starts[i]), len(ids)):
                teacher = at[i][t - 1].clone()
                teacher[ids[t]] -= 2.0
                total.append(-(teacher.softmax(-1) * logits[t - 1]).sum())
    assert losses["forget"] == pytest.approx(float(torch.stack(total).mean()), rel=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_pdu_mask_is_shifted_like_the_labels(packed, monkeypatch):
    """OpenUnlearning's pdu used the positions of the answer tokens, not those that predict them, and all padding."""
    unlearning, losses = first_losses("pdu", packed, monkeypatch)
    with torch.no_grad():
        by_hand = forget_loss_by_hand(
            lambda logits, label: (logits.max() - logits.mean()).square(), unlearning.rows["forget"], unlearning.model
        )
    assert losses["forget"] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_retain_kl_is_independent_of_prompt_and_padding(packed, monkeypatch):
    """TOFU and OpenUnlearning averaged the retain KL over prompt and padding."""
    if not packed:
        monkeypatch.setattr(packing, "supported", lambda model: False)
    values = []
    for width in (0, 40):
        rows = rows_for(algorithm.METHODS["kl_minimization"])
        if width:  # one long row in the batch: everything else is padded to it
            long = np.concatenate([np.arange(3, 3 + width), rows["forget"].ids_of(0)])
            start = int(rows["forget"].answer_starts[0]) + width
            rows["forget"] = encoded([long], [start])
        unlearning = prepared("kl_minimization", rows=rows, per_device_train_batch_size=9)
        nudge(unlearning)
        values.append(unlearning._accumulate(unlearning._terms(0))["retain"])
    assert values[0] == pytest.approx(values[1], rel=1e-4)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_pdu_steps_its_dual_variable_once_per_optimiser_step(accumulate):
    """OpenUnlearning's pdu stepped it once per micro-batch."""
    sizes = {"per_device_train_batch_size": 6 // accumulate, "gradient_accumulation_steps": accumulate}
    unlearning = prepared("pdu", dual_warmup_epochs=1.0, retain_weight=2.0, max_steps=3, **sizes)
    assert unlearning.steps_per_epoch == 1
    expected = 2.0
    for step in range(3):
        record = unlearning._train_step()
        if step >= 1:
            expected = max(0.0, expected + 5.0 * (record["retain_loss"] - 0.3))
        assert unlearning.retain_weight == pytest.approx(expected, rel=1e-6)
    assert expected > 2.0


def test_pdu_lowers_the_weight_of_a_well_kept_retain_set():
    run_state = SimpleNamespace(
        step=9, steps_per_epoch=1, retain_weight=0.4,
        settings=SimpleNamespace(dual_warmup_epochs=5, retain_loss_limit=0.3, dual_learning_rate=5.0),
    )  # fmt: skip
    hooks.dual_ascent(run_state, {"retain": 0.1})
    assert run_state.retain_weight == 0.0


def test_perta_weighs_by_shares_however_small_the_importance_is():
    """A public perta adds 1e-8 to its denominator: squared gradients of rows known by heart are far smaller, so every
    weight gets a share near 0 and nothing is forgotten."""
    forget, rest = torch.tensor([3.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 2.0, 0.0])
    for size in (1.0, 1e-14):
        found = hooks.relative_importance(forget * size, rest * size)
        torch.testing.assert_close(found, torch.tensor([0.75, 0.5, 0.0, 0.0]))


def corrupted(method, **settings):
    unlearning = prepared(method, **settings)
    rows = unlearning.rows["forget"]
    answers = algorithm.answer_outputs(tiny(), rows.batch(np.arange(len(rows)), PAD))
    return unlearning, answers, unlearning.context["corrupted"]


@pytest.mark.parametrize("method", ["permu", "permu_tok"])
def test_permu_hides_the_name_even_where_no_hidden_states_are_asked_for(method):
    """A published copy of permu adds its noise only while hidden states are collected, which its loss never asks for:
    its corrupted run is the clean one."""
    _, answers, hidden = corrupted(method)
    assert float((hidden.logits(answers) - answers.logits).detach().abs().max()) > 0.1


def test_permu_draws_other_noise_for_every_row_and_the_same_for_every_run():
    """The published code seeds its noise inside the loop over rows, so every name gets the same noise."""
    rows = encoded([np.array([5, 6, 7, 8, 9])] * 2, [3, 3])
    changed = np.array([True, True, False, False, False] * 2)
    first, again = (corruption.noisy_reference(tiny(), rows, changed, 3.0, 1, PAD).hidden for _ in range(2))
    assert torch.equal(first, again) and float((first[:2] - first[2:]).abs().max()) > 1e-2
    none = corruption.noisy_reference(tiny(), rows, changed, 0.0, 1, PAD)
    answers = algorithm.answer_outputs(tiny(), rows.batch([0, 1], PAD))
    torch.testing.assert_close(none.logits(answers), answers.logits, rtol=1e-4, atol=1e-4)


def test_permu_aims_at_what_the_target_said_not_at_what_the_model_says_now():
    """The published code recomputes its goal from the model in training, so the goal drifts as the model forgets."""
    unlearning, answers, hidden = corrupted("permu", max_steps=3)
    before = hidden.logits(answers).clone()
    for _ in range(3):
        unlearning._train_step()
    assert torch.equal(hidden.logits(answers), before) and unlearning.context["corrupted"] is hidden


@pytest.mark.parametrize("text", ["(Ada Lund)", "ADA LUND's", "about ada lund.", "Ada", "the Lund house"])
def test_permu_finds_a_name_whatever_stands_around_it(text):
    """The published code looks for the name's own token ids, with and without a space before it, and ends with an error
    for a name after a bracket or in other letters."""
    pieces = [text[i : i + 2] for i in range(0, len(text), 2)]
    rarity = Counter()
    names = names_of(Example(answer=text, subject="Ada Lund"), rarity)
    places = name_places(pieces, names)
    hidden = "".join("" if place in places else piece for place, piece in enumerate(pieces)).casefold()
    assert places and "ada" not in hidden and "lund" not in hidden


def test_permu_hides_the_rarest_word_of_a_row_that_does_not_say_the_name():
    rarity = Counter({"when": 9, "was": 9, "she": 9, "born": 5, "harbour": 1})
    assert names_of(Example(answer="in 1913", prompt="When was she born?", subject="Ada"), rarity) == ["born"]
    assert names_of(Example(answer="the canada goose", subject="Ada"), Counter(the=3, canada=1, goose=2)) == ["canada"]
    assert (
        names_of(Example(answer="a", prompt="\u5c71\u7530\u306f\uff1f", subject="\u5c71\u7530"), rarity)[0]
        == "\u5c71\u7530"
    )


def test_permu_tok_leaves_no_token_of_a_name_as_it_was():
    """The published code keeps a token that has no neighbour at distance 1, and with it the name."""
    _, tokenizer, examples = tiny_models.make_tiny(epochs=0)
    rows, _ = encode_examples(tokenizer, examples, 64)
    other, _ = other_names(examples, seed=1).encode(tokenizer, 64)
    again, _ = other_names(examples, seed=1).encode(tokenizer, 64)
    changed = rows.ids != other.ids
    assert (other.ids == again.ids).all() and (other.lengths == rows.lengths).all()
    for row, example in enumerate(examples):
        said = [tokenizer.decode([token]) for token in rows.ids_of(row)]
        here = changed[rows.offsets[row] : rows.offsets[row + 1]]
        assert [word for word, other in zip(said, here, strict=True) if other] == [example.subject] * 2
    similar = Similar(tokenizer, 0)
    for token in {*rows.ids[changed].tolist()}:
        assert token not in similar.near(token) and similar.near(token)


def test_every_rank_takes_different_rows_of_the_effective_batch():
    """MUSE and OpenUnlearning drew the same retain rows on every rank."""
    rows, seen = rows_for(algorithm.METHODS["npo"]), []
    for rank in range(2):
        accelerator = SimpleNamespace(num_processes=2, process_index=rank)
        unlearning = algorithm.Unlearning(
            tiny(), rows, "npo", {**FAST, "per_device_train_batch_size": 3}, pad_token_id=PAD, accelerator=accelerator
        )
        unlearning.plan()
        seen.append([np.concatenate(list(unlearning._micro_batches(t.rows, t.indices))) for t in unlearning._terms(0)])
    for mine, other, term in zip(*seen, unlearning._terms(0), strict=True):
        assert not set(mine.tolist()) & set(other.tolist())
        assert sorted([*mine.tolist(), *other.tolist()]) == sorted(term.indices.tolist())


def test_npo_uses_log_probabilities_not_raw_logits():
    """MUSE's npo took raw logits over the vocabulary: a constant added to them must change nothing."""
    answers = random_answers()
    reference = Reference(answers.sequence_nll().detach() - 1)
    shifted = dataclasses.replace(answers, logits=answers.logits + 5.0)
    values, other = (npo(a, Context(reference), words()) for a in (answers, shifted))
    torch.testing.assert_close(values, other, rtol=1e-4, atol=1e-4)


def test_preference_pairs_each_refusal_with_the_labels_of_its_own_question():
    """TOFU's dpo used undefined labels."""
    rows = {name: random_rows(count, seed) for name, count, seed in (("counterpart", 6, 3), ("forget", 3, 0))}
    rows["counterpart"].example_index = np.array([2, 0, 7, 1, 0, 2])  # 7: its forget row was dropped
    kept, partner_of = pair_rows(rows["counterpart"], rows["forget"])
    assert partner_of.tolist() == [2, 0, 1, 0, 2] and len(kept) == 5
    rows["retain"] = random_rows(4, 1)
    unlearning = prepared("idk_dpo", rows=rows, per_device_train_batch_size=5)
    nudge(unlearning)
    losses = unlearning._accumulate(unlearning._terms(0))
    by_hand = []
    with torch.no_grad():
        for i, partner in enumerate(partner_of):
            gains = []
            for set_rows, row in ((kept, i), (rows["forget"], partner)):
                now, then = (
                    algorithm.answer_outputs(m, set_rows.batch([row], PAD)).sequence_nll()
                    for m in (unlearning.model.eval(), tiny())
                )
                gains.append(then - now)
            by_hand.append(-2 / 0.1 * F.logsigmoid(0.1 * (gains[0] - gains[1])))
    assert losses["forget"] == pytest.approx(float(torch.cat(by_hand).mean()), rel=1e-4)
