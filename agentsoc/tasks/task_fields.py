"""This module says which column of a row is the question, which the answer: by a mapping, or by a named preset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from agentsoc.contracts.part import Part, nearest
from agentsoc.errors import InputError
from agentsoc.tasks.task_files import TaskRow, shown, sort_of

Preset = Literal["gsm8k", "mmlu", "mmlu-pro", "big-bench", "inspect"]
AnswerIs = Literal["text", "letter", "index"]
Column = Annotated[str, Field(min_length=1, max_length=1_000)]
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
METADATA_CHARS: Final = 2_000
"""Length to which a text of a column that is kept beside a task is cut (characters)."""
METADATA_MAX: Final = 64
"""Columns that are kept beside a task."""
KEYS: Final = ("id", "question", "answer", "options", "parts", "chance", "difficulty")
"""What a row holds once its columns are mapped."""
MMLU_HEADING: Final = ("question", "A", "B", "C", "D", "answer")
"""Columns of the CSV files of MMLU, which have no heading."""
_SLOT: Final = re.compile(r"\{\{|\}\}|\{([^{}]+)\}|\{|\}")


class TaskFields(Part):
    """Which columns of a file are what: the name of one, or a template with names in braces."""

    question: Column = "question"
    """A column, or a template: `"{context} {question}"`."""
    answer: Column = "answer"
    """The same for the reference answer."""
    options: Column | Annotated[tuple[Column, ...], Field(min_length=2, max_length=26)] | None = None
    """A column with a list, or the columns that hold one option each; None for `options` where a row has it."""
    id: Column | None = None
    """A column of names; None for `id` where a row has it, and otherwise the row's number."""
    difficulty: Column | None = None
    """A column of numbers; None for `difficulty` where a row has it."""


class Mapped:
    """The object turns rows of a file into those of a task: question, answer, options, and what is kept beside them."""

    needs: ClassVar[str] = "name the columns: fields: {question: ..., answer: ...}"

    def __init__(
        self, fields: TaskFields | None, answer_is: AnswerIs, answer_after: str | None, *, lettered: bool, strict: bool
    ) -> None:
        """Keep what was asked for; `strict` refuses columns that look like misspelt keys."""
        self.fields = fields or TaskFields()
        self.answer_is = answer_is
        self.answer_after = answer_after
        self.lettered = lettered
        self.strict = strict

    def task(self, row: TaskRow) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return (the keys `KEYS` of a task, the columns that are kept beside it).

        Raises:
            InputError: a column is missing, or the answer is not what it is said to be; names the row.
        """
        data, where = row.data, row.where
        used: set[str] = set()
        found: dict[str, Any] = {key: data[key] for key in ("parts", "chance") if key in data}
        used |= found.keys()
        if "target_scores" in data and "answer" not in data and self.fields.answer == "target":
            data = _scored(data, where)
            used.add("target_scores")
        if self.strict and (preset := _preset_of(data)) and (words := _WORDS_OF_PRESETS & data.keys()):
            raise InputError(f"there is no key {shown(min(words))}", where, f"add preset: {preset}")
        self._require(data, where)
        found["question"] = self._filled(self.fields.question, data, where, used)
        answer = self._filled(self.fields.answer, data, where, used)
        options = self._options(data, where, used)
        for name, column in (("id", self.fields.id or "id"), ("difficulty", self.fields.difficulty or "difficulty")):
            own = getattr(self.fields, name)
            if own is not None or name in data:
                found[name] = self._filled(column, data, where, used)
        if row.text:
            found |= {key: _number(found[key]) for key in ("difficulty", "chance") if key in found}
        found["answer"] = self._answer(answer, options, where)
        if options is not None:
            found["options"] = options
            if self.lettered:
                found |= _lettered(found, options, where)
        if isinstance(found.get("id"), int) and not isinstance(found["id"], bool):
            found["id"] = str(found["id"])
        beside = {key: value for key, value in data.items() if key not in used}
        if self.strict:
            for key in beside:
                if key != "metadata" and (hint := _misspelt(key)):
                    raise InputError(f"there is no key {shown(key)}", where, hint)
        return found, _kept(beside)

    def _require(self, data: Mapping[str, Any], where: str) -> None:
        """Refuse a row that has neither question nor answer under these names, with the preset that would read it."""
        for name in ("question", "answer"):
            template = getattr(self.fields, name)
            if "{" not in template and _at(data, template) is None:
                said = f'"{name}" is missing' if template == name else f"the column {shown(template)} is missing"
                raise InputError(said, where, self._instead(data))

    def _instead(self, data: Mapping[str, Any]) -> str:
        preset = _preset_of(data)
        columns = ", ".join(shown(key) for key in list(data)[:12])
        typo = next((f"{shown(key)}: {hint}" for key in data if key not in KEYS and (hint := _misspelt(key))), "")
        return f"add preset: {preset}" if preset else typo or f"{self.needs}; the row has {columns or 'no columns'}"

    def _filled(self, template: str, data: Mapping[str, Any], where: str, used: set[str]) -> Any:
        """Return the value of a column, or a template with its columns filled in."""
        if "{" not in template:
            used.add(template if template in data else template.split(".")[0])
            return _at(data, template)
        parts: list[str] = []
        last = 0
        for slot in _SLOT.finditer(template):
            parts.append(template[last : slot.start()])
            last = slot.end()
            if slot[0] in ("{{", "}}"):
                parts.append(slot[0][0])
            elif slot[1] is None:
                raise InputError(
                    f"the template {shown(template)} has a brace alone", "fields", "write {{ or }} for one"
                )
            else:
                value = _at(data, slot[1])
                if value is None:
                    raise InputError(f"the column {shown(slot[1])} is missing", where, self._instead(data))
                used.add(slot[1] if slot[1] in data else slot[1].split(".")[0])
                parts.append(_as_text(value))
        return "".join([*parts, template[last:]])

    def _options(self, data: Mapping[str, Any], where: str, used: set[str]) -> list[Any] | None:
        named = self.fields.options
        if isinstance(named, tuple):
            values = [self._filled(column, data, where, used) for column in named]
            missing = [column for column, value in zip(named, values, strict=True) if value is None]
            if missing:
                raise InputError(f"the column {shown(missing[0])} is missing", where)
            return [_as_text(value) for value in values]
        column = named or "options"
        value = _at(data, column)
        used.add(column if column in data else column.split(".")[0])
        if value is None:
            if named is not None:
                raise InputError(f"the column {shown(named)} is missing", where)
            return None
        if isinstance(value, list) and self.fields.options is not None:
            return [_as_text(one) for one in value]
        return value  # type: ignore[no-any-return]  # what is no list is refused with the row

    def _answer(self, value: Any, options: list[Any] | None, where: str) -> Any:
        if self.answer_after is not None:
            text = _as_text(value)
            if self.answer_after not in text:
                raise InputError(
                    f"the answer does not hold {shown(self.answer_after)}", where, "leave answer_after out"
                )
            return text.rpartition(self.answer_after)[2].strip()
        if self.answer_is == "text":
            return self._as_given(value, options, where)
        if not isinstance(options, list):
            raise InputError(f"answer_is: {self.answer_is} needs options", where, "name them: fields: {options: ...}")
        at = _place(value, self.answer_is)
        if at is None or not 0 <= at < len(options):
            what = "no letter" if self.answer_is == "letter" else "no index, counted from 0,"
            raise InputError(f"the answer {shown(_as_text(value))} is {what} of {len(options)} options", where)
        return options[at]

    def _as_given(self, value: Any, options: list[Any] | None, where: str) -> Any:
        """Return an answer as it is, or refuse one that is meant otherwise with what to write."""
        if isinstance(value, bool):
            raise InputError('"answer" has to be a text, this is a truth value', where, _TRUTH)
        if isinstance(value, list):
            hint = 'write one text, or scoring: {score: regex} and "red|blue" for several that are right'
            raise InputError(f'"answer" has to be a text, this is {sort_of(value)}', where, hint)
        texts = [one for one in options or [] if isinstance(one, str)]
        if texts and _as_text(value) not in texts:
            if isinstance(value, str) and len(value.strip()) == 1 and _place(value, "letter") in range(len(texts)):
                raise InputError(f"the answer {shown(value)} is none of the options", where, "add answer_is: letter")
            if isinstance(value, int) and 0 <= value < len(texts):
                raise InputError(f"the answer {value} is none of the options", where, "add answer_is: index")
        if isinstance(value, str) and "\n####" in value:
            raise InputError(
                "the answer has its reasoning before ####", where, 'add preset: gsm8k, or answer_after: "####"'
            )
        return value


_TRUTH: Final = 'write it in quotes, as agents should say it: "true", "yes"'
_PRESET_BY_KEYS: Final[dict[frozenset[str], str]] = {
    frozenset({"question", "options", "answer_index"}): "mmlu-pro",
    frozenset({"question", "choices", "answer"}): "mmlu",
    frozenset({"input", "target_scores"}): "big-bench",
    frozenset({"input", "target"}): "inspect",
}

_WORDS_OF_PRESETS: Final = frozenset({"answer_index", "choices", "target", "target_scores"})


def _preset_of(data: Mapping[str, Any]) -> str | None:
    """Return the preset for rows with such columns, or None."""
    return next((name for keys, name in _PRESET_BY_KEYS.items() if keys <= data.keys()), None)


def _misspelt(key: str) -> str:
    """Return which key was meant, where one is near; empty otherwise."""
    hint = nearest(key, list(KEYS))
    return hint if hint.startswith("did you mean") else ""


def preset_settings(name: str, file: str) -> dict[str, Any]:
    """Return the settings of a task family for files of a benchmark as they are published."""
    if name == "gsm8k":
        return {"answer_after": "####", "scoring": {"score": "number"}}
    if name == "mmlu" and file.lower().endswith(".csv"):
        lettered = {"options": ["A", "B", "C", "D"]}
        return {"fields": lettered, "answer_is": "letter", "lettered": True, "heading": list(MMLU_HEADING)}
    if name == "mmlu":
        return {"fields": {"options": "choices"}, "answer_is": "index", "lettered": True, "category": "subject"}
    if name == "mmlu-pro":
        fields = {"options": "options", "id": "question_id", "answer": "answer_index"}
        return {"fields": fields, "answer_is": "index", "lettered": True, "category": "category"}
    return {"fields": {"question": "input", "answer": "target"}}


def _scored(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a row of BIG-bench whose options have scores, with the one that is right as its target."""
    scores = data["target_scores"]
    if not isinstance(scores, Mapping) or not scores:
        raise InputError("target_scores is no object of scores", where)
    highest = max(scores.values(), key=_as_number)
    best = [option for option, score in scores.items() if score == highest]
    if len(best) != 1:
        raise InputError(f"{len(best)} options have the best score", where, "leave the task out: one answer is right")
    return {**data, "options": list(scores), "target": best[0]}


def _as_number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else -1e300


def _at(data: Mapping[str, Any], path: str) -> Any:
    """Return the value of a column, or of a key within one: ``answer.value``; a list of one is its entry."""
    if path in data:
        return data[path]
    value: Any = data
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _as_text(value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 30 else str(value)
    return value if isinstance(value, str) else str(value)


def _number(value: Any) -> Any:
    """Return the number that a cell of CSV holds, or the cell."""
    try:
        return Decimal(value) if isinstance(value, str) and len(value) < 40 else value
    except ArithmeticError:
        return value


def _place(value: Any, answer_is: str) -> int | None:
    """Return the place of an option that a letter, or an index counted from 0, names."""
    text = _as_text(value).strip()
    if answer_is == "letter":
        letter = text.strip("().").upper()
        return LETTERS.index(letter) if len(letter) == 1 and letter in LETTERS else None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _lettered(found: Mapping[str, Any], options: Sequence[Any], where: str) -> dict[str, Any]:
    """Return question, options and answer with the options as letters below the question."""
    if len(options) > len(LETTERS):
        raise InputError(f"{len(options)} options, there are {len(LETTERS)} letters", where)
    texts = [_as_text(option) for option in options]
    if found["answer"] not in texts:
        raise InputError(f"the answer {shown(_as_text(found['answer']))} is none of the options", where)
    letters = LETTERS[: len(options)]
    lines = [f"{letter}) {text}" for letter, text in zip(letters, texts, strict=True)]
    question = "\n".join([_as_text(found["question"]), *lines])
    return {"question": question, "options": list(letters), "answer": letters[texts.index(found["answer"])]}


def _kept(beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that are kept beside a task: texts, numbers and truth values, also those under `metadata`."""
    inner = beside.get("metadata")
    flat = {**beside, **inner} if isinstance(inner, Mapping) else dict(beside)
    kept: dict[str, Any] = {}
    for key, value in flat.items():
        if len(kept) >= METADATA_MAX or not isinstance(key, str):
            continue
        if isinstance(value, str):
            kept[key[:100]] = value[:METADATA_CHARS].encode("utf-8", "replace").decode()
        elif isinstance(value, bool | int) and abs(value) < 1 << 53:
            kept[key[:100]] = value
        elif isinstance(value, Decimal) and abs(value.adjusted()) < 300:
            kept[key[:100]] = float(value)
    return kept
