"""This module has runs carried out by the hosts of a `CellPool`, each once, and tells its owner what came of each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agentsoc.errors import AgentsocError
from agentsoc.experiment.cell import is_pure
from agentsoc.experiment.spread import Answer, CellPool, FarHost, HostDiedError
from agentsoc.scenario.model import Scenario

LIVE_RUNS: Final = 8
"""Runs that ask a model and go on at once: enough to keep its gate busy, few enough for the memory (runs)."""

FAR_GRACE_S: Final = 6.0
"""How long runs on hosts may take longer to end than those here, as their files have to arrive (seconds)."""


@dataclass(frozen=True)
class FarRun:
    """A run that a host is to carry out."""

    name: str
    directory: Path
    """Where it is to be; nothing, or an empty directory."""
    scenario: Scenario


class RunReports(Protocol):
    """Whoever wants to hear how runs ended."""

    def begun(self, name: str) -> None:
        """A run was given to a host."""

    def made(self, name: str, answer: Answer) -> None:
        """A run has ended, and its directory is in its place, if it left one."""

    def refused(self, name: str, error: str) -> None:
        """A run failed, and nothing of it is here."""

    def lost(self, name: str) -> None:
        """A run was lost with its host, and is waiting again."""


async def carry_out_all(pool: CellPool, runs: Sequence[FarRun], reports: RunReports, stop: asyncio.Event) -> None:
    """Return when every run has ended, or none is begun any more because `stop` is set.

    Raises:
        RunFailedError: the cluster is gone, or no host is left; runs that are not told of have not been made.
    """
    live = deque(run for run in runs if not is_pure(run.scenario))
    pure = deque(run for run in runs if is_pure(run.scenario))
    lanes = -(-min(LIVE_RUNS, len(live)) // len(pool.hosts)) if live else 0

    async def of_host(host: FarHost) -> None:
        # a run that is computed holds its host up: not while others there wait for models
        await asyncio.gather(*(_lane(pool, host, live, reports, stop) for _ in range(lanes)))
        await _lane(pool, host, pure, reports, stop)

    # a run that is lost comes back to be made when the other hosts may have ended already
    while (live or pure) and not stop.is_set():
        hosts = [host for host in pool.hosts if not host.given_up]
        if not hosts or pool.gone:
            raise pool.ended()
        await asyncio.gather(*(of_host(host) for host in hosts))


async def _lane(pool: CellPool, host: FarHost, runs: deque[FarRun], reports: RunReports, stop: asyncio.Event) -> None:
    """Have one host carry out runs until none is left, or the host is."""
    while runs and not stop.is_set() and not host.given_up and not pool.gone:
        run = runs.popleft()
        reports.begun(run.name)
        try:
            answer = await pool.carry_out(host, run.directory, run.scenario)
        except HostDiedError:
            runs.appendleft(run)
            reports.lost(run.name)
        except Exception as error:
            reports.refused(
                run.name, str(error) if isinstance(error, AgentsocError) else f"{type(error).__name__}: {error}"
            )
        else:
            reports.made(run.name, answer)
