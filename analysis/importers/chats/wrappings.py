"""This module finds the conversations in a JSON document, whatever a framework wraps around its messages.

`unwrap` names the format and gives the lists of messages; `analysis.importers.chats.read_chats` reads them. A document
that belongs to another importer is refused with the name of its format and the importer to use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.importers.chats.foreign import foreign_format, unread_format
from analysis.importers.chats.message_forms import is_message, unwrapped

KEYS: Final = (
    "messages", "chat_history", "chat_messages", "history", "conversation", "conversations", "trajectory",
    "message_thread", "dialogue", "dialog", "turns", "transcript", "trace", "events", "items", "memory",
    "storage", "log",
)  # fmt: skip
"""Keys under which lists of messages are found, the first that is there."""
STATES: Final = (
    "values",
    "channel_values",
    "checkpoint",
    "state",
    "agent_state",
    "llm_context",
    "agent_states",
    "data",
    "output",
)
"""Keys of objects that hold an object with messages."""
DEPTH_MAX: Final = 8
"""Objects within objects that are looked into (levels)."""


@dataclass(frozen=True)
class RawChat:
    """A list of messages as a file has it, with what stands beside it."""

    form: str
    messages: Sequence[Any]
    name: str = ""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """The object that the list was found in."""
    debate: Sequence[Sequence[Any]] | None = None
    """Contexts of the agents of a debate, in place of one list."""
    notes: tuple[str, ...] = ()


def unwrap(value: Any, where: str) -> list[RawChat]:
    """Return the conversations in a JSON value.

    Raises:
        InputError: there is none; names the format where it is known, and says what to write instead.
    """
    if (foreign := foreign_format(value)) is not None:
        raise InputError(f"this is {foreign.name}", where, foreign.hint)
    unread = unread_format(value)
    if unread is not None and next(_chats(value[0] if isinstance(value, list) else value, where, 1), None) is None:
        raise InputError(f"this is {unread.name}", where, unread.hint)
    found = list(_chats(value, where, 0))
    if not found:
        raise InputError(
            f"no conversation in {_seen(value)}",
            where,
            f"put a list of messages (objects with role or name, and content) under {', '.join(KEYS[:4])}",
        )
    return found


def _seen(value: Any) -> str:
    """Return in words what was met instead of a conversation."""
    if isinstance(value, Mapping):
        keys = printable(", ".join(str(key) for key in list(value)[:8]), 160)
        return f"an object without messages (its keys: {keys or 'none'})"
    if isinstance(value, list):
        return "an empty list" if not value else f"a list whose first entry is {_seen_entry(value[0])}"
    return "a value that is neither an object nor a list"


def _seen_entry(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"an object with the keys {printable(', '.join(str(key) for key in list(value)[:8]), 160) or 'none'}"
    return printable(repr(value), 60)


def _chats(value: Any, where: str, depth: int) -> Iterator[RawChat]:
    if depth > DEPTH_MAX:
        return
    if isinstance(value, list):
        yield from _of_list(value, where, depth)
    elif isinstance(value, Mapping):
        yield from _of_object(value, where, depth)


def _of_list(value: list[Any], where: str, depth: int) -> Iterator[RawChat]:
    if not value:
        return
    if is_message(value[0]) and not _holds_messages(value[0]):
        yield RawChat(form_of(value), value)
        return
    snapshots = [one for one in value if isinstance(one, Mapping) and ("values" in one or "channel_values" in one)]
    if len(snapshots) == len(value) and depth == 0:
        every = [chat for one in snapshots for chat in _of_object(one, where, depth + 1)]
        if every:
            longest = max(every, key=lambda chat: len(chat.messages))
            note = (f"{len(value)} snapshots of one state: the longest was read",) if len(value) > 1 else ()
            yield RawChat(longest.form, longest.messages, longest.name, longest.beside, notes=note)
        return
    for at, one in enumerate(value):
        inner = list(_chats(one, f"{where}: entry {at}", depth + 1))
        if not inner and depth == 0:
            raise InputError(f"no conversation in {_seen(one)}", f"{where}: entry {at}", "remove it, or add --skip-bad")
        for chat in inner:
            yield RawChat(
                chat.form, chat.messages, _joined(_named(one, at), chat.name), chat.beside, chat.debate, chat.notes
            )


def _joined(first: str, second: str) -> str:
    return f"{first}/{second}" if second else first


def _named(one: Any, at: int) -> str:
    """Return the name of an entry: its id where it has one, its place otherwise."""
    if isinstance(one, Mapping):
        for key in ("id", "chat_id", "conversation_id", "trace_id", "task_id", "session_id", "thread_id"):
            if isinstance(one.get(key), str | int) and not isinstance(one[key], bool) and str(one[key]):
                return printable(str(one[key]), 80)
    return str(at)


def _holds_messages(value: Any) -> bool:
    """Return whether an object holds a list of messages, so that it is none itself."""
    return isinstance(value, Mapping) and any(
        isinstance(value.get(key), list) and value[key] and is_message(value[key][0]) for key in KEYS
    )


def _of_object(value: Mapping[str, Any], where: str, depth: int) -> Iterator[RawChat]:
    if "mas_name" in value and "trace" in value:
        yield _mast(value, where)
        return
    if isinstance(value.get("choices"), list) and value["choices"]:
        yield _completion(value)
        return
    if value.get("object") == "response" or isinstance(value.get("output"), list):
        yield from _response(value)
        return
    if is_message(value) and not _holds_messages(value):
        yield RawChat(form_of([value]), [value])
        return
    if _is_debate(value):
        for question, (contexts, *rest) in value.items():
            beside = {"question": question, **({"truth": rest[0]} if rest else {})}
            yield RawChat("results of a debate", [], printable(question, 80), beside, debate=contexts)
        return
    for key in KEYS:
        held = value.get(key)
        if isinstance(held, list) and held and is_message(held[0]):
            yield RawChat(form_of(held, value, key), held, "", value)
            return
        if isinstance(held, Mapping) and held and all(isinstance(one, list) for one in held.values()):
            for name, one in held.items():  # AG2: one list for each partner
                if one and is_message(one[0]):
                    yield RawChat("AG2 chats of an agent", one, printable(str(name), 80), value)
            return
    yield from _of_state(value, where, depth)


def _of_state(value: Mapping[str, Any], where: str, depth: int) -> Iterator[RawChat]:
    """Yield the conversations of states that hold states: of AutoGen teams and LangGraph checkpoints."""
    states = value.get("agent_states")
    if isinstance(states, Mapping):  # the manager of the group has the whole conversation, each agent its own view
        for one in states.values():
            if isinstance(one, Mapping) and isinstance(one.get("message_thread"), list) and one["message_thread"]:
                yield RawChat("AutoGen team state", one["message_thread"], "", value)
                return
        for name, one in states.items():
            for chat in _chats(one, where, depth + 1):
                yield RawChat("AutoGen state of one agent", chat.messages, printable(str(name), 80), chat.beside)
        return
    for key in (*STATES, *KEYS):
        held = value.get(key)
        if isinstance(held, Mapping | list):
            found = list(_chats(held, where, depth + 1))
            for chat in found:
                state = key in ("values", "channel_values", "checkpoint")
                form = "LangGraph state" if state else chat.form
                yield RawChat(form, chat.messages, chat.name, chat.beside, chat.debate, chat.notes)
            if found:
                return


def form_of(messages: Sequence[Any], beside: Mapping[str, Any] | None = None, key: str = "") -> str:
    """Return the name of the format that a list of messages is in, by its first entries and what stands beside it."""
    beside = beside or {}
    heads = [one for one in messages[:20] if isinstance(one, Mapping)]
    keys = {str(name) for one in heads for name in one}
    inner = {str(name) for one in heads for name in unwrapped(one)}
    kinds = {one.get("type") for one in heads if isinstance(one.get("type"), str)}
    if "lc" in keys or (kinds & {"human", "ai"} and "data" in keys):
        return "LangChain messages"
    if "sent_from" in keys:
        return "MetaGPT messages"
    if "models_usage" in keys or ("source" in keys and any(str(one).endswith(("Message", "Event")) for one in kinds)):
        return "AutoGen result" if "stop_reason" in beside else "AutoGen messages"
    if key == "chat_history" and ("summary" in beside or "cost" in beside):
        return "AG2 chat result"
    if {"from", "value"} <= keys:
        return "ShareGPT conversation"
    if kinds & {"human", "ai"}:
        return "LangChain messages"
    if kinds & {"function_call", "function_call_output", "reasoning"} or (kinds == {"message"} and "role" in keys):
        return "OpenAI Responses items"
    if "role" in inner and "content" in inner:
        return "OpenAI chat messages"
    return "messages"


def _completion(value: Mapping[str, Any]) -> RawChat:
    """Return a reply of the chat completions API, after what was asked where it is there."""
    choice = value["choices"][0]
    reply = choice.get("message") if isinstance(choice, Mapping) else None
    asked = value.get("messages") or (
        value["request"].get("messages") if isinstance(value.get("request"), Mapping) else []
    )
    last = {**reply, "usage": value.get("usage")} if isinstance(reply, Mapping) else reply
    more = len(value["choices"]) - 1
    note = (f"replies with several choices: the first was read, {more} were not",) if more else ()
    return RawChat("OpenAI chat completion", [*(asked if isinstance(asked, list) else []), last], "", value, notes=note)


def _response(value: Mapping[str, Any]) -> Iterator[RawChat]:
    """Yield a reply of the Responses API, after what was asked where it is there."""
    asked, gave = value.get("input"), value.get("output")
    if not isinstance(gave, list):
        return
    before: list[Any] = [{"role": "user", "content": asked}] if isinstance(asked, str) else list(asked or [])
    items = [dict(one) if isinstance(one, Mapping) else one for one in gave]
    said = [one for one in items if isinstance(one, dict) and one.get("type", "message") == "message"]
    if said and isinstance(value.get("usage"), Mapping):
        said[-1]["usage"] = value["usage"]
    if items and all(is_message(one) or _kind(one) == "reasoning" for one in items):
        yield RawChat("OpenAI Responses items", [*before, *items], "", value)


def _kind(one: Any) -> Any:
    return one.get("type") if isinstance(one, Mapping) else None


def _is_debate(value: Mapping[str, Any]) -> bool:
    """Return whether an object maps questions to the contexts of agents: lists of lists of messages."""
    return bool(value) and all(
        isinstance(one, list) and one and isinstance(one[0], list) and one[0]
        and all(isinstance(context, list) and context and is_message(context[0]) for context in one[0])
        for one in value.values()
    )  # fmt: skip


def _mast(value: Mapping[str, Any], where: str) -> RawChat:
    from analysis.importers.chats.mast import mast_messages

    trace = value["trace"]
    told = trace.get("trajectory") if isinstance(trace, Mapping) else trace
    messages = mast_messages(told, str(value.get("mas_name")), where)
    name = f"{printable(str(value.get('mas_name')), 40)}-{printable(str(value.get('trace_id', 0)), 40)}"
    return RawChat("MAST row", messages, name, value)
