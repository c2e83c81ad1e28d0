"""The journal: what `write` returned for is there after any crash, and what is there is what was written."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import agentsoc.log.journal as journal_module
from agentsoc.errors import LogDamagedError, RunFailedError
from agentsoc.log.journal import Attempt, Journal, journal_digest, load_journal, read_journal
from agentsoc.log.journal_totals import read_digest

MAIN = "journal.sqlite"
ROOT = Path(__file__).parents[2]


def attempt(number: int, **changes: Any) -> Attempt:
    row = Attempt(
        task=number // 20,
        round=number // 5 % 4,
        agent=number % 5,
        k=0,
        attempt=0,
        state="done",
        request=number.to_bytes(32, "big"),
        model="scripted",
        room=40,
        reserved=100 + number,
        reply=f'{{"answer": "heads", "why": "grüß {number} 🎲"}}',
        finish="stop",
        tokens_in=30,
        tokens_cached=0,
        tokens_out=5,
        usage_known=True,
        latency_ms=number,
    )
    return msgspec.structs.replace(row, **changes)


ROWS = [
    *(attempt(number) for number in range(80)),
    attempt(80, state="started", request=b"", model="", reply=None, finish=None, tokens_in=None, tokens_cached=None,
            tokens_out=None, usage_known=None, latency_ms=None),
    attempt(81, state="failed", reply=None, finish=None, failure="timeout: no reply within 1 s", usage_known=False),
    attempt(82, attempt=1, k=2**40, reserved=2**62, reply="\x00 \u2028 \x1b[31m", room=0),
]  # fmt: skip


def write(path: Path, rows: Sequence[Attempt], *, group: int = 10) -> None:
    journal = Journal(path)
    asyncio.run(write_all(journal, rows, group))
    journal.close()


async def write_all(journal: Journal, rows: Sequence[Attempt], group: int = 10) -> None:
    for start in range(0, len(rows), group):
        await asyncio.gather(*(journal.write(row) for row in rows[start : start + group]))


def outcome(path: Path) -> Any:
    """Return the rows, or the place that the complaint names; anything else that reading raises is a bug."""
    try:
        return list(read_journal(path))
    except LogDamagedError as error:
        return error.problem.where


def test_rows_come_back_as_they_were_written_in_the_order_of_their_keys(tmp_path: Path) -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    write(tmp_path / MAIN, shuffled)
    assert list(read_journal(tmp_path / MAIN)) == ROWS
    assert {row.key for row in ROWS} == {row.key for row in read_journal(tmp_path / MAIN)}


def test_the_outcome_of_an_attempt_replaces_its_start(tmp_path: Path) -> None:
    start = msgspec.structs.replace(ROWS[80], task=0, round=0, agent=0)
    write(tmp_path / MAIN, [start, ROWS[0]], group=1)
    assert list(read_journal(tmp_path / MAIN)) == [ROWS[0]]


def test_an_open_journal_can_be_read_by_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path / MAIN)
    asyncio.run(write_all(journal, ROWS[:7]))
    assert list(read_journal(tmp_path / MAIN)) == list(journal.rows()) == ROWS[:7]
    journal.close()


def test_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    """A finished run on a medium that cannot be written stays readable."""
    write(tmp_path / MAIN, ROWS)
    list(read_journal(tmp_path / MAIN))
    assert [path.name for path in tmp_path.iterdir()] == [MAIN]


def test_whatever_waits_forms_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    commit = Journal._commit

    def counted(self: Journal, rows: list[Attempt]) -> None:
        groups.append(len(rows))
        commit(self, rows)

    monkeypatch.setattr(Journal, "_commit", counted)
    write(tmp_path / MAIN, ROWS, group=len(ROWS))
    assert sum(groups) == len(ROWS)
    assert len(groups) <= 3


WRITER = """
import asyncio, os, sys
from tests.unit.test_journal import attempt
from agentsoc.log.journal import Journal
from pathlib import Path

journal = Journal(Path(sys.argv[1]))
async def one(start):
    for number in range(start, 1_000_000, 7):
        await journal.write(attempt(number))
        os.write(1, b"%d\\n" % number)
async def main():
    await asyncio.gather(*(one(start) for start in range(7)))
asyncio.run(main())
"""


@pytest.mark.parametrize("kill", range(4))
def test_a_killed_writer_keeps_every_row_that_write_returned_for(tmp_path: Path, kill: int) -> None:
    after = random.Random(kill).randrange(1, 400)
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / MAIN)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(after)]
    os.kill(child.pid, signal.SIGKILL)
    lines += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    child.wait()
    child.stdout.close()
    returned = {int(line) for line in lines}
    stored = {row.reserved - 100: row for row in read_journal(tmp_path / MAIN)}
    assert returned <= set(stored)
    assert len(stored) <= len(returned) + 7
    assert all(row == attempt(number) for number, row in stored.items())
    again = Journal(tmp_path / MAIN)
    assert {row.reserved - 100 for row in again.rows()} == set(stored)
    again.close()


def test_a_journal_cut_anywhere_is_named(tmp_path: Path) -> None:
    write(tmp_path / MAIN, ROWS)
    whole = (tmp_path / MAIN).read_bytes()
    pages = range(0, len(whole), 4096)
    cuts = {*range(0, len(whole), 64), *pages, *(page + 1 for page in pages), *(max(page - 1, 0) for page in pages)}
    for length in sorted(cuts):
        (tmp_path / MAIN).write_bytes(whole[:length])
        assert outcome(tmp_path / MAIN) == str(tmp_path / MAIN)
    assert [path.name for path in tmp_path.iterdir()] == [MAIN]


def test_a_flipped_bit_is_named_or_harmless(tmp_path: Path) -> None:
    """500 random flips; those in the unused ends of pages change nothing."""
    write(tmp_path / MAIN, ROWS)
    whole = (tmp_path / MAIN).read_bytes()
    rng = random.Random(3)
    named = 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        (tmp_path / MAIN).write_bytes(damaged)
        found = outcome(tmp_path / MAIN)
        assert found in (ROWS, str(tmp_path / MAIN))
        named += found != ROWS
    assert named > 200


def test_a_torn_tail_leaves_the_groups_before_it(tmp_path: Path) -> None:
    """A process died while SQLite appended to its log: every cut gives whole groups, from the first on."""
    home = tmp_path / "home"
    home.mkdir()
    journal = Journal(home / MAIN)
    asyncio.run(write_all(journal, ROWS[:40], group=8))
    copy = {path.name: path.read_bytes() for path in home.iterdir() if not path.name.endswith("-shm")}
    journal.close()
    wal = copy[MAIN + "-wal"]
    seen = set()
    for length in {*range(0, len(wal), 997), *range(32, len(wal), 4120), len(wal)}:
        shutil.rmtree(home)
        home.mkdir()
        (home / MAIN).write_bytes(copy[MAIN])
        (home / (MAIN + "-wal")).write_bytes(wal[:length])
        found = outcome(home / MAIN)
        if found == str(home / MAIN):
            assert length < 4 * 4120  # before the table itself was made
            continue
        assert found == ROWS[: len(found)]
        assert len(found) % 8 == 0
        seen.add(len(found))
    assert seen == {0, 8, 16, 24, 32, 40}


@pytest.mark.parametrize("content", [b"", b"\x80\x04]\x94.", b"SQLite format 3\x00", b"\x00" * 8192, b"\xff" * 8192])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MAIN).write_bytes(content)
    assert outcome(tmp_path / MAIN) == str(tmp_path / MAIN)


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    """A run directory always has one: without it, resuming would buy everything a second time."""
    assert outcome(tmp_path / MAIN) == str(tmp_path / MAIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM attempts",
        "UPDATE attempts SET reply = 'other' WHERE agent = 1 AND task = 0",
        "UPDATE attempts SET tokens_out = 6 WHERE agent = 1 AND task = 0",
        "UPDATE attempts SET usage_known = NULL WHERE agent = 1 AND task = 0",
        "UPDATE attempts SET task = 77 WHERE agent = 1 AND task = 0",
        "DELETE FROM attempts WHERE agent = 1 AND task = 0",
        "INSERT INTO attempts SELECT 99, round, agent, k, attempt, state, request, model, room, reserved, reply,"
        " finish, shown, failure, tokens_in, tokens_cached, tokens_out, usage_known, latency_ms, reasoning, crc"
        " FROM attempts LIMIT 1",
    ],
)
def test_every_change_of_a_row_is_seen(tmp_path: Path, change: str) -> None:
    """By the row's own checksum, or by the digest that the manifest of a finished run holds."""
    write(tmp_path / MAIN, ROWS)
    before = journal_digest(read_journal(tmp_path / MAIN))
    assert before[0] == len(ROWS)
    with sqlite3.connect(tmp_path / MAIN) as db:
        db.execute(change)
    db.close()
    found = outcome(tmp_path / MAIN)
    assert found == str(tmp_path / MAIN) or journal_digest(iter(found)) != before


@pytest.mark.parametrize(
    ("column", "value"),
    [("state", "bought"), ("reply", b"bytes"), ("tokens_in", "many"), ("request", "text"), ("latency_ms", 0.5)],
)
def test_a_row_of_wrong_types_is_named_even_when_its_sum_is_right(tmp_path: Path, column: str, value: Any) -> None:
    write(tmp_path / MAIN, [attempt(0, **{column: value})])
    assert outcome(tmp_path / MAIN) == str(tmp_path / MAIN)


def test_the_digest_leaves_out_how_long_calls_took(tmp_path: Path) -> None:
    def digest(**changes: Any) -> tuple[int, str]:
        return journal_digest(iter([attempt(3, **changes)]))

    assert digest(latency_ms=1) == digest(latency_ms=None) == digest()
    assert digest(reasoning="so it is") != digest()
    for name in set(Attempt.__struct_fields__) - {"latency_ms"}:
        assert digest(**{name: None}) != digest() or getattr(attempt(3), name) is None


@pytest.mark.parametrize(
    "bad",
    [{"tokens_in": 2**63}, {"failure": "half a character: \ud800"}, {"reply": object()}],
    ids=["too large", "half a character", "no text"],
)
def test_a_row_that_cannot_be_written_fails_and_does_not_hang(tmp_path: Path, bad: dict[str, Any]) -> None:
    async def main() -> None:
        journal = Journal(tmp_path / MAIN)
        with pytest.raises(RunFailedError, match="the journal cannot be written"):
            await asyncio.wait_for(journal.write(attempt(0, **bad)), 5)
        await asyncio.wait_for(journal.write(attempt(1)), 5)
        journal.close()

    asyncio.run(main())
    assert list(read_journal(tmp_path / MAIN)) == [attempt(1)]


def test_a_row_whose_writer_was_cut_off_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a reply that was paid for: an interrupt does not wait for a slow disk, `close` does."""
    commit = Journal._commit

    def slowly(self: Journal, rows: list[Attempt]) -> None:
        time.sleep(0.05)
        commit(self, rows)

    monkeypatch.setattr(Journal, "_commit", slowly)

    async def main() -> None:
        journal = Journal(tmp_path / MAIN)
        writers = [asyncio.create_task(journal.write(row)) for row in ROWS[:3]]
        await asyncio.sleep(0.01)
        writers += [asyncio.create_task(journal.write(row)) for row in ROWS[3:6]]
        await asyncio.sleep(0.01)
        for writer in writers:
            writer.cancel()
        journal.close()

    asyncio.run(main())
    assert list(read_journal(tmp_path / MAIN)) == ROWS[:6]


def test_no_rows_are_durable_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(tmp_path / MAIN)
        await asyncio.wait_for(journal.write_all([]), 5)
        journal.close()

    asyncio.run(main())
    assert list(read_journal(tmp_path / MAIN)) == []


def test_a_full_disk_fails_the_group_and_keeps_what_was_there(tmp_path: Path) -> None:
    async def main() -> list[Attempt]:
        journal = Journal(tmp_path / MAIN)
        await write_all(journal, ROWS[:10])
        journal._db.execute("PRAGMA max_page_count = 1")  # SQLite's own way to be full: at the size it has
        there = list(ROWS[:10])
        for row in ROWS[10:]:
            [failed] = await asyncio.gather(asyncio.wait_for(journal.write(row), 5), return_exceptions=True)
            if failed is not None:
                assert isinstance(failed, RunFailedError)
                assert "full" in str(failed)
                break
            there.append(row)
        assert list(journal.rows()) == there
        journal._db.execute("PRAGMA max_page_count = 100000")
        await asyncio.wait_for(journal.write(ROWS[79]), 5)
        journal.close()
        return there

    there = asyncio.run(main())
    assert len(there) < len(ROWS) - 1
    assert list(read_journal(tmp_path / MAIN)) == [*there, ROWS[79]]


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda path: None, RunFailedError),
        (lambda path: (path.parent.mkdir(), path.mkdir()), LogDamagedError),
        (lambda path: (path.parent.mkdir(), path.write_bytes(b"no database" * 1000)), LogDamagedError),
    ],
    ids=["no directory", "a directory in its place", "another file"],
)
def test_a_journal_that_cannot_be_opened_says_whose_fault_it_is(
    tmp_path: Path, prepare: Callable[[Path], object], expected: type[Exception]
) -> None:
    path = tmp_path / "run" / MAIN
    prepare(path)
    with pytest.raises(expected, match=r"the journal cannot be|this is a directory, not a file"):
        Journal(path)


@pytest.mark.parametrize("at_once", [1, 7, 4096])
def test_a_journal_that_is_loaded_gives_every_row_by_its_key_and_the_digest_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    write(tmp_path / MAIN, ROWS)
    monkeypatch.setattr(journal_module, "_ROWS_AT_ONCE", at_once)
    known, found = load_journal(tmp_path / MAIN)
    assert list(known.values()) == ROWS
    assert [known[row.key] for row in ROWS] == ROWS
    assert found == journal_digest(iter(ROWS)) == journal_digest(read_journal(tmp_path / MAIN))


def test_latencies_are_no_part_of_the_digest_and_still_checked(tmp_path: Path) -> None:
    write(tmp_path / MAIN, ROWS)
    slower = [msgspec.structs.replace(row, latency_ms=77) for row in ROWS]
    assert journal_digest(iter(slower)) == journal_digest(iter(ROWS))
    with sqlite3.connect(tmp_path / MAIN) as db:
        db.execute("UPDATE attempts SET latency_ms = 77 WHERE task = 1 AND agent = 2")
    db.close()
    with pytest.raises(LogDamagedError, match="task 1, round 0, agent 2"):
        load_journal(tmp_path / MAIN)


@pytest.mark.parametrize("value", ["2", "'yes'", "1.5", "x'01'"])
def test_a_truth_value_that_is_none_is_named(tmp_path: Path, value: str) -> None:
    write(tmp_path / MAIN, ROWS)
    with sqlite3.connect(tmp_path / MAIN) as db:
        db.execute(f"UPDATE attempts SET usage_known = {value} WHERE task = 1")
    db.close()
    with pytest.raises(LogDamagedError, match="cannot be read"):
        load_journal(tmp_path / MAIN)


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"CREATE TABLE attempts", b"CREATE TABLE \xefttempts"),
        (b"CREATE TABLE attempts", b"CREATE \xefABLE attempts"),
        (b"tableattemptsattempts", b"tableattempt\xefattempts"),
        (b"state TEXT NOT NULL", b"st\xefte TEXT NOT NULL"),
        (b"scripted", b"scripte\xef"),
        (b'{"answer"', b'\xef"answer"'),
    ],
)
def test_text_that_is_no_utf_8_is_named_wherever_it_stands(tmp_path: Path, there: bytes, instead: bytes) -> None:
    """SQLite quotes names of the file in its messages, which Python then has to read."""
    write(tmp_path / MAIN, ROWS)
    content = (tmp_path / MAIN).read_bytes()
    assert there in content
    (tmp_path / MAIN).write_bytes(content.replace(there, instead))
    for read in (load_journal, read_digest, lambda path: list(read_journal(path))):
        with pytest.raises(LogDamagedError) as raised:
            read(tmp_path / MAIN)
        assert raised.value.problem.where == str(tmp_path / MAIN)
        assert str(raised.value).isprintable() or "\n    " in str(raised.value)
    if there not in (b"scripted", b'{"answer"'):  # rows are not read when it is opened
        with pytest.raises(LogDamagedError):
            Journal(tmp_path / MAIN)
