"""What all tabs share: Gradio imported on first use, refusals as messages, handlers by name, the page.

A tab is a class with a `TITLE`. Its `__init__(page)` makes the components and their events. Its `wire()` runs once all
tabs exist and adds the events that concern other tabs.
"""

from __future__ import annotations

import abc
import functools
import html
import inspect
from pathlib import Path
from typing import Any

from models.store.paths import PROJECT
from results.page.desk import Desk
from results.page.server.files import offer
from results.run import options


class _Gradio:
    """Imports Gradio on first use: the import takes seconds, and `--help` must not wait for it."""

    def __getattr__(self, name: str):
        import gradio

        return getattr(gradio, name)


gr: Any = _Gradio()
PRIVATE = {"api_visibility": "private"}
QUIET = {**PRIVATE, "show_progress": "hidden"}
HIDDEN = {"visible": False}
MODELS = [
    ("SmolLM2 135M, trained on 20 invented people (default)", options.TARGET),
    ("SmolLM2 135M Instruct, as published", "HuggingFaceTB/SmolLM2-135M-Instruct"),
]


@functools.cache
def _moving_choice() -> type:
    inside = {"is_template": True, "preprocess": lambda self, payload: payload, "__module__": __name__}
    # made without Gradio's own step for new classes, which writes an interface file beside this one
    return abc.ABCMeta.__new__(type(gr.Dropdown), "MovingChoice", (gr.Dropdown,), inside)


def moving_choice(*args, **more):
    """A list whose choices change as somebody types.

    Gradio's own list refuses what the browser shows as soon as the server has changed the choices, before the browser
    can know. Whoever takes the value has to check it.
    """
    return _moving_choice()(*args, **more)


def told(function):
    """Shows a handler's refusals as escaped messages, because Gradio shows messages as HTML."""

    @functools.wraps(function)
    def handler(*args, **values):
        try:
            return function(*args, **values)
        except (ValueError, OSError) as error:
            if not hasattr(error, "exit_code") and not isinstance(error, OSError):
                raise
            text = str(error) if hasattr(error, "exit_code") else f"{error.strerror or error}"
            text = html.escape(text[:3000], quote=False).replace("\n", "<br>")
            raise gr.Error(text, duration=30, print_exception=False) from None

    return handler


def by_name(function, names):
    """`function(request, **values)` for Gradio's `inputs_kwargs`; the API shows each name as an optional parameter."""

    def handler(request, **values):
        return function(request, **values)

    request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names]
    handler.__signature__ = inspect.Signature([request, *rest])
    handler.__annotations__ = {"request": gr.Request}
    handler.__name__ = function.__name__
    return handler


def finished(runs, needed=("evaluation.json", "config.json")) -> list[str]:
    """Names of the runs that hold these files, newest first. A measurement of a single model has no config.json."""
    found = [
        (folder.stat().st_mtime, name)
        for name, (folder, _) in runs.items()
        if all((folder / file).is_file() for file in needed)
    ]
    return [name for _, name in sorted(found, reverse=True)]


def table(headers: list[str], label: str, **more):
    """A read-only table. On a phone it scrolls sideways."""
    look = {"datatype": "str", "interactive": False, "wrap": True, "elem_classes": "wide"}
    return gr.Dataframe(headers=headers, label=label, **{**look, **more})


def figures(label: str, **more):
    """A gallery of figures in two columns."""
    look = {"columns": 2, "object_fit": "contain", "height": "auto", "elem_classes": "figures"}
    return gr.Gallery(label=label, interactive=False, **look, **more)


def command_line(label: str, elem_id: str, value: str | None = None):
    """A command to read and copy."""
    look = {"language": "shell", "interactive": False, "wrap_lines": True, "lines": 1, "buttons": ["copy"]}
    return gr.Code(value, label=label, elem_id=elem_id, **look)


def gallery(folder: Path) -> list[tuple[str, str]]:
    """(served copy, title) of each figure below a folder."""
    return [(offer(path), path.stem.replace("_", " ")) for path in sorted(folder.rglob("*.png"))]


class Page:
    """What tabs share.

    `job`: id of the watched job, kept by the browser. `live`: the live view, which the first tab sets. `shelf`: the row
    of tabs; `panels` and `tabs`: the Gradio tab and our object of each, by id.
    """

    def __init__(self, desk: Desk, demo):
        self.desk, self.demo = desk, demo
        self.job = gr.BrowserState(None, storage_key="unlearning-job", secret="unlearning-page")
        self.live: Any = None
        self.shelf: Any = None
        self.panels: dict[str, Any] = {}
        self.tabs: dict[str, Any] = {}
        self.lists: dict[Any, Any] = {}
        self.selectors: list[Any] = []

    def keep_fresh(self, component, update) -> None:
        """Updates a component with `update(runs)` whenever runs may have changed; runs: {name: (folder, job)}."""
        self.lists[component] = update

    def keep_fresh_models(self, component) -> None:
        """The same for a model selector: the bundled models and those that this person's runs made."""
        self.selectors.append(component)

    def models(self, runs) -> list[tuple[str, str]]:
        """(label, name) of the bundled models and of models made by runs."""
        made = []
        for name, run in runs.items():
            folder = self.desk.model_of(*run)
            if folder and folder.is_relative_to(PROJECT):
                made.append((f"made by run {name}", str(folder.relative_to(PROJECT))))
        return MODELS + sorted(made)

    def fresh(self, request: gr.Request):
        """New values for all components that show runs or models."""
        runs = self.desk.runs(request)
        choices = self.models(runs)
        fresh = {component: update(runs) for component, update in self.lists.items()}
        return fresh | {component: gr.update(choices=choices) for component in self.selectors}

    def refresh_on(self, *events, **more) -> None:
        """Refreshes these components after each event."""
        for event in events:
            event(self.fresh, None, [*self.lists, *self.selectors], **{**QUIET, **more})

    def follow(self, event) -> None:
        """Shows the job whose id `event` wrote into `self.job`."""
        shown = event.success(lambda: gr.Tabs(selected="unlearn"), None, self.shelf, **QUIET)
        shown.then(**self.live.look, **PRIVATE)
