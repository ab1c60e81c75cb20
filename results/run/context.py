"""What a run knows before it loads weights: checked settings, folder, rows, tokenizer and hashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import evaluation_metrics
from data.rendering import DATE, fix_date
from models.forward import proof
from models.store import adapters, loading
from models.store.folders import read_json_or_empty
from models.store.on_first_use import weights
from results.run import continuing, processes, run_folder
from results.run.run_folder import RunFolder, say
from results.run.sets import Sets, encode_sets, read_sets, show_rows, write_requests
from results.run.stopping import StopSwitch, reporter


@dataclass
class RunContext:
    """The facts that every stage of a run reads."""

    config: dict  # the resolved settings
    folder: RunFolder
    switch: StopSwitch
    progress: Any  # progress(text), see `stopping.reporter`
    sets: Sets
    hashes: dict[str, str]  # of the rows, by set
    tokenizer: Any
    model_hash: str  # of the target model
    dtype: Any  # the torch type to compute in
    identity: dict  # what a checkpoint must share with the run that resumes it
    checkpoint: Path | None  # the one to resume from

    def prove(self, model):
        """Finds out which fast ways of computing are right for a model, in float32 and before anything is trained.

        Raises ModelError for a model that no way fits, so that no run ends after training without a measurement.
        """
        rows = next(rows for name in ("forget", "retain") if len(rows := self.sets.steering.encoded.get(name) or ()))
        proof.prove(model, rows, self.tokenizer.pad_token_id)


def prepare(config: dict, given: dict, folder: RunFolder, switch: StopSwitch) -> RunContext:
    """Reads the rows and the tokenizer and makes every check that needs no weights.

    `given`: the user's settings; the printed configuration marks them.
    """
    team, model = processes.team(), config["model_name_or_path"]
    weights.keep_freed_memory()
    folder.stage("preparing")  # writes the first status.json, which receives the message of any later failure
    progress = reporter(folder, switch)
    _show_configuration(config, given, team)
    continuing.check_ledger(config)
    sets = read_sets(config)
    team.by_main(lambda: write_requests(sets, folder.path))

    folder.stage("loading")
    loading.hash_meanwhile(model, config["retrained_model"], progress=say)
    tokenizer = loading.load_tokenizer(model, progress=say)
    before = read_json_or_empty(folder.path / "environment.json")
    if before.get("data_hashes") == sets.hashes:  # a run that goes on, or is measured again, keeps its day
        fix_date(tokenizer, before.get(DATE))
    if config["retrained_model"]:
        evaluation_metrics.refuse_target_as_retrained(model, config["retrained_model"])
    encode_sets(sets.steering, tokenizer, config)
    for note in sets.notes:
        say(f"note: {note}")
    show_rows(sets.steering, tokenizer)
    if config["use_peft"]:
        adapters.check_lora_modules(loading.weights_folder(model), config["lora_target_modules"])
    model_hash = loading.model_hash(model)
    continuing.check_model(config, model_hash)
    identity = run_folder.identity_of(config, sets.hashes, model_hash, team.layout)
    checkpoint = team.from_main(lambda: run_folder.find_checkpoint(config, identity, folder))
    team.by_main(lambda: continuing.begin(folder, config, sets, sets.hashes))
    dtype = weights.compute_dtype(config["dtype"], team.device)
    return RunContext(
        config, folder, switch, progress, sets, sets.hashes, tokenizer, model_hash, dtype, identity, checkpoint
    )


def _show_configuration(config: dict, given: dict, team: processes.Team):
    """Prints the resolved configuration; a star marks what the user gave."""
    say("configuration (* marks given settings):")
    for name, value in config.items():
        if value not in (None, "", False):
            say(f"  {'*' if name in given else ' '} {name} = {value}")
    if team.count > 1:
        sharing = ", weights sharded (FSDP)" if team.layout != team.count else ", data parallel"
        say(f"  processes = {team.count}{sharing}")
