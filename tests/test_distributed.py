"""Two real processes over accelerate: together they take the steps that one process takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from one_of_two_processes import told


@pytest.mark.hardening(70)
@pytest.mark.parametrize("method", ["npo", "undial"])
def test_two_processes_take_the_steps_of_one(method, tmp_path):
    script = Path(__file__).with_name("one_of_two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
               str(script), method, str(tmp_path)]  # fmt: skip
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert first["processes"] == second["processes"] == 2  # not one process twice
    alone = told(method)
    for each in (first, second):
        assert each["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        assert each["weights"] == pytest.approx(alone["weights"], rel=1e-5)
    assert not {tuple(part) for part in first["rows"]} & {tuple(part) for part in second["rows"]}
