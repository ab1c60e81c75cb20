"""Evaluates and attacks a run's models, also once more later. Results of the unchanged models are kept."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from pathlib import Path

import evaluation_metrics
import unlearning_algorithm as algorithm
from data import preparation
from data.exams import is_exam
from data.rendering import recorded_date
from data.sampling import spread
from models.eliciting.subject import about_subject
from models.exporting import formats as exporting
from models.exporting import hub
from models.scores import harness
from models.scores import own as own_metrics
from models.scores.kept import EVALUATIONS, keep, key_of, measuring_code, read_kept  # noqa: F401
from models.store import adapters, loading, quantised
from models.store.folders import ModelError
from models.store.on_first_use import torch, weights
from results.run import model_card, processes
from results.run.context import RunContext, prepare
from results.run.options import BUNDLED, OPTIONS, resolve
from results.run.request import flags
from results.run.run_folder import UsageError, say
from results.run.sets import EVALUATED
from results.run.stopping import StopSwitch
from results.run.training import proxy_references

EXPORTED = ("verdict", "leaking_rows", "worst_person", "membership_gap", "utility")  # numbers told of an exported file
GLANCE = 8  # rows per set for the quick check of the retrained model before the run


def load_target(run: RunContext, source: str | None = None):
    """The target model, or that of `source`, as the run unlearns it: in float32, or quantised with --load_in_4bit."""
    config = run.config
    model, _ = loading.load_model(
        source or config["model_name_or_path"], dtype="float32", attn_implementation=config["attn_implementation"],
        progress=say, quantization_config=quantised.settings(config, run.dtype),
        tokenizer=None if source else run.tokenizer,
    )  # fmt: skip
    return model


def asked_base(run: RunContext) -> tuple[list | None, dict | None]:
    """(token losses, references) that the base model gives; None for what the run does not need.

    The losses are those of each forget row under the base model, which never saw it: they give the levels of a run
    without a holdout set. The references are a proxy's. One model is in memory for this call only. Raises UsageError
    for a base model of another vocabulary that a method needs.
    """
    config, rows = run.config, run.sets.steering.encoded
    method, base = algorithm.METHODS[config["method"]], flags.base_of(config, config)
    steers = method.draws or config["early_stop"] or config["load_best_model_at_end"]
    levels = "holdout" not in rows and "forget" in rows and base and steers and method.guarded
    if not (levels or method.needs_base):
        return None, None
    run.folder.stage("asking the base model")
    team = processes.team()
    model = team.placed(load_target(run, base))
    if model.get_input_embeddings().num_embeddings <= max(int(each.ids.max()) for each in rows.values() if len(each)):
        text = f"{base} has a smaller vocabulary than the target"
        if method.needs_base:
            raise UsageError(f"{method.name}: {text}; give the model that it was trained from as --base_model")
        say(f"note: {text}, so it gives no levels")
        return None, None
    return _levels(run, model, base) if levels else None, _proxy(run, model, base) if method.needs_base else None


def _levels(run: RunContext, model, base: str) -> list:
    rows, pad = run.sets.steering.encoded["forget"], run.tokenizer.pad_token_id
    with weights.computing_in(model, run.dtype):
        losses, _ = algorithm.token_losses(model, rows, pad)
    mean = sum(float(values.mean()) for values in losses) / len(losses)
    say(f"levels: without a holdout set, the losses of {base} on the forget rows ({mean:.2f} nats per token)")
    return losses


def _proxy(run: RunContext, model, base: str) -> dict:
    config, rows = run.config, run.sets.steering.encoded
    run.folder.stage("training the proxy")
    say(f"proxy: {base}, trained briefly on rows to keep, shows what a model says that never saw the forget rows")
    if config["use_peft"]:
        torch.manual_seed(config["seed"])
        model = adapters.add_lora(model, **lora_settings(config))

    def check():
        if run.switch.agreed():
            run.switch.check()

    return proxy_references(model, rows, config, run.tokenizer.pad_token_id, processes.team().accelerator, check)


def lora_settings(config: dict) -> dict:
    """The arguments of `adapters.add_lora`."""
    names = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
    return {name.removeprefix("lora_"): config[name] for name in names}


def kept_path(what: str, sets, config: dict, model_hash: str, role: str = "") -> Path:
    """Where the evaluation of an unchanged model is kept: named by its model, rows, settings and code."""
    hashes = {split: preparation.data_hash(rows) for split, rows in sets.measured.items()}
    settings = [config.get(name) for name in (what, "max_length", "dtype", "load_in_4bit", "load_in_8bit")]
    settings += [own_metrics.code()] if config["metric_from"] else []
    if what == "lm_eval":
        hashes, settings = {}, [*settings, config["eval_rows"], harness.identity(config["lm_eval"])]
    if what == "attacks":
        settings += [role, dataclasses.asdict(evaluation_metrics.budget_of(config))]  # some are not run on the target
    return EVALUATIONS / f"{key_of(what, model_hash, hashes, settings)}.json"


class Measurements:
    """Evaluations and attack results of a run's models by role. Starts with the kept results of unchanged models."""

    def __init__(self, run: RunContext):
        self.run, self.evaluations, self.attacked, self.glance = run, {}, {}, None
        self.harness: dict[str, dict] = {}  # what lm-eval found, by role
        sources = {"target": run.config["model_name_or_path"], "retrained": run.config["retrained_model"]}
        self.unchanged = {role: source for role, source in sources.items() if source}
        attacks = "forget" in run.sets.measured and bool(evaluation_metrics.attack_names(run.config["attacks"]))
        self.wanted = (
            "metrics",
            *(["attacks"] if attacks else []),
            *(["lm_eval"] if harness.tasks_of(run.config["lm_eval"]) else []),
        )
        self.exports: dict[str, dict] = {}  # what the files of --export say
        harness.check(run.config["lm_eval"])
        if run.config["push_to_hub"]:
            say(f"logged in to the hub as {hub.check(run.config['push_to_hub'])}")
        for role in self.unchanged:
            found = {what: read_kept(path) for what, path in self._kept_paths(role).items()}
            if None not in found.values():
                self._take(role, found)

    def _kept_paths(self, role: str) -> dict[str, Path]:
        model_hash = loading.model_hash(self.unchanged[role])
        model_hash += "".join(recorded_date(self.run.tokenizer).values())  # another day, other prompts
        return {what: kept_path(what, self.run.sets, self.run.config, model_hash, role) for what in self.wanted}

    def _take(self, role: str, found: dict):
        self.evaluations[role] = evaluation_metrics.ModelEvaluation(**found["metrics"])
        if role == "target":
            evaluation_metrics.add_base_loss(self.evaluations[role], self._base_losses())
        self.attacked[role] = found.get("attacks", {})
        self.harness |= {role: found["lm_eval"]} if "lm_eval" in found else {}

    def glance_at_retrained(self):
        """Measures a few rows of the retrained model for `check_retrained`, unless both models are measured already."""
        if "retrained" in self.unchanged and not all(role in self.evaluations for role in self.unchanged):
            self.run.folder.stage("checking retrained")
            with self._loaded("retrained") as model:
                self.glance = self._glance(model, "forget")

    def check_retrained(self, target):
        """Raises UnfitReference for a retrained model that knows the forget set, before anything is trained."""
        if self.glance:
            with weights.computing_in(target, self.run.dtype):
                if evaluation_metrics.knows_as_well(self._glance(target, "forget"), self.glance):
                    evaluation_metrics.check_retrained(self._glance(target, "forget", "holdout"), self.glance)
        elif "retrained" in self.unchanged:
            evaluation_metrics.check_retrained(self.evaluations["target"], self.evaluations["retrained"])

    def _glance(self, model, *splits):
        """The losses of a few rows of these sets."""
        few = {split: spread(rows, GLANCE) for split, rows in self.run.sets.measured.items() if split in splits}
        return evaluation_metrics.evaluate_model(
            model, self.run.tokenizer, few, metrics=["loss"], max_length=self.run.config["max_length"]
        )

    @contextlib.contextmanager
    def _loaded(self, role: str):
        """Yields an unchanged model that computes in the run's type."""
        if role == "target":
            model = load_target(self.run)
        else:
            model, _ = loading.load_model(
                self.unchanged[role], dtype="float32", progress=say, tokenizer=self.run.tokenizer
            )
        model = processes.team().placed(model)
        self.run.prove(model)
        with weights.computing_in(model, self.run.dtype):
            yield model

    def measure_unlearned(self, model):
        """Measures and attacks the unlearned model."""
        with weights.computing_in(model, self.run.dtype):
            self.evaluations["unlearned"] = self._evaluate(model)
            self.attacked["unlearned"] = self._attack(model, "unlearned", self.evaluations["unlearned"])
            if "lm_eval" in self.wanted:
                self.harness["unlearned"] = self._lm_eval(model)

    def measure_unchanged(self, role: str):
        """Loads, measures and attacks an unchanged model and keeps the results. Does nothing if all are known."""
        if role in self.evaluations:
            return
        paths = self._kept_paths(role)
        found = {what: read_kept(path) for what, path in paths.items()}
        with self._loaded(role) as model:
            if found["metrics"] is None:
                found["metrics"] = json.loads(self._evaluate(model).to_json())
                keep(paths["metrics"], found["metrics"])
            if "attacks" in paths and found["attacks"] is None:
                measured = evaluation_metrics.ModelEvaluation(**found["metrics"])
                found["attacks"] = self._attack(model, role, measured)
                keep(paths["attacks"], found["attacks"])
            if "lm_eval" in paths and found["lm_eval"] is None:
                found["lm_eval"] = self._lm_eval(model)
                keep(paths["lm_eval"], found["lm_eval"])
        self._take(role, found)

    def _base_losses(self) -> dict:
        """The base model's losses, if it is known and can be loaded: how hard the rows are in themselves.

        Only a test of membership reads them, which needs a retrained model and judging rows.
        """
        run, base = self.run, flags.base_of(self.run.config, self.run.config)
        if not base or "retrained" not in self.unchanged or not run.sets.measured.get("judging"):
            return {}
        try:
            path = kept_path("base_loss", run.sets, run.config, loading.model_hash(base))
            found = read_kept(path)
            if found is None:
                model = processes.team().placed(load_target(run, base))
                with weights.computing_in(model, run.dtype):
                    found = evaluation_metrics.base_losses(
                        model, run.tokenizer, run.sets.measured, run.config["max_length"]
                    )
                keep(path, found)
        except ModelError as error:
            say(f"note: {base} gives no losses to compare with: {error}")
            return {}
        return found

    def _evaluate(self, model):
        """All metrics of one model on every measured set."""
        run, names = self.run, self.run.config["metrics"]
        metrics = None if names == "all" else [name.strip() for name in names.split(",")]
        return evaluation_metrics.evaluate_model(
            model, run.tokenizer, run.sets.measured, metrics=metrics, max_length=run.config["max_length"],
            progress=run.progress,
        )  # fmt: skip

    def _attack(self, model, role: str, evaluation) -> dict:
        """The results of --attacks on one model; every model gets the same rows and budget."""
        if "attacks" not in self.wanted:
            return {}
        run = self.run

        def announce(text: str):
            say(text)
            run.progress(text)

        benign, began = evaluation_metrics.harmless_text(run.config["retain_data"]), time.perf_counter()
        found = evaluation_metrics.run_attacks(
            model, run.tokenizer, {**run.sets.measured, "benign": benign}, run.config["attacks"],
            max_length=run.config["max_length"], budget=evaluation_metrics.budget_of(run.config),
            evaluation=evaluation, target=role == "target", progress=announce,
        )  # fmt: skip
        run.folder.attack_seconds += time.perf_counter() - began
        return found

    def export(self):
        """Writes the files of --export and measures them like the model that they were made of."""
        if self.run.config["export"]:
            self.run.folder.stage("exporting")
            self.exports = exporting.export(self.run.config, self._measure_exported, say)

    def _measure_exported(self, model) -> dict:
        model = processes.team().placed(model)
        with weights.computing_in(model, self.run.dtype):
            found = self._evaluate(model)
        sides = [self.evaluations.get(role) for role in ("target", "retrained")]
        judged = evaluation_metrics.judge(sides[0], found, sides[1]).comparison
        return {"metrics": found.metrics, "comparison": {name: judged.get(name) for name in EXPORTED}}

    def _lm_eval(self, model) -> dict:
        """The numbers of --lm_eval on one model."""
        config = self.run.config
        self.run.progress(f"lm-eval: {config['lm_eval']}")
        return harness.measure(model, self.run.tokenizer, config["lm_eval"], config["eval_rows"] or None)

    def report(self) -> dict:
        """The contents of evaluation.json."""
        attacked = {role: results for role, results in self.attacked.items() if results}
        report = evaluation_metrics.evaluation_json(self.evaluations, attacked)
        report["notes"].update({f"data_{number}": note for number, note in enumerate(self.run.sets.notes, 1)})
        by_name = self.run.config["method"] in (flags.BY_NAME, flags.REFUSING)
        if told := about_subject(self.run.sets.measured, self.evaluations, by_name):
            report["comparison"]["subject"] = told
        if self.exports:
            report["exports"] = self.exports
        if self.harness:
            report["lm_eval"] = self.harness
            report["evidence"]["rest"]["beside"] |= harness.beside(self.harness)
        report["earlier"] = self.run.sets.earlier.retested(report, self.evaluations["unlearned"])
        return report


# ---------------------------------------------------------------------------------------------------------------------
# A finished run once more, with today's metrics, attacks and verdict; trains nothing


CHANGEABLE = ("attacks", "metrics", "metric_from", "method_from", "eval_rows", "retrained_model", "judging_data",
              "general_data", "exam_data", "lm_eval", "export", "gguf_converter", "push_to_hub")  # fmt: skip
NAMED_AGAIN = ("method_from", "metric_from", "export", "gguf_converter", "push_to_hub")  # run or send something


def settings_again(folder: str | Path, given: dict) -> dict:
    """The resolved settings of the finished run in `folder`, with the given ones of `CHANGEABLE` in place of its own.

    Raises UsageError for an unfinished run, one without its model, and for settings that would change the model.
    """
    folder = Path(folder)
    wrong = [f"--{name} does not go with --measure_again" for name in given
             if name not in CHANGEABLE and not name.startswith("attack_")]  # fmt: skip
    try:
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError([f"--measure_again {folder}: no run with a readable config.json", *wrong]) from None
    if not isinstance(told, dict) or not (folder / "report.html").exists():
        wrong.append(f"--measure_again {folder}: this run is not finished; resume it first")
    elif told.get("purged"):
        wrong.append(
            f"--measure_again {folder}: the text of this run was deleted (--purge), so nothing can be measured"
        )
    elif not Path(str(told.get("model_output_dir"))).is_dir():
        wrong.append(f"--measure_again {folder}: its model {told.get('model_output_dir')} is gone")
    elif told.get("method_from") and not given.get("method_from"):
        wrong.append(f"--measure_again {folder}: its method is your own; add --method_from {told['method_from']}")
    if wrong:
        raise UsageError(wrong)
    # a run's files may come from others, so only the command line names code to run
    kept = {name: value for name, value in told.items()
            if name in OPTIONS and value is not None and name not in NAMED_AGAIN}  # fmt: skip
    if "judging_data" not in told and told.get("holdout_data") != BUNDLED["holdout"]:
        kept["judging_data"] = "none"  # this run is older than the split: all its holdout rows may have steered it
    config = resolve({**kept, **given, "output_dir": str(folder), "overwrite_output_dir": True})
    return {**config, "command": told.get("command"), "resume_from_checkpoint": "latest"}  # keeps the files of training


def measure_again(folder: str | Path, given: dict) -> tuple[Path, dict]:
    """Replaces evaluation.json, examples.jsonl and model cards of a finished run; returns its folder and the report."""
    config = settings_again(folder, given)
    opened = processes.open_folder(config)
    config["resume_from_checkpoint"] = None
    before = {name: _read(opened.path / name) for name in ("status.json", "timing.json")}
    try:
        with StopSwitch() as switch:
            run = prepare(config, given, opened, switch)
            measurements = Measurements(run)
            for role in measurements.unchanged:
                opened.stage(f"evaluating {role}")
                measurements.measure_unchanged(role)
            opened.stage("evaluating unlearned")
            model, _ = loading.load_model(config["model_output_dir"], dtype="float32", progress=say,
                                          tokenizer=run.tokenizer)  # fmt: skip
            model = processes.team().placed(model)
            run.prove(model)
            measurements.measure_unlearned(model)
            del model
            measurements.export()
            opened.stage("reporting")
        report = measurements.report()
        opened.write_json("config.json", config)
        opened.write_json("evaluation.json", report)
        evaluation_metrics.write_examples(opened.path / "examples.jsonl", run.sets.measured, measurements.evaluations)
        model_card.write_cards(opened.path, config)
        publish(config)
    finally:  # what training wrote stays, also after a failed measurement
        for name, text in before.items():
            if text is not None:
                (opened.path / name).write_text(text, encoding="utf-8")
        opened.release()
    return opened.path, report


def publish(config: dict):
    """Uploads the saved model and its exported files to --push_to_hub. A failure is told and ends nothing."""
    for folder in (Path(config["model_output_dir"]), exporting.folder_of(config)) if config["push_to_hub"] else ():
        if folder.is_dir():
            try:
                say(f"pushed {folder} to {hub.push(folder, config['push_to_hub'])}")
            except ModelError as error:
                say(f"warning: {error}")


def _read(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8")
    return None


def print_table(report: dict):
    """Prints a table of all models by set and metric, then the comparison."""
    models = [name for name in ("target", "unlearned", "retrained") if name in report["models"]]
    for split in (*EVALUATED, *filter(is_exam, report["models"]["target"])):
        rows = {name: report["models"][name].get(split, {}) for name in models}
        if not rows["target"]:
            continue
        say(f"\n{split:32}" + "".join(f"{name:>12}" for name in models))
        for metric in rows["target"]:
            cells = [rows[name].get(metric) for name in models]
            if all(cell is None for cell in cells):
                continue  # not every set has every number
            say(f"  {metric:30}" + "".join(f"{'-' if cell is None else f'{cell:.3f}':>12}" for cell in cells))
    for name, row in harness.beside(report.get("lm_eval", {})).items():
        say(f"{name:32}" + "".join(f"{row[model]:12.3f}" if model in row else f"{'-':>12}" for model in models))
    say("\ncomparison")
    for name, value in report["comparison"].items():
        if isinstance(value, (int, float, str)):
            say(f"  {name:30}{value if isinstance(value, str) else f'{value:12.4g}'}")
    if told := report["comparison"].get("subject"):
        say(f"\n{told['sentence']}")
