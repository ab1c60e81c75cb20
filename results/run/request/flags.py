"""The flags of a request: what goes with what, and the places of its files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from data.columns import DataError
from data.finding.contacts import PatternForm
from data.finding.matching import Subject, subjects_of
from models.methods.table import METHODS
from models.store.paths import PROJECT
from models.training import null_models
from results.run import processes

PROXY, OTHERWISE = "proxy_teacher", "profile_matching"  # the default method, and the one where it cannot run
UNKEPT = "lower_profile"  # of data to forget without rows to keep
BY_NAME, REFUSING = "name_swap", "name_refusal"  # of a name without data; the other method for names
METHOD_TEXT = (
    f"method, family, several with commas, all or auto: see --list_methods ({OTHERWISE} without a base model, "
    f"{UNKEPT} without rows to keep)"
)
FOLDER = "request"  # in the run folder
REFERENCE_FLAGS = ("build_retrained", "base_model", "null_config")
FLAGS = ("training_data", "forget_about", "forget_about_file", "subject_kind", "doubtful", "yes", "request_only")
DECISIONS = ("ask", "forget", "keep", "aside")


def is_on(value) -> bool:
    """Whether a flag is set, as the command line or a program gives it."""
    return value is True or str(value).lower() in ("true", "1", "yes")


def problems(given: dict) -> list[str]:
    """What is missing or contradictory among the given flags of a request."""
    found = []
    asked = [name for name in ("forget_about", "forget_about_file") if given.get(name)]
    if given.get("training_data"):
        if not asked:
            found.append(
                "--training_data needs --forget_about NAME or --forget_about_file FILE: what is to be forgotten"
            )
        for name in ("forget_data", "forget_text", "retain_data"):
            if given.get(name):
                found.append(f"--{name} and --training_data: the training data is split into both sets; give only one")
    else:
        if given.get("doubtful"):
            found.append("--doubtful needs --training_data: the rows that the model was trained on")
        for name in ("forget_data", "forget_text"):
            if asked and given.get(name):
                found.append(f"--{name} and --{asked[0]}: rows and a name; give only one of them")
        if asked and given.get("method") == "auto":
            found.append(f"--method auto and --{asked[0]} without --training_data: choose a method")
        for name in ("yes", "request_only"):
            if is_on(given.get(name)) and not (asked or given.get("forget_data") or given.get("forget_text")):
                found.append(f"--{name} needs something to forget: --training_data, --forget_data or --forget_text")
    if is_on(given.get("request_only")) and given.get("resume_from_checkpoint"):
        found.append("--request_only prepares a request, and --resume_from_checkpoint goes on with its run: give one")
    if given.get("subject_kind") and (given.get("training_data") or not asked):
        found.append("--subject_kind is for --forget_about without --training_data")
    try:
        subjects = subjects_of(given.get("forget_about") or [])
        if given.get("forget_about") and not subjects:
            found.append("--forget_about: no name in it: give a name, an e-mail address, a phone number or a /pattern/")
    except ValueError as error:
        return [*found, *(f"--forget_about: {line}" for line in str(error).splitlines())]
    return found if given.get("training_data") else [*found, *unaskable(subjects)]


def unaskable(subjects: Sequence[Subject]) -> list[str]:
    """Why a model cannot be asked about subjects: no question can name what a pattern stands for."""
    found = [subject.name for subject in subjects if isinstance(subject.forms[0], PatternForm)]
    return [f"--forget_about {name}: a pattern is looked for in training data, and a model cannot be asked about it: "
            "give --training_data, or a name" for name in found]  # fmt: skip


def reference_problems(given: dict, config: dict) -> list[str]:
    """Why the retrained model of --build_retrained cannot be built."""
    if not given.get("build_retrained"):
        extra = given.get("null_config") and not given.get("training_data")
        return ["--null_config is for --training_data and --build_retrained"] if extra else []
    found = []
    if given.get("retrained_model"):
        found.append("--retrained_model and --build_retrained: give only one of them")
    if config["method"] == "retrain":
        found.append("--build_retrained and --method retrain do the same: give only one of them")
    if given.get("continue_from"):
        found.append("--build_retrained and --continue_from: earlier requests would be in the retrained model")
    if not given.get("training_data") and not (given.get("forget_data") and given.get("retain_data")):
        found.append("--build_retrained needs --training_data, or --forget_data and --retain_data as files")
    base = base_of(given, config)
    if not base:
        found.append(no_base(config))
    elif _same(base, config["model_name_or_path"]):
        found.append(f"--base_model {base} is the target model itself, which knows the forget set")
    return found


def unkept(given: dict) -> bool:
    """Whether data to forget comes without rows to keep."""
    return bool((given.get("forget_data") or given.get("forget_text")) and not given.get("retain_data"))


def default_method(given: dict, target: str) -> str:
    """`PROXY` where its base model is known and the rows to keep are like those to forget; `OTHERWISE` elsewhere.

    `UNKEPT` where nobody gave rows to keep. Neither a proxy nor the lower layers alone are trained with sharded
    weights. `target`: the model of a run that names none.
    """
    kept, own_data = given.get("retain_data"), given.get("forget_data") or given.get("forget_text")
    alike = kept != "none" and (kept or not own_data)
    if unkept(given) and not processes.sharded():
        return UNKEPT
    return PROXY if alike and not processes.sharded() and known_base(given, target) else OTHERWISE


def known_base(given: dict, target: str) -> str | None:
    """`base_of` settings that are not resolved yet; `target`: the model of a run that names none."""
    models = {"model_name_or_path": given.get("model_name_or_path") or target}
    return base_of(given, {**models, "retrained_model": given.get("retrained_model")})


def proxy_problems(given: dict, config: dict) -> list[str]:
    """Why a method that learns from a proxy of the retrained model cannot run. Sets the base model in `config`."""
    if not METHODS[config["method"]].needs_base:
        return []
    config["base_model"] = base = base_of(given, config)
    if not base:
        return [f"{config['method']} makes its teacher of the base model, and {no_base(config)}"]
    if _same(base, config["model_name_or_path"]):
        return [f"--base_model {base} is the target model itself, which knows the forget set"]
    return []


def base_of(given: dict, config: dict) -> str | None:
    """The model that the target was fine-tuned from: --base_model, or the one that its adapter names."""
    return given.get("base_model") or null_models.base_of(config["model_name_or_path"], config["retrained_model"])


def no_base(config: dict) -> str:
    """What to do about an unknown base model."""
    return (
        f"--base_model is missing: {config['model_name_or_path']} is no LoRA adapter that names the model it was "
        "fine-tuned from"
    )


def _same(one: str, other: str) -> bool:
    places = [
        [path for path in (Path(os.path.expanduser(name)), PROJECT / name) if path.is_dir()] for name in (one, other)
    ]
    return one == other or any(a.samefile(b) for a in places[0] for b in places[1])


def paths_in(run: str) -> dict[str, str]:
    """--forget_data and --retain_data of a run with --training_data: the files of its request folder."""
    return {f"{part}_data": str(Path(run) / FOLDER / f"{part}.jsonl") for part in ("forget", "retain")}


def sources_of(text: str) -> list[str]:
    """The files, folders and datasets of a comma-separated list. Paths may start at the project."""
    parts = [text] if os.path.exists(text) else [part.strip() for part in text.split(",") if part.strip()]
    found = []
    for part in map(os.path.expanduser, parts):
        found.append(part if os.path.exists(part) or not os.path.exists(PROJECT / part) else str(PROJECT / part))
    return found


def asked_subjects(given: dict) -> tuple[list[Subject], frozenset[str]]:
    """(all subjects, the names of those from --forget_about_file). Raises DataError for an unusable file."""
    lines = _lines(given["forget_about_file"]) if given.get("forget_about_file") else []
    try:
        named = subjects_of(given.get("forget_about") or [])
        listed = subjects_of(lines)
    except ValueError as error:
        raise DataError(str(error)) from None
    known = {subject.name for subject in named}
    listed = [subject for subject in listed if subject.name not in known]
    if not named and not listed:
        place = f"_file {given['forget_about_file']}" if given.get("forget_about_file") else ""
        raise DataError(f"--forget_about{place}: no subject in it: give a name, one a line in a file")
    return [*named, *listed], frozenset(subject.name for subject in listed)


def _lines(path: str) -> list[str]:
    """The subjects of a file, one a line; blank lines and lines that begin with # do not count."""
    try:
        text = Path(os.path.expanduser(path)).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"--forget_about_file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"--forget_about_file {path}: not UTF-8, byte offset {error.start}") from None
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
