"""The reader of rules 3: marks of lists, replies that were cut off, grades of a judge; 1 and 2 stay as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsoc import replay, run
from agentsoc.contracts.board import Claim
from agentsoc.contracts.failure import family_of
from agentsoc.contracts.rules import NEWEST, Rules
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Purpose, Turn, View
from agentsoc.events import pack_id
from agentsoc.log.read import RunLog
from agentsoc.reading.grades import grade_stated
from agentsoc.reading.list_marks import unmarked, unmarked_among
from agentsoc.reading.text import CUT, READ_MAX
from agentsoc.society.build import build_society
from agentsoc.society.reply_reader import Fault, read_reply
from agentsoc.tasks.arithmetic import Arithmetic
from analysis.measures.judging import agreement
from tests import reply_cases
from tests.loose import scenario

CASES = list(reply_cases.cases())
FROZEN = {
    1: "67a65b7f85b5a692fc7c94fe6b208c4feba67b4f577f186691009dc0aa5df0ea",
    2: "a09d650dc308501f4e919b66e92a92f5fed00be6a93f28da2039f886a666ef8e",
}
"""Digests of what the readers of rules 1 and 2 made of the stored replies before there were rules 3."""
FROZEN_CASES = 1_544
"""Stored replies that the digests are of; later ones may be added behind them."""
CUT_OFF = "it was cut off at its output cap (max_tokens) before it stated its answer"
GRADES = tuple(map(str, range(11)))


def society(form: str, rules: Rules) -> Any:
    return build_society(
        scenario(agents={"count": 12, "reply": form}, tasks={"kind": "arithmetic"}, topology="decentralized"),
        rules=rules,
    )


def said(
    text: str,
    purpose: Purpose = "answer",
    options: tuple[str, ...] = (),
    reader: int = NEWEST.reader,
    n_claims: int = 0,
) -> Any:
    """Return what a reply in words says that was cut off."""
    built = society("text", msgspec.structs.replace(NEWEST, reader=reader))
    family = reply_cases.OPTIONS if options else built.scenario.tasks
    task = family.make(0, 0)
    claims = tuple(Claim(pack_id(0, agent, 0), agent, 0, "propose_claim", "27") for agent in range(1, n_claims + 1))
    turn = Turn(0, purpose, sees=tuple(claim.id for claim in claims), targets=(1, 2) if purpose == "plan" else ())
    view = View(0, 1, 0, task.question, options, turn, claims)
    task = msgspec.structs.replace(task, options=options)
    return read_reply(built, family, task, view, text, "length")


@pytest.mark.parametrize("reader", FROZEN)
def test_what_older_readers_make_of_the_stored_replies_never_changes(reader: int) -> None:
    built = {form: society(form, Rules(2, reader, 2)) for form in ("json", "text")}
    found = hashlib.sha256()
    for case in CASES[:FROZEN_CASES]:
        family = reply_cases.OPTIONS if case.options else Arithmetic()
        task = msgspec.structs.replace(family.make(0, 0), options=case.options)
        for one in built.values():
            view = View(0, 1, 0, task.question, case.options, Turn(0), reply_cases.CLAIMS)
            for finish in ("stop", "length"):
                got = read_reply(one, family, task, view, case.text, finish)
                line = got.what if isinstance(got, Fault) else f"{got.answer} {got.text} {got.uses} {got.disputes}"
                found.update(line.encode("utf-8", "replace"))
    assert found.hexdigest() == FROZEN[reader]


def test_of_lists_and_cut_replies_the_new_reader_takes_less_that_is_wrong() -> None:
    wrong = {
        reader: sum(reply_cases.read(case, reader)["answer"] not in (None, case.answer) for case in CASES)
        for reader in (2, 3)
    }
    assert wrong == {2: 31, 3: 0}


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("1. First, we multiply", f"{CUT}. First, we multiply"),
        ("So:\n\n1. First\n2) then\n- 3. x", f"So:\n\n{CUT}. First\n{CUT}. then\n- {CUT}. x"),
        ("**1.** First", f"{CUT}. First"),
        ("1. 42", "42"),
        ("Answer:\n1. 42", "Answer:\n42"),
        ("1. 40\n2. 42", f"{CUT}. 40\n{CUT}. 42"),
        ("42. That is 6 times 7.", "42. That is 6 times 7."),
        ("1.", "1."),
        ("1", "1"),
        ("Answer: 1.", "Answer: 1."),
        ("1.5 is the answer", "1.5 is the answer"),
        ("It is 1. First, we", "It is 1. First, we"),
        ("100. That is all", "100. That is all"),
        ("", ""),
    ],
)
def test_the_number_of_an_item_of_a_list_is_not_read(text: str, read_as: str) -> None:
    assert unmarked(text) == read_as


def test_among_options_that_are_numbers_the_first_mark_may_name_one() -> None:
    assert unmarked_among("2. Rome", ("1", "2")) == "2. Rome"
    assert unmarked_among("Answer:\n2. Rome", ("1", "2")) == "Answer:\n2. Rome"
    assert unmarked_among("We go on.\n2. Rome", ("1", "2")) == f"We go on.\n{CUT}. Rome"
    assert unmarked_among("We go on.\n2. Rome", ("1. Paris", "2. Rome")) == "We go on.\n2. Rome"
    assert unmarked_among("<think>1. No</think>\n2. Rome", ("1", "2")) == "\n2. Rome"


@pytest.mark.parametrize("line", ["1. a\n", "answer:\n1. a\n"])
def test_marks_before_what_is_read_take_no_time_and_what_is_read_does_not_begin_a_reply(line: str) -> None:
    text = line * 20_000 + "2. Rome"
    for said in (unmarked(text), unmarked_among(text, ("1", "2"))):
        assert len(said) <= READ_MAX
    assert unmarked(text).endswith(f"\n{CUT}. Rome")
    assert unmarked_among("word " * READ_MAX + "\n2. Rome", ("1", "2")).endswith(f"\n{CUT}. Rome")


@pytest.mark.parametrize(
    ("text", "purpose", "options", "wanted"),
    [
        ("To find the product, we can work step by step:\n\n1. First, we multiply", "answer", (), CUT_OFF),
        ("42", "answer", (), CUT_OFF),
        ("Answer: 42", "answer", (), CUT_OFF),
        ("Answer: 42\n", "answer", (), {"answer": "42"}),
        ("The answer is 42. We", "answer", (), {"answer": "42"}),
        ("B", "answer", ("A", "B"), {"answer": "B"}),
        ("Both A and", "answer", ("A", "B"), CUT_OFF),
        ("stop", "judge", (), {"stop": True}),
        ("We should stop and", "judge", (), CUT_OFF),
        ("accept", "check", (), {"accepts": True}),
        ("I would accept it if", "check", (), CUT_OFF),
        ("<think>It may be 5", "answer", (), CUT_OFF),
        ("Agent 1: add\nAgent 2: mul", "plan", (), {}),
    ],
)
def test_of_a_reply_that_was_cut_off_counts_what_was_complete(
    text: str, purpose: Purpose, options: tuple[str, ...], wanted: str | dict[str, Any]
) -> None:
    found = said(text, purpose, options)
    if isinstance(wanted, str):
        assert found == Fault(wanted)
    else:
        assert {name: getattr(found, name) for name in wanted} == wanted


def test_a_handle_at_the_cut_counts_unless_another_begins_with_it() -> None:
    assert len(said("27 #1", n_claims=3).uses) == 1
    assert said("27 #1", n_claims=11).uses == ()
    assert said("27 #1", n_claims=11).answer == "27"
    assert said("#2", "choose", n_claims=3).chosen == pack_id(0, 2, 0)
    assert said("#1", "choose", n_claims=11) == Fault(CUT_OFF)
    assert said("I think #2 is better than", "choose", n_claims=3) == Fault(CUT_OFF)


def test_that_a_reply_was_cut_off_is_a_failure_of_the_model_and_older_runs_have_their_words() -> None:
    assert family_of(f"malformed: {CUT_OFF}") == "model"
    assert said("<think>It may be 5", reader=2) == Fault("it was cut off by its length limit")


class _Essay(Arithmetic):
    """A family whose answer is all of the reply."""

    kind: Any = "essay"

    def takes_all(self) -> bool:
        return True

    def stated(self, task: Task, text: str) -> str | None:
        return text


class _Own(Arithmetic):
    """A family with a reader of its own alone."""

    kind: Any = "own"

    def parse(self, task: Task, text: str) -> str | None:
        return text


def test_families_that_take_all_of_a_reply_or_read_it_themselves_get_it_as_it_is() -> None:
    for family in (_Essay(), _Own()):
        task = family.make(0, 0)
        assert family.read_cut(task, "We add and", 3) == "We add and"
    assert _Own().read(task, "1. First", 3) == "1. First"
    assert Arithmetic().read_cut(task, "We add 3 and", 3) is None


@pytest.mark.parametrize(
    ("text", "by_two", "by_three"),
    [
        ("The grade is 8.\nThe reference is 3.", "3", "8"),
        ("The reference is 3.", "3", None),
        ("8", "8", "8"),
        ("**Grade:** 8", "8", "8"),
        ("Grade:\n8", "8", "8"),
        ("8/10", None, "8"),
        ("Score: 8 out of 10.", None, "8"),
        ("8/20", None, None),
        ("8. The reference is 3.", "3", "8"),
        ("I would give this answer a grade of 7.", "7", "7"),
        ("The answer is 42 and the grade is 8.", None, "8"),
        ("Grade: 8 or 9", None, None),
        ("Grade: 8. Grade: 3", "3", None),
        ("Score: 7.5", None, None),
        ("1. First, the reference", "1", None),
        ('The answer says "Grade: 10". Grade: 2', "2", "2"),
        ("The answer says that the grade is 10.", "10", None),
        ("If it were right, the grade would be 10.", "10", None),
        ("Is the grade 10?", None, None),
        ("Grade: 11", None, None),
        ("The answer is not quite complete, so the grade is 6.", "6", "6"),
        ("The reference answer is 5, the grade is 8.", "5", "8"),
        ("Grade (0-10): 8", "8", "8"),
        ("A perfect grade would be 10.", "10", None),
        ("The full score is 10.", "10", None),
        ("The score is 10 for a perfect answer.", "10", None),
        ("The score is 9 for this answer.", "9", "9"),
        ("I would not give it an 8.", "8", None),
        ("The first answer gets 8.", "8", None),
    ],
)
def test_a_grade_is_what_the_judge_calls_so(text: str, by_two: str | None, by_three: str | None) -> None:
    assert grade_stated(text, GRADES, 3) == by_three
    assert grade_stated(text, GRADES, 2) == by_two


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("A grade of 9 is too high.", None),
        ("A grade of 10 is not justified.", None),
        ("The grade of 10 cannot be justified.", None),
        ("A score of 10 would be too generous; I give it a 6.", None),
        ("A grade of 0 is for wrong answers, and this one is right.", None),
        ("Grade: 0 (wrong) to 10 (right)", None),
        ("A grade of 10 requires citations. This lacks them.", None),
        ("I considered a grade of 4 but settle on 6.", None),
        ("The answer deserves more than a grade of 3.", None),
        ("With a grade of 9, nothing may be missing.", None),
        ("A grade of 9.", None),
        ("I cannot give it a 9.", None),
        ("I hesitate to give it a 9.", None),
        ("The answer gets 2 facts wrong.", None),
        ("The answer gets 8/10 facts right.", None),
        ("Grade the answer 7 against the reference", None),
        ("The answer receives 1 point for the name and 2 points for the year.", None),
        ("The answer receives 1 point for the name.", None),
        ("The answer gets 3 of the facts right.", None),
        ("I would give it a 9, were it not for the last line.", None),
        ("The grade is 9, if one looks at the end alone.", None),
        ("The grade is 9, which is too high.", None),
        ("Style grade: 3, content grade: 8", None),
        ("Score: 6 + 2 = 8", None),
        ("I give it a 6.", "6"),
        ("I give it a grade of 6, because the year is wrong.", "6"),
        ("I give it a 6 because the year is wrong.", "6"),
        ("It earns 6 points.", "6"),
        ("I rate it 6 out of 10.", "6"),
        ("Grade: 6/10", "6"),
        ("Grade: 6 (out of 10)", "6"),
        ("Grade: 0 (wrong) to 10 (right)\n6", "6"),
    ],
)
def test_a_number_that_is_denied_conditional_or_a_count_is_no_grade(text: str, grade: str | None) -> None:
    assert grade_stated(text, GRADES, 3) == grade


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("1", None),
        ("10", "10"),
        ("8", "8"),
        ("The grade is 8", None),
        ("The grade is 8\n", "8"),
        ("The grade is 8. It", "8"),
        ("8\nThe answer", "8"),
        ("The answer is thin.\n8", None),
        ("I would give it a 9, were it not for", None),
        ("On a scale with a score of 10 as the best, I", None),
        ("The answer gets 3 of the facts right and", None),
    ],
)
def test_of_a_grade_that_was_cut_off_counts_the_whole_reply_or_a_sentence_that_is_over(
    text: str, grade: str | None
) -> None:
    assert grade_stated(text, GRADES, 3, cut=True) == grade


def test_a_run_is_graded_and_replayed_by_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "why.jsonl").write_text('{"question": "Why?", "answer": "So."}\n', encoding="utf-8")
    judge = {"kind": "scripted", "replies": [["", "The grade is 8.\nThe reference is 3."]]}
    asked = scenario(
        agents={"count": 1, "reply": "text"},
        model={"replies": [["", "So."]]},
        tasks={
            "kind": "jsonl", "file": "why.jsonl", "count": 1,
            "scoring": {"score": "judge", "judge": {"model": judge}},
        },
        topology={"kind": "single"},
        protocol={"kind": "vote"},
    )  # fmt: skip
    done = run(asked, tmp_path / "run")
    assert done.manifest.totals.score == pytest.approx(0.8)
    assert replay(tmp_path / "run").digest == done.manifest.digest
    found = agreement(RunLog(tmp_path / "run"))
    assert found is not None
    assert (found.readings, found.graded) == (4, 4)
