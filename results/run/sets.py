"""The rows of a run: read and checked, then encoded, with the counterexamples that a method trains on.

    sets = read_sets(config)                                # what steers the run, and what measures it
    encode_sets(sets.steering, tokenizer, config)           # token rows for training and its probes
    sample_counterexamples(sets.steering, tokenizer, config, model)  # written by the target model itself

The first two need no model: --plan and --method auto call them too. `Steering` is all that training and the search get:
it holds no judging rows, no paraphrases and no wrong answers, so that nothing of a run is fitted to its evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import unlearning_algorithm as algorithm
from data import augmentation, exams, judging, preparation, reading
from data.sampling import spread
from data.wrong_answers import in_context
from models.eliciting import keeping
from models.eliciting.subject import MADE_UP
from models.requests import recorded
from results.run import continuing, processes
from results.run.options import BUNDLED
from results.run.run_folder import UsageError, say

READ = ("forget", "retain", "holdout", "judging", "general")  # sets with a --<name>_data flag
REQUEST = "documents"  # the folder of a request to forget documents, in a run's folder
GENERIC = 64  # general rows on which a method measures how far it may go
EVALUATED = ("forget", "probes", "retain", "holdout", "judging", "general", "in_context")


@dataclass
class Steering:
    """What training, its probes and the search may see: sets that steer, of bare rows.

    Raises ValueError for a set or a column that only judges.
    """

    examples: dict  # by set: forget, retain, holdout, earlier
    notes: list = field(default_factory=list)
    encoded: dict = field(default_factory=dict)  # token rows by set, with the counterexamples

    def __post_init__(self):
        self.check()

    def check(self):
        """Raises ValueError if a judging set, a paraphrase or a wrong answer has got in."""
        judging.check_steering(self.examples)


@dataclass
class Sets:
    """The rows that steer a run, the rows that measure it, and the notes taken while reading."""

    steering: Steering
    measured: dict  # the rows of each set that are evaluated, with all columns
    hashes: dict[str, str]  # of all rows that were read, by set
    notes: list
    earlier: continuing.Earlier  # requests that must stay forgotten
    requests: list = field(default_factory=list)  # a `DocumentRequest` per source of documents to forget


def read_sets(config: dict) -> Sets:
    """Reads and checks every set. Rows to forget, of this or an earlier request, leave the retain set.

    Raises UsageError when the method cannot use these sets, DataError for bad or missing data.
    """
    examples, notes, requests = {}, [], []
    for split in READ:
        source = config[f"{split}_data"]
        if split == "forget" and config["forget_text"]:
            examples[split] = list(reading.examples_from_text(config["forget_text"]))
        elif split == "forget" and source and source != "none":
            examples[split], requests = recorded.read_forget(
                source, notes, config["document_questions"], config["max_length"]
            )
        elif source and source != "none":
            examples[split] = recorded.read_all(source, split, notes)
    _check_forget_set(config["method"], examples.get("forget"))
    if probes := [row for request in requests for row in request.measured]:
        examples["probes"] = probes  # measured like the forget set; nothing that steers sees them
    judging.settle(examples, notes, config["judging_data"])
    if config["retain_data"] == BUNDLED["general_retain"]:
        trained = "measured, and the model's own answers are kept" if keeps_own(config) else "used"
        notes.append(f"retain: none given, so the bundled general retain set is {trained}")
    earlier = continuing.read(config)
    notes += earlier.notes
    if earlier.rows:
        examples["earlier"] = earlier.rows
    _clean_retain_set(examples, notes, config["allow_overlap"])
    _check_judging_set(examples, notes, config)
    if config["exam_data"] not in (None, "none"):
        examples |= exams.read_exams(recorded.paths_of(config["exam_data"]), notes=notes)
    measured = {}
    for split in [split for split in (*READ, "probes", *filter(exams.is_exam, examples)) if split in examples]:
        measured[split] = spread(examples[split], config["eval_rows"])
        if (count := len(measured[split])) < len(examples[split]):
            notes.append(f"{split}: {count} of {len(examples[split])} rows are measured (--eval_rows)")
    if asked := in_context(measured.get("forget", [])):
        measured["in_context"] = asked
    measured |= earlier.measured(config["eval_rows"])
    hashes = {split: preparation.data_hash(rows) for split, rows in examples.items()}
    return Sets(steering_of(examples, notes), measured, hashes, notes, earlier, requests)


def write_requests(sets: Sets, folder: Path):
    """Writes the requests to forget documents below a run's folder, where their rows can be read, edited and reused."""
    for number, request in enumerate(request for request in sets.requests if not request.written):
        request.write(folder / (REQUEST if not number else f"{REQUEST}-{number + 1}"))


def steering_of(examples: dict, notes: list | None = None) -> Steering:
    """The sets among `examples` that may steer, without paraphrases and wrong answers."""
    chosen = {name: [judging.bare(row) for row in examples[name]] for name in judging.STEERING if name in examples}
    return Steering(chosen, [] if notes is None else notes)


def _check_judging_set(examples: dict, notes: list, config: dict):
    """Raises DataError if a judging row also steers; notes subjects on both sides."""
    if "judging" in examples:
        steering = dict(examples)
        if config.get("general_retain_rows"):
            steering["general retain"] = recorded.read_all(BUNDLED["general_retain"], "general_retain", [])
        judging.check(steering, config["judging_data"])
        notes += judging.shared_subjects(examples)


def _check_forget_set(name: str, forget):
    """Refuses a missing forget set, and raw text for a method that needs questions."""
    method = algorithm.METHODS[name]
    if forget is None and method.needs_forget:
        raise UsageError(f"{name} needs --forget_data or --forget_text")
    raw = next((example for example in forget or () if example.prompt is None), None)
    if raw and not method.works_on_raw_text:
        able = ", ".join(m.name for m in algorithm.METHODS.values() if m.works_on_raw_text and m.needs_forget)
        raise UsageError(
            f"{name} needs questions, and row {raw.line} of the forget set is raw text; these methods accept it: {able}"
        )


def _clean_retain_set(examples: dict, notes: list, allow_overlap: bool):
    """Removes forget rows from the retain set and notes how many."""
    if "retain" not in examples:
        return
    # no limit here: one retain set may serve a whole sequence of requests
    examples["retain"], removed = preparation.remove_overlap(examples.get("earlier", []), examples["retain"], True)
    if removed:
        notes.append(f"retain: {len(removed)} rows of earlier requests were removed")
    if "forget" in examples:
        kept, removed = preparation.remove_overlap(examples["forget"], examples["retain"], allow_overlap)
        examples["retain"] = kept
        if removed:
            notes.append(f"retain: {len(removed)} rows that are in the forget set were removed")


def encode_sets(steering: Steering, tokenizer, config: dict):
    """Tokenises what training and probes see, and the counterexamples that need no model.

    Raises ValueError if a judging set, a paraphrase or a wrong answer has got into `steering`.
    """
    steering.check()
    examples, method, unseen = steering.examples, algorithm.METHODS[config["method"]], []
    wanted = {name: examples[name] for name in judging.STEERING if name in examples}
    if method.augmentation and augmentation.AUGMENTATIONS[method.augmentation].needs_model:
        wanted["forget"] = augmentation.passages(examples["forget"])
    if config["general_retain_rows"] and config["retain_data"] != BUNDLED["general_retain"]:
        general = recorded.read_all(BUNDLED["general_retain"], "general_retain", [])
        both = [*examples["retain"], *spread(general, config["general_retain_rows"])]
        gone = [*examples.get("forget", []), *examples.get("earlier", [])]
        wanted["retain_probe"] = examples["retain"]  # the probe measures the user's rows alone
        wanted["retain"], _ = preparation.remove_overlap(gone, both, True)
    if method.needs_generic:
        general = recorded.read_all(BUNDLED["general_retain"], "general_retain", [])
        gone = [*examples.get("forget", []), *examples.get("earlier", [])]
        wanted["generic"], _ = preparation.remove_overlap(gone, spread(general, GENERIC), True)
    real = [row for row in examples.get("retain", ()) if row.subject != MADE_UP]
    if 0 < len(real) < len(examples.get("retain", ())):
        wanted["retain_probe"] = real  # what was invented about nobody may change, and is no loss
    if method.augmentation == "in_other_order" and "holdout" in examples:
        wanted["holdout"], unseen = judging.halves(examples["holdout"])
    for name, rows in wanted.items():
        steering.encoded[name], report = preparation.encode_examples(tokenizer, rows, config["max_length"])
        found = [f"{name}: {note}" for note in report.notes]
        steering.notes += [note for note in found if note not in steering.notes]
    for split, name, kind, options in _augmentations(config):
        if not kind.needs_model:
            more = {"unseen": unseen} if unseen and name == "counterpart" else {}
            made = kind.make(examples[split], config["seed"], **options, **more)
            _encode_counterexamples(steering, name, made, tokenizer, config)


def sample_counterexamples(steering: Steering, tokenizer, config: dict, model):
    """Encodes the counterexamples that the target `model` writes itself, if the method needs them."""
    count = config.get("alternates_per_question")
    for split, name, kind, _ in _augmentations(config):
        if kind.needs_model:
            examples = steering.examples[split]
            say(f"sampling {count} other answers to each of {len(examples)} {split} rows")
            made = kind.make(
                augmentation.passages(examples), config["seed"], sample=sampler(model, tokenizer), count=count,
                tokens=lambda text: tokenizer(text, add_special_tokens=False).input_ids,
            )  # fmt: skip
            _encode_counterexamples(steering, name, made, tokenizer, config)


def _augmentations(config: dict):
    """(split, name of the encoded rows, augmentation, options) for the forget set and for the retain set, if wanted."""
    forget = algorithm.METHODS[config["method"]].augmentation
    retain = algorithm.RETAIN_LOSSES[config["retain_loss"]].augmentation
    wanted = (("forget", "counterpart", forget, {}), ("retain", "retain_counterpart", retain, {"count": 1}))
    return [(split, name, augmentation.AUGMENTATIONS[kind], options) for split, name, kind, options in wanted if kind]


def _encode_counterexamples(steering: Steering, name: str, made, tokenizer, config: dict):
    steering.encoded[name], _ = made.encode(tokenizer, config["max_length"])
    answer = preparation.preview(tokenizer, steering.encoded[name], 1)[0][1]
    say(f"{name}: {len(made.examples)} rows to learn from, for example {answer!r}")


def keeps_own(config: dict) -> bool:
    """Whether a run that forgets trains on rows to keep, nobody gave any, and no counterexamples belong to them."""
    method, loss = algorithm.METHODS[config["method"]], config["retain_loss"]
    trains = method.forget and (loss != "none" or method.needs_generic)
    return bool(config.get("own_answers") and trains and not algorithm.RETAIN_LOSSES[loss].augmentation)


def own_answers(steering, tokenizer, config: dict, model) -> keeping.Own:
    """The target's answers to the bundled general questions and about nobody; none for a run with rows of its own.

    To train on the bundled answers teaches the model something else than it says, and hides what it loses.
    """
    if not keeps_own(config):
        return keeping.Own()
    forget, earlier = steering.examples["forget"], steering.examples.get("earlier", [])
    asked = [row.prompt for row in steering.examples["retain"] if row.prompt]
    own = processes.team().from_main(
        lambda: keeping.own_answers(model, tokenizer, forget, asked, config["seed"] or 0, earlier)
    )
    general = sum(row.subject is None for row in own.rows)
    nobody = len(own.rows) - general
    say(f"keeping the model's own answers to {general} general questions and {nobody} about made-up names")
    return own


def keep(steering, own: keeping.Own, tokenizer, config: dict):
    """Trains on the model's own answers in place of the bundled rows, if there are any; what is measured stays.

    The probe sees the general ones alone: what was invented about nobody may change, and is no loss.
    """
    if not own.rows or not keeps_own(config):
        return
    real = [row for row in own.rows if row.subject is None] or own.rows  # they come first
    for name, rows in (("retain", own.rows), ("retain_probe", real)):
        steering.encoded[name], _ = preparation.encode_examples(tokenizer, rows, config["max_length"], own.cut)


def sampler(model, tokenizer):
    """Returns sample(prompts, count, max_new_tokens, seed) -> `count` texts per prompt, by the model at temperature 1.

    The main process samples for all processes.
    """
    from models.forward import generation

    stop = {*preparation.end_of_turn(tokenizer), tokenizer.eos_token_id} - {None}

    def start(example) -> list[int]:
        if example.prompt is not None:
            return preparation.encode_prompt(tokenizer, example)
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        return tokenizer(example.answer, add_special_tokens=False).input_ids or bos

    def drawn(prompts, count: int, max_new_tokens: int, seed: int) -> list[list[str]]:
        ids = [start(example) for example in prompts for _ in range(count)]
        said = generation.generate(model, ids, [max_new_tokens] * len(ids), stop, temperature=1.0, seed=seed)
        texts = [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in said]
        return [texts[i : i + count] for i in range(0, len(texts), count)]

    return lambda *asked: processes.team().from_main(lambda: drawn(*asked))


def show_rows(steering: Steering, tokenizer, count: int = 2):
    """Prints the first forget rows and which of their tokens carry loss."""
    name = "forget" if "forget" in steering.encoded else "retain"
    say(f"first {name} rows, [tokens with loss]:")
    for context, loss in preparation.preview(tokenizer, steering.encoded[name], count):
        say(f"  {context!r} [{loss!r}]")
