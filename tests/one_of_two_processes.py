"""A short run of the loop over accelerate's processes, written as JSON; test_distributed.py starts it by torchrun."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from accelerate import Accelerator  # noqa: E402
from random_loops import FAST, PAD, rows_for  # noqa: E402
from random_models import tiny  # noqa: E402

import unlearning_algorithm as algorithm  # noqa: E402


def told(method: str, accelerator=None) -> dict:
    """Losses of each step and the final weights' sums of a run with an effective batch of 4 forget rows."""
    torch.set_num_threads(1)
    world = accelerator.num_processes if accelerator else 1
    model, seen = tiny(), []
    rows = rows_for(algorithm.METHODS[method])
    settings = {**FAST, "max_steps": 3, "per_device_train_batch_size": 4 // world}
    run = algorithm.Unlearning(model, rows, method, settings, pad_token_id=PAD, accelerator=accelerator)
    run.prepare()
    micro_batches = run._micro_batches

    def watched(rows, indices):
        for part in micro_batches(rows, indices):
            seen.append(part.tolist())
            yield part

    run._micro_batches = watched
    losses = [record["loss"] for record in run.steps() if record["event"] == "step"]
    run.close()
    return {
        "losses": losses,
        "weights": [float(p.detach().double().square().sum()) for p in model.parameters()],
        "rows": seen,
        "processes": world,
    }


if __name__ == "__main__":
    accelerator = Accelerator(cpu=True)
    result = told(sys.argv[1], accelerator)
    Path(sys.argv[2], f"{accelerator.process_index}.json").write_text(json.dumps(result), encoding="utf-8")
    accelerator.wait_for_everyone()
    accelerator.free_memory()
    accelerator.end_training()
