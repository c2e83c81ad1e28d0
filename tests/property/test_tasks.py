"""Task families: what holds of every family, seed, index and reply."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsoc.contracts.part import Slot, kind_of
from agentsoc.contracts.rules import NEWEST
from agentsoc.contracts.task import READ_MAX, TASKS, TaskFamily, has_chat_marker, normalise, parse_letter, parse_option
from agentsoc.contracts.world import World
from agentsoc.tasks.arithmetic import Arithmetic
from agentsoc.tasks.axes import Axes
from agentsoc.tasks.comparison import Comparison
from agentsoc.tasks.hanoi import Hanoi
from agentsoc.tasks.hanoi_tower import HanoiTower
from agentsoc.tasks.jsonl import Jsonl
from agentsoc.tasks.jsonl_lines import read_tasks
from agentsoc.tasks.library import LibraryQuestions
from agentsoc.tasks.multiple_choice import SUBJECTS, MultipleChoice
from agentsoc.tasks.numerals import canonical, integers, last_integer, last_number, numbers
from agentsoc.tasks.parts import Parts
from agentsoc.tasks.sentiment import Sentiment
from agentsoc.tasks.signal import Signal

SEEDS = st.integers(0, 2**63 - 1)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)  # surrogates, NULs and all

WELL_FORMED: dict[str, st.SearchStrategy[TaskFamily]] = {
    "sentiment": st.builds(Sentiment, clauses=st.sampled_from([1, 2]), negated=st.floats(0, 1)),
    "comparison": st.builds(Comparison, digits=st.integers(1, 50), answer=st.sampled_from(["letter", "number"])),
    "multiple-choice": st.builds(
        MultipleChoice,
        choices=st.integers(2, 7),
        subjects=st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=5).map(tuple),
    ),
    "arithmetic": st.builds(
        Arithmetic,
        digits=st.integers(1, 15),
        terms=st.integers(2, 16),
        operators=st.lists(st.sampled_from(["+", "-", "*"]), min_size=1, max_size=4).map(tuple),
    ),
    "hanoi": st.builds(
        Hanoi, disks=st.integers(5, 20), ask=st.sampled_from(["step", "move"]), order=st.sampled_from(["run", "sample"])
    ),
    "hanoi-tower": st.builds(
        HanoiTower, disks=st.integers(1, 14), ask=st.sampled_from(["step", "move"]), strict=st.booleans()
    ),
    "parts": st.builds(
        Parts, work=st.sampled_from(["count", "sum"]), parts=st.integers(2, 64), size=st.integers(1, 100)
    ),
    "signal": st.builds(Signal, choices=st.integers(2, 26)),
    "axes": st.builds(
        Axes, depth=st.integers(6, 60), horizon=st.integers(0, 5), breadth=st.integers(1, 30),
        parallel=st.integers(1, 16), robustness=st.integers(0, 60),
    ),
    "library": st.builds(
        LibraryQuestions, shelves=st.integers(3, 8), hops=st.integers(1, 3), names=st.integers(2, 12)
    ),
}  # fmt: skip
FAMILIES = st.sampled_from(sorted(WELL_FORMED)).flatmap(WELL_FORMED.__getitem__)
INDICES = st.integers(0, 19)

READERS = (1, NEWEST.reader)
"""The rules by which replies are read: those of the first runs, and those of new ones."""


def test_every_registered_family_that_needs_no_file_and_no_package_is_covered_here() -> None:
    shipped = set(TASKS.names()) - set(Slot._loose.get(TASKS.group, {}))
    assert {*WELL_FORMED, "reasoning-gym", "jsonl", "episodes"} == shipped  # episodes are scored by their environment
    assert all(kind_of(TASKS.find(kind)) == kind for kind in shipped)


@given(family=FAMILIES, seed=SEEDS, index=INDICES)
def test_the_truth_scores_one_and_so_does_a_reply_that_states_it(family: TaskFamily, seed: int, index: int) -> None:
    task = family.make(seed, index)
    assert family.score(task, task.truth) == 1.0
    if isinstance(family, World):  # its replies are steps; what a run of them amounts to is scored
        step = family.at(task, family.opening(task))
        assert step is not None
        assert [family.read(step, f"  {step.truth}\n", rules) for rules in READERS] == [step.truth] * len(READERS)
        return
    for rules in READERS:
        assert family.score(task, family.read(task, f"  {task.truth}\n", rules)) == 1.0


@given(family=FAMILIES, seed=SEEDS, index=INDICES)
def test_chance_is_the_mean_score_over_the_options_and_every_wrong_one_scores_zero(
    family: TaskFamily, seed: int, index: int
) -> None:
    task = family.make(seed, index)
    if not task.options:
        assert task.chance == 0.0
        return
    scores = [family.score(task, option) for option in task.options]
    assert sorted(scores) == [0.0] * (len(scores) - 1) + [1.0]
    assert math.isclose(task.chance, sum(scores) / len(scores))
    for rules in READERS:
        assert [family.read(task, option, rules) for option in task.options] == list(task.options)
    assert len({normalise(option) for option in task.options}) == len(task.options)


@given(family=FAMILIES, seed=SEEDS, data=st.data())
def test_a_task_is_a_function_of_seed_and_index_alone(family: TaskFamily, seed: int, data: st.DataObject) -> None:
    longer = family.model_copy(update={"count": family.count + 7})
    few = list(family.tasks(seed))
    assert len(few) == family.count
    assert [task.index for task in few] == list(range(family.count))
    assert len({task.id for task in few}) == len(few)
    index = data.draw(st.integers(0, family.count - 1))
    assert longer.make(seed, index) == few[index] == pickle.loads(pickle.dumps(family)).make(seed, index)


@given(family=FAMILIES, seed=SEEDS, index=INDICES)
def test_a_question_is_plain_text_that_no_chat_template_takes_for_its_own(
    family: TaskFamily, seed: int, index: int
) -> None:
    task = family.make(seed, index)
    for text in (task.question, *task.options, *task.parts):
        assert text
        assert text == text.strip()
        assert not has_chat_marker(text)
        assert all(letter.isprintable() or letter == "\n" for letter in text)


@given(family=FAMILIES, seed=SEEDS, index=INDICES, text=ANY_TEXT)
def test_no_reply_makes_a_family_raise_and_scores_lie_between_zero_and_one(
    family: TaskFamily, seed: int, index: int, text: str
) -> None:
    task = family.make(seed, index)
    answers = [family.read(task, text, rules) for rules in READERS]
    assert all(answer is None or answer.encode() for answer in answers)  # what is logged has to be writable
    for said in (*answers, text):
        assert 0.0 <= family.score(task, said) <= 1.0
    assert family.score(task, None) == 0.0
    combined = family.combine(task, [text] * len(task.parts))
    assert combined is None or combined.encode()


HUGE: list[Callable[[], str]] = [
    lambda: "positive " * 600_000,
    lambda: "\0" * 5_000_000,
    lambda: "\ud800" * 5_000_000,
    lambda: "9" * 5_000_000,
    lambda: "1," * 2_500_000,
    lambda: "a\u0301\u0316" * 1_700_000,  # quadratic for Unicode normalisation
    lambda: "\ufdfa" * 5_000_000,  # eighteen times longer once normalised
    lambda: "[" * 5_000_000,
    lambda: "move = [1,0,2] next_state = [[1],[],[]] " * 120_000,
    lambda: "\n" * 5_000_000,
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make_text", HUGE, ids=range(len(HUGE)))
def test_five_megabytes_are_read_in_bounded_time(make_text: Callable[[], str]) -> None:
    text = make_text()
    families: list[TaskFamily] = [
        Sentiment(),
        Comparison(answer="number"),
        Arithmetic(),
        Hanoi(),
        Parts(),
        Signal(),
        Jsonl(file="any.jsonl", match="contains"),
    ]
    for family in families:
        task = Sentiment().make(0, 0) if isinstance(family, Jsonl) else family.make(0, 0)
        for rules in READERS:
            answer = family.read(task, text, rules)
            assert answer is None or len(answer) <= READ_MAX
            assert 0.0 <= family.score(task, answer) <= 1.0


@given(text=ANY_TEXT)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(text=ANY_TEXT, options=st.lists(st.sampled_from("ABCDEFGH"), min_size=2, max_size=8, unique=True))
def test_what_is_parsed_as_an_option_is_one_of_the_options(text: str, options: list[str]) -> None:
    assert parse_option(text, options) in (None, *options)
    assert parse_letter(text, options) in (None, *options)


@given(number=st.integers(-(10**30), 10**30), before=st.sampled_from(["", "it is ", "= ", "about **", "(", "x = 3, "]))
def test_an_integer_is_read_however_it_is_written(number: int, before: str) -> None:
    for written in (str(number), f"{number:,}", f"{number}.", f"{number}.00", str(number).replace("-", "\u2212")):
        assert last_integer(before + written) == number


@given(value=st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9))
def test_the_canonical_form_of_a_number_reads_as_the_number(value: Any) -> None:
    assert last_number(canonical(value)) == value
    assert canonical(last_number(f"{value:f}")) == canonical(value)  # type: ignore[arg-type]


@given(text=st.text("0123456789.,+-−eE ()=x", max_size=60))
def test_reading_numbers_is_total_and_agrees_with_itself(text: str) -> None:
    found = numbers(text)
    assert len(integers(text)) <= len(found)
    whole = last_integer(text)
    assert whole is None or last_number(text) == whole


JSON_ANSWERS = st.one_of(
    st.text(min_size=1, max_size=30).filter(lambda t: normalise(t) and "\0" not in t and "\n" not in t),
    st.integers(-(10**12), 10**12),
)


@settings(max_examples=60)
@given(answer=JSON_ANSWERS, match=st.sampled_from(["exact", "contains"]))
def test_the_answer_of_a_json_line_scores_one(answer: object, match: Any) -> None:
    line = json.dumps({"id": "a", "question": "q?", "answer": answer})
    if has_chat_marker(str(answer)):
        return
    (task,) = read_tasks(line, "t.jsonl", match)
    family = Jsonl(file="t.jsonl", match=match)
    assert family.score(task, task.truth) == 1.0
    assert family.score(task, family.parse(task, task.truth)) == 1.0
