"""Answers longer than the numbers of a grammar: nobody is held to one that could not give them, and they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.rehearsal import sample_prompts
from agentsoc.engine.run import run
from agentsoc.scenario.files import BASE_DIR
from agentsoc.society.build import build_society
from agentsoc.tasks.arithmetic import Arithmetic
from agentsoc.tasks.scoring import fits
from tests.loose import scenario

LONG = {"kind": "arithmetic", "digits": 12, "operators": ["*"], "count": 3}
SHORT = {"kind": "arithmetic", "digits": 2, "count": 3}


def forms(tasks: dict[str, Any], reply: str) -> list[tuple[tuple[str, ...], Any]]:
    """Return to which lines, and to what in its field for the answer, each turn of a debate is held."""
    asked = scenario(agents={"count": 3, "reply": reply}, tasks=tasks)
    found = []
    for sample in sample_prompts(build_society(asked)):
        schema = None if sample.request.schema is None else json.loads(sample.request.schema)
        found.append((sample.request.choices, schema and schema["properties"].get("answer")))
    return found


@pytest.mark.parametrize(
    ("settings", "fit"),
    [
        ({"digits": 9, "terms": 2, "operators": ["*"]}, True),
        ({"digits": 10, "terms": 2, "operators": ["*"]}, False),
        ({"digits": 9, "terms": 3, "operators": ["+", "*"]}, False),
        ({"digits": 15, "terms": 16, "operators": ["+", "-"]}, True),
        ({}, True),
    ],
)
def test_a_family_says_whether_its_answers_fit(settings: dict[str, Any], fit: bool) -> None:
    assert Arithmetic(**settings).numbers_fit() == fit
    if fit:
        family = Arithmetic(**settings, count=200)
        assert all(len(task.truth.lstrip("-")) <= 18 for task in family.tasks(1))


@pytest.mark.parametrize(
    ("truth", "fit"),
    [
        ("7", True),
        ("-" + "9" * 18, True),
        ("9" * 19, False),
        ("0.123456789012", True),
        ("0.1234567890123", False),
        ("1/3", True),
        (f"1/{10**12 + 39}", False),
        ("no number", False),
    ],
)
def test_a_reference_answer_fits_to_the_last_digit(truth: str, fit: bool) -> None:
    assert fits(truth) == fit


def test_nobody_is_held_to_a_number_that_the_answer_may_be_longer_than(tmp_path: Path) -> None:
    assert forms(SHORT, "json")[0][1] == {"type": "string", "pattern": "^-?[0-9]{1,18}$"}
    assert "pattern" not in forms(LONG, "json")[0][1]
    assert any(choices for choices, _ in forms(SHORT, "short"))
    assert not any(choices for choices, _ in forms(LONG, "short"))
    lines = [{"question": "a?", "answer": "3"}, {"question": "b?", "answer": "1" * 30}]
    (tmp_path / "n.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    token = BASE_DIR.set(tmp_path)
    try:
        tasks = {"kind": "jsonl", "file": "n.jsonl", "count": 1, "scoring": {"score": "number"}}
        assert "pattern" not in forms(tasks, "json")[0][1]  # of the file, not of its one task: that would tell
    finally:
        BASE_DIR.reset(token)


@pytest.mark.parametrize("reply", ["json", "short", "text"])
def test_long_answers_are_given_and_read_in_every_form(reply: str, tmp_path: Path) -> None:
    asked = scenario(agents={"count": 3, "reply": reply}, model={"accuracy": 1.0}, tasks=LONG)
    totals = run(asked, tmp_path / "run").manifest.totals
    assert (totals.score, totals.calls_failed) == (1.0, 0)
