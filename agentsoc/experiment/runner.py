"""This module runs a comparison: `run_comparison` carries out all cells of a grid, side by side, each once.

Simulated cells go to worker processes, one for each core; cells that ask a model stay in this process, which holds the
models and one limit on their calls over all runs. What is finished is kept, what was interrupted is taken up again.
A cell that fails is named and keeps no other from being made. No result depends on who carried out what, or when.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from agentsoc.backends.secrets import redact
from agentsoc.engine.consent import Consent, destinations, require_consent
from agentsoc.engine.interrupt import GRACE_S, first_signal
from agentsoc.engine.run import Progress
from agentsoc.engine.shared import Shared
from agentsoc.engine.waiting import STOP, wait_for
from agentsoc.errors import AgentsocError, InputError, InterruptedRunError, RunLockedError
from agentsoc.experiment.cell import CellOptions, carry_out, is_portable, is_pure
from agentsoc.experiment.far_cells import far_cells, far_means
from agentsoc.experiment.far_runs import FAR_GRACE_S, LIVE_RUNS, FarRun, carry_out_all
from agentsoc.experiment.fill_pilots import set_dials
from agentsoc.experiment.grid import Cell, Grid, make_grid
from agentsoc.experiment.plan import build_kinds
from agentsoc.experiment.spread import Answer, CellPool, Spread, away, clear_incoming
from agentsoc.experiment.store import begin, finished_cells, given_grid, require_room
from agentsoc.experiment.tally import Tally
from agentsoc.experiment.worker import Worker, WorkerEndedError
from agentsoc.log.comparison import RUNS, CellRecord, ComparisonRecord
from agentsoc.log.files import RunLock
from agentsoc.log.inside import by_umask
from agentsoc.log.manifest import Totals, load_manifest
from agentsoc.log.names import INPUTS
from agentsoc.scenario.files import base_dir_kept

CELLS_PER_WORKER: Final = 4
"""Simulated cells for which a worker is worth its start (cells)."""
SAVE_S: Final = 1.0
"""How often the record of a comparison under way is written (seconds)."""


class InterruptedComparisonError(InterruptedRunError):
    """The comparison was asked to stop; it can be taken up again."""

    def __str__(self) -> str:
        return (
            "interrupted; finished runs are kept, and everything received is safe\n"
            f"    go on with: agentsoc compare {self.run_dir}"
        )


@dataclass(frozen=True)
class Outcome:
    """The outcome lists how the runs of a comparison ended."""

    directory: Path
    record: ComparisonRecord

    @property
    def failed(self) -> list[CellRecord]:
        """Cells that could not be finished."""
        return [cell for cell in self.record.cells if cell.status != "finished"]


def run_comparison(
    grid: Grid | Path | str,
    out: Path | str | None = None,
    *,
    workers: int | Spread | None = None,
    concurrency: int | None = None,
    code: Mapping[str, str] | None = None,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Outcome:
    """Carry out what is missing of a comparison; also inside a running event loop, as in a notebook.

    Args:
        grid: its cells, or the path of its file (YAML) or of the directory of one that was begun.
        out: the result directory: new, empty, or of this comparison (or a smaller one, whose runs are kept); None for
            ``comparisons/<name>``.
        workers: processes for simulated cells; None for one a core, 1 for this process alone. Or a `Spread`: hosts of
            a Ray cluster then carry out whole cells, of any model.
        concurrency: calls in flight for each model over all runs; None for what the comparison says.
        code: hashes of the loose code files that the runs may use; None for those of `code_paths` when `grid` is a
            path.
        code_paths: those files.
        progress: filled while the runs go on.
        consent: what may be called, for all runs; see `agentsoc.engine.run.run`.

    Raises:
        ConsentNeededError: the runs would send something to an address that nobody has agreed to; nothing was sent.
        InputError: the directory holds something else, a society cannot be built, or a budget pays for no call.
        RunLockedError: another process is at it.
        InterruptedComparisonError: it was asked to stop; it can be taken up again.
        KeyboardInterrupt: the same, where an event loop was running.
    """
    return wait_for(
        compare_async(
            grid,
            out,
            workers=workers,
            concurrency=concurrency,
            code=code,
            code_paths=code_paths,
            progress=progress,
            consent=consent,
        )
    )


compare = run_comparison
"""Carry out what is missing of a comparison: `run_comparison` by the name of the command.

`analysis.compare` reports on what it leaves."""


async def compare_async(
    grid: Grid | Path | str,
    out: Path | str | None = None,
    *,
    workers: int | Spread | None = None,
    concurrency: int | None = None,
    code: Mapping[str, str] | None = None,
    code_paths: Sequence[Path] = (),
    progress: Progress | None = None,
    consent: Consent = False,
) -> Outcome:
    """Carry out a comparison from inside an event loop; arguments and errors are those of `run_comparison`.

    In the main thread it listens to SIGINT and SIGTERM while it goes on.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(base_dir_kept())
        grid, directory, code = given_grid(grid, None if out is None else Path(out), code, code_paths)
        if isinstance(workers, Spread):  # where a cell is carried out is said by that alone
            grid = replace(grid, cells=tuple(replace(cell, scenario=away(cell.scenario)) for cell in grid.cells))
        done = finished_cells(grid, directory)
        due = [cell for cell in grid.cells if not done[cell.id]]
        build_kinds(due)  # what cannot be built or paid for is found before anything is started
        scenarios = [cell.scenario for cell in due]
        require_consent(scenarios, consent)
        stack.enter_context(by_umask(grid.by_umask))
        require_room(directory)
        try:
            stack.enter_context(RunLock(directory))
        except RunLockedError as error:
            what = error.problem.what.replace("this run", "this comparison")
            raise RunLockedError(what, str(directory), "wait for it to end, or interrupt it") from None
        # exactly what was agreed to, here or before: the file of the user is not looked at again for every run
        agreed = consent if consent is True else frozenset((*(consent or ()), *destinations(scenarios)))
        progress = progress or Progress()
        record = begin(grid, directory, code)
        if grid.unset:
            means = CellOptions(concurrency, code, code_paths, None, STOP.get() or asyncio.Event(), agreed)
            grid, record = await _with_dials(grid, directory, means, progress)
        runner = _Runner(grid, directory, record, progress, code, code_paths, agreed)
        await runner.run(workers, concurrency)
    return Outcome(directory, record)


async def _with_dials(
    grid: Grid, directory: Path, means: CellOptions, progress: Progress
) -> tuple[Grid, ComparisonRecord]:
    """Have pilots set the dials of a comparison; return what it stands for then."""
    calls = means.concurrency or max((one.scenario.engine.concurrency for one in grid.cells), default=None)
    shared = Shared(calls)
    try:
        dials = await set_dials(grid, directory, replace(means, shared=shared), progress)
    except InterruptedRunError:
        raise InterruptedComparisonError(str(directory)) from None
    finally:
        await shared.close()
    whole = make_grid(grid.asked, dials)
    build_kinds(whole.cells)
    return whole, begin(whole, directory, means.code, instead_of=grid.hash)


def default_workers(n_pure: int) -> int:
    """Return how many processes simulated cells get: one a core that this process may use, 1 where it does not pay."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, min(cores, n_pure // CELLS_PER_WORKER))


class _Runner:
    """The runner makes one pass over the cells of a comparison."""

    def __init__(
        self,
        grid: Grid,
        directory: Path,
        record: ComparisonRecord,
        progress: Progress,
        code: Mapping[str, str],
        code_paths: Sequence[Path],
        consent: Consent,
    ) -> None:
        self.grid, self.directory, self.record = grid, directory, record
        self.code, self.code_paths, self.consent = code, code_paths, consent
        self.records = {cell.id: cell for cell in record.cells}
        self.cells = {cell.id: cell for cell in grid.cells}
        self.tally = Tally(progress, sum(cell.scenario.tasks.count for cell in grid.cells))
        self.stop = STOP.get() or asyncio.Event()
        self.pool: CellPool | None = None

    async def run(self, workers: int | Spread | None, concurrency: int | None) -> None:
        """Carry out every cell; raise when it was asked to stop before the end."""
        far: list[FarRun] = []
        if isinstance(workers, Spread):
            far, workers = self._prepare_hosts(workers, concurrency), None
        sent = {run.name for run in far}
        live: list[Cell] = []
        pure: list[Cell] = []
        ray: deque[Cell] = deque()
        for cell in self.grid.cells:
            if cell.id in sent:
                continue
            away_from_here = cell.scenario.engine.address is not None
            (ray if away_from_here else pure if is_pure(cell.scenario) else live).append(cell)
        n_workers = workers or max(default_workers(len(pure)), 2 if live else 1)  # calls must not wait for computing
        away: deque[Cell] = deque()
        here: deque[Cell] = deque()
        for cell in pure:
            (away if n_workers > 1 and is_portable(cell.scenario) else here).append(cell)
        if self.pool is not None:
            await self.pool.start()
        most = concurrency or max((cell.scenario.engine.concurrency for cell in (*live, *ray)), default=None)
        shared = Shared(most) if self.pool is None else self.pool.shared()
        means = CellOptions(concurrency, self.code, self.code_paths, shared, self.stop, self.consent)
        processes = [self._worker() for _ in range(min(n_workers, len(away)))]
        with first_signal(self._stop):
            telling = asyncio.create_task(self._tell())
            try:
                waiting = deque(live)
                tasks = [asyncio.create_task(self._one_by_one(waiting, means)) for _ in live[:LIVE_RUNS]]
                for cells in (here, ray):  # one cluster at a time
                    tasks += [asyncio.create_task(self._one_by_one(cells, means))] if cells else []
                tasks += [asyncio.create_task(self._by_worker(away, process)) for process in processes]
                tasks += [asyncio.create_task(carry_out_all(self.pool, far, self, self.stop))] if self.pool else []
                await self._finish(tasks, processes)
            finally:
                telling.cancel()
                for process in processes:
                    await process.close()
                await shared.close()
                if self.pool is not None:
                    await self.pool.close()
                self._settle()
        if self.stop.is_set() and any(cell.status in ("waiting", "interrupted") for cell in self.record.cells):
            raise InterruptedComparisonError(str(self.directory))

    async def _finish(self, tasks: Sequence[asyncio.Task[None]], processes: Sequence[Worker]) -> None:
        """Wait for all; after a request to stop, as long as calls in flight may take, then let workers go."""
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self.stop.wait())
        everything: asyncio.Future[Any] = asyncio.gather(*tasks)
        await asyncio.wait({stopping, everything}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not everything.done():
            if self.pool is not None:
                await self.pool.stop()
            await asyncio.wait({everything}, timeout=GRACE_S + (0 if self.pool is None else FAR_GRACE_S))
            for process in processes:
                await process.close()
            if self.pool is not None:
                await self.pool.close()
        await everything

    def _worker(self) -> Worker:
        return Worker(self.directory / INPUTS, self.code_paths, self.code, self.consent)

    async def _one_by_one(self, cells: deque[Cell], means: CellOptions) -> None:
        """Carry out cells in this process until none is left; several of these share the cells."""
        while cells and not self.stop.is_set():
            cell = cells.popleft()
            # a task of its own: what a run looks files up in must not reach the next one
            await asyncio.create_task(self._here(cell, means))

    async def _here(self, cell: Cell, means: CellOptions) -> None:
        progress = self.tally.begin(cell.id)
        try:
            run = await carry_out(self.directory / RUNS / cell.id, cell.scenario, means, progress)
        except InterruptedRunError:
            self._ended(cell, "interrupted")
        except Exception as error:
            self._failed(cell, str(error) if isinstance(error, AgentsocError) else f"{type(error).__name__}: {error}")
        else:
            self._finished(cell, run.manifest.digest, run.manifest.totals)

    async def _by_worker(self, cells: deque[Cell], worker: Worker) -> None:
        """Have cells carried out by a process until none is left."""
        while cells and not self.stop.is_set():
            cell = cells.popleft()
            self.tally.begin(cell.id)
            try:
                answer = await worker.carry_out(self.directory / RUNS / cell.id, cell.scenario.model_dump_json())
            except WorkerEndedError as error:
                if self.stop.is_set():
                    self._ended(cell, "interrupted")
                else:
                    self._failed(cell, str(error))
                continue
            if "error" in answer:
                self._failed(cell, str(answer["error"]))
            else:
                self._finished(cell, answer["digest"], Totals.model_validate(answer["totals"]))

    # What hosts of a cluster do; see `agentsoc.experiment.far_runs.RunReports`

    def _prepare_hosts(self, spread: Spread, concurrency: int | None) -> list[FarRun]:
        """Return the cells that hosts are to carry out, with a pool for them."""
        clear_incoming(self.directory / RUNS)
        far, kept = far_cells(self.grid, self.directory)
        for why, n in kept.items():
            self.tally.say(f"made here and not on a host: {n} of {len(self.cells)} runs, because {why}")
        if far:
            spread = replace(spread, hosts=min(spread.hosts, len(far)))
            means = far_means(spread, self.grid.cells, self.code, self.code_paths, self.consent, concurrency)
            self.pool = CellPool(means, self.tally.whole.notices)
        return far

    def begun(self, name: str) -> None:
        """A host was given a cell."""
        self.tally.begin(name)

    def lost(self, name: str) -> None:
        """A cell was lost with its host."""
        self.tally.drop(name)

    def refused(self, name: str, error: str) -> None:
        """A cell failed, and nothing of it is here."""
        self._failed(self.cells[name], error)

    def made(self, name: str, answer: Answer) -> None:
        """A cell's run has ended."""
        cell = self.cells[name]
        for text in answer.notices:
            self.tally.say(f"{name}: {text}")
        if answer.status == "finished":
            manifest = load_manifest(self.directory / RUNS / name)
            self._finished(cell, manifest.digest, manifest.totals)
        elif answer.status == "interrupted":
            self._ended(cell, "interrupted")
        else:
            self._failed(cell, answer.error or "")

    def _finished(self, cell: Cell, digest: str | None, totals: Totals) -> None:
        record = self.records[cell.id]
        record.status, record.digest, record.error = "finished", digest, None
        self.tally.end(cell.id, totals)

    def _ended(self, cell: Cell, status: str) -> None:
        self.records[cell.id].status = "failed" if status == "failed" else "interrupted"
        self.tally.end(cell.id, None)

    def _failed(self, cell: Cell, error: str) -> None:
        self._ended(cell, "failed")
        text = redact(error)[:2000]
        self.records[cell.id].error = text
        self.tally.say(f"{cell.id} failed: {text.splitlines()[0] if text else 'no reason given'}")

    def _settle(self) -> None:
        """Write down how a cell ended."""
        states = {cell.status for cell in self.record.cells}
        if states == {"finished"}:
            self.record.status = "finished"
        elif self.stop.is_set() and states & {"waiting", "interrupted"}:
            self.record.status = "interrupted"
        else:
            self.record.status = "failed"
        with contextlib.suppress(OSError):  # it is an index: what counts is in the runs
            self.record.save(self.directory)

    async def _tell(self) -> None:
        """Keep the progress view and the record close to the state of the runs."""
        saved = 0
        while True:
            for _ in range(int(SAVE_S / Tally.EVERY_S)):
                await asyncio.sleep(Tally.EVERY_S)
                self.tally.refresh()
            if self.tally.ended != saved:
                saved = self.tally.ended
                with contextlib.suppress(OSError):
                    self.record.save(self.directory)

    def _stop(self) -> None:
        self.tally.say("stopping: runs under way may take a few seconds; interrupt again to end at once")
        self.stop.set()


__all__ = ["InputError", "InterruptedComparisonError", "Outcome", "compare", "compare_async", "run_comparison"]
