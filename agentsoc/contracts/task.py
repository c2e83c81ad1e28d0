"""A task has a question, a space of answers, a verifier and, in some families, parts to delegate.

A family makes tasks from a seed; task i of a family is the same whatever the count. Verifiers are pure functions of
(task, answer): they are called again on replay.
"""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, overload

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from agentsoc.contracts.judge import Judge
from agentsoc.contracts.part import Part, Slot
from agentsoc.reading.cut_off import closed, line_before_cut, number_before_cut, option_before_cut
from agentsoc.reading.lines import line_stated
from agentsoc.reading.list_marks import unmarked, unmarked_among
from agentsoc.reading.options import option_stated


class Task(msgspec.Struct, frozen=True):
    """One question with everything that is needed to judge an answer to it."""

    index: int
    """Position in the run, 0..count-1: the ``task`` column of the log."""
    id: str
    """Stable name, unique in its family and seed."""
    question: str
    """What agents are asked."""
    truth: str
    """Reference answer in canonical form; never shown to agents."""
    options: tuple[str, ...] = ()
    """The answer space when it is finite and small; empty for free answers."""
    chance: float = 0.0
    """Expected score of a uniform guess in the answer space; 0 where guessing is hopeless."""
    parts: tuple[str, ...] = ()
    """Sub-questions that together decide the question; empty when it does not decompose."""
    part_truths: tuple[str, ...] = ()
    """Reference answers of `parts`, in their order."""
    difficulty: float | None = None
    """The family's own measure of difficulty, if it has one."""
    data: dict[str, Any] = {}
    """What the family's verifier needs besides."""
    part_difficulty: tuple[float, ...] = ()
    """The family's own measure of how much each part takes (tokens), if it has one: the h of 1 - exp(-b/h)."""


class TaskFamily(Part):
    """A seeded source of tasks; the ``tasks`` block of a scenario.

    A subclass gives ``kind``, `make` and, where exact match will not do, `score` and `parse`.
    """

    slot: ClassVar[str] = "agentsoc.tasks"

    kind: str
    count: int = Field(default=20, ge=1, le=1_000_000)
    """Tasks in a run (tasks)."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """Decides the tasks; None for the scenario's seed. With one of its own, runs of other seeds meet the same tasks."""

    later: ClassVar[frozenset[str]] = frozenset({"seed"})

    @abstractmethod
    def make(self, seed: int, index: int) -> Task:
        """Return task `index` of the set that `seed` decides (`Scenario.tasks_seed`); a pure function of both."""

    def numeric(self) -> bool:
        """Return whether the answer to every task is a number, so that replies can be held to one; False by default."""
        return False

    def whole(self) -> bool:
        """Return whether these numbers are whole, so that replies can be held to such; False by default.

        It is asked of families whose answers are numbers (`numeric`) alone; what their `stated` reads has to agree.
        """
        return False

    def numbers_fit(self) -> bool:
        """Return whether every answer has at most 18 digits before its point and 12 behind it; True by default.

        It is asked of families whose answers are numbers (`numeric`): replies are held to such numbers, and to none
        where an answer may be longer.
        """
        return True

    def judged_by(self) -> Judge | None:
        """Return the model that grades final answers in place of `score`; None, the default, where rules do."""
        return None

    def tasks(self, seed: int) -> Sequence[Task]:
        """Return all tasks of the set that `seed` decides, in order."""
        return [self.make(seed, index) for index in range(self.count)]

    def columns(self, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64] | None] | None:
        """Return all tasks of the set as arrays, where that is all there is to them; None, the default, otherwise.

        The arrays are the index of the true option and the difficulty of each task, shape (count,); None for the second
        where tasks do not differ.
        """
        return None

    def parse(self, task: Task, text: str) -> str | None:
        """Return the canonical answer that a model's free `text` states, or None when it states none.

        A family that has a `parse` of its own is read by it in every run; see `read`.
        """
        return parse_option(text, task.options) if task.options else parse_free(text)

    def stated(self, task: Task, text: str) -> str | None:
        """Return the canonical answer that a reply states by the reader of rules 2, or None.

        That is the option, or the line, that the reply announces or ends with (docs/replies.md). A family that is read
        otherwise has a `parse`, or, where its runs of rules 1 have to be read as they were, a `stated` beside it.
        """
        return option_stated(text, task.options) if task.options else line_stated(text)

    def read(self, task: Task, text: str, rules: int) -> str | None:
        """Return the canonical answer that a reply states, by the reader `rules` of the run (`Rules.reader`).

        `parse` reads runs of rules 1, and all runs of a family whose class has a `parse` of its own and no `stated`;
        `stated` reads all others, by rules 3 without the marks of lists where numbers or options are read.
        """
        if rules == 1 or not _has_stated(type(self)):
            return self.parse(task, text)
        if rules > 2 and text not in task.options:
            if task.options:
                text = unmarked_among(text, task.options)
            elif self.numeric():
                text = unmarked(text)
        return self.stated(task, text)

    def read_cut(self, task: Task, text: str, rules: int) -> str | None:
        """Return the canonical answer that a reply states which its output cap cut off, by the reader `rules`, or None.

        By rules 3 it has to be complete before the cut (`agentsoc.reading.cut_off`), but where all of a reply is its
        answer (`takes_all`) and where the class has a `parse` of its own alone, which then reads what is there.
        """
        if rules < 3 or not _has_stated(type(self)) or (self.takes_all() and not task.options):
            return self.read(task, text if text in task.options else closed(text), rules)

        def read(said: str) -> str | None:
            return self.read(task, said, rules)

        if task.options:
            return option_before_cut(text, task.options, read)
        return (number_before_cut if self.numeric() else line_before_cut)(text, read)

    def takes_all(self) -> bool:
        """Return whether a free reply that was cut off is read as it is; False, the default, for a line of it.

        It is where all of a reply is its answer, such as an essay, and where the form of an answer says where it ends.
        """
        return False

    def score(self, task: Task, answer: str | None) -> float:
        """Return the score of a canonical `answer` in [0, 1]; 0 for no answer."""
        if answer is None:
            return 0.0
        return 1.0 if answer == task.truth or normalise(answer) == normalise(task.truth) else 0.0

    def score_part(self, task: Task, part: int, answer: str) -> float:
        """Return the score of an answer to ``task.parts[part]`` in [0, 1]; 0 when the family has no answer to it."""
        if part >= len(task.part_truths):
            return 0.0
        return 1.0 if normalise(answer) == normalise(task.part_truths[part]) else 0.0

    def combine(self, task: Task, answers: Sequence[str | None]) -> str | None:
        """Return the answer that follows from the answers to `task.parts`; None when it cannot be told."""
        return None


@lru_cache(maxsize=1024)
def _has_stated(family: type[TaskFamily]) -> bool:
    """Return whether a family has a `stated` that no `parse` of a class below it takes the place of."""
    owner = next(cls for cls in family.__mro__ if "stated" in vars(cls) or "parse" in vars(cls))
    return "stated" in vars(owner)


TASKS: Slot[TaskFamily] = Slot("agentsoc.tasks", "task family")
"""The task families that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""


class MadeOnDemand(Sequence[Task]):
    """The first `n` tasks of a family and a seed, made anew at every look: length without memory."""

    def __init__(self, family: TaskFamily, seed: int, n: int) -> None:
        self._family, self._seed, self._range = family, seed, range(n)

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Task]: ...
    def __getitem__(self, index: int | slice) -> Task | Sequence[Task]:
        place = self._range[index]
        if isinstance(place, range):
            return [self._family.make(self._seed, i) for i in place]
        return self._family.make(self._seed, place)

    def __iter__(self) -> Iterator[Task]:
        return (self._family.make(self._seed, i) for i in self._range)


READ_MAX: Final = 16_000
"""Characters of a reply that are read, counted from its end, where answers stand. Unicode normalisation takes quadratic
time on long runs of combining marks, so what a model may send has to be bounded before it."""

_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OUTER = " .,;:!?\"'`*()[]"
_LEAD = re.compile(r"(?:the )?(?:final )?answer(?: is\b:?|:)\s*(?=\S)")
_MARKER = re.compile(r"<\|[^\s<>|]{1,60}\|>")


def normalise(text: str) -> str:
    """Return `text` in the form in which answers are compared: NFKC, case folded, spaces and outer marks trimmed.

    Total and idempotent. Of a text longer than `READ_MAX` only the end is read; lone surrogates, which no file and no
    database takes, become replacement characters.
    """
    folded = unicodedata.normalize("NFKC", plain(text)).casefold()
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", folded))[-READ_MAX:].strip(_OUTER)


def plain(text: str) -> str:
    """Return the end of `text`, at most `READ_MAX` characters, without lone surrogates."""
    return _SURROGATE.sub("\ufffd", text[-READ_MAX:])


def has_chat_marker(text: str) -> bool:
    """Return whether `text` holds a marker such as ``<|im_start|>``, which a chat template would take for its own."""
    return _MARKER.search(text) is not None


# The three readers below are those of rules 1; authors' families use them, so what they say does not change any more.


def parse_free(text: str) -> str | None:
    """Return the answer that a free `text` states: its last line that is not empty, normalised, without "answer:"."""
    for line in reversed(plain(text).splitlines()):
        if stated := normalise(line):
            return normalise(_LEAD.sub("", stated, count=1)) if _LEAD.match(stated) else stated
    return None


def parse_option(text: str, options: Sequence[str]) -> str | None:
    """Return the option that `text` names: the whole text if it is one, else the single option that occurs in it.

    Two different options in one text are no answer: a guess would be ours, not the model's.
    """
    if text in options:
        return text
    folded = normalise(text)
    by_folded = {normalise(option): option for option in options}
    if folded in by_folded:
        return by_folded[folded]
    found = [option for key, option in by_folded.items() if re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", folded)]
    return found[0] if len(found) == 1 else None


def parse_letter(text: str, options: Sequence[str]) -> str | None:
    """Return the option, one of the capital letters `options`, that `text` names.

    The whole text if it is one in either case, else the single capital letter that stands alone in it: as a word,
    "a" is mostly an article.
    """
    if text in options:
        return text
    if (whole := normalise(text).upper()) in options:
        return whole
    alone = re.findall(r"(?<![\w'’-])[A-Z](?![\w'’-])", unicodedata.normalize("NFKC", plain(text)))
    found = {letter for letter in alone if letter in options}
    return found.pop() if len(found) == 1 else None
