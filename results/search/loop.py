"""--method auto: searches methods and settings for the best score within the utility budget and the time budget.

    choose(config, given, folder, switch) -> the settings of the winner's run

`results.search.study` proposes trials, `results.search.trial` trains and scores them, on other people than the
request's where the retain set has enough (`results.search.rehearsal`). The run folder keeps the study (search.db;
readable as search.json and trials.csv), so a killed search continues. A search on the request's own rows also keeps the
end state of the best trial, so that its winner is not trained twice.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import evaluation_metrics
import unlearning_algorithm as algorithm
from data import preparation, reading
from data.columns import DataError
from data.sampling import spread
from models.store import adapters, folders, loading
from models.store.paths import PROJECT
from results.run import measuring, processes, run_folder
from results.run.options import BUNDLED, UsageError, command_line, searched, seconds_of
from results.run.run_folder import FREE_ON_RESUME, say
from results.run.sets import read_sets
from results.search import score as search_score
from results.search.rehearsal import OWN_ROWS, rehearsal
from results.search.study import (
    ask,
    configuration,
    drop,
    finished,
    open_study,
    settings_of,
    spaces,
    summary,
    trials_csv,
)
from results.search.trial import GivenUp, Trained, Trainer

AROUND = 20  # estimated seconds of the winner's run besides loading and measuring
RECORDS = "metrics.jsonl"  # of a trial, beside its state
FREE = {*FREE_ON_RESUME, "time_budget", "max_trials"} - {"eval_rows"}  # may change when a search continues
PLACES = ("output_dir", "model_output_dir", "overwrite_output_dir", "resume_from_checkpoint")  # of this run only


class Clock:
    """The time budget and what is left of it. `used`: seconds of earlier processes of the same search."""

    def __init__(self, budget: float, now=time.monotonic):
        self.budget, self.used, self.now, self.started = budget, 0.0, now, now()

    @property
    def spent(self) -> float:
        """Seconds used so far."""
        return self.used + self.now() - self.started

    def holds(self, trial: float, reserve: float) -> bool:
        """Whether a trial of `trial` seconds leaves `reserve` seconds for the winner's run."""
        return self.budget - self.spent >= trial + reserve


def choose(config: dict, given: dict, folder, switch) -> dict:
    """Starts or continues a search; returns the settings of the winner's run, by flag name.

    `config`: resolved settings of --method auto; `given`: the user's settings. If the time is too short for a single
    trial, the tool's default method runs with its defaults.
    """
    if config["resume_from_checkpoint"] and not folder.begun_before:
        raise UsageError(f"--resume_from_checkpoint {config['resume_from_checkpoint']}: no search in {folder.path}")
    clock = Clock(seconds_of(config["time_budget"]))
    folder.stage("preparing")
    sets = read_sets({**config, "method": searched(given)[0]})
    target = config["model_name_or_path"]
    if config["retrained_model"]:  # fail now, not in the winner's run
        evaluation_metrics.refuse_target_as_retrained(target, config["retrained_model"])
    if config["use_peft"]:
        adapters.check_lora_modules(loading.weights_folder(target), config["lora_target_modules"])
    asked = {**given, "utility_budget": config["utility_budget"]}
    identity = {name: value for name, value in asked.items() if name not in FREE}
    identity |= {f"data {split}": content for split, content in sets.hashes.items()}
    identity["model"] = loading.model_hash(target)
    before = earlier(folder.path, identity)
    if before.get("chosen") and all(before[name] == config[name] for name in ("time_budget", "max_trials")):
        say(f"the search is over: trial {before['winner']} won")
        return before["chosen"] | going_on(folder.path, before["winner"])
    folder.stage("searching")
    return Search(config, given, folder, switch, sets, clock, identity).run()


def earlier(folder: Path, identity: dict) -> dict:
    """search.json of an earlier process; {} for none. Raises UsageError if it belongs to another search."""
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
    """The setting that starts the winner's run where its trial ended; {} if the state was not kept."""
    kept = folder / f"{run_folder.TRIAL}{winner}"
    if not kept.is_dir() or folders.verify_manifest(kept):
        return {}
    shutil.copyfile(kept / RECORDS, folder / "metrics.jsonl")
    return {"resume_from_checkpoint": str(kept)}


class Search:
    """A running search: the study, the clock and the trainer with the target in memory."""

    def __init__(self, config: dict, given: dict, folder, switch, sets, clock: Clock, identity: dict):
        self.config, self.given, self.folder, self.switch = config, given, folder, switch
        self.sets, self.clock, self.identity = sets, clock, identity
        self.spaces = spaces(given, sets.steering.examples["forget"])
        self.trainer = Trainer(config, given, switch)
        self._choose_rows()
        models = [path for path in (config["model_name_or_path"], config["retrained_model"]) if path]
        kept = [measuring.kept_path("metrics", sets, config, loading.model_hash(path)) for path in models]
        evaluations = 1 + sum(not path.exists() for path in kept)
        self.around = self.trainer.load_seconds + AROUND + evaluations * self.trainer.evaluation_seconds(sets.measured)
        self.study = open_study(folder.path / "search.db")

    def _choose_rows(self):
        """Gives the trainer the rehearsal's rows, or the request's own if there is none or the model knows it not."""
        own = self.sets.steering.examples
        examples, self.note = rehearsal(own)
        if examples:
            self._take(examples)
            if not self.trainer.judge.knows:
                say("the model knows the other people no better than rows never seen")
                examples, self.note = None, OWN_ROWS
        self.rehearsed = examples is not None
        if not self.rehearsed:
            self._take(own)
        say(f"the search is {self.note}" if self.rehearsed else self.note)
        for note in self.trainer.split.notes:
            say(f"the search judges by {note}")

    def _take(self, examples: dict):
        general = self._general_rows(examples["forget"])
        self.trainer.take(examples, search_score.search_split(examples, self.sets.measured, general))

    def _general_rows(self, forget: list) -> list:
        """Texts of the bundled general retain set that no trial trains on."""
        if self.config["retain_data"] == BUNDLED["general_retain"]:
            return []
        texts = reading.read_examples(str(PROJECT / BUNDLED["general_retain"]))
        texts, _ = preparation.remove_overlap(forget, texts, True)
        counts = {configuration(name, {}, self.given)["general_retain_rows"] for name in self.spaces} - {0}
        counts |= {round(ranges["general_retain_rows"][1]) for ranges in self.spaces.values()
                   if "general_retain_rows" in ranges}  # fmt: skip
        trained = {id(text) for count in counts for text in spread(texts, count)}
        return search_score.own_rows([text for text in texts if id(text) not in trained], [])

    def run(self) -> dict:
        """Runs trials until time or trials run out; returns the settings of the winner's run."""
        done = finished(self.study)
        self.clock.used = sum(trial.user_attrs.get("seconds", 0.0) for trial in done)
        if done:
            say(f"the search continues after {len(done)} trials")
        report = self.write("searching")
        while len(done) < self.config["max_trials"]:
            self.switch.check()
            trial, method, settings = ask(self.study, self.spaces, self.config["seed"])
            config = configuration(method, settings, self.given)
            seconds, reserve = self.trainer.estimate(config), self.around
            # the winner's run must train
            if self.rehearsed or (done and not run_folder.kept_trials(self.folder.path)):
                best = _winner(report)
                reserve += max(best["training_seconds"] if best else 0.0, seconds) * self._size()
            if not self.clock.holds(seconds + self.trainer.look_seconds, reserve):
                drop(self.study, trial.number)
                left = self.clock.budget - self.clock.spent
                say(f"no time for another trial: {left:.0f} s are left; the trial takes about {seconds:.0f} s and the "
                    f"winner's run about {reserve:.0f} s")  # fmt: skip
                break
            described = ", ".join(f"{name} {value:g}" for name, value in settings.items())
            say(f"trial {len(done) + 1}: {method}: {described}")
            self.folder.update(doing=f"trial {len(done) + 1}: {method}")
            self.attempt(trial, config, reserve, first=not done)
            done = finished(self.study)
            report = self.write("searching")
            say(f"  {_outcome(report['trials'][-1])}")
            self.switch.kept = (f"{len(done)} trials are kept; the same command with --output_dir={self.folder.path} "
                                "continues the search")  # fmt: skip
        return self._finish(_winner(report))

    def _size(self) -> float:
        """Rows of the request for each row that the trials forget; the winner's run takes so much longer."""
        return len(self.sets.steering.examples["forget"]) / len(self.trainer.rows.examples["forget"])

    def attempt(self, trial, config: dict, reserve: float, first: bool):
        """Trains and scores one trial, reports it to the study, and keeps the end state of a new best trial."""
        import optuna

        def has_time(seconds: float) -> bool:
            return self.clock.holds(seconds, reserve)

        began, value = time.monotonic(), None
        try:
            trained = self.trainer.train(trial, config, first, has_time)
            scores = [other.user_attrs["score"] for other in finished(self.study) if "score" in other.user_attrs]
            found = self.trainer.scaled(trial, config, max(scores, default=0.0), has_time)
            for name in search_score.NUMBERS:
                trial.set_user_attr(name, getattr(found, name))
            trial.set_user_attr("training_seconds", trained.seconds)
            value = found.objective(self.config["utility_budget"])
        except (GivenUp, algorithm.Diverged, algorithm.MethodError, DataError) as error:
            trial.set_user_attr("why", str(error))
        finally:
            self.trainer.restore()
        trial.set_user_attr("seconds", time.monotonic() - began)
        states = optuna.trial.TrialState
        self.study.tell(trial, value, states.PRUNED if value is None else states.COMPLETE)
        report = summary(self.study, self.config["utility_budget"])
        if value is not None and not self.rehearsed and report["winner"] == len(report["trials"]):
            best = report["trials"][-1]
            self.keep(best["number"], configuration(best["method"], best["settings"], self.given), trained)

    def keep(self, number: int, config: dict, trained: Trained):
        """Writes a trial's end state and records, and deletes those of the best trial before it."""
        target = self.folder.path / f"{run_folder.TRIAL}{number}"
        records = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in trained.records)
        identity = run_folder.identity_of(config, self.sets.hashes, self.identity["model"], processes.team().layout)
        before = run_folder.kept_trials(self.folder.path)
        try:
            run_folder.write_state(target, *trained.state, identity, {RECORDS: records})
        except folders.ModelError as error:
            say(f"note: {error}; if trial {number} wins, it is trained once more")
            return
        for old in before:
            shutil.rmtree(old, ignore_errors=True)

    def _finish(self, best: dict | None) -> dict:
        method, settings = (best["method"], best["settings"]) if best else (searched(self.given)[0], {})
        chosen = {**settings_of(method, self.given), "method": method, **settings}
        self.write("chosen", chosen)
        if best is None:
            say(f"no trial was completed in {self.config['time_budget']}: {method} runs with its defaults")
        else:
            budget = self.config["utility_budget"]
            least = f"{100 * budget:.6g} %"
            kept = "within the budget" if best["within"] else f"no trial kept {least}; this one kept the most"
            say(f"trial {best['number']} wins ({kept}): {_outcome(best)}")
            trained = best["training_seconds"]  # counted in the winner's run, so not here if this process spent it
            here = min(trained, self.clock.now() - self.clock.started)
            if kept_state := going_on(self.folder.path, best["number"]):
                self.folder.seconds |= {"unlearning": trained, "searching": -here}
            chosen |= kept_state
        return chosen

    def write(self, state: str, chosen: dict | None = None) -> dict:
        """Replaces search.json and trials.csv; returns the content of search.json."""
        report = {
            "state": state, "command": command_line(self.given), "identity": self.identity,
            "time_budget": self.config["time_budget"], "max_trials": self.config["max_trials"],
            "seconds": round(self.clock.spent, 1), "rehearsal": self.note, "rows": self.trainer.split.notes,
            "methods": list(self.spaces),
            "goals": {f"{metric} {view}": pair for (view, metric), pair in self.trainer.judge.goals.items()},
            **summary(self.study, self.config["utility_budget"]),
        }  # fmt: skip
        if chosen is not None:
            lasting = {name: value for name, value in chosen.items() if name not in PLACES}
            report |= {"chosen": chosen, "winner_command": command_line(lasting)}
        temporary = self.folder.path / ".trials.csv.tmp"
        temporary.write_text(trials_csv(report["trials"]), encoding="utf-8")
        temporary.replace(self.folder.path / "trials.csv")
        self.folder.write_json("search.json", report)
        return report


def _winner(report: dict) -> dict | None:
    """The winning trial's entry; its number is its place."""
    return report["trials"][report["winner"] - 1] if report["winner"] else None


def _outcome(trial: dict) -> str:
    if trial["state"] != "complete":
        return f"given up after {trial['seconds']:.0f} s: {trial['why']}"
    names = [name for name in ("score", "forgetting", "privacy", "utility") if trial[name] is not None]
    told = ", a test can distinguish it from unseen rows" if trial["told_apart"] else ""
    return ", ".join(f"{name} {trial[name]:.3f}" for name in names) + f"{told}, {trial['seconds']:.0f} s"
