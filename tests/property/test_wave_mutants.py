"""Which numbers a queue of waves counts turns by changes nothing: every small round, taken with each of them.

`benchmarks/mutants.yaml` lists two faults of `agentsoc/budget/waves.py` as none, because only the order of the numbers
counts. Here that is enumerated, and faults of the same lines that change the order are found by the same rounds.
"""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

import agentsoc.budget.waves
from agentsoc.budget.ledger import Ledger, Need
from benchmarks.mutants import mutants

SOURCE: Final = Path(agentsoc.budget.waves.__file__).read_text()
NEEDS: Final = (Need((4,), 6), Need((10,), 10), Need((3,), 16))
BUDGETS: Final = (19, 39, 60, 90, 400)
ROUNDS: Final = list(
    itertools.product(BUDGETS, (False, True), itertools.product((0, 1, 2), repeat=3), (0, 7), (False, True))
)
"""Ceilings (tokens), whether all attempts are tried for first, further attempts that each of three turns needs, what an
attempt uses (tokens), and whether those who need another one say so in their order or in the opposite one."""


@cache
def stories(change: str | None, where: str = "WaveQueue.next") -> list[Any]:
    """Return what the queue of a mutant, or with None the real one, gives in every round, wave by wave."""
    module: Any = ModuleType("waves")
    [source] = [SOURCE] if change is None else [
        one.make() for one in mutants(SOURCE) if (one.where, one.change) == (where, change)
    ]  # fmt: skip
    module.__dict__["__name__"] = "waves"
    exec(compile(source, "waves", "exec"), module.__dict__)
    return [_story(module, *each) for each in ROUNDS]


def _story(module: Any, budget: int, whole: bool, further: tuple[int, ...], used: int, turned: bool) -> list[Any]:
    ledger = Ledger(budget)
    queue = module.WaveQueue(ledger, NEEDS, 3)
    left = list(further)
    told: list[Any] = []
    grants = queue.whole() if whole else None
    if grants is not None:
        told.append((grants, []))
        _settle(ledger, queue, grants, left, used, turned)
    while queue.waiting and len(told) < 20:
        wave = queue.next()
        told.append(tuple(wave))
        _settle(ledger, queue, wave.grants, left, used, turned)
    return told


def _settle(ledger: Ledger, queue: Any, grants: list[Any], left: list[int], used: int, turned: bool) -> None:
    for _, grant in grants:
        ledger.settle(grant, min(used, grant.reserved))
    for place, _ in reversed(grants) if turned else grants:
        if left[place]:
            left[place] -= 1
            queue.again(place, NEEDS[place])


@pytest.mark.parametrize(
    ("where", "change"), [("WaveQueue.next", "1 -> 2"), ("WaveQueue.whole", "1 -> 0 (2)")], ids=["next", "whole"]
)
def test_a_change_that_keeps_the_order_of_the_numbers_changes_nothing(where: str, change: str) -> None:
    assert stories(change, where) == stories(None)


@pytest.mark.parametrize(
    "change",
    ["1 -> 0", "self._turn[place] += 1 -> self._turn[place] -= 1", "self._turn[place] += 1 -> (dropped)"],
)
def test_a_change_of_the_order_is_found_by_the_same_rounds(change: str) -> None:
    real, other = stories(None), stories(change)
    assert sum(one != two for one, two in zip(real, other, strict=True)) > 10


def test_the_rounds_have_waves_refusals_and_further_attempts() -> None:
    real = stories(None)
    assert max(len(told) for told in real) >= 6
    assert any(refused for told in real for _, refused in told)
    assert any(len(grants) == 3 for told in real for grants, _ in told)
