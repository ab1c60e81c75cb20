"""Ollama's Modelfile of a model: its weights, its chat template and where an answer ends.

A chat template is a program, and Ollama's language is another one. So the template is taken apart by rendering it, and
it is written only if putting the parts together gives what the template gives for other conversations too.
"""

from __future__ import annotations

from typing import NamedTuple

from data.template_trial import watched

MARKS = ("\ue000user\ue000", "\ue000assistant\ue000", "\ue000system\ue000", "\ue000again\ue000")  # private characters
QUOTES = '"""'


class Parts(NamedTuple):
    """A chat template as texts before and after each role's content, with what stands for a missing system turn."""

    opening: str
    around: dict[str, tuple[str, str]]
    answer: str  # after the last turn, before the model's answer
    system: str | None  # the system text that the template adds by itself

    def rendered(self, turns: list[tuple[str, str]]) -> str:
        """A conversation, ready for an answer."""
        if self.system is not None and turns[0][0] != "system":
            turns = [("system", self.system), *turns]
        pieces = (f"{self.around[role][0]}{text}{self.around[role][1]}" for role, text in turns)
        return f"{self.opening}{''.join(pieces)}{self.answer}"


def modelfile(tokenizer, weights: str) -> str:
    """The Modelfile's text. weights: path of a GGUF file or a folder of safetensors, as Ollama finds it."""
    lines, parts = [f"FROM {weights}"], template_parts(tokenizer)
    if parts is None:
        lines.append("# no TEMPLATE: this chat template cannot be written in Ollama's language by rule; Ollama takes")
        lines.append("# the one it knows for the weights, so compare its first prompt with the tokenizer's")
    else:
        if parts.system is not None:
            lines.append(f"SYSTEM {QUOTES}{parts.system}{QUOTES}")
        lines.append(f"TEMPLATE {QUOTES}{_in_go(parts)}{QUOTES}")
    return "\n".join([*lines, *(f"PARAMETER stop {QUOTES}{stop}{QUOTES}" for stop in _stops(tokenizer, parts))]) + "\n"


def template_parts(tokenizer) -> Parts | None:
    """The parts of the tokenizer's chat template; None without a template, or if it is more than parts."""
    if not getattr(tokenizer, "chat_template", None):
        return None
    try:
        parts = _taken_apart(tokenizer)
    except Exception:  # a template may refuse any conversation, with any error
        return None
    if parts is None:
        return None
    texts = [
        parts.opening,
        parts.answer,
        parts.system or "",
        *(text for pair in parts.around.values() for text in pair),
    ]
    if any("{{" in text or "}}" in text or QUOTES in text or "\ue000" in text for text in texts):
        return None
    talks = (
        [("user", "one")],
        [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four five"), ("user", "six")],
        *([[("system", "be brief"), ("user", "one"), ("assistant", "two"), ("user", "three")]]
          if "system" in parts.around else []),
    )  # fmt: skip
    try:
        if any(parts.rendered(talk) != _rendered(tokenizer, talk) for talk in talks):
            return None
    except Exception:  # as above
        return None
    return parts._replace(opening=parts.opening.removeprefix(tokenizer.bos_token or ""))  # Ollama adds it by itself


def _rendered(tokenizer, turns, ready: bool = True) -> str:
    messages = [{"role": role, "content": text} for role, text in turns]
    with watched(tokenizer):
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ready)


def _taken_apart(tokenizer) -> Parts | None:
    """Reads the parts from conversations whose contents are marks; None if they do not fit together."""
    user, assistant, system, again = MARKS
    head, ends = _rendered(tokenizer, [("user", user)], False).split(user)
    answer = _rendered(tokenizer, [("user", user)]).removeprefix(head + user + ends)
    said = _rendered(tokenizer, [("user", user), ("assistant", assistant)], False)
    between, closes = said.split(user)[1].split(assistant)
    talk = _rendered(tokenizer, [("user", user), ("assistant", assistant), ("user", again)], False)
    begins = talk.split(assistant)[1].split(again)[0].removeprefix(closes)
    if not (head.endswith(begins) and between.startswith(ends)):
        return None
    opening = head.removesuffix(begins)
    around = {"user": (begins, ends), "assistant": (between.removeprefix(ends), closes)}
    try:
        start, rest = _rendered(tokenizer, [("system", system), ("user", user)], False).split(system)
    except Exception:  # no system turns in this template
        return Parts(opening, around, answer, None)
    close = rest.split(user)[0].removesuffix(begins)
    if start and close and opening.startswith(start) and opening.endswith(close):  # it adds a system turn of its own
        added = opening[len(start) : len(opening) - len(close)]
        return Parts("", {**around, "system": (start, close)}, answer, added) if added.strip() else None
    return Parts(opening, {**around, "system": (start.removeprefix(opening), close)}, answer, None)


def _in_go(parts: Parts) -> str:
    """The parts in Ollama's template language."""
    branches = [f'{"{{ if" if not place else "{{ else if"} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
                for place, (role, (before, after)) in enumerate(parts.around.items())]  # fmt: skip
    system = parts.around.get("system")
    lead = f"{{{{ if .System }}}}{system[0]}{{{{ .System }}}}{system[1]}{{{{ end }}}}" if system else ""
    turns = "".join(branch for branch in branches if 'eq .Role "system"' not in branch)
    return f"{parts.opening}{lead}{{{{ range .Messages }}}}{turns}{{{{ end }}}}{{{{ end }}}}{parts.answer}"


def _stops(tokenizer, parts: Parts | None) -> list[str]:
    """Texts at which an answer ends: the tokenizer's end and the text after an assistant's turn."""
    after = parts.around["assistant"][1].strip() if parts else ""
    return [stop for stop in dict.fromkeys([after, tokenizer.eos_token]) if stop and QUOTES not in stop]
