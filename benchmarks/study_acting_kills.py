"""Is the log of agents with tools the same whoever runs it, and is nothing that writes done twice, whatever is killed?

Run: ``python -m benchmarks.study_acting_kills [--kills 164] [--no-ray]`` (200 kills by SIGKILL with Ray; ten minutes on
two cores; prints a table in Markdown, exits with 1 when a promise was broken).

Two societies, a debate and a lake with talk, in which each turn looks a word up (a tool that reads), notes one (a tool
that writes, into a file that is counted) and calculates. In one process a kill comes in the middle of a call, before or
after its effect, or at a commit of the journal; on 1, 2 and 7 hosts of Ray a host or the driver is killed. At
concurrency 1, 8 and 64 each. At the end the digest is that of the undisturbed run, unless a call that writes was cut
off: then its agent was told that it is lost. No word is written twice; what reads is made at most once more a kill;
replay calls nothing.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.acting import End, Whole, ended, go_on, killed, some_kill, undisturbed, written
from tests.interrupted_on_ray import cluster_address, driver_killed, hosts_killed

CONCURRENCY: Final = (1, 8, 64)
HOSTS: Final = (1, 2, 7)
SOCIETIES: Final = ("talk", "world")
LAZY: Final = (
    *(
        "agentsoc.environments.commons",
        "agentsoc.protocols.debate",
        "agentsoc.protocols.play",
        "agentsoc.tasks.episodes",
    ),
    *(
        "agentsoc.tasks.sentiment",
        "agentsoc.tools.calculator",
        "agentsoc.plugin",
        "jsonschema",
        "pandas",
        "pyarrow.parquet",
    ),
)
"""What a run of these societies imports when it first needs it: once for all children."""
COLUMNS: Final = ("runs", "lives", "kills", "same digest", "calls lost", "reads made again", "promises broken")


@dataclass
class Found:
    """What the runs of one kind came to."""

    name: str
    lives: int = 0
    kills: int = 0
    same: int = 0
    lost: int = 0
    again: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, end: End, kills: int, label: str) -> None:
        """Add a life."""
        self.lives += 1
        self.kills += kills
        self.same += end.same
        self.lost += end.lost
        self.again += max(end.again, 0)
        self.broken += [f"{label}: {what}" for what in end.broken]

    def row(self) -> str:
        """Return the row of a table."""
        cells = (self.name, self.lives, self.kills, f"{self.same} of {self.lives}", self.lost, self.again)
        return f"| {' | '.join(map(str, (*cells, len(self.broken))))} |"


def in_process(name: str, whole: Whole, home: Path, kills: int, seed: int = 0) -> list[Found]:
    """Run a society undisturbed at every concurrency, then with kills until there were so many."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["benchmarks.acting", *LAZY])
    plain, hit = Found(f"{name}, one process"), Found(f"{name}, one process, killed and resumed")
    for concurrency in CONCURRENCY:
        where = home / f"plain-{concurrency}"
        written(name, where)
        go_on(where, {"concurrency": concurrency})
        plain.add(ended(where, whole, 0), 0, where.name)
    while hit.kills < kills:
        rng = random.Random(f"{name} {seed}")
        where, engine = home / f"killed-{seed}", {"concurrency": CONCURRENCY[seed % 3]}
        written(name, where)
        wanted = [some_kill(rng, 2 * len(whole.rows), whole.n_calls) for _ in range(rng.choice([1, 1, 2]))]
        n = killed(processes, where, engine, wanted)
        hit.add(ended(where, whole, n), n, f"{where.name} {wanted}")
        seed += 1
    return [plain, hit]


def on_ray(name: str, whole: Whole, home: Path, at_once: Sequence[int] = CONCURRENCY) -> list[Found]:
    """Run a society on 1, 2 and 7 hosts at each concurrency: undisturbed, with a host killed, with the driver."""
    found = []
    for hosts in HOSTS:
        plain, host, driver = (
            Found(f"{name}, {hosts} hosts{what}") for what in ("", ", a host killed", ", driver killed and resumed")
        )
        found += [plain, host, driver]
        for concurrency in at_once:
            rng = random.Random(f"{name} {hosts} {concurrency}")
            engine: dict[str, Any] = {"hosts": hosts, "address": "local", "concurrency": concurrency}
            for kind in (plain, host, driver):
                where = home / f"ray-{hosts}-{concurrency}-{found.index(kind) % 3}"
                written(name, where)
                hits, row = 0, rng.randrange(5, len(whole.rows) // 2)
                if kind is host:
                    hits = hosts_killed(functools.partial(go_on, where, engine), where / "run", rng, [row])
                else:
                    if kind is driver:
                        joined = {**engine, "address": cluster_address()}
                        hits = driver_killed(_driver(where, joined), where / "run", row)
                    go_on(where, engine)
                kind.add(ended(where, whole, hits), hits, where.name)
                print(f"  {kind.name}, concurrency {concurrency}: {hits} kills, broken {kind.broken}", flush=True)
    return found


def _driver(home: Path, engine: dict[str, Any]) -> list[str]:
    program = (
        f"from benchmarks.acting import live\nif __name__ == '__main__':\n    live({str(home)!r}, {engine!r}, {{}})"
    )
    return ["-c", program]


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=164, help="in one process, over both societies")
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--concurrency", type=int, action="append", default=[], help="on Ray; 1, 8 and 64 without it")
    told = parser.parse_args()
    main_module = sys.modules["__main__"]  # children need nothing of it, and would run it each time they start
    main_module.__spec__ = None
    del main_module.__file__
    home, found = Path(tempfile.mkdtemp(prefix="acting")), []
    for name in SOCIETIES:
        whole = undisturbed(name, home / name / "whole")
        print(
            f"{name}: {len(whole.rows)} rows, {whole.n_calls} calls that write, digest {whole.digest[:16]}", flush=True
        )
        found += in_process(name, whole, home / name, told.kills // 2)
        print("\n".join(one.row() for one in found[-2:]), flush=True)
        if not told.no_ray:
            found += on_ray(name, whole, home / name, told.concurrency or CONCURRENCY)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    print("\n".join(one.row() for one in found))
    broken = [what for one in found for what in one.broken]
    print(f"{sum(one.kills for one in found)} kills, {len(broken)} promises broken", *broken, sep="\n")
    if not broken:
        shutil.rmtree(home)
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
