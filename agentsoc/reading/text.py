"""This module bounds and cleans a reply before it is read: every reader is linear in what is left, and so bounded."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

READ_MAX: Final = 16_000
"""Characters of a reply that are read, counted from its end, where answers stand."""

WORD: Final = (
    "0-9A-Za-z_\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0300-\u0dff\u10a0-\u10ff\u1200-\u16ff"
    "\u1e00-\u1fff"
)
"""Letters and digits of the scripts that put spaces between words, for a class of a pattern; Chinese, Japanese, Korean,
Thai and others write an option or a number next to their own letters, which then end it."""

CUT: Final = "\ufffc"
"""Stands for a number that was cut off, and might be any."""

NEGATION: Final = (
    r"(?:\b(?:not|never|nor|neither|cannot\s+be|rather\s+than|instead\s+of|unlike|except|excluding|hardly|barely|nothing|far\s+from|anything\s+but|(?:wrong|incorrect|a\s+mistake)\s+(?:to\s+(?:say|think|claim|choose|answer)|that)|nicht|keine?|pas|no\s+es"
    r"|non\s+è|não\s+é|не|niet|inte|ikke)\s+|n['’]t\s+(?:be\s+)?|不是|并非|並非|不选|不選)"
)
"""What denies the answer right after it, in a few languages."""

DENIED_AFTER: Final = re.compile(
    r"[\s)\"'”*\]}）」]*(?:(?:(?:is|are|was|were|seems?|looks?|can|could|would|does|do|did|has|have|must|should|appears?)"
    r"(?:n['’]t\b|\s+(?:be\s+)?(?:\w+\s+)?(?:not|wrong|incorrect|false|invalid|eliminated|ruled\s+out|impossible|unlikely|out|too\s+\w+)\b)|cannot\b|too\s+\w+)"
    r"|\s*[:(–-]\s*(?:wrong|incorrect|no)\b|(?:是|也)?(?:不对|不對|错|錯|不正确|不是))",
    re.IGNORECASE,
)  # fmt: skip
"""What denies the answer right before it."""

WORDS_BETWEEN: Final = (
    r"(?:(?!(?:but|only|and|or|so|hence|thus|therefore|because|since|is|are|it['’]s|sondern|sino|mais)\b)\w+\s+){0,2}"
)
"""Up to two words between a denial and what it denies ("does not sound negative"), none of which starts a thought."""

SENTENCE_END: Final = re.compile(r"[!?。！？\n]+(?!=)|\.(?=\s|$)")
REFUSAL: Final = re.compile(
    r"\b(?:can(?:not|['’]t| not)\s+(?:be\s+)?(?:determin|answer|tell|say|decide|solve|find|know|comput"
    r"|provid|help|assist"
    r"|be\s+sure)"
    r"|unable\s+to|(?:do\s+not|don['’]t|did\s+not|didn['’]t)\s+know|not\s+(?:sure|certain|enough\s+information|possible)"
    r"|impossible\s+to|no\s+idea|hard\s+to\s+say|insufficient|undetermined|unknown|unsure|unclear"
    r"|no\s+(?:answer|sé)|weiß\s+(?:es\s+|ich\s+)?nicht|ne\s+sais\s+pas|не\s+знаю|no\s+lo\s+sé|non\s+lo\s+so|não\s+sei)"
    r"|不知道|无法|無法|不确定|不確定|わかりません|分かりません|모르겠",
    re.IGNORECASE,
)
"""Words that say that the reply gives no answer; only what is announced as the answer counts beside them."""

_SPACE: Final = re.compile(r"[^\S\n]+")
_CONTROL: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]"
)
_STRUCK: Final = re.compile(
    r"~~[^~\n]{1,200}~~|<(del|s|strike)>[^<\n]{0,200}</\1>|\\x?cancel\{[^{}\n]{0,200}\}", re.IGNORECASE
)
_LOST: Final = re.compile(r"\x0c(?=rac\b)|\x08(?=oxed\b|eta\b)|\t(?=imes\b|frac\b|ext\{)")
_AGAIN: Final = {"\x0c": "\\f", "\x08": "\\b", "\t": "\\t"}
"""Commands of LaTeX that begin like an escape of JSON, where a model wrote one backslash."""
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LATEX_TEXT: Final = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|mbox|emph|underline)\s*(?=\{)"
)
_EMPHASIS: Final = re.compile(r"(?<![\w*])\*{1,3}(?=[^\s*])|(?<=[^\s*])\*{1,3}(?![\w*])|__+|`+")
_BULLET: Final = re.compile(r"^[ \t]*(?:[-*•]|#{1,3}(?!#))[ \t]+", re.MULTILINE)


def without_reasoning(text: str) -> str:
    """Return `text` without a leading ``<think>...</think>``; nothing when it is all reasoning that was cut off."""
    end = text.rfind("</think>")
    if end >= 0:
        return text[end + len("</think>") :]
    return "" if text.lstrip()[:7] == "<think>" else text


def ending(text: str) -> str:
    """Return what is read of a reply, as it stands: its last `READ_MAX` characters at most, from a word's start on.

    Its reasoning is no part of it.
    """
    said = without_reasoning(text)
    if len(said) <= READ_MAX:
        return said
    tail = said[-READ_MAX:]
    cut = re.search(r"\s", tail)
    return tail[cut.end() :] if cut else ""


def legible(text: str) -> str:
    """Return the end of a reply without its reasoning: at most `READ_MAX` characters, from the start of a word on.

    Lone surrogates become replacement characters, control characters and those that nobody sees go, and so does what is
    struck out. Lines stay.
    """
    said = _SURROGATE.sub("\ufffd", ending(text)).replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    said = _CONTROL.sub("", _LOST.sub(lambda sign: _AGAIN[sign[0]], said))
    return _STRUCK.sub(" ", said).strip()


def readable(text: str) -> str:
    """Return the legible end of a reply without emphasis, bullets, and commands of LaTeX that only set text."""
    said = _EMPHASIS.sub("", _LATEX_TEXT.sub(" ", _BULLET.sub("", legible(text))))
    return _SPACE.sub(lambda gap: gap[0] if len(gap[0]) == 1 else " ", said).strip()


def folded(text: str) -> str:
    """Return `text` in the form in which readers compare: NFKC, case folded, one space between words, trimmed."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def first_sentence(text: str) -> tuple[str, str]:
    """Return the first sentence of `text` with its mark, and what follows it."""
    end = SENTENCE_END.search(text)
    return (text, "") if end is None else (text[: end.end()], text[end.end() :])


def sentences(text: str) -> list[str]:
    """Return the sentences of `text` in order, with their marks; a line ends a sentence."""
    found, start = [], 0
    for end in SENTENCE_END.finditer(text):
        found.append(text[start : end.end()])
        start = end.end()
    found.append(text[start:])
    return [each for each in found if each.strip()]


def lines(text: str) -> list[str]:
    """Return the lines of `text` that are not empty, trimmed."""
    return [line.strip() for line in text.split("\n") if line.strip()]
