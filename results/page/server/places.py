"""Which places on the server a person's paths may lead to, where several people have accounts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from data.uploads import HUB_NAME, confined_path
from models.store import adapters
from models.store.folders import read_json_or_empty
from models.store.paths import PROJECT
from results.run import options


class Homes(NamedTuple):
    """The folders of all runs and of all models, and the models in them that belong to everybody."""

    results: Path
    models: Path
    common: list[Path]


def may_use(place: Path, homes: Homes, mine: Iterable[Path], theirs: Iterable[Path], first: bool) -> bool:
    """Whether a place, given without links, is bundled, in one of `mine`, or outside the folders of runs and models.

    mine, theirs: folders that this person's runs and those of others made. first: the account that also has what no
    run of the page made. A folder above others' runs is nobody's.
    """
    above = _real([homes.results, homes.models, PROJECT / "models"])
    others = _real(theirs)
    if any(folder.is_relative_to(place) for folder in above + others) or _inside(place, others):
        return False
    if first or not _inside(place, [*above, *_real([PROJECT / "data", PROJECT / "results"])]):
        return True
    bundled = [PROJECT / path for path in (*options.BUNDLED.values(), options.TARGET, options.RETRAINED)]
    return _inside(place, _real([*bundled, *homes.common, *mine]))


def check_bases(model: str, roots: Sequence[Path], may: Callable[[Path], bool]) -> None:
    """Raises InputError for an adapter whose base, or that base's own base, lies where the person may not go.

    Looks where `loading.down_to_base` would look from the project's folder. A name of the hub is no place.
    """
    place = PROJECT / model
    for _ in range(8):  # the loader refuses adapters that name each other
        base = read_json_or_empty(place / adapters.CONFIG).get("base_model_name_or_path")
        if not isinstance(base, str) or not base.strip():
            return
        beside = place / base
        if not (base.startswith(".") and beside.is_dir()):
            beside = PROJECT / os.path.expanduser(base)
            if HUB_NAME.fullmatch(base) and not beside.exists():
                return
        what = f"the base of the adapter {model} (base_model_name_or_path in {adapters.CONFIG})"
        place = confined_path(os.path.realpath(beside), _real(roots), PROJECT, what, may)


def _real(folders: Iterable[Path]) -> list[Path]:
    return [Path(os.path.realpath(folder)) for folder in folders]


def _inside(place: Path, folders: list[Path]) -> bool:
    return any(place.is_relative_to(folder) for folder in folders)
