"""Does a killed run go on as if it had not been killed? Kills at random moments and at the worst ones, counted.

Run: ``python -m benchmarks.study_kills [--part NAME ...] [--scale 1.0]`` (206 kills; about 20 minutes, most of them for
the starts of Ray; prints a table in Markdown, exits with 1 when a promise was broken). The moments are drawn with fixed
seeds; what a kill at a wall time hits is up to the machine, and the promises hold wherever it does.

After every kill `agentsoc check` has to find the directory sound and to leave it as it is. Then the run is resumed or,
where it had no manifest yet, started again in the same place, and may be killed again. At the end every reply that was
acknowledged is in the journal, no attempt with an outcome was made again (counted at the model), every attempt of
unknown outcome is charged, and nothing is left behind. Where there is no budget the log, the table of episodes and all
totals but lost calls and tokens are those of the run that nobody killed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentsoc.log.journal import Attempt
from agentsoc.log.names import EPISODES
from agentsoc.log.read import RunLog
from benchmarks.kills import (
    FLUSHED,
    PAID,
    RATIONED,
    SERVED,
    SPREAD,
    VOTERS,
    AnyLife,
    Kill,
    OneProcess,
    RayLife,
    ServedLife,
    SlowServer,
    Whole,
    anywhere,
    checked,
    driver_or_host,
    names,
    slow_server,
)
from tests.e2e.test_crash import outcomes
from tests.e2e.victim import society

LOST = ("calls_lost", "tokens_lost", "cost_lost")
"""What a crash may change in the totals of a run without a budget."""


@dataclass
class Kind:
    """Runs of one kind, and how they are killed."""

    name: str
    whole: dict[str, Any] | None
    """The scenario; None for the society of the victims of tests/e2e, with `changes`."""
    kills: int
    draw: Callable[[random.Random, Whole], list[Kill]]
    """Returns the kills of one life: the same, whatever the machine."""
    changes: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=lambda: dict(FLUSHED))
    life: type[AnyLife] = OneProcess
    same_end: bool = True
    """Whether the end is that of the run that nobody killed: wherever no call is paid from a budget."""

    def options(self) -> dict[str, Any]:
        return {"whole": self.whole, "changes": self.changes, "settings": self.settings}


@dataclass
class Found:
    """What the kills of a kind came to."""

    kind: Kind
    lives: int = 0
    kills: int = 0
    missed: int = 0
    """Runs that had ended before their time to be killed came."""
    before_manifest: int = 0
    twice: int = 0
    places: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    """Attempts with an outcome in the journal at the moments of the kills, each counted once a life."""
    lost: int = 0
    same_digest: int = 0
    partly: int = 0
    """Kills that left some of the events on disk."""
    broken: list[str] = field(default_factory=list)

    def row(self) -> str:
        same = f"{self.same_digest} of {self.lives}" + ("" if self.kind.same_end else " (not promised)")
        kills = (self.kind.name, self.kills, self.lives, self.twice, self.before_manifest, self.partly)
        cells = (*kills, f"{self.acknowledged:,}", f"{self.lost:,}", same, len(self.broken))
        return f"| {' | '.join(map(str, cells))} |"


COLUMNS = (
    *("runs", "kills", "lives", "of these killed twice", "kills before the manifest", "kills with events on disk"),
    *("replies on disk when killed", "calls lost", "same digest", "promises broken"),
)
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def carry_out(life: AnyLife, kind: Kind, verb: str, kill: Kill, rng: random.Random) -> Any:
    """Start a process and kill it as told; return it when it is dead or done."""
    at = {name: kill[name] for name in ("die", "place") if name in kill}
    child = life.start(verb, **kind.options(), **at)
    if "after_s" in kill:
        child.join(kill["after_s"])
    for name in ("after_calls", "host_after_calls"):
        give_up = time.monotonic() + 120
        while name in kill and child.is_alive() and time.monotonic() < give_up:
            if len(life.calls()) >= kill[name]:
                break
            time.sleep(0.01)
    if "host_after_calls" in kill:
        assert isinstance(life, RayLife)
        hosts = [pid for pid, words in life.processes_of_it().items() if words.startswith("ray::Host")]
        if hosts and child.is_alive():
            os.kill(rng.choice(hosts), signal.SIGKILL)
            kill["hit"] = True
    elif not at and child.is_alive():
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
    child.join(180)
    return child


class Broken(list[str]):
    """Promises that were broken in one life, in words."""

    def unless(self, holds: bool, what: str) -> None:
        if not holds:
            self.append(what)


def one_life(kind: Kind, seed: int, life: AnyLife, whole: Whole, found: Found) -> None:
    """Kill a run as its seed says, let it finish, and note every promise that it breaks."""
    rng = random.Random(f"{kind.name} {seed}")
    broken, verb, hits = Broken(), "run", 0
    before: dict[tuple[int, ...], Attempt] = {}
    seen = 0
    for kill in kind.draw(rng, whole):
        child = carry_out(life, kind, verb, kill, rng)
        if kill.get("hit"):  # a host of a run that goes on
            hits += 1
            found.places["host"] += 1
            broken.unless(child.exitcode == 0, f"the run of a killed host ended with {child.exitcode}")
            break
        if child.exitcode != -signal.SIGKILL:
            broken.unless(child.exitcode == 0, f"it ended with {child.exitcode}")
            verb = "resume"  # it had ended before its time came: there is nothing to do, and nothing may be done
            break
        hits += 1
        found.places[str(kill.get("place", ["commit" if "die" in kill else "any time"])[0])] += 1
        if isinstance(life, RayLife):
            broken.unless(not life.leftovers(), "a killed driver left processes")
        begun = (life.directory / "manifest.json").exists()
        found.before_manifest += not begun
        _look(life, begun, broken, found)
        bought = outcomes(life.rows())
        broken.unless(
            all(bought[key].reply == row.reply if key in bought else False for key, row in before.items()),
            "an acknowledged reply is gone",
        )
        calls = life.calls()
        if not isinstance(life, ServedLife):
            broken.unless(set(bought) <= set(calls), "the journal has an outcome that the model did not give")
            broken.unless(not set(calls[seen:]) & set(before), "a reply on disk was bought again")
        broken.unless(len(calls) >= len(bought), "the journal has more outcomes than the model gave")
        broken.unless(len(calls[seen:]) >= len(bought) - len(before), "outcomes without calls")
        broken.unless(begun or not calls, "calls were made before there was a manifest")
        before, seen, verb = bought, len(calls), "resume" if begun else "run"
        found.acknowledged += len(bought)
    found.kills += hits
    found.twice += hits > 1
    found.lives += hits > 0
    found.missed += not hits
    if not hits:
        return
    if not kill.get("hit"):
        child = life.start(verb, **kind.options())
        child.join(240)
        broken.unless(child.exitcode == 0, f"{verb} after the kill ended with {child.exitcode}")
    _compare(kind, life, whole, found, broken, before, seen)
    found.broken += [f"{kind.name}, seed {seed}: {what}" for what in broken]


def _look(life: AnyLife, begun: bool, broken: Broken, found: Found) -> None:
    """Check what is on disk after a kill, without changing it."""
    if not life.directory.exists():
        return
    there = names(life.directory)
    code, said = checked(life.directory)
    if begun:
        broken.unless(code == 0, f"check of what is on disk: {code}, {said.strip()[:300]}")
        found.partly += any(name.startswith("events/part") for name in there)
    else:
        broken.unless("there is no manifest here" in said, f"check without a manifest: {said.strip()[:300]}")
    broken.unless(
        names(life.directory) == there, f"check changed the directory: {set(names(life.directory)) ^ set(there)}"
    )


def _compare(
    kind: Kind,
    life: AnyLife,
    whole: Whole,
    found: Found,
    broken: Broken,
    before: dict[tuple[int, ...], Attempt],
    seen: int,
) -> None:
    """Compare the run that was killed and finished with what was promised."""
    log = RunLog(life.directory)
    rows = list(log.journal())
    bought, lost = outcomes(rows), [row for row in rows if row.state == "started"]
    calls = life.calls()
    after = calls[seen:]
    found.lost += len(lost)
    same = log.manifest.digest == whole.log.manifest.digest
    found.same_digest += same
    broken.unless(log.manifest.status == "finished", f"it is {log.manifest.status}")
    code, said = checked(life.directory)
    broken.unless(code == 0 and "  but" not in said, f"check of the finished run: {code}, {said.strip()[:300]}")
    broken.unless(life.replayed() == (log.manifest.digest, 0), "replay gives something else")
    broken.unless(len(life.calls()) == len(calls), "check or replay called the model")
    broken.unless(
        all(key in bought and bought[key].reply == row.reply for key, row in before.items()),
        "an acknowledged reply is gone",
    )
    if not isinstance(life, ServedLife):
        broken.unless(not set(after) & set(before), "a reply on disk was bought again")
        broken.unless(set(calls) >= set(bought), "an outcome without a call")
    more_lost = len(calls) - len(bought)
    broken.unless(0 <= more_lost <= len(lost), f"{more_lost} calls beyond the outcomes, {len(lost)} attempts lost")
    totals, undisturbed = log.manifest.totals, whole.log.manifest.totals
    broken.unless(totals.calls_lost == len(lost), f"{len(lost)} attempts lost, {totals.calls_lost} counted")
    _episodes(kind, log, whole, lost, broken)
    if kind.same_end:
        broken.unless(same, "the digest is another one")
        ours, theirs = totals.model_dump(), undisturbed.model_dump()
        for name in ours:
            broken.unless(
                name in LOST or ours[name] == theirs[name], f"totals.{name}: {ours[name]}, not {theirs[name]}"
            )
        reserved = sum(row.reserved for row in lost)
        broken.unless(
            totals.tokens_lost - undisturbed.tokens_lost == reserved,
            f"tokens lost: {totals.tokens_lost - undisturbed.tokens_lost} more, {reserved} reserved for lost calls",
        )
        expected = outcomes(whole.rows)
        broken.unless(
            {k: r.reply for k, r in bought.items()} == {k: r.reply for k, r in expected.items()}, "other replies"
        )
        beyond = sum((Counter(calls) - whole.calls).values())
        broken.unless(beyond <= len(lost), f"{beyond} calls beyond those of the whole run, {len(lost)} attempts lost")
    broken.unless(
        (left := set(names(life.directory)) ^ set(whole.names)) <= _segments(left), f"files differ: {sorted(left)}"
    )
    broken.unless(not (alive := life.leftovers()), f"processes are left: {alive}")
    if isinstance(life, RayLife):
        broken.unless(not (dirs := list(life.directory.parent.glob("asoc-*"))), f"directories of Ray are left: {dirs}")


def _segments(found: set[str]) -> set[str]:
    """Return the event files among names: into how many a log is cut depends on the time it took."""
    return {name for name in found if name.startswith("events/part-") and name.endswith(".parquet")}


def _episodes(kind: Kind, log: RunLog, whole: Whole, lost: list[Attempt], broken: Broken) -> None:
    """Compare the tables of episodes, and what each says it lost with the journal."""
    rows, theirs = log.episodes(), whole.log.episodes()
    assert rows is not None
    assert theirs is not None
    for row in rows.iter_rows(named=True):
        mine = [attempt for attempt in lost if attempt.task == row["task"]]
        held = sum(attempt.reserved for attempt in mine)
        broken.unless(row["calls_lost"] == len(mine), f"task {row['task']} lost {len(mine)}, says {row['calls_lost']}")
        broken.unless(row["tokens_lost"] >= held, f"task {row['task']}: a lost attempt was refunded")
        spent = row["tokens_in"] + row["tokens_out"] + row["tokens_lost"] - row["tokens_overrun"]
        broken.unless(row["charged"] == spent, f"task {row['task']}: charged {row['charged']}, spent {spent}")
        broken.unless(row["budget"] is None or row["charged"] <= row["budget"], f"task {row['task']} is over budget")
    if kind.same_end:
        drop = ("charged", "tokens_lost", "calls_lost", "cost_lost")
        broken.unless(rows.drop(*drop).equals(theirs.drop(*drop), null_equal=True), "the episodes differ")
        if not lost:
            same = (log.directory / EPISODES).read_bytes() == (whole.log.directory / EPISODES).read_bytes()
            broken.unless(same, "episodes.parquet differs although no call was lost")


def kinds(server: SlowServer) -> dict[str, Kind]:
    """Return all kinds by name; the kills of all are 206."""
    ServedLife.server = server
    model = {"kind": "litellm", "name": "openai/m", "base_url": server.base_url, "api_key_env": None}
    served = {**SERVED, "agents": {**SERVED["agents"], "model": model}}
    blocks = {**FLUSHED, "FLUSH_S": 0.0, "ROWS_AT_ONCE": 8_000}
    return {
        "process": Kind("in process, scripted model", None, 64, anywhere),
        "process-paid": Kind("the same, with a budget", None, 30, anywhere, PAID, same_end=False),
        "columns": Kind("simulated columns", VOTERS, 32, anywhere, settings=blocks),
        "columns-paid": Kind(
            "the same, with a budget", {**VOTERS, "budget": {"tokens_per_task": 40_000}}, 10, anywhere, settings=blocks
        ),
        "http": Kind("slow HTTP server", served, 32, anywhere, life=ServedLife),
        "http-paid": Kind(
            "the same, with a budget",
            {**served, "budget": {"tokens_per_task": 9_000}},
            12,
            anywhere,
            life=ServedLife,
            same_end=False,
        ),
        "ray": Kind("2 Ray hosts, scripted model", SPREAD, 20, driver_or_host, life=RayLife),
        "ray-paid": Kind("the same, with a budget", RATIONED, 6, driver_or_host, life=RayLife, same_end=False),
    }


def study(kind: Kind, scale: float, home: Path, first: int = 0) -> Found:
    """Carry out the kills of a kind."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.e2e.victim"])

    def begin(name: str) -> AnyLife:
        (home / name).mkdir()
        life = kind.life(context, home / name)
        if isinstance(life, ServedLife):
            life.first = len(life.server.requests)
        return life

    life = begin("w")
    if isinstance(life, RayLife):
        life.engine = ()
    for _ in range(2):  # the first one warms up
        shutil.rmtree(life.directory, ignore_errors=True)
        life.bill.unlink(missing_ok=True)
        if isinstance(life, ServedLife):
            life.first = len(life.server.requests)
        began = time.monotonic()
        assert life.to_the_end("run", **kind.options()) == 0, life.directory
        seconds = time.monotonic() - began
    log = RunLog(life.directory)
    log.check()
    whole = Whole(log, seconds, list(log.journal()), Counter(life.calls()), names(life.directory))
    calls, segments = log.manifest.totals.calls, len(log.segments)
    print(f"{kind.name}: undisturbed {seconds:.2f} s, {calls} calls, {segments} segments", flush=True)
    found, seed = Found(kind), first
    while found.kills < scale * kind.kills and seed < first + 4 * kind.kills:
        life = begin(str(seed))
        one_life(kind, seed, life, whole, found)
        if not any(f"seed {seed}:" in text for text in found.broken):
            shutil.rmtree(home / str(seed))
        seed += 1
        if isinstance(life, RayLife):
            print(f"  seed {seed}: {found.kills} kills, {len(found.broken)} broken", flush=True)
    print("\n".join(found.broken), flush=True)
    print(f"  at: {dict(found.places.most_common())}; {found.missed} had ended before; next seed {seed}", flush=True)
    return found


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", action="append", default=[], help="a kind of runs; all of them without it")
    parser.add_argument("--scale", type=float, default=1.0, help="times the kills of each kind")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    told = parser.parse_args()
    main_module = sys.modules["__main__"]  # victims need nothing of it, and would run it each time they start
    main_module.__spec__ = None
    del main_module.__file__
    society()  # makes its parts known here, where runs are replayed
    home = Path(tempfile.mkdtemp(prefix="kills"))
    lines = []
    with slow_server() as server:
        for name, kind in kinds(server).items():
            if not told.part or name in told.part:
                (home / name).mkdir()
                lines.append(study(kind, told.scale, home / name, told.seed))
    print(HEADER)
    print("\n".join(found.row() for found in lines))
    if any(found.broken for found in lines):
        print(f"what is left of them: {home}")
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
