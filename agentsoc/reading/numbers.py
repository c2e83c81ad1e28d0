"""This module reads which number a reply states, exactly; a number that could be another one is no answer."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Final, NamedTuple

from agentsoc.reading.answer import answer_in
from agentsoc.reading.number_text import plain_numbers
from agentsoc.reading.number_tokens import DIGITS_MAX, Number, tokens
from agentsoc.reading.text import CUT, REFUSAL, first_sentence, readable, sentences

DIGITS_KEPT: Final = 40
"""Digits to which a fraction is written that no finite decimal equals."""

_NEAR: Final = 100
"""Characters within which two things that are said belong together."""

_NUMBERS_MAX: Final = 200
"""Numbers of a sentence beyond which none of them is its answer."""

_EQUALS: Final = re.compile(
    r"[\s)]*(?:=|==|≈|→|=>|->|equals|is\s+equal\s+to|gives|makes)\s*(?:[A-Za-z]\s*=\s*)?[$€£¥]?\s*"
)
_IS: Final = re.compile(r"\s*(?:is|are|es|est|ist|é|è|是)\s*(?:about\s+|approximately\s+)?[$€£¥]?\s*", re.IGNORECASE)
_OPERATOR: Final = re.compile(
    r"\s*(?:[-+*/^−x()]|mod|plus|minus|times|divided\s+by|multiplied\s+by|over|%\s*of)[\s(]*", re.IGNORECASE
)
_ALTERNATIVE: Final = re.compile(
    r"(?:\W*(?:\w+\W+){0,2}?(?:or|and|to|through|versus|vs\.?|bis|oder|und|ou|et|o|y|e|или|и)\W+(?:\w+\W+){0,2}?|\s*[,;/&~-]\s*|\W*(?:或|或者|和|到|至|か|또는)\W*|\W*(?:no|actually|wait|perhaps|maybe|i\s+mean|or\s+rather)\W+(?:\w+\W+){0,2}?)[$€£¥]?\s*",
    re.IGNORECASE,
)
_BUT: Final = re.compile(r"\b(?:but|however|although|aber|pero|mais)\b|但", re.IGNORECASE)
_FILLER: Final = re.compile(
    r"[\s:=*\"'“”$€£¥≈~(\[|]*(?:(?:approximately|approx\.?|about|around|roughly|exactly|precisely|equal\s+to|simply|just|therefore|thus"
    r"|then|probably|likely|still|now|clearly|indeed|also|given\s+by|a\s+total\s+of|a(?!\s*=)|the\s+(?:number|value|integer)|(?:USD|EUR|US)(?!\s*=)"
    r"|[A-Za-z]\w?\s*=|number|value|option)[\s:=*\"'“”$€£¥≈~(\[|]+)*",
    re.IGNORECASE,
)  # fmt: skip
_CUE: Final = re.compile(
    r"\b(?:so|therefore|thus|hence|consequently|altogether|in\s+total|in\s+all|equals|gives|makes|leaves|yields|totals|making|leaving|giving"
    r"|of\s\D{0,20}\d[\d.,]*\s?(?:and|,)\s?\d[\d.,]*\s(?:is|equals)"
    r"|(?:(?:sum|total|difference|product|quotient|average|mean)\s+of\s[^.;]{0,60}?\s|total\s+|result\s+|remainder\s+|outcome\s+"
    r"|(?:sum|difference|product|quotient|average|value)\s+)(?:is|are|was|of|will\s+be|equals)"
    r"|donc|daher|also|somit|por\s+lo\s+tanto|entonces|portanto|quindi|итого|поэтому|значит)\b|[→∴]|因此|所以|总共|一共|よって|따라서",
    re.IGNORECASE,
)
_RESULT: Final = re.compile(
    r"\b(?:sum|total|difference|product|quotient|average|result|remainder|outcome)\b", re.IGNORECASE
)
_PARENTHESIS: Final = re.compile(r"\((?!\s*(?:or|and|to|but)\b)[^()]*\)", re.IGNORECASE)
_UNIT_BETWEEN: Final = re.compile(
    r"\s*(?!(?:in|of|for|per|after|from|at|on|by|with|since|because|as|out|not|if|when|is|to|the)\b)[^\W\d_]{0,12}['’\"′″°]{0,2}\.?\s*[$€£¥]?",
)
"""A unit alone between two numbers, which make one quantity (3 hours 20) or none (10 20)."""
_UNIT_EQUALS: Final = re.compile(r"\s*[^\W\d_]{1,12}\.?\s*=\s*")
_REMAINDER: Final = re.compile(
    r"\s*[,;(]?\s*(?:(?:and|with)\s+)?(?:an?\s+|the\s+)?r(?:em(?:ainder)?)?\b\.?(?:\s+(?:is|of))?\s*[:=]?\s*[0-9]",
    re.IGNORECASE,
)
_HOWEVER: Final = re.compile(r"\W*(?:but|however|yet)\b", re.IGNORECASE)
_ASIDE: Final = re.compile(r"\W*(?:my\s+|overall\s+)?(?:confidence|certainty)\b", re.IGNORECASE)
_SURE: Final = re.compile(
    r"[0-9]\s?(?:%|per\s?cent)\s+(?:\w+\s+)?(?:sure|certain|confident)\b|\b(?:sure|certain|confident)\s+(?:\w+\s+)?[0-9.]+\s?(?:%|per\s?cent)",
    re.IGNORECASE,
)
"""How sure the reply is of its answer; a number that is none."""
_OPENS: Final = re.compile(
    r"\W*(?:or|oder|ou|или|maybe|perhaps|unless|vielleicht|peut-être|quizás|let|suppose|assume|if|given|(?:to\s+)?(?:double[\s-]|cross[\s-])?check\w*|(?:to\s+)?verif\w+|proof|indeed|note|p\.?\s?s\b"
    r"|compare|(?:my\s+)?(?:back-?up|second|alternative)\s+(?:guess|answer|choice)|ask|feel\s+free|hope)\b|或|如果",
    re.IGNORECASE,
)
"""Words at the start of a sentence whose number is an alternative, a supposition or a check."""
_PART: Final = re.compile(r"\W*(?:(?:part|question|answer|q)\s*)?\(?[b-h][).:]{1,2}\s", re.IGNORECASE)
"""The start of a line that answers one of several parts."""
_COMMA_LANGUAGES: Final = re.compile(
    r"\b(?:respuesta|resultado|antwort|ergebnis|lautet|insgesamt|lösung|summe|réponse|résultat|somme|donc|resposta|risposta"
    r"|risultato|somma|ответ|итого|результат|сумма|wynik|odpowiedź|antwoord|svaret|cevap|jawaban)\w*",
    re.IGNORECASE,
)
_ONE_POINT: Final = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}\.[0-9]{3}(?![0-9]|[.,][0-9])")


class _Chain(NamedTuple):
    """Numbers joined by operators and equals signs, and what they come to."""

    value: Fraction | None
    start: int
    end: int
    told: int
    """Where the value itself stands."""


def _chains(text: str) -> list[_Chain]:
    """Return what the expressions and equations of a plain text come to, in order."""
    found: list[_Chain] = []
    side: list[Number] = []
    left: list[Number] = []
    for count, number in enumerate(tokens(text)):
        if count == _NUMBERS_MAX:
            return [_Chain(None, 0, len(text), 0)]
        if not side:
            side = [number]
            continue
        between = text[side[-1].end : number.start]
        if len(side) == 1 and side[0].value is not None and "≈" in between and between.strip() == "≈":
            side = [side[0]._replace(end=number.end)]  # what is exact stands before it
        elif len(between) <= 40 and (_EQUALS.fullmatch(between) or (_IS.fullmatch(between) and _worked(side))):
            left, side = side, [number]
        elif _joined(between, text, number):
            side.append(number)
        else:
            found.append(_chain(left, side))
            left, side = [], [number]
    if side:
        found.append(_chain(left, side))
    return found


def _worked(side: list[Number]) -> bool:
    """Tell whether numbers are something that has to be worked out, so that "is" gives what it comes to."""
    return len(side) > 1 or (side[0].value is None and not side[0].symbolic)


def _joined(between: str, text: str, number: Number) -> bool:
    """Tell whether two numbers are parts of one expression; the sign of the second may be the operator."""
    if not between:
        return text[number.start] in "+-"
    if between.isspace():
        return "\n" not in between and text[number.start] in "+-"
    return len(between) <= 20 and _OPERATOR.fullmatch(between) is not None


def _chain(left: list[Number], right: list[Number]) -> _Chain:
    start = (left or right)[0].start
    solved = not any(number.symbolic for number in left)
    value = right[0].value if len(right) == 1 and solved else None
    if value is None and len(right) > 1 and len(left) == 1:
        value = left[0].value  # 7 = 3 + 4
    return _Chain(value, start, right[-1].end, right[0].start)


class _Value:
    """How a number looks, alone, announced and in passing."""

    def whole(self, text: str) -> Fraction | None:
        if len(text) > 2 * DIGITS_MAX:
            return None
        plain = plain_numbers(text)
        found = _chains(plain)
        if len(found) != 1 or found[0].value is None:
            return None
        around = plain[: found[0].start] + plain[found[0].end :]
        return found[0].value if re.fullmatch(r"[\s.,;:!$€£¥%°\"'“”()\[\]*|。，！]*", around) else None

    def stated(self, text: str, after: str | None) -> Fraction | None:
        # alone in a box, 1,2 may be a pair
        plain = plain_numbers(text if after is not None else f"({text})")
        said, _ = first_sentence(plain.strip())
        chains = _chains(bare := _PARENTHESIS.sub(" ", said))
        if not chains:
            chains = _chains(bare := said)
        if not chains:
            return None if REFUSAL.search(said) or said.strip(" .") == "" else self.loose(f"{text}\n{after or ''}")
        first = chains[0]
        if first.start <= _NEAR and _FILLER.fullmatch(bare[: first.start]):
            if len(chains) > 1 and (_alternative(gap := bare[first.end : chains[1].start]) or _goes_on(gap)):
                return None
            if _REMAINDER.match(bare, first.end) or _taken_back(
                plain.strip()[len(said) :] + (after or ""), first.value
            ):
                return None
            return first.value
        return _concluded(bare, chains)

    def loose(self, text: str) -> Fraction | None:
        if REFUSAL.search(text):
            return None
        said = sentences(plain_numbers(text))
        told = [each for each in said if not _is_aside(each)] or said
        for place in range(len(told) - 1, -1, -1):
            sentence = told[place]
            if chains := _chains(sentence):
                asked = sentence.rstrip().endswith(("?", "？"))
                if asked or _OPENS.match(sentence) or _PART.match(sentence):
                    return None
                value = _concluded(sentence, chains)
                bracketed = sentence.lstrip().startswith("(") and any(_values(each) - {value} for each in told[:place])
                return None if bracketed else value
        return None


def _values(sentence: str) -> set[Fraction]:
    return {chain.value for chain in _chains(sentence) if chain.value is not None}


def _is_aside(sentence: str) -> bool:
    """Tell whether a sentence says how sure the reply is, and no other number."""
    return _ASIDE.match(sentence) is not None or (_SURE.search(sentence) is not None and len(_chains(sentence)) == 1)


def _goes_on(between: str) -> bool:
    """Tell whether a number goes on in the next one: a smaller unit, a conversion, or nothing between them."""
    return (_UNIT_BETWEEN.fullmatch(between) or _UNIT_EQUALS.fullmatch(between)) is not None


def _taken_back(after: str, value: Fraction | None) -> bool:
    """Tell whether the sentence after a stated number begins with "but" and has another number."""
    said = first_sentence(after.lstrip())[0]
    return _HOWEVER.match(said) is not None and bool(_values(said) - {value})


def _alternative(between: str) -> bool:
    """Tell whether what stands between two numbers makes them alternatives, a list or a range."""
    return len(between) <= _NEAR and (_ALTERNATIVE.fullmatch(between) or _BUT.search(between)) is not None


def _concluded(sentence: str, chains: list[_Chain]) -> Fraction | None:
    """Return the one number of a sentence, or the one after its last conclusion."""
    values = {chain.value for chain in chains}
    if len(values) == 1:
        return chains[0].value
    cues = list(_CUE.finditer(sentence))
    if len(_RESULT.findall(sentence)) > 1:
        return None  # of several results none is the last word
    behind = [chain for chain in chains if cues and chain.told >= cues[-1].end()]
    return behind[0].value if len(behind) == 1 else None


def _legible(text: str) -> str:
    """Return a reply as it is read; where the decimal mark is a comma, 1.500 is either of two numbers."""
    said = readable(text)
    return _ONE_POINT.sub(CUT, said) if _COMMA_LANGUAGES.search(said) else said


NUMBER: Final = _Value()
"""Numbers as a `Sort` of answer."""


def opens_with_number(text: str) -> bool:
    """Tell whether the first sentence of what is announced begins with a number, not with words that lead to one."""
    said = _PARENTHESIS.sub(" ", first_sentence(plain_numbers(text).strip())[0])
    chains = _chains(said)
    return bool(chains) and chains[0].start <= _NEAR and _FILLER.fullmatch(said[: chains[0].start]) is not None


def exact_number(text: str) -> Fraction | None:
    """Return the number that a reply states, exactly, or None when it states none or more than one."""
    said = text.strip()
    if said.isascii() and said.isdigit() and len(said) <= DIGITS_MAX:
        return Fraction(int(said))
    return answer_in(text, NUMBER, _legible)


def number_stated(text: str) -> str | None:
    """Return the number that a reply states in its one way to be written, or None; see `exact_number`.

    Fractions that are no finite decimal are rounded to `DIGITS_KEPT` digits. Total, linear in the length, idempotent.
    """
    value = exact_number(text)
    return None if value is None else written(value)


def integer_stated(text: str) -> str | None:
    """Return the number that a reply states if it is an integer (``12.0`` is one), else None."""
    value = exact_number(text)
    return str(value.numerator) if value is not None and value.denominator == 1 else None


def written(value: Fraction) -> str:
    """Return the one way to write a number: no exponent, no superfluous zeros, no minus zero."""
    with localcontext() as context:
        rest = value.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        context.prec = 4 * DIGITS_MAX if rest == 1 else DIGITS_KEPT
        text = format(Decimal(value.numerator) / Decimal(value.denominator), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
