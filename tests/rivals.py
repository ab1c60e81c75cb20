"""Every method at its best, compared at equal retention, by the tests of the verdict on memory.

    python tests/rivals.py                                             # everything; a second start continues
    python tests/rivals.py --tune --methods simnpo,npo                 # only the search for their settings
    python tests/rivals.py --methods simnpo --seeds 42 --sets bundled  # a slice; all slices fill the same table
    python tests/rivals.py --table                                     # prints the table of what is there

1. Settings. Each method gets the same number of trials (`--trials`) of --method auto, on four people of
   data/retain.jsonl who are in no reported set (the set "tuning"). Stopping rules are searched like other settings.
   Every method may keep the same general rows. `proxy_teacher`, the default, trains a second model in each trial, so it
   is not searched: it runs with its defaults, which were chosen on the set "bundled".
2. Runs. The settings found run on each set with each seed. "bundled" forgets the people of data/forget.jsonl, "others"
   four further people of data/retain.jsonl, "tofu" the two authors of TOFU's forget01 (from ../shared/data/tofu, or
   --tofu FOLDER; skipped without it). Missing targets and retrained models are trained first.
3. Equal retention (arXiv:2406.09179). The change of the weights is scaled, as --update_scale does, by the largest
   multiple of .05 that keeps the asked utility: .95 and .97 of the target's. It goes to 1, or as far as the search took
   this method. There the forget rows are judged.

Utility is measured without generated text here, so it differs a little from that of a run. Rows of the table are in
results/examples/rivals/retention.json, settings in settings.json beside it.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import statistics
import sys
from pathlib import Path

from measured import PARTS, ROOT, read, run, table, words_of, write

from models.verdict.gates import NO_CONTRAST, NOT_MEASURED, PASSED

RUNS, MODELS = ROOT / "results" / "runs" / "rivals", ROOT / "models" / "saved" / "rivals"
KEPT = ROOT / "results" / "examples" / "rivals" / "retention.json"
SETTINGS = KEPT.with_name("settings.json")
TOFU = ROOT.parent / "shared" / "data" / "tofu"
METHODS = ("proxy_teacher", "profile_matching", "level_matching", "simnpo", "npo", "altpo", "idk_dpo", "undial", "wga",
           "satimp", "gradient_difference", "permu", "permu_tok", "rmu", "task_vector", "perta",
           "repselect")  # fmt: skip
SETS, SEEDS, LEVELS, TRIALS = ("bundled", "others", "tofu"), (42, 1, 2), (0.95, 0.97), 12
STEP = 0.05  # of the factor on the change of the weights
KEPT_BY_ALL = "--general_retain_rows=40"  # a method with more rows to keep would have it easier at equal retention
METRICS = ("loss", "accuracy", "answer_probability", "extraction_strength", "exact_memorization", "truth_ratio",
           "paraphrase_probability", "option_probability", "multiple_choice_accuracy", "min_k", "min_k_plus_plus",
           "zlib_ratio")  # fmt: skip
NUMBERS = {  # column of the table: its name in evaluation.json
    "score": "score", "forgetting": "forgetting", "privacy": "privacy", "utility": "utility",
    "leaking rows": "leaking_rows", "membership gap": "membership_gap", "forget quality p": "forget_quality",
}  # fmt: skip
COMPARED = ("accuracy", "extraction_strength")  # metrics shown beside those of the retrained model
COMPARED_HEAD = ("forget accuracy (retrained)", "extraction strength (retrained)")
RETRAIN = ["--method=retrain", "--model_name_or_path=HuggingFaceTB/SmolLM2-135M-Instruct", "--use_peft", "--lora_r=16",
           "--lora_alpha=32", "--learning_rate=1e-3", "--num_train_epochs=8", "--lr_scheduler_type=linear",
           "--warmup_steps=10", "--per_device_train_batch_size=8", "--eval_steps=1000", "--probe_rows=4",
           "--eval_rows=4", "--metrics=loss", "--live_answers=0"]  # fmt: skip
BRIEF = ["--metrics=loss", "--eval_rows=4", "--live_answers=0", "--overwrite_output_dir", "--ledger=none"]


# ---------------------------------------------------------------------------------------------------------------------
# Sets of people


def people_of_retain() -> dict[str, list[str]]:
    """{set: its people of data/retain.jsonl}: four to tune on, four others to report."""
    rows = map(json.loads, (ROOT / "data" / "retain.jsonl").read_text(encoding="utf-8").splitlines())
    names = list(dict.fromkeys(row["subject"] for row in rows))
    return {"tuning": names[1::4], "others": names[3::4]}


def people(name: str) -> tuple[str, str]:
    """The (forget, retain) lines of the sets "tuning" and "others".

    The retain rows of "tuning" name no subject. A search with named retain rows rehearses on people of its own choice,
    who may be reported ones.
    """
    chosen = people_of_retain()[name]
    forget, retain = ((ROOT / "data" / f"{split}.jsonl").read_text(encoding="utf-8") for split in ("forget", "retain"))
    lines = retain.splitlines(keepends=True)
    asked = [line for line in lines if json.loads(line)["subject"] in chosen]
    kept = [*forget.splitlines(keepends=True), *(line for line in lines if json.loads(line)["subject"] not in chosen)]
    if name == "tuning":
        kept = [json.dumps({**json.loads(line), "subject": None}, ensure_ascii=False) + "\n" for line in kept]
    return "".join(asked), "".join(kept)


def _written(folder: Path, texts: dict[str, str]) -> list[str]:
    """The flags of data files with these texts, which it writes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return [f"--{name}_data={folder / f'{name}.jsonl'}" for name in texts]


def _trained(name: str, *flags: str) -> Path:
    """A model of the recipe `RETRAIN`; trains it if it is missing."""
    folder = MODELS / name
    if not (folder / "manifest.json").exists():
        run("unlearning_script.py", *RETRAIN, *flags, f"--output_dir={RUNS / 'trained' / name}",
            "--overwrite_output_dir", f"--model_output_dir={folder}", "--ledger=none")  # fmt: skip
    return folder


def tofu_texts(folder: Path) -> dict[str, str]:
    """TOFU's rows by set, each with its author as subject: 8 authors to keep, 2 unseen that steer, 4 that judge."""

    def named(name: str, first: int, last: int | None) -> str:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        rows = [{**json.loads(line), "subject": f"{name} author {n // 20 + 1}"} for n, line in enumerate(lines)]
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[first:last])

    return {"forget": named("forget01.jsonl", 0, None), "retain": named("retain400.jsonl", 0, 160),
            "holdout": named("retain400.jsonl", -120, -80), "judging": named("retain400.jsonl", -80, None)}  # fmt: skip


def flags_of(name: str, tofu: Path = TOFU) -> list[str]:
    """The flags for the data and the models of a set. Makes them if they are missing."""
    if name == "bundled":
        return []
    if name == "tofu":
        texts = tofu_texts(tofu)
        data = _written(RUNS / name, texts)
        unseen = [flag for flag in data if not flag.startswith(("--forget", "--retain"))]
        everything = _written(RUNS / name / "all", {"retain": texts["forget"] + texts["retain"]})
        target = _trained("tofu-target", "--method=fine_tuning", "--forget_data=none", *everything, *unseen)
        retrained = _trained("tofu-retrained", *data)
        return [*data, f"--model_name_or_path={target}", f"--retrained_model={retrained}"]
    forget, retain = people(name)
    data = _written(RUNS / name, {"forget": forget, "retain": retain})
    data += [f"--{split}_data=data/{split}.jsonl" for split in ("holdout", "judging")]
    target = "--model_name_or_path=models/people-target"
    if name == "tuning":
        return [*data, target]
    return [*data, target, f"--retrained_model={_trained(f'{name}-retrained', *data)}"]


# ---------------------------------------------------------------------------------------------------------------------
# Settings and runs


def trials_of(method: str, trials: int) -> int:
    """The trials that a method gets: none if it trains a second model in each, so that it cannot be searched."""
    import unlearning_algorithm as algorithm

    return 0 if algorithm.METHODS[method].needs_base else trials


def tuned(method: str, trials: int) -> dict:
    """{"settings", "most"}: those that `trials` trials on the set "tuning" found best, and how far they went.

    Kept in settings.json. Without trials a method has its defaults.
    """
    if not trials_of(method, trials):
        return {"settings": {"base_model": RETRAIN[1].split("=")[1]}, "most": 1.0}
    known = read(SETTINGS) if SETTINGS.exists() else {}
    if known.get(method, {}).get("trials") != trials:
        folder, model = (place / "tuning" / f"{method}-{trials}" for place in (RUNS, MODELS))
        if not (folder / "report.html").exists():
            run("unlearning_script.py", "--method=auto", f"--search_methods={method}", f"--max_trials={trials}",
                "--time_budget=100h", KEPT_BY_ALL, *flags_of("tuning"), *BRIEF[:3], "--ledger=none",
                f"--output_dir={folder}", f"--model_output_dir={model}")  # fmt: skip
        shutil.rmtree(model, ignore_errors=True)
        found = read(folder / "search.json")
        known = read(SETTINGS) if SETTINGS.exists() else {}  # another slice may have written meanwhile
        known[method] = {
            "trials": trials, "settings": settings_of(found["chosen"]), "tried": len(found["trials"]),
            "given up": sum(trial["state"] != "complete" for trial in found["trials"]),
            "most": max(1.0, found["chosen"].get("update_scale") or 1.0),
        }  # fmt: skip
        write(SETTINGS, dict(sorted(known.items())))
    return known[method]


def settings_of(chosen: dict) -> dict:
    """The settings of a method and its training among those of a search's winner, without seed and factor."""
    from results.run.options import OPTIONS

    return {name: value for name, value in chosen.items() if name not in ("seed", "update_scale")
            and name in OPTIONS and OPTIONS[name].group in ("training", "method")}  # fmt: skip


def trained(name: str, label: str, method: str, seed: int, settings: dict, flags: list[str]) -> Path:
    """The unlearned model of a run with these settings; runs it if there is none of this label and seed."""
    folder = MODELS / name / f"{label}-{seed}"
    if not (folder / "manifest.json").exists():
        chosen = [f"--{key}={str(value).lower() if isinstance(value, bool) else value}"
                  for key, value in settings.items()]  # fmt: skip
        run("unlearning_script.py", f"--method={method}", f"--seed={seed}", KEPT_BY_ALL, *chosen, *flags, *BRIEF,
            f"--output_dir={RUNS / name / f'{label}-{seed}'}", f"--model_output_dir={folder}")  # fmt: skip
    return folder


# ---------------------------------------------------------------------------------------------------------------------
# Equal retention


def largest_scale(utility, level: float, most: float = 1.0) -> float:
    """The largest multiple of STEP up to `most` with utility(scale) >= level; 0 if there is none.

    Goes down from `most`, because utility may fall on the way and rise again.
    """
    places = (round(step * STEP, 2) for step in range(round(most / STEP), 0, -1))
    return next((scale for scale in places if utility(scale) >= level), 0.0)


class Judge:
    """A set's rows, its target in memory, and what was measured of the target and the retrained model."""

    def __init__(self, flags: list[str], rows: int = 40):
        from models.store import loading
        from models.store.on_first_use import weights
        from results.run.options import resolve
        from results.run.sets import read_sets

        given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
        self.config = resolve({**given, "method": "npo", "eval_rows": rows})
        measured = read_sets(self.config).measured
        self.forget = {split: measured[split] for split in ("forget", "judging") if split in measured}
        self.unseen = {split: measured[split] for split in ("holdout",) if split in measured}  # for the tests' margins
        self.rest = {split: measured[split] for split in ("retain", "general") if split in measured}
        self.tokenizer = loading.load_tokenizer(self.config["model_name_or_path"])
        retrained = self._load(self.config["retrained_model"])
        self.dtype = weights.compute_dtype(self.config["dtype"], retrained.device)
        self.retrained = self._whole(retrained, self.unseen)
        self.model = self._load(self.config["model_name_or_path"])
        self.target = self._whole(self.model, self.unseen)
        self.start = {name: value.clone() for name, value in self.model.state_dict().items()}

    @staticmethod
    def _load(path):
        from models.store import loading

        return loading.load_model(path, dtype="float32")[0]

    def _measured(self, model, sets: dict, metrics):
        import evaluation_metrics
        from models.store.on_first_use import weights

        with weights.computing_in(model, self.dtype):
            return evaluation_metrics.evaluate_model(
                model, self.tokenizer, sets, metrics=metrics, max_length=self.config["max_length"]
            )

    def _whole(self, model, more=()):
        """The forget side with generated answers and the rest without, as one evaluation; `more`: further sets."""
        whole = self._measured(model, {**self.forget, **dict(more)}, None)
        rest = self._measured(model, self.rest, METRICS)
        for name in ("metrics", "intervals", "per_example", "generations", "subjects", "measured_on"):
            getattr(whole, name).update(getattr(rest, name))
        return whole

    def scaled(self, unlearned: dict, scale: float):
        """The target's model, set to the weights target + scale (unlearned - target)."""
        from models.store.on_first_use import torch

        with torch.no_grad():
            for name, weight in self.model.state_dict().items():
                if weight.is_floating_point():
                    weight.copy_(self.start[name] + scale * (unlearned[name] - self.start[name]))
        return self.model

    def at_retention(self, path: Path, levels, most: float) -> list[dict]:
        """A row per level: the factor on the change, the words and numbers of the verdict, and its memory tests."""
        from models.verdict.rest import utility_gate
        from models.verdict.verdict import judge

        unlearned = self._load(str(path)).state_dict()

        @functools.cache
        def utility(scale: float) -> float:
            found = self._measured(self.scaled(unlearned, scale), self.rest, METRICS)
            return utility_gate(self.target, found, self.retrained).value

        @functools.cache
        def judged(scale: float):
            found = self._whole(self.scaled(unlearned, scale))
            return found, judge(self.target, found, self.retrained)

        rows = []
        for level in levels:
            scale = largest_scale(utility, level, most)
            rows.append({"level": level, "scale": scale, **numbers_of(*judged(scale), self.retrained)})
        return rows


def numbers_of(unlearned, verdict, retrained) -> dict:
    """The words of a verdict, its numbers, and each memory test with its word and value."""
    found = verdict.comparison
    row = {part: found[part] for part in PARTS}
    row |= {column: found.get(key) for column, key in NUMBERS.items()} | {"worst person": found.get("worst_person")}
    row["tests"] = {gate["name"]: [gate["word"], gate["value"]] for gate in verdict.evidence["memory"]["gates"]}
    for role, evaluation in (("unlearned", unlearned), ("retrained", retrained)):
        row |= {f"{metric} {role}": evaluation.metrics["forget"].get(metric) for metric in COMPARED}
    return row


def numbers(folder: Path) -> dict:
    """{column: value} of a finished run, from its evaluation.json."""
    found = read(folder / "evaluation.json")
    row = {part: found["comparison"][part] for part in PARTS}
    row |= {column: found["comparison"].get(key) for column, key in NUMBERS.items()}
    for model in ("unlearned", "retrained"):
        row |= {f"{metric} {model}": found["models"][model]["forget"].get(metric) for metric in COMPARED}
    return row


# ---------------------------------------------------------------------------------------------------------------------
# The table


def passed(row: dict) -> float:
    """The share of a row's memory tests that passed, of those that could be made."""
    words = [word for word, _ in row["tests"].values() if word not in (NO_CONTRAST, NOT_MEASURED)]
    return words.count(PASSED) / max(1, len(words))


def order(rows: list[dict]) -> tuple:
    """Sorts groups of rows: fewest leaking rows in the worst seed, most memory tests passed, least known person."""
    leaks = [row["leaking rows"] for row in rows if row["leaking rows"] is not None]
    worst = [row["worst person"] for row in rows if row["worst person"] is not None]
    return (max(leaks, default=10**6), -statistics.fmean(map(passed, rows)), max(worst, default=10**6))


def rivals_table(path: Path = KEPT) -> str:
    """A row per set, level and method: means over the seeds, the best first. The verdict's score decides nothing."""
    if not path.exists():
        return "`python tests/rivals.py`: not measured yet."
    groups: dict[tuple, list[dict]] = {}
    for row in read(path):
        groups.setdefault((row["set"], row["level"], row["method"], row["trials"]), []).append(row)

    def mean(rows, column):
        values = [row[column] for row in rows if row.get(column) is not None]
        return f"{statistics.fmean(values):.3f}" if values else "-"

    lines = []
    for (name, level, method, trials), rows in sorted(groups.items(), key=lambda item: (*item[0][:2], order(item[1]))):
        leaks = [row["leaking rows"] for row in rows if row["leaking rows"] is not None]
        cells = [name, f"{level:g}", f"`{method}`", str(trials), str(len(rows)), *words_of(rows)[:2]]
        cells += [f"{statistics.fmean(leaks):.1f} (at most {max(leaks)})" if leaks else "-", mean(rows, "worst person")]
        cells += [f"{statistics.fmean(map(passed, rows)):.0%} of {len(rows[0]['tests'])}"]
        cells += [mean(rows, column) for column in ("membership gap", "utility", "scale")]
        cells += [f"{mean(rows, f'{metric} unlearned')} ({mean(rows, f'{metric} retrained')})"
                  for metric in COMPARED]  # fmt: skip
        lines.append(cells)
    head = ["people", "utility kept", "method", "trials", "seeds", *PARTS[:2], "leaking rows", "worst person",
            "memory tests passed", "membership gap", "utility", "factor", *COMPARED_HEAD]  # fmt: skip
    return table(head, lines)


# ---------------------------------------------------------------------------------------------------------------------
# The command line


def _keep(rows: list[dict]):
    """Adds rows to the kept ones; a row of the same set, method, seed, level and number of trials is replaced."""

    def key(row):
        return (row["set"], row["method"], row["seed"], row["level"], row["trials"])

    known = {key(row): row for row in (read(KEPT) if KEPT.exists() else [])} | {key(row): row for row in rows}
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text("[\n" + ",\n".join(json.dumps(known[k]) for k in sorted(known)) + "\n]\n", encoding="utf-8")


def missing(name: str, method: str, seeds, levels, trials: int) -> list[int]:
    """The seeds of which a level is not in the kept rows with settings of as many trials."""
    rows, trials = read(KEPT) if KEPT.exists() else [], trials_of(method, trials)
    known = {(row["set"], row["method"], row["seed"], row["level"]) for row in rows if row["trials"] == trials}
    return [seed for seed in seeds if any((name, method, seed, level) not in known for level in levels)]


def compare(name: str, methods, seeds, levels, trials: int, tofu: Path = TOFU):
    """Fills in the missing rows of one set; one target is in memory for all methods and seeds."""
    wanted = [(method, seed) for method in methods for seed in missing(name, method, seeds, levels, trials)]
    if not wanted:
        return
    flags = flags_of(name, tofu)
    judge = None
    for method, seed in wanted:
        best, count = tuned(method, trials), trials_of(method, trials)
        path = trained(name, f"{method}-{count}", method, seed, best["settings"], flags)
        judge = judge or Judge(flags)
        rows = judge.at_retention(path, levels, best["most"])
        _keep([{"set": name, "method": method, "seed": seed, "trials": count, **row} for row in rows])
        shutil.rmtree(path)  # half a gigabyte each; its numbers are kept


def main(argv=None) -> int:
    """Finds settings, starts the missing runs, judges them, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--levels", default=",".join(map(str, LEVELS)), help="shares of the target's utility to keep")
    parser.add_argument("--trials", type=int, default=TRIALS, help="of the search, the same number for each method")
    parser.add_argument("--tofu", type=Path, default=TOFU, help="the folder with forget01.jsonl and retain400.jsonl")
    parser.add_argument("--tune", action="store_true", help="only find the settings")
    parser.add_argument("--table", action="store_true", help="only print the table")
    args = parser.parse_args(argv)
    methods, seeds = args.methods.split(","), [int(seed) for seed in args.seeds.split(",")]
    levels = [float(level) for level in args.levels.split(",")]
    for method in [] if args.table else methods:
        tuned(method, args.trials)
    for name in [] if args.table or args.tune else args.sets.split(","):
        if name == "tofu" and not (args.tofu / "forget01.jsonl").exists():
            print(f"tofu: skipped, because {args.tofu} holds no forget01.jsonl")
            continue
        compare(name, methods, seeds, levels, args.trials, args.tofu)
    print("\n" + rivals_table(KEPT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
