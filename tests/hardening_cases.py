"""Bad input for the command line: its row in the hardening table, the input, the expected answer.

Each case is a function of the small world and an empty folder that returns the flags. `test_hardening.py` runs all of
them; `soak.py` counts those that end in a traceback.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

GOOD = '{"question": "Where?", "answer": "ada lives in lund"}'


@dataclass(frozen=True)
class Case:
    """An invalid start of the runner; `says` are words of the expected message."""

    row: int
    name: str
    flags: object
    code: int
    says: tuple[str, ...]


def data(row: int, name: str, content: str | bytes, *says: str, suffix: str = ".jsonl", code: int = 3) -> Case:
    """A forget file with this content."""

    def flags(world, folder):
        path = folder / f"bad{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return world.flags(folder / "run", f"--forget_data={path}", "--max_steps=2")

    return Case(row, name, flags, code, says)


def flag(row: int, name: str, *more: str, code: int = 2, says=(), without=()) -> Case:
    """Flags in place of the good ones."""
    return Case(row, name, lambda world, folder: world.flags(folder / "run", *more, without=without), code, says)


def yaml(row: int, name: str, text: str, *says: str, code: int = 2) -> Case:
    """A configuration file with this text."""

    def flags(world, folder):
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        named = [line.split(":")[0] for line in text.splitlines()]
        return world.flags(folder / "run", f"--config={folder / 'config.yaml'}", without=named)

    return Case(row, name, flags, code, says)


def model(row: int, name: str, change, *says: str, code: int = 4, without_manifest: bool = True) -> Case:
    """A copy of the good model, changed."""

    def flags(world, folder):
        path = folder / "model"
        shutil.copytree(world.target, path)
        if without_manifest:
            (path / "manifest.json").unlink()
        change(path)
        return world.flags(folder / "run", f"--model_name_or_path={path}")

    return Case(row, name, flags, code, says)


def config(**changes):
    """A change of config.json."""

    def change(path: Path):
        content = json.loads((path / "config.json").read_text(encoding="utf-8"))
        (path / "config.json").write_text(json.dumps({**content, **changes}), encoding="utf-8")

    return change


def weights(edit):
    """A change of the tensors."""

    def change(path: Path):
        tensors = load_file(path / "model.safetensors")
        edit(tensors)
        save_file(tensors, path / "model.safetensors", {"format": "pt"})

    return change


def bytes_of_weights(edit):
    """A change of the weight file's bytes."""

    def change(path: Path):
        file = path / "model.safetensors"
        file.write_bytes(edit(file.read_bytes()))

    return change


def pickle_only(path: Path):
    """Weights as a pickle that leaves a mark when it is opened."""
    (path / "model.safetensors").unlink()
    mark = f"cos\nsystem\n(S'touch {path}/opened'\ntR."
    (path / "pytorch_model.bin").write_bytes(mark.encode())


def no_tokenizer(path: Path):
    """Leaves the weights without a tokenizer."""
    for file in path.glob("tokenizer*"):
        file.unlink()


def no_template(path: Path):
    """Removes the chat template."""
    (path / "chat_template.jinja").unlink(missing_ok=True)
    file = path / "tokenizer_config.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content.pop("chat_template", None)
    file.write_text(json.dumps(content), encoding="utf-8")


def _in_place_of(what: str):
    """Output folders that cannot exist."""

    def flags(world, folder):
        (folder / "file").write_text("mine")
        (folder / "full").mkdir()
        (folder / "full" / "thesis.txt").write_text("mine")
        return world.flags(folder / "run", *{
            "a file": [f"--output_dir={folder / 'file'}"],
            "below a file": [f"--output_dir={folder / 'file' / 'run'}"],
            "model over a file": [f"--model_output_dir={folder / 'file'}"],
            "model over other files": [f"--model_output_dir={folder / 'full'}"],
            "model over the target": [f"--model_output_dir={world.target}", "--overwrite_output_dir=true"],
            "model around the target": [f"--model_output_dir={world.folder}", "--overwrite_output_dir=true"],
        }[what])  # fmt: skip

    return flags


def _same_data(world, folder):
    return world.flags(folder / "run", f"--retain_data={world.data['forget']}")


def _partly_same(world, folder):
    lines = world.data["retain"].read_text().splitlines()[:10] + world.data["forget"].read_text().splitlines()[:3]
    (folder / "retain.jsonl").write_text("\n".join(lines) + "\n")
    return world.flags(folder / "run", f"--retain_data={folder / 'retain.jsonl'}")


def _messages_without_template(world, folder):
    path = folder / "model"
    shutil.copytree(world.target, path)
    (path / "manifest.json").unlink()
    no_template(path)
    chat = {"messages": [{"role": "user", "content": "where ?"}, {"role": "assistant", "content": "in lund"}]}
    (folder / "chat.jsonl").write_text(json.dumps(chat))
    return world.flags(folder / "run", f"--model_name_or_path={path}", f"--forget_data={folder / 'chat.jsonl'}")


def _adapter_without_base(world, folder):
    path = folder / "adapter"
    path.mkdir()
    (path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "./gone"}))
    save_file(load_file(world.target / "model.safetensors"), path / "adapter_model.safetensors")
    return world.flags(folder / "run", f"--model_name_or_path={path}")


KERNEL = "attacker/kernel"
CASES = [
    data(1, "empty file", "", "bad.jsonl", "no rows"),
    data(2, "blank lines", "\n \n\n", "bad.jsonl", "no rows"),
    data(2, "white-space text", " \n\t\n", "no rows", suffix=".txt"),
    data(3, "empty answer, null question", '{"question": "q", "answer": ""}\n{"question": null, "answer": "a"}',
         "bad.jsonl:1: answer is empty", "bad.jsonl:2: question is null"),
    data(5, "malformed second line", f'{GOOD}\n{{"question": "q", "answer"\n{GOOD}', "bad.jsonl:2:", "col "),
    data(6, "trailing comma", f'{GOOD}\n{{"question": "q", "answer": "a",}}', "bad.jsonl:2:", "trailing comma"),
    data(6, "duplicate key", '{"question": "q", "answer": "a", "answer": "b"}', "bad.jsonl:1:", "duplicate key"),
    data(8, "binary", bytes(range(256)), "bad.jsonl:1:"),
    data(8, "UTF-16", GOOD.encode("utf-16"), "not UTF-8, byte offset 0"),
    data(8, "Latin-1", b'{"text": "caf\xe9"}', "not UTF-8, byte offset 13"),
    data(9, "wrong columns", '{"frage": "q", "antwort": "a"}', "found 'frage'", "accepted columns"),
    data(10, "mixed columns", f'{GOOD}\n{{"text": "t"}}', "bad.jsonl:2:"),
    data(10, "mixed types", f"{GOOD}\n[1]", "bad.jsonl:2:"),
    data(11, "NaN", '{"question": "q", "answer": NaN}', "NaN is not JSON"),
    data(11, "a list as text", '{"question": 5, "answer": ["a"]}', "answer is a list"),
    data(12, "NUL", '{"question": "q\\u0000", "answer": "a"}', "NUL"),
    data(12, "lone surrogate", '{"question": "q", "answer": "\\ud800"}', "lone surrogate"),
    data(14, "nested 5,000 deep", "[" * 5000, "nested too deeply"),
    Case(22, "forget equals retain", _same_data, 3, ("all 6 retain rows are also in the forget set",)),
    Case(23, "a quarter of retain is in forget", _partly_same, 3, ("3 of 13 retain rows", "--allow_overlap")),
    flag(24, "npo without retain rows", "--retain_data=none", says=("these methods need none", "gradient_ascent")),
    flag(27, "no such folder", "--model_name_or_path=./nowhere", code=4, says=("no such folder",)),
    flag(28, "hub name offline", "--model_name_or_path=some-org/some-model", code=4, says=("HF_HUB_OFFLINE",)),
    model(27, "a file for a folder", lambda path: (shutil.rmtree(path), path.write_text("x")), "is a file"),
    model(29, "truncated weights", bytes_of_weights(lambda b: b[:-9]), "model.safetensors"),
    model(29, "garbage for weights", bytes_of_weights(lambda b: b"garbage" * 99), "model.safetensors"),
    model(29, "empty weights", bytes_of_weights(lambda b: b""), "model.safetensors"),
    model(30, "a flipped bit in a saved model", bytes_of_weights(lambda b: b[:-1] + bytes([b[-1] ^ 1])), "SHA-256",
          without_manifest=False),
    model(31, "pickle alone", pickle_only, "pickle"),
    model(32, "remote code", config(auto_map={"AutoModelForCausalLM": "x.Y"}), "auto_map"),
    model(32, "a kernel repository", config(_attn_implementation=KERNEL), KERNEL),
    model(32, "unknown type", config(model_type="lama"), "lama"),
    model(32, "wrong types", config(hidden_size="sixteen"), "hidden_size"),
    model(32, "huge vocabulary", config(vocab_size=10**9), "vocab_size"),
    model(33, "another vocabulary", config(vocab_size=2000), "2000"),
    model(33, "a missing tensor", weights(lambda t: t.pop("model.norm.weight")), "model.norm.weight"),
    model(33, "a tensor too many", weights(lambda t: t.update(stray=t["model.norm.weight"].clone())), "stray"),
    Case(34, "messages without a template", _messages_without_template, 3, ("chat template",)),
    model(36, "no tokenizer", no_tokenizer, "no tokenizer"),
    model(37, "an encoder", config(model_type="bert", architectures=["BertModel"]), "not a causal LM"),
    flag(38, "LoRA modules that are not there", "--use_peft=true", "--lora_target_modules=query",
         says=("no query", "q_proj")),
    Case(39, "an adapter without its base", _adapter_without_base, 4, ("base model is missing",)),
    flag(40, "rate 1e30", "--learning_rate=1e30", code=5, says=("learning rate 1e+30",)),
    *(flag(40, f"rate {rate}", f"--learning_rate={rate}", says=("--learning_rate",))
      for rate in ("0", "-1", "nan", "abc")),
    yaml(40, "rate of words in YAML", "learning_rate: fast", "--learning_rate", "not float"),
    flag(43, "several bad numbers", "--per_device_train_batch_size=0", "--max_steps=0", "--num_train_epochs=-1",
         "--dropout=2", says=("per_device_train_batch_size", "max_steps 0", "num_train_epochs", "dropout")),
    flag(43, "no truth value, no whole number", "--use_peft=maybe", "--seed=1e400", "--lora_r=9" + "9" * 30,
         says=("--use_peft", "--seed", "--lora_r")),
    flag(44, "unknown flag", "--learning_rat=1", says=("did you mean learning_rate",)),
    yaml(44, "unknown key", "learning_rat: 1", "did you mean learning_rate"),
    yaml(44, "no table", "- a\n- b", "must be a table"),
    yaml(44, "no YAML", "a: [", "not YAML"),
    yaml(44, "YAML nested 5,000 deep", "a: " + "[" * 5000, "not YAML"),
    Case(46, "output folder is a file", _in_place_of("a file"), 6, ("--output_dir",)),
    Case(46, "output folder below a file", _in_place_of("below a file"), 6, ("--output_dir",)),
    Case(46, "model folder is a file", _in_place_of("model over a file"), 6, ("--model_output_dir",)),
    Case(46, "model folder holds other files", _in_place_of("model over other files"), 2, ("holds files already",)),
    Case(46, "model folder is the target", _in_place_of("model over the target"), 2, ("would write into",)),
    Case(46, "model folder is around the target", _in_place_of("model around the target"), 2, ("would write into",)),
    flag(53, "resume without a checkpoint", "--resume_from_checkpoint=latest", says=("no complete checkpoint",)),
    flag(55, "a path of 5,000 characters", "--forget_data=" + "x" * 5000, code=3, says=("too long",)),
    flag(55, "a model path of 900 characters", "--model_name_or_path=" + "x" * 900, code=4, says=("no such folder",)),
]  # fmt: skip
