"""Metrics of unlearning: a model's knowledge of each set, the comparison with a retrained model, and the verdict.

    python evaluation_metrics.py --model_name_or_path M --forget_data F --retain_data R --output_dir D
    python evaluation_metrics.py --ledger results/ledger.jsonl --model_name_or_path M    # what came back?

A metric is a function of an example's teacher-forced and generation pass, plus one row in `METRICS`
(`models.scores.metric_table`). Its value on a set is the mean over examples. On the forget set, the goal is the
retrained model's value, not zero. A value that cannot be computed is None, with a note.

The code is in `models.scores`. This file is its public interface and its command line.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from data import exams, judging, private
from data.benchmarks import BENCHMARKS, read_muse, read_tofu
from data.columns import Example
from data.documents.request import document_request
from data.preparation import remove_overlap
from data.reading import read_examples
from data.rendering import fix_date
from data.wrong_answers import in_context
from models.attacks.relearning import harmless_text
from models.attacks.subject import budget_flags, budget_of, budget_problems  # noqa: F401
from models.attacks.table import ATTACKS, Budget, attack_names, run_attacks  # noqa: F401
from models.requests import recorded, retest
from models.scores import harness
from models.scores import own as own_metrics

# This file exports every statistic, so a new one needs no line here.
from models.scores.array_scores import *  # noqa: F403
from models.scores.benchmarks import add_privleak, muse_scores, tofu_scores, tofu_table  # noqa: F401
from models.scores.evaluating import (  # noqa: F401
    ModelEvaluation,
    add_base_loss,
    add_perplexity,
    base_losses,
    evaluate_model,
    generate_answers,
    scores,
)
from models.scores.facts import (  # noqa: F401
    common_words,
    content_words,
    fact_recall,
    rare_recall,
    rare_words,
    secret_recall,
    secrets,
    word_counts,
    words_said,
)
from models.scores.intervals import jackknife_interval, mean_interval, share_interval, standard_error  # noqa: F401
from models.scores.metric_table import METRICS, REDUCTIONS, Measured, Metric, known_names, metric_names  # noqa: F401
from models.scores.text_scores import *  # noqa: F403
from models.store import folders, own_code, paths
from models.training import null_models
from models.verdict.evaluation_files import MODELS, evaluation_json, print_report, write_examples
from models.verdict.null import null_positions, null_report  # noqa: F401
from models.verdict.references import (  # noqa: F401
    UnfitReference,
    check_retrained,
    knows_as_well,
    refuse_target_as_retrained,
    same_model,
)
from models.verdict.verdict import closeness, compare, judge  # noqa: F401

DTYPES = ("float32", "bfloat16", "float16")


class UsageError(ValueError):
    """A command line or configuration that cannot run; the message lists all problems, one per line."""

    exit_code = 2

    def __init__(self, problems: str | list[str]):
        super().__init__("\n".join([problems] if isinstance(problems, str) else problems))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(message)


def _parser() -> argparse.ArgumentParser:
    metrics = [f"  {metric.name}: {metric.summary}" for metric in METRICS.values()]
    attacks = [f"  {attack.name}: {attack.summary}" for attack in ATTACKS.values()]
    parser = _Parser(
        description=__doc__.split("\n\n")[0],
        epilog="\n".join(["metrics:", *metrics, "", "attacks:", *attacks]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model_name_or_path", help="the model to evaluate (the unlearned one)")
    add("--ledger", help="verify this ledger and measure its requests on the model (exit code 8: a request came back)")
    add("--requests", action="store_true", help="with --ledger: list its requests, dates and states")
    add("--retest_due", action="store_true", help="with --ledger: list, or with a model test, what is due")
    add("--csv", metavar="FILE", help="with --requests or --retest_due: also write the list as CSV")
    add("--shared_folders", action="store_true", help="let the group read and write the results (else the owner)")
    add("--forget_data", help="file, folder or hub dataset to forget; with --ledger several, separated by commas")
    add("--retain_data", help="data to keep")
    add("--holdout_data", help="rows of the same kind that no model saw")
    add("--judging_data", help="such rows that only judge, or none; default: half of the holdout set")
    add("--general_data", help="general facts with wrong answers; default: the bundled set")
    add("--exam_data", help="exams to take: rows of question, choices, answer; commas separate files")
    add("--target_model", help="the model before unlearning")
    add(
        "--retrained_model",
        help="a model trained without the forget set; without it nothing can be shown to be forgotten",
    )
    add("--output_dir", help="folder for evaluation.json (optional with --ledger, for retest.json)")
    add("--metrics", default="all", help="names separated by commas, or all")
    add("--metric_from", action="append", metavar="FILE.py:NAME", help="a metric of your own; may be repeated")
    add("--lm_eval", help="tasks of lm-eval, or YAML files of tasks, separated by commas (pip install lm-eval)")
    add("--attacks", default="none", help="names separated by commas, all, or none")
    for flag, (kind, default, text, _) in budget_flags().items():
        add(f"--{flag}", type=kind, default=default, help=f"{text} [{default}]")
    add("--benchmark", help="tofu or muse: reads the sets from --data_dir and adds the benchmark's own numbers")
    add("--data_dir", help="the benchmark's folder")
    add(
        "--truth_ratio_reduction",
        default="geometric",
        help="mean over wrong answers: geometric, as in TOFU's code, or arithmetic, as in its paper",
    )
    add("--max_length", type=int, default=512, help="tokens per row")
    add("--limit", type=int, help="maximum rows per set")
    add("--dtype", default="float32", help=", ".join(DTYPES))
    add("--null", type=int, metavar="K", help="compare with K models of other seeds that never saw the forget set")
    add("--base_model", help="the model that the target was fine-tuned from (default: the base of its adapter)")
    add("--null_config", help="with --null: a YAML file of their training settings (those of the bundled models)")
    add("--overwrite_output_dir", action="store_true", help="write into a folder that already has an evaluation")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """The arguments. Raises UsageError with all problems at once."""
    words = sys.argv[1:] if argv is None else argv
    own = [own_metrics.use(source).name for source in own_code.given(words, "metric_from")]
    parser = _parser()  # after the user's metrics, which its help lists
    args, unknown = parser.parse_known_args(argv)
    flags = [flag for action in parser._actions for flag in action.option_strings]
    problems = []
    for flag in (flag for flag in unknown if flag.startswith("-")):
        near = difflib.get_close_matches(flag.split("=")[0], flags, 1)
        problems.append(f"unknown flag {flag}" + (f" (did you mean {near[0]}?)" if near else ""))
    if unknown and not problems:
        problems.append(f"unexpected: {' '.join(unknown)}")
    problems += [*_unknown_names(args), *_contradictions(args), *harness.problems(args.lm_eval)]
    if problems:
        raise UsageError("\n  ".join(problems))
    if own and _named(args.metrics):
        args.metrics = ",".join(dict.fromkeys([*_named(args.metrics), *own]))
    return args


def _unknown_names(args) -> Iterator[str]:
    for check in (
        lambda: metric_names(_named(args.metrics)),
        lambda: attack_names(args.attacks),
        lambda: budget_of(vars(args)),
        lambda: known_names([args.truth_ratio_reduction], REDUCTIONS, "truth ratio reductions"),
    ):
        try:
            check()
        except ValueError as error:
            yield str(error)
    for flag, value, known in (("benchmark", args.benchmark, BENCHMARKS), ("dtype", args.dtype, DTYPES)):
        if value not in (None, *known):
            yield f"--{flag} {value}: known are {', '.join(known)}"


def _contradictions(args) -> Iterator[str]:
    """Yields missing flags and contradictions."""
    if bool(args.benchmark) != bool(args.data_dir):
        yield "--benchmark and --data_dir go together"
    if args.benchmark == "muse" and args.attacks != "none":
        yield "--attacks needs questions and answers, but MUSE's folders hold only texts"
    if (args.requests or args.retest_due) and not args.ledger:
        yield "--requests and --retest_due need --ledger"
    if args.csv and not (args.requests or args.retest_due):
        yield "--csv is for --requests and --retest_due"
    if not args.ledger:
        yield from (f"--{name} is missing" for name in ("model_name_or_path", "output_dir") if not getattr(args, name))
        if not args.benchmark and not args.forget_data:
            yield "--forget_data is missing (or give --benchmark and --data_dir)"
    if args.null is not None:
        yield from _null_contradictions(args)
    elif args.null_config:
        yield "--null_config is for --null K"
    if args.max_length < 2 or (args.limit is not None and args.limit < 1):
        yield "--max_length must be at least 2 and --limit at least 1"
    if (Path(args.output_dir or "") / "evaluation.json").exists() and not (args.ledger or args.overwrite_output_dir):
        yield f"{args.output_dir} already holds an evaluation: give --overwrite_output_dir or another folder"


def _null_contradictions(args) -> Iterator[str]:
    """Yields what is missing for null models."""
    if args.null < 2:
        yield f"--null {args.null}: at least 2 models are needed to see how much they differ"
    if args.ledger or args.benchmark:
        yield "--null goes with --forget_data and --retain_data, not with --ledger or --benchmark"
    elif not args.retain_data:
        yield "--null needs --retain_data: its models are trained on it"
    if not (args.base_model or null_models.base_of(args.target_model, args.retrained_model)):
        yield (
            "--null needs --base_model, the model that the target was fine-tuned from, because neither --target_model "
            "nor --retrained_model is a LoRA adapter that names its base"
        )


def _named(text: str) -> list[str] | None:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return None if not names or "all" in names else names


def _read_sets(args) -> tuple[dict[str, list[Example]], dict, list[str]]:
    """(sets by name, MUSE's parts, notes); removes rows of the forget set from the retain set."""
    if args.benchmark == "muse":
        return {}, read_muse(args.data_dir), []
    if args.benchmark == "tofu":
        sets, notes = read_tofu(args.data_dir), []
        return _with_judges(args, sets, notes), {}, notes
    general = paths.PROJECT / "data" / "general.jsonl"
    sources = {"forget": args.forget_data, "retain": args.retain_data, "holdout": args.holdout_data}
    sources["general"] = args.general_data or (str(general) if general.exists() else None)
    sets, notes = {}, []
    for name, source in sources.items():
        request = document_request(source, max_length=args.max_length) if name == "forget" and source else None
        if request:
            notes += [f"forget: {note}" for note in request.notes]
            sets |= {"forget": request.forget, **({"probes": request.measured} if request.probes else {})}
        elif source and source != "none":
            rows = read_examples(source, None if name == "holdout" else args.limit)
            notes += [f"{name}: {note}" for note in rows.notes]
            sets[name] = list(rows)
    if "retain" in sets:
        sets["retain"], removed = remove_overlap(sets["forget"], sets["retain"])
        notes += [f"retain: {len(removed)} rows of the forget set were removed"] if removed else []
    return _with_judges(args, sets, notes), {}, notes


def _with_judges(args, sets: dict, notes: list[str]) -> dict[str, list[Example]]:
    """The sets with "judging" and "in_context", each with at most --limit rows.

    The holdout set is divided before it is cut, so that the same rows judge as in a run on these files.
    """
    given = args.judging_data or judging.bundled(args.holdout_data)
    if given and given != "none":
        there = os.path.exists(given) or not os.path.exists(paths.PROJECT / given)
        rows = read_examples(given if there else str(paths.PROJECT / given), args.limit)
        notes += [f"judging: {note}" for note in rows.notes]
        sets["judging"] = list(rows)
    judging.settle(sets, notes, given)
    judging.check(sets, given)
    notes += judging.shared_subjects(sets)
    if args.exam_data not in (None, "none"):
        sets |= exams.read_exams(recorded.paths_of(args.exam_data), args.limit, notes)
    sets = {name: rows[: args.limit] for name, rows in sets.items()}
    asked = in_context(sets.get("forget", []))
    return {**sets, "in_context": asked} if asked else sets


def _evaluate_named(args, name: str, source: str, sets: dict, parts: dict) -> tuple:
    """(evaluation or None, attack results, MUSE's numbers, lm-eval's) of one model, loaded for this call only."""
    from models.store.loading import load_model, template_date

    def say(text):
        print(f"{name}: {text}", flush=True)

    model, tokenizer = load_model(source, dtype=args.dtype, progress=say)
    fix_date(tokenizer, template_date(args.model_name_or_path))  # the same prompts for all models
    own = muse_scores(model, tokenizer, parts) if parts else {}
    tasks = harness.measure(model, tokenizer, args.lm_eval, args.limit) if harness.tasks_of(args.lm_eval) else {}
    if not sets:
        return None, {}, own, tasks
    found = evaluate_model(
        model, tokenizer, sets, metrics=_named(args.metrics), max_length=args.max_length,
        truth_ratio_reduction=args.truth_ratio_reduction, progress=say,
    )  # fmt: skip
    attacked = {}
    if wanted := attack_names(args.attacks):
        attacked = run_attacks(
            model, tokenizer, {**sets, "benign": harmless_text(args.retain_data)}, wanted, max_length=args.max_length,
            budget=budget_of(vars(args)), evaluation=found, target=name == "target", progress=say,
        )  # fmt: skip
    return found, attacked, own, tasks


def _null_folders(args) -> list[Path]:
    """The folders of the --null models; trains those that are missing."""
    if not args.null:
        return []
    base = args.base_model or null_models.base_of(args.target_model, args.retrained_model)
    settings = null_models.read_settings(args.null_config)
    recipe = null_models.Recipe(base, args.forget_data, args.retain_data, settings)
    return null_models.built(recipe, args.null)


def _null_report(args, folders: list[Path], sets: dict, found: dict) -> tuple[dict, dict[str, str]]:
    """(the "null" of evaluation.json, notes)."""
    evaluations = null_models.evaluated(
        folders, sets, found.get("target"), metrics=_named(args.metrics), max_length=args.max_length, dtype=args.dtype,
        truth_ratio_reduction=args.truth_ratio_reduction,
    )  # fmt: skip
    report, notes = null_report(evaluations, found["unlearned"])
    if "target" not in found:
        notes["null_unchecked"] = "without --target_model, nothing shows that null models do not know the forget set"
    return report, notes


def _add_perplexities(args, evaluations: dict, sets: dict):
    """Loads the target once more, to judge every model's answers.

    This comes last, so an unusable reference is refused before the unlearned model is measured.
    """
    from models.store.loading import load_model

    if "target" in evaluations and any(any(said) for e in evaluations.values() for said in e.generations.values()):
        model, tokenizer = load_model(args.target_model, dtype=args.dtype, progress=lambda _: None)
        for found in evaluations.values():
            add_perplexity(found, model, tokenizer, sets, args.max_length)


def _add_base_losses(args, evaluations: dict, sets: dict):
    """Adds the losses of the model that the target was fine-tuned from, where an adapter or --base_model names it.

    Only a test of membership reads them, which needs a retrained model and judging rows.
    """
    from models.store.loading import load_model, template_date

    base = args.base_model or null_models.base_of(args.target_model, args.retrained_model)
    if not base or not {"target", "retrained"} <= evaluations.keys() or not sets.get("judging"):
        return
    try:
        model, tokenizer = load_model(base, dtype=args.dtype, progress=lambda _: None)
    except folders.ModelError as error:
        print(f"note: {base} gives no losses to compare with: {error}")
        return
    fix_date(tokenizer, template_date(args.model_name_or_path))
    add_base_loss(evaluations["target"], base_losses(model, tokenizer, sets, args.max_length))


def _evaluate_all(args) -> tuple[dict, dict, dict]:
    """(contents of evaluation.json, sets, evaluations) for the command's models, one in memory at a time."""
    from models.store.loading import resolve_model

    sets, parts, notes = _read_sets(args)
    models = {"retrained": args.retrained_model, "target": args.target_model, "unlearned": args.model_name_or_path}
    if args.retrained_model and args.target_model:
        refuse_target_as_retrained(args.target_model, args.retrained_model)
    if args.retrained_model and same_model(args.model_name_or_path, args.retrained_model):
        notes.append("the model to evaluate is the retrained model itself: this checks the measurement, not a model")
    if args.base_model:
        resolve_model(args.base_model)
    null_folders = _null_folders(args)  # before a model is in memory
    found, attacked, own, tasks = {}, {}, {}, {}
    harness.check(args.lm_eval)
    for name, source in models.items():
        if source:
            evaluation, attacked[name], own[name], tasks[name] = _evaluate_named(args, name, source, sets, parts)
            found.update({name: evaluation} if evaluation else {})
            if name == "target" and "retrained" in found:
                check_retrained(found["target"], found["retrained"])
    _add_perplexities(args, found, sets)
    _add_base_losses(args, found, sets)
    found = {name: found[name] for name in MODELS if name in found}
    report = evaluation_json(found, {name: values for name, values in attacked.items() if values})
    if harness.tasks_of(args.lm_eval):
        report["lm_eval"] = {name: tasks[name] for name in MODELS if name in tasks}
        report["evidence"].get("rest", {}).get("beside", {}).update(harness.beside(report["lm_eval"]))
    report["notes"].update({f"data_{number}": paths.portable(note) for number, note in enumerate(notes, 1)})
    if null_folders:
        report["null"], more = _null_report(args, null_folders, sets, found)
        report["notes"].update(more)
    if args.benchmark == "tofu":
        own, report["notes"]["benchmark"] = tofu_table(found, args.truth_ratio_reduction)
    elif args.benchmark and (note := add_privleak(own)):
        report["notes"]["privleak"] = note
    if args.benchmark:
        report["benchmark"] = {"name": args.benchmark, "models": own}
    return report, sets, found


def _measured(args) -> dict:
    """The contents of evaluation.json, which is written into the output folder with examples.jsonl."""
    folder = Path(args.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".writable").touch()
    (folder / ".writable").unlink()
    report, sets, evaluations = _evaluate_all(args)
    if evaluations:
        write_examples(folder / "examples.jsonl", sets, evaluations)
    temporary = folder / f".evaluation.{os.getpid()}.json"
    temporary.write_text(json.dumps(report, indent=1, allow_nan=False), encoding="utf-8")
    temporary.replace(folder / "evaluation.json")
    return report


def main(argv: list[str] | None = None) -> int:
    """Runs the command line: evaluates the models and writes evaluation.json. Returns the exit code."""
    debug = "--debug" in (sys.argv if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parse(argv)
        folders.check_platform()
        with private.created(args.shared_folders):
            if args.ledger:
                return retest.main(args)
            report = _measured(args)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        short = folders.out_of_memory(error)
        if debug or not (short or isinstance(error, (ValueError, OSError))):
            raise
        if short:
            error = MemoryError("out of memory. Measure fewer rows (--limit) or shorter ones (--max_length)")
        print(f"error: {error}", file=sys.stderr)
        if short:
            return 6
        return getattr(error, "exit_code", 6 if isinstance(error, OSError) else 1)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    print_report(report)
    print(f"\nwritten: {Path(args.output_dir) / 'evaluation.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
