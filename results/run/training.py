"""A run's training: the loop with its records, checkpoints and live answers, and the student of a distillation."""

from __future__ import annotations

import shlex
import sys
from functools import partial

import numpy as np

import evaluation_metrics
import unlearning_algorithm as algorithm
from data.sampling import spread
from models.forward.layers import decoder_layers, truncate_layers
from models.store.on_first_use import weights
from results.run import processes, run_folder
from results.run.context import RunContext
from results.run.run_folder import UsageError
from results.run.sets import Sets
from results.run.stopping import Stopped

PROXY_SHARES = ("per_device_train_batch_size", "gradient_accumulation_steps", "auto_batch", "dtype", "seed",
                "gradient_checkpointing")  # settings of the run that its proxy shares  # fmt: skip
QUESTION_MARKS = ("?", "？", "؟", "\u037e")  # the last one is Greek
PLACED = ("--output_dir=", "--resume_from_checkpoint=")  # flags that the resume command sets anew


def train(unlearning: algorithm.Unlearning, run: RunContext) -> dict:
    """Runs the loop to its end; returns {"best_step", "collapsed", "message"}.

    Writes metrics.jsonl and shows a progress bar. Raises `Stopped` when the user stops the run.
    """
    from tqdm import tqdm

    folder, outcome = run.folder, {"best_step": None, "collapsed": False, "message": ""}
    folder.update(total_steps=unlearning.total_steps, step=unlearning.step)
    with tqdm(
        total=unlearning.total_steps, initial=unlearning.step, desc="unlearning", unit="step", file=sys.stdout,
        dynamic_ncols=True,
    ) as bar:  # fmt: skip
        for record in unlearning.steps():
            kind, step = record["event"], record["step"]
            if kind == "step":
                bar.update(1)
                folder.update(step=step)
            if kind != "step" or step % run.config["logging_steps"] == 0:
                folder.log(record)
            if kind == "evaluation":
                bar.set_postfix_str(_probe_line(record))
                log_live_answers(unlearning, run)
            elif kind == "best":
                outcome["best_step"] = step
            elif kind in ("early_stop", "collapse"):
                outcome.update(collapsed=kind == "collapse", message=record["message"])
            if kind in ("smaller_batch", "early_stop", "collapse", "learning_rate"):
                bar.write(record["message"])
            checkpoint_if_due(unlearning, run, record)
    return outcome


def _probe_line(record: dict) -> str:
    seen = [f"{name} p={record[name]['answer_probability']:.3f}" for name in ("forget", "retain") if name in record]
    return ", ".join(seen)


def asked_live(sets: Sets, count: int) -> list:
    """The `count` rows to ask while a run goes on: questions about the subject before other prompts and raw text.

    Questions of probes come first, because nothing is trained on them. They are only asked here, and steer nothing.
    """
    probes = [row for row in sets.measured.get("probes", ()) if _is_question(row)]
    rows = [*spread(probes, count), *sets.steering.examples.get("forget", ())] if count else []
    return sorted(rows, key=lambda row: 0 if _is_question(row) else 1 if row.prompt else 2)[:count]


def _is_question(row) -> bool:
    return row.prompt is not None and row.prompt.rstrip().endswith(QUESTION_MARKS)


def log_live_answers(unlearning: algorithm.Unlearning, run: RunContext):
    """Logs the model's current answers to --live_answers prompts, see `asked_live`."""
    examples = asked_live(run.sets, run.config["live_answers"])
    if examples and (run.folder.writes or unlearning.sharded):  # a sharded model answers in all processes together
        said = evaluation_metrics.generate_answers(unlearning.model, run.tokenizer, examples, max_new_tokens=32)
        answers = [
            {"prompt": asked.prompt, "gold": asked.answer, "answer": text} for asked, text in zip(examples, said)
        ]
        run.folder.log({"event": "answers", "step": unlearning.step, "answers": answers})


def checkpoint_if_due(unlearning: algorithm.Unlearning, run: RunContext, record: dict):
    """Saves a checkpoint every --save_steps and before a stop; then raises `Stopped`.

    If an evaluation follows the step, it waits for it, because a resumed run would skip that evaluation.
    """
    kind, step, config = record["event"], record["step"], run.config
    evaluation_follows = step % unlearning.eval_steps == 0 or step == unlearning.total_steps
    if not (kind == "evaluation" or (kind == "step" and not evaluation_follows)):
        return
    stop = run.switch.agreed()
    if stop or (config["save_steps"] and step and step % config["save_steps"] == 0):
        saved = run_folder.save_checkpoint(unlearning, run.folder, run.identity, config["save_total_limit"])
    if stop:
        command = [word for word in config["command"] if not word.startswith(PLACED)]
        again = shlex.join([*command, f"--output_dir={run.folder.path}", "--resume_from_checkpoint=latest"])
        raise Stopped(run.switch.number, f"state saved in {saved}; to resume: {again}")


def proxy_references(base, rows: dict, settings: dict, pad_token_id=0, accelerator=None, check=lambda: None) -> dict:
    """What a proxy of the retrained model says on the rows to learn and on the holdout rows: {set: Reference}.

    The proxy is `base`, trained here on at most `proxy_rows` of the retain rows, evenly spread, for `proxy_epochs`; its
    weights change. The bundled general rows are left out, since they are not what the target was trained on.
    `settings`: those of the method, with the run's seed; `check()` is called after each step and may raise.
    """
    kept = rows.get("retain_probe", rows["retain"])
    places = np.linspace(0, len(kept) - 1, min(settings["proxy_rows"], len(kept))).round().astype(int)
    own = {"num_train_epochs": settings["proxy_epochs"], "learning_rate": settings["proxy_learning_rate"]}
    own |= {name: settings[name] for name in PROXY_SHARES if name in settings}
    never = {"early_stop": False, "load_best_model_at_end": False, "eval_steps": sys.maxsize}
    proxy = algorithm.Unlearning(
        base, {"retain": kept.take(places)}, "fine_tuning", {**own, **never}, pad_token_id=pad_token_id,
        accelerator=accelerator,
    )  # fmt: skip
    proxy.prepare()
    for _ in proxy.steps():
        check()
    learned = "counterpart" if "counterpart" in rows else "forget"
    wanted = [name for name in (learned, "holdout") if rows.get(name) is not None and len(rows[name])]
    found = {name: algorithm.cache_reference(proxy.model, rows[name], pad_token_id, distribution=True,
                                             accelerator=accelerator) for name in wanted}  # fmt: skip
    proxy.close()
    return found


def build_student(run: RunContext, target):
    """(student, references): the target cut to --student_layers, and the teacher's cached answers that it learns from.

    The teacher is the target; with --teacher_method it is unlearned first.
    """
    config, rows, layers = run.config, run.sets.steering.encoded, len(decoder_layers(target))
    count = config["student_layers"] or max(1, layers // 2)
    if count > layers:
        raise UsageError(f"--student_layers {count}: the teacher has {layers}")
    if config["teacher_method"]:
        _unlearn_teacher(run, target)
    with weights.computing_in(target, weights.compute_dtype(config["dtype"], target.device)):
        cached = partial(algorithm.cache_reference, target, pad_token_id=run.tokenizer.pad_token_id,
                         accelerator=processes.team().accelerator)  # fmt: skip
        references = {"retain": cached(rows["retain"], distribution=True)}
        if "earlier" in rows:  # how far the teacher has forgotten; the new student cannot show it yet
            references["earlier"] = cached(rows["earlier"])
    keep = [round(i * (layers - 1) / max(1, count - 1)) for i in range(count)]
    return truncate_layers(target, keep), references


def _unlearn_teacher(run: RunContext, teacher):
    """Unlearns the teacher in place, with the defaults of --teacher_method."""
    run.folder.stage("unlearning the teacher")
    method = run.config["teacher_method"]
    settings = {**algorithm.hyper_parameters(method, teacher.num_parameters()), "seed": run.config["seed"]}
    unlearning = algorithm.Unlearning(
        teacher, run.sets.steering.encoded, method, settings, pad_token_id=run.tokenizer.pad_token_id,
        accelerator=processes.team().whole,
    )  # fmt: skip
    unlearning.prepare()
    for _ in unlearning.steps():
        if run.switch.agreed():
            run.switch.check()
    unlearning.close()
