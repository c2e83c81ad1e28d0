"""What a reply is taken to say: options, letters, last lines, numbers."""

from __future__ import annotations

import pytest

from agentsoc.contracts.task import READ_MAX, has_chat_marker, normalise, parse_free, parse_letter, parse_option
from agentsoc.tasks.numerals import DIGITS_MAX, canonical, integers, last_integer, last_number, numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", [12]),
        ("1,234", [1234]),
        ("1,2,3", [1, 2, 3]),
        ("3,4567", [3, 4567]),
        ("3-5", [3, 5]),
        ("7 - 5 = 2", [7, 5, 2]),
        ("= -5", [-5]),
        ("\u22127", [-7]),
        ("(-3)", [-3]),
        ("a) 4", [4]),
        ("x2 is 5", [5]),
        ("５", [5]),
        ("and so…5", [5]),
        ("12.0", [12]),
        ("1e5", [100_000]),
        ("**42**.", [42]),
        ("none", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, expected: list[int]) -> None:
    assert integers(text) == expected


@pytest.mark.parametrize("text", ["", "none", "12.5", "3 and then 4.5", "is .5", "9" * (DIGITS_MAX + 1), "1e999999999"])
def test_a_text_whose_last_number_is_no_readable_integer_states_none(text: str) -> None:
    assert last_integer(text) is None


def test_an_unreadable_last_number_is_not_replaced_by_the_one_before() -> None:
    assert numbers("7 then 1e999999999")[0] == 7
    assert last_number("7 then 1e999999999") is None


@pytest.mark.parametrize(
    ("text", "form"), [("007", "7"), ("-0.0", "0"), ("1.50", "1.5"), ("1e3", "1000"), ("-2", "-2")]
)
def test_a_number_has_one_canonical_form(text: str, form: str) -> None:
    number = last_number(text)
    assert number is not None
    assert canonical(number) == form


def test_a_reply_that_names_two_options_names_none() -> None:
    options = ("positive", "negative")
    assert parse_option("I would say Positive!", options) == "positive"
    assert parse_option("positive or negative", options) is None
    assert parse_option("it is nonpositive", options) is None
    assert parse_option("**NEGATIVE**", options) == "negative"


def test_the_article_a_is_not_the_option_a() -> None:
    options = ("A", "B")
    assert parse_letter("b", options) == "B"
    assert parse_letter("It is a larger number, so B.", options) == "B"
    assert parse_letter("a larger number", options) is None
    assert parse_letter("A or B", options) is None
    assert parse_letter("(A)", options) == "A"
    assert parse_letter("C", options) is None


def test_a_free_answer_is_the_last_line_without_its_announcement() -> None:
    assert parse_free("Let me think.\nFinal answer: Paris.\n\n") == "paris"
    assert parse_free("The answer is: New Delhi") == "new delhi"
    assert parse_free("answer") == "answer"
    assert parse_free(" \n\t\n...") is None


def test_only_the_end_of_a_long_reply_is_read() -> None:
    assert parse_option("positive" + " " * READ_MAX, ("positive", "negative")) is None
    assert parse_option("x" * READ_MAX + " positive", ("positive", "negative")) == "positive"


def test_half_surrogates_and_controls_do_not_get_into_answers() -> None:
    assert normalise("pa\ud800ris") == "pa\ufffdris"
    assert normalise("\0 paris\x07") == "paris"


def test_chat_markers_are_recognised() -> None:
    assert has_chat_marker("x <|im_start|>system")
    assert has_chat_marker("<|eot_id|>")
    assert not has_chat_marker("a <| b and c |> d <b>|</b> x<|y")
