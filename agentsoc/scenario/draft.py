"""A `Draft` holds the unchecked data of a scenario, what was set from outside included, each value with its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agentsoc.errors import InputError, Problem, ScenarioError
from agentsoc.scenario.environment import with_addresses
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import Document, Path, Position, dotted, parse

Overrides = Mapping[str, Any] | Sequence[str] | None
"""Values set from outside: by dotted path, or ``path=value`` each; None for none."""

ALL: Final = "*"
"""The word of a path that stands for every item of a list."""
_NOT_PLAIN: Final = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that YAML takes for a line break, or for none of its own, and JSON does not."""
ARGUMENT_LIMIT: Final = 100_000
"""Longest ``--set`` argument (characters)."""


@dataclass(frozen=True)
class Setting:
    """One value for one dotted path: the words of the path, the value, and where in which document it stands."""

    words: tuple[str, ...]
    value: Any
    document: Document
    inside: Path = ()


@dataclass(frozen=True)
class Draft:
    """Plain data; `placed` says for each path that was set where its value comes from."""

    data: Any
    document: Document
    placed: tuple[tuple[Path, Setting], ...] = ()

    def having(self, setting: Setting) -> Draft:
        """Return the draft with one value set; mappings on the way are made, a kind's bare name becomes a mapping.

        The word ``*`` stands for every item of a list, and of one group of agents for that group.

        Raises:
            ScenarioError: the path leads through a number or past the end of a list, or to no list at ``*``.
        """
        draft = self
        for words in _spread(self.data, setting):
            one = setting if words == setting.words else replace(setting, words=words)
            data, path = _put(draft.data, one, 0, ())
            kept = tuple((there, by) for there, by in draft.placed if there[: len(path)] != path)
            draft = replace(draft, data=data, placed=(*kept, (path, one)))
        return draft

    def path(self, loc: Path) -> Path:
        """Return the part of a validation error's location that exists in the data.

        A single mapping stands for a list of one, a bare word for a mapping, and members of a union add their names.
        """
        data, path = self.data, []
        for step in loc:
            inside = (isinstance(data, Mapping) and step in data) or (
                isinstance(data, list) and isinstance(step, int) and step < len(data)
            )
            if inside:
                data = data[step]
                path.append(step)
        return tuple(path)

    def place(self, path: Path, *, of_key: bool = False) -> str:
        """Return where the value at `path` stands in the file or on the command line."""
        for there, by in sorted(self.placed, key=lambda pair: len(pair[0]), reverse=True):
            if path[: len(there)] == there:
                return by.document.place(by.inside + path[len(there) :], of_key=of_key)
        for there, by in self.placed:  # a mapping that was made on the way to a value
            if there[: len(path)] == path and len(self.path(path)) == len(path) and not exists(self.document, path):
                return by.document.place(by.inside)
        return self.document.place(path, of_key=of_key)

    def written(self, path: Path) -> str:
        """Return the unquoted word at `path` as it stands in the file; empty when it was set from outside."""
        if any(path[: len(there)] == there for there, _ in self.placed):
            return ""
        return self.document.written(path)


def exists(document: Document, path: Path) -> bool:
    """Tell whether a document has a value at `path`."""
    data = document.data
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _put(data: Any, setting: Setting, at: int, path: Path) -> tuple[Any, Path]:
    """Return `data` with the value at ``setting.words[at:]``, sharing all that is unchanged, and the path taken."""
    if at == len(setting.words):
        return setting.value, path
    word = setting.words[at]
    if isinstance(data, list):
        if not word.isascii() or not word.isdigit() or len(word) > 9 or int(word) >= len(data):
            here = dotted(path)
            raise _unset(
                setting,
                f"{here} is a list of {len(data)}; there is no {here}.{printable(word, 40)}",
                _items(here, setting.words[at:], len(data)),
            )
        index = int(word)
        value, whole = _put(data[index], setting, at + 1, (*path, index))
        return [*data[:index], value, *data[index + 1 :]], whole
    if data is None:
        data = {}
    elif isinstance(data, str):  # topology: star, and topology.degree is set
        data = {"kind": data}
    elif not isinstance(data, dict):
        raise _unset(
            setting, f"{dotted(path)} is a single value and has no part {printable(word, 40)}", "shorten the path"
        )
    if word == "0" and "0" not in data and at + 1 < len(setting.words):  # one group of agents stands for a list of one
        return _put(data, setting, at + 1, path)
    value, whole = _put(data.get(word), setting, at + 1, (*path, word))
    return {**data, word: value}, whole


def _spread(whole: Any, setting: Setting) -> list[tuple[str, ...]]:
    """Return the paths that one stands for: several where ``*`` is at the place of a list's items."""
    words = setting.words
    if ALL not in words:
        return [words]
    at, data = words.index(ALL), whole
    for word in words[:at]:
        if isinstance(data, list):
            data = data[int(word)] if word.isascii() and word.isdigit() and int(word) < len(data) else None
        elif isinstance(data, Mapping):
            data = data.get(word)
    steps: list[tuple[str, ...]] = [()]
    if isinstance(data, list):
        steps = [(str(index),) for index in range(len(data))]
    elif words[:at][-1:] == ("agents",):  # one group stands for a list of one
        pass
    else:
        here = dotted(words[:at]) or "a scenario"
        raise _unset(setting, f"{here} is no list, so * stands for nothing in it", "write the keys that you mean")
    paths = (replace(setting, words=(*words[:at], *step, *words[at + 1 :])) for step in steps)
    return [path for one in paths for path in _spread(whole, one)]


def _items(here: str, words: Sequence[str], n: int) -> str:
    """Return what to write for a path that names no item of a list."""
    if words[0].isdecimal():
        return f"write {here}.0" + (f" to {here}.{n - 1}" if n > 1 else "")
    rest = ".".join(printable(word, 40) for word in words)
    each = f", {here}.0.{rest} for the first" if n > 1 else ""
    return f"write {here}.{ALL}.{rest} for all of them{each}"


def _unset(setting: Setting, what: str, hint: str) -> ScenarioError:
    return ScenarioError([Problem(setting.document.place(setting.inside), what, hint)])


def split_path(path: str, where: str) -> tuple[str, ...]:
    """Return the words of a dotted path.

    Raises:
        ScenarioError: a word is empty.
    """
    words = tuple(path.strip().split("."))
    if not all(words) or len(words) > 32:
        problem = Problem(where, f'"{printable(path, 60)}" is not a path', "write keys with dots between: agents.count")
        raise ScenarioError([problem])
    return words


def as_arguments(overrides: Overrides) -> list[str]:
    """Return values set from outside as ``path=value`` each, the way ``--set`` takes them.

    A value by path is written out in JSON, which is YAML on one line: it means itself, and a list is one value.

    Raises:
        InputError: they are neither of the two.
        ScenarioError: a value is none of those that YAML has.
    """
    if overrides is None:
        return []
    if isinstance(overrides, str):
        return [overrides]
    if not isinstance(overrides, Mapping):
        return _texts(overrides)
    found = []
    for path, value in overrides.items():
        where = printable(f"overrides {path}", 80)
        if "=" in str(path):
            raise ScenarioError([Problem(where, "this is not a path", "write keys with dots between: agents.count")])
        try:
            written = json.dumps(value, ensure_ascii=False, allow_nan=False)
            # in JSON these can only stand in a text, where YAML knows the same escape
            found.append(f"{path}=" + _NOT_PLAIN.sub(lambda char: f"\\u{ord(char[0]):04x}", written))
        except (TypeError, ValueError, RecursionError) as error:
            what = f"{type(value).__name__} is no plain value: {printable(str(error), 100)}"
            hint = "give None, True, False, a number, a text, a list or a dict of such values"
            raise ScenarioError([Problem(where, what, hint)]) from None
    return found


def _texts(overrides: object) -> list[str]:
    """Return a list of ``path=value`` as it is."""
    hint = 'give a dict by path, {"agents.count": 6}, or a list of texts, ["agents.count=6"]'
    if not isinstance(overrides, Sequence) or isinstance(overrides, bytes | bytearray | memoryview):
        raise InputError(f"this is {_shown(overrides)}", "overrides", hint)
    for at, argument in enumerate(overrides):
        if not isinstance(argument, str):
            raise InputError(f"this is {_shown(argument)}", f"overrides[{at}]", hint)
    return list(overrides)


def _shown(value: object) -> str:
    return f"{printable(repr(value), 60)} ({type(value).__name__})"


def read_argument(argument: str, option: str = "--set") -> list[Setting]:
    """Return the settings of one ``path=value`` argument: several when the value is a comma list.

    The value is YAML on one line. ``a.b=1,2,3`` is three settings of one path; ``a.b=[1,2,3]`` and ``a.b="1,2,3"`` are
    one. Nothing after the equals sign is null.

    Raises:
        ScenarioError: there is no equals sign, the path is empty, the value is not YAML or it is refused by `parse`.
    """
    where = printable(f"{option} {argument}", 80)
    path, equals, text = argument.partition("=")
    if not equals:
        hint = f"write {option} path=value, for example: {option} agents.count=8"
        raise ScenarioError([Problem(where, "an equals sign is missing", hint)])
    words = split_path(path, where)
    if words[0] == "sweep":
        raise ScenarioError([Problem(where, "sweep is not set from outside", "write --set agents.count=4,8,16")])
    if len(argument) > ARGUMENT_LIMIT:
        raise ScenarioError([Problem(where, f"longer than {ARGUMENT_LIMIT:,} characters", "write it in the file")])
    if not text.strip():
        return [Setting(words, None, Document(where, None, Position(1, 1), lines=False))]
    document = with_addresses(parse(f"[{text}]", where, lines=False, under=words), words)
    if document.problems:
        raise ScenarioError(document.problems)
    if not isinstance(document.data, list) or not document.data:
        raise ScenarioError([Problem(where, "the value has a bracket too many or is empty", "quote it")])
    return [Setting(words, value, document, (index,)) for index, value in enumerate(document.data)]
