"""A sound record is read in one pass; whatever that pass does not take is read, and judged, as before."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.errors import LogDamagedError
from agentsoc.log.record import hash_json, read_record, record_bytes

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\u00e9", max_size=2), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(content=st.dictionaries(st.text("abc", min_size=1, max_size=3), plain, max_size=4))
def test_what_was_written_is_read(content: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    where = tmp_path_factory.mktemp("record")
    (where / "r.json").write_bytes(record_bytes(content))
    found = read_record(where, "r.json", "the record", 2)
    assert json.dumps(found, sort_keys=True) == json.dumps(content, sort_keys=True)


def test_a_newer_format_is_refused_though_its_checksum_fits(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(record_bytes({"format": 3}))
    with pytest.raises(LogDamagedError, match="log format 3; this version reads up to 2"):
        read_record(tmp_path, "r.json", "the record", 2)


@pytest.mark.parametrize("number", ["1e999", "NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "r.json").write_text('{{"a": {}, "checksum": "{}"}}'.format(number, hash_json({"a": None})))
    with pytest.raises(LogDamagedError, match="cut or not JSON"):
        read_record(tmp_path, "r.json", "the record", 2)


def test_an_altered_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(record_bytes({"a": 1}).replace(b'"a": 1', b'"a": 2'))
    with pytest.raises(LogDamagedError, match="its checksum differs"):
        read_record(tmp_path, "r.json", "the record", 2)


def test_floats_that_two_writers_spell_differently_are_no_damage(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(record_bytes({"small": 1e-7, "large": 1e22}))
    assert read_record(tmp_path, "r.json", "the record", 2) == {"small": 1e-7, "large": 1e22}
