"""--method auto: searches methods and their settings for the best score within the utility budget and the time budget.

    choose(config, given, folder, switch, read_sets, encode_sets) -> what the winner's run is to be given

A trial is a whole unlearning run on all rows that the winner's run trains on, from the same weights in memory. It is
judged on the search's own rows (`results.search.score`), never by the evaluation's paraphrases and perturbed answers:
those are taken off the rows before any trial sees them. Its probes, by which a hopeless trial is given up, look at what
it trains on, as in every run: so the winner's command ends in the weights that were judged. Once trained, less and more
of a trial's change is looked at too (--update_scale): that costs a look and no training.

The best trial so far lies in the run folder as a checkpoint at its end, so that the winner is not trained twice.

What comes next is `results.search.study`'s business. The study lies in the run folder (search.db), for people as
search.json and trials.csv; a killed search goes on from there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from pathlib import Path

import evaluation_metrics
import unlearning_algorithm as algorithm
from data import preparation
from data.sampling import spread
from models.store import adapters, folders, loading
from models.store.paths import PROJECT
from results.run import measuring, processes, run_folder
from results.run.options import BUNDLED, UsageError, command_line, resolve, searched, seconds_of
from results.run.run_folder import FREE_ON_RESUME, say
from results.search import score as search_score
from results.search.study import (
    ask,
    candidates,
    drop,
    finished,
    open_study,
    settings_of,
    space,
    summary,
    trials_csv,
    winner,
)

HALF_WAY = 0.5  # of a trial's steps: from there on it may be given up
INERT, OVERSHOT, DAMAGED = (
    0.1,
    2.0,
    0.75,
)  # hopeless: less of the way gone, more of it, less of the budget's retain left
TIMED_ROWS = 4  # of each set, on which the evaluation is timed
AROUND = 20  # seconds of the winner's run beside loading and measuring, about
SCALE_STEP, SCALES = 0.1, (0.3, 1.5)  # of --update_scale, in which it is looked for
WITHIN_REACH = 0.15  # of the best score: a trial further below is not looked at with other scales
RECORDS = "metrics.jsonl"  # of a trial, beside its state
FREE = {*FREE_ON_RESUME, "time_budget", "max_trials"} - {"eval_rows"}  # what a search may go on with another value of


PLACES = ("output_dir", "model_output_dir", "overwrite_output_dir", "resume_from_checkpoint")  # of this run alone


class GivenUp(Exception):
    """A trial is not worth its time; the message says why."""


class Clock:
    """What is left of the time budget; `used` seconds went in earlier processes of the same search."""

    def __init__(self, budget: float, now=time.monotonic):
        self.budget, self.used, self.now, self.started = budget, 0.0, now, now()

    @property
    def spent(self) -> float:
        """Seconds gone."""
        return self.used + self.now() - self.started

    def holds(self, trial: float, reserve: float) -> bool:
        """Whether a trial of about `trial` seconds leaves `reserve` seconds for the winner's run."""
        return self.budget - self.spent >= trial + reserve


def choose(config: dict, given: dict, folder, switch, read_sets, encode_sets) -> dict:
    """Searches, or goes on with a search, and returns what the winner's run is to be given, by flag name.

    `config`: resolved settings of --method auto; `given`: what was given. The last three are the runner's. Where the
    time holds no trial at all, the tool's default method with its defaults is returned.
    """
    if config["resume_from_checkpoint"] and not folder.begun_before:
        raise UsageError(f"--resume_from_checkpoint {config['resume_from_checkpoint']}: no search in {folder.path}")
    clock = Clock(seconds_of(config["time_budget"]))
    folder.stage("preparing")
    sets = read_sets({**config, "method": searched(given)[0]})
    if config["retrained_model"]:  # what would end the winner's run is said now
        evaluation_metrics.refuse_target_as_retrained(config["model_name_or_path"], config["retrained_model"])
    if config["use_peft"]:
        adapters.check_lora_modules(loading.weights_folder(config["model_name_or_path"]), config["lora_target_modules"])
    identity = {name: value for name, value in {**given, "utility_budget": config["utility_budget"]}.items()
                if name not in FREE}  # fmt: skip
    identity |= {f"data {split}": preparation.data_hash(rows) for split, rows in sets.examples.items()}
    identity["model"] = loading.model_hash(config["model_name_or_path"])
    before = earlier(folder.path, identity)
    if before.get("chosen") and all(before[name] == config[name] for name in ("time_budget", "max_trials")):
        say(f"the search is over: trial {before['winner']} won")
        return before["chosen"] | going_on(folder.path, before["winner"])
    folder.stage("searching")
    search = Search(config, given, folder, switch, sets, encode_sets, clock, identity)
    unchanged = [path for name in ("model_name_or_path", "retrained_model") if (path := config[name])]
    unchanged = [measuring.kept_path("metrics", sets, config, loading.model_hash(path)) for path in unchanged]
    search.load(1 + sum(not path.exists() for path in unchanged))
    return search.run()


def earlier(folder: Path, identity: dict) -> dict:
    """What a search in this folder has written; {} for none. Refuses to go on with another one's."""
    try:
        before = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    known = before["identity"]
    now = json.loads(json.dumps(identity))
    differing = sorted(name for name in {*known, *now} if known.get(name) != now.get(name))
    if differing:
        raise UsageError([
            f"{folder} holds another search: {name} was {known.get(name)!r}, is {now.get(name)!r}; "
            "choose another --output_dir, or delete its search.db and search.json" for name in differing
        ])  # fmt: skip
    return before


def going_on(folder: Path, winner: int | None) -> dict:
    """What lets the winner's run go on from where its trial ended, by flag name; {} where its state was not kept."""
    kept = folder / f"{run_folder.TRIAL}{winner}"
    if not kept.is_dir() or folders.verify_manifest(kept):
        return {}
    shutil.copyfile(kept / RECORDS, folder / "metrics.jsonl")
    return {"resume_from_checkpoint": str(kept)}


def climb(value, first, more=lambda: True) -> dict:
    """{scale: what `value(scale)` gave}, of the scales on the way to the best.

    From 1 by steps of `SCALE_STEP` as long as the value rises, to the side `first()` (1 or -1, asked once 1 is known)
    before the other; all as long as there is `more()` time.
    """
    seen = {1.0: value(1.0)}
    side = first()

    def rises(scale: float) -> bool:
        scale = round(scale, 3)
        if scale in seen or not SCALES[0] <= scale <= SCALES[1] or not more():
            return False
        seen[scale] = value(scale)
        return max(seen, key=seen.get) == scale

    for step in (side * SCALE_STEP, -side * SCALE_STEP):
        at = 1.0
        while rises(at + step):
            at += step
        if at != 1.0:
            break
    return seen


class Search:
    """A search at work: the target's weights in memory, the search's own rows, the study, the clock."""

    def __init__(self, config: dict, given: dict, folder, switch, sets, encode_sets, clock: Clock, identity: dict):
        self.config, self.given, self.folder, self.switch = config, given, folder, switch
        self.sets, self.encode_sets, self.clock, self.identity = sets, encode_sets, clock, identity
        self.budget = config["utility_budget"]
        self.spaces = {name: space(name, given) for name in candidates(given, sets.examples["forget"])}
        self.split = search_score.search_split(sets.examples, sets.measured, self._general_rows())
        bare = {name: [search_score.bare(row) for row in rows] for name, rows in sets.examples.items()}
        self.rows = dataclasses.replace(sets, examples=bare, measured={}, encoded={}, notes=[])
        self.encoded, self.per_token = {}, {}
        for note in self.split.notes:
            say(f"the search judges by {note}")

    def _general_rows(self) -> list:
        """Texts of the bundled general retain set that no trial trains on."""
        if self.config["retain_data"] == BUNDLED["general_retain"]:
            return []
        texts = preparation.read_examples(str(PROJECT / BUNDLED["general_retain"]))
        texts, _ = preparation.remove_overlap(self.sets.examples["forget"], texts, True)
        counts = {self.configuration(name, {})["general_retain_rows"] for name in self.spaces} - {0}
        counts |= {round(ranges["general_retain_rows"][1]) for ranges in self.spaces.values()
                   if "general_retain_rows" in ranges}  # fmt: skip
        trained = {id(text) for count in counts for text in spread(texts, count)}
        return search_score.own_rows([text for text in texts if id(text) not in trained], [])

    def load(self, measured: int):
        """Loads the target, keeps its weights, judges it, and times what the winner's run costs beside its training,
        in which `measured` models are measured."""
        from models.training import weights

        began, path = time.monotonic(), self.config["model_name_or_path"]
        self.tokenizer = loading.load_tokenizer(path)
        self.model, _ = loading.load_model(
            path, dtype="float32", attn_implementation=self.config["attn_implementation"], progress=say
        )
        self.kept = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.dtype = weights.compute_dtype(self.config["dtype"], self.model.device)
        loaded = time.monotonic() - began
        self.judge = search_score.Judge(self.look(), self.config["level"])
        self.looking = time.monotonic() - began - loaded
        self.around = loaded + AROUND + measured * self._evaluation_seconds()

    def look(self) -> dict:
        """What the search sees of the model as it is now."""
        from models.training import weights

        with weights.computing_in(self.model, self.dtype):
            return search_score.look(self.model, self.tokenizer, self.split, self.config["max_length"])

    def _evaluation_seconds(self) -> float:
        """About how long measuring a model takes: a few own rows are timed, with stand-ins of the number and size of
        the evaluation's strings."""
        from models.training import weights

        few = {
            split: [dataclasses.replace(row, paraphrased_answer=row.answer,
                                        perturbed_answer=(row.answer,) * len(measured[0].perturbed_answer))
                    for row in self.split.views["asked"][split][:TIMED_ROWS]]
            for split, measured in self.sets.measured.items()
            if measured and self.split.views["asked"].get(split)
        }  # fmt: skip
        names = self.config["metrics"]
        names = None if names == "all" else [name.strip() for name in names.split(",")]
        began = time.monotonic()
        with weights.computing_in(self.model, self.dtype):
            evaluation_metrics.evaluate_model(
                self.model, self.tokenizer, few, metrics=names, max_length=self.config["max_length"]
            )
        share = sum(map(len, self.sets.measured.values())) / sum(map(len, few.values()))
        return (time.monotonic() - began) * share

    # -- one trial

    def configuration(self, method: str, settings: dict) -> dict:
        """The whole configuration of a trial, checked like any run's."""
        return resolve({**settings_of(method, self.given), **settings, "method": method})

    def training_rows(self, config: dict) -> dict:
        """The encoded rows that a trial trains on and that its probes look at: those of a run with its command."""
        key = (algorithm.METHODS[config["method"]].augmentation, config["retain_loss"], config["general_retain_rows"])
        if key not in self.encoded:
            rows = dataclasses.replace(self.rows, encoded={}, notes=[])
            self.encode_sets(rows, self.tokenizer, config)
            self.encoded[key] = rows.encoded
        return self.encoded[key]

    def tokens(self, config: dict) -> float:
        """Tokens that a trial reads, if nothing ends it early."""
        rows = self.training_rows(config)
        forget = rows[algorithm.METHODS[config["method"]].trained_set]
        batch = config["per_device_train_batch_size"] * config["gradient_accumulation_steps"]
        steps = math.ceil(config["num_train_epochs"] * math.ceil(len(forget) / batch))
        each = min(batch, len(forget)) * float(forget.lengths.mean())
        if config["retain_loss"] != "none":
            each += batch * config["retain_rows_per_forget_row"] * float(rows["retain"].lengths.mean())
        return each * (config["max_steps"] if config["max_steps"] > 0 else steps)

    def estimate(self, config: dict) -> float:
        """About how many seconds a trial trains: by earlier ones of its method, else of any, else by the first look."""
        known = self.per_token.get(config["method"]) or max(self.per_token.values(), default=0.0)
        if not known:  # a training step costs some three passes, and the rows of the first look were some 200 tokens
            known = 4 * self.looking / self.split.answers
            known /= float(self.training_rows(config)["forget"].lengths.mean())
        return self.tokens(config) * known

    def train(self, trial, config: dict, reserve: float, first: bool) -> float:
        """Unlearns from the target's weights, in place; returns the seconds. Raises `GivenUp`."""
        import torch

        rows, began, model = self.training_rows(config), time.monotonic(), self.model
        if config["use_peft"]:
            torch.manual_seed(config["seed"])  # as in the winner's run: the adapter begins with random matrices
            names = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules")
            model = adapters.add_lora(model, **{name.removeprefix("lora_"): config[name] for name in names})
        whole = {**config, "update_scale": 1.0}  # the change is scaled when it has been made
        run = algorithm.Unlearning(model, rows, config["method"], whole, pad_token_id=self.tokenizer.pad_token_id)
        self.records = []
        try:
            run.prepare()
            for record in run.steps():
                self.switch.check()
                if record["event"] not in ("step", "best") or record["step"] % config["logging_steps"] == 0:
                    self.records.append(record)
                if record["event"] == "collapse":
                    raise GivenUp(record["message"])
                if record["event"] == "evaluation" and record["step"]:
                    self._consider(trial, run, record, first)
                if not (first or self.clock.holds(0, reserve)):
                    raise GivenUp("out of time")
            self.records = [record for record in self.records if record["event"] != "best"]
            run.optimizer.reset()  # nothing is trained from here on
            self.state = run.state()
        finally:
            if hasattr(run, "optimizer"):
                run.close()
            self.model = model.merge_and_unload() if config["use_peft"] else model
            if run.step:
                read = self.tokens(config) * run.step / run.total_steps
                self.per_token[config["method"]] = (time.monotonic() - began) / read
        return time.monotonic() - began

    def _consider(self, trial, run, record: dict, first: bool):
        """Gives a trial up that is hopeless by the loop's own probes, or worse than most were at this part of the way.

        The first trial is the tool's default, which the winner has to beat: it is brought to its end.
        """
        done = record["step"] / run.total_steps
        value, way, left = search_score.probe_score(run.start, record, run.level)
        place = round(10 * done)
        if place not in trial.user_attrs.get("places", []):
            trial.set_user_attr("places", [*trial.user_attrs.get("places", []), place])
            trial.report(value, place)
        if first or done < HALF_WAY or done == 1:
            return
        seen = f"after {done:.0%} of its steps {way:.0%} of the way to the level is gone and {left:.0%} of retain left"
        if way < INERT or way > OVERSHOT or left < DAMAGED * self.budget:
            raise GivenUp(f"hopeless: {seen}")
        if trial.user_attrs["default"] and trial.should_prune():  # a change of the best is no stranger to compare
            raise GivenUp(f"below the median: {seen}")

    def attempt(self, trial, config: dict, reserve: float, first: bool):
        """One trial from start to score, told to the study; afterwards the target's weights are back."""
        import optuna

        began, state, value = time.monotonic(), optuna.trial.TrialState.PRUNED, None
        try:
            seconds = self.train(trial, config, reserve, first)
            found = self.scaled(trial, config, reserve)
            for name in ("forgetting", "privacy", "utility", "score", "quality", "parts"):
                trial.set_user_attr(name, getattr(found, name))
            trial.set_user_attr("training_seconds", seconds)
            state, value = optuna.trial.TrialState.COMPLETE, found.objective(self.budget)
        except (GivenUp, algorithm.Diverged, algorithm.MethodError) as error:
            trial.set_user_attr("why", str(error))
        finally:
            self.model.load_state_dict(self.kept)
        trial.set_user_attr("seconds", time.monotonic() - began)
        self.study.tell(trial, value, state)
        report = summary(self.study, self.budget)
        if value is not None and report["winner"] == len(report["trials"]):
            best = report["trials"][-1]
            self.keep(best["number"], self.configuration(best["method"], best["settings"]))
        self.state = None

    def scaled(self, trial, config: dict, reserve: float) -> search_score.Score:
        """The score of the trained weights with the best factor on their change; the factor is told to the trial."""
        import torch

        weights = self.model.state_dict()
        trained, found = {name: value.clone() for name, value in weights.items()}, {}

        def value(scale: float) -> float:
            for name, own in weights.items():
                if own.is_floating_point():
                    own.copy_(torch.lerp(self.kept[name], trained[name], scale) if scale != 1 else trained[name])
            found[scale] = self.judge.score(self.look())
            return found[scale].objective(self.budget)

        if "update_scale" in self.given:
            value(config["update_scale"])
        else:
            done = [other.user_attrs["score"] for other in finished(self.study) if "score" in other.user_attrs]
            floor = max(done, default=0.0) - WITHIN_REACH
            climb(
                value,
                lambda: -1 if found[1.0].utility < self.budget else 1,
                lambda: found[1.0].score >= floor and self.clock.holds(self.looking, reserve),
            )
        scale = max(found, key=lambda scale: found[scale].objective(self.budget))
        if scale != 1:
            trial.set_user_attr("settings", {**trial.user_attrs["settings"], "update_scale": scale})
        names = ("forgetting", "privacy", "utility", "score")
        looks = [{"update_scale": at, **{name: getattr(seen, name) for name in names}} for at, seen in found.items()]
        trial.set_user_attr("looks", sorted(looks, key=lambda look: look["update_scale"]))
        return found[scale]

    def keep(self, number: int, config: dict):
        """Writes the state in which a trial has ended, and its records, and deletes that of the best one before it."""
        target = self.folder.path / f"{run_folder.TRIAL}{number}"
        records = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in self.records)
        hashes = {split: preparation.data_hash(rows) for split, rows in self.sets.examples.items()}
        identity = run_folder.identity_of(config, hashes, self.identity["model"], processes.team().layout)
        before = run_folder.kept_trials(self.folder.path)
        try:
            run_folder.write_state(target, *self.state, identity, {RECORDS: records})
        except folders.ModelError as error:
            say(f"note: {error}; if trial {number} wins, it is trained once more")
            return
        for old in before:
            shutil.rmtree(old, ignore_errors=True)

    # -- all trials

    def run(self) -> dict:
        """Tries until time or trials run out; what the winner's run is to be given."""
        self.study = open_study(self.folder.path / "search.db")
        done = finished(self.study)
        self.clock.used = sum(trial.user_attrs.get("seconds", 0.0) for trial in done)
        if done:
            say(f"the search goes on after {len(done)} trials")
        self.write("searching")
        while len(done) < self.config["max_trials"]:
            self.switch.check()
            trial, method, settings = ask(self.study, self.spaces, self.config["seed"])
            config = self.configuration(method, settings)
            seconds = self.estimate(config)
            reserve = self.around
            if done and not run_folder.kept_trials(self.folder.path):  # the winner's run has to train
                best = winner(summary(self.study, self.budget)["trials"])
                reserve += max(best["training_seconds"] if best else 0.0, seconds)
            if not self.clock.holds(seconds + self.looking, reserve):
                drop(self.study, trial.number)
                say(f"the time left, {self.clock.budget - self.clock.spent:.0f} s, holds no further trial (some "
                    f"{seconds:.0f} s) beside the winner's run (some {reserve:.0f} s)")  # fmt: skip
                break
            described = ", ".join(f"{name} {value:g}" for name, value in settings.items())
            say(f"trial {len(done) + 1}: {method}: {described}")
            self.folder.update(doing=f"trial {len(done) + 1}: {method}")
            self.attempt(trial, config, reserve, first=not done)
            done = finished(self.study)
            report = self.write("searching")
            say(f"  {_outcome(report['trials'][-1])}")
            self.switch.kept = f"{len(done)} trials are kept; the same command with --output_dir={self.folder.path} "
            self.switch.kept += "goes on from there"
        return self._finish()

    def _finish(self) -> dict:
        best = winner(summary(self.study, self.budget)["trials"])
        method, settings = (best["method"], best["settings"]) if best else (searched(self.given)[0], {})
        chosen = {**settings_of(method, self.given), "method": method, **settings}
        self.write("chosen", chosen)
        if best is None:
            say(f"no trial came to its end in {self.config['time_budget']}: {method} runs with its defaults")
        else:
            kept = "within the budget" if best["within"] else f"none kept {self.budget:.0%}: this one kept most"
            say(f"trial {best['number']} wins ({kept}): {_outcome(best)}")
            trained = best["training_seconds"]  # its run's, not the search's, unless an earlier process trained it
            here = min(trained, self.clock.now() - self.clock.started)
            self.folder.seconds |= {"unlearning": trained, "searching": -here}
            chosen |= going_on(self.folder.path, best["number"])
        del self.model, self.kept
        return chosen

    def write(self, state: str, chosen: dict | None = None) -> dict:
        """search.json and trials.csv, whole, after every trial."""
        report = {
            "state": state, "command": command_line(self.given), "identity": self.identity,
            "time_budget": self.config["time_budget"], "max_trials": self.config["max_trials"],
            "seconds": round(self.clock.spent, 1), "rows": self.split.notes, "methods": list(self.spaces),
            "goals": {f"{metric} {view}": pair for (view, metric), pair in self.judge.goals.items()},
            **summary(self.study, self.budget),
        }  # fmt: skip
        if chosen is not None:
            lasting = {name: value for name, value in chosen.items() if name not in PLACES}
            report |= {"chosen": chosen, "winner_command": command_line(lasting)}
        temporary = self.folder.path / ".trials.csv.tmp"
        temporary.write_text(trials_csv(report["trials"]), encoding="utf-8")
        temporary.replace(self.folder.path / "trials.csv")
        self.folder.write_json("search.json", report)
        return report


def _outcome(trial: dict) -> str:
    if trial["state"] != "complete":
        return f"given up after {trial['seconds']:.0f} s: {trial['why']}"
    names = [name for name in ("score", "forgetting", "privacy", "utility") if trial[name] is not None]
    told = ", told apart from rows never seen" if trial["told_apart"] else ""
    return ", ".join(f"{name} {trial[name]:.3f}" for name in names) + f"{told}, {trial['seconds']:.0f} s"
