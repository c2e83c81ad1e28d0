"""This module has the runs of a sweep made by hosts of a Ray cluster, side by side: `run_sweep`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from agentsoc.engine.consent import require_consent
from agentsoc.engine.interrupt import GRACE_S, first_signal
from agentsoc.engine.run import Progress, refuse_secrets
from agentsoc.engine.waiting import STOP, wait_for
from agentsoc.errors import InterruptedRunError
from agentsoc.experiment.far_runs import FAR_GRACE_S, FarRun, carry_out_all
from agentsoc.experiment.spread import Answer, CellPool, SpreadMeans
from agentsoc.experiment.tally import Tally
from agentsoc.log.inside import by_umask
from agentsoc.log.manifest import load_manifest

Told = Callable[[str, Answer], None]
"""Called with the name of each run and how it ended, as it ends."""


class InterruptedSweepError(InterruptedRunError):
    """A sweep was asked to stop before all of its runs were made."""

    def __str__(self) -> str:
        return "interrupted; finished runs are kept, and what was received of others is safe: agentsoc ls shows both"


def run_sweep(runs: Sequence[FarRun], means: SpreadMeans, told: Told, progress: Progress | None = None) -> None:
    """Have hosts carry out runs, each once; also inside a running event loop.

    Args:
        runs: what to run and where each is to be: nothing, or an empty directory.
        means: the hosts and what they are given.
        told: hears how each run ended.
        progress: filled as runs end.

    Raises:
        ConsentNeededError: the runs would send something to an address that nobody has agreed to; nothing was sent.
        InputError, RunFailedError: the cluster cannot be joined or is gone, or hosts do not start.
        InterruptedSweepError: it was asked to stop.
    """
    wait_for(sweep_async(runs, means, told, progress))


async def sweep_async(runs: Sequence[FarRun], means: SpreadMeans, told: Told, progress: Progress | None = None) -> None:
    """Have hosts carry out runs from inside an event loop; see `run_sweep`."""
    for run in runs:
        refuse_secrets(run.scenario)
    require_consent([run.scenario for run in runs], means.consent)
    stop = STOP.get() or asyncio.Event()
    tally = Tally(progress or Progress(), sum(run.scenario.tasks.count for run in runs))
    pool = CellPool(means, tally.whole.notices)
    reports = _Reports(tally, told, {run.name: run.directory for run in runs})
    with by_umask(means.umask), first_signal(stop.set):
        await pool.start()
        work = asyncio.create_task(carry_out_all(pool, runs, reports, stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await pool.stop()
                await asyncio.wait({work}, timeout=GRACE_S + FAR_GRACE_S)
        finally:
            stopping.cancel()
            await pool.close()
        with contextlib.suppress(asyncio.CancelledError):
            await work
    if stop.is_set() and reports.finished < len(runs):
        raise InterruptedSweepError("")


class _Reports:
    def __init__(self, tally: Tally, told: Told, places: dict[str, Path]) -> None:
        self._tally, self._told, self._places = tally, told, places
        self.finished = 0

    def begun(self, name: str) -> None:
        """A host was given a run."""
        self._tally.begin(name)

    def lost(self, name: str) -> None:
        """A run was lost with its host."""
        self._tally.drop(name)

    def refused(self, name: str, error: str) -> None:
        """A run failed, and nothing of it is here."""
        self.made(name, Answer("failed", error, ()))

    def made(self, name: str, answer: Answer) -> None:
        """A run has ended."""
        for text in answer.notices:
            self._tally.say(f"{name}: {text}")
        done = answer.status == "finished"
        self.finished += done
        self._tally.end(name, load_manifest(self._places[name]).totals if done else None)
        self._told(name, answer)
