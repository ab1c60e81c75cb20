"""Two real processes over accelerate take the steps of one process and write one run."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import forked_runs
import numpy as np
import pytest
from one_of_two_processes import told
from safetensors.numpy import load_file

from unlearning_script import main

ROOT = Path(__file__).resolve().parents[1]
TOGETHER = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
QUICK = ("no_figures",)


@pytest.mark.hardening(70)
@pytest.mark.parametrize("method", ["npo", "undial"])
def test_two_processes_take_the_same_steps_as_one(method, tmp_path):
    script = Path(__file__).with_name("one_of_two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
               str(script), method, str(tmp_path)]  # fmt: skip
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert first["processes"] == second["processes"] == 2  # not one process twice
    alone = told(method)
    for each in (first, second):
        assert each["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert each["weights"] == pytest.approx(alone["weights"], rel=1e-5)
    assert not {tuple(part) for part in first["rows"]} & {tuple(part) for part in second["rows"]}


# -- the runner


def pair(small, folder, name, *more, strikes=((), ()), environment=None) -> list:
    """Two processes of one run, started as a launcher would, each with its `strikes`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    runs = []
    for rank in (0, 1):
        world = {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        flags = small.flags(folder / name, *more)
        output = folder / f"{name}-{rank}.txt"
        runs.append(
            forked_runs.start(flags, output, [QUICK, *strikes[rank]], {**TOGETHER, **world, **(environment or {})})
        )
    return runs


def ended(runs) -> list[int]:
    """Both exit codes."""
    return [run.wait(600) for run in runs]


def lines(run: Path, event: str) -> list[dict]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [record for record in records if record["event"] == event]


def read(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def close(first: Path, second: Path, tolerance: float) -> bool:
    """Whether two saved models have the same weights within a tolerance."""
    ones, others = (load_file(folder / "model.safetensors") for folder in (first, second))
    return ones.keys() == others.keys() and all(np.allclose(ones[k], others[k], atol=tolerance) for k in ones)


@pytest.mark.hardening(70)
@pytest.mark.parametrize("method", ["undial", "proxy_teacher"])
def test_two_processes_equal_one_process_with_batches_twice_as_large(small, tmp_path, method):
    """Compares losses, weights, report; undial caches the target's distribution, proxy_teacher trains a proxy."""
    sizes = ["--per_device_train_batch_size=2"], ["--per_device_train_batch_size=4"]
    runs = pair(small, tmp_path, "two", f"--method={method}", *sizes[0])
    assert main(small.flags(tmp_path / "one", f"--method={method}", *sizes[1])) == 0
    assert ended(runs) == [0, 0], [run.output for run in runs]
    two, one = tmp_path / "two", tmp_path / "one"
    assert read(two / "environment.json")["processes"] == 2 and read(one / "environment.json")["processes"] == 1
    for key in ("loss", "forget_loss", "retain_loss", "grad_norm"):
        alone = [record[key] for record in lines(one, "step")]
        assert [record[key] for record in lines(two, "step")] == pytest.approx(alone, rel=1e-5)
    for first, second in zip(lines(one, "evaluation"), lines(two, "evaluation"), strict=True):
        assert first["forget"] == pytest.approx(second["forget"], rel=1e-4)
    assert close(tmp_path / "one-model", tmp_path / "two-model", 2e-5)
    measured = [read(run / "evaluation.json")["models"] for run in (one, two)]
    assert measured[0]["target"] == measured[1]["target"]
    for split, numbers in measured[0]["unlearned"].items():
        assert measured[1]["unlearned"][split] == pytest.approx(numbers, abs=1e-3)
    assert (two / "report.html").exists() and read(two / "status.json")["state"] == "finished"
    assert "comparison" in runs[0].output and "processes = 2" in runs[0].output
    assert runs[1].output.strip() == ""  # the second process prints nothing


def test_torchrun_starts_the_script_as_it_is(small, tmp_path):
    flags = small.flags(tmp_path / "run", "--max_steps=2", "--per_device_train_batch_size=2", "--metrics=loss")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
               str(ROOT / "unlearning_script.py"), *flags]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, **TOGETHER}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert read(tmp_path / "run" / "environment.json")["processes"] == 2
    assert done.stdout.count("] evaluating target") == 1  # only one process prints
    assert read(tmp_path / "run" / "config.json")["command"][:3] == ["torchrun", "--nproc_per_node", "2"]


def test_processes_of_accelerates_launcher_are_counted(small, tmp_path):
    """On a CPU the launcher starts one process; the run counts its processes and says so."""
    flags = small.flags(tmp_path / "run", "--max_steps=2", "--metrics=loss")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2",
               "--mixed_precision", "no", str(ROOT / "unlearning_script.py"), *flags]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, **TOGETHER}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = read(tmp_path / "run" / "environment.json")["processes"]
    assert ("started ONE" in done.stdout) == (seen == 1)


def test_a_signal_to_one_process_stops_both_and_they_resume(small, tmp_path, capsys):
    flags = ["--per_device_train_batch_size=2"]
    whole = pair(small, tmp_path, "whole", *flags)
    assert ended(whole) == [0, 0], [run.output for run in whole]
    strikes = [(), [("signal", "step 3", int(signal.SIGTERM))]]
    stopped = pair(small, tmp_path, "run", *flags, strikes=strikes)
    assert ended(stopped) == [143, 143], [run.output for run in stopped]
    status = read(tmp_path / "run" / "status.json")
    assert status["state"] == "stopped" and (tmp_path / "run" / f"checkpoint-{status['step']}").is_dir()
    assert 3 <= status["step"] < 6 and "torchrun --nproc_per_node 2" in stopped[0].output
    assert main(small.flags(tmp_path / "run", *flags, "--resume_from_checkpoint=latest")) == 2
    assert "processes was 2, is 1" in capsys.readouterr().err
    resumed = pair(small, tmp_path, "run", *flags, "--resume_from_checkpoint=latest")
    assert ended(resumed) == [0, 0], [run.output for run in resumed]
    assert "resumed from" in resumed[0].output and close(tmp_path / "whole-model", tmp_path / "run-model", 0)


@pytest.mark.parametrize(("rank", "place"), [(0, "preparing"), (0, "evaluating target"), (1, "loaded"), (1, "step 3")])
def test_an_error_of_one_process_ends_both_with_its_code(small, tmp_path, rank, place):
    strikes = [(), ()]
    strikes[rank] = [("no_memory", place)]
    runs = pair(small, tmp_path, "run", "--per_device_train_batch_size=2", strikes=strikes)
    assert ended(runs) == [6, 6], [run.output for run in runs]
    status = read(tmp_path / "run" / "status.json")
    assert status["state"] == "failed" and status["exit_code"] == 6 and "out of memory" in status["message"]
    assert runs[0].output.count("error: ") == 1 and "Traceback" not in runs[0].output + runs[1].output


# -- fully sharded


FSDP = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}


@pytest.mark.parametrize("method", ["undial", "profile_matching"])
def test_a_sharded_run_equals_a_run_of_one_process(small, tmp_path, method):
    """Covers a cached distribution, frozen embeddings and drawn levels; the saved model is whole."""
    import transformers

    shared = [f"--method={method}", "--live_answers=1", "--gradient_accumulation_steps=2"]
    runs = pair(small, tmp_path, "two", *shared, "--per_device_train_batch_size=1", environment=FSDP)
    assert main(small.flags(tmp_path / "one", *shared, "--per_device_train_batch_size=2")) == 0
    assert ended(runs) == [0, 0], [run.output for run in runs]
    two, one = tmp_path / "two", tmp_path / "one"
    for key in ("loss", "grad_norm"):
        alone = [record[key] for record in lines(one, "step")]
        assert [record[key] for record in lines(two, "step")] == pytest.approx(alone, rel=1e-5)
    assert close(tmp_path / "one-model", tmp_path / "two-model", 2e-5)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "two-model")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert "sharded" in runs[0].output


def test_a_stopped_sharded_run_resumes_to_the_same_weights(small, tmp_path):
    flags = ["--per_device_train_batch_size=2", "--save_steps=2"]
    whole = pair(small, tmp_path, "whole", *flags, environment=FSDP)
    assert ended(whole) == [0, 0], [run.output for run in whole]
    stop = [(), [("signal", "step 3", int(signal.SIGTERM))]]
    stopped = pair(small, tmp_path, "run", *flags, strikes=stop, environment=FSDP)
    assert ended(stopped) == [143, 143], [run.output for run in stopped]
    (kept,) = (tmp_path / "run").glob("checkpoint-*")
    sizes = [path.stat().st_size for path in sorted(kept.glob("state*.safetensors"))]
    assert len(sizes) == 2 and max(sizes) < 1.3 * min(sizes)  # each process saves its half
    resumed = pair(small, tmp_path, "run", *flags, "--resume_from_checkpoint=latest", environment=FSDP)
    assert ended(resumed) == [0, 0], [run.output for run in resumed]
    assert close(tmp_path / "whole-model", tmp_path / "run-model", 0)


REFUSED = {"undo": "several phases", "rmu": "a layer's output", "l2_sp": "a regulariser", "repselect": "its own update",
           "permu": "a pass over whole embeddings", "proxy_teacher": "a proxy"}  # fmt: skip


@pytest.mark.parametrize(("method", "named"), REFUSED.items())
def test_methods_that_do_not_run_sharded_are_refused_with_the_reason(method, named, monkeypatch):
    from types import SimpleNamespace

    from random_loops import rows_for
    from random_models import tiny

    import unlearning_algorithm as algorithm

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    others = SimpleNamespace(num_processes=2, process_index=0)
    with pytest.raises(ValueError, match=f"{method} with .*{named}") as refused:
        algorithm.Unlearning(tiny(), rows_for(algorithm.METHODS[method]), method, {"max_steps": 1}, accelerator=others)
    assert refused.value.exit_code == 2


def test_a_sharded_process_out_of_memory_ends_the_others(small, tmp_path):
    strikes = [(), [("no_memory", "step 3")]]
    runs = pair(small, tmp_path, "run", "--per_device_train_batch_size=2", strikes=strikes, environment=FSDP)
    codes = ended(runs)
    assert codes[1] == 6 and codes[0] != 0, [run.output for run in runs]


@pytest.mark.parametrize("environment", [{}, FSDP], ids=["data_parallel", "sharded"])
def test_two_processes_train_an_adapter(small, tmp_path, environment):
    from models.store import loading

    flags = ["--use_peft", "--lora_r=4", "--merge_adapter"]
    runs = pair(small, tmp_path, "two", *flags, "--per_device_train_batch_size=2", environment=environment)
    assert ended(runs) == [0, 0], [run.output for run in runs]
    assert loading.load_model(tmp_path / "two-model")[0].num_parameters() == loading.parameter_count(small.target)
    assert main(small.flags(tmp_path / "one", *flags, "--per_device_train_batch_size=4")) == 0
    alone = [record["loss"] for record in lines(tmp_path / "one", "step")]
    assert [record["loss"] for record in lines(tmp_path / "two", "step")] == pytest.approx(alone, rel=1e-5)
    assert close(tmp_path / "one-model-merged", tmp_path / "two-model-merged", 2e-5)
