"""The theory reproduces 382 reference numbers, which were computed elsewhere with other code and other precision."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.phase_adapter import CASES, evaluate

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "phase_cases.json").read_text(encoding="utf-8"))


def disagreements(case: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """Return where `got` leaves the tolerance of the case: abs(got - expected) <= atol + rtol abs(expected)."""
    found = []
    for key, expected in case["expected"].items():
        wants = expected if isinstance(expected, list) else [expected]
        values = got[key] if isinstance(expected, list) else [got[key]]
        same_length = len(wants) == len(values)
        if not same_length or not all(map(lambda want, value: close(want, value, case), wants, values)):
            found.append(f"{key}: expected {expected}, got {got[key]}")
    return found


def close(expected: Any, got: Any, case: dict[str, Any]) -> bool:
    if expected is None or isinstance(expected, str | bool | int):
        return bool(got == expected)
    return got is not None and abs(got - expected) <= case["atol"] + case["rtol"] * abs(expected)


@pytest.mark.parametrize("case", REFERENCE["cases"], ids=lambda case: case["id"])
def test_case_is_reproduced_within_its_tolerance(case: dict[str, Any]) -> None:
    assert disagreements(case, evaluate(case["kind"], case["inputs"])) == []


def test_every_kind_and_every_case_is_covered() -> None:
    kinds = Counter(case["kind"] for case in REFERENCE["cases"])
    assert sum(kinds.values()) == REFERENCE["n_cases"] == 382
    assert set(kinds) == set(CASES)


def test_comparison_notices_a_relative_error_of_twice_the_tolerance() -> None:
    case = next(c for c in REFERENCE["cases"] if c["kind"] == "trajectory")
    wrong = {"mu": [mu * (1 + 2 * case["rtol"]) + 2 * case["atol"] for mu in case["expected"]["mu"]]}
    assert disagreements(case, wrong)
