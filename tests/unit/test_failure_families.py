"""Failures are told apart by who failed: infrastructure, the form of a reply, or the model."""

from __future__ import annotations

import pytest

from agentsoc.contracts.failure import family_of


@pytest.mark.parametrize(
    ("failure", "family"),
    [
        ("rate_limited: HTTP 429: slow down", "infrastructure"),
        ("unavailable: HTTP 503: maintenance", "infrastructure"),
        ("server: HTTP 500: boom", "infrastructure"),
        ("timeout: no reply within 60 s", "infrastructure"),
        ("connection: cannot connect", "infrastructure"),
        ("rejected: HTTP 401: this key is not known", "infrastructure"),
        ("rejected: HTTP 400: Unsupported parameter", "infrastructure"),
        ("no attempt was left after a crash", "infrastructure"),
        ("", "infrastructure"),
        ("malformed: it is not valid JSON", "format"),
        ("malformed: it does not state one answer out of: A, B", "format"),
        ("malformed: it was cut off by its length limit", "model"),
        ("malformed: it was empty", "model"),
        ("empty: the model declined: no (finish reason stop)", "model"),
        ("too_long: HTTP 400: maximum context length", "model"),
    ],
)
def test_a_failure_is_of_the_one_who_failed(failure: str, family: str) -> None:
    assert family_of(failure) == family
