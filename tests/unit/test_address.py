"""Addresses: only what certainly stays on this machine is loopback, and equal addresses are written one way."""

from __future__ import annotations

import pytest

from agentsoc.contracts.address import Destination, is_loopback, is_plain, normal


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "https://127.0.0.1/v1",
        "http://127.9.9.9",
        "http://localhost:11434/v1",
        "HTTP://LocalHost:1/v1",
        "http://[::1]:8000/v1",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]:8000/v1",
    ],
)
def test_loopback_is_known_in_every_ordinary_form(url: str) -> None:
    assert is_loopback(url)
    assert is_loopback(normal(url))
    assert not Destination(normal(url)).needs_consent
    assert Destination(normal(url), "SOME_KEY").needs_consent


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.evil.com/v1",
        "http://127.0.0.1.nip.io/v1",
        "http://127.0.0.1.example.org/v1",
        "http://127.0.0.1@evil.example/v1",
        "http://127.0.0.1:80@evil.example/v1",
        "http://localhost:1@evil.example/v1",
        "http://127.0.0.1%2f@evil.example/",
        "http://127.0.0.1#@evil.example/",
        "http://127.0.0.1?@evil.example/",
        "http://127.0.0.1\\@evil.example/",
        "http://evil.example\\@127.0.0.1/",
        "http://127.0.0.1\t.evil.example/",
        "http://2130706433/v1",
        "http://0x7f000001/v1",
        "http://0x7f.0.0.1/v1",
        "http://0177.0.0.1/v1",
        "http://127.1/v1",
        "http://127.0.0.01/v1",
        "http://127.0.0.1./v1",
        "http://localhost./v1",
        "http://a.localhost/v1",
        "http://0.0.0.0/v1",
        "http://0/v1",
        "http://[::]/v1",
        "http://[::ffff:10.0.0.1]/v1",
        "http://[::ffff:8.8.8.8]/v1",
        "http://[::1%25eth0]/v1",
        "http://[::2]/v1",
        "http://[fe80::1]/v1",
        "http://10.0.0.1/v1",
        "http://169.254.169.254/latest",
        "http://128.0.0.1/v1",
        "http://１２７.0.0.1/v1",
        "http://127。0。0。1/v1",
        "http://lоcalhost/v1",  # the second letter is Cyrillic
        "ftp://127.0.0.1/",
        "//127.0.0.1/",
        "127.0.0.1",
        "http://",
        "",
    ],
)
def test_whatever_is_not_certainly_loopback_is_not(url: str) -> None:
    assert not is_loopback(url)
    assert Destination(normal(url)).needs_consent


def test_equal_addresses_are_written_one_way_and_odd_ones_as_they_stand() -> None:
    one = "https://api.example.org/v1"
    for url in (one, f"{one}/", "HTTPS://API.Example.ORG/v1", "https://api.example.org:443/v1"):
        assert normal(url) == one
    assert normal("http://api.example.org:443/v1") == "http://api.example.org:443/v1"
    assert normal("https://api.example.org/V1") != one
    for odd in ("http://me@h/v1", "http://h/#x", "http://h\\x/", "http://h:99999999/", "http://[::1"):
        assert normal(odd) == odd
    assert not is_plain("http://h /v1")
    assert not is_plain("http://h\n/v1")
    assert is_plain("http://[::1]:8000/v1/x-y_z.~?a=b&c=%20")


def test_two_destinations_are_equal_by_address_and_variable_alone() -> None:
    assert Destination("http://h", "K", "one", "note") == Destination("http://h", "K", "another")
    assert Destination("http://h", "K") != Destination("http://h")
    assert len({Destination("http://h", "K", "one"), Destination("http://h", "K", "two")}) == 1
