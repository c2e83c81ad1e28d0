"""Replies of a study that are kept: whole, beside those before, and put into the cache of who makes it again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
import pytest

import agentsoc
from agentsoc import RunLog
from agentsoc.contracts.model import Completion, Request, Usage
from agentsoc.engine.reply_cache import ReplyCache
from agentsoc.errors import InputError
from agentsoc.log.comparison import load_comparison_record
from benchmarks import study_when
from benchmarks.claims import CLAIMS, TEAMS
from benchmarks.replies import REPLIES, ROWS, keep_replies, lend_replies
from benchmarks.when import PARTS, RESULTS, file_of

ASKED = [Request.of("s", f"question {n}", 8, 0.5, n) for n in range(40)]


def filled(path: Path, numbers: range, text: str = "answer") -> Path:
    cache = ReplyCache(path)
    for n in numbers:
        cache.put(b"model", ASKED[n], Completion(f"{text} {n}", Usage(3, 0, 1)))
    cache.close()
    return path


def found(path: Path) -> list[str | None]:
    cache = ReplyCache(path)
    try:
        return [None if (one := cache.get(b"model", asked)) is None else one.text for asked in ASKED]
    finally:
        cache.close()


def test_replies_that_are_kept_are_those_of_the_cache_and_nothing_that_it_has_is_changed(tmp_path: Path) -> None:
    cache = filled(tmp_path / "a.sqlite", range(30))
    before = cache.read_bytes()
    assert keep_replies(cache, tmp_path / "kept") == 30
    assert cache.read_bytes() == before
    assert lend_replies(tmp_path / "kept", tmp_path / "b.sqlite") == 30
    assert found(tmp_path / "b.sqlite") == [f"answer {n}" for n in range(30)] + [None] * 10
    own = filled(tmp_path / "c.sqlite", range(20, 40), "another")
    assert lend_replies(tmp_path / "kept", own) == 20
    assert found(own) == [f"answer {n}" for n in range(20)] + [f"another {n}" for n in range(20, 40)]
    assert lend_replies(tmp_path / "kept", own) == 0


def test_what_was_kept_before_stays_and_a_damaged_row_is_neither_kept_nor_left_in_a_cache(tmp_path: Path) -> None:
    keep_replies(filled(tmp_path / "a.sqlite", range(10)), tmp_path / "kept")
    assert keep_replies(filled(tmp_path / "b.sqlite", range(5, 20)), tmp_path / "kept") == 20
    damaged = filled(tmp_path / "c.sqlite", range(18, 30))
    with closing(sqlite3.connect(damaged)) as database, database:
        database.execute("UPDATE replies SET completion = CASE WHEN random() % 2 THEN x'00' END")
    assert keep_replies(damaged, tmp_path / "kept") == 20
    assert lend_replies(tmp_path / "kept", damaged) == 20
    assert found(damaged) == [*(f"answer {n}" for n in range(20)), *[None] * 20]
    assert not list(tmp_path.rglob("*.half"))


def test_replies_that_differ_from_those_that_are_kept_are_not_kept_beside_them(tmp_path: Path) -> None:
    keep_replies(filled(tmp_path / "a.sqlite", range(10)), tmp_path / "kept")
    before = (tmp_path / "kept" / REPLIES).read_bytes()
    with pytest.raises(InputError, match="2 replies differ from those that are kept"):
        keep_replies(filled(tmp_path / "b.sqlite", range(8, 20), "another"), tmp_path / "kept")
    assert (tmp_path / "kept" / REPLIES).read_bytes() == before


def test_parts_with_one_cache_keep_each_reply_once_and_lend_to_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert study_when.sharing(TEAMS) == ["claims-0.5b"]
    assert study_when.sharing("claims-1.5b") == []
    monkeypatch.setattr(study_when, "RESULTS", tmp_path / "results")
    made = tmp_path / "made" / "part"
    made.parent.mkdir()
    filled(study_when.cache_of(TEAMS, made), range(10))
    assert study_when.main(["replies", f"claims-0.5b={made}"]) == 0
    filled(study_when.cache_of(TEAMS, made), range(10, 15))
    assert study_when.main(["replies", f"{TEAMS}={made}"]) == 0
    sizes = {name: pl.read_parquet(tmp_path / "results" / name / REPLIES).height for name in (TEAMS, "claims-0.5b")}
    assert sizes == {TEAMS: 5, "claims-0.5b": 10}
    assert study_when.lent(TEAMS, tmp_path / "runs")
    assert found(study_when.cache_of(TEAMS, tmp_path / "runs" / TEAMS))[:15] == [f"answer {n}" for n in range(15)]


def test_kept_replies_that_are_damaged_are_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "results" / PARTS[0] / REPLIES
    keep_replies(filled(tmp_path / "a.sqlite", range(10)), kept.parent)
    changed = pl.read_parquet(kept).with_columns(pl.lit(b"x").alias("completion"))
    monkeypatch.setattr(study_when, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(study_when, "foretold", lambda name, runs: f"{name}: all is left")
    monkeypatch.setattr(study_when, "make", lambda name, runs, small: 0)
    asked = ["run", "--only", PARTS[0], "--runs", str(tmp_path / "runs")]
    assert study_when.main(asked) == 0
    assert capsys.readouterr().out == (
        f"{PARTS[0]}: all is left; replies are kept, which it begins with\n"
        f"{PARTS[0]}: 10 kept replies are put into its cache\n"
    )
    for write in (lambda: changed.write_parquet(kept), lambda: kept.write_bytes(b"half a file")):
        write()
        assert study_when.main(asked) == 1
        assert f"{PARTS[0]} cannot be made yet: " in capsys.readouterr().err


def test_replies_are_kept_of_a_cache_that_is_in_use(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "a.sqlite")
    try:
        cache.put(b"model", ASKED[0], Completion("so far", Usage(3, 0, 1)))
        assert keep_replies(tmp_path / "a.sqlite", tmp_path / "kept") == 1
    finally:
        cache.close()
    lend_replies(tmp_path / "kept", tmp_path / "b.sqlite")
    assert found(tmp_path / "b.sqlite")[0] == "so far"


def test_what_is_no_cache_is_refused_and_where_nothing_is_kept_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no cache of replies"):
        keep_replies(tmp_path / "none.sqlite", tmp_path)
    (tmp_path / "words").write_text("no database, but long enough to be looked at" * 100)
    with pytest.raises(InputError, match="this is no cache of replies"):
        keep_replies(tmp_path / "words", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert lend_replies(tmp_path / "kept", tmp_path / "new.sqlite") == 0
    assert not (tmp_path / "new.sqlite").exists()


def test_a_part_keeps_the_replies_that_are_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study_when, "RESULTS", tmp_path / "results")
    filled(study_when.cache_of("claims-0.5b", tmp_path / "made"), range(7))
    assert study_when.main(["replies", f"claims-0.5b={tmp_path / 'made'}"]) == 0
    assert capsys.readouterr().out == "claims-0.5b: 7 replies are kept\n"
    assert (tmp_path / "results" / "claims-0.5b" / REPLIES).exists()
    assert study_when.main(["replies", f"claims-1.5b={tmp_path / 'made'}"]) == 1
    assert "claims-1.5b is not kept: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        study_when.main(["replies", "--short"])


@pytest.mark.parametrize("name", [*PARTS, *CLAIMS, TEAMS])
def test_replies_that_are_kept_of_a_part_are_whole(name: str, tmp_path: Path) -> None:
    if not (RESULTS / name / REPLIES).exists():
        pytest.skip("no replies of this part are kept")
    table = pl.read_parquet(RESULTS / name / REPLIES)
    assert dict(table.schema) == ROWS
    assert table["key"].n_unique() == table.height == lend_replies(RESULTS / name, tmp_path / "cache.sqlite")
    assert (RESULTS / name / REPLIES).stat().st_size < 1_000_000
    replies = [msgspec.msgpack.decode(one, type=Completion) for one in table["completion"]]
    assert all(one.text and one.usage.known for one in replies)


def test_kept_replies_of_the_embedded_model_answer_what_its_comparison_asks_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt, a seed or a hash that changed would ask the model again: then results and replies are kept anew."""
    monkeypatch.chdir(tmp_path)
    assert lend_replies(RESULTS / "claims-smollm2", study_when.cache_of("claims-smollm2", tmp_path / "made"))
    agentsoc.compare(file_of("claims-smollm2"), tmp_path / "made", workers=1)
    record = load_comparison_record(tmp_path / "made")
    kept = load_comparison_record(RESULTS / "claims-smollm2")
    assert [(cell.id, cell.digest) for cell in record.cells] == [(cell.id, cell.digest) for cell in kept.cells]
    for cell in record.cells:
        assert {row.model for row in RunLog(tmp_path / "made" / cell.run).journal()} == {"cache:local"}
