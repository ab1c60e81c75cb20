"""Chat messages in the writings of OpenAI, ShareGPT, Anthropic, Gemini: turns, and which of them is the answer.

    turns = turns_of(row["messages"], "messages")
    fields = conversation(turns, "messages")       # prompt, answer, history, the turns of tools between them

A turn of a tool is ("tool", its result); a call of tools is ("call", JSON of [{"name", "arguments"}, ...]); the tools
that may be called are a first turn ("tools", JSON of their list).
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from data.values import RowFlaw, shown, text_of, type_of

ROLES = {
    "human": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant",
    "chatbot": "assistant", "model": "assistant", "ai": "assistant", "developer": "system", "function": "tool",
    "observation": "tool", "ipython": "tool", "function_response": "tool", "tool_response": "tool",
    "tool_result": "tool", "function_call": "call", "tool_call": "call",
}  # fmt: skip
SPOKEN = ("system", "user", "assistant", "tool", "call")
ROLE_KEYS = ("role", "from", "speaker", "author")
CONTENT_KEYS = ("content", "value", "parts", "text")
REASONING = ("reasoning_content", "reasoning", "thinking")
_TEXT_PARTS = ("text", "input_text", "output_text", None)
_NAMES = r"think|thinking|thought|thoughts|reasoning|seed:think"
THOUGHT = re.compile(rf"\s*(?:<({_NAMES})>.*?(</\1>)|\[THINK\].*?(\[/THINK\]))\s*", re.DOTALL)
OPEN_THOUGHT = re.compile(rf"(?:<({_NAMES})>|\[THINK\])\s*$")


class Turn(NamedTuple):
    """One turn of a conversation."""

    role: str  # of `SPOKEN`
    content: str
    reasoning: str = ""  # what the model thought first; with its tags if the content held it

    @property
    def whole(self) -> str:
        """The content with the reasoning that it held."""
        return self.reasoning + self.content if end_of_thought(self.reasoning) else self.content


def without_thought(text: str) -> tuple[str, str]:
    """(its block of thinking with the space around it, the rest) of a text; ("", text) if it begins with none."""
    found = THOUGHT.match(text)
    rest = text[found.end() :] if found else ""
    return (found[0], rest) if rest.strip() else ("", text)


def end_of_thought(reasoning: str) -> str:
    """The mark that ends a block of thinking, such as </think>; "" for reasoning without marks."""
    found = THOUGHT.fullmatch(reasoning)
    return (found[2] or found[3]) if found else ""


def turns_of(value: Any, name: str) -> list[Turn]:
    """The turns of a list of messages, or of a list of texts in which user and assistant alternate. Raises RowFlaw."""
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if not isinstance(value, (list, tuple)) or not len(value):
        kind = "an empty list" if isinstance(value, (list, tuple)) else type_of(value)
        raise RowFlaw(f"{name} is {kind}, expected a list of messages")
    if all(isinstance(message, str) for message in value) and len(value) > 1:
        value = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(value)]
    return [turn for number, message in enumerate(value, start=1) for turn in _turns(message, f"{name} {number}: ")]


def _turns(message: Any, where: str) -> list[Turn]:
    """The turns of one message: a text, calls of tools, results of tools."""
    if not isinstance(message, dict):
        raise RowFlaw(f"{where}is {type_of(message)}; expected an object with role and content")
    if "input" in message and "output" in message and not {*ROLE_KEYS} & {*message}:
        return [Turn("user", text_of(message, "input", where)), Turn("assistant", text_of(message, "output", where))]
    key = next((key for key in ROLE_KEYS if key in message), "role")
    given = text_of(message, key, where)
    role = given.strip().casefold()
    role = ROLES.get(role, role)
    if role not in SPOKEN:
        raise RowFlaw(f"{where}role {shown(given)} is not system, user, assistant or tool")
    key = next((key for key in CONTENT_KEYS if key in message), "content")
    content, reasoning, others = _content(message.get(key), f"{where}{key} ")
    calls = [*_calls(message), *(turn for turn in others if turn.role == "call")]
    if role == "call":
        return [Turn("call", found) if (found := _as_calls(content)) else Turn("assistant", content)]
    results = [turn for turn in others if turn.role == "tool"]
    if content is None and not calls and not results:
        raise RowFlaw(f"{where}{key} is {type_of(message.get(key))}, expected text")
    spoken = content is not None and (content.strip() or not (calls or results))
    if not spoken:
        return [*results, *calls]
    text_of({key: content}, key, where, empty=role in ("system", "tool"))
    for name in REASONING:
        reasoning = reasoning or (message.get(name) if isinstance(message.get(name), str) else "")
    if role == "assistant" and not reasoning:
        reasoning, content = without_thought(content)
    return [*results, Turn(role, content, reasoning), *calls]


def _content(value: Any, where: str) -> tuple[str | None, str, list[Turn]]:
    """(text, reasoning, calls and results of tools) of a message's content, given as text or as a list of parts."""
    if not isinstance(value, (list, tuple)):
        return (value if isinstance(value, str) else _number(value)), "", []
    texts, thoughts, others = [], [], []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and kind in _TEXT_PARTS and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("thinking", "reasoning"):
            thoughts.append(str(part.get("thinking") or part.get("text") or part.get("reasoning") or ""))
        elif kind == "tool_use":
            others.append(Turn("call", _json([{"name": part.get("name"), "arguments": part.get("input")}])))
        elif kind == "tool_result":
            others.append(Turn("tool", _content(part.get("content"), where)[0] or ""))
        else:
            what = shown(kind) if kind else type_of(part)
            raise RowFlaw(f"{where}has a part of type {what}; only texts can be forgotten: leave this part out")
    return ("".join(texts) if texts else None), "\n".join(thoughts), others


def _number(value: Any) -> str | None:
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _calls(message: dict) -> list[Turn]:
    """The call turn of an OpenAI message, if it calls tools."""
    given = message.get("tool_calls") or message.get("function_call")
    found = _as_calls(given) if given else ""
    return [Turn("call", found)] if found else []


def _as_calls(value: Any) -> str:
    """Calls of tools in any writing as JSON of [{"name", "arguments"}]; "" if it is none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ""
    found = []
    for call in value if isinstance(value, (list, tuple)) else [value]:
        call = call.get("function", call) if isinstance(call, dict) else call
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return ""
        arguments = call.get("arguments", call.get("parameters", {}))
        if isinstance(arguments, str):
            with contextlib.suppress(ValueError, RecursionError):
                arguments = json.loads(arguments or "{}")
        found.append({"name": call["name"], "arguments": arguments})
    return _json(found) if found else ""


def is_message(value: Any) -> bool:
    """Whether a value is one message of a conversation."""
    return isinstance(value, dict) and bool({*ROLE_KEYS} & {*value}) and bool({*CONTENT_KEYS, "tool_calls"} & {*value})


def tools_of(value: Any) -> str:
    """The tools that a row lists, as JSON of OpenAI's writing; "" for none. Raises RowFlaw."""
    if value is None or value == "" or value == []:
        return ""
    try:
        tools = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        tools = None
    if isinstance(tools, (list, tuple)) and not tools:
        return ""
    functions = [tool.get("function", tool) for tool in tools or () if isinstance(tool, dict)]
    named = [function for function in functions if isinstance(function, dict) and isinstance(function.get("name"), str)]
    if not isinstance(tools, (list, tuple)) or len(named) != len(tools):
        raise RowFlaw("tools is not a list of functions with names: write it as OpenAI does, or leave it out")
    return _json([{"type": "function", "function": function} for function in named])


def conversation(turns: Sequence[Turn], name: str) -> dict[str, Any]:
    """Fields of a conversation: the last assistant turn is the answer and carries the loss. Raises RowFlaw."""
    first = next((i for i, turn in enumerate(turns) if turn.role != "system"), 0)
    if first > 1:  # OpenAI's system and developer messages
        turns = [Turn("system", "\n\n".join(turn.content for turn in turns[:first])), *turns[first:]]
    last = max((i for i, turn in enumerate(turns) if turn.role in ("assistant", "call")), default=0)
    if turns[last].role == "call":
        raise RowFlaw(
            f"{name} ends with a call of a tool, which has no words to forget: end it with the assistant's answer, or "
            "write the call as the text that the model says"
        )
    asked = max((i for i, turn in enumerate(turns[:last]) if turn.role == "user"), default=-1)
    between = turns[asked + 1 : last]
    if asked < 0 or (between and not any(turn.role in ("tool", "call") for turn in between)):
        raise RowFlaw(f"{name} needs an assistant turn, with a user turn directly before the last one")
    if any(turn.role == "system" for turn in turns[1:]):
        raise RowFlaw(f"{name} has a system turn that is not the first")
    return {
        "answer": turns[last].content,
        "prompt": turns[asked].content,
        "history": tuple((turn.role, turn.whole) for turn in turns[:asked]),
        "between": tuple((turn.role, turn.whole) for turn in between),
        "reasoning": turns[last].reasoning,
        "chat": True,
        "cut": last + 1 < len(turns),
    }
