"""`Scoring` says how answers to the tasks of a file are read and judged; everything here is a pure function.

Replay judges every answer again, so a verdict must not depend on a clock. Patterns, which may be a stranger's, are
matched by RE2, whose time is linear in the text for every pattern and which has no look-around and no back-references;
a time limit on `re` would judge differently on a slow machine.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from agentsoc.contracts.judge import Judge
from agentsoc.contracts.part import Part
from agentsoc.contracts.task import normalise, parse_free, plain
from agentsoc.errors import MissingExtraError
from agentsoc.reading.lines import line_stated
from agentsoc.reading.numbers import exact_number, integer_stated, number_stated, written
from agentsoc.reading.text import WORD
from agentsoc.sandbox import Sandbox, passes

Score = Literal["exact", "number", "choice", "contains", "regex", "judge", "tests"]

PATTERN_MEMORY: Final = 1 << 20
"""Memory of a compiled pattern (bytes); RE2 refuses one that needs more."""
MATCHED_MAX: Final = 2_000
"""Characters of an answer that a pattern is matched with; a longer one does not match."""


class Scoring(Part):
    """How replies to the tasks of a file are read, and which answers are right."""

    score: Score = "exact"
    """`exact`: the line that the reply announces, or its last, is the answer but for case, spaces and outer marks.
    `number`: the number that it states is the answer within the tolerance. `choice`: it states the right one of the
    line's options. `contains`: the answer occurs in it as whole words. `regex`: the line is matched by the answer, a
    pattern of RE2, from end to end and in either case. `judge`: a model grades the whole reply by a rubric.
    `tests`: the reply is a Python program (the last block between ``` marks, else all of it), the answer is what is run
    behind it, with `assert`; both run in the sandbox (extra `sandbox`) and have to end without an error."""
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Largest difference that still counts as right, for `number` (in the unit of the answer)."""
    relative: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The same as a share of the answer; the larger of the two is allowed."""
    time_s: Annotated[float, Field(gt=0, le=120)] = 5.0
    """Time limit of a program with its tests, for `tests` (seconds)."""
    whole: bool = False
    """Whether every answer is a whole number, for `number`: agents are asked for one and held to one, and a reply that
    states another number states no answer."""
    judge: Judge | None = None
    """Who grades, with `score: judge`: a model, its rubric, and how often it reads each answer."""

    later: ClassVar[frozenset[str]] = frozenset({"judge", "time_s", "whole"})

    @model_validator(mode="after")
    def _tolerance_of_numbers(self) -> Scoring:
        if (self.score == "judge") != (self.judge is not None):
            raise ValueError("score: judge needs a judge, and only that: judge: {model: ...}")
        if self.score != "number" and (self.tolerance or self.relative):
            raise ValueError("tolerance and relative go with score: number")
        if self.whole and self.score != "number":
            raise ValueError("whole goes with score: number")
        return self

    def stated(self, text: str) -> str | None:
        """Return the canonical answer that a reply states; for `choice` its task's options are asked instead."""
        if self.score == "number":
            return integer_stated(text) if self.whole else number_stated(text)
        if self.score == "judge":
            return plain(text).strip() or None
        if self.score == "tests":
            return program_stated(text)
        return (normalise(text) or None) if self.score == "contains" else line_stated(text)

    def right(self, answer: str, truth: str) -> bool:
        """Tell whether a canonical answer is right."""
        if self.score == "number":
            return within(answer, truth, self.tolerance, self.relative)
        if self.score == "contains":
            return occurs(normalise(truth), normalise(answer))
        if self.score == "regex":
            return matches(truth, answer)
        if self.score == "tests":
            return passes(_sandbox(self.time_s), answer, truth)
        return parse_free(answer) == parse_free(truth)

    def refusal(self, truth: str, *, options: bool) -> str | None:
        """Return why the reference answer of a task cannot be judged by; None when it can."""
        if self.score == "judge":
            return "with score: judge no line has options: they need no judge" if options else None
        if self.score == "choice" or options:
            return None if options else "with score: choice every line needs options"
        if self.score == "exact" and "\n" in truth:
            return "with score: exact the answer has to be one line, as one line of a reply is compared"
        if self.score == "number" and exact_number(truth) is None:
            return "with score: number the answer has to be one number"
        if self.whole and integer_stated(truth) is None:
            return "with whole: true the answer has to be a whole number"
        if self.score == "regex":
            try:
                compiled(truth)
            except ValueError as error:
                return f"with score: regex the answer has to be a pattern of RE2: {error}"
        return None


_BLOCK: Final = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


def program_stated(text: str) -> str | None:
    """Return the program in a reply: its last block between marks of three backticks, else all of it."""
    said = plain(text)
    blocks = _BLOCK.findall(said)
    return (blocks[-1] if blocks else said).strip() or None


@lru_cache(maxsize=4)
def _sandbox(time_s: float) -> Sandbox:
    """Return the sandbox of this process; its children end with it."""
    return Sandbox(time_s=time_s)


def within(answer: str, truth: str, tolerance: float, relative: float) -> bool:
    """Tell whether two numbers differ by at most max(tolerance, relative * abs(truth)); exact, decimals as written."""
    stated, right = exact_number(answer), exact_number(truth)
    if stated is None or right is None:
        return False
    if written(stated) == written(right):  # the same fraction, of which an answer holds the first 40 digits
        return True
    allowed = max(Fraction(str(tolerance)), Fraction(str(relative)) * abs(right))
    return abs(stated - right) <= allowed


def occurs(needle: str, text: str) -> bool:
    """Tell whether `needle` occurs in `text` as whole words; Chinese, Japanese, Korean and Thai have no spaces."""
    edge = re.compile(f"[{WORD}]")
    left = rf"(?<![{WORD}])" if edge.match(needle) else ""
    right = rf"(?![{WORD}])" if needle and edge.match(needle[-1]) else ""
    return bool(needle) and re.search(f"{left}{re.escape(needle)}{right}", text) is not None


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern matches the whole of `text`, in time linear in its length.

    Raises:
        MissingExtraError: google-re2 is not installed.
        ValueError: it is no pattern of RE2, or needs too much memory.
    """
    return len(text) <= MATCHED_MAX and compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """Return a compiled pattern of RE2, which does not tell upper from lower case.

    Raises:
        MissingExtraError: google-re2 is not installed.
        ValueError: it is no pattern of RE2, or needs too much memory.
    """
    try:
        import re2
    except ImportError as error:
        raise MissingExtraError("score: regex", error.name or "re2", "regex") from None
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it does not compile"
        raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
