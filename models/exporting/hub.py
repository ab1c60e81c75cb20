"""Uploads of a saved model to the Hugging Face hub, with huggingface_hub's own login; a new repository is private."""

from __future__ import annotations

import re
from pathlib import Path

from models.store.folders import ModelError

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
LOGIN = "log in first with `hf auth login`, with a token that may write"


def problems(name: str | None) -> list[str]:
    """What is wrong with the name, without asking the hub."""
    wrong = name and not NAME.fullmatch(name)
    return [f"--push_to_hub {name[:200]}: give USER/NAME or ORGANISATION/NAME"] if wrong else []


def check(name: str) -> str:
    """The name of the account that is logged in. Raises ModelError before a run that could not be pushed."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().whoami()["name"])
    except Exception as error:  # no token, a refused token, no network: each with a type of its own
        raise ModelError(
            f"--push_to_hub {name}: the hub does not know who you are ({_short(error)}); {LOGIN}"
        ) from None


def push(folder: Path, name: str) -> str:
    """Uploads the folder's files, its card among them, to a private model repository; returns its address.

    A repository that exists keeps its visibility. Raises ModelError.
    """
    from huggingface_hub import HfApi

    try:
        address = HfApi().create_repo(name, repo_type="model", private=True, exist_ok=True)
        HfApi().upload_folder(repo_id=name, folder_path=str(folder), repo_type="model",
                              commit_message="Unlearned model", ignore_patterns=[".*"])  # fmt: skip
    except Exception as error:  # the hub and the network raise dozens of types
        raise ModelError(
            f"{folder} was not pushed to {name}: {_short(error)}; try `hf upload {name} {folder}`"
        ) from None
    return str(address)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
