"""The methods that the form offers for each kind of data, their descriptions, and what they may cost the rest."""

from __future__ import annotations

import unlearning_algorithm as algorithm
from data import uploads
from data.uploads import InputError
from models.store.folders import read_json_or_empty
from results.run import continuing, options
from results.run.request import flags

FOR_TEXT = "npo"  # used if the default method cannot handle plain text
FAMILIES = {  # as in the METHODS table: (name on the page, name in the field)
    "gradient": ("Make it less likely", "gradient-based"),
    "data_augmentation": ("Teach other answers", "data augmentation"),
    "regularization": ("Protect the rest", "regularisation"),
    "distillation": ("Learn from a teacher", "distillation"),
    "fine_tuning": ("Train on the rest", "fine-tuning"),
}
BUDGETS = {"little": 0.05, "some": 0.2, "half": 0.5}  # the share of what a model knows of the rest that it may lose
AUTO = ("Search for the best method", options.AUTO)  # the family, which holds only this method
AUTO_TEXT = (
    "**Tries several methods and settings, and keeps the one that forgets most within your utility budget.** Use it "
    "when you have time and no preferred method.  \n<small>Known weakness: it judges by about 40 rows of each kind, "
    "and a few trials find only a good starting point.</small>"
)


def recommended(source: str) -> str:
    """The method that the page selects for a source: the runner's default if it fits."""
    default = str(options.OPTIONS["method"].default)
    return default if fits(default, source) else FOR_TEXT


def fits(name: str, source: str) -> bool:
    """Whether a method works on a source: plain text has no question to refuse."""
    return source != "text" or name == options.AUTO or algorithm.METHODS[name].works_on_raw_text


def fitting(given: dict, form: dict) -> str:
    """The method of a form's settings; in place of the recommended one, what the runner takes for such a request."""
    if given["method"] != flags.PROXY:
        return given["method"]
    if form.get("source") == "name" and form.get("training_data") in (None, "", []):
        return flags.BY_NAME  # with the settings that a name alone gets
    if given.get("continue_from"):  # its method goes on, with the rows that it kept
        before = read_json_or_empty(continuing.found(given["continue_from"]) / "config.json").get("method")
        return before if before in algorithm.METHODS else given["method"]
    own = {"forget_data": "-"} if form.get("source") not in ("name", "example") else {}
    kept = {"retain_data": "-"} if form.get("retain") not in (None, "", []) else {}
    return flags.default_method({**given, **own, **kept}, options.TARGET)


def family_of(name: str) -> str:
    """The family that lists a method."""
    return options.AUTO if name == options.AUTO else algorithm.METHODS[name].family


def family_choices() -> list[tuple[str, str]]:
    """(label, family) in the page's order, the search last."""
    return [*((label, name) for name, (label, _) in FAMILIES.items() if name in algorithm.FAMILIES), AUTO]


def method_choices(family: str, source: str) -> list[tuple[str, str]]:
    """(label, name) of a family's methods that work on a source; the recommended one or the family's default first."""
    if family == options.AUTO:
        return [("search", options.AUTO)]
    first = (recommended(source), algorithm.FAMILY_DEFAULTS.get(family))
    found = [m.name for m in algorithm.METHODS.values() if m.family == family and fits(m.name, source)]
    found.sort(key=lambda name: first.index(name) if name in first else len(first))
    return [(name.replace("_", " "), name) for name in found]


def method_text(name: str, source: str = "") -> str:
    """Markdown about a method: what it does, when to use it, its weakness, its paper."""
    if name == options.AUTO:
        return AUTO_TEXT
    if name not in algorithm.METHODS:
        return ""
    method = algorithm.METHODS[name]
    typed = {"text": "plain text", "pairs": "questions and answers"}.get(source, "")
    why = f" Recommended for {typed}." if typed and name == recommended(source) else ""
    use = f" Use it when {method.use_when}." if method.use_when else ""
    if name == flags.PROXY:
        use += f" A name alone gets {flags.BY_NAME} in its place, a text or file without rows to keep {flags.UNKEPT}, "
        use += f"and a model whose base is unknown {flags.OTHERWISE}."
    return (
        f"**{method.plain or method.summary}**{use}{why}  \n<small>Known weakness: {method.known_failure}. In the "
        f"literature: {method.name}, {FAMILIES[method.family][1]}; {method.paper}.</small>"
    )


def budget(value, given: dict, time_budget=None) -> dict[str, str]:
    """The runner's flags for a utility budget: stop at that loss and restore the best state; for a search, also a time.

    `value`: a key of `BUDGETS`, the share that may be lost, or empty.
    """
    searches = given["method"] == options.AUTO
    if value in (None, "") and not searches:
        return {}
    try:
        share = BUDGETS.get(str(value or "half")) or float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 < share < 1:
        names = ", ".join(BUDGETS)
        raise InputError(
            f"utility budget {uploads.shown(value)}: give one of {names}, or a share between 0 and 1, such as 0.05"
        )
    if searches:
        return {"utility_budget": f"{1 - share:g}", "time_budget": str(time_budget or "10m")}
    if value == "half":  # the runner's own limit
        return {}
    method = algorithm.METHODS.get(given["method"])
    if method and not method.guarded:
        raise InputError(f"{method.name} cannot stop at a utility budget: clear it, or select another method")
    if given.get("load_best_model_at_end", "true") != "true":
        raise InputError("a utility budget restores the best state: --load_best_model_at_end must be true")
    return {"collapse_guard": f"{1 - share:g}", "load_best_model_at_end": "true"}
