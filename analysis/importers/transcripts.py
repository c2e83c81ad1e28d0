"""This module imports chat transcripts (JSON): every message is a claim; a stated rule says what it builds on.

A transcript is a list of messages, or an object that holds one under ``history`` or ``messages``. A message is an
object with ``content`` and a speaker under ``name``, ``source``, ``speaker``, ``role`` or ``type`` (the first that is
set). ``Speaker (-> Other)`` and the keys ``to``, ``recipient`` and ``target`` name an addressee; any other remark in
brackets, as in ``Speaker (thought)``, is no part of the name. Messages whose role is ``system`` are instructions and no
claims.

A transcript does not say what a message builds on, so the parents are an assumption, the same for all messages:
``previous``, ``addressee`` or ``both``, as `analysis.importers.chats.chat_rows` defines them.

Under ``previous`` and ``both`` every message is downstream of all before it, by the rule and not by what was said:
depths are positions, and every fault reaches the end. Only ``addressee`` leaves something to find out.

An annotation ``mistake_step`` (index of a message) becomes a ``fault`` event on that message's claim; `trace_faults` in
`analysis.claims.faults` follows it downstream.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, cast

import polars as pl

from agentsoc.errors import InputError
from agentsoc.events import MAX_ROUNDS
from analysis.files import read_json
from analysis.importers.chats.chat import PARENT_RULES, Chat, ChatMessage, ParentRule, annotated_step, parted
from analysis.importers.chats.chat_rows import PlacedChat, table_of
from analysis.importers.importer import Importer, LogReading
from analysis.importers.loose_json import files_at, whole_text
from analysis.tables import EventTable

_HISTORY: Final = ("history", "messages")
_SPEAKER: Final = ("name", "source", "speaker", "role", "type")
_ADDRESSEE: Final = ("to", "recipient", "target")
_DEPTH_MAX: Final = 40
"""Parts within parts of a content that are looked into (levels)."""


class Transcripts(Importer):
    """The importer reads lists of messages."""

    name: ClassVar[str] = "transcripts"
    place: ClassVar[int] = 2
    reads: ClassVar[str] = "a transcript"
    parent_rules: ClassVar[tuple[str, ...]] = PARENT_RULES

    def read(self, path: Path, parents: str) -> LogReading:
        """Return the transcripts in the file or directory `path`."""
        rule = cast(ParentRule, parents)
        table = import_transcripts(path, parents=rule)
        return LogReading(table, {"parents": rule}, tuple(notes(table, rule)))


def import_transcripts(path: Path | str, *, parents: ParentRule = "both") -> EventTable:
    """Return the event table of the transcripts at or below `path`, one execution each.

    `executions` also says who the agents are (`agents`), which step was annotated (`mistake_step`, `mistake_agent`,
    `mistake_reason`) and, in `extra`, the other plain values of the file as JSON.

    Args:
        path: a JSON file, or a directory that holds such files at any depth.
        parents: the rule for what a message builds on.

    Raises:
        InputError: a file is no transcript, or an annotation does not fit it.
    """
    path = Path(path)
    if parents not in PARENT_RULES:
        raise InputError(f"parents is {parents!r}", "", f"use one of {', '.join(PARENT_RULES)}")
    if not path.exists():
        raise InputError("no such file or directory", str(path))
    files = files_at(path, (".json",))
    chats = [
        PlacedChat(
            whole_text(path.stem),
            _name(file, path),
            read_transcript(file),
            _name(file, path).rpartition("/")[0] or None,
        )
        for file in files
    ]
    return table_of(chats, parents, str(path))


def _name(file: Path, path: Path) -> str:
    return whole_text(file.stem if file == path else file.relative_to(path).with_suffix("").as_posix())


def read_transcript(file: Path) -> Chat:
    """Return the transcript in `file`.

    Raises:
        InputError: it is no transcript; the message names the file and the message in it.
    """
    data = read_json(file)
    found: Mapping[str, object] = {}
    history = data
    if isinstance(data, dict):
        found = data
        key = next((name for name in _HISTORY if name in data), None)
        if key is None:
            raise InputError(
                "an object without messages", str(file), f"put the list of messages under {' or '.join(_HISTORY)}"
            )
        history = data[key]
    if not isinstance(history, list) or not history:
        raise InputError("no list of messages, or an empty one", str(file))
    if len(history) > MAX_ROUNDS:
        raise InputError(f"{len(history)} messages; the limit is {MAX_ROUNDS}", str(file))
    messages = [_message(raw, at, file) for at, raw in enumerate(history)]
    kept = tuple(message for message in messages if message is not None)
    if not kept:
        raise InputError("only system messages", str(file))
    step = annotated_step(found.get("mistake_step"), len(history), str(file))
    if step is not None and messages[step] is None:
        raise InputError(f"mistake_step {step} is a system message, which is no claim", str(file))
    known = {*_HISTORY, "mistake_step", "mistake_agent", "mistake_reason"}
    plain = {k: v for k, v in found.items() if k not in known and isinstance(v, str | int | float | bool)}
    agent, reason = found.get("mistake_agent"), found.get("mistake_reason")
    return Chat(
        kept,
        len(history),
        mistake_step=step,
        mistake_agent=None if agent is None else str(agent),
        mistake_reason=None if reason is None else str(reason),
        extra=plain,
    )


def _message(raw: object, index: int, file: Path) -> ChatMessage | None:
    """Return the message, or None for a system message."""
    where = f"{file}: message {index}"
    if not isinstance(raw, dict):
        raise InputError("not an object with role or name and content", where)
    if "kwargs" in raw and isinstance(raw["kwargs"], dict):  # a serialised LangChain message
        raw = {**raw["kwargs"], "type": raw["kwargs"].get("type") or (raw.get("id") or ["?"])[-1]}
    if "content" not in raw:
        raise InputError("a message without content", where)
    who = next((raw[key] for key in _SPEAKER if raw.get(key)), None)
    if not isinstance(who, str) or not who.strip():
        raise InputError("nobody is named as the speaker", where, f"give it one of {', '.join(_SPEAKER)} as text")
    if "system" in (raw.get("role"), raw.get("type"), who.strip().lower()):
        return None
    who, addressee = who.strip(), next((raw[key] for key in _ADDRESSEE if raw.get(key)), None)
    if addressee is not None and not isinstance(addressee, str):
        raise InputError(f"the addressee is {str(addressee)[:40]!r}, not a name", where)
    who, named = parted(who)
    addressee = addressee or named
    if not who:
        raise InputError("the speaker's name is empty", where)
    return ChatMessage(index, who, addressee.strip() if addressee else None, _text(raw["content"]))


def _text(content: object, depth: int = 0) -> str:
    """Return the content of a message as text: parts of kind text joined, anything else as JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return whole_text(content)
    if isinstance(content, list):
        return "\n".join(_text(part, depth + 1) for part in content) if depth < _DEPTH_MAX else "..."
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return whole_text(content["text"])
    try:
        return json.dumps(content, sort_keys=True)
    except RecursionError:
        return "..."


def notes(table: EventTable, parents: ParentRule) -> list[str]:
    """Return what a reader of imported transcripts must know: what the rule forces, and annotations that do not fit."""
    faults = table.events.filter(pl.col("kind") == "fault").select("execution", "agent")
    joined = faults.join(table.executions, on="execution", how="left", maintain_order="left")
    odd = [
        f"{row['task_name']}: step {row['mistake_step']} was said by {row['agents'][row['agent']]}, the annotation "
        f"names {row['mistake_agent']}; the step counts"
        for row in joined.iter_rows(named=True)
        if row["mistake_agent"] and row["agents"][row["agent"]].casefold() != row["mistake_agent"].casefold()
    ]
    found = [f"{faults.height} annotated mistakes in {table.n_executions} transcripts", *odd]
    if parents == "addressee":
        acts = table.events.filter(pl.col("kind") != "fault")
        building = acts.filter(pl.col("parents").list.len() > 0)["execution"].n_unique()
        if building < table.n_executions:
            found.append(
                f"the rule addressee found nothing in {table.n_executions - building} of {table.n_executions} "
                "transcripts: no message there answers one that was addressed to its speaker"
            )
        return found
    return [f"parents by the rule {parents}: every message is downstream of all before it, by the rule alone", *found]
