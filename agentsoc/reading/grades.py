"""This module reads which grade a judge gives: one that it calls so, or one that stands alone, never any number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from agentsoc.reading.list_marks import unmarked
from agentsoc.reading.options import option_stated
from agentsoc.reading.text import CUT, DENIED_AFTER, SENTENCE_END, lines, readable, sentences

_OF: Final = r"(?:\s*\(?(?:/|out\s+of)\s*(?P<of>[0-9]{1,3})(?![0-9]|[.,][0-9]))?"
_NUMBER: Final = rf"(?P<grade>[0-9]{{1,3}})(?![0-9%{CUT}]|[.,][0-9]){_OF}"
_LINK: Final = r"\s*(?:\([^()]{0,40}\)\s*)?(?:is|was|should\s+be|must\s+be|[:：=]|->|→)\s*"
_SIGNS: Final = r"[\s\"'“”(\[$]*"
_DIGIT: Final = re.compile(r"\d")
_GRADE: Final = re.compile(
    rf"\b(?:grade|score|rating|mark)\b(?:\s+(?:to|for|of)\s+(?:the|this|that)\s+(?:\w+\s+)?answer)?{_LINK}"
    rf"(?:(?:therefore|thus|an?|about|exactly|just|only)\s+)?{_SIGNS}{_NUMBER}",
    re.IGNORECASE,
)
_GIVEN: Final = re.compile(
    rf"\b(?:give|award|assign|grant|deserves|earns|receives|gets"
    rf"|(?<!\ba )(?<!\bthe )(?:grade|rate|score)(?!\s+of\b))\s+(?:(?:it|this|the|that|an?|my|answer|"
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
    r"|first|second|not|never|cannot|refuse|hesitate|was\s+going)|n['’]t)\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
"""What makes the grade right behind it that of something else, or none."""
_GENERAL: Final = re.compile(r"\s*(?:if|when|where|means|for(?!\s+(?:this|that|the\s+answer|it)\b))\b", re.IGNORECASE)
"""What makes the grade before it that of all answers of a sort."""
_CONDITION: Final = re.compile(
    r"\b(?:if|unless|were\s+(?:it|the|this|that)|had\s+(?:it|the|this|that))\b", re.IGNORECASE
)
"""What makes a grade before it a supposition, wherever it stands in the sentence."""
_WHICH: Final = re.compile(r"\s*,?\s*(?:(?:which|that|this|but(?:\s+(?:that|this|it))?)\s+)?", re.IGNORECASE)
"""What may stand between a grade and its denial: "9, which is too high"."""
_GRADE_ENDS: Final = re.compile(
    r"\s*(?:points?\b\s*)?(?:$|[.,;:!)\]\"'“”’*_$…—]|[-–]\s|(?:because|since)\b)", re.IGNORECASE
)
"""What stands behind a number that is given; behind a count stands what is counted: "gets 2 facts wrong"."""
_QUOTED: Final = re.compile(r"[\"“”][^\"“”\n]{4,400}[\"“”]")
"""Words of another, such as an answer that asks for a grade; a grade alone may stand in quotes."""
_GOES_ON: Final = re.compile(r"\s*(?:-|–|to|or|and)\s*[0-9]|\s*(?:-|–|to|or)\s*$", re.IGNORECASE)


def grade_stated(text: str, grades: Sequence[str], rules: int, *, cut: bool = False) -> str | None:
    """Return the grade that a judge's reply gives, or None when it gives none or more than one.

    By rules 3 it is what the reply as a whole is ("8", "8/10" where 10 is the best), what sentences call the grade or
    give ("The grade is 8", "I give it an 8"), which must agree with each other, or else what the first or last line or
    sentence is alone. A number that is none of these is no grade, as an answer that is graded may be a number as well.
    Of a reply that was cut off only the whole counts, and sentences that are over. By rules 2 it is the option among
    the grades (`option_stated`). Total, linear in the length.

    Args:
        text: the reply.
        grades: what may be given, the worst first.
        rules: the reader of the run (`Rules.reader`).
        cut: whether the reply was cut off, so that a number at its end may have gone on.
    """
    if rules < 3:
        return option_stated(text, grades)
    said = unmarked(readable(text))
    if (whole := _alone(said + CUT if cut and _may_go_on(said, grades) else said, grades)) is not None:
        return whole
    if cut:
        said = _over(unmarked(readable(text + CUT)))
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


def _over(text: str) -> str:
    """Return the sentences of a reply with a mark at its end that were over before it."""
    ends = [end.end() for end in SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""


def _named(sentence: str) -> list[re.Match[str]]:
    """Return where a sentence calls a number its grade; nowhere if another number may be meant as well."""
    found = list(_GRADE.finditer(sentence))
    given = not found
    if given:
        found = list(_GIVEN.finditer(sentence))
        if len(found) != 1 or not _GRADE_ENDS.match(sentence, found[0].end()):
            return []
    if _CONDITION.search(sentence, found[0].end()):
        return []
    between = [sentence[one.end() : other.start()] for one, other in pairwise(found)]
    before = sentence[: found[0].start()] if given else ""
    if any(_DIGIT.search(part) for part in (before, *between, sentence[found[-1].end() :])):
        return []
    supposed = _SUPPOSED.search(sentence)
    sure = len(sentence) if supposed is None else supposed.end()
    return [each for each in found if each.start() < sure and _is_its_own(sentence, each)]


def _is_its_own(sentence: str, found: re.Match[str]) -> bool:
    """Tell whether a grade is the reply's own and one, by what stands right before and right behind it."""
    if _ANOTHER.search(sentence[max(0, found.start() - 80) : found.start()]):
        return False
    at = found.end()
    if _GOES_ON.match(sentence, at) or _GENERAL.match(sentence, at) or DENIED_AFTER.match(sentence, at):
        return False
    which = _WHICH.match(sentence, at)
    return which is None or DENIED_AFTER.match(sentence, which.end()) is None


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
