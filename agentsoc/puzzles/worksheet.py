"""Sheets that are worked out step by step: the questions of the task family `axes`, written and read back.

A sheet states facts and, among them, hearsay that contradicts them; it begins with the sum of the facts; each step adds
a number and an earlier result to the last one. Everything is reckoned modulo a prime, so that one mistake never goes
away where no step reaches back further, and hardly ever where one does. How hard that is has five sides, which the five
dials of the family turn one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

MODULUS: Final = 97
"""Results are remainders of a division by this prime: 0 to 96."""
NAMES: Final = (
    *("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibex", "jay", "koi", "lion", "mole", "newt", "owl"),
    *("pig", "quail", "ram", "seal", "toad", "urial", "vole", "wolf", "xerus", "yak", "zebu", "boar", "crow"),
    *("deer", "elk", "frog", "goat", "hare", "lynx", "mink", "orca", "pony", "rook", "swan", "wren"),
)


class Sheet(NamedTuple):
    """One sheet."""

    facts: tuple[tuple[str, int], ...]
    hearsay: tuple[tuple[str, int], ...]
    added: tuple[int, ...]
    """What each step adds."""
    back: int
    """How many results before the last one each step reaches back; the first steps reach back to the beginning."""


def drawn(rng: np.random.Generator, depth: int, horizon: int, breadth: int, robustness: int) -> Sheet:
    """Return a sheet with so many steps, results to remember, facts and pieces of hearsay."""
    names = [NAMES[i] for i in rng.permutation(len(NAMES))[:breadth]]
    facts = tuple((name, int(rng.integers(1, MODULUS))) for name in names)
    hearsay = []
    for number in range(robustness):
        name, true = facts[number % breadth]
        hearsay.append((name, (true - 1 + int(rng.integers(1, MODULUS - 1))) % (MODULUS - 1) + 1))
    added = tuple(int(x) for x in rng.integers(1, MODULUS, size=depth))
    return Sheet(facts, tuple(hearsay), added, horizon)


def written(sheet: Sheet, letter: str) -> str:
    """Return a sheet in words, on one line."""
    parts = [f"Sheet {letter}."]
    parts.append(f"Facts: {', '.join(f'{name} is {value}' for name, value in sheet.facts)}.")
    if sheet.hearsay:
        parts.append(f"Hearsay: {', '.join(f'{name} is {value}' for name, value in sheet.hearsay)}.")
    parts.append(f"Result 0 is {' + '.join(name for name, _ in sheet.facts)}.")
    for number, add in enumerate(sheet.added, 1):
        parts.append(f"Result {number} is result {number - 1} + result {max(number - 1 - sheet.back, 0)} + {add}.")
    return " ".join(parts)


def part_question(text: str, steps: int) -> str:
    """Return the question about one sheet."""
    return f"{text} {_RULES} What is result {steps}?"


def whole_question(texts: Sequence[str], steps: int) -> str:
    """Return the question about all sheets."""
    if len(texts) == 1:
        return part_question(texts[0], steps)
    return f"{' '.join(texts)} {_RULES} What is the sum of result {steps} of all sheets?"


_RULES: Final = (
    f"Facts hold, hearsay may be wrong. Of every result keep the remainder of its division by {MODULUS}, from 0 to "
    f"{MODULUS - 1}."
)

_SHEET: Final = re.compile(
    r"Sheet [A-Z]+\. Facts: ([^.]{1,2000})\.(?: Hearsay: ([^.]{1,2000})\.)? Result 0 is [^.]{1,1000}\."
    r"((?: Result \d{1,3} is result \d{1,3} \+ result \d{1,3} \+ \d{1,3}\.)*)"
)
_STATED: Final = re.compile(r"([a-z]{2,10}) is (\d{1,3})")
_STEP: Final = re.compile(r"Result \d+ is result (\d+) \+ result (\d+) \+ (\d+)\.")


def sheets_in(text: str) -> list[Sheet]:
    """Return the sheets that stand in `text`."""
    found = []
    for match in _SHEET.finditer(text):
        facts, hearsay = (tuple((n, int(v)) for n, v in _STATED.findall(part or "")) for part in match.groups()[:2])
        steps = [(int(last), int(other), int(add)) for last, other, add in _STEP.findall(match[3])]
        if not facts or any(last != number or other > last for number, (last, other, _) in enumerate(steps)):
            continue
        back = steps[-1][0] - steps[-1][1] if steps else 0
        found.append(Sheet(facts, hearsay, tuple(add for *_, add in steps), back))
    return found


Mistake = Callable[[str, int, int, int | None], int]
"""What is made of a number: the kind of operation (believe, fact, recall, step), its place, the right number, and the
wrong one that suggests itself, if one does."""


def exact(kind: str, place: int, right: int, wrong: int | None) -> int:
    """Make no mistake."""
    return right


def facts_as_read(sheet: Sheet, mistake: Mistake) -> list[int]:
    """Return the numbers that a sheet begins with, as they are read: hearsay may be believed, a fact misread."""
    said = dict(sheet.facts)
    for place, (name, rumour) in enumerate(sheet.hearsay):
        if name in said:
            said[name] = mistake("believe", place, said[name], rumour)
    return [mistake("fact", place, said[name], None) for place, (name, _) in enumerate(sheet.facts)]


def worked_out(sheet: Sheet, mistake: Mistake = exact, known: Sequence[int] = ()) -> int:
    """Return the last result of a sheet, with the mistakes that are made on the way.

    Args:
        sheet: what is worked out.
        mistake: what is made of each number.
        known: the first results, where they are known already.
    """
    results = list(known) or [sum(facts_as_read(sheet, mistake)) % MODULUS]
    for place, add in enumerate(sheet.added[len(results) - 1 :], len(results) - 1):
        other = results[max(place - sheet.back, 0)]
        if sheet.back:
            other = mistake("recall", place, other, None)
        results.append(mistake("step", place, (results[-1] + other + add) % MODULUS, None))
    return results[-1]


def operations(sheet: Sheet) -> int:
    """Return how many things have to be read and reckoned for a sheet."""
    return len(sheet.facts) + len(sheet.added)
