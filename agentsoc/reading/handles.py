"""This module finds which claims a reply names by their handles, #1, #2, ..., and whether for or against them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agentsoc.reading.text import READ_MAX, without_reasoning

_GROUP: Final = re.compile(r"#\s?\d{1,6}(?!\d)(?:\s*(?:,|,?\s*and|&|or|/)\s*#\s?\d{1,6}(?!\d)){0,31}+", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d{1,6}")
_CLAUSE: Final = re.compile(r"[.;:!?\n]|,\s|\b(?:but|while|whereas|although|though|however)\b|#\d", re.IGNORECASE)
_WITH: Final = (
    r"(?:\s*:)?(?:\s*(?:\(|the\s+|both\s+|either\s+|claims?\s+|lines?\s+|repl(?:y|ies)\s+|answers?\s+|what\s+|of\s+|by\s+"
    r"|from\s+|in\s+|that\s+|agents?\s+|option\s+)){0,5}\s*$"
)
_AGAINST: Final = re.compile(
    r"(?P<no>(?:\b(?:not|never|no\s+longer|cannot|can['’]t|nothing)|n['’]t)\s+(?:\w+\s+)?)?"
    r"\b(?:disagree(?:s|d|ing)?\s+with|contradict(?:s|ed|ing)?|disput(?:e|es|ed|ing)|reject(?:s|ed|ing)?|refut(?:e|es|ed|ing)"
    r"|oppos(?:e|es|ed|ing)|doubt(?:s|ed|ing)?|(?:error|mistake|flaw|bug)s?\s+(?:made\s+)?(?:in|of|by|from)|rul(?:e|es|ed|ing)\s+out"
    r"|wrong|incorrect|against|unlike|contrary\s+to|rather\s+than|instead\s+of|except|over)" + _WITH,
    re.IGNORECASE,
)
_NOT: Final = re.compile(
    r"(?:\b(?:not|never|neither|nor|nicht|pas|不是)|n['’]t)(?:\s+(?:agree\s+with|accept|trust|support|believe|endorse|follow|share|use|buy"
    r"|(?:be\s+)?(?:convinced|persuaded)\s+by))?" + _WITH,
    re.IGNORECASE,
)
_IS: Final = re.compile(
    r"\s*\)?\s*(?:['’]s\s+(?:\w+\s+){1,2}?)?(?:which\s+|that\s+|both\s+|all\s+)?"
    r"(?:is|are|was|were|seems?|looks?|appears?|has|have|had|makes?|made|contains?|got|gets|gives?|gave|do|does|did|must\s+be|can(?=not|['’]t))",
    re.IGNORECASE,
)
_BAD: Final = re.compile(
    r"\b(?:wrong|incorrect|mistaken|false|flawed|invalid|inaccurate|erroneous|off|(?:an?\s+)?(?:error|mistake)s?|miscalculat\w+"
    r"|miscount\w+|misread\w*|fail(?:s|ed)?)\b",
    re.IGNORECASE,
)
_GOOD: Final = re.compile(
    r"\b(?:right|correct|sound|solid|plausible|reasonable|true|valid|accurate|convinc\w+|persua\w+|hold|work|follow|make\s+sense|add\s+up)\b",
    re.IGNORECASE,
)
_NO: Final = re.compile(r"\b(?:not|never|no|neither|hardly)\b|n['’]t\b|cannot", re.IGNORECASE)
_RAISED: Final = re.compile(
    r"(?:\b(?:not|never|hardly)|n['’]t)\s+(?:think|believe|find|see|say|claim)\s+(?:that\s+)?(?:claim\s+)?$",
    re.IGNORECASE,
)
_FAILS: Final = re.compile(
    r"\s*[(:–-]\s*(?:wrong|incorrect|false|mistaken)\b|\s*\)?\s*(?:miscalculat|miscount|misread|fail|err(?:s|ed)\b|overlook"
    r"|ignor(?:es|ed)|forg(?:ets|ot)|miss(?:es|ed)|neglect|omit|confus(?:es|ed)|double[- ]count|[错錯]|不对|不對)",
    re.IGNORECASE,
)
_NONE: Final = re.compile(r"(?<=[^\s,;:(-])[\s,;:(-]{1,3}none[\s.!)]{0,3}$", re.IGNORECASE)
_LEAD: Final = r"(?:\b(?:but\s+)?(?:not|unlike|against|and|as|per|from|see|by|with|like|via|using)\s+)?(?:in\s+)?"
_ASIDE: Final = re.compile(rf"\(\s?{_LEAD}{_GROUP.pattern}\s?\)", re.IGNORECASE)
_AT_END: Final = re.compile(
    rf"(?:[\s,;]{{0,3}}{_LEAD}{_GROUP.pattern}){{1,8}}+(?=[ \t.!]*$)", re.IGNORECASE | re.MULTILINE
)
_UNLIKE: Final = re.compile(r"^[^.;!?\n]*\bunlike" + _WITH, re.IGNORECASE)
_NEAR: Final = 80


class Handles(NamedTuple):
    """The numbers of the claims that a reply names, each once, in the order of their first naming."""

    uses: tuple[int, ...]
    disputes: tuple[int, ...]


def handles(text: str) -> Handles:
    """Return which handles a reply names for support and which it disputes; linear in its length.

    A claim that is disputed anywhere is not used. What is denied twice ("I do not disagree with #1") is support.
    """
    said = without_reasoning(text)[-READ_MAX:]
    uses: dict[int, None] = {}
    disputes: dict[int, None] = {}
    end_before = 0
    wrong_before = False
    for group in _GROUP.finditer(said):
        begin = max(end_before, group.start() - _NEAR)
        # "#3 has a mistake, unlike #1": who is compared with a claim that is wrong is right
        spared = wrong_before and _UNLIKE.search(said[begin : group.start()]) is not None
        against = None if spared else _against_before(said[begin : group.start()])
        wrong_before = against is None and _against_after(said, said[begin : group.start()], group.end())
        against = bool(against) or wrong_before
        for number in _NUMBER.findall(group[0]):
            (disputes if against else uses)[int(number)] = None
        end_before = group.end()
    return Handles(tuple(each for each in uses if each not in disputes), tuple(disputes))


def _against_before(before: str) -> bool | None:
    """Tell whether the words before handles dispute them, or deny that; None where they say nothing of it."""
    if (cue := _AGAINST.search(before)) is not None:
        return cue["no"] is None
    return True if _NOT.search(before) else None


def _against_after(text: str, before: str, end: int) -> bool:
    """Tell whether what is said of handles behind them disputes them."""
    after = text[end : end + _NEAR]
    if _FAILS.match(after):
        return True
    says = _IS.match(after)
    if says is None:
        return False
    rest = after[says.end() :]
    stop = _CLAUSE.search(rest)
    clause = rest if stop is None else rest[: stop.start()]
    negated = (len(_NO.findall(clause)) + (_RAISED.search(before) is not None)) % 2 == 1
    if _BAD.search(clause):
        return not negated
    return bool(_GOOD.search(clause)) and negated


def without_handles(text: str) -> str:
    """Return `text` without handles in parentheses, those at the end of a line, and a "none" at the end.

    What leads to them goes with them ("27 not #2" is "27"); others are words of a sentence and stay.
    """
    head, tail = text[:-READ_MAX], text[-READ_MAX:]
    if "#" in tail:
        tail = _AT_END.sub("", _ASIDE.sub(" ", tail))
    return head + _NONE.sub("", tail)
