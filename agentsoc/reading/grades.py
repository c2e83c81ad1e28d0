"""This module reads which grade a judge gives: one that it calls so, or one that stands alone, never any number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from agentsoc.reading.list_marks import unmarked
from agentsoc.reading.options import option_stated
from agentsoc.reading.text import CUT, lines, readable, sentences

_NUMBER: Final = (
    rf"(?P<grade>[0-9]{{1,3}})(?![0-9%{CUT}]|[.,][0-9])(?:\s*(?:/|out\s+of)\s*(?P<of>[0-9]{{1,3}})(?![0-9]|[.,][0-9]))?"
)
_LINK: Final = r"\s*(?:\([^()]{0,40}\)\s*)?(?:is|was|should\s+be|must\s+be|[:：=]|->|→|of)\s*"
_SIGNS: Final = r"[\s\"'“”(\[$]*"
_GRADE: Final = re.compile(
    rf"\b(?:grade|score|rating|mark)\b(?:\s+(?:to|for|of)\s+(?:the|this|that)\s+(?:\w+\s+)?answer)?{_LINK}"
    rf"(?:(?:therefore|thus|an?|about|exactly|just|only)\s+)?{_SIGNS}{_NUMBER}",
    re.IGNORECASE,
)
_GIVEN: Final = re.compile(
    rf"\b(?:give|award|assign|grant|deserves|earns|receives|gets|grade|rate|score)\s+(?:(?:it|this|the|that|an?|my|answer|"
    rf"response|reply|grade|score|rating|mark|of|as|at|with)\s+){{0,6}}{_SIGNS}{_NUMBER}",
    re.IGNORECASE,
)
_ALONE: Final = re.compile(rf"[\s*_\"'“”(\[$.]*{_NUMBER}\s*(?:points?)?[\s*_\"'“”)\]$.!]*", re.IGNORECASE)
_SUPPOSED: Final = re.compile(
    r"\b(?:if|whether|(?<!i )would|could|might|suppose|unless|says|said|claims|states|asks"
    r"|wants|demands|tells|writes)\b",
    re.IGNORECASE,
)
"""What makes a grade behind it a supposition, or the word of another."""
_ANOTHER: Final = re.compile(
    r"(?:\b(?:highest|lowest|best|worst|top|perfect|full|passing|ideal|possible|maximum|minimum|max|min|reference|other"
    r"|first|second|not|never)|n['’]t)\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
"""What makes the grade right behind it that of something else, or none."""
_GENERAL: Final = re.compile(r"\s*(?:if|when|where|means|for(?!\s+(?:this|that|the\s+answer|it)\b))\b", re.IGNORECASE)
"""What makes the grade before it that of all answers of a sort."""
_QUOTED: Final = re.compile(r"[\"“”][^\"“”\n]{4,400}[\"“”]")
"""Words of another, such as an answer that asks for a grade; a grade alone may stand in quotes."""
_GOES_ON: Final = re.compile(r"\s*(?:-|–|to|or|and)\s*[0-9]|\s*(?:-|–|to|or)\s*$", re.IGNORECASE)


def grade_stated(text: str, grades: Sequence[str], rules: int, *, cut: bool = False) -> str | None:
    """Return the grade that a judge's reply gives, or None when it gives none or more than one.

    By rules 3 it is what the reply as a whole is ("8", "8/10" where 10 is the best), what sentences call the grade or
    give ("The grade is 8", "I give it an 8"), which must agree with each other, or else what the first or last line or
    sentence is alone. A number that is none of these is no grade, as an answer that is graded may be a number as well.
    By rules 2 it is the option among the grades (`option_stated`). Total, linear in the length.

    Args:
        text: the reply.
        grades: what may be given, the worst first.
        rules: the reader of the run (`Rules.reader`).
        cut: whether the reply was cut off, so that a number at its end may have gone on.
    """
    if rules < 3:
        return option_stated(text, grades)
    said = unmarked(readable(text))
    if cut and _may_go_on(said, grades):
        said += CUT
    if (whole := _alone(said, grades)) is not None:
        return whole
    told = {_grade(found, grades) for sentence in _sentences(said) for found in _named(sentence)}
    if told:
        return told.pop() if len(told) == 1 else None
    own, parts = lines(said), sentences(said)
    ends = (*own[:1], *own[-1:], *parts[:1], *parts[-1:])
    at_ends = {grade for end in ends if (grade := _alone(end, grades)) is not None}
    return at_ends.pop() if len(at_ends) == 1 else None


def _sentences(text: str) -> list[str]:
    """Return the sentences of a reply that ask nothing, without what they quote."""
    return [each for each in sentences(_QUOTED.sub(" ", text)) if not each.rstrip().endswith(("?", "？"))]


def _named(sentence: str) -> list[re.Match[str]]:
    """Return where a sentence calls a number its grade."""
    found = list(_GRADE.finditer(sentence)) or list(_GIVEN.finditer(sentence))
    return [each for each in found if _is_its_own(sentence[: each.start()], sentence[each.end() :])]


def _is_its_own(before: str, after: str) -> bool:
    """Tell whether a grade is the reply's own and one, by what stands before and behind it in its sentence."""
    if _SUPPOSED.search(before) or _ANOTHER.search(before[-80:]):
        return False
    return not (_GOES_ON.match(after) or _GENERAL.match(after))


def _alone(text: str, grades: Sequence[str]) -> str | None:
    found = _ALONE.fullmatch(text)
    return None if found is None else _grade(found, grades)


def _grade(found: re.Match[str], grades: Sequence[str]) -> str | None:
    """Return the grade of a match; None where it is none of them, or is out of another number than the best."""
    of = found["of"]
    if of is not None and of != grades[-1]:
        return None
    return found["grade"] if found["grade"] in grades else None


def _may_go_on(text: str, grades: Sequence[str]) -> bool:
    """Tell whether a cut reply ends with a number that a longer grade begins with."""
    end = re.search(r"[0-9]+$", text)
    return end is not None and any(each != end[0] and each.startswith(end[0]) for each in grades)
