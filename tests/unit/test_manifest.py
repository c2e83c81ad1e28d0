"""The manifest: read as it was written, or refused by name; never half of it, never something else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

import agentsoc.log.files as files_module
import agentsoc.log.record as record_module
from agentsoc.errors import LogDamagedError, NoRunError
from agentsoc.log.inside import Inside
from agentsoc.log.manifest import (
    FORMAT_VERSION,
    NAME,
    SEAL,
    Before,
    Fork,
    Manifest,
    SegmentEntry,
    Totals,
    check_seal,
    load_manifest,
)
from agentsoc.log.record import hash_json


def manifest(**changes: Any) -> Manifest:
    full = Manifest(
        status="finished",
        name="star-on-sentiment",
        seed=2**63 - 1,
        scenario={"name": "star-on-sentiment", "tasks": {"kind": "coin", "count": 3}, "pi": 3.25, "über": "grüß 🎲"},
        scenario_hash="a" * 64,
        tasks_hash="b" * 64,
        segments=[SegmentEntry(file="part-00000.parquet", rows=3, digest="c" * 64, chain="d" * 64)],
        digest="e" * 64,
        journal_rows=7,
        journal_digest="f" * 64,
        totals=Totals(episodes=3, events=3, score=2 / 3, stops={"finished": 3}),
        fork=Fork(run="earlier", digest=None, task=1, round=2, before=[Before(start=(0, 0), scenario={})]),
    )
    return full.model_copy(update=changes)


def outcome(directory: Path) -> Any:
    """Return the manifest, or the place that the complaint names; anything else that loading raises is a bug."""
    try:
        return load_manifest(directory)
    except LogDamagedError as error:
        return error.problem.where


def store(directory: Path, data: dict[str, Any]) -> None:
    """Write a manifest with a right checksum, whatever it says."""
    data = {key: value for key, value in data.items() if key != "checksum"}
    (directory / NAME).write_text(json.dumps({**data, "checksum": hash_json(data)}), encoding="utf-8")


def test_a_manifest_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    assert load_manifest(tmp_path) == manifest()
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, SEAL]
    assert "grüß 🎲" in (tmp_path / NAME).read_text(encoding="utf-8")


def test_half_a_character_in_an_error_does_not_stop_a_manifest(tmp_path: Path) -> None:
    broken = manifest(error="CallError: \ud800 from a server")
    broken.save(tmp_path)
    assert load_manifest(tmp_path) == broken


def test_a_manifest_cut_at_any_byte_is_named(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    for length in range(len(whole) - 1):  # the last byte is the end of the line
        (tmp_path / NAME).write_bytes(whole[:length])
        assert outcome(tmp_path) == str(tmp_path / NAME)


def test_a_flipped_bit_is_named_or_harmless(tmp_path: Path) -> None:
    """One random bit of every byte; a space may become another space."""
    manifest().save(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    rng = random.Random(1)
    named = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randrange(8)
        (tmp_path / NAME).write_bytes(damaged)
        found = outcome(tmp_path)
        assert found in (manifest(), str(tmp_path / NAME))
        named += found != manifest()
    assert named > 0.8 * len(whole)


def test_a_newer_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    store(tmp_path, {**manifest().model_dump(mode="json"), "format": FORMAT_VERSION + 1, "unheard": "of"})
    with pytest.raises(LogDamagedError, match=rf"log format {FORMAT_VERSION + 1}.*\n.*update agentsoc"):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "perfect"},
        {"seed": "seven"},
        {"unheard": "of"},
        {"segments": [{"file": "../../elsewhere/part-00000.parquet", "rows": 1, "digest": "", "chain": ""}]},
        {"segments": [{"file": "part-00000.parquet", "rows": -1, "digest": "", "chain": ""}]},
        {"segments": "none"},
        {"totals": {"events": None}},
        {"format": None},
        {"scenario": []},
    ],
    ids=lambda change: min(change),
)
def test_a_manifest_that_does_not_hold_is_named_even_with_a_right_checksum(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    store(tmp_path, {**manifest().model_dump(mode="json"), **change})
    assert outcome(tmp_path) == str(tmp_path / NAME)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe",
        b"\x00" * 100,
        b'{"format": ' + b"9" * 10_000 + b"}",
        b'{"checksum": null}',
        b'{"a": NaN, "checksum": "x"}',
        *(b'{"scenario": ' + b"[" * depth + b"]" * depth + b"}" for depth in (100, 985, 990, 994, 995, 5_000)),
    ],
    ids=lambda content: repr(content[:20]) + str(len(content)),
)
def test_a_file_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert outcome(tmp_path) == str(tmp_path / NAME)


@pytest.mark.parametrize(
    ("changes", "sealed"),
    [({}, True), ({"status": "running"}, True), ({"status": "failed"}, True), ({"format": 1}, False)],
)
def test_a_run_of_this_format_is_sealed_and_none_of_the_first(
    tmp_path: Path, changes: dict[str, Any], sealed: bool
) -> None:
    manifest(**changes).save(tmp_path)
    assert (tmp_path / SEAL).exists() is sealed
    if sealed:
        check_seal(tmp_path)


def test_whenever_a_writer_is_killed_the_seal_names_the_manifest_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that goes on with a run that had ended."""
    write = Inside.write
    for first, second in (("running", "running"), ("running", "finished"), ("interrupted", "running")):
        for writes in range(4):
            directory = tmp_path / f"{first}-{second}-{writes}"
            directory.mkdir()
            manifest(status=first).save(directory)
            left = writes

            def write_until(self: Inside, name: str, content: bytes) -> None:
                nonlocal left
                if not left:
                    raise InterruptedError
                left -= 1
                write(self, name, content)

            with monkeypatch.context() as patched, contextlib.suppress(InterruptedError):
                patched.setattr(Inside, "write", write_until)
                manifest(status=second, seed=8).save(directory)
            check_seal(directory)
            assert load_manifest(directory).seed == (8 if writes > 1 else manifest().seed)


def test_a_manifest_before_the_last_one_is_not_sealed_when_the_run_has_ended(tmp_path: Path) -> None:
    manifest(status="running").save(tmp_path)
    before = (tmp_path / NAME).read_bytes()
    manifest().save(tmp_path)
    (tmp_path / NAME).write_bytes(before)
    with pytest.raises(LogDamagedError, match="not the one that was sealed"):
        check_seal(tmp_path)


def test_a_seal_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(status="running").save(tmp_path)
    read, news = Inside.read, [9, 10, 11]

    def read_and_write(self: Inside, name: str, **limits: int) -> bytes:
        content = read(self, name, **limits)
        if name == SEAL and news:
            with monkeypatch.context() as patched:
                patched.setattr(Inside, "read", read)
                manifest(status="running", seed=news.pop()).save(tmp_path)
        return content

    monkeypatch.setattr(Inside, "read", read_and_write)
    check_seal(tmp_path)
    assert not news


@pytest.mark.parametrize("content", [b"", b"x", b"0" * 64 + b"  manifest.json\n" * 3, b"\xff" * 100])
def test_what_is_no_seal_is_named(tmp_path: Path, content: bytes) -> None:
    manifest().save(tmp_path)
    (tmp_path / SEAL).write_bytes(content)
    with pytest.raises(LogDamagedError, match="no seal"):
        check_seal(tmp_path)


def test_the_newest_format_is_the_newest_of_which_there_are_stored_runs() -> None:
    stored = (Path(__file__).parents[1] / "golden").glob("format-*")
    assert max(int(path.name.removeprefix("format-")) for path in stored) == FORMAT_VERSION


def test_the_first_of_several_faults_is_named_by_its_place(tmp_path: Path) -> None:
    data = manifest().model_dump(mode="json")
    store(tmp_path, {**data, "seed": "seven", "totals": {**data["totals"], "events": None}})
    with pytest.raises(LogDamagedError, match="the manifest does not hold: seed: "):
        load_manifest(tmp_path)
    store(tmp_path, {**data, "totals": {**data["totals"], "events": None}})
    with pytest.raises(LogDamagedError, match=r"the manifest does not hold: totals\.events: "):
        load_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "sound"),
    [("x", True), ("deep/x", True), ("x" * 1_000, True), ("x" * 1_001, False), ("../x", False), ("/x", False)],
)
def test_a_named_file_stays_in_the_directory(tmp_path: Path, name: str, sound: bool) -> None:
    store(tmp_path, {**manifest().model_dump(mode="json"), "inputs": {name: "0" * 64}})
    found = outcome(tmp_path)
    assert (list(found.inputs) == [name]) if sound else found == str(tmp_path / NAME)


def test_a_run_that_has_done_nothing_amounts_to_nothing() -> None:
    assert all(not value for value in Totals().model_dump().values())


def test_a_directory_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(NoRunError, match=f"there is no run at {place}") as raised:
            load_manifest(place)
        assert raised.value.exit_code == 2
    (tmp_path / "events").mkdir()
    with pytest.raises(LogDamagedError, match="there is no manifest here") as damaged:
        load_manifest(tmp_path)
    assert damaged.value.exit_code == 4


def test_where_a_start_was_killed_the_way_on_is_to_start_again(tmp_path: Path) -> None:
    (tmp_path / files_module.LOCK).touch()
    with pytest.raises(LogDamagedError, match="there is no manifest here") as raised:
        load_manifest(tmp_path)
    assert f"agentsoc run SCENARIO --out {tmp_path}" in raised.value.problem.hint
    with pytest.raises(NoRunError, match="agentsoc ls shows the runs"):
        load_manifest(tmp_path / "nowhere")


def test_what_is_no_plain_file_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe would be waited for, and a file that is too large would fill the memory."""
    os.mkfifo(tmp_path / NAME)
    assert outcome(tmp_path) == str(tmp_path / NAME)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()
    assert outcome(tmp_path) == str(tmp_path / NAME)
    (tmp_path / NAME).rmdir()
    manifest().save(tmp_path)
    monkeypatch.setattr(record_module, "SIZE_MAX", 100)
    assert outcome(tmp_path) == str(tmp_path / NAME)


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_manifest_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    manifest().save(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        with pytest.raises(OSError, match="No space"):
            manifest(status="failed").save(tmp_path)
    assert load_manifest(tmp_path) == manifest()
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, SEAL]


def test_the_hash_of_plain_data_does_not_see_the_order_of_keys() -> None:
    assert hash_json({"a": 1, "b": [1.5, "grüß"]}) == hash_json({"b": [1.5, "grüß"], "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": "1"})
    text = '{"n":[1,2.5,null,true],"name":"grüß"}'
    assert hash_json({"name": "grüß", "n": [1, 2.5, None, True]}) == hashlib.sha256(text.encode()).hexdigest()
