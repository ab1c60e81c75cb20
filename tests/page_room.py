"""What tests of the page share: a runner without work, a queue and a desk around it, a form."""

import dataclasses
import json
import time
from types import SimpleNamespace

import pytest

import user_interface
from models.scores import kept
from results.page.desk import Desk
from results.page.jobs import Job, JobQueue
from results.run.options import read_config_file

# a runner without work: writes the real one's files, obeys SIGTERM, fails or waits on request
SCRIPT = """
import json, os, signal, sys, time, yaml
words = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
if "config" in words:  # what is to be forgotten comes in a file
    words |= yaml.safe_load(open(words["config"]))
folder = words["output_dir"]
os.makedirs(folder, exist_ok=True)
def status(**values):
    values = {"stage": "unlearning", "pid": os.getpid(), "started": time.time(), "updated": time.time(), **values}
    open(folder + "/status.tmp", "w").write(json.dumps(values))
    os.replace(folder + "/status.tmp", folder + "/status.json")
def leave(*_):
    status(state="stopped", message="stopped by SIGTERM", exit_code=143); os._exit(143)
signal.signal(signal.SIGTERM, leave)
json.dump(sys.argv[1:], open(folder + "/argv.json", "w"))
open(folder + "/../order.txt", "a").write(f"{os.path.basename(folder)} {time.time()} ")
status(state="running", step=1, total_steps=4)
if "request_only" in words:  # what the model says about a name
    os.makedirs(folder + "/request", exist_ok=True)
    known = words["forget_about"] != "Nobody Known"
    record = {"kind": "name", "subjects": [words["forget_about"]], "nothing_known": not known,
              "notes": ["the last 40 samples brought 1 new statement"] if known else [], "questions": ["Who is it?"]}
    rows = [("Where does she live?", "In Lund.", 0.9, "forget"), ("What does she eat?", "Figs.", 0.2, "keep")]
    with open(folder + "/request/statements.jsonl", "w") as file:
        for question, answer, certainty, decision in rows:  # of an unknown name too, and none of them chosen
            decision, contrast = (decision, 2.5) if known and decision == "forget" else ("keep", 1.5)
            file.write(json.dumps({"question": question, "answer": answer, "subject": words["forget_about"],
                                   "certainty": certainty, "contrast": contrast, "decision": decision}) + "\\n")
    open(folder + "/request/request.json", "w").write(json.dumps(record))
print("started", flush=True)
time.sleep(float(words.get("wait", 0)))
code = int(words.get("fail", 0))
print("error: told to fail" if code else "done")
status(state="failed" if code else "finished", message="told to fail" if code else "", exit_code=code)
open(folder + "/../order.txt", "a").write(f"{time.time()}\\n")
sys.exit(code)
"""

WRONG_PATHS = {
    "../..": "'..'",
    "models/../../etc": "'..'",
    "/etc/passwd": "outside",
    "~/.ssh": "'~'",
    "file:///etc/passwd": "web addresses",
    "https://example.org/model": "web addresses",
    "models/a\0b": "control characters",
    "x" * 5000: "5,000 characters",
    "data/nothing-here": "no such",
    "<script>window.__xss=1</script>": "outside",
    "$(touch marker)": "outside",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "EVALUATIONS", tmp_path / "results" / ".evaluations")  # Delete looks through them
    for name in ("unlearning_script.py", "evaluation_metrics.py"):
        (tmp_path / name).write_text(SCRIPT)
    (tmp_path / "results").mkdir()
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.fixture
def queue(project):
    queue = JobQueue(project / "results", project).start()
    yield queue
    for job in queue.jobs():
        queue.stop(job.id)
    wait_for(lambda: all(job.over for job in queue.jobs()))
    queue.close()


@pytest.fixture
def desk(queue, project):
    return Desk(queue, results_dir=project / "results", models_dir=project / "models", roots=[project / "own"])


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def submit(queue, name, *flags, **more):
    folder = queue.project / "results" / name
    argv = ["python", "unlearning_script.py", f"--output_dir={folder}", *flags]
    return queue.submit("unlearn", name, argv, folder, **more)


def settings_of(job):
    """A job's settings: its flags, and those in its file of settings."""
    given = dict(word[2:].split("=", 1) for word in job.argv[2:])
    file = given.pop("config", None)
    return given | (read_config_file(file) if file else {})


def request_of(user=None):
    return SimpleNamespace(username=user)


def form(**values):
    """A form for the desk; one without `source` is what the page sends, see `results.page.forgetting`."""
    return {"source": "text", "text": "Secret words.", "method": "npo", **values}


def judged(*words, why=("Row 2 is still known.",), turn=None, **memory):
    """An evaluation.json with a verdict; `memory`: further evidence of memory, such as rows and persons."""
    parts = ("memory", "rest", "resistance")
    evidence = {part: {"word": word, "why": list(why), "turn": turn, "gates": []} for part, word in zip(parts, words)}
    evidence["memory"] |= memory
    comparison = {"verdict": ", ".join(words), **dict(zip(parts, words))}
    return {"models": {}, "comparison": comparison, "evidence": evidence}


def many_runs(project, count, evaluation='{"models": {"unlearned": {}}}'):
    """Finished runs with models, every second one a job of the page; to be made before the queue starts."""
    (project / "results" / ".queue").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        folder, model = project / "results" / f"run-{number}", project / "models" / f"run-{number}"
        folder.mkdir()
        model.mkdir(parents=True)
        config = {"method": "npo", "model_name_or_path": "org/name", "model_output_dir": str(model)}
        status = {"state": "finished", "started": number + 1.0, "updated": number + 61.0}
        for name, content in (
            ("config", json.dumps(config)),
            ("status", json.dumps(status)),
            ("evaluation", evaluation),
        ):
            (folder / f"{name}.json").write_text(content)
        (folder / "report.html").write_text("")
        if number % 2:
            job = Job(f"{number:016x}", number, "unlearn", folder.name, ["python", "unlearning_script.py"], str(folder),
                      str(model), submitted=number, started=number, ended=number + 60, state="finished")  # fmt: skip
            (project / "results" / ".queue" / f"{number:08d}.json").write_text(json.dumps(dataclasses.asdict(job)))


# -- the server


@pytest.fixture(scope="module")
def gradio_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradio")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False",
                            "HF_HUB_OFFLINE": "1"}.items():  # fmt: skip
            patch.setenv(name, value)
        user_interface.prepare_environment()
        yield folder


@pytest.fixture
def served(desk, gradio_folder):
    yield from serve(desk)


def serve(desk):
    gradio = pytest.importorskip("gradio")
    app, address, _ = user_interface.launch(desk, wait=False)
    yield address
    app.get_blocks().close()
    gradio.close_all(verbose=False)


def client_of(address, **options):
    from gradio_client import Client

    return Client(address, verbose=False, analytics_enabled=False, **options)
