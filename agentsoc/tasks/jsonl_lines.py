"""This module decodes the lines of a task file strictly and names every fault with file and line.

A row has ``question`` and ``answer``, and if wanted ``id`` (otherwise the number of the row), ``options`` (a list of
two or more texts, one of them the answer), ``chance`` (expected score of a guess, for free answers), ``difficulty`` (a
number) and ``parts`` (a list of objects with ``question`` and ``answer``). ``answer`` may be a text or a number. What
else a row holds is kept beside its task, except what looks like one of these misspelt: otherwise one bad line makes
wrong figures silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

from msgspec import structs

from agentsoc.contracts.part import nearest
from agentsoc.contracts.task import Task, has_chat_marker, normalise
from agentsoc.errors import InputError
from agentsoc.reading.text import legible
from agentsoc.scenario.files import is_kept
from agentsoc.tasks.numerals import canonical, last_number, numbers
from agentsoc.tasks.scoring import Scoring
from agentsoc.tasks.task_fields import Mapped
from agentsoc.tasks.task_files import TaskRow, lines_of, shown, sort_of

TEXT_CHARS_MAX: Final = 100_000
ANSWER_CHARS_MAX: Final = 8_000
OPTIONS_MAX: Final = 64
PARTS_MAX: Final = 256

_PART_KEYS: Final = ("question", "answer")

_AS_LETTERS: Final = "add lettered: true, then agents choose letters"
_MARKER: Final = "models would take it for their own; write <| |> with spaces, or ＜| |＞"
Match = Literal["exact", "number", "contains"]


def read_tasks(text: str, name: str, match: Match, scoring: Scoring | None = None) -> list[Task]:
    """Return the tasks of a `text` of JSON lines; `name` is what messages call the file.

    Raises:
        InputError: at the first line that is no task, with file and line.
    """
    strict = Mapped(None, "text", None, lettered=False, strict=True)
    return make_tasks(lines_of(text, name), name, strict, match, scoring)


def make_tasks(
    rows: Iterable[TaskRow], name: str, mapped: Mapped, match: Match, scoring: Scoring | None = None
) -> list[Task]:
    """Return the tasks of the rows of a file.

    Args:
        rows: rows with their places.
        name: what messages call the file.
        mapped: which columns are what.
        match: how answers are judged, where there is no `scoring`.
        scoring: how they are judged.

    Raises:
        InputError: at the first row that is no task, with its place.
    """
    tasks: list[Task] = []
    places: dict[str, int] = {}
    for row in rows:
        data, beside = mapped.task(row)
        task = _task(data, len(tasks), row.number, row.where, match, scoring)
        if beside:
            task = structs.replace(task, data={"metadata": beside})
        if task.id in places:
            hint = "ids have to be unique; a line without one has its number"
            raise InputError(f"the id {shown(task.id)} is already that of line {places[task.id]}", row.where, hint)
        places[task.id] = row.number
        tasks.append(task)
    if not tasks:
        raise InputError("the file holds no task", name, 'a line: {"question": "...", "answer": "..."}')
    return tasks


def _task(data: dict[str, Any], index: int, number: int, where: str, match: Match, scoring: Scoring | None) -> Task:
    options = tuple(
        _text(option, "an option", where, ANSWER_CHARS_MAX)
        for option in _items(data.get("options"), "options", where, OPTIONS_MAX)
    )
    truth = _answer(_needed(data, "answer", where), "answer", where)
    if scoring is not None and (refusal := scoring.refusal(truth, options=bool(options))) is not None:
        raise InputError(f"{refusal}, got {shown(truth)}", where)
    if options:
        truth = _option_for(truth, options, where)
    elif scoring is None and match == "exact" and "\n" in truth:
        raise InputError(
            "with match: exact the answer has to be one line", where, "the last line of a reply is compared"
        )
    elif scoring is None and match == "number" and (len(numbers(truth)) != 1 or last_number(truth) is None):
        raise InputError(f"with match: number the answer has to be one number, got {shown(truth)}", where)
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
        id=str(number) if data.get("id") is None else _text(data["id"], "id", where, 200),
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
        raise InputError(f"a part has to be an object with question and answer, this is {sort_of(data)}", where)
    _known(data, _PART_KEYS, where)
    question = _text(_needed(data, "question", where), "question of a part", where, TEXT_CHARS_MAX)
    return question, _answer(_needed(data, "answer", where), "answer of a part", where)


def _option_for(truth: str, options: tuple[str, ...], where: str) -> str:
    """Return the option that is the answer; options must differ in the form in which answers are compared."""
    by_form: dict[str, str] = {}
    for option in options:
        form = normalise(option)
        if not normalise(legible(option)):
            raise InputError(f"the option {shown(option)} has neither letters nor digits", where, _AS_LETTERS)
        if form in by_form:
            raise InputError(
                f"the options {shown(by_form[form])} and {shown(option)} read the same", where, _AS_LETTERS
            )
        by_form[form] = option
    if len(options) < 2:
        raise InputError("one option is no choice", where, "give two or more, or none for a free answer")
    if (form := normalise(truth)) not in by_form:
        raise InputError(f"the answer {shown(truth)} is none of the options", where)
    return by_form[form]


def _known(data: dict[str, Any], keys: Sequence[str], where: str) -> None:
    for key in data:
        if key not in keys:
            raise InputError(f"there is no key {shown(key)}", where, nearest(key, list(keys)))


def _needed(data: dict[str, Any], key: str, where: str) -> Any:
    if data.get(key) is None:
        raise InputError(f'"{key}" is missing', where)
    return data[key]


def _items(value: Any, key: str, where: str, limit: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f'"{key}" has to be a list, this is {sort_of(value)}', where)
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
    if not normalise(legible(text)):
        raise InputError(f'"{what}" has neither letters nor digits', where)
    return text


def _text(value: Any, what: str, where: str, limit: int) -> str:
    if not isinstance(value, str):
        raise InputError(f'"{what}" has to be a text, this is {sort_of(value)}', where)
    if not value.strip():
        raise InputError(f'"{what}" is empty', where)
    if len(value) > limit:
        raise InputError(f'"{what}" has {len(value):,} characters, the limit is {limit:,}', where)
    if not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError(f'"{what}" holds half of a surrogate pair, which is no character', where)
    if "\0" in value:
        raise InputError(f'"{what}" holds a NUL character', where)
    if has_chat_marker(value):
        raise InputError(f'"{what}" holds a chat marker like <|im_start|>', where, _MARKER)
    return value


def _number(value: Any, what: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InputError(f'"{what}" has to be a number, this is {sort_of(value)}', where)
    endless = not Decimal(value).is_finite() and not is_kept()  # of CSV; runs were made with such
    if endless or abs(Decimal(value).adjusted()) > 300:
        raise InputError(f'"{what}" is out of range', where)
    return float(value)
