"""Records every attempt of the page, a run and its report to reach another host.

python tests/no_network.py FOLDER     # FOLDER: where a small world is built; prints one JSON object

Every Python process, children included, gets a `sitecustomize` that records connections and name look-ups to other
machines. Where the system allows it, everything runs in a network namespace without a network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORDER = """
import os, socket
def _record(what):
    text = what[0] if isinstance(what, tuple) else what
    text = text.decode("latin-1") if isinstance(text, bytes) else str(text)
    here = ("", "None", "localhost", "0.0.0.0", "::", "::1", socket.gethostname())
    if text not in here and not text.startswith("127."):
        with open(os.environ["ATTEMPTS"], "a") as file:
            file.write(text + "\\n")
def _wrapped(call, place):
    def recorded(*args, **kwargs):
        if not (place and args[0].family == socket.AF_UNIX):
            _record(args[place] if len(args) > place else "")
        return call(*args, **kwargs)
    return recorded
class _Socket(socket.socket):
    connect = _wrapped(socket.socket.connect, 1)
    connect_ex = _wrapped(socket.socket.connect_ex, 1)
socket.socket = _Socket
socket.getaddrinfo = _wrapped(socket.getaddrinfo, 0)
socket.gethostbyname = _wrapped(socket.gethostbyname, 0)
"""


def watched(folder: Path) -> dict:
    """Runs this file without a network if the system allows it; {"attempts": [...], "isolated": bool, ...}."""
    recorder = folder / "recorder"
    recorder.mkdir(parents=True)
    (recorder / "sitecustomize.py").write_text(RECORDER)
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")  # only the code may hold it back
    environment = {name: value for name, value in os.environ.items() if name not in offline}
    environment |= {"PYTHONPATH": str(recorder), "ATTEMPTS": str(folder / "attempts"), "OMP_NUM_THREADS": "1",
                    "GRADIO_TEMP_DIR": str(folder / "gradio")}  # fmt: skip
    command = [sys.executable, str(Path(__file__)), str(folder)]
    isolated = bool(shutil.which("unshare") and shutil.which("ip")) and not subprocess.run(
        ["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True
    ).returncode  # fmt: skip
    if isolated:
        command = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    attempts = folder / "attempts"
    lines = attempts.read_text().splitlines() if attempts.exists() else []
    told = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"failed": done.stderr[-2000:]}
    return {"attempts": lines, "isolated": isolated, **told}


def _go(folder: Path) -> dict:
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import small_world

    import user_interface
    from results.page.desk import PROJECT, Desk
    from results.page.jobs import JobQueue

    user_interface.prepare_environment()
    world = small_world.build(folder / "world")
    (folder / "results").mkdir()
    queue = JobQueue(folder / "results", PROJECT).start()
    desk = Desk(queue, results_dir=folder / "results", models_dir=folder / "models", roots=[folder / "world"])
    app, address, _ = user_interface.launch(desk, wait=False)
    from gradio_client import Client

    client = Client(address, verbose=False, analytics_enabled=False)
    key = client.predict({"words": "ada lives in lund by the sea"}, str(world.target), "npo", "half",
                         {"max_steps": 2, "eval_rows": 4}, api_name="/unlearn")  # fmt: skip
    while not queue.get(key).over:
        time.sleep(0.2)
    job = queue.get(key)
    app.get_blocks().close()
    queue.close()
    report = subprocess.run([sys.executable, "analyze_results.py", job.folder], cwd=ROOT, capture_output=True)
    with contextlib.suppress(OSError):  # proves that the recorder works
        socket.getaddrinfo("recorder.invalid", 80)
    return {"run": job.exit_code, "report": report.returncode, "message": job.message}


if __name__ == "__main__":
    print(json.dumps(_go(Path(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
