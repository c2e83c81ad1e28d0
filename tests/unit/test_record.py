"""Records: JSON with a checksum, of bounded size, without numbers that JSON does not have."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

import agentsoc.log.record as record_module
from agentsoc.errors import LogDamagedError
from agentsoc.log.record import hash_json, read_record, record_bytes

NAME = "record.json"


def read(directory: Path, content: bytes, newest: int = 2) -> dict[str, Any]:
    (directory / NAME).write_bytes(content)
    return read_record(directory, NAME, "the record", newest)


def refused(directory: Path, content: bytes) -> str:
    with pytest.raises(LogDamagedError) as raised:
        read(directory, content)
    assert raised.value.problem.where == str(directory / NAME)
    return raised.value.problem.what


def signed(text: str) -> bytes:
    """Return a record of this JSON with a right checksum, as somebody writes it who knows how that is made."""
    data = json.loads(text)
    return json.dumps({**data, "checksum": hash_json(data)}).encode()


def test_a_record_comes_back_without_its_checksum(tmp_path: Path) -> None:
    data = {"format": 2, "b": [1.5, None, True], "a": "grüß"}
    content = record_bytes(data)
    assert content.endswith(b"}\n")
    assert json.loads(content) == {**data, "checksum": hash_json(data)}
    assert read(tmp_path, content) == data


def test_a_record_is_written_for_readers_one_value_a_line() -> None:
    for text in ("grüß", "half a character: \ud800"):
        assert record_bytes({"a": text}).count(b'\n "') == 2
    assert "grüß".encode() in record_bytes({"a": "grüß"})


def test_half_a_character_is_escaped_and_comes_back(tmp_path: Path) -> None:
    data = {"error": "\ud800 from a server"}
    assert b"\\ud800" in record_bytes(data)
    assert read(tmp_path, record_bytes(data)) == data


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("text", ["", "\ud800"])
def test_no_record_is_written_with_a_number_that_json_does_not_have(value: float, text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        record_bytes({"score": value, "error": text})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_no_record_is_read_with_one_even_when_its_checksum_is_right(tmp_path: Path, number: str) -> None:
    assert refused(tmp_path, signed(f'{{"score": {number}}}')) == "the record is cut or not JSON"
    huge = signed('{"score": 1e300}').replace(b"1e+300", number.encode())
    assert refused(tmp_path, huge) == "the record is cut or not JSON"


def test_a_large_number_that_json_has_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, record_bytes({"score": 1e308})) == {"score": 1e308}


def test_what_was_altered_is_named(tmp_path: Path) -> None:
    content = record_bytes({"seed": 7})
    assert refused(tmp_path, content.replace(b"7", b"8", 1)) == "the record was altered: its checksum differs"
    assert refused(tmp_path, b'{"seed": 7}') == "the record was altered: its checksum differs"
    assert refused(tmp_path, b'{"seed": 7, "checksum": null}') == "the record was altered: its checksum differs"


@pytest.mark.parametrize("content", [b"[]", b"7", b"null", b'"text"'])
def test_what_is_no_object_is_named(tmp_path: Path, content: bytes) -> None:
    assert refused(tmp_path, content) == "the record is not a JSON object"


def test_a_newer_format_is_named_before_the_checksum_and_the_newest_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, record_bytes({"format": 2})) == {"format": 2}
    with pytest.raises(LogDamagedError) as raised:
        read(tmp_path, b'{"format": 3}')
    assert raised.value.problem.what == "the record has log format 3; this version reads up to 2"
    assert raised.value.problem.hint == "update agentsoc to read it"
    assert "checksum" in refused(tmp_path, b'{"format": "3"}')  # no number: nothing is said of versions


@pytest.mark.parametrize(
    ("content", "values"),
    [(b"[1,1,1,1]", 4), (b"[[[[]]]]", 4), (b'{"a":{"b":{"c":{}}}}', 4), (b'{"a":[1,1]}', 3), (b'[1,{"a":[2]}]', 4)],
)
def test_a_record_of_more_values_than_allowed_is_refused_and_one_of_as_many_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, values: int
) -> None:
    monkeypatch.setattr(record_module, "VALUES_MAX", values)
    assert "holds more than" not in refused(tmp_path, content)
    monkeypatch.setattr(record_module, "VALUES_MAX", values - 1)
    assert refused(tmp_path, content) == f"the record holds more than {values - 1} values"


def test_a_record_larger_than_allowed_is_refused_and_one_as_large_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = record_bytes({"seed": 7})
    monkeypatch.setattr(record_module, "SIZE_MAX", len(content))
    assert read(tmp_path, content) == {"seed": 7}
    monkeypatch.setattr(record_module, "SIZE_MAX", len(content) - 1)
    assert "too large" in refused(tmp_path, content)


def test_the_limits_are_those_that_the_documents_state() -> None:
    assert (record_module.SIZE_MAX, record_module.VALUES_MAX) == (64 * 1024**2, 2_000_000)


def test_a_record_that_is_not_there_is_missing_and_not_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for directory in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(FileNotFoundError):
            read_record(directory, NAME, "the record", 2)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_record_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(record_bytes({}))
    (tmp_path / NAME).chmod(0)
    with pytest.raises(LogDamagedError, match="cannot be read: Permission denied"):
        read_record(tmp_path, NAME, "the record", 2)


def test_a_name_too_long_for_the_system_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(LogDamagedError, match="cannot be read: File name too long"):
        read_record(tmp_path, "x" * 300, "the record", 2)


def test_json_as_deep_as_it_can_be_read_is_refused_whatever_the_checksum_needs(tmp_path: Path) -> None:
    """At some depth it can just be read and no longer be hashed."""
    for depth in range(900, 1_000):
        content = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
        assert refused(tmp_path, content) in (
            "the record is cut or not JSON",
            "the record was altered: its checksum differs",
        )


def test_the_hash_is_that_of_canonical_json() -> None:
    assert hash_json({"b": 1, "a": [1, 2]}) == hash_json({"a": [1, 2], "b": 1})
    assert hash_json({"a": "ü", "A": 1}) == hashlib.sha256('{"A":1,"a":"ü"}'.encode()).hexdigest()
    assert len(hash_json("\ud800")) == 64
