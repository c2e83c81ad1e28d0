"""This module reads which of a few options a reply names: longer ones first, none that is denied, and never two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from agentsoc.reading.answer import answer_in
from agentsoc.reading.numbers import NUMBER, exact_number
from agentsoc.reading.text import (
    DENIED_AFTER,
    NEGATION,
    REFUSAL,
    WORD,
    WORDS_BETWEEN,
    first_sentence,
    folded,
    sentences,
)

OUTER: Final = " .,;:!?\"'`*()[]{}<>|$“”‘’«»「」『』。，、；：！？（）【】"
"""Marks that may stand around an option."""
_LETTER: Final = re.compile(r"[A-Za-z]")
_NAMED: Final = re.compile(
    r"(?:the\s+)?(?:option|choice|letter|opción|opção|réponse|antwort|вариант|选项|選項)\s+|(?:选|選|選択肢)\s*",
    re.IGNORECASE,
)
_OPEN: Final = r"[\s:=*\"'“”‘’`$\[({（「『【<|]*"
_FILLER: Final = re.compile(
    _OPEN
    + r"(?:(?:option|choice|letter|clearly|definitely|probably|likely|most\s+likely|therefore|thus|then"
    r"|simply|just|still|now|indeed"
    r"|also"
    r"|either|both|the|that\s+(?:it|this|the\s+\w+)\s+is|opción|选项|選項|вариант)[\s:=*\"'“”‘’`$\[({（「『【<|]+)*",
    re.IGNORECASE,
)  # fmt: skip
_DENIED_BEFORE: Final = re.compile(
    rf"(?:{NEGATION}|\b(?:rules?\s+out|ruled\s+out|ruling\s+out|eliminat\w+|reject\w*|discard\w*|exclud\w+|wrong|incorrect|no\s+longer"
    rf"|without|less|fail(?:s|ed)?\s+to\s+be|lacks?|opposite\s+of|false)\s+){WORDS_BETWEEN}" + _OPEN + "$",
    re.IGNORECASE,
)
_SUPPOSED: Final = re.compile(
    r"\b(?:if|whether|unless|suppose|assuming|were\s+it|maybe|perhaps|might\s+be|could\s+be)\b[^,.;:]*$", re.IGNORECASE
)
_AND: Final = re.compile(
    r"[\s)\"'”*\]}）」.,]*(?:or|and|/|,|&|versus|vs\.?|oder|und|ou|et|o|y|e|или|и|或者?|和|与|與|か|또는)(?:\s+(?:also|maybe|perhaps|possibly|option|choice|the))?"
    + _OPEN,
    re.IGNORECASE,
)
_TOO: Final = re.compile(
    r"[\s)\"'”*\]}）」]*,?\s*(?:and|or|nor|und|oder|ou|et|o|y|или|和|或)\s+[\s\"'“(\[*]*", re.IGNORECASE
)
_GOES_ON: Final = re.compile(r"\s+[a-z]")
_VERB: Final = re.compile(
    r"\s+(?:is|was|and|or|seems?|looks?|because|since|as|would|should|must|has|comes|states?|says|means|fits|describes|gives|with|for)\b"
)
_PLAIN_WORD: Final = re.compile(r"[A-Za-zÀ-ʯ]\s$")
_LEADS: Final = re.compile(
    r"\b(?:is|are|be|was|it|choose|chose|choosing|pick|select|with|for|says?|said|guess|prefer|vote|only|definitely|clearly|probably|likely"
    r"|therefore|thus|hence|so|then|and|or|not|nor|neither|either|both|to|than|that|think|believe|but|because|since|answer|really|of"
    r"|just|simply|surely|still|wähle|choisis|ist|es|est|é|la|auf|für|pour|por|choice|s)\s$",
    re.IGNORECASE,
)
_INITIALS: Final = re.compile(
    r"\b(?:Dr|Prof|Professor|Doctor|Mr|Mrs|Ms|Sir|Frau|Herr|Mme|Señor|Señora)\b\.?[ \t]{1,3}"
    r"(?:[A-Z]\.[ \t]{0,2}){1,3}(?=[A-ZÀ-Þ][a-zà-ÿ'’])"
)
"""A title with initials before a name: in "Dr. A. Smith" the letter is no option."""
_HAN_DENIAL: Final = "(?<![不没沒非未无無勿否別别])"
_NEAR: Final = 100


class _Mention(NamedTuple):
    """A place where a text names an option; `sure` unless it may be something else, such as the article "A"."""

    option: str
    start: int
    end: int
    sure: bool


class _Options:
    """Options as a `Sort` of answer, compiled once for each set of them."""

    def __init__(self, options: tuple[str, ...]) -> None:
        self._options = options
        self._by_form: dict[str, str | None] = {}
        for form_of in (str, folded, lambda option: folded(option).strip(OUTER)):
            forms = [form_of(option) for option in options]
            for form, option in zip(forms, options, strict=True):
                if form and form not in self._by_form:
                    self._by_form[form] = option if forms.count(form) == 1 else None
        self.letters = frozenset(option for option in options if len(option) == 1 and _LETTER.match(option))
        """Options that are one letter."""
        words = sorted({folded(option) for option in options if option not in self.letters}, key=len, reverse=True)
        self._by_word = {folded(option): option for option in options}
        pattern = "|".join(_bounded(word) for word in words if re.search(r"\w", word))
        self._word = re.compile(pattern or r"(?!)", re.IGNORECASE)
        alone = f"[{''.join(sorted(self.letters))}]" if self.letters else r"(?!)"
        self._letter = re.compile(rf"(?<![{WORD}'’-]){alone}(?![{WORD}'’+#-])")
        self._any_letter = re.compile(rf"{alone}(?=\s*[)\]）」』】.:,*\"'”$}}]|\s*$)", re.IGNORECASE)
        self._nos = frozenset(option for option in options if folded(option) == "no")
        self._values = {value: option for option in options if (value := exact_number(option)) is not None}
        if len(self._values) < len(options):
            self._values = {}

    def whole(self, text: str) -> str | None:
        if text in self._options:
            return text
        form = folded(text)
        for said in (form, form.strip(OUTER), _NAMED.sub("", form, count=1).strip(OUTER)):
            if (option := self._by_form.get(said)) is not None:
                return option
        if self._values and (value := exact_number(text) if len(text) <= _NEAR else None) is not None:
            return self._values.get(value)
        return None

    def stated(self, text: str, after: str | None) -> str | None:
        text = unicodedata.normalize("NFKC", text)
        if (option := self.whole(text)) is not None:
            return option
        said, _ = first_sentence(text)
        if (option := self.whole(said)) is not None:
            return option
        if self._values and (value := NUMBER.stated(text, after)) is not None:
            return self._values.get(value)
        lead = _FILLER.match(said)
        begin = lead.end() if lead else 0
        mentions = self._mentions(said)
        first = next((each for each in mentions if each.start == begin), None) or self._lower(said, begin)
        if first is not None:
            # the article of "a number" is no letter, and of "B or C" neither is announced
            follows = [each for each in mentions if each.start >= first.end and each.option != first.option]
            joined = follows and len(gap := said[first.end : follows[0].start]) <= _NEAR and _AND.fullmatch(gap)
            sure = first.sure and not DENIED_AFTER.match(said, first.end)
            return first.option if sure and not joined else None
        if not mentions and not REFUSAL.search(said) and not self._values:
            return self.loose(f"{text}\n{after or ''}")
        return self._single(mentions)

    def loose(self, text: str) -> str | None:
        mentions: list[_Mention] = []
        for sentence in sentences(unicodedata.normalize("NFKC", text)):
            asked = sentence.rstrip().endswith(("?", "？"))
            mentions += [each._replace(sure=False) if asked else each for each in self._mentions(sentence)]
        if REFUSAL.search(text):
            return None
        value = NUMBER.loose(text) if self._values else None
        single = self._single(mentions)
        return single if value is None or self._values.get(value) == single else None

    def _single(self, mentions: Sequence[_Mention]) -> str | None:
        named = {each.option for each in mentions}
        return named.pop() if len(named) == 1 and any(each.sure for each in mentions) else None

    def _lower(self, text: str, begin: int) -> _Mention | None:
        """Return the letter at a place, in either case, where a mark or the end follows it."""
        found = self._any_letter.match(text, begin)
        option = None if found is None else self._by_word.get(folded(found[0]))
        return None if found is None or option is None else _Mention(option, begin, found.end(), True)

    def _mentions(self, text: str) -> list[_Mention]:
        """Return what a sentence names without denying it, in order."""
        found = [
            _Mention(option, *word.span(), True)
            for word in self._word.finditer(text)
            if (option := self._by_word.get(folded(word[0])))
            is not None  # case in patterns and in texts differs a little
        ]
        letters = self._letter.finditer(text)
        found += [_Mention(letter[0], *letter.span(), _is_letter(text, letter)) for letter in letters]
        kept: list[_Mention] = []
        denied = -1
        for each in sorted(found, key=lambda mention: mention.start):
            before = text[max(0, each.start - 60) : each.start]
            if denied >= 0 and each.start - denied <= _NEAR and _TOO.fullmatch(text, denied, each.start):
                denied = each.end  # neither A nor B
                continue
            if _DENIED_BEFORE.search(before) or DENIED_AFTER.match(text, each.end):
                denied = each.end
                continue
            denied = -1
            if each.option in self._nos and _GOES_ON.match(text, each.end):
                each = each._replace(sure=False)  # the determiner of "no doubt"
            kept.append(each._replace(sure=False) if _SUPPOSED.search(before) else each)
        return kept


def _is_letter(text: str, found: re.Match[str]) -> bool:
    """Tell whether a capital letter names an option rather than being a word or a part of a name.

    "A number", "I think" and "Vitamin C" are none; after a mark, or a word that leads to an answer, a letter is one.
    """
    before = text[max(0, found.start() - 24) : found.start()]
    if _NAMED.search(before[-12:]):
        return True
    if _PLAIN_WORD.search(before) and not _LEADS.search(before):
        return False
    after = text[found.end() : found.end() + 60]
    if found[0] == "A":
        return not re.match(r"\s+\w", after) or _VERB.match(after) is not None
    return found[0] not in "IO" or not re.match(r"\s+[a-z]|['’]", after)


def _bounded(word: str) -> str:
    """Return a pattern that finds a word or phrase which no letter of the same sort continues."""
    body = r"\s+".join(re.escape(part) for part in word.split(" "))
    edge = re.compile(f"[{WORD}]")
    if word[0].isdigit():
        left = rf"(?<![{WORD}.,/#-])"
    elif edge.match(word[0]):
        left = rf"(?<![{WORD}-])"
    else:
        left = _HAN_DENIAL if word[0].isalpha() else ""
    right = rf"(?![{WORD}-])" if edge.match(word[-1]) else ""
    if word[-1].isdigit():
        right = rf"(?![{WORD}%-]|[.,/]\d)"
    return f"{left}{body}{right}"


@lru_cache(maxsize=512)
def _compiled(options: tuple[str, ...]) -> _Options:
    return _Options(options)


def option_stated(text: str, options: Sequence[str]) -> str | None:
    """Return the option that a reply states, or None when it states none, denies it, or leaves two standing.

    The longer of two options wins where one is part of the other; options that are one letter are read as letters, so
    that "A number" names none. Total, linear in the length, and idempotent: an option states itself.
    """
    if text in options:
        return text
    compiled = _compiled(tuple(options))
    return answer_in(_INITIALS.sub("", text) if compiled.letters else text, compiled)
