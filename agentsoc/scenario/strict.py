"""This module reads YAML strictly: it gives plain data, the place of every key and value, and a list of faults.

PyYAML scans and parses; what it would build is decided here, from its events. That way nothing is built that a scenario
does not need: no anchors and aliases (a few lines can stand for gigabytes), no tags (they name Python objects), no
merge keys, no second document, no duplicate keys, no nesting beyond `MAX_DEPTH`, no words that readers disagree on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)

from agentsoc.contracts.part import MAX_PROBLEMS
from agentsoc.errors import Problem, ScenarioError
from agentsoc.scenario.plain import read_plain
from agentsoc.scenario.source import printable

MAX_DEPTH: Final = 64
"""Largest nesting of mappings and lists."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads 1 MB in 0.2 s, Python in 3 s
_UNSET: Any = object()

_NO_KEYS: Final[dict[str, Any]] = {}  # shared by all scalars, never written to: there may be half a million of them
_NO_ITEMS: Final[list[Any]] = []

Path = tuple[str | int, ...]
"""Where a value is in the data: keys of mappings and indices of lists."""


class Position:
    """A position says where a value begins, and where what it holds begins. Lines and columns count from 1."""

    __slots__ = ("column", "items", "keys", "line")

    def __init__(self, line: int, column: int, *, holds: bool = False) -> None:
        self.line, self.column = line, column
        self.keys: dict[str, tuple[Position, Position]] = {} if holds else _NO_KEYS
        """Per key of a mapping: where the key begins, where its value does."""
        self.items: list[Position] = [] if holds else _NO_ITEMS


def dotted(path: Path) -> str:
    """Return a path in the form of messages and of ``--set``: agents.0.count."""
    return printable(".".join(str(step) for step in path), 100)


@dataclass(frozen=True)
class Document:
    """What was read: `data` of mappings, lists and scalars, and the places of all of it."""

    where: str
    data: Any
    spot: Position
    text: str = ""
    problems: tuple[Problem, ...] = ()
    lines: bool = True
    """False for a text from the command line, where a line and a column mean nothing."""

    def at(self, line: int, column: int) -> str:
        """Return a place in the form of messages."""
        return f"{self.where}:{line}:{column}" if self.lines else self.where

    def place(self, path: Path, *, of_key: bool = False) -> str:
        """Return where the value at `path` is, or as much of it as exists; a mapping or list is where its key is."""
        spot, key = self.spot, None
        for step in path:
            if step in spot.keys:
                key, spot = spot.keys[step]
            elif isinstance(step, int) and step < len(spot.items):
                key, spot = None, spot.items[step]
            else:
                break
        if key is not None and (of_key or spot.keys or spot.items):
            spot = key
        return self.at(spot.line, spot.column)

    def written(self, path: Path) -> str:
        """Return the unquoted word at `path` as it stands in the text: 1e3 where the value is 1000.0."""
        spot = self.spot
        for step in path:
            if step in spot.keys:
                spot = spot.keys[step][1]
            elif isinstance(step, int) and step < len(spot.items):
                spot = spot.items[step]
            else:
                return ""
        line = self.text.split("\n")[spot.line - 1][spot.column - 1 :]
        return line.split("#")[0].split(",")[0].strip().rstrip("]}")[:40]


@dataclass
class _Frame:
    """A mapping or list that is being read."""

    data: Any
    spot: Position
    key: Any = _UNSET
    """The key that waits for its value; None for one that was refused."""
    key_spot: Position | None = None

    @property
    def wants_key(self) -> bool:
        """Tell whether the next thing read is the key of a mapping."""
        return self.key is _UNSET and isinstance(self.data, dict)

    @property
    def next_step(self) -> str | int:
        """Return the key or index of the next value."""
        return len(self.data) if isinstance(self.data, list) else str(self.key)


@dataclass
class _Builder:
    where: str
    lines: bool
    under: Path = ()
    stack: list[_Frame] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    anchored: bool = False
    root: Any = _UNSET
    root_spot: Position = field(default_factory=lambda: Position(1, 1))

    def fault(self, spot: Position, what: str, hint: str, *, end: bool = False) -> None:
        """Note a fault; stop when it is one after which the rest means nothing, or when there are too many."""
        place = f"{self.where}:{spot.line}:{spot.column}" if self.lines else self.where
        self.problems.append(Problem(place, what, hint))
        if end or len(self.problems) >= MAX_PROBLEMS:
            raise ScenarioError(self.problems)

    def named(self, what: str) -> str:
        """Return `what` with the path of the value that is read next before it."""
        steps = [] if self.stack and self.stack[-1].wants_key else self.stack[-1:]
        path = tuple(frame.next_step for frame in [*self.stack[:-1], *steps])
        here = dotted(path if self.lines else (*self.under, *path[1:]))
        return f"{here}: {what}" if here else what

    def take(self, events: Iterable[Event]) -> None:
        """Build the data from the events of one stream."""
        documents = 0
        for event in events:
            mark: Any = event.start_mark
            line, column = mark.line + 1, mark.column + 1
            if isinstance(event, ScalarEvent):
                self.scalar(event, Position(line, column))
            elif isinstance(event, CollectionStartEvent):
                spot = Position(line, column, holds=True)
                self.mark_refused(event, spot)
                if len(self.stack) >= MAX_DEPTH:
                    what = self.named(f"nested deeper than {MAX_DEPTH} levels")
                    self.fault(spot, what, "make the scenario flatter", end=True)
                self.stack.append(_Frame({} if isinstance(event, MappingStartEvent) else [], spot))
            elif isinstance(event, CollectionEndEvent):
                frame = self.stack.pop()
                self.add(frame.data, frame.spot)
            elif isinstance(event, AliasEvent):
                self.mark_refused(event, Position(line, column))
                self.add(None, Position(line, column))
            elif isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.fault(
                        Position(line, column), "a second document begins here", "keep one document in a file", end=True
                    )
                if event.tags:
                    self.fault(Position(line, column), "tags are not allowed", "delete the %TAG line")

    def mark_refused(self, event: Any, spot: Position) -> None:
        """Note an anchor, an alias or a tag."""
        if event.anchor is not None and not self.anchored:  # told once: a bomb is made of hundreds
            self.anchored = True
            what = self.named("anchors and aliases (& and *) are not allowed")
            self.fault(spot, what, "write the value out, or quote it")
        if getattr(event, "tag", None) is not None:
            what = self.named(f"the tag {printable(event.tag, 60)} is not allowed")
            self.fault(spot, what, "delete it, or quote a text that begins with !")

    def scalar(self, event: ScalarEvent, spot: Position) -> None:
        """Add a scalar: a quoted text as it stands, an unquoted word by what it means."""
        if event.anchor is not None or event.tag is not None:
            self.mark_refused(event, spot)
        value: Any = event.value
        if not event.style:
            value, what, hint = read_plain(event.value)
            if what and self.stack and self.stack[-1].wants_key:
                hint = f'put "{printable(event.value, 60)}" in quotes, or take another key'
                self.fault(spot, f"the key {what}", hint)
                value = event.value
            elif what:
                self.fault(spot, self.named(what), hint)
        self.add(value, spot)

    def add(self, value: Any, spot: Position) -> None:
        """Put a whole value where it belongs."""
        if not self.stack:
            self.root, self.root_spot = value, spot
            return
        top = self.stack[-1]
        if isinstance(top.data, list):
            top.data.append(value)
            top.spot.items.append(spot)
        elif top.wants_key:
            top.key, top.key_spot = self.checked_key(value, spot, top), spot
        else:
            if top.key is not None and top.key_spot is not None:
                top.data[top.key] = value
                top.spot.keys[top.key] = (top.key_spot, spot)
            top.key = _UNSET

    def checked_key(self, value: Any, spot: Position, top: _Frame) -> str | None:
        """Return a key that may be used, else None after noting why not."""
        if not isinstance(value, str):
            found = "a mapping or list" if isinstance(value, dict | list) else str(value).lower()
            self.fault(spot, f"a key is a word, and this is {found}", "write a word, or put it in quotes")
            return None
        if value == "<<":
            self.fault(spot, "merge keys (<<) are not allowed", "write the values out")
            return None
        if value in top.spot.keys:
            first = top.spot.keys[value][0]
            name = printable(value, 60)
            self.fault(spot, f'the key "{name}" stands twice, first in line {first.line}', "keep one of the two")
            return None
        return value


def parse(text: str, where: str, *, lines: bool = True, under: Path = (), loader: Any = None) -> Document:
    """Return the data of a YAML text, with the place of everything and the faults that still let it be read.

    Args:
        text: the document, already checked for size.
        where: name of the text in messages.
        lines: whether messages give line and column; an argument has none.
        under: for an argument, the path that its value is for.
        loader: the PyYAML loader class that scans (tests).

    Raises:
        ScenarioError: the text is not YAML, is nested too deeply, holds a second document or has too many faults.
    """
    builder = _Builder(where, lines, under)
    try:
        builder.take(yaml.parse(text, Loader=loader or _LOADER))
    except yaml.MarkedYAMLError as error:
        raise ScenarioError([*builder.problems, _syntax(error, text, where, lines)]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # characters or escapes beyond Unicode
        problem = Problem(where, f"this is not YAML: {printable(str(error))}", "check the escapes in double quotes")
        raise ScenarioError([*builder.problems, problem]) from None
    data = None if builder.root is _UNSET else builder.root
    return Document(where, data, builder.root_spot, text, tuple(builder.problems), lines)


def _syntax(error: yaml.MarkedYAMLError, text: str, where: str, lines: bool) -> Problem:
    """Return what a YAML error means, with a suggestion from the line where it is."""
    mark = error.problem_mark or error.context_mark
    said = " ".join(part for part in (error.context, error.problem) if part)
    if "expected ':'" in said and error.context_mark is not None:
        mark = error.context_mark  # the word without its colon; what came after it is innocent
    line = text.split("\n")[mark.line] if mark is not None and mark.line < text.count("\n") + 1 else ""
    place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark is not None and lines else where
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent or "'\\t'" in said:
        hint = "indent with spaces; a tab is not allowed there"
    elif "escape" in said or "hexadecimal" in said or "hexdecimal" in said:
        hint = "check the backslash: \\xNN and \\uNNNN take hexadecimal digits; in single quotes it stands for itself"
    elif "quoted scalar" in said:
        begin = f" that opens in line {error.context_mark.line + 1}" if error.context_mark is not None and lines else ""
        hint = f"close the quotation mark{begin}"
    elif "flow" in said:
        begin = f" that opens in line {error.context_mark.line + 1}" if error.context_mark is not None and lines else ""
        hint = f"close the bracket{begin}, and put commas between the items"
    elif "mapping values are not allowed" in said:
        hint = 'put a text that contains ": " in quotes, or check the indentation'
    elif "expected ':'" in said:
        hint = "write key: value, with a space after the colon"
    elif "cannot start any token" in said:
        hint = "put a text that begins with a special character in quotes"
    else:
        hint = "check the indentation and the quotation marks here and in the line above"
    return Problem(place, f"this is not YAML: {printable(said)}", hint)
