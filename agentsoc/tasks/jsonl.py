"""This family reads tasks from a file (`task_files`, `task_fields`, `jsonl_lines`) and judges by a ready scheme."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import Field, model_validator

from agentsoc.contracts.judge import Judge
from agentsoc.contracts.task import Task, TaskFamily, normalise, parse_free, parse_option
from agentsoc.errors import InputError
from agentsoc.reading.options import option_stated
from agentsoc.scenario.files import sha256_of
from agentsoc.streams import stream
from agentsoc.tasks.jsonl_lines import Match, make_tasks
from agentsoc.tasks.numerals import DIGITS_MAX, canonical, last_number
from agentsoc.tasks.scoring import Scoring, fits
from agentsoc.tasks.task_fields import AnswerIs, Column, Mapped, Preset, TaskFields, preset_settings
from agentsoc.tasks.task_files import read_rows

FILE_BYTES_MAX: Final = 50_000_000


class Jsonl(TaskFamily):
    """Tasks of a file: JSON lines, a JSON array, CSV or Parquet; all of them, or the first `count`.

    A row has ``question`` and ``answer``, and may have ``options`` (a list that holds the answer), ``id`` (a text or a
    number; the number of the row when it is left out), ``parts`` (a list of questions with answers), ``chance`` (the
    score of a guess, 0 to 1) and ``difficulty`` (a number): `{"question": "Two and two?", "answer": "4"}`. Other
    columns are kept beside the task. ``fields`` names columns that are called otherwise, ``preset`` benchmarks as they
    are published.

    With ``options`` an answer is right if it is the right option. Without, ``scoring`` says what is right
    (docs/replies.md has its rules and examples): the answer but for case and spaces, a number within a tolerance, words
    that occur in the reply, a pattern, or the grade of a judge, which is a model. ``match``, with ``tolerance`` and
    ``relative`` beside it, is the older way to say the first three.
    """

    kind: Literal["jsonl"] = "jsonl"
    count: int = Field(default=20, ge=1, le=1_000_000)
    """Tasks in a run; all of the file where it is left out (tasks)."""
    file: Annotated[str, Field(min_length=1, max_length=1_000)]
    """Path of the file, relative to the scenario's directory: .jsonl, .json, .csv, .tsv or .parquet."""
    match: Match = "exact"
    """How answers are judged where a line has no options; the older way to say `scoring`."""
    tolerance: float = Field(default=0.0, ge=0)
    """Largest difference that still counts as right, for `match: number` (in the unit of the answer)."""
    relative: float = Field(default=0.0, ge=0, le=1)
    """The same as a share of the answer."""
    scoring: Scoring | None = None
    """How replies are read and judged, in place of `match` with its tolerance, which it replaces."""
    combine_by: Literal["none", "sum"] = "none"
    """What the answers to the parts give: nothing, or their sum."""
    shuffle: bool = False
    """Whether the seed decides the order of the tasks; otherwise it is that of the file."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hash that the file must have: then a changed file is refused instead of judged by."""

    preset: Preset | None = None
    """A benchmark as it is published: `gsm8k`, `mmlu` (JSON, Parquet or its CSV without heading), `mmlu-pro`,
    `big-bench`, or `inspect` for `input` and `target`. It stands for settings of what follows, which a run records."""
    fields: TaskFields | None = None
    """Columns of the file that are called otherwise."""
    answer_is: AnswerIs = "text"
    """What stands in the answer's column: the answer, the letter of an option or its index, counted from 0."""
    answer_after: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Mark behind which the answer stands; the last one counts."""
    lettered: bool = False
    """Whether options are shown as letters below the question, and agents choose a letter."""
    heading: Annotated[tuple[Column, ...], Field(min_length=2, max_length=1_000)] | None = None
    """Columns of a CSV file that has no heading of its own."""
    category: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Column by whose values `metrics` tells scores apart."""

    later: ClassVar[frozenset[str]] = TaskFamily.later | {
        "scoring", "preset", "fields", "answer_is", "answer_after", "lettered", "category", "heading",
    }  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, data: Any) -> Any:
        """Put the settings of a preset in its place; what the scenario sets itself stays."""
        if not isinstance(data, dict) or data.get("preset") not in get_args(Preset):
            return data
        settings = preset_settings(data["preset"], str(data.get("file", "")))
        if "match" in data:
            settings.pop("scoring", None)
        return {**settings, **data, "preset": None}

    @model_validator(mode="after")
    def _all_by_default(self) -> Jsonl:
        """Take all tasks of the file where no count is given; a file that cannot be read is refused when it is run."""
        if "count" not in self.model_fields_set:
            try:
                self.__dict__["count"] = len(self._rows)
            except InputError:
                return self
            self.model_fields_set.add("count")
        return self

    @model_validator(mode="after")
    def _tolerance_of_numbers(self) -> Jsonl:
        if self.scoring is not None and (self.match != "exact" or self.tolerance or self.relative):
            raise ValueError("match, tolerance and relative are not for tasks with scoring: write them there")
        if self.match != "number" and (self.tolerance or self.relative):
            raise ValueError("tolerance and relative go with match: number")
        return self

    @cached_property
    def _rows(self) -> tuple[Task, ...]:
        """Read the tasks of the file, in its order, when they are first wanted: a stored run has a copy of its own."""
        found = "" if self.sha256 is None else sha256_of(self.file, limit_bytes=FILE_BYTES_MAX)
        if self.sha256 is not None and found != self.sha256:
            raise InputError(
                f"the file has changed: its SHA-256 is {found}, the scenario wants {self.sha256}",
                self.file,
                "restore the file, or write the new hash into the scenario",
            )
        rows = read_rows(self.file, limit_bytes=FILE_BYTES_MAX, heading=self.heading or ())
        mapped = Mapped(
            self.fields, self.answer_is, self.answer_after, lettered=self.lettered, strict=self.fields is None
        )
        return tuple(make_tasks(rows, self.file, mapped, self.match, self.scoring))

    def judged_by(self) -> Judge | None:
        """Return the judge of the scoring, if that asks one."""
        return None if self.scoring is None else self.scoring.judge

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

    def numeric(self) -> bool:
        """Return whether answers are compared as numbers."""
        return self.match == "number" if self.scoring is None else self.scoring.score == "number"

    def whole(self) -> bool:
        """Return whether the scoring says that these numbers are whole."""
        return self.scoring is not None and self.scoring.whole

    def numbers_fit(self) -> bool:
        """Return whether all answers of the file fit: a form that followed single ones would tell how long they are.

        Raises:
            InputError: the file cannot be read, or a line of it is no task.
        """
        return all(fits(row.truth) for row in self._rows if not row.options)

    def parse(self, task: Task, text: str) -> str | None:
        """Return the option, the last number, the last line or (contains) the whole of what `text` says, normalised."""
        if self.scoring is not None and not task.options:
            return self.scoring.stated(text)
        if task.options:
            return parse_option(text, task.options)
        if self.match == "number":
            value = last_number(text)
            return None if value is None else canonical(value)
        return (normalise(text) or None) if self.match == "contains" else parse_free(text)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the option, the number, the line or (contains) the whole of what a reply states."""
        if task.options:
            return option_stated(text, task.options)
        return (self.scoring or Scoring(score=self.match)).stated(text)

    def takes_all(self) -> bool:
        """Return whether all of a reply is looked at: for words in it, by a judge, or as a program."""
        score = self.match if self.scoring is None else self.scoring.score
        return score in ("contains", "judge", "tests")

    def score(self, task: Task, answer: str | None) -> float:
        """Return 1 if `answer` matches by the scheme of the family, else 0."""
        if answer is None:
            return 0.0
        if task.options:
            return super().score(task, answer)
        if self.scoring is not None:
            return 1.0 if self.scoring.right(answer, task.truth) else 0.0
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
