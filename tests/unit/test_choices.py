"""Choices that leave a number open hold for every number, as a grammar, as a schema, and when a reply is unwrapped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.backends import reply
from agentsoc.backends.choices import allows, leaves_number_open, pattern
from agentsoc.backends.llamacpp import choice_grammar
from agentsoc.contracts.model import Request

LINES = ("<number> #1", "<number> not #1", "<number> none")


@pytest.mark.parametrize("text", ["27 #1", "-3 not #1", "2.50 none", "3/4 #1", "0 none"])
def test_a_number_with_one_of_the_ends_is_allowed(text: str) -> None:
    assert allows(LINES, text)


@pytest.mark.parametrize("text", ["27", "#1", "27 #2", "27  #1", "1,000 #1", "27 #1 none", "<number>", "27 #1\n", ""])
def test_nothing_else_is(text: str) -> None:
    assert not allows(LINES, text)


WHOLE = ("<whole> #1", "<whole> none", "<whole>")


@pytest.mark.parametrize("text", ["27 #1", "-3 none", "0"])
def test_a_whole_number_is_allowed_where_one_is_asked_for(text: str) -> None:
    assert allows(WHOLE, text)
    assert re.fullmatch(pattern(WHOLE), text)


@pytest.mark.parametrize("text", ["29.272930000000 #1", "3/4 none", "2.0", "1,000", "27 #2", "<whole>", ""])
def test_no_other_number_is_allowed_there(text: str) -> None:
    assert not allows(WHOLE, text)


def test_llama_cpp_is_given_a_rule_for_each_sort_of_number() -> None:
    assert choice_grammar(WHOLE).split("\n") == [
        'root ::= whole " #1" | whole " none" | whole',
        'whole ::= "-"? [0-9]{1,18}',
    ]
    both = choice_grammar(("<number>", "<whole> #1", "<number> #2"))
    assert [line.split(" ")[0] for line in both.split("\n")] == ["root", "number", "whole"]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.text())
def test_plain_choices_allow_themselves_alone(choices: list[str], text: str) -> None:
    choices = [choice for choice in choices if not choice.startswith(("<number>", "<whole>"))] or ["a"]
    assert not leaves_number_open(choices)
    assert allows(choices, text) == (text in choices)
    for choice in choices:
        assert re.fullmatch(pattern(choices), choice, re.DOTALL)


def test_llama_cpp_is_given_a_rule_for_the_number() -> None:
    first, second = choice_grammar(LINES).split("\n")
    assert first == 'root ::= number " #1" | number " not #1" | number " none"'
    assert second.startswith("number ::= ")
    assert "number" not in choice_grammar(("heads #1", "heads none"))


def test_a_server_is_given_a_pattern_and_its_reply_is_unwrapped() -> None:
    asked = reply.response_format(Request.of("s", "u", 9, 0.0, 1, choices=LINES))
    assert asked is not None
    assert asked["json_schema"]["schema"]["properties"]["choice"] == {"type": "string", "pattern": pattern(LINES)}
    assert asked["json_schema"]["strict"]
    assert reply.unwrap('{"choice": "27 none"}', LINES) == "27 none"
    assert reply.unwrap('{"choice": "27"}', LINES) == '{"choice": "27"}'
    assert reply.unwrap('{"choice": "b"}', ("a", "b")) == "b"
