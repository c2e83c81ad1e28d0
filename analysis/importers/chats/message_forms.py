"""This module reads one message in whatever form a framework wrote it: who speaks, to whom, what, at what cost.

A form is told by the keys that a message has. Speakers stand under ``sent_from`` (MetaGPT), ``name``, ``source``,
``sender``, ``agent``, ``speaker``, ``from``, ``role`` or ``type``, the first that is set; texts under ``content``,
``value``, ``message``, ``text`` or ``output``. Messages of LangChain are unwrapped (``kwargs``, ``data``). What is no
act of an agent (instructions, thoughts, chunks of a stream) is passed over and counted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.importers.chats.chat import ChatMessage, ChatToolUse, parted
from analysis.importers.chats.usage_forms import usage_of
from analysis.importers.loose_json import whole_text

SPEAKER: Final = ("sent_from", "name", "source", "sender", "agent", "agent_name", "speaker", "from", "role", "type")
ADDRESSEE: Final = ("to", "recipient", "receiver", "target", "send_to")
TEXT: Final = ("content", "value", "message", "text", "output", "utterance")
NAME_CHARS: Final = 200
_EVERYBODY: Final = frozenset({"", "all", "<all>", "everyone", "everybody", "chat_manager"})
_INSTRUCTIONS: Final = frozenset({"system", "developer", "systemmessage", "systemmessagechunk"})
_INNER: Final = {
    "ModelClientStreamingChunkEvent": "chunks of a stream",
    "ThoughtEvent": "thoughts",
    "MemoryQueryEvent": "queries of a memory",
    "UserInputRequestedEvent": "requests for input",
    "SelectSpeakerEvent": "choices of the next speaker",
    "SelectorEvent": "choices of the next speaker",
    "CodeGenerationEvent": "code before it is run",
    "reasoning": "thoughts",
    "item_reference": "references to other items",
}
_KINDS_OF_LANGCHAIN: Final = frozenset({"human", "ai", "system", "tool", "function", "chat", "remove"})
_ITEM_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call", "computer_call", "web_search_call"})
_HANDS_OVER: Final = re.compile(r"^(?:transfer|hand_?off|delegate)(?:_to|_work_to)?_(?P<to>.+)$", re.IGNORECASE)
_CALL_KEYS: Final = ("tool_calls", "function_call", "tool_call_id", "tool_responses")
DEPTH_MAX: Final = 40
"""Parts within parts of a content that are looked into (levels)."""


class ReadMessage(NamedTuple):
    """What was read from one object: a message, or why there is none."""

    message: ChatMessage | None = None
    passed: str | None = None
    """What it is, where it is no act of an agent."""
    results: tuple[tuple[str | None, str | None, str], ...] = ()
    """(id of the call, name of the tool, what it gave) of tools, told in a message of their own."""


def is_message(raw: object) -> bool:
    """Return whether an object looks like a message: it says something or calls tools, and names who or what it is."""
    if not isinstance(raw, Mapping):
        return False
    raw = unwrapped(raw)
    says = any(key in raw for key in (*TEXT, *_CALL_KEYS)) or raw.get("type") in (*_ITEM_CALLS, "function_call_output")
    return says and any(isinstance(raw.get(key), str) for key in SPEAKER)


def unwrapped(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message without the wrapping of LangChain: ``{lc, id, kwargs}`` or ``{type, data}``."""
    kwargs, data = raw.get("kwargs"), raw.get("data")
    if isinstance(kwargs, Mapping) and isinstance(raw.get("id"), list) and raw["id"]:
        return {**kwargs, "type": kwargs.get("type") or _kind_of_class(str(raw["id"][-1]))}
    if isinstance(data, Mapping) and raw.get("type") in _KINDS_OF_LANGCHAIN and "content" in data:
        return {**data, "type": raw["type"]}
    inner = raw.get("message")
    if isinstance(inner, Mapping) and any(key in inner for key in ("content", "tool_calls")):
        return {**{key: value for key, value in raw.items() if key != "message"}, **inner}
    return raw


def _kind_of_class(name: str) -> str:
    return name.removesuffix("Chunk").removesuffix("Message").lower()


def read_message(raw: object, index: int, where: str) -> ReadMessage:
    """Return what one object of a list of messages says.

    Args:
        raw: the object.
        index: its place in the list.
        where: the place of the list, for messages.

    Raises:
        InputError: it is no message, or nobody is named as its speaker.
    """
    where = f"{where}: message {index}"
    if not isinstance(raw, Mapping):
        raise InputError(f"this is {_sort(raw)}, not an object with role or name and content", where)
    raw = unwrapped(raw)
    kind = raw.get("type")
    if isinstance(kind, str) and kind in _INNER:
        return ReadMessage(passed=_INNER[kind])
    if kind in _ITEM_CALLS or kind in ("function_call_output", "custom_tool_call_output"):
        return _item(raw, index, where)
    if _is_instruction(raw):
        return ReadMessage(passed="instructions")
    if (results := _results(raw)) is not None:
        return ReadMessage(results=results)
    key = next((key for key in TEXT if raw.get(key) is not None), None)
    tools = _tools(raw)
    if key is None and not tools and not any(key in raw for key in (*TEXT, *_CALL_KEYS)):
        raise InputError("a message without content", where, f"give it one of {', '.join(TEXT)}")
    speaker, addressee = _who(raw, where)
    text = "" if key is None or (tools and _is_calls(raw[key])) else text_of(raw[key])
    handed = next((name for tool in tools if (name := handed_to(tool.name))), None)
    if kind == "HandoffMessage":
        return ReadMessage(ChatMessage(index, speaker, addressee, text, usage=usage_of(raw), hands_over=True))
    if handed and not text.strip():
        return ReadMessage(ChatMessage(index, speaker, handed, "", usage=usage_of(raw), hands_over=True, claims=False))
    says = bool(text.strip())
    if not says and not tools:
        return ReadMessage(passed="messages that say nothing")
    return ReadMessage(ChatMessage(index, speaker, addressee, text, tools, usage_of(raw), claims=says))


def _sort(raw: object) -> str:
    names = {str: "a text", list: "a list", bool: "a truth value", type(None): "null", int: "a number"}
    return names.get(type(raw), "something else")


def _is_instruction(raw: Mapping[str, Any]) -> bool:
    found = [raw.get("role"), raw.get("type"), raw.get("name") if "role" not in raw else None, raw.get("from")]
    return any(isinstance(one, str) and one.strip().lower() in _INSTRUCTIONS for one in found)


def _who(raw: Mapping[str, Any], where: str) -> tuple[str, str | None]:
    """Return the speaker and the addressee."""
    who = next((raw[key] for key in SPEAKER if raw.get(key)), None)
    if who == "message" and raw.get("type") == "message":
        who = raw.get("role")
    if not isinstance(who, str) or not who.strip():
        raise InputError("nobody is named as the speaker", where, f"give it one of {', '.join(SPEAKER)} as text")
    who, to = whole_text(who.strip()), next((raw[key] for key in ADDRESSEE if raw.get(key)), None)
    if isinstance(to, Sequence) and not isinstance(to, str) and all(isinstance(one, str) for one in to):
        to = to[0] if len(to) == 1 else None  # said to several: to nobody in particular
    if to is not None and not isinstance(to, str):
        raise InputError(f"the addressee is {printable(str(to), 40)!r}, not a name", where)
    who, named = parted(who)
    to = to or named
    if not who:
        raise InputError("the speaker's name is empty", where)
    to = None if to is None or to.strip().lower() in _EVERYBODY else whole_text(to.strip())[:NAME_CHARS]
    return who[:NAME_CHARS], to


def text_of(content: object, depth: int = 0) -> str:
    """Return the content of a message as text: parts of kind text joined, pictures and the like by their kind."""
    if content is None or depth > DEPTH_MAX:
        return ""
    if isinstance(content, str):
        return whole_text(content)
    if isinstance(content, Sequence):
        return "\n".join(text for part in content if (text := text_of(part, depth + 1)))
    if isinstance(content, Mapping):
        kind = content.get("type")
        for key in ("text", "content", "value", "refusal"):
            if isinstance(content.get(key), str | list):
                return text_of(content[key], depth + 1)
        if isinstance(kind, str) and kind in ("thinking", "reasoning", "redacted_thinking", "tool_use", "tool_call"):
            return ""
        if isinstance(kind, str) and ("image" in kind or "audio" in kind or "file" in kind):
            return f"[{kind}]"
        return _json(content)
    return str(content)


def _json(value: object) -> str:
    try:
        return whole_text(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))
    except (RecursionError, ValueError, TypeError):
        return "..."


def handed_to(tool: str) -> str | None:
    """Return the agent to whom a tool of this name hands the turn over, or None."""
    found = _HANDS_OVER.match(tool)
    return found["to"][:NAME_CHARS] if found else None


def _tools(raw: Mapping[str, Any]) -> tuple[ChatToolUse, ...]:
    """Return the tools that a message calls: `tool_calls`, the older `function_call`, or parts of its content."""
    calls = raw.get("tool_calls")
    listed: list[Any] = list(calls) if isinstance(calls, list) else []
    if isinstance(raw.get("function_call"), Mapping):
        listed.append(raw["function_call"])
    content = raw.get("content")
    if not listed and isinstance(content, list):
        listed = [
            part
            for part in content
            if isinstance(part, Mapping)
            and (part.get("type") in ("tool_use", "tool_call") or {"name", "arguments"} <= part.keys())
        ]
    found = (_tool(call) for call in listed)
    return tuple(tool for tool in found if tool is not None)


def _is_calls(content: object) -> bool:
    """Return whether a content holds calls and no text."""
    return isinstance(content, list) and all(
        isinstance(part, Mapping) and "text" not in part and ("arguments" in part or "input" in part)
        for part in content
    )


def _tool(call: object) -> ChatToolUse | None:
    if not isinstance(call, Mapping):
        return None
    inner = call["function"] if isinstance(call.get("function"), Mapping) else call
    name = inner.get("name")
    arguments = next((inner[key] for key in ("arguments", "args", "input") if inner.get(key) is not None), "")
    number = call.get("id") or call.get("call_id")
    return ChatToolUse(
        whole_text(str(name))[:NAME_CHARS] if name else "?",
        whole_text(arguments) if isinstance(arguments, str) else _json(arguments),
        str(number) if number is not None else None,
    )


def _results(raw: Mapping[str, Any]) -> tuple[tuple[str | None, str | None, str], ...] | None:
    """Return what tools gave, where the message is about nothing else; None where it is one of an agent."""
    content, kind = raw.get("content"), raw.get("type")
    if isinstance(raw.get("tool_responses"), list):  # AG2
        return tuple(_result(one) for one in raw["tool_responses"] if isinstance(one, Mapping))
    if kind in ("ToolCallExecutionEvent", "FunctionExecutionResultMessage") and isinstance(content, list):
        return tuple(_result(one) for one in content if isinstance(one, Mapping))
    if isinstance(content, list) and content and all(_is_tool_result(part) for part in content):  # Anthropic
        return tuple(_result(one) for one in content)
    if raw.get("role") in ("tool", "function") or (kind in ("tool", "function") and "role" not in raw):
        return (_result(raw),)
    return None


def _is_tool_result(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") in ("tool_result", "tool_call_response")


def _result(one: Mapping[str, Any]) -> tuple[str | None, str | None, str]:
    number = next((one[key] for key in ("tool_call_id", "call_id", "tool_use_id", "id") if one.get(key)), None)
    gave = next((one[key] for key in ("content", "output", "response", "result") if one.get(key) is not None), "")
    name = one.get("name")
    return None if number is None else str(number), name if isinstance(name, str) else None, text_of(gave)


def _item(raw: Mapping[str, Any], index: int, where: str) -> ReadMessage:
    """Return an item of the Responses API that is no message: a call of a tool, or what it gave."""
    if str(raw.get("type")).endswith("_output"):
        return ReadMessage(results=(_result(raw),))
    tool = _tool(raw)
    if tool is None or tool.name == "?":
        tool = ChatToolUse(str(raw.get("type")), "", None)
    speaker = next((raw[key] for key in ("agent", "agent_name") if isinstance(raw.get(key), str)), "assistant")
    if to := handed_to(tool.name):
        return ReadMessage(ChatMessage(index, speaker, to, "", hands_over=True, claims=False))
    return ReadMessage(ChatMessage(index, speaker, None, "", (tool,), claims=False))
