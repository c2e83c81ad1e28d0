"""What providers send, as a completion or a failure; the cases that need no server."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.backends import reply
from agentsoc.contracts.model import CallError, Completion, Request, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
USAGE = st.dictionaries(
    st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "x"]),
    st.integers(-5, 50) | JSON,
)


@given(content=st.text() | JSON, finish=st.sampled_from(["stop", "length", "weird"]) | JSON, usage=USAGE | JSON)
def test_any_reply_is_a_completion_or_a_call_error(content: object, finish: object, usage: object) -> None:
    try:
        done: Completion | CallError = reply.completion(content, finish, usage)
    except CallError as error:
        done = error
    used = done.usage
    assert used is not None
    assert 0 <= used.tokens_cached <= used.tokens_in <= reply.TOKENS_MAX
    assert used.known == (used.tokens_in > 0)
    if isinstance(done, Completion):
        done.text.encode()
        assert used.tokens_out > 0 or not used.known
    else:
        assert done.kind in ("empty", "server")


def test_output_tokens_are_what_the_total_says_when_reasoning_is_left_out() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 90}
    assert reply.usage_of(usage) == Usage(10, 0, 80)
    usage = {"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 13}
    assert reply.usage_of(usage) == Usage(10, 0, 30)


def test_more_cached_than_read_tokens_are_not_believed() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}
    assert reply.usage_of(usage) == Usage(10, 10, 1)


def test_a_reply_over_the_limit_fails_and_one_at_it_does_not() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    assert len(reply.completion("é" * (reply.REPLY_BYTES // 2), "stop", usage).text) == reply.REPLY_BYTES // 2
    with pytest.raises(CallError, match="over the limit") as caught:
        reply.completion("é" * (reply.REPLY_BYTES // 2) + "a", "stop", usage)
    assert caught.value.billed
    assert caught.value.usage == Usage(10, 0, 5)


def test_an_empty_reply_is_charged_what_it_cost() -> None:
    with pytest.raises(CallError) as caught:
        reply.completion("", "length", {"prompt_tokens": 10, "completion_tokens": 64})
    assert (caught.value.kind, caught.value.usage) == ("empty", Usage(10, 0, 64))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("1e9", reply.RETRY_AFTER_MAX),
        ("inf", reply.RETRY_AFTER_MAX),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
    ],
)
def test_a_pause_is_seconds_or_a_date_and_at_most_an_hour(header: str | None, expected: float | None) -> None:
    assert reply.seconds(header, now=10.0) == expected


def test_an_empty_account_is_not_waited_for() -> None:
    failure = reply.failure(429, "You exceeded your current quota", "20", "insufficient_quota")
    assert (failure.kind, failure.retry_after_s, failure.retryable) == ("rejected", None, False)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens",
        "request (3031 tokens) exceeds the available context size (2048 tokens)",
        "prompt is too long: 250000 tokens > 200000 maximum",
        "Please reduce the length of the messages",
    ],
)
def test_a_full_window_is_told_from_other_bad_requests(message: str) -> None:
    assert reply.failure(400, message).kind == "too_long"
    assert reply.failure(500, message).kind == "server"
    assert reply.failure(400, "unknown parameter").kind == "rejected"


@given(st.text(), st.integers(0, 400))
def test_an_error_text_is_one_short_line(text: str, repeats: int) -> None:
    short = reply.shorten(text * repeats)
    assert len(short) <= reply.MESSAGE_CHARS
    assert len(short.splitlines()) <= 1 or not short.isprintable()


def test_a_stack_trace_in_an_error_text_is_left_out() -> None:
    text = 'bad answer Traceback (most recent call last):\n  File "/somewhere/x.py", line 1'
    assert reply.shorten(text) == "bad answer"


def request(**changes: Any) -> Request:
    return msgspec.structs.replace(Request.of("s", "u", 1, 0.0, 1), **changes)


def test_choices_are_asked_for_as_an_object_and_unwrapped() -> None:
    choices = ("yes", "no")
    wanted = reply.response_format(request(choices=choices))
    assert wanted is not None
    assert wanted["json_schema"]["strict"]
    assert wanted["json_schema"]["schema"]["properties"]["choice"]["enum"] == ["yes", "no"]
    assert reply.unwrap('{"choice": "no"}', choices) == "no"
    for other in ('{"choice": "maybe"}', '{"choice": 1}', '{"choice": ["no"]}', "no", '{"choice": "n', "[]", ""):
        assert reply.unwrap(other, choices) == other


def test_a_plain_request_asks_for_no_format_and_a_broken_schema_is_rejected() -> None:
    assert reply.response_format(request()) is None
    for schema in ("[", "[]", "3", "[" * 100_000):
        with pytest.raises(CallError) as caught:
            reply.response_format(request(schema=schema))
        assert caught.value.kind == "rejected"


def test_strict_mode_is_asked_for_only_where_the_schema_allows_it() -> None:
    inner = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}
    outer = {"type": "object", "properties": {"b": inner}, "required": ["b"], "additionalProperties": False}
    assert reply.is_closed(outer)
    for loose in ({**inner, "required": []}, {**inner, "additionalProperties": True}, {"type": "object"}):
        assert not reply.is_closed({**outer, "properties": {"b": loose}})
        assert not reply.is_closed({"anyOf": [loose]})
    wanted = reply.response_format(request(schema=json.dumps({"type": "object"})))
    assert wanted is not None
    assert not wanted["json_schema"]["strict"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_says_what_it_is_and_what_to_name(status: int) -> None:
    refused = reply.failure(status, "")
    assert refused.kind == "rejected"
    assert "a redirect, which is not followed" in refused.message
    assert "base_url" in refused.message
