"""A tokenizer's chat template as text: what it writes around contents, for one sequence of roles.

    text = rendered(tokenizer, ("system", "user"), control)     # .prompt, .full, .notes; slots stand for the contents

What a template refuses or leaves out is written in another way, with a note: a system text before the first user turn,
calls and results of tools as text, a conversation without its first assistant turn. A reasoning model is asked without
its thinking part. The date of a dated template is fixed.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.messages import OPEN_THOUGHT
from data.template_trial import Endless, in_time, tried

SLOT = re.compile(r"(\\t|\t|)zqslot(\d+)qz(\\t|\t|)")
CALL, TOOLS = "call:", "tools:"  # roles that hold their JSON, because the template writes it and not a text
DATE = "template_date"
_NOW = re.compile(r"""strftime_now\s*\(\s*(["'])(.*?)\1\s*\)""")
_SYSTEM = "the chat template has no system role: system texts are put before the first user turn"
_TOOLS = "the chat template has no turns of tools: calls and results of tools are written as text"
_LIST = "the chat template has no place for the tools that rows list: they are left out"
_LEAD = "the chat template begins with a user turn: an assistant turn before it is left out"


class Refused(Exception):
    """A template that refuses a sequence of roles."""


def slot(number: int) -> str:
    """What stands for the content with this number."""
    # The tabs show whether the template strips contents; no known template writes a tab itself.
    return f"\tzqslot{number}qz\t"


@dataclass
class Rendered:
    """A prompt, the same with its answer, and what was done to write it. The answer's slot has the last number."""

    prompt: str
    full: str
    notes: list[str] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------------------------
# Templates that depend on the day, and templates that know thinking


def is_dated(tokenizer: Any) -> bool:
    """Whether the chat template writes the day on which it is used."""
    return "strftime_now" in str(getattr(tokenizer, "chat_template", None) or "")


def fix_date(tokenizer: Any, date: str | None = None) -> str | None:
    """Fixes the day that a dated template writes, and returns it (YYYY-MM-DD); None for any other template.

    date: default the day that was fixed before, else today. Saving the model records it, so a later run on the saved
    model has the same prompts.
    """
    if not is_dated(tokenizer):
        return None
    kept = tokenizer.init_kwargs.get(DATE)
    tokenizer.init_kwargs[DATE] = date or kept or datetime.date.today().isoformat()
    return tokenizer.init_kwargs[DATE]


def recorded_date(tokenizer: Any) -> dict[str, str]:
    """What a manifest or a run records of a dated template; {} for any other."""
    day = fix_date(tokenizer) if tokenizer is not None else None
    return {DATE: day} if day else {}


def _template(tokenizer: Any, tools: list[dict] | None = None) -> str:
    """The chat template with the fixed day; of several ones that which transformers uses."""
    day, template = fix_date(tokenizer), tokenizer.get_chat_template(tools=tools)
    if day is None:
        return template
    return _NOW.sub(lambda found: json.dumps(datetime.date.fromisoformat(day).strftime(found[2])), template)


def knows_thinking(tokenizer: Any, closing: str = "</think>") -> bool:
    """Whether the chat template has a place of its own for what a model thinks before its answer.

    closing: the mark that ends such a part in the text of a row.
    """
    template = str(getattr(tokenizer, "chat_template", None) or "")
    return closing in template or "enable_thinking" in template


# ---------------------------------------------------------------------------------------------------------------------
# Conversations


def rendered(tokenizer: Any, roles: Sequence[str], control: re.Pattern) -> Rendered:
    """The template around a conversation of these roles and its answer. Raises Refused, or Endless.

    roles: of the turns up to the answer, in order, the last one a user or a tool; a call is `CALL` + its JSON, a
    list of tools `TOOLS` + its JSON. control: the control tokens; a call that holds one is written as text.
    """
    tools = any(role == "tool" or role.startswith(CALL) for role in roles)
    unsafe = any(role.startswith((CALL, TOOLS)) and control.search(role) for role in roles)
    spoken = [role for role in roles if not role.startswith(TOOLS)]
    system, first = spoken[0] == "system", next((role for role in spoken if role != "system"), "")
    options = ((first == "assistant", False), (tools, unsafe), (system and len(spoken) > 1, False),
               (len(spoken) < len(roles), unsafe))  # fmt: skip
    reason: Exception | None = None
    for ways in itertools.product(*((False, True)[must and may : 1 + may] for may, must in options)):
        without_lead, as_text, joined, unlisted = ways
        messages = _messages(roles, as_text)
        if without_lead:
            del messages[int(system)]
        if joined:
            content = messages[0]["content"] + "\n\n" + messages[1]["content"]
            messages[:2] = [{**messages[1], "content": content}]
        try:
            listed = None if unlisted or len(spoken) == len(roles) else json.loads(roles[0][len(TOOLS) :])
            prompt = _written(tokenizer, messages, True, listed)
            _check(prompt, roles, as_text, listed or ())
        except Endless:
            raise
        except Exception as error:  # templates raise errors of many types
            reason = reason or error
            continue
        notes = [note for note, done in zip((_LEAD, _TOOLS, _SYSTEM, _LIST), ways) if done]
        return _with_answer(tokenizer, messages, prompt, len(roles), notes, listed)
    raise Refused(f"{', '.join(role.partition(':')[0] for role in roles)}: {reason}") from None


def _with_answer(tokenizer: Any, messages: list[dict], prompt: str, number: int, notes: list[str], tools) -> Rendered:
    """The prompt and the conversation with its answer; a thinking part that the prompt opens is closed, empty."""
    try:
        full = _written(tokenizer, [*messages, {"role": "assistant", "content": slot(number)}], False, tools)
    except Endless:
        raise
    except Exception as error:
        raise Refused(f"{', '.join(message['role'] for message in messages)}, assistant: {error}") from None
    opened = OPEN_THOUGHT.search(prompt)
    if opened and not full.startswith(prompt):
        notes.append("the chat template opens a thinking part: the model is asked with an empty one")
        closing = f"</{opened[1]}>" if opened[1] else "[/THINK]"
        prompt = prompt.rstrip("\n") + f"\n\n{closing}\n\n"
    return Rendered(prompt, full, notes)


def _written(tokenizer: Any, messages: list[dict], generation_prompt: bool, tools: list[dict] | None) -> str:
    options: dict[str, Any] = {"add_generation_prompt": generation_prompt, **({"tools": tools} if tools else {})}
    options |= {"enable_thinking": False} if knows_thinking(tokenizer) else {}
    template = _template(tokenizer, tools)
    variables = {"tools": None, "documents": None, **tokenizer.special_tokens_map, **options, "messages": messages}
    tried(str(tokenizer.name_or_path), template, variables)
    with in_time(str(tokenizer.name_or_path)):
        return tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template, **options)


def _check(prompt: str, roles: Sequence[str], as_text: bool, tools: Sequence[dict]):
    """Raises Refused if the template leaves out the last turn, a turn of a tool, or the list of tools."""
    if any(tool["function"]["name"] not in prompt for tool in tools):
        raise Refused("it leaves out the tools that rows list")
    there = {int(found[2]) for found in SLOT.finditer(prompt)}
    if len(roles) - 1 not in there:
        raise Refused("it leaves out the last user turn")
    for number, role in enumerate(roles):
        if role == "tool" and number not in there:
            raise Refused("it leaves out the results of tools")
        if role.startswith(CALL) and not as_text:
            names = [call["name"] for call in json.loads(role[len(CALL) :])]
            if any(name not in prompt for name in names):
                raise Refused("it leaves out calls of tools")


def _messages(roles: Sequence[str], as_text: bool) -> list[dict]:
    """The messages of the roles, with slots. as_text: calls are assistant turns, results of tools are user turns."""
    messages: list[dict] = []
    for number, role in enumerate(roles):
        if role.startswith(TOOLS):
            continue
        last = messages[-1] if messages else {"role": ""}
        is_call, content = role.startswith(CALL), slot(number)
        if is_call and not as_text:
            calls = [{"type": "function", "function": call} for call in json.loads(role[len(CALL) :])]
            if last["role"] == "assistant" and not last.get("tool_calls"):
                last["tool_calls"] = calls
            else:
                messages.append({"role": "assistant", "content": "", "tool_calls": calls})
            continue
        name = ("assistant" if is_call else "user" if role == "tool" else role) if as_text else role
        if as_text and name == last["role"] and (is_call or role == "tool"):
            last["content"] += "\n" + content
        else:
            messages.append({"role": name, "content": content})
    return messages
