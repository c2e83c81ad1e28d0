"""Scoring of tasks from a file: what is right, what is refused with its line, patterns that would take for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.contracts.rules import NEWEST
from agentsoc.contracts.task import TASKS, Task, TaskFamily
from agentsoc.errors import InputError
from agentsoc.scenario.files import BASE_DIR
from agentsoc.tasks.arithmetic import Arithmetic
from agentsoc.tasks.jsonl import Jsonl
from agentsoc.tasks.scoring import MATCHED_MAX, Scoring, matches, occurs, within
from agentsoc.testing import replay, scripted_llm, small_run
from tests.pace import at_most


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    token = BASE_DIR.set(tmp_path)
    yield tmp_path
    BASE_DIR.reset(token)


def written(base: Path, answer: Any, options: list[str] | None = None, **fields: Any) -> Jsonl:
    line = {"id": "1", "question": "What?", "answer": answer} | ({} if options is None else {"options": options})
    (base / "tasks.jsonl").write_text(json.dumps(line), encoding="utf-8")
    return Jsonl.model_validate({"file": "tasks.jsonl", **fields})


@pytest.mark.parametrize(
    ("scoring", "answer", "reply", "score"),
    [
        ({"score": "exact"}, "Paris", "I think.\nThe answer is **Paris**.", 1),
        ({"score": "exact"}, "Paris", "Rome", 0),
        ({"score": "exact"}, "\\frac{3}{4}", "So \\boxed{\\frac{3}{4}}", 1),
        ({"score": "exact"}, "__init__", "__init__", 1),
        ({"score": "number"}, "1/3", "The answer is \\frac{2}{6}.", 1),
        ({"score": "number"}, "1/3", "0.3333", 0),
        ({"score": "number", "tolerance": 0.001}, "1/3", "0.3333", 1),
        ({"score": "number"}, "12 500", "It costs 12,500 dollars", 1),
        ({"score": "number"}, "25%", "25", 1),
        ({"score": "number"}, "\\frac{3}{4}", "0.75", 1),
        ({"score": "number", "tolerance": 0.1}, 3, "3.1", 1),
        ({"score": "number", "tolerance": 0.1}, 3, "3.11", 0),
        ({"score": "number", "relative": 0.01}, -200, "-202", 1),
        ({"score": "number", "relative": 0.01}, -200, "-203", 0),
        ({"score": "number"}, 7, "5 or 7", 0),
        ({"score": "number", "whole": True}, 7, "So it is 7.0.", 1),
        ({"score": "number", "whole": True, "tolerance": 1}, 7, "7.5", 0),
        ({"score": "number", "tolerance": 1}, 7, "7.5", 1),
        ({"score": "contains"}, "Marie Curie", "It was Marie  Curie, in 1903", 1),
        ({"score": "contains"}, "art", "a party", 0),
        ({"score": "contains"}, "巴黎", "我想是巴黎吧", 1),
        ({"score": "regex"}, "(?:nineteen|19)[- ]?hundred", "Answer: Nineteen hundred", 1),
        ({"score": "regex"}, "colou?rs?", "colors", 1),
        ({"score": "regex"}, "colou?rs?", "the colors", 0),
    ],
)
def test_a_reply_is_judged_by_the_scheme(
    base: Path, scoring: dict[str, Any], answer: Any, reply: str, score: float
) -> None:
    family = written(base, answer, scoring=scoring)
    task = family.make(0, 0)
    said = family.read(task, reply, NEWEST.reader)
    assert family.score(task, said) == score
    if scoring["score"] != "regex":  # whose reference is a pattern
        assert family.score(task, family.read(task, task.truth, NEWEST.reader)) == 1


def test_a_choice_is_judged_by_its_options(base: Path) -> None:
    family = written(base, "York", ["York", "New York"], scoring={"score": "choice"})
    task = family.make(0, 0)
    assert [family.score(task, family.read(task, text, 2)) for text in ("It is York", "It is New York")] == [1, 0]


@pytest.mark.parametrize(
    ("scoring", "answer", "what"),
    [
        ({"score": "choice"}, "York", "every line needs options"),
        ({"score": "exact"}, "two\nlines", "one line"),
        ({"score": "number"}, "two", "one number"),
        ({"score": "number"}, "2 or 3", "one number"),
        ({"score": "number", "whole": True}, "2.5", "a whole number"),
        ({"score": "regex"}, "a(", "pattern of RE2"),
        ({"score": "regex"}, "(a)\\1", "pattern of RE2"),
        ({"score": "regex"}, "(?=a)", "pattern of RE2"),
        ({"score": "regex"}, "((a{1,99}){1,99}){1,99}", "pattern of RE2"),
    ],
)
def test_an_answer_that_cannot_be_judged_by_is_named_with_its_line(
    base: Path, scoring: dict[str, Any], answer: str, what: str
) -> None:
    with pytest.raises(InputError, match=what) as caught:
        written(base, answer, scoring=scoring).tasks(0)
    assert caught.value.problem.where == "tasks.jsonl:1"


def test_scoring_and_match_are_not_given_together(base: Path) -> None:
    for fields in ({"match": "contains"}, {"match": "number", "tolerance": 1.0}):
        with pytest.raises(ValidationError, match="write them there"):
            written(base, "x", scoring={"score": "exact"}, **fields)
    for wrong in (
        {"score": "exact", "tolerance": 1},
        {"score": "number", "tolerance": -1},
        {"score": "judged"},
        {"whole": True},
    ):
        with pytest.raises(ValidationError):
            Scoring.model_validate(wrong)
    with pytest.raises(ValidationError):
        Scoring(score="number", tolerance=float("nan"))


def test_a_stored_scenario_without_scoring_is_written_as_before() -> None:
    assert Scoring(score="number").model_dump() == {"score": "number", "tolerance": 0.0, "relative": 0.0}
    assert "scoring" not in TASKS.parse({"kind": "jsonl", "file": "x.jsonl"}).model_dump()


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}", "(a*)*b", "([a-z]+)*[0-9]", ".{1,900}.{1,900}x"]
)
def test_a_hostile_pattern_is_matched_in_linear_time(pattern: str) -> None:
    with at_most(40):
        assert not matches(pattern, "a" * (MATCHED_MAX - 1) + "!")
        assert not matches(".*", "a" * (MATCHED_MAX + 1))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(answer=st.text(max_size=40), truth=st.text(max_size=40), score=st.sampled_from(["exact", "number", "contains"]))
def test_judging_is_total_and_says_the_same_again(answer: str, truth: str, score: Any) -> None:
    scoring = Scoring(score=score)
    said = scoring.stated(answer)
    assert said is None or said
    assert scoring.right(answer, truth) == scoring.right(answer, truth)
    assert isinstance(occurs(truth, answer), bool)
    assert isinstance(within(answer, truth, 0.1, 0.1), bool)


# A family's own reader


class _Own(TaskFamily):
    kind: str = "own"

    def make(self, seed: int, index: int) -> Task:
        return Task(index, "1", "?", "5")

    def parse(self, task: Task, text: str) -> str | None:
        return text[:1] or None


class _Plain(TaskFamily):
    kind: str = "plain"

    def make(self, seed: int, index: int) -> Task:
        return Task(index, "1", "?", "5")


class _Derived(Arithmetic):
    def parse(self, task: Task, text: str) -> str | None:
        return "own"


def test_a_family_with_a_parse_of_its_own_is_read_by_it_under_any_rules() -> None:
    for rules in (1, 2):
        family: TaskFamily = _Own()
        assert family.read(family.make(0, 0), "7 or 8", rules) == "7"
        derived = _Derived()
        assert derived.read(derived.make(0, 0), "7", rules) == "own"


def test_the_rules_of_the_run_decide_how_others_are_read() -> None:
    plain, sums = _Plain(), Arithmetic()
    text = "The answer is Rome. It is old."
    assert [plain.read(plain.make(0, 0), text, rules) for rules in (1, 2)] == ["rome. it is old", "rome"]
    text = "Answer: 42 (see step 3)"
    assert [sums.read(sums.make(0, 0), text, rules) for rules in (1, 2)] == ["3", "42"]


@pytest.mark.parametrize(
    ("scoring", "answer", "reply", "said"),
    [
        (
            {"score": "number", "relative": 0.01},
            "1/3",
            "So the answer is \\frac{334}{1000}, since 3 times that is 1.",
            "0.334",
        ),
        ({"score": "regex"}, "colou?rs?", "Answer: Colour\nIt has 6 letters.", "colour"),
    ],
)
def test_a_run_with_scoring_says_what_was_read_and_replays(
    base: Path, scoring: dict[str, Any], answer: str, reply: str, said: str
) -> None:
    family = written(base, answer, count=1, scoring=scoring)
    agents = {"count": 3, "model": scripted_llm({"What?": reply}), "reply": "text"}
    done = small_run(base / "run", tasks=family.model_dump(), agents=agents)
    (final,) = [event for event in done.events() if event.kind == "answer"]
    assert (final.answer, final.correct) == (said, 1.0)
    assert done.manifest.rules["reader"] == NEWEST.reader
    (base / "tasks.jsonl").write_text("gone", encoding="utf-8")  # the run keeps a copy
    assert replay(base / "run").digest == done.manifest.digest
