"""The trials of --method auto: whole unlearning runs from the target's weights in memory, and their scores.

A trial trains on a rehearsal request (`results.search.rehearsal`), or else on the rows that the winner's run trains on,
so that the winner's command reproduces the weights that were judged. Its probes see those rows as in every run. The
search's own rows judge it (`results.search.score`); no trial sees judging rows, paraphrases or wrong answers. After
training, smaller and larger multiples of the change are scored too (--update_scale), which needs no further training.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import evaluation_metrics
import unlearning_algorithm as algorithm
from data.columns import DataError
from models.eliciting.keeping import Own
from models.store import adapters, loading
from models.store.on_first_use import torch, weights
from results.run.run_folder import say
from results.run.sets import encode_sets, keep, own_answers, sample_counterexamples, steering_of
from results.search import score as search_score

HALF_WAY = 0.5  # a trial is never given up before this share of its steps
INERT, OVERSHOT = 0.1, 2.0  # hopeless: below or above these shares of the way to the level
DAMAGED = 0.75  # hopeless: the retain probe keeps less than this share of the utility budget
TIMED_ROWS = 4  # rows of each set for timing the evaluation
SCALE_STEP, SCALES = 0.1, (0.3, 1.5)  # step and limits of the search for the best update_scale
WITHIN_REACH = 0.075  # a trial that scores this much below the best gets no other scales, unless it went too far


class GivenUp(Exception):
    """A trial is not worth its time; the message says why."""


@dataclass
class Trained:
    """The result of a trial: the loop's final state, the records for metrics.jsonl, the training time."""

    state: tuple
    records: list
    seconds: float


def climb(value: Callable, first: Callable, more: Callable = lambda: True) -> dict:
    """{scale: value(scale)}: walks from 1 in steps of `SCALE_STEP` as long as no value falls and `more()` is true.

    It tries the side `first()` (1 or -1, asked once value(1) is known) and, if the value falls there, the other side.
    """
    seen = {1.0: value(1.0)}
    side = first()
    for step in (side * SCALE_STEP, -side * SCALE_STEP):
        scale = round(1 + step, 3)
        while SCALES[0] <= scale <= SCALES[1] and more():
            seen[scale] = value(scale)
            if seen[scale] < max(seen.values()):
                break
            scale = round(scale + step, 3)
        if max(seen.values()) > seen[1.0]:
            break
    return seen


class Trainer:
    """The target in memory: trains trials from its weights, scores them, and estimates how long they take."""

    def __init__(self, config: dict, given: dict, switch):
        self.config, self.given, self.switch, self.per_token = config, given, switch, {}
        began, path = time.monotonic(), config["model_name_or_path"]
        self.tokenizer = loading.load_tokenizer(path)
        self.model, _ = loading.load_model(
            path, dtype="float32", attn_implementation=config["attn_implementation"], progress=say
        )
        self.kept = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.dtype = weights.compute_dtype(config["dtype"], self.model.device)
        self.load_seconds = time.monotonic() - began

    def take(self, examples: dict, split: search_score.SearchSplit):
        """Trains on these sets, which may steer, and judges by the rows of `split`. The model is the target now."""
        self.rows, self.split, self.encoded, self.unwritten = steering_of(examples), split, {}, {}
        self.own = Own()  # the target's own answers, where there are no rows to keep
        began = time.monotonic()
        self.judge = search_score.Judge(self.look(), self.config["level"])
        self.look_seconds = time.monotonic() - began

    def look(self) -> dict:
        """What the search sees of the model as it is now."""
        with weights.computing_in(self.model, self.dtype):
            return search_score.look(self.model, self.tokenizer, self.split, self.config["max_length"])

    # -- time

    def evaluation_seconds(self, measured: dict) -> float:
        """Roughly how long the final evaluation of the `measured` rows takes.

        Times a few of the search's rows. Their true answers replace paraphrases and wrong answers.
        """
        few = {
            split: [dataclasses.replace(row, paraphrased_answer=row.answer,
                                        perturbed_answer=(row.answer,) * len(rows[0].perturbed_answer))
                    for row in self.split.views["asked"][split][:TIMED_ROWS]]
            for split, rows in measured.items()
            if rows and self.split.views["asked"].get(split)
        }  # fmt: skip
        names = self.config["metrics"]
        names = None if names == "all" else [name.strip() for name in names.split(",")]
        began = time.monotonic()
        with weights.computing_in(self.model, self.dtype):
            evaluation_metrics.evaluate_model(
                self.model, self.tokenizer, few, metrics=names, max_length=self.config["max_length"]
            )
        share = sum(map(len, measured.values())) / sum(map(len, few.values()))
        return (time.monotonic() - began) * share

    def training_rows(self, config: dict) -> dict:
        """The encoded rows of a trial, for training and probes: those of a run with this configuration.

        The counterexamples that the target writes itself are missing; `with_samples` adds them.
        """
        key = self._kind(config)
        if key not in self.encoded:
            rows = steering_of(self.rows.examples)
            encode_sets(rows, self.tokenizer, config)
            self.encoded[key] = rows
        return self.encoded[key].encoded

    @staticmethod
    def _kind(config: dict) -> tuple:
        """What the encoded rows of a trial depend on."""
        method = algorithm.METHODS[config["method"]]
        return method.augmentation, method.needs_generic, config["retain_loss"], config["general_retain_rows"]

    def with_samples(self, config: dict) -> dict:
        """`training_rows` with what the model, now the target, writes once for all trials.

        These are counterexamples, and its own answers where there are no rows to keep.

        Raises DataError if it has nothing else to say.
        """
        rows, key = self.training_rows(config), self._kind(config)
        if key in self.unwritten:
            raise self.unwritten[key]
        if not self.own.rows:  # for rows of a user it stays empty, and nothing is asked
            with weights.computing_in(self.model, self.dtype):
                self.own = own_answers(self.encoded[key], self.tokenizer, config, self.model)
        keep(self.encoded[key], self.own, self.tokenizer, config)
        if algorithm.METHODS[config["method"]].trained_set not in rows:
            try:
                with weights.computing_in(self.model, self.dtype):
                    sample_counterexamples(self.encoded[key], self.tokenizer, config, self.model)
            except DataError as error:
                self.unwritten[key] = error
                raise
        return rows

    def tokens(self, config: dict) -> float:
        """The tokens that a trial reads if nothing ends it early."""
        rows, method = self.training_rows(config), algorithm.METHODS[config["method"]]
        forget = rows.get(method.trained_set, rows["forget"])
        samples = 1 if method.trained_set in rows else config["alternates_per_question"]  # not written yet
        batch = config["per_device_train_batch_size"] * config["gradient_accumulation_steps"]
        steps = max(
            config["min_steps"], math.ceil(config["num_train_epochs"] * math.ceil(len(forget) * samples / batch))
        )
        each = min(batch, len(forget) * samples) * float(forget.lengths.mean())
        if config["retain_loss"] != "none":
            each += batch * config["retain_rows_per_forget_row"] * float(rows["retain"].lengths.mean())
        return each * (config["max_steps"] if config["max_steps"] > 0 else steps)

    def estimate(self, config: dict) -> float:
        """Estimated training seconds of a trial, from trials of its method, else of any, else from the first look."""
        known = self.per_token.get(config["method"]) or max(self.per_token.values(), default=0.0)
        if not known:  # a training step costs three to four forward passes
            known = 4 * self.look_seconds / self.split.answers
            known /= float(self.training_rows(config)["forget"].lengths.mean())
        return self.tokens(config) * known

    # -- one trial

    def train(self, trial, config: dict, first: bool, has_time: Callable) -> Trained:
        """Unlearns in place, from the target's weights.

        `first`: the search's first trial, which is never given up. `has_time(seconds)`: whether the trial may take
        that much longer. Raises `GivenUp`, `Diverged`, `MethodError` and `DataError`.
        """
        began = time.monotonic()
        rows, model, records = self.with_samples(config), self.model, []
        if config["use_peft"]:
            torch.manual_seed(config["seed"])  # the adapter starts with the random matrices of the winner's run
            names = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
            model = adapters.add_lora(model, **{name.removeprefix("lora_"): config[name] for name in names})
        whole = {**config, "update_scale": 1.0}  # `scaled` scales the change afterwards
        run = algorithm.Unlearning(model, rows, config["method"], whole, pad_token_id=self.tokenizer.pad_token_id)
        try:
            run.prepare()
            for record in run.steps():
                self.switch.check()
                kind, step = record["event"], record["step"]
                if kind != "best" and (kind != "step" or step % config["logging_steps"] == 0):
                    records.append(record)  # the winner's run, which resumes the trial, writes "best" itself
                if kind == "collapse":
                    raise GivenUp(record["message"])
                if kind == "evaluation" and step:
                    self._consider(trial, run, record, first)
                if not (first or has_time(0)):
                    raise GivenUp("out of time")
            run.optimizer.reset()  # the training is over: the state needs no AdamW moments
            state = run.state()
        finally:
            if hasattr(run, "optimizer"):
                run.close()
            self.model = model.merge_and_unload() if config["use_peft"] else model
            if run.step:
                read = self.tokens(config) * run.step / run.total_steps
                self.per_token[config["method"]] = (time.monotonic() - began) / read
        return Trained(state, records, time.monotonic() - began)

    def _consider(self, trial, run, record: dict, first: bool):
        """Raises `GivenUp` if the loop's probes show a hopeless trial, or one below the median at this point.

        The first trial is the tool's default, which the winner has to beat, so it always runs to its end.
        """
        done = record["step"] / run.total_steps
        value, way, left = search_score.probe_score(run.start, record, run.level)
        place = round(10 * done)
        if place not in trial.user_attrs.get("places", []):
            trial.set_user_attr("places", [*trial.user_attrs.get("places", []), place])
            trial.report(value, place)
        if first or done < HALF_WAY or done == 1 or run.method.reverses or run.method.update:
            return  # the probes of a method that turns its change around, or walks a line, do not show its end
        seen = f"after {done:.0%} of its steps it is {way:.0%} of the way to the level and keeps {left:.0%} of retain"
        # a run to the end wins back what it lost on the way, and less of its change forgets less
        lost = way > OVERSHOT or left < DAMAGED * self.config["utility_budget"]
        if way < INERT or (lost and run.settings.early_stop):
            raise GivenUp(f"hopeless: {seen}")
        prunable = trial.user_attrs["default"] and run.settings.early_stop
        if prunable and trial.should_prune():  # a change to the best trial starts near the best
            raise GivenUp(f"below the median: {seen}")

    def scaled(self, trial, config: dict, best: float, has_time: Callable) -> search_score.Score:
        """The score of the trained weights with the best factor on their change. Stores the factor in the trial.

        `best`: the best score so far; a trial far below it is scored at factor 1 only.
        """
        own = self.model.state_dict()
        trained, found = {name: value.clone() for name, value in own.items()}, {}

        def value(scale: float) -> float:
            for name, weight in own.items():
                if weight.is_floating_point():
                    weight.copy_(torch.lerp(self.kept[name], trained[name], scale) if scale != 1 else trained[name])
            found[scale] = self.judge.score(self.look())
            return found[scale].objective(self.config["utility_budget"])

        if "update_scale" in self.given:
            value(config["update_scale"])
        else:
            climb(
                value,
                lambda: -1 if found[1.0].utility < self.config["utility_budget"] or found[1.0].beyond else 1,
                lambda: (found[1.0].score >= best - WITHIN_REACH or found[1.0].beyond) and has_time(self.look_seconds),
            )
        scale = max(found, key=lambda scale: found[scale].objective(self.config["utility_budget"]))
        if scale != 1:
            trial.set_user_attr("settings", {**trial.user_attrs["settings"], "update_scale": scale})
        names = ("forgetting", "privacy", "utility", "score")
        looks = [{"update_scale": at, **{name: getattr(found[at], name) for name in names}} for at in sorted(found)]
        trial.set_user_attr("looks", looks)
        return found[scale]

    def restore(self):
        """Puts the target's weights back."""
        self.model.load_state_dict(self.kept)
