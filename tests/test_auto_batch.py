"""--auto_batch: when memory runs out, a step continues in smaller pieces with the same effective batch."""

import json
import random
import signal

import forked_runs
import pytest
import tiny_models
from random_loops import FAST, PAD, rows_for
from random_models import tiny

import unlearning_algorithm as algorithm
from models.forward import packing


def records(limit: int | None, error=MemoryError, method: str = "npo", model=None, **settings):
    """(records, run) of a short run in which a forward pass of more than `limit` tokens runs out of memory."""
    model = model or tiny()
    run = algorithm.Unlearning(model, rows_for(algorithm.METHODS[method]), method,
                               {**FAST, "max_steps": 4, "per_device_train_batch_size": 4, **settings},
                               pad_token_id=PAD)  # fmt: skip
    run.prepare()

    def crowded(_module, _args, kwargs):
        if limit and model.training and kwargs["input_ids"].numel() > limit:
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    hook = model.register_forward_pre_hook(crowded, with_kwargs=True)
    try:
        return list(run.steps()), run
    finally:
        hook.remove()
        run.close()


def losses(seen) -> list[float]:
    return [record["loss"] for record in seen if record["event"] == "step"]


def largest_pass(method: str, monkeypatch) -> int:
    """Tokens of the run's largest packed forward pass without --auto_batch."""
    sizes, lay_out = [], packing.lay_out

    def counted(rows):
        layout = lay_out(rows)
        sizes.append(len(layout.ids))
        return layout

    with monkeypatch.context() as patch:
        patch.setattr(packing, "lay_out", counted)
        records(None, method=method)
    return max(sizes)


@pytest.mark.hardening(45)
@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
@pytest.mark.parametrize("method", ["npo", "undial"])
@pytest.mark.parametrize("settings", [{}, {"gradient_surgery": True}])
def test_a_step_continues_in_smaller_pieces_with_the_same_losses(error, method, settings, monkeypatch):
    limit = largest_pass(method, monkeypatch) - 1
    whole, _ = records(None, method=method, **settings)
    limit //= 4 if settings else 2  # the terms apart make smaller passes
    pieces, run = records(limit, error, method=method, auto_batch=True, **settings)
    said = [record for record in pieces if record["event"] == "smaller_batch"]
    assert said and run.cut == 2 ** len(said) and said[-1]["rows_at_once"] < 4
    assert said[-1]["gradient_accumulation_steps"] == run.cut
    assert "effective batch stays the same" in said[0]["message"]
    assert losses(pieces) == pytest.approx(losses(whole), rel=1e-5)
    assert len(losses(pieces)) == 4


def test_without_the_flag_the_error_is_raised(monkeypatch):
    with pytest.raises(MemoryError):
        records(largest_pass("npo", monkeypatch) // 2)


def test_one_row_that_does_not_fit_is_an_error():
    with pytest.raises(MemoryError):
        records(1, auto_batch=True)


def test_other_errors_are_raised():
    model = tiny()

    def broken(module, _args):
        if module.training:
            raise RuntimeError("shapes differ")

    model.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        records(None, model=model, auto_batch=True)


@pytest.mark.hardening(45)
def test_a_run_finishes_under_a_real_memory_limit(small, tmp_path):
    """Without the flag this limit on the address space ends the run; with it a stopped run resumes too."""
    draw, words = random.Random(1), " ".join(example.answer for example in tiny_models.facts()).split()
    long = tmp_path / "long.jsonl"  # no two rows share a prefix, or packing would merge them
    rows = ({"question": f"{draw.choice(words)} ?", "answer": " ".join(draw.choices(words, k=200))} for _ in range(64))
    long.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    sizes = [f"--forget_data={long}", "--per_device_train_batch_size=64", "--max_length=250", "--max_steps=3"]
    limit = ("memory", "step 1", 40 * 2**20)
    strikes = [("no_figures",), limit]
    code, said = forked_runs.run(small.flags(tmp_path / "a", *sizes), tmp_path / "a.txt", strikes)
    assert code == 6 and "--auto_batch does both automatically" in said, said
    flags = [*sizes, "--auto_batch"]
    stop = ("signal", "step 2", int(signal.SIGTERM))
    code, said = forked_runs.run(small.flags(tmp_path / "b", *flags), tmp_path / "b.txt", [*strikes, stop])
    assert code == 143 and "the effective batch stays the same" in said, said
    code, said = forked_runs.run(
        small.flags(tmp_path / "b", *flags, "--resume_from_checkpoint=latest"), tmp_path / "c.txt", [("no_figures",)]
    )
    assert code == 0, said
    seen = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    assert len(losses(seen)) == 3 and [r for r in seen if r["event"] == "smaller_batch"]
