"""The card of an unlearned model, in the Hugging Face hub's format: what was done, the results, the limits.

A card travels with its model, so it holds no forgotten content and no path of this machine.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path, PurePosixPath, PureWindowsPath

from data.exams import is_exam
from models.exporting import formats as exporting
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT
from models.verdict.words import WORDS, word_of
from results.report import sentences, words
from results.report.pages import markdown_escape, markdown_text
from results.report.runs import ROLES, SPLITS, Run, read_run
from results.report.verdict import gate_row
from results.report.words import apart, number, span

CARD_METRICS = (
    "accuracy", "answer_probability", "extraction_strength", "exact_memorization", "rouge_l_recall", "precision",
    "recall", "f1", "loss", "truth_ratio", "multiple_choice_accuracy",
)  # fmt: skip
PUT_TOGETHER = ("score", "forget_quality", "model_utility", "model_utility_target", "membership_auc",
                "membership_auc_retrained", "privacy_leakage", "robustness")  # fmt: skip
CONTENT_FLAGS = ("forget_text", "forget_about")  # settings that hold what is to be forgotten
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def write_cards(folder: Path, config: dict):
    """Writes README.md into every model folder that the finished run in `folder` has saved."""
    from unlearning_algorithm import METHODS

    run = read_run(folder)
    base, licence = origin(config["model_name_or_path"], PROJECT)
    target = Path(config["model_output_dir"])
    kinds = {target: config["use_peft"]}
    if config["use_peft"] and config["merge_adapter"]:
        kinds[target.with_name(f"{target.name}-merged")] = False
    for saved, adapter in kinds.items():
        described = dataclasses.replace(run, config={**run.config, "use_peft": adapter})
        card = model_card(described, METHODS[config["method"]], base, licence, exported(folder))
        (saved / "README.md").write_text(card, encoding="utf-8")
        beside = exporting.folder_of(config)
        if not adapter and beside.is_dir():
            (beside / "README.md").write_text(card, encoding="utf-8")


def exported(folder: Path) -> str:
    """A table of a run's exported files with what was measured on each; "" without any."""
    found = read_json_or_empty(folder / "evaluation.json").get("exports")
    rows = []
    files = found.items() if isinstance(found, dict) else ()
    for name, told in ((name, told) for name, told in files if told.get("sha256") or told.get("error")):
        forget, after = told.get("metrics", {}).get("forget", {}), told.get("comparison", {})
        numbers = [number(forget.get("answer_probability")), number(after.get("utility"))]
        state = after.get("verdict") or told.get("error") or "not measured"
        size = "–" if "bytes" not in told else f"{told['bytes']:,}"
        cells = [str(told.get("file") or name), size, *numbers, state, str(told.get("sha256") or "–")[:16]]
        rows.append("| " + " | ".join(map(markdown_text, cells)) + " |")
    if not rows:
        return ""
    head = ["| file | bytes | answer probability, forget set | utility left | verdict | SHA-256 |", "|---" * 6 + "|"]
    return (
        "\n".join([*head, *rows])
        + "\n\nA file with a verdict was read back and measured on the same rows: rounding changes a model."
    )


def front_matter(text: str) -> dict[str, str]:
    """The plain `key: value` lines of a card's front matter; {} without one."""
    found = re.match(r"---\n(.*?)\n---(\n|$)", text, re.DOTALL)
    pairs = re.findall(r"^([\w-]+):[ \t]*(\S.*?)[ \t]*$", found[1], re.MULTILINE) if found else []
    return {key: value.strip("\"'") for key, value in pairs}


def origin(model_name_or_path: str, project: Path) -> tuple[str | None, str | None]:
    """(hub name of the base model, its licence); each is None if no local file names it.

    Follows adapters and cards from folder to folder.
    """
    name, licence = str(model_name_or_path), None
    for _ in range(5):
        folder = next((path for path in (Path(name), project / name) if path.is_dir()), None)
        if folder is None:
            if not HUB_NAME.fullmatch(name):
                return None, licence
            copies = [project / place / name.rsplit("/", 1)[-1] for place in ("models/saved", "models")]
            cards = [front_matter(_text(copy / "README.md")) for copy in copies]
            known = [card.get("license") for card in cards if card.get("base_model") == name]
            return name, licence or next(iter(known), None)
        facts = front_matter(_text(folder / "README.md"))
        licence = licence or facts.get("license")
        try:
            parent = json.loads(_text(folder / "adapter_config.json") or "{}").get("base_model_name_or_path")
        except (ValueError, AttributeError):
            parent = None
        name = str(parent or facts.get("base_model") or "")
        if not name:
            return None, licence
    return None, licence


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def portable_command(command) -> str:
    """A run's command without the text to forget and with absolute paths cut to their last part."""
    shown = []
    for word in map(str, command):
        flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if flag.lstrip("-") in CONTENT_FLAGS:
            value = "(the text to forget)"
        else:
            value = ",".join(map(_portable, value.split(",")))
        shown.append(f"{flag}{equals}{value}")
    return shlex.join(shown)


def _portable(path: str) -> str:
    if path.startswith("~") or any(kind(path).is_absolute() for kind in (PurePosixPath, PureWindowsPath)):
        return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
    return path


def model_card(run: Run, method, base: str | None, licence: str | None, files: str = "") -> str:
    """The card in Markdown.

    method: a row of METHODS. base, licence: see `origin`. files: see `exported`.
    """
    adapter = bool(run.config.get("use_peft"))
    parts = [
        _front_matter(method.name, base, licence, adapter),
        f"# {markdown_escape(run.name)}",
        _what_was_done(run, method, base),
        "## Verdict",
        _verdict(run),
        "## Before and after" + (", compared with a model that never saw the forget set" * ("retrained" in run.models)),
        _table(run),
        _put_together(run),
        *(["## Exported files", files] if files else []),
        "## Limits",
        _limits(run, method),
        "## How to load it",
        _loading(adapter),
    ]
    command = run.config.get("command")
    if isinstance(command, list) and command:
        parts += ["## How to repeat it", f"```\n{portable_command(command)}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(method: str, base: str | None, licence: str | None, adapter: bool) -> str:
    lines = [f"license: {licence}"] if licence else []
    if base:
        lines += [f"base_model: {base}", f"base_model_relation: {'adapter' if adapter else 'finetune'}"]
    lines += [f"library_name: {'peft' if adapter else 'transformers'}", "pipeline_tag: text-generation", "tags:"]
    lines += [f"- {tag}" for tag in ("unlearning", "machine-unlearning", method.replace("_", "-"))]
    return "\n".join(["---", *lines, "---"])


def _what_was_done(run: Run, method, base: str | None) -> str:
    target = PurePosixPath(str(run.config.get("model_name_or_path", "a model")).replace("\\", "/")).name
    text = f"This model is `{target}`" + (f" (from `{base}`)" if base and base.rsplit("/", 1)[-1] != target else "")
    text += f" after unlearning a set of rows with `{method.name}` ({markdown_escape(method.paper)}): {method.summary}"
    return f"{text} Seed {run.config.get('seed')}.\n\nThe rows are not in this card, and no hash of them."


def _verdict(run: Run) -> str:
    """The three words and the gates behind them. Sentences that may name a person of the forget set stay out."""
    if not run.words:
        return f"**No verdict.** {markdown_escape(sentences.headline(run))}"
    lines = [f"**{markdown_escape(words.label(run))}**"]
    if words.certified(run):
        gates = [gate for part in run.evidence.values() for gate in part.gates]
        lines.append(f"**{sentences.signed([gate.word for gate in gates])}**")
    told = (WORDS[part][word_of(word)] for part, word in run.words.items())
    lines.append("\n".join(f"- {word.headline}: {word.plain}" for word in told))
    rows = [row for part in run.evidence.values() for row in map(gate_row, part.gates)]
    if rows:
        head = ["| gate | value | interval | asked for | models that never saw it | word |", "|---" * 6 + "|"]
        lines.append("\n".join([*head, *("| " + " | ".join(map(markdown_text, row)) + " |" for row in rows)]))
    for title, found in (("Of what was to be forgotten", sentences.forgotten(run)),
                         ("Of what was to be kept", sentences.kept(run))):  # fmt: skip
        lines.append(f"{title}:\n\n" + "\n".join(f"- {markdown_escape(text)}" for text in found))
    return "\n\n".join(lines)


def _table(run: Run) -> str:
    models = [name for name in ROLES if name in run.models]
    lines = [
        "| set | metric | " + " | ".join(ROLES[name] for name in models) + " |",
        "|---|---|" + "---|" * len(models),
    ]
    for split in (*SPLITS, *filter(is_exam, run.models.get("unlearned", {}))):
        for metric in CARD_METRICS:
            cells = []
            for name in models:
                value, interval = run.value(name, split, metric), run.interval(name, split, metric)
                ends = span(*interval, value) if interval and value is not None else ""
                cells.append(f"{apart(value, *interval)[0]} {ends}" if ends else number(value))
            if any(run.value(name, split, metric) is not None for name in models):
                lines.append(f"| {split} | {metric} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\nIn brackets: 95 % intervals."


def _put_together(run: Run) -> str:
    found = [(name, run.comparison.get(name)) for name in PUT_TOGETHER]
    lines = []
    for name, value in found:
        if isinstance(value, float):
            text, shows, _ = words.COMPARISON_DOCS[words.comparison_key(name)]
            whose = next((f" of the {model}" for model in ("target", "retrained") if name.endswith(f"_{model}")), "")
            lines.append(f"- {text}{whose}: {number(value)} ({markdown_escape(shows.rstrip('.'))})")
    return "\n".join(lines)


def _limits(run: Run, method) -> str:
    found = sentences.remarks(run)
    if "retrained" not in run.models:
        found.append("No retrained model was given. Only a model trained without the forget set shows what "
                     '"never seen" looks like, so nothing is certified.')  # fmt: skip
    found.append(f"A known failure of this method: {method.known_failure}.")
    found.append("A model that answers as if it had never seen the rows may still hold them in its weights; no test "
                 "proves absence.")  # fmt: skip
    return "\n".join(f"- {markdown_escape(text)}" for text in found)


def _loading(adapter: bool) -> str:
    package, auto = ("peft", "AutoPeftModelForCausalLM") if adapter else ("transformers", "AutoModelForCausalLM")
    imports = [f"from {package} import {auto}", "from transformers import AutoTokenizer"]
    if not adapter:
        imports = [f"from transformers import {auto}, AutoTokenizer"]
    tokenizer = "the base model's folder or name" if adapter else "this folder"
    return "\n".join([
        "```python", *imports, "", f'model = {auto}.from_pretrained("this folder")',
        f'tokenizer = AutoTokenizer.from_pretrained("{tokenizer}")', "```",
    ])  # fmt: skip
