"""This module finds where a reply announces its answer: in a box or tag, by "answer is ..." or "answer: ..."."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from agentsoc.reading.text import NEGATION, SENTENCE_END, first_sentence

_SUBJECT: Final = (
    r"(?:\s+(?:to|for|of)\s+(?:the|this|your|that|our)\s+(?:\w+\s+){0,2}?"
    r"(?:question|problem|task|riddle|puzzle|equation|exercise|prompt|query|review)s?)?"
    r"(?:\s*,?\s*(?:here|therefore|then|thus|hence|choice|option|letter|key|value)\b\s*,?){0,2}"
)
_LINK: Final = r"[*_]{0,3}\s*(?:(?:is|was|would\s+be|should\s+be|must\s+be|has\s+to\s+be)\b|[:：=＝]|->|→|—|–)"
_OTHER: Final = (
    r"(?:答案|答え|正解|解答|回答)\s*(?:应该|應該|應)?\s*(?:是|为|為|は|が|[:：=])"
    r"|(?:정답|답|답변)\s*(?:은|는|[:：])"
    r"|\brespuesta(?:\s+(?:correcta|final))?\s*(?:es|sería|[:=])"
    r"|\bréponse(?:\s+(?:correcte|finale))?\s*(?:est|[:=])"
    r"|\b(?:antwort|lösung)\s*(?:ist|lautet|[:=])"
    r"|\bresposta(?:\s+(?:correta|final))?\s*(?:é|[:=])"
    r"|\brisposta(?:\s+(?:corretta|finale))?\s*(?:è|[:=])"
    r"|\bantwoord\s*(?:is|[:=])|\bsvaret?\s*(?:är|er|[:=])"
    r"|\b(?:ответ|відповідь)\s*(?:это|равен|[:=—–-])|\bodpowiedź\s*(?:to|brzmi|[:=])"
    r"|\bcevap\s*[:=]|(?:الإجابة|الجواب)(?:\s+\w+)?\s*(?:هي|هو|:)|उत्तर\s*[:=]"
    r"|\bđáp\s+án\s*(?:là|:)|\bjawaban(?:nya)?\s*(?:adalah|:)"
)
_ANCHOR: Final = re.compile(
    rf"\b(?P<noun>answer|solution|option|choice)\b{_SUBJECT}{_LINK}|(?P<other>{_OTHER})", re.IGNORECASE
)
_TAG: Final = re.compile(r"<answer>", re.IGNORECASE)
_TAG_END: Final = re.compile(r"</answer>", re.IGNORECASE)
_MARK: Final = re.compile(r"^[ \t]*####[ \t]*(?=\S)", re.MULTILINE)
_BRACE: Final = re.compile(r"\\[{}]|\\(?:boxed|fbox)\s*\{|[{}]")

_FOREIGN: Final = re.compile(
    r"(?:\b(?:their|his|her|its|your|whose|wrong|incorrect|previous|earlier|first|second|third|initial|old|other|another"
    r"|former|intermediate|partial|naive|tempting|every|each|any|no)|['’]s|#\d{1,6})\s+(?:\w+\s+)?$"
    r"|(?:\b(?:agents?|workers?|peers?|claims?|others?|they|he|she|some|someone|everyone|you|people|many)|#)[\s\d,and]*\s"
    r"(?:\w+\s+){0,2}?(?:sa(?:ys?|id)|think|thought|claim|believe|argue|state|suggest|answer|chose|propose|conclude|insist|assert)"
    r"(?:s|d|ed)?\s+(?:that\s+)?(?:the\s+)?(?:\w+\s+)?$",
    re.IGNORECASE,
)
_SUPPOSED: Final = re.compile(
    r"\b(?:if|whether|suppose|supposing|assume|assuming|unless|imagine|say)\s+(?:that\s+)?(?:the|my|our|a|an)?\s*(?:\w+\s+)?$",
    re.IGNORECASE,
)
_DENIED: Final = re.compile(
    r"(?:\b(?:not|never|doubt|deny|denies)|n['’]t)\s+(?:\w+\s+){0,3}$|\bis\s+(?:\w+\s+)?wrong\s+that\s+(?:the\s+)?$",
    re.IGNORECASE,
)
_NOT_IT: Final = re.compile(rf"\s*(?:{NEGATION}|\bno\s+longer\b)", re.IGNORECASE)
_CLAUSE: Final = re.compile(r"[,;，；]|\bbut\b|\bsondern\b|\bsino\b", re.IGNORECASE)
_RETRACTED: Final = re.compile(
    r"\b(?:wait|hold\s+on|scratch\s+that|oops|on\s+second\s+thoughts?|let\s+me\s+(?:re|double|think|check)\w*"
    r"|i\s+made\s+an?\s+(?:\w+\s+)?(?:mistake|error)"
    r"|(?:that|this|it)(?:['’]s|\s+is|\s+was|\s+seems|\s+looks|\s+must\s+be)(?:\s+\w+)?\s+(?:wrong|incorrect|mistaken|a\s+mistake))\b"
    r"|(?:that|this|it)(?:['’]s|\s+is|\s+was|\s+can)\s*(?:not|n['’]t)\s+(?:be\s+)?(?:right|correct)"
    r"|(?:^\s*|[.!?\n]\s*)(?:no|actually|or|sorry|oh|correction|corrected|edit|update|erratum|typo|apologies|my\s+(?:mistake|bad|apolog\w+))"
    r"\b[,:]?",
    re.IGNORECASE,
)
_SAYS: Final = re.compile(r"\w")
_NEW_QUESTION: Final = re.compile(
    r"^[ \t]*(?:question|problem|q|user|human)\s*\d{0,3}\s*[:：]", re.IGNORECASE | re.MULTILINE
)


class Statement(NamedTuple):
    """A place where a reply announces its answer."""

    text: str
    """What is announced, up to the end of its line; empty where it was taken back."""
    after: str
    """What follows in the reply."""
    boxed: bool
    """Whether a box or a tag says where the statement ends."""


class Found(NamedTuple):
    """What a reply announces, and its text without what it only supposes, denies or reports of others."""

    statements: tuple[Statement, ...]
    """The statements that count, the strongest first: the last box or tag, then the last sentence behind it."""
    text: str


def retracted(text: str) -> bool:
    """Tell whether `text` takes back what was said before it."""
    return _RETRACTED.search(text) is not None


def find(text: str) -> Found:
    """Return what `text` announces as its answer; linear in its length."""
    text = _own_question(text)
    boxes = _boxes(text) or _tagged(text)
    sentence, kept = _last_sentence(text, boxes[-1][1] if boxes else 0)
    statements = []
    if boxes:
        statements.append(_box(text, boxes))
    if sentence is not None:
        statements.append(sentence)
    elif not boxes and (marks := list(_MARK.finditer(text))):
        statements.append(_to_line_end(text, marks[-1].end()))
    return Found(tuple(statements), kept)


def _own_question(text: str) -> str:
    """Return `text` up to where a model that has answered begins to ask itself another question."""
    begun = _ANCHOR.search(text)
    if begun is None:
        return text
    again = _NEW_QUESTION.search(text, begun.end())
    return text if again is None else text[: again.start()]


def _boxes(text: str) -> list[tuple[int, int, int]]:
    """Return (start, start of the content, end of it) of every box that is closed and not in another."""
    if "\\boxed" not in text and "\\fbox" not in text:
        return []
    found: list[tuple[int, int, int]] = []
    open_at: list[tuple[int, int] | None] = []
    inside = 0
    for brace in _BRACE.finditer(text):
        token = brace[0]
        if token == "}":
            begun = open_at.pop() if open_at else None
            if begun is not None:
                inside -= 1
                if not inside:
                    found.append((begun[0], begun[1], brace.start()))
        elif token == "{":
            open_at.append(None)
        elif token[1] not in "{}":
            open_at.append((brace.start(), brace.end()))
            inside += 1
    return [each for each in found if text[each[1] : each[2]].strip()]


def _tagged(text: str) -> list[tuple[int, int, int]]:
    found, place = [], 0
    while tag := _TAG.search(text, place):
        end = _TAG_END.search(text, tag.end())
        if end is None:
            break
        found.append((tag.start(), tag.end(), end.start()))
        place = end.end()
    return found


def _box(text: str, boxes: list[tuple[int, int, int]]) -> Statement:
    """Return the last box; two in one sentence are both announced, so that readers find more than one answer."""
    start, begin, end = boxes[-1]
    content = text[begin:end]
    if len(boxes) > 1:
        before = boxes[-2]
        if before[0] < before[2] < start and SENTENCE_END.search(text, before[2], start) is None:
            content = f"{text[before[1] : before[2]]} or {content}"
    after = text[end + 1 :]
    return Statement("" if retracted(after) else content, after, True)


def _last_sentence(text: str, start: int) -> tuple[Statement | None, str]:
    """Return the last sentence from `start` on that announces an answer, and `text` without those that do not count."""
    before_last = last = -1
    blanked = list[tuple[int, int]]()
    ends = [0, *(end.end() for end in SENTENCE_END.finditer(text)), len(text)]
    place = 0
    for anchor in _ANCHOR.finditer(text):
        while ends[place + 1] < anchor.start():
            place += 1
        begun = ends[place]
        before = text[max(begun, anchor.start() - 60) : anchor.start()]
        stop = next((end for end in ends[place + 1 :] if end >= anchor.end()), len(text))
        asked = text[anchor.end() : stop].rstrip().endswith(("?", "？"))
        if _counts(before, text[anchor.end() : stop]) and not asked:
            if anchor.start() >= start:
                before_last, last = last, anchor.end()
        else:
            denied = _NOT_IT.match(text, anchor.end())
            clause = None if denied is None else _CLAUSE.search(text, denied.end(), stop)
            blanked.append((begun, stop if clause is None else clause.start()))
    kept = text
    for begun, stop in reversed(blanked):
        kept = kept[:begun] + kept[stop:]
    if last < 0:
        return None, kept
    found = _to_line_end(text, last)
    if before_last >= 0 and text[:last].count("\n", before_last) == 1:  # two lines in a row that announce an answer
        other = text[before_last:last].partition("\n")[0].strip()
        if other.casefold().strip(" .") != found.text.casefold().strip(" ."):
            found = found._replace(text=f"{other} or {found.text}")
    return found, kept


def _counts(before: str, said: str) -> bool:
    """Tell whether an announcement is the reply's own: not another's, not supposed, not denied."""
    if _NOT_IT.match(said):
        return False
    return not (_FOREIGN.search(before) or _SUPPOSED.search(before) or _DENIED.search(before))


def _to_line_end(text: str, start: int) -> Statement:
    """Return the statement from `start` to the end of its line, or the next line that is not empty."""
    rest = text[start:].lstrip(" \t*:：=")
    line, _, after = rest.lstrip("\n").partition("\n")
    while after.strip() and not _SAYS.search(line):
        line, _, after = after.partition("\n")
    behind = first_sentence(line)[1] + "\n" + after
    return Statement("" if retracted(behind) else line.strip(), after, False)
