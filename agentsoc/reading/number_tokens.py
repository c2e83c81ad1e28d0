"""This module finds the numbers of a text with what they belong to: an expression, an equation, a label, a bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from agentsoc.reading.number_text import GROUP
from agentsoc.reading.text import CUT, DENIED_AFTER, NEGATION, WORD, WORDS_BETWEEN

DIGITS_MAX: Final = 400
"""Digits, and size of a power, beyond which a number counts as unreadable."""

_RUN: Final = re.compile(
    rf"{CUT}|(?<![{WORD}])(?:[0-9]+|(?<![0-9])\.[0-9]+)(?:[.,{GROUP}][0-9]+|[ ][0-9]{{3}}(?![0-9]))*"
    rf"(?:[eE][-+]?[0-9]{{1,3}}(?![{WORD}]))?"
)
_EXPONENT: Final = re.compile(r"[eE][-+]?[0-9]{1,3}$")
_TIMES_TEN: Final = re.compile(r"\s?[*x]\s?10\s?\^\s?([-+]?[0-9]{1,3})(?![0-9])")
_POWER: Final = re.compile(r"\s?\^\s?([-+]?[0-9]{1,3})(?![0-9.])")
_OVER: Final = re.compile(r"\s?/\s?([0-9]{1,20})(?![0-9]|[.,][0-9]|\s?[/^*])")
_MIXED: Final = re.compile(r" {1,2}([0-9]{1,6})\s?/\s?([0-9]{1,6})(?![0-9]|[.,][0-9]|\s?[/^*])")
_MAGNITUDES: Final = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "tausend": 1000,
    "millionen": 10**6,
    "milliarden": 10**9, "mille": 1000, "mil": 1000, "millions": 10**6, "milliards": 10**9, "millones": 10**6,
    "lakh": 10**5,
    "crore": 10**7, "тысяч": 1000, "тысячи": 1000, "миллион": 10**6, "миллиона": 10**6, "миллионов": 10**6,
}  # fmt: skip
_HAN: Final = {
    "十": 10,
    "百": 100,
    "千": 1000,
    "万": 10**4,
    "萬": 10**4,
    "만": 10**4,
    "億": 10**8,
    "亿": 10**8,
    "억": 10**8,
}
_MAGNITUDE: Final = re.compile(
    rf"[\s-]?(?:({'|'.join(sorted(_MAGNITUDES, key=len, reverse=True))})(?![{WORD}])|([{''.join(_HAN)}]))",
    re.IGNORECASE,
)
_UNIT_LETTERS: Final = frozenset("mgshlLVAWNJKCF")
_NO_UNITS: Final = frozenset(
    (
        "pi",
        "sqrt",
        "th",
        "st",
        "nd",
        "rd",
        "am",
        "pm",
        "log",
        "ln",
        "exp",
        "sin",
        "cos",
        "tan",
        "mod",
        "dozen",
        "dozens",
        "bn",
        "mn",
        "mio",
        "mrd",
        "tn",
    )
)
_ATTACHED: Final = re.compile(r"[A-Za-zπ√∞§]+")
_MULTIPLE: Final = re.compile(
    r"\s?(?:dozens?|tenths|hundredths|thirds|quarters|halves|fourths|fifths|sixths|sevenths|eighths|ninths|plus\b(?!\s*[0-9])"
    r"|and\s+(?:a|one|two|three)[\s-](?:hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?)\b|or\s+(?:more|less|fewer|higher|lower|greater)\b"
    r"|at\s+(?:most|least)\b|(?:min|max)imum\b|choose\s+[0-9]|(?:k|bn|mn|mio|mrd|tn)\b|per\s?cent\s+of|squared|cubed|factorial|pairs\s+of|π|√|∞|§|%\s+of|times\b(?!\s*[0-9])|(?:more|less|fewer|greater|larger|smaller|higher|lower|older|younger)\s+than\b)",
    re.IGNORECASE,
)
_GOES_ON: Final = re.compile(
    r"[:^_(\\]\s?[0-9a-zA-Z(]|\s?[√π∞±]|\.?\s?§|\.\.[0-9]|\s?\+/-|\s?[-+*/]\s?[xyzn](?![A-Za-z])|[\u0304\u0305\u0307]|[+^]\s*(?:$|[.,;)\n])"
)
"""What makes a number part of something that has no value of its own: a power, a repeating decimal, a bound."""
_LABEL: Final = re.compile(
    r"(?:\b(?:steps?|agents?|claims?|workers?|lines?|eqs?\.?|equations?|cases?|figures?|fig\.|tables?|parts?|questions?|problems?"
    r"|options?|choices?|tasks?|rounds?|examples?|sections?|chapters?|pages?|notes?|peers?|attempts?|iterations?|versions?"
    r"|phases?|repl(?:y|ies)|responses?|players?|members?|experts?|assistants?|methods?|hints?|stages?|no\.|nr\.|nº|étape|schritt"
    r"|paso|passo|шаг|агент)\s*#?\s*|#\s?|第\s*|步骤\s*|步驟\s*|选项\s*|エージェント\s*|ステップ\s*)[(\[]?$",
    re.IGNORECASE,
)  # fmt: skip
_LABEL_GOES_ON: Final = re.compile(r"^\s*(?:,|and|or|&|und|et|y|-|to|,\s*and)\s*#?\s*$", re.IGNORECASE)
_DENIED: Final = re.compile(rf"{NEGATION}{WORDS_BETWEEN}[-+$€£¥(\"']*$", re.IGNORECASE)
_BOUND: Final = re.compile(
    r"(?:\b(?:(?:less|more|greater|fewer|larger|smaller|higher|lower|bigger|longer|shorter|older|younger|better|worse)\s+than"
    r"|at\s+(?:least|most)|over|under|above|below|between|up\s+to|exceed(?:s|ing)?|(?:min|max)imum\s+of|twice|(?:half|quarter|third|fifth|tenth|most|some)(?:\s+of)?"
    r"|double|triple|nearly|almost|within|before|after|divid\w+\s+by|multipli\w+\s+by|by|from|subtract\w*|add(?:s|ed|ing)?|plus"
    r"|minus|times|modulo|mod|mindestens|höchstens|mehr\s+als|weniger\s+als|menos\s+de|más\s+de|plus\s+de|moins\s+de)\s+"
    r"(?:or\s+equal\s+to\s+)?|(?<![-=])[<>]\s*=?\s*|[≤≥±√π§!≠]\s*=?\s*|[A-Za-z_]\(\s*|\b(?:log|ln|sqrt|sin|cos|tan)\s+)[-+$€£¥(\"']*$",
    re.IGNORECASE,
)  # fmt: skip
_UNIT_POWER: Final = re.compile(r"(?<![A-Za-z])(?:[kcm]?m|s|h|ft|in|units?)\s?\^-?$")
_LIST_MARK: Final = re.compile(r"^[ \t]*\(?([0-9]{1,2})[.)][ \t]+(?=\S)", re.MULTILINE)
_CONTEXT: Final = 48


class Number(NamedTuple):
    """A number of a text; `value` is None where it is part of something that has no value of its own."""

    value: Fraction | None
    start: int
    end: int
    symbolic: bool = False
    """Whether it stands with a variable or a root."""


def tokens(text: str) -> Iterator[Number]:
    """Yield the numbers of a plain text (`plain_numbers`) but for labels, list marks and what is denied."""
    marks = _list_marks(text)
    place, label_end = 0, -1
    while run := _RUN.search(text, place):
        start, end = run.span()
        place = end
        if start in marks:
            continue
        before = text[max(0, start - _CONTEXT) : start]
        if _LABEL.search(before) or (label_end >= 0 and _LABEL_GOES_ON.match(text[label_end:start])):
            label_end = end if (first := re.match("[0-9]+", run[0])) is None else start + first.end()
            place = label_end
            continue
        label_end = -1
        if run[0] == CUT:
            yield Number(None, start, end, symbolic=True)
            continue
        number = _number(text, run)
        place = max(place, number.end)
        if _DENIED.search(before) or DENIED_AFTER.match(text, number.end) or _UNIT_POWER.search(before):
            continue
        yield number._replace(value=None) if _BOUND.search(before) else number


def _list_marks(text: str) -> set[int]:
    """Return where the numbers stand that only count the lines 1, 2, 3, ... of a list."""
    found = [(int(mark[1]), mark.start(1)) for mark in _LIST_MARK.finditer(text)]
    marks: list[int] = []
    due = 1
    for number, start in found:
        if number == due:
            marks.append(start)
            due += 1
    return set(marks) if len(marks) > 1 else set()


def _number(text: str, run: re.Match[str]) -> Number:
    """Return the number that begins with a run of digits and separators, with its sign, power, fraction and unit."""
    start, end = run.span()
    value = _value(run[0], text, start, end)
    whole = value is not None and run[0].isdigit()
    power = ten = None
    if (ten := _TIMES_TEN.match(text, end)) is not None:
        end, value = ten.end(), _raised(Fraction(10), int(ten[1]), value)
    elif (power := _POWER.match(text, end)) is not None:
        end = power.end()
        value = None if value is None else _raised(value, int(power[1]), Fraction(1))
    elif whole and (mixed := _MIXED.match(text, end)) is not None and 0 < int(mixed[1]) < int(mixed[2]):
        end = mixed.end()
        value = (value or Fraction(0)) + Fraction(int(mixed[1]), int(mixed[2]))
    elif whole and (over := _OVER.match(text, end)) is not None:
        end = over.end()
        value = None if int(over[1]) == 0 else Fraction(int(run[0]), int(over[1]))
    symbolic = False
    if (magnitude := _MAGNITUDE.match(text, end)) is not None:
        end = magnitude.end()
        value = (
            None
            if value is None
            else value * (_MAGNITUDES[magnitude[1].lower()] if magnitude[1] else _HAN[magnitude[2]])
        )
    elif (attached := _ATTACHED.match(text, end)) is not None:
        end = attached.end()
        unit = attached[0]
        joined = text[end : end + 1].isdigit()  # 3h20, 5C2
        symbolic = unit in _NO_UNITS or (len(unit) == 1 and unit not in _UNIT_LETTERS) or joined
    elif _MULTIPLE.match(text, end) or _GOES_ON.match(text, end):
        value = None
    sign = text[start - 1 : start]
    if sign in ("-", "+") and (start < 2 or re.match(rf"[{WORD})\].]", text[start - 2]) is None):
        start -= 1
        value = -value if value is not None and sign == "-" else value
    elif sign and sign in "/^:_":
        value = None
    around = text[max(0, start - 1) : start + 1]
    if around == "--" or (around == "|-" and text[end : end + 1] == "|"):
        value = None  # a sign twice, or a size without its sign
    return Number(None if symbolic else value, start, end, symbolic)


def _raised(base: Fraction, power: int, factor: Fraction | None) -> Fraction | None:
    """Return factor * base ** power; None where that has more than `DIGITS_MAX` digits, or none at all."""
    size = max(len(str(base.numerator)), len(str(base.denominator)))
    if factor is None or size * abs(power) > DIGITS_MAX or (base == 0 and power <= 0):
        return None
    return factor * base**power


def _value(run: str, text: str, start: int, end: int) -> Fraction | None:
    """Return what a run of digits and separators is worth; None where it can be read in more than one way."""
    exponent = 0
    if (found := _EXPONENT.search(run)) is not None:
        exponent, run = int(found[0][1:]), run[: found.start()]
    if len(run) > DIGITS_MAX or ("." in run and text.startswith(("...", "…"), end)):
        return None
    written = _decimal(run, text[start - 1 : start] in ("(", "[", "{") and text[end : end + 1] in (")", "]", "}"))
    return None if written is None else _raised(Fraction(10), exponent, Fraction(written))


def _decimal(run: str, bracketed: bool) -> str | None:
    """Return a run with its groups joined and a point before the decimals; None where it is ambiguous."""
    if run.isdigit():
        return run
    run = run.replace(GROUP, "'")
    comma, point = run.count(","), run.count(".")
    decimals = ""
    if comma and point:
        mark = "." if run.rindex(".") > run.rindex(",") else ","
        run, _, decimals = run.rpartition(mark)
        if mark in run:
            return None
    elif point == 1:
        run, _, decimals = run.partition(".")
    elif comma == 1 and ("'" in run or " " in run or not _grouped(run, ",")):
        if bracketed:
            return None  # a pair, or a number with a decimal comma
        run, _, decimals = run.partition(",")
    if decimals and not decimals.isdigit():
        return None
    separators = {letter for letter in run if not letter.isdigit()}
    if len(separators) > 1:
        return None
    if separators and not _grouped(run, separators.pop()):
        return None
    digits = "".join(letter for letter in run if letter.isdigit())
    return f"{digits or '0'}.{decimals}" if decimals else digits or None


def _grouped(run: str, mark: str) -> bool:
    """Tell whether the digits of a run stand in groups of three, or as in India, so that it is one number."""
    first, *groups = run.split(mark)
    if not 1 <= len(first) <= 3 or (first[0] == "0" and mark != "'"):
        return False
    if all(len(group) == 3 for group in groups):
        # three full groups with plain spaces between them may be three numbers
        return mark != " " or len(first) < 3 or any(group[0] == "0" for group in groups)
    return mark == "," and len(first) < 3 and len(groups[-1]) == 3 and all(len(group) == 2 for group in groups[:-1])
