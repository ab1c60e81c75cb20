"""Metrics of unlearning: what a model knows of each set, how that compares with a retrained model, and the verdict.

    python evaluation_metrics.py --model_name_or_path M --forget_data F --retain_data R --output_dir D
    python evaluation_metrics.py --ledger results/ledger.jsonl --model_name_or_path M    # what came back since

One teacher-forced pass and one generation pass per model serve every metric. A metric is a function of what those
passes said of one example plus one row in `METRICS` (`models.scores.metric_table`); its value on a set is the mean over
examples, which all count the same. On the forget set the goal is the retrained model's value, not zero. What cannot be
computed is None, with a note.

Statistics, attacks and the verdict live in `models.scores`, generation in `models.forward`; all are offered here.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import unlearning_algorithm as algorithm
from data import sampling
from data.benchmarks import BENCHMARKS, TOFU_NAMES, read_muse, read_tofu
from data.preparation import Example, data_hash, encode_examples, end_of_turn, read_examples, remove_overlap
from models.forward import generation, packing
from models.forward.teacher_forced import packed_batches, teacher_forced
from models.requests import recorded, retest
from models.scores import attacks, muse
from models.scores.array_scores import (
    answer_probability,
    bootstrap_interval,
    exact_memorization,
    extraction_strength,
    forget_quality,
    harmonic_mean,
    leak_at_k,
    loss,
    membership_auc,
    membership_auc_interval,
    membership_classifier,
    min_k,
    min_k_plus_plus,
    model_utility,
    multiple_choice_accuracy,
    option_probability,
    privacy_leakage,
    refusal_scores,
    true_positive_rate,
    truth_ratio,
    truth_ratio_forget,
    truth_ratio_utility,
    zlib_ratio,
)
from models.scores.attacks import ATTACKS, Budget, attack_names
from models.scores.evaluation_files import MODELS, print_report, write_examples
from models.scores.metric_table import METRICS, Measured, Metric, known_names, metric_names
from models.scores.summary import metric_value, summarise
from models.scores.text_scores import (
    distinct_n,
    fluency,
    is_refusal,
    normalise_answer,
    refusal_rate,
    repetition_rate,
    rouge_l,
    token_overlap,
)
from models.scores.verdict import (
    LABELS,
    OPTION_SETS,
    ModelEvaluation,
    UnfitReference,
    check_retrained,
    closeness,
    compare,
    evaluation_json,
    knows_as_well,
    recoveries,
    refuse_target_as_retrained,
    same_model,
    scores,
)
from models.store import folders, paths

__all__ = [
    "ATTACKS",
    "LABELS",
    "METRICS",
    "Budget",
    "Measured",
    "Metric",
    "ModelEvaluation",
    "UnfitReference",
    "add_perplexity",
    "answer_probability",
    "attack_names",
    "bootstrap_interval",
    "check_retrained",
    "closeness",
    "compare",
    "distinct_n",
    "evaluate_model",
    "evaluation_json",
    "exact_memorization",
    "extraction_strength",
    "fluency",
    "forget_quality",
    "generate_answers",
    "harmonic_mean",
    "is_refusal",
    "knows_as_well",
    "leak_at_k",
    "loss",
    "membership_auc",
    "membership_auc_interval",
    "membership_classifier",
    "min_k",
    "min_k_plus_plus",
    "model_utility",
    "multiple_choice_accuracy",
    "muse_scores",
    "normalise_answer",
    "option_probability",
    "privacy_leakage",
    "recoveries",
    "refusal_rate",
    "refusal_scores",
    "refuse_target_as_retrained",
    "repetition_rate",
    "rouge_l",
    "run_attacks",
    "scores",
    "tofu_scores",
    "token_overlap",
    "true_positive_rate",
    "truth_ratio",
    "truth_ratio_forget",
    "truth_ratio_utility",
    "write_examples",
    "zlib_ratio",
]

NEW_TOKENS = 200  # most tokens generated for one answer
REDUCTIONS = {"geometric": "the code of TOFU and OpenUnlearning", "arithmetic": "TOFU's paper"}  # of the truth ratio


# ---------------------------------------------------------------------------------------------------------------------
# The teacher-forced pass


@dataclass
class _Job:
    """One answer to score: its set, the example's number there, "answer", "paraphrase" or a wrong answer's number."""

    split: str
    number: int
    kind: str | int


def _jobs(splits: dict, needs: set[str]) -> tuple[list[_Job], list[Example]]:
    """All answers to score. Paraphrased and wrong answers follow the ORIGINAL question, as in TOFU's code."""
    jobs, examples = [], []
    for split, rows in splits.items():
        for number, example in enumerate(rows):
            variants: list[tuple[str | int, str]] = [("answer", example.answer)]
            if needs & {"paraphrase", "options"} and example.paraphrased_answer:
                variants.append(("paraphrase", example.paraphrased_answer))
            if needs & {"options", "wrong"}:
                variants += list(enumerate(example.perturbed_answer))
            for kind, answer in variants:
                jobs.append(_Job(split, number, kind))
                examples.append(example if kind == "answer" else dataclasses.replace(example, answer=answer))
    return jobs, examples


@dataclass(frozen=True)
class _Settings:
    max_length: int  # tokens of an encoded row
    max_new_tokens: int  # of a generated answer
    batch_tokens: int  # of one forward
    truth_ratio: str  # "geometric" or "arithmetic" mean over wrong answers


def _measure(model, tokenizer, splits: dict, needs: set[str], settings: _Settings, progress):
    """{split: [Measured or None]} from one teacher-forced pass, and per example the row that generation starts from."""
    jobs, examples = _jobs(splits, needs)
    rows, report = encode_examples(tokenizer, examples, settings.max_length)
    answer_jobs = np.array([job.kind == "answer" for job in jobs])
    detailed = answer_jobs[rows.example_index]  # true answers in full; with each begins an example
    statistics = _statistics(model, tokenizer, rows, detailed, settings.batch_tokens, progress)
    ends = set(end_of_turn(tokenizer))
    measured = {split: [None] * len(examples) for split, examples in splits.items()}
    starts: dict[tuple, int] = {}
    wrong: dict[tuple, dict[int, float]] = {}
    for index, job in enumerate(rows.example_index.tolist()):
        job, piece = jobs[job], statistics[index]
        key = (job.split, job.number)
        if job.kind == "answer":
            starts.setdefault(key, index)
            example = splits[job.split][job.number]
            labels = rows.ids_of(index)[rows.answer_starts[index] :]
            gold = _raw_gold(tokenizer, labels, settings.max_new_tokens) if example.prompt is None else example.answer
            found = _measured(example, piece, labels, gold, ends)
            found.reduction = settings.truth_ratio
            before = measured[job.split][job.number]
            measured[job.split][job.number] = found if before is None else _joined(before, found)
        elif job.kind == "paraphrase" and (row := measured[job.split][job.number]):
            row.paraphrased_loss = float(piece[0].mean())
        elif job.kind != "paraphrase":
            wrong.setdefault(key, {})[job.kind] = float(piece[0].mean())
    for (split, number), losses in wrong.items():
        row = measured[split][number]
        if row is not None:
            row.wrong_losses = np.array(list(losses.values()))
            if row.paraphrased_loss is None and split in OPTION_SETS:
                row.paraphrased_loss = float(row.nll.mean())  # TOFU: a short answer is its own paraphrase
    return measured, starts, rows, report


def _statistics(model, tokenizer, rows, detailed, batch_tokens: int, progress=None) -> list:
    """What the model says of each row's answer tokens, see `teacher_forced`."""
    if packing.supported(algorithm.unwrapped(model)):
        batches = packed_batches(rows, detailed, batch_tokens // 2)  # no padding: these are more rows
    else:
        batches = sampling.token_budget_batches(rows.lengths, batch_tokens)
    return teacher_forced(model, rows, batches, detailed, tokenizer.pad_token_id or 0, progress)


def _measured(example: Example, piece, labels, gold: str, ends: set[int]) -> Measured:
    nll, predicted, means, stds = piece
    closed = example.prompt is not None and len(labels) > 1 and int(labels[-1]) in ends
    return Measured(example, nll, predicted.astype(np.int64), labels, len(labels) - closed, means, stds, gold)


def _half(labels) -> int:
    """Tokens of a raw text's labels that belong to the prompt: generation sees half and continues with the rest."""
    return len(labels) // 2


def _raw_gold(tokenizer, labels, max_new_tokens: int) -> str:
    first = _half(labels)
    return _text(tokenizer, labels[first : first + max_new_tokens])


def _joined(first: Measured, second: Measured) -> Measured:
    """Two rows of one long raw text as one; its generation stays that of the first row."""
    for name in ("nll", "predicted", "labels", "means", "stds"):
        setattr(first, name, np.concatenate([getattr(first, name), getattr(second, name)]))
    first.content = len(first.labels)
    return first


# ---------------------------------------------------------------------------------------------------------------------
# The generation pass


def _stop_ids(model, tokenizer) -> set[int]:
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    configured = configured if isinstance(configured, (list, tuple)) else [configured]
    return {int(i) for i in [*end_of_turn(tokenizer), tokenizer.eos_token_id, *configured] if i is not None}


def _answers(model, tokenizer, drafts: list[generation.Draft], progress) -> list[str]:
    with algorithm.evaluating(model):
        said = generation.finish(model, drafts, _stop_ids(model, tokenizer), progress)
    return [_text(tokenizer, ids) for ids in said]


def _drafts(measured: dict, starts: dict, rows, max_new_tokens: int) -> dict[tuple, generation.Draft]:
    """The generation to run per example. An answer may take half as long again as the longest gold one of its set; a
    raw text is continued over the length of its second half."""
    drafts = {}
    for split, examples in measured.items():
        longest = max((len(m.labels) for m in examples if m and m.example.prompt is not None), default=0)
        limit = min(max_new_tokens, max(24, int(1.5 * longest) + 8))
        for number, m in enumerate(examples):
            if m is None:
                continue
            index = starts[split, number]
            ids, start = rows.ids_of(index), int(rows.answer_starts[index])
            first, most = start, limit
            if m.example.prompt is None:
                first = start + _half(ids[start:])
                most = min(max_new_tokens, len(ids) - first)
            predicted = m.predicted[first - start : len(ids) - start]
            drafts[split, number] = generation.draft(ids[:first], ids[first:], predicted, most)
    return drafts


def generate_answers(model, tokenizer, examples, max_new_tokens: int = NEW_TOKENS, max_length: int = 512) -> list[str]:
    """The model's greedy answers to the examples' prompts (raw text: what follows its first half), in order.

    As far as they follow the examples' own answers, one pass over these decides them all at once.
    """
    rows, _ = encode_examples(tokenizer, examples, max_length)
    statistics = _statistics(model, tokenizer, rows, np.ones(len(rows), dtype=bool), 2048)
    drafts: dict[int, generation.Draft] = {}
    for index, number in enumerate(rows.example_index.tolist()):
        ids, start = rows.ids_of(index), int(rows.answer_starts[index])
        first = start + _half(ids[start:]) if examples[number].prompt is None else start
        predicted = statistics[index][1][first - start :].astype(np.int64)
        drafts.setdefault(number, generation.draft(ids[:first], ids[first:], predicted, max_new_tokens))
    said = dict(zip(drafts, _answers(model, tokenizer, list(drafts.values()), None)))
    return [said.get(number, "") for number in range(len(examples))]


def _text(tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=True).strip()


# ---------------------------------------------------------------------------------------------------------------------
# The evaluation of one model


def evaluate_model(
    model,
    tokenizer,
    splits: dict[str, Sequence[Example]],
    *,
    metrics: Sequence[str] | None = None,
    max_length: int = 512,
    max_new_tokens: int = NEW_TOKENS,
    batch_tokens: int = 2048,
    truth_ratio_reduction: str = "geometric",
    progress: Callable[[str], None] | None = None,
) -> ModelEvaluation:
    """Every metric (or the named ones) of a model on every set, from one teacher-forced and one generation pass.

    splits: {"forget", "retain", "holdout", "general", ...: examples}. max_new_tokens caps the answers, which otherwise
    may be half as long again as the longest gold one. batch_tokens: tokens per forward. truth_ratio_reduction: see
    `truth_ratio`; "geometric" is the code of TOFU and OpenUnlearning, "arithmetic" TOFU's paper. Raises ValueError for
    an unknown metric or reduction.
    """
    names = metric_names(metrics)
    known_names([truth_ratio_reduction], REDUCTIONS, "truth ratio reductions")
    splits = {split: list(examples) for split, examples in splits.items() if examples}
    needs = {METRICS[name].needs for name in names}
    settings = _Settings(max_length, max_new_tokens, batch_tokens, truth_ratio_reduction)
    started = time.perf_counter()
    measured, starts, rows, report = _measure(model, tokenizer, splits, needs, settings, progress)
    scored = time.perf_counter()
    result = ModelEvaluation(
        subjects={split: [example.subject for example in examples] for split, examples in splits.items()},
        notes={f"encoding_{number}": note for number, note in enumerate(report.notes, 1)},
        measured_on={
            split: {
                "content": data_hash(splits[split]),
                "answer tokens": sum(len(m.labels) for m in found if m),
                "truth_ratio": truth_ratio_reduction,
            }
            for split, found in measured.items()
        },
    )
    if "generation" in needs:
        drafts = _drafts(measured, starts, rows, max_new_tokens)
        for (split, number), text in zip(drafts, _answers(model, tokenizer, list(drafts.values()), progress)):
            measured[split][number].generated = text
    generated = time.perf_counter()
    for split, examples in measured.items():
        result.generations[split] = [m.generated if m else None for m in examples]
        result.per_example[split] = {name: [metric_value(METRICS[name], m) for m in examples] for name in names}
    summarise(result)
    result.seconds = {
        "teacher_forced": scored - started,
        "generation": generated - scored,
        "statistics": time.perf_counter() - generated,
    }
    return result


def add_perplexity(evaluation: ModelEvaluation, judge, tokenizer, splits: dict, max_length: int = 512) -> None:
    """Adds `generation_perplexity` per set: how unlikely a judge, the base or target model, finds the model's answers.

    exp(mean loss of the generated answers under `judge`); nonsense is high. Empty answers are left out, and counted in
    the notes; a set without any other has None.
    """
    for split, texts in evaluation.generations.items():
        rows = [dataclasses.replace(e, answer=text) for e, text in zip(splits[split], texts) if text and e.prompt]
        losses = []
        if rows:
            judged = evaluate_model(judge, tokenizer, {split: rows}, metrics=["loss"], max_length=max_length)
            losses = [value for value in judged.per_example[split]["loss"] if value is not None]
        evaluation.metrics[split]["generation_perplexity"] = float(np.exp(np.mean(losses))) if losses else None
        if len(losses) < len(texts):
            why = f"left out {len(texts) - len(losses)} of {len(texts)} rows: raw texts and empty answers have none"
            evaluation.notes[f"{split}.generation_perplexity"] = why


# ---------------------------------------------------------------------------------------------------------------------
# Attacks


def run_attacks(
    model,
    tokenizer,
    splits: dict[str, Sequence[Example]],
    names: str | Sequence[str] = "all",
    *,
    max_length: int = 512,
    budget: Budget | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, float | None]]:
    """{attack: {metric: value}} of one model, which is bit-identical afterwards.

    splits: "forget" and, for some attacks, "retain" examples. Give every model the same splits and budget, and all of
    them to `evaluation_json`. Raises ValueError for an unknown attack.
    """

    def score(rows):
        return evaluate_model(
            model, tokenizer, {"forget": rows}, metrics=attacks.SCORED, max_length=max_length
        ).metrics["forget"]

    subject = attacks.Subject(
        model=model,
        forget=list(splits["forget"]),
        retain=list(splits.get("retain", ())),
        encode=lambda examples: encode_examples(tokenizer, examples, max_length)[0],
        score=score,
        rouge=lambda generated, gold: rouge_l(generated, gold)[1],
        text=lambda ids: _text(tokenizer, ids),
        stop_ids=_stop_ids(model, tokenizer),
        pad_token_id=tokenizer.pad_token_id or 0,
        budget=budget or Budget(),
        progress=progress,
    )
    with algorithm.evaluating(model):
        return attacks.run(subject, attack_names(names))


# ---------------------------------------------------------------------------------------------------------------------
# Benchmarks under their own names


def tofu_scores(evaluation: ModelEvaluation, retrained: ModelEvaluation | None = None) -> dict[str, float | None]:
    """TOFU's table of one model under TOFU's names; Forget Quality needs the retrained model's evaluation."""
    table: dict[str, float | None] = {}
    for split, name in TOFU_NAMES.items():
        found = evaluation.metrics.get(split, {})
        probability = "option_probability" if split in OPTION_SETS else "answer_probability"
        table[f"ROUGE {name}"] = found.get("rouge_l_recall")
        table[f"Prob. {name}"] = found.get(probability)
        table[f"Truth Ratio {name}"] = found.get("truth_ratio")
    numbers = [value for key, value in table.items() if not key.endswith("Forget")]
    table["Model Utility"] = None if None in numbers else model_utility(numbers)
    comparison = compare(None, evaluation, retrained)[0]
    return {**table, "Forget Quality": comparison["forget_quality"]}


def muse_scores(model, tokenizer, parts: dict, max_length: int = 512) -> dict[str, float]:
    """MUSE's verbmem_f, knowmem_f, knowmem_r and the AUC that privleak is made of, as far as its files are there."""
    with algorithm.evaluating(model):
        found = muse.scores(model, tokenizer, parts)
    texts = {side: parts.get(f"privleak_{side}") for side in ("forget", "holdout")}
    if all(texts.values()):
        rows = {side: [Example(answer=text) for text in found_texts] for side, found_texts in texts.items()}
        scored = evaluate_model(model, tokenizer, rows, metrics=["min_k"], max_length=max_length).per_example
        found["min_k_auc"] = membership_auc(*([v for v in scored[side]["min_k"] if v is not None] for side in rows))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The command line


class UsageError(ValueError):
    """A command line that cannot be carried out; all its problems in one message."""

    exit_code = 2


def _parser() -> argparse.ArgumentParser:
    listed = [f"  {metric.name}: {metric.summary}" for metric in METRICS.values()]
    attacks_listed = [f"  {attack.name}: {attack.summary}" for attack in ATTACKS.values()]
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="\n".join(["metrics:", *listed, "", "attacks:", *attacks_listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model_name_or_path", help="the model to evaluate (the unlearned one)")
    add(
        "--ledger", help="verify this ledger and test on the model what its requests unlearned (exit code 8: came back)"
    )
    add(
        "--forget_data", help="file, folder or hub dataset of what was to be forgotten; with --ledger several by commas"
    )
    add("--retain_data", help="what was to be kept")
    add("--holdout_data", help="rows of the same kind that no model saw: membership attacks need them")
    add("--general_data", help="general facts with wrong answers; default: the bundled ones")
    add("--target_model", help="the model before unlearning")
    add("--retrained_model", help="a model trained without the forget set: without it nothing is certified")
    add("--output_dir", help="where evaluation.json goes (with --ledger: retest.json, if given)")
    add("--metrics", default="all", help="names with commas, or all")
    add("--attacks", default="none", help="names with commas, all, or none")
    add("--benchmark", help="tofu or muse: the sets come from --data_dir, its own numbers are added")
    add("--data_dir", help="the benchmark's folder")
    add(
        "--truth_ratio_reduction",
        default="geometric",
        help="mean over wrong answers: geometric, as in TOFU's code, or arithmetic, as in its paper",
    )
    add("--max_length", type=int, default=512, help="tokens per row")
    add("--limit", type=int, help="at most so many rows per set")
    add("--dtype", default="float32", help="float32, bfloat16 or float16")
    add("--overwrite_output_dir", action="store_true", help="write into a folder that holds an evaluation")
    add("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _parse(argv: list[str] | None) -> argparse.Namespace:
    """The arguments; UsageError with every problem at once."""
    parser = _parser()
    parser.error = lambda message: (_ for _ in ()).throw(UsageError(message))
    args, unknown = parser.parse_known_args(argv)
    flags = [flag for action in parser._actions for flag in action.option_strings]
    problems = []
    for flag in (flag for flag in unknown if flag.startswith("-")):
        near = difflib.get_close_matches(flag.split("=")[0], flags, 1)
        problems.append(f"unknown flag {flag}" + (f" (did you mean {near[0]}?)" if near else ""))
    if any(not flag.startswith("-") for flag in unknown) and not problems:
        problems.append(f"unexpected: {' '.join(unknown)}")
    for check in (
        lambda: metric_names(_named(args.metrics)),
        lambda: attack_names(args.attacks),
        lambda: known_names([args.truth_ratio_reduction], REDUCTIONS, "truth ratio reductions"),
    ):
        try:
            check()
        except ValueError as error:
            problems.append(str(error))
    if args.benchmark not in (None, *BENCHMARKS):
        problems.append(f"--benchmark {args.benchmark}: known are {', '.join(BENCHMARKS)}")
    if bool(args.benchmark) != bool(args.data_dir):
        problems.append("--benchmark and --data_dir go together")
    if args.benchmark == "muse" and args.attacks != "none":
        problems.append("--attacks needs questions and answers; MUSE's folders give it texts alone")
    if not args.ledger:
        missing = [name for name in ("model_name_or_path", "output_dir") if not getattr(args, name)]
        problems += [f"--{name} is missing" for name in missing]
        if not args.benchmark and not args.forget_data:
            problems.append("--forget_data is missing (or give --benchmark and --data_dir)")
    if args.dtype not in ("float32", "bfloat16", "float16"):
        problems.append(f"--dtype {args.dtype}: known are float32, bfloat16, float16")
    if args.max_length < 2 or (args.limit is not None and args.limit < 1):
        problems.append("--max_length must be at least 2 and --limit at least 1")
    if (Path(args.output_dir or "") / "evaluation.json").exists() and not (args.ledger or args.overwrite_output_dir):
        problems.append(f"{args.output_dir} holds an evaluation already: give --overwrite_output_dir or another folder")
    if problems:
        raise UsageError("\n  ".join(problems))
    return args


def _named(text: str) -> list[str] | None:
    names = [name.strip() for name in text.split(",") if name.strip()]
    return None if not names or "all" in names else names


def _read_sets(args) -> tuple[dict[str, list[Example]], dict, list[str]]:
    """(sets by name, MUSE's parts, notes); overlap with the forget set is taken out of the retain set."""
    if args.benchmark == "muse":
        return {}, read_muse(args.data_dir), []
    if args.benchmark == "tofu":
        sets = read_tofu(args.data_dir)
        return {name: rows[: args.limit] for name, rows in sets.items()}, {}, []
    general = Path(__file__).parent / "data" / "general.jsonl"
    sources = {"forget": args.forget_data, "retain": args.retain_data, "holdout": args.holdout_data}
    sources["general"] = args.general_data or (str(general) if general.exists() else None)
    sets, notes = {}, []
    for name, source in sources.items():
        if source:
            rows = read_examples(source, args.limit)
            notes += [f"{name}: {note}" for note in rows.notes]
            sets[name] = list(rows)
    if "retain" in sets:
        sets["retain"], removed = remove_overlap(sets["forget"], sets["retain"])
        notes += [f"retain: {len(removed)} rows of the forget set were taken out"] if removed else []
    return sets, {}, notes


def _evaluate_named(args, name: str, source: str, sets: dict, parts: dict) -> tuple:
    """(evaluation or None, attack results, MUSE's numbers) of one model, which is in memory only meanwhile."""
    from models.store.loading import load_model

    def say(text):
        print(f"{name}: {text}", flush=True)

    model, tokenizer = load_model(source, dtype=args.dtype, progress=say)
    own = muse_scores(model, tokenizer, parts, args.max_length) if parts else {}
    if not sets:
        return None, {}, own
    found = evaluate_model(
        model, tokenizer, sets, metrics=_named(args.metrics), max_length=args.max_length,
        truth_ratio_reduction=args.truth_ratio_reduction, progress=say,
    )  # fmt: skip
    attacked = {}
    if wanted := attack_names(args.attacks):
        attacked = run_attacks(model, tokenizer, sets, wanted, max_length=args.max_length, progress=say)
    return found, attacked, own


def _add_perplexities(args, evaluations: dict, sets: dict):
    """The target is loaded once more and judges what every model said; not before, so that a reference that does not
    fit is refused before the unlearned model is measured."""
    from models.store.loading import load_model

    if "target" in evaluations and any(any(said) for e in evaluations.values() for said in e.generations.values()):
        model, tokenizer = load_model(args.target_model, dtype=args.dtype, progress=lambda _: None)
        for found in evaluations.values():
            add_perplexity(found, model, tokenizer, sets, args.max_length)


def _benchmark_table(args, evaluations: dict, own: dict, notes: dict) -> dict:
    if args.benchmark == "tofu":
        notes["benchmark"] = (
            f"Truth Ratio: {args.truth_ratio_reduction} mean over wrong answers "
            f"({REDUCTIONS[args.truth_ratio_reduction]}); Truth Ratio Forget is mean min(R, 1/R), elsewhere max(0, 1-R)"
        )
        return {model: tofu_scores(found, evaluations.get("retrained")) for model, found in evaluations.items()}
    reference = own.get("retrained", {}).get("min_k_auc")
    for found in own.values():
        if "min_k_auc" in found:
            usable = reference is not None and reference < 1
            found["privleak"] = privacy_leakage(found["min_k_auc"], reference) if usable else None
            if not usable:
                notes["privleak"] = "needs a retrained model whose own AUC is below 1; another reference is made up"
    return own


def _evaluate_all(args) -> tuple[dict, dict, dict]:
    """(contents of evaluation.json, sets, evaluations) for the command's models, one in memory at a time."""
    sets, parts, notes = _read_sets(args)
    models = {"retrained": args.retrained_model, "target": args.target_model, "unlearned": args.model_name_or_path}
    if args.retrained_model and args.target_model:
        refuse_target_as_retrained(args.target_model, args.retrained_model)
    if args.retrained_model and same_model(args.model_name_or_path, args.retrained_model):
        notes.append("the model to evaluate is the retrained model itself: this checks the measurement, not a model")
    found, attacked, own = {}, {}, {}
    for name, source in models.items():
        if source:
            evaluation, attacked[name], own[name] = _evaluate_named(args, name, source, sets, parts)
            found.update({name: evaluation} if evaluation else {})
            if name == "target" and "retrained" in found:
                check_retrained(found["target"], found["retrained"])
    _add_perplexities(args, found, sets)
    found = {name: found[name] for name in MODELS if name in found}
    report = evaluation_json(found, {name: values for name, values in attacked.items() if values})
    report["notes"].update({f"data_{number}": paths.portable(note) for number, note in enumerate(notes, 1)})
    if args.benchmark:
        table = _benchmark_table(args, found, own, report["notes"])
        report["benchmark"] = {"name": args.benchmark, "models": table}
    return report, sets, found


def main(argv: list[str] | None = None) -> int:
    """Evaluates what the command line names and writes evaluation.json; returns the exit code."""
    debug = "--debug" in (sys.argv if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        args = _parse(argv)
        if args.ledger:
            return retest.main(args, evaluate_model, recorded, sampling.spread)
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
    print(f"\nwritten: {folder / 'evaluation.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
