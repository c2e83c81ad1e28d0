"""A cache of replies across runs: nobody is asked twice, all is charged as before, and what was spared is told."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

import agentsoc
from agentsoc import RunLog
from agentsoc.cli import main
from agentsoc.contracts.model import Completion, Usage
from agentsoc.engine.replay import replay
from agentsoc.engine.reply_cache import ReplyCache
from agentsoc.engine.resume import resume
from agentsoc.engine.run import Progress, run, run_async
from agentsoc.errors import InputError, RunFailedError
from tests.contract.odd_server import OddServer
from tests.e2e.test_failures import answers, scenario, server

__all__ = ["server"]
PRICES = {"openai/voter": {"input": 1.0, "output": 2.0}}


def cached(server: OddServer, tmp_path: Path, habit: str = "voter", **more: Any) -> Any:
    calls = {"cache": str(tmp_path / "replies.sqlite"), **more.pop("calls", {})}
    return scenario(server, habit, calls=calls, budget={"tokens_per_task": 4_000}, prices=PRICES, **more)


def test_a_second_run_asks_nobody_and_gives_the_same_log(
    server: OddServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = cached(server, tmp_path)
    first = run(asked, tmp_path / "first")
    assert len(server.calls) == 24
    assert first.summary()["cached"] == {"calls": 0, "tokens": 0, "cost": 0.0}
    second = run(asked, tmp_path / "second")
    assert len(server.calls) == 24
    assert second.manifest.digest == first.manifest.digest
    one, other = first.manifest.totals, second.manifest.totals
    assert one == other  # charged as the calls were, so the budget is the same
    assert {row.model for row in second.journal()} == {"cache:litellm"}
    spared = second.summary()["cached"]
    assert (spared["calls"], spared["tokens"]) == (24, 24 * 62)
    assert spared["cost"] == other.cost == pytest.approx(24 * (50 + 2 * 12) / 1e6)
    second.check()
    replay(second.directory)
    (tmp_path / "s.yaml").write_text(json.dumps(asked.model_dump(mode="json", exclude_none=True)))
    assert main.main(["run", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "third")]) == 0
    assert "24 calls answered, 1,488 tokens, charged like all others; 0.0018 of the cost was not paid" in (
        capsys.readouterr().out
    )


def test_runs_that_use_one_file_at_once_disturb_each_other_in_nothing(server: OddServer, tmp_path: Path) -> None:
    asked = cached(server, tmp_path)

    async def both() -> list[Any]:
        return list(await asyncio.gather(*(run_async(asked, tmp_path / name) for name in "abc")))

    runs = asyncio.run(both())
    assert len({one.manifest.digest for one in runs}) == 1
    assert 24 <= len(server.calls) <= 3 * 24
    for one in runs:
        one.check()
        replay(one.directory)
        assert one.manifest.totals == runs[0].manifest.totals  # asked or found, it is charged alike
    before = len(server.calls)
    run(asked, tmp_path / "later")
    assert len(server.calls) == before


def test_processes_that_open_a_new_file_at_once_all_get_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from agentsoc.contracts.model import Completion, Request, Usage\n"
        "from agentsoc.engine.reply_cache import ReplyCache\n"
        "sys.stdin.read(); cache = ReplyCache(Path(sys.argv[1]))\n"
        "for n in range(50):\n"
        "    request = Request.of('s', f'{n}', 8, 0.5, n)\n"
        "    cache.put(b'm', request, Completion(f'a{n}', Usage(3, 0, 1)))\n"
        "    assert cache.get(b'm', request).text == f'a{n}'\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "new.sqlite")]
    children = [subprocess.Popen(words, stdin=subprocess.PIPE) for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    assert [child.wait(60) for child in children] == [0, 0, 0]


def test_a_file_that_somebody_keeps_locked_holds_up_no_run(server: OddServer, tmp_path: Path) -> None:
    asked = cached(server, tmp_path)
    ReplyCache(tmp_path / "replies.sqlite").close()
    other = sqlite3.connect(tmp_path / "replies.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        began = time.monotonic()
        done = run(asked, tmp_path / "run")
        assert time.monotonic() - began < 8  # 24 replies that each waited for ten seconds would take four minutes
    finally:
        other.close()
    assert done.manifest.totals.calls_failed == 0
    run(asked, tmp_path / "again")
    assert len(server.calls) == 48  # what it could not keep is asked again, and kept
    run(asked, tmp_path / "last")
    assert len(server.calls) == 48


def test_what_is_asked_otherwise_is_asked(server: OddServer, tmp_path: Path) -> None:
    run(cached(server, tmp_path), tmp_path / "first")
    run(cached(server, tmp_path, seed=6), tmp_path / "seed")
    assert len(server.calls) == 48
    run(cached(server, tmp_path, habit="plain"), tmp_path / "model")
    assert len(server.calls) == 72


def test_failures_are_not_kept(server: OddServer, tmp_path: Path) -> None:
    asked = cached(server, tmp_path, habit="missing")
    with pytest.raises(RunFailedError):
        run(asked, tmp_path / "failed")
    server.well = True
    assert answers(resume(tmp_path / "failed")) == answers(run(asked, tmp_path / "again"))
    assert run(asked, tmp_path / "third").summary()["cached"]["calls"] == 24


def test_a_damaged_row_is_asked_again_and_another_file_is_refused(server: OddServer, tmp_path: Path) -> None:
    asked = cached(server, tmp_path)
    first = run(asked, tmp_path / "first")
    with sqlite3.connect(tmp_path / "replies.sqlite") as db:
        db.execute("UPDATE replies SET completion = x'00' WHERE key = (SELECT min(key) FROM replies)")
    again = run(asked, tmp_path / "again")
    assert len(server.calls) == 25
    assert again.manifest.digest == first.manifest.digest
    (tmp_path / "other").write_text("no database at all, but long enough to be looked at" * 100)
    with pytest.raises(InputError, match="the cache of replies cannot be used"):
        run(cached(server, tmp_path, calls={"cache": str(tmp_path / "other")}), tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "made",
    [
        ("CREATE TABLE replies (a)",),
        ("CREATE VIEW replies AS SELECT 1 AS key, zeroblob(900000000) AS completion, x'00' AS checksum",),
        (
            "CREATE VIEW replies AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) "
            "SELECT x AS key, x AS completion, x AS checksum FROM c WHERE x < 0",
        ),
        (
            "CREATE TABLE replies (key BLOB PRIMARY KEY, completion BLOB, checksum BLOB) WITHOUT ROWID",
            "CREATE TRIGGER t AFTER INSERT ON replies BEGIN DELETE FROM replies; END",
        ),
        ("CREATE TABLE mine (a)", "INSERT INTO mine VALUES (1)"),
    ],
    ids=["columns", "large", "endless", "trigger", "another"],
)
def test_a_database_that_does_more_than_keep_replies_is_refused(
    server: OddServer, tmp_path: Path, made: tuple[str, ...]
) -> None:
    with sqlite3.connect(tmp_path / "replies.sqlite") as db:
        for statement in made:
            db.execute(statement)
    before = (tmp_path / "replies.sqlite").read_bytes()
    with pytest.raises(InputError, match="the cache of replies cannot be used: it is another database"):
        run(cached(server, tmp_path), tmp_path / "run")
    assert not server.calls
    assert (tmp_path / "replies.sqlite").read_bytes() == before


@pytest.mark.parametrize("usage", [Usage(-10_000, 0, 12), Usage(50, 60, 12), Usage(50, 0, 10**12)])
def test_a_row_with_a_usage_that_nobody_can_be_charged_is_asked_again(
    server: OddServer, tmp_path: Path, usage: Usage
) -> None:
    asked = cached(server, tmp_path)
    first = run(asked, tmp_path / "first")
    with sqlite3.connect(tmp_path / "replies.sqlite") as db:
        for key, packed in db.execute("SELECT key, completion FROM replies").fetchall():
            found = msgspec.msgpack.decode(packed, type=Completion)
            forged = msgspec.msgpack.encode(msgspec.structs.replace(found, usage=usage))
            checksum = hashlib.blake2b(key + forged, digest_size=16).digest()
            db.execute("UPDATE replies SET completion = ?, checksum = ? WHERE key = ?", (forged, checksum, key))
    again = run(asked, tmp_path / "again")
    assert len(server.calls) == 48
    assert again.manifest.totals == first.manifest.totals


def test_a_row_that_is_too_long_is_asked_again(server: OddServer, tmp_path: Path) -> None:
    asked = cached(server, tmp_path)
    run(asked, tmp_path / "first")
    with sqlite3.connect(tmp_path / "replies.sqlite") as db:
        db.execute("UPDATE replies SET completion = zeroblob(50000000) WHERE key = (SELECT min(key) FROM replies)")
    assert run(asked, tmp_path / "again").summary()["cached"]["calls"] == 23


def test_a_cache_is_always_a_file(server: OddServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = cached(server, tmp_path, calls={"cache": ":memory:"})
    run(asked, tmp_path / "first")
    assert run(asked, tmp_path / "again").summary()["cached"]["calls"] == 24


def test_another_version_of_the_model_is_told_also_after_a_resume(server: OddServer, tmp_path: Path) -> None:
    progress = Progress()
    done = run(scenario(server, "version"), tmp_path / "run", progress=progress)
    assert sum("another version answers" in text for text in progress.notices) == 1
    assert done.manifest.models[0]["authors"] == ["m-0301", "m-0613"]
    server.author, server.before = "m-1", 30 + len(server.calls)
    asked = scenario(server, "revoked", tasks={"kind": "jsonl", "file": "mine.jsonl", "count": 40})
    with pytest.raises(RunFailedError):
        run(asked, tmp_path / "resumed")
    server.author, server.well, progress = "m-2", True, Progress()
    resumed = resume(tmp_path / "resumed", progress=progress)
    assert any("m-1 when the run began and now come from m-2" in text for text in progress.notices)
    assert resumed.manifest.models[0]["authors"] == ["m-1", "m-2"]
    learned = run(scenario(server, "noseed"), tmp_path / "noseed").manifest.models[0]["learned"]
    assert "seed is refused" in learned[0]


def compared(
    server: OddServer, tmp_path: Path, habit: str, concurrency: int, cache: str | None
) -> tuple[list[RunLog], int]:
    """Compare teams of which the smaller is the first agents of the larger; return their runs and what was asked."""
    asked = scenario(
        server,
        habit,
        agents={"prompts": {"system": ""}},
        calls={"cache": cache, "backoff_s": 0.01},
        engine={"concurrency": concurrency},
        budget={"tokens_per_task": 20_000},
    )
    teams = {f"vote-{n}": {"topology": "independent", "protocol": "vote", "agents": {"count": n}} for n in (2, 3, 5)}
    base = asked.model_dump(mode="json", exclude_unset=True, exclude={"name"})
    file = tmp_path / f"{'bare' if cache is None else 'cached'}.yaml"
    file.write_text(json.dumps({"name": "teams", "base": base, "organisations": teams, "baseline": "vote-2"}))
    before = len(server.calls)
    agentsoc.compare(file, file.with_suffix(""), workers=1)
    return [RunLog(path) for path in sorted((tmp_path / file.stem / "runs").iterdir())], len(server.calls) - before


@pytest.mark.parametrize("concurrency", [2, 64], ids=["few places", "many places"])
def test_organisations_that_ask_the_same_at_once_ask_it_once(
    server: OddServer, tmp_path: Path, concurrency: int
) -> None:
    bare, asked = compared(server, tmp_path, "voter", concurrency, None)
    assert asked == 8 * (2 + 3 + 5)
    cached, asked = compared(server, tmp_path, "voter", concurrency, str(tmp_path / "replies.sqlite"))
    assert asked == 8 * 5
    assert [answers(one) for one in cached] == [answers(one) for one in bare]
    assert [one.manifest.totals.tokens for one in cached] == [one.manifest.totals.tokens for one in bare]
    assert sum(row.model == "cache:litellm" for one in cached for row in one.journal()) == 8 * 5
    for one in cached:
        one.check()
        replay(one.directory)


def test_who_waits_for_a_request_that_fails_asks_it_as_well(server: OddServer, tmp_path: Path) -> None:
    bare, _ = compared(server, tmp_path, "flaky", 64, None)
    cached, asked = compared(server, tmp_path, "flaky", 64, str(tmp_path / "replies.sqlite"))
    assert [answers(one) for one in cached] == [answers(one) for one in bare]
    failed = [[row.key for row in one.journal() if row.failure is not None] for one in cached]
    assert failed == [[row.key for row in one.journal() if row.failure is not None] for one in bare]
    assert min(map(len, failed)) > 0
    times = Counter(int(body["seed"]) for body in server.calls[-asked:])
    assert {n for seed, n in times.items() if seed % 3} == {1}, "an answer is shared"
    assert sum(n for seed, n in times.items() if not seed % 3) == sum(map(len, failed)), "a failure is nobody else's"
    assert max(times.values()) > 1
    for one in cached:
        replay(one.directory)
