"""What replies are taken to say by the reader of new runs: the stored replies, any text, and hostile ones."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentsoc.reading.cut_off import line_before_cut, number_before_cut, option_before_cut
from agentsoc.reading.grades import grade_stated
from agentsoc.reading.handles import handles, without_handles
from agentsoc.reading.lines import line_stated
from agentsoc.reading.list_marks import unmarked, unmarked_among
from agentsoc.reading.number_text import plain_numbers
from agentsoc.reading.numbers import DIGITS_KEPT, exact_number, integer_stated, number_stated, written
from agentsoc.reading.objects import find_object
from agentsoc.reading.options import option_stated
from agentsoc.reading.text import CUT, READ_MAX, readable
from tests import reply_cases
from tests.pace import at_most
from tests.reply_cases import Case

CASES = list(reply_cases.cases())
RECALL = 0.9
"""Share of the stored replies with an answer that is read at least; docs/replies.md states what it is."""


@pytest.mark.parametrize("case", CASES, ids=[f"{case.sort}, {case.kind}: {case.text[:40]!r}" for case in CASES])
def test_no_stored_reply_is_read_wrongly(case: Case) -> None:
    said = reply_cases.read(case)
    assert said["answer"] in (None, case.answer)
    if case.sort == "handles" or (said["answer"] is not None and case.sort == "claims"):
        assert (said["uses"], said["disputes"]) == (case.uses, case.disputes)


def test_nearly_every_answer_in_the_stored_replies_is_read() -> None:
    found = reply_cases.figures()
    print(found)
    assert found.right == found.taken
    assert found.right / found.due >= RECALL


@pytest.mark.parametrize("case", [case for case in CASES if case.kind == "shared" and case.answer is not None])
def test_what_other_readers_got_wrong_is_read(case: Case) -> None:
    assert reply_cases.read(case)["answer"] == case.answer


WORDS = [
    *(
        "1",
        "2",
        "12",
        "1,000",
        "9",
        "500",
        "3.5",
        ".",
        ",",
        "/",
        "^",
        "=",
        "+",
        "-",
        "*",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "#",
    ),
    *(
        "#1",
        "#2",
        "not",
        "is",
        "or",
        "and",
        "answer",
        "Answer:",
        "the",
        "A",
        "B",
        "C",
        "a",
        "b",
        "positive",
        "negative",
    ),
    *(
        "\\boxed{",
        "\\frac{",
        "\\,",
        "{,}",
        "$",
        "**",
        "`",
        '"',
        "'",
        "\\",
        "½",
        "²",
        "٤",
        "万",
        "答案",
        "是",
        "不",
        "B。",
    ),
    *(
        "none",
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "####",
        "wait",
        "if",
        "?",
        "!",
        "%",
        "e",
        "1e5",
        "million",
    ),
    *(
        "step",
        "agent",
        "Question:",
        "İ",
        "ß",
        "\ud800",
        "\x00",
        "\u0301",
        "\ufffc",
        " ",
        "\n",
        "\t",
        "\u00a0",
        "\u202f",
    ),
]
PIECES = st.sampled_from(WORDS)
TEXTS = st.text(max_size=80) | st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join)
OPTIONS = st.sampled_from(
    [
        ("A", "B", "C"),
        ("positive", "negative"),
        ("1", "12", "1000"),
        ("York", "New York"),
        ("是", "不是"),
        ("+", "-"),
        ("i̇", "I"),
    ]
) | st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=4, unique=True).map(tuple)
steady = settings(deadline=None, derandomize=True, max_examples=500)


@steady
@example(text="1/0", options=("1", "0"))
@example(text="0^-5 and 0^0", options=("0", "1"))
@example(text="9" * 5_000, options=("9", "99"))
@example(text="1e999 10^999 9^999", options=("A", "B"))
@given(text=TEXTS, options=OPTIONS)
def test_no_text_makes_a_reader_raise_and_what_it_says_it_says_again(text: str, options: tuple[str, ...]) -> None:
    number = number_stated(text)
    assert number is None or number_stated(number) == number
    whole = integer_stated(text)
    assert whole is None or integer_stated(whole) == whole
    option = option_stated(text, options)
    assert option is None or (option in options and option_stated(option, options) == option)
    line = line_stated(text)
    assert line is None or line_stated(line) == line
    assert readable(readable(text)) is not None
    named = handles(text)
    assert not set(named.uses) & set(named.disputes)
    assert len(without_handles(text)) <= len(text)
    found = find_object(text, ("answer",))
    assert found is None or isinstance(found, dict)
    listed = number_stated(unmarked(text))
    assert listed is None or number_stated(unmarked(listed)) == listed
    cut = option_before_cut(text, options, lambda said: option_stated(unmarked_among(said, options), options))
    assert cut is None or cut in options
    grade = grade_stated(text, ("0", "1", "2"), 3, cut=True)
    assert grade in (None, "0", "1", "2")
    for before in (number_before_cut(text, number_stated), line_before_cut(text, line_stated)):
        assert before is None or CUT not in before


@steady
@given(option=st.data(), options=OPTIONS)
def test_every_option_is_read_alone_announced_and_boxed(option: Any, options: tuple[str, ...]) -> None:
    chosen = option.draw(st.sampled_from(options))
    assert option_stated(chosen, options) == chosen
    if chosen in ("A", "B", "C", "positive", "negative", "York", "New York", "12", "1000"):
        for text in (
            f"The answer is {chosen}.",
            f"Answer: {chosen}",
            f"So it is \\boxed{{{chosen}}}.",
            f"**{chosen}**",
        ):
            assert option_stated(text, options) == chosen


@steady
@given(value=st.fractions(max_denominator=10**6) | st.integers(-(10**30), 10**30))
def test_a_number_is_read_as_it_is_written(value: Any) -> None:
    text = written(exact := Fraction(value))
    assert number_stated(text) == text
    for said in (f"The answer is {text}.", f"Answer: {text}", f"\\boxed{{{text}}}", f"We had 3 and 5.\n{text}"):
        assert number_stated(said) == text
    if exact.denominator > 1 and exact > 0 and exact.numerator < 10**15:
        assert exact_number(f"\\frac{{{exact.numerator}}}{{{exact.denominator}}}") == exact


def test_a_fraction_without_end_is_kept_to_so_many_digits() -> None:
    assert number_stated("1/3") == "0." + "3" * DIGITS_KEPT
    assert plain_numbers("2½ and 10²") == "2 1/2 and 10^2"


N = 1_000_000
REPEATED = [
    *(
        "9",
        "1 ",
        "1,000",
        "123 456 ",
        "1/2/",
        "1+",
        "1=1 ",
        "\\boxed{",
        "\\boxed{1} ",
        "answer: ",
        "the answer is 1. ",
        "A ",
    ),
    *(
        "A is not ",
        "#1 ",
        "#1, ",
        "not #1 ",
        "#",
        "{",
        '{"answer":"A"}',
        '{"answer":',
        '"',
        "\u0301",
        "A\n",
        "1\n",
        "<answer>",
    ),
    *(
        "answer of the of the ",
        "\\frac{1}{2}",
        "<think>",
        "\ud800",
        "none ",
        "(1) ",
        "1. a\n",
        "grade: 5 ",
        "give it a 5, ",
        "**1** ",
        "1e5",
        "if the ",
        "答案是",
    ),
]
HOSTILE = {piece: piece * (N // len(piece)) for piece in REPEATED} | {
    "escapes": '"' + '\\"' * (N // 2),
    "single quotes": "{'a':'" + "'" * N,
    "spaces": " " * N + "1",
    "fillers": "answer is " + "a " * (N // 2),
    "equals": "a = " * (N // 4) + "5",
    "agree": "agree with " * (N // 11) + "#1",
    "list": "".join(f"{i}. x\n" for i in range(1, N // 9)),
}


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_reply_of_a_megabyte_is_read_within_seconds(name: str) -> None:
    text = HOSTILE[name]
    with at_most(200):
        number_stated(text)
        option_stated(text, ("A", "B", "C"))
        option_stated(text, ("1", "12", "positive"))
        line_stated(text)
        handles(text)
        without_handles(text)
        find_object(text, ("answer",))
        number_before_cut(text, lambda said: number_stated(unmarked(said)))
        option_before_cut(text, ("1", "12", "positive"), lambda said: unmarked_among(said, ("1", "12", "positive")))
        line_before_cut(text, line_stated)
        grade_stated(text, ("0", "1", "2"), 3)


def test_twice_the_text_takes_no_longer_once_it_is_longer_than_what_is_read() -> None:
    assert number_stated("x " * READ_MAX + "\nAnswer: 5") == "5"
    assert number_stated("Answer: 5\n" + "x " * READ_MAX) is None  # beyond what is read
