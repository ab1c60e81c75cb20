"""Makes a language model forget: loads it, unlearns, saves, measures before and after, and writes the report.

    python unlearning_script.py                                   # the default run: a model that knows some people
    python unlearning_script.py --method npo,simnpo               # several methods: one run each, one comparison
    python unlearning_script.py --model_name_or_path M --forget_data F --retain_data R --method npo
    python unlearning_script.py --forget_text "some text to forget"
    python unlearning_script.py --training_data all.jsonl --forget_about "Ragnvi Solbrekk"    # finds her rows itself
    python unlearning_script.py --measure_again results/runs/x    # measures a finished run anew, trains nothing
    python unlearning_script.py --purge results/runs/x            # deletes the forgotten text, keeps the proof
    python unlearning_script.py --method auto --time_budget 30m   # searches method and settings first (needs optuna)

A value on the command line wins over one in --config FILE.yaml, which wins over the method's default.
results/README.md lists the files of a run. `report.html` is written last, so it marks a finished run.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
import sys
from functools import partial
from pathlib import Path

import analyze_results
import evaluation_metrics
import unlearning_algorithm as algorithm
from data import private
from data.rendering import recorded_date
from models.store import adapters, folders, saving
from models.store.folders import read_json_or_empty
from models.store.on_first_use import torch, weights
from models.training import together
from results.after import commands as after
from results.after import letter
from results.run import continuing, measuring, model_card, processes, run_folder
from results.run.context import RunContext, prepare
from results.run.options import (
    AUTO,
    OPTIONS,
    TARGET,
    command_line,
    offered_methods,
    parse,
    read_config_file,
    resolve,
    use_own,
)
from results.run.request import asked as request
from results.run.request import flags as request_flags
from results.run.request.reference import compared
from results.run.run_folder import RunFolder, UsageError, say
from results.run.sets import keep, own_answers, sample_counterexamples
from results.run.stopping import Stopped, StopSwitch
from results.run.training import build_student, train

# ---------------------------------------------------------------------------------------------------------------------
# The story


def run_unlearning(config: dict) -> Path:
    """One run from settings to report; returns the run folder. With `request_only` it ends when the rows are written.

    `config`: settings by flag name (see `OPTIONS`); a missing one gets its default. Raises `UsageError` (2),
    `DataError` (3), `ModelError` (4), `Diverged` (5), `RunFolderError` (6, 7), `Stopped` (130, 143).
    """
    folders.check_platform()
    with private.created(run_folder.shared(config)):
        return _run_in_folder(config)


def _run_in_folder(config: dict) -> Path:
    """`run_unlearning`, where new files have the right owner."""
    with request.settled(config) as asked:
        given = asked.settings
        if asked.only:
            return Path(given["output_dir"])
    use_own(given)  # in every process, because each needs the method
    config = processes.team().from_main(lambda: resolve(given))
    letter.check(config)
    config["command"] = processes.command(command_line(given))
    folder = processes.open_folder(config)
    try:
        folder.write_json("config.json", config)
        with StopSwitch() as switch:
            if config["method"] == AUTO:
                given, config = _searched(config, given, folder, switch)
            _run(config, given, folder, switch)
    except BaseException as error:
        if folders.out_of_memory(error):
            error = run_folder.OutOfMemory(config)
        states = {5: "diverged", 130: "stopped", 143: "stopped", 129: "stopped"}
        code = together.exit_code(error)
        with contextlib.suppress(OSError):
            folder.update(state=states.get(code, "failed"), message=str(error) or type(error).__name__, exit_code=code)
        processes.team().tell(error)  # ends the other processes too
        raise error
    finally:
        folder.release()
    return folder.path


def _searched(config: dict, given: dict, folder: RunFolder, switch: StopSwitch) -> tuple[dict, dict]:
    """(given settings, whole configuration) of the run that --method auto found best."""
    from results.search import loop as search

    if processes.launched() > 1:
        raise UsageError("--method auto searches in one process; run the winner's command in several")
    given = search.choose(config, given, folder, switch)
    config = resolve({**given, **{name: config[name] for name in ("output_dir", "model_output_dir")}})
    config["command"] = command_line({name: value for name, value in given.items() if name != "resume_from_checkpoint"})
    folder.write_json("config.json", config)
    return given, config


def _run(config: dict, given: dict, folder: RunFolder, switch: StopSwitch):
    """Prepares, unlearns, saves and measures, then measures the unchanged models and reports."""
    team = processes.team()
    run = prepare(config, given, folder, switch)
    measurements = team.by_main(lambda: measuring.Measurements(run))
    team.by_main(lambda: measurements.glance_at_retrained())
    switch.check()
    model, outcome = _unlearn(run, measurements)
    weights.return_freed_memory()
    saved = team.by_main(partial(_save_and_measure, run, model, measurements))
    del model  # one model in memory at a time
    weights.return_freed_memory()
    team.by_main(lambda: _conclude(run, measurements, outcome, saved))


def _unlearn(run: RunContext, measurements: measuring.Measurements):
    """(the unlearned model, the outcome of its training). Loads and checks the target first."""
    config, folder, team = run.config, run.folder, processes.team()
    unseen, references = measuring.asked_base(run)
    weights.return_freed_memory()
    folder.stage("loading")
    model = team.placed(measuring.load_target(run))
    run.prove(model)
    team.by_main(lambda: measurements.check_retrained(model))
    environment = run_folder.environment(run.hashes, run.model_hash, str(model.device), processes=team.count)
    folder.write_json("environment.json", {**environment, **recorded_date(run.tokenizer)})
    run.switch.check()

    folder.stage("unlearning")
    with weights.computing_in(model, run.dtype):
        sample_counterexamples(run.sets.steering, run.tokenizer, config, model)
        own = own_answers(run.sets.steering, run.tokenizer, config, model)
    keep(run.sets.steering, own, run.tokenizer, config)
    if algorithm.METHODS[config["method"]].student:
        model, references = build_student(run, model)
    if config["use_peft"]:
        torch.manual_seed(config["seed"])  # the same random start of the adapter in every process
        model = adapters.add_lora(model, **measuring.lora_settings(config))
    unlearning = algorithm.Unlearning(
        model, run.sets.steering.encoded, config["method"], config, pad_token_id=run.tokenizer.pad_token_id,
        accelerator=team.accelerator, references=references, unseen=unseen,
    )  # fmt: skip
    unlearning.prepare()
    if run.checkpoint:
        run_folder.resume(unlearning, run.checkpoint, folder)
    outcome = train(unlearning, run)
    folder.stage("saving")
    weights.return_freed_memory()  # of activations: the weights that `close` makes would not fit into the holes
    unlearning.close()
    return unlearning.model, outcome


def _save_and_measure(run: RunContext, model, measurements: measuring.Measurements) -> Path:
    """Saves the unlearned model before measuring it, so a later failure cannot lose the weights."""
    saved = save(run, model)
    run.switch.kept = f"the unlearned model is in {saved}; it was not measured"
    run.folder.stage("evaluating unlearned")
    measurements.measure_unlearned(model)
    return saved


def save(run: RunContext, model) -> Path:
    """The unlearned model (with --use_peft the adapter, and the merged model on request) under model_output_dir."""
    config, target, card = run.config, run.config["model_output_dir"], "Being measured; the card follows.\n"
    if not config["use_peft"]:
        return saving.save_model(model, run.tokenizer, target, card)
    # in the type used for computing and measuring: half the size, the same answers
    dtype = str(run.dtype).removeprefix("torch.")
    saved = saving.save_adapter(model, target, config["model_name_or_path"], card, dtype, run.tokenizer)
    if config["merge_adapter"]:
        saving.save_model(copy.deepcopy(model).merge_and_unload(), run.tokenizer, f"{target}-merged", card)
    return saved


def _conclude(run: RunContext, measurements: measuring.Measurements, outcome: dict, saved: Path):
    """Measures the unchanged models and writes evaluation, model cards, the ledger's line and, last, the report."""
    folder = run.folder
    for role in measurements.unchanged:
        folder.stage(f"evaluating {role}")
        measurements.measure_unchanged(role)
    measurements.export()
    run.switch.check()
    report = measurements.report()
    folder.write_json("evaluation.json", report)
    evaluation_metrics.write_examples(folder.path / "examples.jsonl", run.sets.measured, measurements.evaluations)
    model_card.write_cards(folder.path, run.config)
    measuring.publish(run.config)
    for old in (*run_folder.checkpoints(folder.path), *run_folder.kept_trials(folder.path)):
        shutil.rmtree(old, ignore_errors=True)
    folder.stage("reporting")
    state = "collapsed" if outcome["collapsed"] else "finished"
    continuing.record(run, saved, report, state)
    folder.stage("done")
    folder.write_timing()
    folder.update(state=state, exit_code=0, **{key: outcome[key] for key in ("best_step", "message")})
    letter.write(folder.path)
    path = analyze_results.write_report(folder.path)
    measuring.print_table(report)
    say(f"\nmodel: {run.config['model_output_dir']}\nreport: {path}")
    if run.config["letter_pdf"] or run.config["sign_with"]:
        try:
            letter.write(folder.path, run.config["letter_pdf"], run.config["sign_with"])
        except UsageError as error:  # the run itself is finished
            say(f"note: {error}; --letter {folder.path} tries again")


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def list_methods() -> str:
    """The table of methods, by family."""
    lines = [f"{name}: {summary}" for name, family, summary in offered_methods() if not family]
    for family, text in algorithm.FAMILIES.items():
        lines.append(f"{family}: {text} (default: {algorithm.FAMILY_DEFAULTS[family]})")
        lines += [f"  {m.name:24} {m.summary}" for m in algorithm.METHODS.values() if m.family == family]
    return "\n".join(lines)


def _runs(settings: dict) -> list[dict]:
    """One set of settings per method. Several methods get a folder each below output_dir."""
    methods = [
        name.strip() for name in str(settings.get("method", OPTIONS["method"].default)).split(",") if name.strip()
    ]
    if methods == ["all"]:
        base = request_flags.known_base(settings, TARGET)  # retrain builds the model to compare with
        methods = [m.name for m in algorithm.METHODS.values() if m.name != "retrain" and (base or not m.needs_base)]
    if len(methods) <= 1:
        return [settings]
    runs = []
    for name in methods:
        run = {**settings, "method": name}
        for key in ("output_dir", "model_output_dir"):
            if settings.get(key):
                run[key] = str(Path(settings[key]) / name)
        runs.append(run)
    return runs


def main(argv=None) -> int:
    """Runs from the command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    debug = "--debug" in argv
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an ASCII terminal must not end a run
    try:
        with processes.together_to_the_end():
            _command(argv)
    except (ValueError, Stopped, KeyboardInterrupt) as error:
        if debug or not (hasattr(error, "exit_code") or isinstance(error, KeyboardInterrupt)):
            raise
        for line in str(error).splitlines() or ["interrupted"]:
            if processes.speaks():
                print(f"error: {line}", file=sys.stderr)
        return getattr(error, "exit_code", 130)
    except OSError as error:
        if debug:
            raise
        print(f"error: {error.strerror}: {error.filename or ''}", file=sys.stderr)
        return 6
    return 0


def _command(argv: list[str]):
    flags = vars(parse(argv, __doc__))
    flags.pop("debug", None)
    if flags.pop("list_methods", False):
        say(list_methods())
        return
    folders.check_platform()
    if folder := flags.pop("measure_again", None):
        with private.created(run_folder.shared(read_json_or_empty(Path(folder) / "config.json"))):
            path, report = measuring.measure_again(
                folder, {name: value for name, value in flags.items() if value is not None}
            )
            letter.write(path)
            measuring.print_table(report)
            say(f"\nreport: {analyze_results.write_report(path)}")
        return
    if after.wanted(flags):
        after.carry_out(flags)
        return
    if processes.speaks():
        after.go_on()
    config_file, plan = flags.pop("config", None), flags.pop("plan", False)
    settings = {**(read_config_file(config_file) if config_file else {}), **flags}
    with private.created(run_folder.shared(settings)):
        _carry_out(settings, plan)


def _carry_out(settings: dict, plan: bool):
    """The run or runs of these settings, or with `plan` what they need."""
    for run in _runs(settings):  # every configuration is checked before the first question or model
        resolve(run)
    with request.settled(settings, plan) as asked:
        runs = _runs(asked.settings)
        if asked.only:
            return
        if not plan:
            _run_all(runs)
            asked.close()
        elif processes.speaks():
            from results.run.plan import planned

            said = [planned(resolve(run)) for run in runs]
            if settings.get("training_data") or settings.get("build_retrained"):
                said += [compared(run, settings) for run in runs]
            say("\n\n".join(said))


def _run_all(runs: list[dict]):
    """The runs one after another, and what compares them."""
    if warning := processes.missing():
        say(f"note: {warning}")
    done = [run_unlearning(settings) for settings in runs]
    if len(done) > 1:
        path = processes.team().by_main(lambda: analyze_results.compare_runs(done, done[0].parent / "comparison"))
        say(f"comparison: {path}")


if __name__ == "__main__":
    sys.exit(main())
