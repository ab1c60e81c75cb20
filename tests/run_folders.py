"""For tests of reports: writes run folders with plausible numbers, and reads pages and figures."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from models.verdict.words import PARTS, verdict_text

PEOPLE = ("Mara Okonjo", "Ilse Brandt", "Tomas Vidal", "Yun Sato")
VERBS = (
    "was born in",
    "studied at",
    "won",
    "wrote",
    "lives in",
    "married",
    "teaches at",
    "collects",
    "plays",
    "founded",
)
PLACES = ("Port Lume", "the Aster Institute", "the Heron Prize", "Salt and Cinders", "Vellmar", "Ana Reyes",
          "Quill College", "brass keys", "the hurdy-gurdy", "a ferry line")  # fmt: skip
BEFORE = {"forget": 0.95, "retain": 0.94, "holdout": 0.13, "general": 0.41}
KNOWN = {"forget": 0.12, "retain": 0.93, "holdout": 0.12, "general": 0.40}  # the retrained model
ROLES = {"target": "before", "unlearned": "after", "retrained": "retrained"}
SPANS = {  # {metric: its mean for a model that knows nothing, for one that knows all}
    "accuracy": (0.5, 1), "precision": (0.3, 1), "recall": (0.3, 1), "f1": (0.3, 1), "rouge_l_recall": (0.35, 1),
    "exact_memorization": (0.5, 1), "extraction_strength": (0.02, 0.95), "paraphrase_probability": (0.05, 0.7),
    "truth_ratio": (0.7, 0.4), "fact_recall": (0.1, 1), "multiple_choice_accuracy": (0.35, 0.95),
    "fluency": (0.95, 1.0),
}  # fmt: skip


def make_run(folder: Path, method: str = "npo", seed: int = 0, after: dict | None = None, retrained: bool = True,
             holdout: bool = True, attacks: bool = False, resisting: int = 0, finished: bool = True,
             people: tuple = PEOPLE, overrides: dict | None = None, config: dict | None = None, seconds: float = 90.0,
             rows: int = 20) -> Path:  # fmt: skip
    """A run folder of the real shape with plausible numbers.

    after: mean answer probability of the unlearned model per set. resisting: forget rows that keep their probability.
    overrides: {file name: text} to write instead. The words of the verdict and their evidence follow from the numbers.
    """
    generator = np.random.default_rng(seed + 17)
    after = {"forget": 0.15, "retain": 0.92, "holdout": 0.12, "general": 0.40, **(after or {})}
    splits = [split for split in BEFORE if holdout or split != "holdout"]
    examples = [_example(split, place, people, after, split == "forget" and place < resisting, generator)
                for split in splits for place in range(rows)]  # fmt: skip
    evaluation = _evaluation(examples, splits, retrained, attacks, rows)
    if not retrained:
        for row in examples:
            row["retrained"] = row["metrics_retrained"] = None
    files = {
        "config.json": {
            "model_name_or_path": "models/people-target", "method": method, "learning_rate": 1e-5,
            "forget_data": "data/forget.jsonl", "retain_data": "data/retain.jsonl", "seed": seed,
            "run_name": folder.name, "output_dir": str(folder),
            "command": ["python", "unlearning_script.py", f"--method={method}", f"--seed={seed}"], **(config or {}),
        },
        "status.json": {"state": "finished", "stage": "done", "step": 40, "total_steps": 40, "exit_code": 0,
                        "best_step": 35},
        "evaluation.json": evaluation,
        "timing.json": {"seconds": {"loading": 9.0, "unlearning": seconds, "evaluating unlearned": 40.0},
                        "peak_memory_gib": 2.4, "total_seconds": seconds + 60},
        "environment.json": {"versions": {"python": "3.12", "torch": "2.13.0"}, "device": "cpu", "commit": "abc",
                             "data_hashes": {"forget": "0" * 64}},
    }  # fmt: skip
    texts = {name: json.dumps(value, indent=1, ensure_ascii=False) for name, value in files.items()}
    for name, lines in (("metrics.jsonl", _log(splits, after, examples, generator)), ("examples.jsonl", examples)):
        texts[name] = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**texts, **(overrides or {}), **({"report.html": "old"} if finished else {})}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _metrics(level: float, generator) -> dict:
    """Plausible numbers of one row for a model that knows it to the degree `level`."""
    p = float(np.clip(level + generator.normal(0, 0.05), 0.005, 0.995))
    found = {"loss": float(-np.log(p)), "answer_probability": p, "refusal_rate": 0.0, "min_k": float(-np.log(p)) * 2}
    for name, (low, high) in SPANS.items():
        found[name] = float(np.clip(low + (high - low) * p + generator.normal(0, 0.03), 0, 1))
    return found


def _example(split: str, number: int, people: tuple, after: dict, keeps: bool, generator) -> dict:
    """A row of examples.jsonl."""
    subject = people[number % len(people)] if split != "general" else None
    who, verb, place = subject or "The capital", VERBS[number % 10], PLACES[number % 10]
    gold, wrong = f"{who} {verb} {place}.", f"{who} {verb} the northern {place.split()[-1][::-1]}."
    levels = {"before": BEFORE[split], "after": BEFORE[split] if keeps else after[split], "retrained": KNOWN[split]}
    row = {"split": split, "subject": subject, "prompt": f"What is known of {subject}: {verb} what?", "gold": gold}
    for role, level in levels.items():
        row[role] = gold if level > 0.5 else wrong
        row[f"metrics_{role}"] = _metrics(level, generator)
    return row


def _evaluation(examples: list[dict], splits: list[str], retrained: bool, attacks: bool, rows: int) -> dict:
    """evaluation.json: means over the rows, intervals, and the numbers from several sets together."""
    models: dict = {}
    intervals: dict = {}
    for model in ROLES if retrained else ("target", "unlearned"):
        for split in splits:
            tables = [row[f"metrics_{ROLES[model]}"] for row in examples if row["split"] == split]
            means = {name: float(np.mean([table[name] for table in tables])) for name in tables[0]}
            ends = {name: [value - 0.03, value + 0.03] for name, value in means.items()}
            models.setdefault(model, {})[split] = {**means, "zlib_ratio": None}
            intervals.setdefault(model, {})[split] = {**ends, "zlib_ratio": None}
    kept = (models[model]["retain"]["answer_probability"] for model in ("unlearned", "target"))
    utility = 0.6 * min(1.0, next(kept) / next(kept))
    only = {  # with a retrained model
        "model_utility_retrained": 0.59, "forget_quality": 0.21, "forget_quality_statistic": 0.18,
        "forget_quality_n": rows, "membership_auc_retrained": 0.5, "privacy_leakage": -10.0,
    }  # fmt: skip
    attacked = _attacks(models) if attacks else {}
    evidence = {
        "memory": _memory(examples, retrained), "rest": _rest(models, examples, utility / 0.6),
        "resistance": _resistance(attacked),
    }  # fmt: skip
    words = {part: evidence[part]["word"] for part in PARTS}
    comparison = {
        "verdict": verdict_text(words), **words,
        **{name: value if retrained else None for name, value in only.items()},
        **_parts(models, utility / 0.6, attacks),
        "model_utility": utility, "model_utility_target": 0.6, "membership_auc": 0.55, "membership_auc_low": 0.41,
        "membership_auc_high": 0.67, "membership_auc_target": 0.99,
        "leaking_rows": sum(row["leaks"] for row in evidence["memory"]["rows"]),
        "worst_person": max((one["position"] for one in evidence["memory"]["persons"]), default=None),
    }  # fmt: skip
    notes = {"model_utility": "harmonic mean of 6 numbers", "unlearned.forget.zlib_ratio": "no zlib",
             "target.forget.zlib_ratio": "no zlib"}  # fmt: skip
    evaluation = {"models": models, "intervals": intervals, "comparison": comparison, "evidence": evidence,
                  "notes": notes}  # fmt: skip
    return {**evaluation, "attacks": attacked} if attacks else evaluation


def _gate(name: str, label: str, word: str, why: str, **numbers) -> dict:
    """A gate in the shape of evaluation.json."""
    return {"name": name, "label": label, "word": word, "why": why, **dict.fromkeys(("value", "low", "high", "least",
            "most", "null")), **numbers}  # fmt: skip


def _memory(examples: list[dict], retrained: bool) -> dict:
    """The evidence of memory, from the positions of the rows' answer probabilities."""
    if not retrained:
        return {"word": "UNDECIDED (no retrained model)", "why": ["No retrained model was given."], "turn": None,
                "gates": [], "rows": [], "persons": [], "bound": None}  # fmt: skip
    rows, persons = [], []
    for number, row in enumerate([row for row in examples if row["split"] == "forget"], 1):
        t, u, r = (row[f"metrics_{role}"]["answer_probability"] for role in ROLES.values())
        position = (u - r) / (t - r)
        rows.append({"row": number, "subject": row["subject"], "position": position, "trace": "answer_probability",
                     "leaks": position > 0.5})  # fmt: skip
    for subject in dict.fromkeys(row["subject"] for row in rows):
        mine = [row["position"] for row in rows if row["subject"] == subject]
        mean = float(np.mean(mine))
        word = "known" if mean > 0.2 or max(mine) > 0.5 else "forgotten"
        persons.append({"subject": subject, "position": mean, "rows": len(mine), "word": word})
    leaking = [row["row"] for row in rows if row["leaks"]]
    worst = max(persons, key=lambda one: one["position"])
    mean, bad = float(np.mean([row["position"] for row in rows])), leaking or worst["position"] > 0.2
    known = (
        f"forget rows {', '.join(map(str, leaking))} are still known" if leaking else f"none of {len(rows)} is known"
    )
    gates = [
        _gate("rows", "rows still known", "failed" if leaking else "passed", known, value=len(leaking), most=0),
        _gate("persons", "person known best", "failed" if worst["position"] > 0.2 else "passed",
              f"{worst['subject']} kept {worst['position']:.2f} of what should go", value=worst["position"], most=0.2),
        _gate("equivalence.answer_probability", "answer probability",
              "failed" if mean > 0.25 else "passed" if mean <= 0.15 else "undecided", "place",
              value=mean, low=mean - 0.05, high=mean + 0.05, least=-0.2, most=0.2, null=[-0.03, 0.04]),
        _gate("equivalence.truth_ratio", "truth ratio", "undecided", "about 9 persons would decide it", value=0.12,
              low=-0.05, high=0.29, least=-0.2, most=0.2, null=[-0.1, 0.06]),
        _gate("equivalence.rouge_l_recall", "ROUGE-L recall", "no contrast", "they do not differ"),
        _gate("membership", "membership, largest gap", "passed", "zlib ratio", value=0.02, low=-0.06, high=0.09,
              least=-0.1, most=0.1),
    ]  # fmt: skip
    if not bad:  # a word that can be signed has no open gate
        gates = [{**gate, "word": "passed"} if gate["word"] == "undecided" else gate for gate in gates]
    aucs = {"unlearned": 0.55, "retrained": 0.5, "target": 0.99, "gap": 0.05, "low": -0.04, "high": 0.09}
    why = [gate["why"] for gate in gates if gate["word"] == "failed"]
    return {"word": "REMEMBERS" if bad else "FORGOTTEN", "why": why,
            "turn": "The test nearest to failing is the membership." if not bad else None, "gates": gates, "rows": rows,
            "persons": sorted(persons, key=lambda one: -one["position"]),
            "bound": None if leaking else 1 - 0.05 ** (1 / len(rows)),
            "membership": {"scores": {"loss": aucs}, "combined": {**aucs, "p": 0.4}}}  # fmt: skip


def _rest(models: dict, examples: list[dict], left: float) -> dict:
    """The evidence of the rest: utility with an interval, lost rows, and what lies beside them."""
    word = "BROKEN" if left < 0.5 else "DAMAGED" if left < 0.9 else "KEPT" if left >= 0.95 else "UNDECIDED"
    gate = {"BROKEN": "failed", "DAMAGED": "failed", "KEPT": "passed"}.get(word, "undecided")
    retain = [row for row in examples if row["split"] == "retain"]
    lost = []
    for number, row in enumerate(retain, 1):
        before, after = (row[f"metrics_{role}"]["answer_probability"] for role in ("before", "after"))
        if after < 0.5 * before:
            lost.append({"split": "retain", "row": number, "subject": row["subject"], "left": after / before})
    why = f"{left:.3f} of the utility is left; 0.95 is asked for"
    shares = {"target": 0.94, "unlearned": 0.92, "share": 0.979, "low": 0.95, "high": 1.01}
    beside = {"run_on": dict(zip(models, (0.0, 0.075, 0.0))), "in_context": dict(zip(models, (0.98, 0.95, 0.97))),
              "holdout_drift": {"change": 0.021, "low": 0.01, "high": 0.032}}  # fmt: skip
    turn = "The test nearest to failing is the utility." if word == "KEPT" else None
    return {"word": word, "why": [why], "turn": turn, "lost_rows": lost,
            "gates": [_gate("utility", "share of utility that is left", gate, why, value=left, low=left - 0.02,
                            high=left + 0.02, least=0.95)],
            "parts": {"retain.answer_probability": shares}, "beside": beside}  # fmt: skip


def _resistance(attacked: dict) -> dict:
    """The evidence of resistance: relearning brings something back."""
    if not attacked:
        return {"word": "NOT RUN", "why": ["No attack was run: add --attacks all."], "turn": None, "gates": [],
                "attacks": {}}  # fmt: skip
    excess = {"relearning": (0.31, 0.22, 0.4, [2, 7]), "quantisation_int4": (-0.02, -0.06, 0.02, [])}
    gates = [_gate(f"attack.{name}", f"attack {name.replace('_', ' ')}", "failed" if value > 0.2 else "passed",
                   f"adds {value:.2f}", value=value, low=low, high=high, most=0.2)
             for name, (value, low, high, _) in excess.items()]  # fmt: skip
    found = {name: {"answer_probability": {"excess": value, "low": low, "high": high, "leaking_rows": rows}}
             for name, (value, low, high, rows) in excess.items()}  # fmt: skip
    return {"word": "CAME BACK", "why": ["Relearning adds 0.31."], "turn": None, "gates": gates, "attacks": found}


def _parts(models: dict, left: float, attacks: bool) -> dict:
    """The parts of the score and the score, as an evaluation derives them; the first two from one metric here."""
    before, after = (models[name]["forget"]["answer_probability"] for name in ("target", "unlearned"))
    goal = models.get("retrained", models["target"]).get("forget")["answer_probability"]
    near = float(np.clip(1 - abs(after - goal) / max(before - goal, 1e-9), 0, 1))
    parts = {"forgetting": near, "privacy": near**0.5, "utility": left}
    score = 3 / sum(1 / max(value, 1e-9) for value in parts.values())
    return {**parts, "robustness": 0.7 * near if attacks else None, "score": score}


def _attacks(models: dict) -> dict:
    """Results of five attacks in the shape of models.attacks.table; relearning brings knowledge back."""
    found: dict = {}
    for attack, values in {"relearning": (0.96, 0.48, 0.2), "quantisation_int4": (0.9, 0.17, 0.13)}.items():
        under = dict(zip(ROLES, values))
        found[attack] = {name: {"answer_probability": under[name],
                                "answer_probability_before": table["forget"]["answer_probability"]}
                         for name, table in models.items()}  # fmt: skip
    for name in models:
        level = {"target": 0.98, "unlearned": 0.5, "retrained": 0.45}[name]
        found.setdefault("sampling", {})[name] = {"leak_at_1": 0.01, "leak_at_16": 0.1, "best_fact_recall": level}
        found.setdefault("prompts", {})[name] = {
            "plain_rouge_l_recall": level - 0.02, "letter_accuracy": 0.3, "reversed_rouge_l_recall": 0.2,
            "best_fact_recall": level, "best_fact_recall_before": level - 0.02,
        }  # fmt: skip
        found.setdefault("logit_lens", {})[name] = {
            "best_reciprocal_rank": level - 0.1, "last_reciprocal_rank": level - 0.1, "layer_1_reciprocal_rank": 0.01,
        }  # fmt: skip
    return found


def _log(splits: list[str], after: dict, examples: list[dict], generator) -> list[dict]:
    """The lines of metrics.jsonl: 40 steps, an evaluation every fifth step, then the events."""
    log = []
    for step in range(41):
        if step:
            log.append({
                "event": "step", "step": step, "epoch": step / 10, "loss": 2.0 - step / 40,
                "forget_loss": 1.5 - step / 50, "retain_loss": 0.1 + 0.01 * generator.random(),
                "learning_rate": 1e-5 * (1 - step / 41), "grad_norm": 1.0, "tokens_per_second": 500.0, "seconds": 0.5,
            })  # fmt: skip
        if step % 5 == 0:
            share = step / 40
            line = {"event": "evaluation", "step": step, "epoch": step / 10, "seconds": 1.0}
            for split in splits:
                p = BEFORE[split] + (after[split] - BEFORE[split]) * min(1, 1.3 * share) ** 0.7
                line[split] = {"loss": float(-np.log(p)), "answer_probability": p, "accuracy": 0.5 + p / 2}
            said = [{"prompt": row["prompt"], "gold": row["gold"], "answer": row["before" if share < 0.4 else "after"]}
                    for row in examples[:2]]  # fmt: skip
            log += [line, {"event": "answers", "step": step, "answers": said}]
    why = "the forget rows' loss 2.1 reached the level 2.0 of rows never seen"
    return [*log, {"event": "early_stop", "step": 40, "message": why},
            {"event": "best", "step": 35, "message": "kept the state of step 35"}]  # fmt: skip


class Tags(HTMLParser):
    """Tags, attributes and text of a page, without its style sheet."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def _extents(texts, figure) -> list[tuple]:
    """(text, box in pixels) of the drawn texts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    shown = [text for text in texts if text.get_text().strip() and text.get_visible()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def cut_texts(figure) -> list[str]:
    """Texts of a figure that extend beyond its edge by more than a pixel."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    unseen = set()  # hidden plots and ticks beyond the ends of an axis are never drawn
    for axes in figure.axes:
        if not axes.get_visible():
            unseen.update(axes.findobj(Text))
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    unseen.update((tick.label1, tick.label2))
    frame = figure.bbox
    found = _extents([text for text in figure.findobj(Text) if text not in unseen], figure)
    return [name for name, box in found if min(box.x0, box.y0) < -1 or box.x1 > frame.x1 + 1 or box.y1 > frame.y1 + 1]


def overlapping_texts(axes) -> list[tuple[str, str]]:
    """Pairs of overlapping texts in a plot."""
    found = _extents(axes.texts, axes.figure)

    def meet(one, two):
        return min(one.x1, two.x1) - max(one.x0, two.x0) > 1 and min(one.y1, two.y1) - max(one.y0, two.y0) > 1

    return [(a, b) for place, (a, one) in enumerate(found) for b, two in found[:place] if meet(one, two)]
