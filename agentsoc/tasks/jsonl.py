"""Tasks from a file of JSON lines, one task a line, judged by a ready scheme.

A line is an object: ``id``, ``question`` and ``answer``, and if wanted ``options`` (a list of two or more texts, one of
them the answer), ``chance`` (expected score of a guess, for free answers), ``difficulty`` (a number) and ``parts`` (a
list of objects with ``question`` and ``answer``). ``answer`` may be a text or a number. Nothing else is accepted, and
whatever is wrong is named with file and line: otherwise one bad line makes wrong figures silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from agentsoc.errors import InputError
from agentsoc.scenario.files import open_text, sha256_of
from agentsoc.scenario.part import nearest
from agentsoc.streams import stream
from agentsoc.tasks.base import Task, TaskFamily, has_chat_marker, normalise, parse_free, parse_option
from agentsoc.tasks.numerals import DIGITS_MAX, canonical, last_number, numbers

FILE_BYTES_MAX: Final = 50_000_000
LINE_CHARS_MAX: Final = 200_000
TEXT_CHARS_MAX: Final = 100_000
ANSWER_CHARS_MAX: Final = 8_000
OPTIONS_MAX: Final = 64
PARTS_MAX: Final = 256

KEYS: Final = ("id", "question", "answer", "options", "parts", "chance", "difficulty")
_PART_KEYS: Final = ("question", "answer")

Match = Literal["exact", "number", "contains"]


class Jsonl(TaskFamily):
    """The first `count` tasks of a file.

    With ``options`` an answer is right if it is the right option. Without, ``match`` decides: ``exact`` compares the
    last line of the reply with the answer, but for case, spaces and outer marks; ``number`` compares the last number of
    the reply with the answer, which has to be a number, and takes it if they differ by at most
    max(tolerance, relative * abs(answer)); ``contains`` looks for the answer anywhere in the reply, as whole words.
    """

    kind: Literal["jsonl"] = "jsonl"
    file: Annotated[str, Field(min_length=1, max_length=1_000)]
    """Path of the file, relative to the scenario's directory."""
    match: Match = "exact"
    """How free answers are judged."""
    tolerance: float = Field(default=0.0, ge=0)
    """Largest difference that still counts as right, for `match: number` (in the unit of the answer)."""
    relative: float = Field(default=0.0, ge=0, le=1)
    """The same as a share of the answer."""
    combine_by: Literal["none", "sum"] = "none"
    """What the answers to the parts give: nothing, or their sum."""
    shuffle: bool = False
    """Whether the seed decides the order of the tasks; otherwise it is that of the file."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hash that the file must have: then a changed file is refused instead of judged by."""

    @model_validator(mode="after")
    def _tolerance_of_numbers(self) -> Jsonl:
        if self.match != "number" and (self.tolerance or self.relative):
            raise ValueError("tolerance and relative go with match: number")
        return self

    @cached_property
    def _rows(self) -> tuple[Task, ...]:
        """The tasks of the file, in its order. Read when they are wanted first: a stored run has a copy of its own."""
        found = "" if self.sha256 is None else sha256_of(self.file, limit_bytes=FILE_BYTES_MAX)
        if self.sha256 is not None and found != self.sha256:
            raise InputError(
                f"the file has changed: its SHA-256 is {found}, the scenario wants {self.sha256}",
                self.file,
                "restore the file, or write the new hash into the scenario",
            )
        text = open_text(self.file, limit_bytes=FILE_BYTES_MAX)
        return tuple(read_tasks(text, self.file, self.match))

    def make(self, seed: int, index: int) -> Task:
        """Return task `index` of the run.

        Raises:
            InputError: the file cannot be read, a line of it is no task, or it has no such line.
        """
        rows = self._rows
        if not 0 <= index < len(rows):
            what = f"the file has {len(rows):,} tasks, there is no task {index:,}"
            raise InputError(what, self.file, f"set tasks.count to at most {len(rows)}")
        row = rows[_order(seed, self.file, len(rows))[index]] if self.shuffle else rows[index]
        return _at(row, index)

    def tasks(self, seed: int) -> Sequence[Task]:
        """Return the first `count` tasks, or all where the file has fewer."""
        rows = self._rows
        order = _order(seed, self.file, len(rows)) if self.shuffle else range(len(rows))
        return [_at(rows[place], index) for index, place in enumerate(order[: self.count])]

    def parse(self, task: Task, text: str) -> str | None:
        """Return the option, the last number, the last line or (contains) the whole of what `text` says, normalised."""
        if task.options:
            return parse_option(text, task.options)
        if self.match == "number":
            value = last_number(text)
            return None if value is None else canonical(value)
        return (normalise(text) or None) if self.match == "contains" else parse_free(text)

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 if `answer` matches by the scheme of the family, else 0."""
        if answer is None:
            return 0.0
        if task.options:
            return super().score(task, answer)
        if self.match == "exact":
            return 1.0 if parse_free(answer) == parse_free(task.truth) else 0.0
        if self.match == "contains":
            return 1.0 if _occurs(normalise(task.truth), normalise(answer)) else 0.0
        stated, truth = last_number(answer), last_number(task.truth)
        if stated is None or truth is None:
            return 0.0
        allowed = max(_exact(self.tolerance), _exact(self.relative) * abs(Fraction(truth)))
        return 1.0 if abs(Fraction(stated) - Fraction(truth)) <= allowed else 0.0

    def combine(self, task: Task, answers: Sequence[str | None]) -> str | None:
        """Return the sum of the answers to all parts; None when one is no number or nothing is to be combined."""
        if self.combine_by == "none" or len(answers) != len(task.parts) or not answers:
            return None
        stated = [None if answer is None else last_number(answer) for answer in answers]
        values = [value for value in stated if value is not None]
        if len(values) < len(stated):
            return None
        with localcontext() as context:
            context.prec = 3 * DIGITS_MAX  # exact for every number that can be read
            return canonical(sum(values, Decimal(0)))


def read_tasks(text: str, name: str, match: Match) -> list[Task]:
    """Return the tasks of a file's `text`; `name` is what messages call the file.

    Raises:
        InputError: at the first line that is no task, with file and line.
    """
    tasks: list[Task] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold other line separators as text
        if not line.strip(" \t\r"):
            continue
        where = f"{name}:{number}"
        if len(line) > LINE_CHARS_MAX:
            raise InputError(f"the line has {len(line):,} characters, the limit is {LINE_CHARS_MAX:,}", where)
        task = _task(_decode(line, where), len(tasks), where, match)
        if task.id in lines:
            raise InputError(
                f"the id {_shown(task.id)} is already that of line {lines[task.id]}", where, "ids have to be unique"
            )
        lines[task.id] = number
        tasks.append(task)
    if not tasks:
        raise InputError("the file holds no task", name, 'a line: {"id": "1", "question": "...", "answer": "..."}')
    return tasks


def _decode(line: str, where: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise InputError(f"the key {_shown(key)} occurs twice", where)
            found[key] = value
        return found

    def constant(word: str) -> Any:
        raise InputError(f"{word} is no number in JSON", where)

    try:
        data = json.loads(line, object_pairs_hook=unique, parse_constant=constant, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error.msg}", f"{where}:{error.colno}", "one JSON object a line") from error
    except (ValueError, ArithmeticError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise InputError(f"not usable as JSON: {type(error).__name__}", where) from error
    if not isinstance(data, dict):
        raise InputError(f"a line has to be an object, this is {_sort(data)}", where)
    return data


def _task(data: dict[str, Any], index: int, where: str, match: Match) -> Task:
    _known(data, KEYS, where)
    options = tuple(
        _text(option, "an option", where, ANSWER_CHARS_MAX)
        for option in _items(data.get("options"), "options", where, OPTIONS_MAX)
    )
    truth = _answer(_needed(data, "answer", where), "answer", where)
    if options:
        truth = _option_for(truth, options, where)
    elif match == "exact" and "\n" in truth:
        raise InputError(
            "with match: exact the answer has to be one line", where, "the last line of a reply is compared"
        )
    elif match == "number" and (len(numbers(truth)) != 1 or last_number(truth) is None):
        raise InputError(f"with match: number the answer has to be one number, got {_shown(truth)}", where)
    parts = [_part(part, where) for part in _items(data.get("parts"), "parts", where, PARTS_MAX)]
    chance = 1 / len(options) if options else 0.0
    if (stated := data.get("chance")) is not None:
        stated = _number(stated, "chance", where)
        if not 0 <= stated <= 1:
            raise InputError(f"chance has to lie in [0, 1], got {stated:g}", where)
        if options and abs(stated - chance) > 1e-3:
            raise InputError(f"with {len(options)} options chance is {chance:g}, not {stated:g}", where, "leave it out")
        chance = chance if options else stated
    difficulty = data.get("difficulty")
    return Task(
        index=index,
        id=_text(_needed(data, "id", where), "id", where, 200),
        question=_text(_needed(data, "question", where), "question", where, TEXT_CHARS_MAX),
        truth=truth,
        options=options,
        chance=chance,
        parts=tuple(question for question, _ in parts),
        part_truths=tuple(answer for _, answer in parts),
        difficulty=None if difficulty is None else _number(difficulty, "difficulty", where),
    )


def _part(data: Any, where: str) -> tuple[str, str]:
    if not isinstance(data, dict):
        raise InputError(f"a part has to be an object with question and answer, this is {_sort(data)}", where)
    _known(data, _PART_KEYS, where)
    question = _text(_needed(data, "question", where), "question of a part", where, TEXT_CHARS_MAX)
    return question, _answer(_needed(data, "answer", where), "answer of a part", where)


def _option_for(truth: str, options: tuple[str, ...], where: str) -> str:
    """Return the option that is the answer; options must differ in the form in which answers are compared."""
    by_form: dict[str, str] = {}
    for option in options:
        form = normalise(option)
        if not form:
            raise InputError(f"the option {_shown(option)} has neither letters nor digits", where)
        if form in by_form:
            raise InputError(f"the options {_shown(by_form[form])} and {_shown(option)} read the same", where)
        by_form[form] = option
    if len(options) < 2:
        raise InputError("one option is no choice", where, "give two or more, or none for a free answer")
    if (form := normalise(truth)) not in by_form:
        raise InputError(f"the answer {_shown(truth)} is none of the options", where)
    return by_form[form]


def _known(data: dict[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            raise InputError(f"there is no key {_shown(key)}", where, nearest(key, list(keys)))


def _needed(data: dict[str, Any], key: str, where: str) -> Any:
    if data.get(key) is None:
        raise InputError(f'"{key}" is missing', where)
    return data[key]


def _items(value: Any, key: str, where: str, limit: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f'"{key}" has to be a list, this is {_sort(value)}', where)
    if not 1 <= len(value) <= limit:
        raise InputError(f'"{key}" has {len(value):,} entries, allowed are 1 to {limit}', where)
    return value


def _answer(value: Any, what: str, where: str) -> str:
    """Return an answer as text; one of nothing but marks and spaces could never be matched."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Decimal):
        _number(value, what, where)
        return canonical(value)
    text = _text(value, what, where, ANSWER_CHARS_MAX)
    if not normalise(text):
        raise InputError(f'"{what}" has neither letters nor digits', where)
    return text


def _text(value: Any, what: str, where: str, limit: int) -> str:
    if not isinstance(value, str):
        raise InputError(f'"{what}" has to be a text, this is {_sort(value)}', where)
    if not value.strip():
        raise InputError(f'"{what}" is empty', where)
    if len(value) > limit:
        raise InputError(f'"{what}" has {len(value):,} characters, the limit is {limit:,}', where)
    if not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f'"{what}" holds half of a surrogate pair, which is no character', where)
    if "\0" in value:
        raise InputError(f'"{what}" holds a NUL character', where)
    if has_chat_marker(value):
        raise InputError(f'"{what}" holds a chat marker like <|im_start|>', where, "models would take it for their own")
    return value


def _number(value: Any, what: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InputError(f'"{what}" has to be a number, this is {_sort(value)}', where)
    if abs(Decimal(value).adjusted()) > 300:
        raise InputError(f'"{what}" is out of range', where)
    return float(value)


def _sort(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def _at(row: Task, index: int) -> Task:
    if row.index == index:
        return row
    return Task(
        index,
        row.id,
        row.question,
        row.truth,
        row.options,
        row.chance,
        row.parts,
        row.part_truths,
        row.difficulty,
        row.data,
    )


def _order(seed: int, file: str, n: int) -> list[int]:
    return [int(i) for i in stream(seed, "task", "jsonl", file).permutation(n)]


def _occurs(needle: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", text) is not None


def _exact(value: float) -> Fraction:
    """Return the decimal number that was written, not the binary one next to it: 0.1 is one tenth."""
    return Fraction(str(value))
