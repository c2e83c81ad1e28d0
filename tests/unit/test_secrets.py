"""No known secret survives `mask`, nothing that looks like one survives `redact`, and other text stays as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.backends import secrets

KEY = st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), min_size=secrets.SHORTEST, max_size=60)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    secrets.forget()
    yield
    secrets.forget()


@given(key=KEY, before=st.text(), after=st.text())
def test_a_known_secret_never_comes_through(key: str, before: str, after: str) -> None:
    secrets.forget()
    secrets.register(key)
    for form in (key, quote(key, safe=""), json.dumps(key), f"Bearer {key}", f"http://h/?key={quote(key)}"):
        for clean in (secrets.mask, secrets.redact):
            assert key not in clean(before + form + after).replace(secrets.MASK, "\x00")


def test_a_secret_inside_another_one_does_not_leave_its_rest() -> None:
    secrets.register("abcdefgh")
    secrets.register("abcdefgh-and-the-rest")
    assert secrets.mask("x abcdefgh-and-the-rest y") == f"x {secrets.MASK} y"


def test_short_and_empty_values_mask_nothing() -> None:
    secrets.register("", None, "yes", "1234567")
    assert secrets.mask("yes 1234567") == "yes 1234567"


def test_secrets_of_the_environment_are_known_by_their_names() -> None:
    secrets.register_environment(
        {
            "OPENAI_API_KEY": "value-one-1",
            "my_token": "value-two-2",
            "DB_PASSWORD": "value-three-3",
            "AWS_SECRET_ACCESS_KEY": "value-four-4",
            "RAY_AUTH_TOKEN_PATH": "/a/path/of/no/secret",
            "RAY_AUTH_MODE": "token-mode",
            "MAX_TOKENS": "1234567890",
            "TOKENIZERS_PARALLELISM": "falsefalse",
            "HOME": "/home/somebody",
        }
    )
    text = "value-one-1 value-two-2 value-three-3 value-four-4 /a/path/of/no/secret 1234567890 /home/somebody"
    assert secrets.mask(text) == " ".join([secrets.MASK] * 4) + " /a/path/of/no/secret 1234567890 /home/somebody"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-Abc123_def456-ghi789",
        "sk-ant-api03-Abc123def456ghi789",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "gsk_abcdefghij0123456789",
        "hf_abcdefghijklmnopqrstuv",
        "ghp_abcdefghijklmnopqrstuvwx0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    ],
)
def test_what_looks_like_a_key_is_redacted_though_nobody_named_it(secret: str) -> None:
    assert secrets.redact(f"error: {secret}, retry") == f"error: {secrets.MASK}, retry"


def test_headers_assignments_and_addresses_lose_their_secret_only() -> None:
    cases = {
        "Authorization: Bearer abc.def-ghi": f"Authorization: {secrets.MASK}",
        '{"Authorization": "Basic dXNlcjpwdw=="}': f'{{"Authorization": "{secrets.MASK}"}}',
        "bearer 0123456789abcdef, then": f"bearer {secrets.MASK}, then",
        '"api_key": "opensesame", "n": 1': f'"api_key": "{secrets.MASK}", "n": 1',
        "https://me:pw@host.example/v1": f"https://{secrets.MASK}@host.example/v1",
        "GET /v1?api_key=opensesame&n=2": f"GET /v1?api_key={secrets.MASK}&n=2",
    }
    assert {text: secrets.redact(text) for text in cases} == cases


@pytest.mark.parametrize(
    "text",
    [
        "the bearer of bad news is here",
        "task-based risk-aware skepticism",
        "see http://127.0.0.1:8000/v1/chat and mail me@host.example",
        "3 tokens left, key 7, sk-8",
        "answer: 42",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert secrets.redact(text) == text


@given(st.text())
def test_without_known_secrets_masking_changes_nothing(text: str) -> None:
    secrets.forget()
    assert secrets.mask(text) == text
