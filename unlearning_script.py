"""Makes a language model forget: loads it, unlearns, saves, measures before and after, writes the report.

    python unlearning_script.py                                   # the default run: a model that knows some people
    python unlearning_script.py --method npo,simnpo               # several methods: one run each, one comparison
    python unlearning_script.py --model_name_or_path M --forget_data F --retain_data R --method npo
    python unlearning_script.py --forget_text "some text to forget"
    python unlearning_script.py --method auto --time_budget 30m   # searches method and settings first (needs optuna)

A value on the command line wins over one in --config FILE.yaml, which wins over the method's default. What a run
leaves in its folder is listed in README.md; `report.html` is written last, so its presence means "finished".
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import shlex
import shutil
import sys
from pathlib import Path

import analyze_results
import evaluation_metrics
import unlearning_algorithm as algorithm
from data import preparation
from models.forward.layers import decoder_layers, truncate_layers
from models.store import adapters, folders, loading, saving
from models.store.paths import PROJECT
from models.training import together
from results.report.runs import read_run
from results.run import continuing, measuring, model_card, processes, run_folder
from results.run.options import (  # noqa: F401 - the settings are offered here
    AUTO,
    OPTIONS,
    RETRAINED,
    TARGET,
    command_line,
    offered_methods,
    parse,
    read_config_file,
    resolve,
)
from results.run.run_folder import RunFolder, UsageError, say
from results.run.sets import EVALUATED, Sets, encode_sets, read_sets, sample_counterexamples, show_rows
from results.run.stopping import Stopped, StopSwitch, reporter

# ---------------------------------------------------------------------------------------------------------------------
# The story


def show_configuration(config: dict, given: dict):
    """Prints the resolved configuration; what was given is marked."""
    say("configuration (* given, the rest defaults):")
    for name, value in config.items():
        if value not in (None, "", False):
            say(f"  {'*' if name in given else ' '} {name} = {value}")


def live_answers(model, tokenizer, examples, count: int) -> list[dict]:
    """The model's present answers to the first forget prompts, for whoever watches."""
    chosen = list(examples)[:count]
    answers = evaluation_metrics.generate_answers(model, tokenizer, chosen, max_new_tokens=32)
    return [
        {"prompt": example.prompt, "gold": example.answer, "answer": answer} for example, answer in zip(chosen, answers)
    ]


def train(
    run: algorithm.Unlearning,
    tokenizer,
    sets: Sets,
    config: dict,
    folder: RunFolder,
    switch: StopSwitch,
    identity: dict,
) -> dict:
    """Drives the loop: records to metrics.jsonl, a progress bar with the time left, live answers."""
    from tqdm import tqdm

    outcome = {"best_step": None, "collapsed": False, "message": ""}
    folder.update(total_steps=run.total_steps, step=run.step)
    with tqdm(
        total=run.total_steps, initial=run.step, desc="unlearning", unit="step", file=sys.stdout, dynamic_ncols=True
    ) as bar:
        for record in run.steps():
            kind = record["event"]
            if kind == "step":
                bar.update(1)
                folder.update(step=record["step"])
                if record["step"] % config["logging_steps"] == 0:
                    folder.log(record)
            else:
                folder.log(record)
            if kind == "evaluation":
                bar.set_postfix_str(_probe_line(record))
                if config["live_answers"] and "forget" in sets.examples and (folder.writes or run.sharded):
                    answers = live_answers(run.model, tokenizer, sets.examples["forget"], config["live_answers"])
                    folder.log({"event": "answers", "step": record["step"], "answers": answers})
            elif kind == "smaller_batch":
                bar.write(record["message"])
            elif kind == "best":
                outcome["best_step"] = record["step"]
            elif kind in ("early_stop", "collapse"):
                outcome["collapsed"] = kind == "collapse"
                outcome["message"] = record["message"]
                bar.write(record["message"])
            if (
                kind == "step" and record["step"] % run.eval_steps and record["step"] != run.total_steps
            ) or kind == "evaluation":
                due = config["save_steps"] and record["step"] and record["step"] % config["save_steps"] == 0
                stop = switch.agreed()
                if due or stop:
                    saved = run_folder.save_checkpoint(run, folder, identity, config["save_total_limit"])
                if stop:
                    anew = ("--output_dir=", "--resume_from_checkpoint=")
                    again = [word for word in config["command"] if not word.startswith(anew)]
                    again = shlex.join([*again, f"--output_dir={folder.path}", "--resume_from_checkpoint=latest"])
                    raise Stopped(switch.number, f"state kept in {saved}; to go on: {again}")
    return outcome


def _probe_line(record: dict) -> str:
    seen = [f"{name} p={record[name]['answer_probability']:.3f}" for name in ("forget", "retain") if name in record]
    return ", ".join(seen)


def build_student(model, tokenizer, sets: Sets, config: dict, folder: RunFolder, switch: StopSwitch):
    """The smaller student and its teacher's cached answers: the target, unlearned first when asked, then cut down."""
    from models.training import weights

    layers = len(decoder_layers(model))
    if config["teacher_method"]:
        folder.stage("unlearning the teacher")
        defaults = algorithm.hyper_parameters(config["teacher_method"], model.num_parameters())
        teacher = algorithm.Unlearning(
            model,
            sets.encoded,
            config["teacher_method"],
            {**defaults, "seed": config["seed"]},
            pad_token_id=tokenizer.pad_token_id,
            accelerator=processes.team().whole,
        )
        teacher.prepare()
        for _ in teacher.steps():
            if switch.agreed():
                switch.check()
        teacher.close()
    with weights.computing_in(model, weights.compute_dtype(config["dtype"], model.device)):
        pad, accelerator = tokenizer.pad_token_id, processes.team().accelerator
        references = {"retain": algorithm.cache_reference(model, sets.encoded["retain"], pad, distribution=True,
                                                          accelerator=accelerator)}  # fmt: skip
        if "earlier" in sets.encoded:  # what the teacher has forgotten, not what a student has yet to learn
            references["earlier"] = algorithm.cache_reference(
                model, sets.encoded["earlier"], pad, accelerator=accelerator
            )
    count = config["student_layers"] or max(1, layers // 2)
    if count > layers:
        raise UsageError(f"--student_layers {count}: the teacher has {layers}")
    keep = [round(i * (layers - 1) / max(1, count - 1)) for i in range(count)]
    return truncate_layers(model, keep), references


def print_table(report: dict):
    """The before/after table, per split and metric."""
    models = [name for name in ("target", "unlearned", "retrained") if name in report["models"]]
    for split in EVALUATED:
        rows = {name: report["models"][name].get(split, {}) for name in models}
        if not rows["target"]:
            continue
        say(f"\n{split:32}" + "".join(f"{name:>12}" for name in models))
        for metric in rows["target"]:
            cells = [rows[name].get(metric) for name in models]
            say(f"  {metric:30}" + "".join(f"{'-' if cell is None else f'{cell:.3f}':>12}" for cell in cells))
    say("\ncomparison")
    for name, value in report["comparison"].items():
        if isinstance(value, (int, float, str)):
            say(f"  {name:30}{value if isinstance(value, str) else f'{value:12.4g}'}")


def write_cards(folder: Path, config: dict, data_hashes: dict):
    """The card of every model folder this run has saved, from what it measured."""
    run = read_run(folder)
    base, licence = model_card.origin(config["model_name_or_path"], PROJECT)
    target = Path(config["model_output_dir"])
    for saved in (target, target.with_name(f"{target.name}-merged")):
        if saved == target or (config["use_peft"] and config["merge_adapter"]):
            kind = {**run.config, "use_peft": config["use_peft"] and saved == target}
            card = model_card.model_card(
                dataclasses.replace(run, config=kind), algorithm.METHODS[config["method"]], data_hashes, base, licence
            )
            (saved / "README.md").write_text(card, encoding="utf-8")


def run_unlearning(config: dict) -> Path:
    """One run from settings to report; returns the run folder.

    `config`: settings by flag name (see `OPTIONS`); what is missing gets its default. Raises `UsageError` (2),
    `DataError` (3), `ModelError` (4), `Diverged` (5), `RunFolderError` (6, 7), `Stopped` (130, 143).
    """
    given = {name: value for name, value in config.items() if value is not None}
    config = processes.team().from_main(lambda: resolve(given))
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
        processes.team().tell(error)  # the other processes end with this one
        raise error
    finally:
        folder.release()
    return folder.path


def _searched(config: dict, given: dict, folder: RunFolder, switch: StopSwitch) -> tuple[dict, dict]:
    """(what to give, the whole configuration) of the run that --method auto has found best."""
    from results.search import loop as search

    if processes.launched() > 1:
        raise UsageError("--method auto searches in one process; its winner's command runs in several")
    given = search.choose(config, given, folder, switch, read_sets, encode_sets)
    config = resolve({**given, **{name: config[name] for name in ("output_dir", "model_output_dir")}})
    config["command"] = command_line({name: value for name, value in given.items() if name != "resume_from_checkpoint"})
    folder.write_json("config.json", config)
    return given, config


def _run(config: dict, given: dict, folder: RunFolder, switch: StopSwitch):
    import torch

    from models.training import weights

    us = processes.team()
    weights.keep_freed_memory()
    folder.stage("preparing")  # the first status is written here: whatever fails from now on leaves its message
    progress = reporter(folder, switch)
    show_configuration(config, given)
    if us.count > 1:
        say(f"  processes = {us.count}" + (", weights sharded (FSDP)" if us.layout != us.count else ", data parallel"))
    continuing.check_ledger(config)
    sets = read_sets(config)
    hashes = {split: preparation.data_hash(rows) for split, rows in sets.examples.items()}

    folder.stage("loading")
    loading.hash_meanwhile(config["model_name_or_path"], config["retrained_model"], progress=say)
    tokenizer = loading.load_tokenizer(config["model_name_or_path"], progress=say)
    if config["retrained_model"]:
        evaluation_metrics.refuse_target_as_retrained(config["model_name_or_path"], config["retrained_model"])
    encode_sets(sets, tokenizer, config)
    for note in sets.notes:
        say(f"note: {note}")
    show_rows(sets, tokenizer)
    if config["use_peft"]:
        adapters.check_lora_modules(loading.weights_folder(config["model_name_or_path"]), config["lora_target_modules"])
    model_hash = loading.model_hash(config["model_name_or_path"])
    continuing.check_model(config, model_hash)
    identity = run_folder.identity_of(config, hashes, model_hash, us.layout)
    checkpoint = us.from_main(lambda: run_folder.find_checkpoint(config, identity, folder))
    dtype = weights.compute_dtype(config["dtype"], us.device)
    results = us.by_main(lambda: measuring.Measured(config, sets, tokenizer, dtype, progress))
    us.by_main(lambda: results.glance_at_retrained(folder))
    switch.check()
    folder.stage("loading")
    model = us.placed(measuring.load_target(config, dtype, tokenizer))
    us.by_main(lambda: results.check_retrained(model))
    folder.write_json(
        "environment.json", run_folder.environment(hashes, model_hash, str(model.device), processes=us.count)
    )
    switch.check()
    folder.stage("unlearning")
    with weights.computing_in(model, dtype):
        sample_counterexamples(sets, tokenizer, config, model)
    references = None
    if algorithm.METHODS[config["method"]].student:
        model, references = build_student(model, tokenizer, sets, config, folder, switch)
    if config["use_peft"]:
        torch.manual_seed(config["seed"])  # the adapter begins with random matrices: the same ones in every process
        model = adapters.add_lora(model, r=config["lora_r"], alpha=config["lora_alpha"], dropout=config["lora_dropout"],
                                 target_modules=config["lora_target_modules"])  # fmt: skip
    run = algorithm.Unlearning(
        model, sets.encoded, config["method"], config, pad_token_id=tokenizer.pad_token_id,
        accelerator=us.accelerator, references=references,
    )  # fmt: skip
    run.prepare()
    if checkpoint:
        run_folder.resume(run, checkpoint, folder)
    outcome = train(run, tokenizer, sets, config, folder, switch, identity)

    folder.stage("saving")  # before it is measured: what took minutes to train is not to be lost to a slip afterwards
    run.close()
    trained = [run.model]
    run = model = None  # one model at a time is measured, and lies in memory
    us.by_main(lambda: _conclude(trained, tokenizer, sets, config, folder, switch, hashes, results, outcome))


def _conclude(trained, tokenizer, sets, config, folder, switch, hashes, results, outcome):
    """From the trained model, the only item of `trained`, to the report: saves, measures, writes."""
    model = trained.pop()
    saved = save(model, tokenizer, config, results.dtype)
    switch.kept = f"the unlearned model is in {saved}; it was not measured"
    folder.stage("evaluating unlearned")
    results.measure("unlearned", model)
    del model
    for role in results.unchanged:
        folder.stage(f"evaluating {role}")
        results.measure(role)
    switch.check()
    evaluations, attacked = results.evaluations, results.attacked
    report = evaluation_metrics.evaluation_json(evaluations, {name: value for name, value in attacked.items() if value})
    report["notes"].update({f"data_{number}": note for number, note in enumerate(sets.notes, 1)})
    report["earlier"] = sets.earlier.retested(report)
    folder.write_json("evaluation.json", report)
    evaluation_metrics.write_examples(folder.path / "examples.jsonl", sets.measured, evaluations)
    write_cards(folder.path, config, hashes)
    for old in (*run_folder.checkpoints(folder.path), *run_folder.kept_trials(folder.path)):
        shutil.rmtree(old, ignore_errors=True)
    folder.stage("reporting")
    state = "collapsed" if outcome["collapsed"] else "finished"
    continuing.record(config, hashes, sets, saved, report, state, folder)
    folder.stage("done")
    folder.write_timing()
    folder.update(state=state, exit_code=0, **{k: outcome[k] for k in ("best_step", "message")})
    path = analyze_results.write_report(folder.path)
    print_table(report)
    say(f"\nmodel: {config['model_output_dir']}\nreport: {path}")


def save(model, tokenizer, config: dict, dtype) -> Path:
    """The unlearned model (with --use_peft the adapter, and the merged model on request) under model_output_dir."""
    target, card = config["model_output_dir"], "Measured next; the card follows.\n"
    if not config["use_peft"]:
        return saving.save_model(model, tokenizer, target, card)
    # in the type it was computed and is measured in: half the size, the same answers
    saved = saving.save_adapter(model, target, config["model_name_or_path"], card, str(dtype).removeprefix("torch."))
    if config["merge_adapter"]:
        saving.save_model(copy.deepcopy(model).merge_and_unload(), tokenizer, f"{target}-merged", card)
    return saved


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
    """One set of settings per method; several get a folder each below output_dir."""
    methods = [
        name.strip() for name in str(settings.get("method", OPTIONS["method"].default)).split(",") if name.strip()
    ]
    if methods == ["all"]:
        methods = [name for name in algorithm.METHODS if name != "retrain"]  # that one builds the yardstick
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
            stream.reconfigure(errors="backslashreplace")  # no character of the data shall end a run in a narrow locale
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


def planned(config: dict) -> str:
    """What a run with these settings needs: from its data and the model's config.json, nothing fetched or loaded."""
    from results.run import planning

    planning.check_data(config)
    found = planning.plan.local_config(config["model_name_or_path"])
    sets = read_sets(config)
    folder = planning.plan.local_folder(config["model_name_or_path"])
    try:
        tokenizer = loading.load_tokenizer(folder or "")
        encode_sets(sets, tokenizer, {**config, "method": planning.planned_method(config)})
    except folders.ModelError:
        planning.encode_roughly(sets)
    us = processes.launched(), processes.sharded()
    return planning.report(config, found, sets.encoded, sets.notes, *us)


def _command(argv: list[str]):
    flags = vars(parse(argv, __doc__))
    flags.pop("debug", None)
    if flags.pop("list_methods", False):
        say(list_methods())
        return
    config_file, plan = flags.pop("config", None), flags.pop("plan", False)
    runs = _runs({**(read_config_file(config_file) if config_file else {}), **flags})
    for settings in runs:  # every configuration is checked before the first model is loaded
        resolve(settings)
    if plan and processes.speaks():
        say("\n\n".join(planned(resolve(settings)) for settings in runs))
    if plan:
        return
    if warning := processes.missing():
        say(f"note: {warning}")
    folders = [run_unlearning(settings) for settings in runs]
    if len(folders) > 1:
        compare = analyze_results.compare_runs
        path = processes.team().by_main(lambda: compare(folders, folders[0].parent / "comparison"))
        say(f"comparison: {path}")


if __name__ == "__main__":
    sys.exit(main())
