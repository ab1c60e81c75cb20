"""Methods of several phases: what each phase starts from, and in which order they come."""

import pytest
import torch
from random_loops import PAD, prepared, run
from random_models import tiny

import unlearning_algorithm as algorithm
from models.forward.layers import MethodError


def test_whp_restores_the_target_after_reinforcement():
    unlearning = prepared("whp", max_steps=6)
    start = unlearning.optimizer.snapshot()
    assert [(stage.first, stage.steps) for stage in unlearning.stages] == [(0, 3), (3, 3)]
    for _ in range(3):
        unlearning._train_step()
    assert not torch.equal(start[0], unlearning.optimizer.flats[0])
    unlearning._advance()
    assert torch.equal(start[0], unlearning.optimizer.flats[0])
    assert set(unlearning.references) == {"forget", "reinforced"}


def test_undo_learns_from_the_unlearned_model_not_the_target():
    unlearning = prepared("undo", max_steps=6)
    assert [stage.method.name for stage in unlearning.stages] == ["npo", "undo"]
    before = unlearning.references["retain"].hidden.clone() if "retain" in unlearning.references else None
    while unlearning.step < 3:
        unlearning._train_step()
    unlearned = {name: p.detach().clone() for name, p in unlearning.model.named_parameters()}
    record = unlearning._train_step()
    reference = unlearning.references["retain"]
    assert before is None or not torch.equal(before, reference.hidden)
    teacher = tiny()
    teacher.load_state_dict(unlearned, strict=False)
    answers = algorithm.answer_outputs(teacher, unlearning.rows["retain"].batch([1, 4], PAD))
    torch.testing.assert_close(reference.logits(answers), answers.logits, rtol=1e-4, atol=1e-4)
    assert record["retain_loss"] > 1e-4 and record["forget_loss"] is None


def test_undo_rejects_teachers_that_are_more_than_their_terms():
    with pytest.raises(MethodError, match="teacher_method 'whp'"):
        prepared("undo", teacher_method="whp")


def test_scrub_alternates_and_ends_with_min_steps():
    _, records = run("scrub", max_steps=-1, num_train_epochs=3.0, max_step_epochs=2.0, per_device_train_batch_size=3)
    steps = [record for record in records if record["event"] == "step"]
    kinds = ["max" if record["retain_loss"] is None else "min" for record in steps]
    assert kinds == ["max", "min"] * 4 + ["min"] * 4
