"""This module is a host that carries out whole runs, somewhere in a cluster: `CellHost`, which becomes an actor of Ray.

It makes each run in a directory of its own and hands the files over in pieces. What it takes from the driver is what a
worker process takes too (`agentsoc.experiment.worker`): scenario, copies of files, loose code with its hashes, and what
was agreed to. Calls of models wait at gates that all hosts share.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import asyncio

    from agentsoc.engine.far_gate import SharedOverHosts
    from agentsoc.experiment.cell import CellOptions

_THREADS: Final = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class HostSetup(NamedTuple):
    """The setup is what all runs of a host have in common."""

    driver: tuple[str, int, str]
    """The driver's `machine`, its process id, and its directory for hosts."""
    code: list[tuple[str, bytes, str]]
    """Loose code files: name, content, SHA-256."""
    inputs: list[tuple[str, bytes]]
    """Files that the scenarios name."""
    consent: bool | list[tuple[str, str | None]]
    """What was agreed to: everything, or pairs of address and variable."""
    concurrency: int | None
    """Calls in flight for each model over all hosts; None for what the scenarios say."""
    umask: bool
    """Whether new files get the rights that the umask leaves."""


class CellHost:
    """The actor carries out runs, several at once where they wait for models."""

    def __init__(self, setup: HostSetup) -> None:
        for name in _THREADS:  # before the libraries are loaded: hosts share a machine as they are many
            os.environ[name] = "1"
        from agentsoc.engine.ray_files import HostFiles, die_with, write_inside
        from agentsoc.log.machines import machine
        from agentsoc.scenario.code import load_code

        die_with(setup.driver)
        here = setup.driver[0] == machine()
        self._files = HostFiles(Path(setup.driver[2]) if here else None)
        self._setup = setup
        self._inputs, self._runs = self._files.path / "inputs", self._files.path / "runs"
        for directory in (self._inputs, self._runs):
            directory.mkdir(mode=0o700)
        os.chdir(self._files.path)
        self._code = []
        for name, content, digest in setup.code:
            path = write_inside(self._files.path, f"code/{name}", content)
            load_code(path, digest)
            self._code.append(path)
        for name, content in setup.inputs:
            write_inside(self._inputs, name, content)
        self._pieces: dict[int, Iterator[bytes]] = {}
        self._stop: asyncio.Event
        self._shared: SharedOverHosts

    async def start(self) -> tuple[str, int]:
        """Return which node it is on, and its process id."""
        from agentsoc.engine.ray_cluster import node

        return node(), os.getpid()

    async def begin(self, keeper: Any, client: str, share: int) -> None:
        """Get ready for runs.

        Args:
            keeper: handle of the `GateKeeper`.
            client: names this host there.
            share: hosts on this node.
        """
        import asyncio

        from agentsoc.engine.far_gate import SharedOverHosts

        self._stop = asyncio.Event()
        self._shared = SharedOverHosts(keeper, client, self._setup.concurrency, share)

    def _means(self) -> CellOptions:
        from agentsoc.contracts.address import Destination
        from agentsoc.experiment.cell import CellOptions

        agreed = self._setup.consent
        return CellOptions(
            concurrency=self._setup.concurrency,
            code={name: digest for name, _, digest in self._setup.code},
            code_paths=self._code,
            shared=self._shared,
            stop=self._stop,
            consent=agreed if isinstance(agreed, bool) else frozenset(Destination(*pair) for pair in agreed),
        )

    async def carry_out(self, number: int, scenario: str, place: str) -> dict[str, Any]:
        """Carry out a run; return how it ended, the names and sizes of its files, and the first piece of them.

        Args:
            number: names the run here.
            scenario: the scenario as JSON.
            place: where its directory will be, for messages.
        """
        from agentsoc.engine.inputs import named_files
        from agentsoc.engine.run import Progress
        from agentsoc.errors import AgentsocError, InterruptedRunError
        from agentsoc.experiment.cell import carry_out
        from agentsoc.log.inside import by_umask
        from agentsoc.log.names import MANIFEST
        from agentsoc.log.parcel import contents, listed
        from agentsoc.scenario.files import use_kept
        from agentsoc.scenario.model import Scenario

        use_kept(self._inputs)
        directory, progress = self._runs / str(number), Progress()
        answer: dict[str, Any] = {"status": "finished", "error": None, "entries": [], "piece": b""}
        asked = Scenario.model_validate_json(scenario)
        with by_umask(self._setup.umask):
            try:
                await carry_out(directory, asked, self._means(), progress)
            except InterruptedRunError:
                answer["status"] = "interrupted"
            except Exception as error:
                known = isinstance(error, AgentsocError)
                text = str(error) if known else f"{type(error).__name__}: {error}"
                answer |= {"status": "failed", "error": text.replace(str(directory), place)}
            answer["notices"] = list(progress.notices)
            if (directory / MANIFEST).exists():
                entries = listed(directory, named_files(asked))
                self._pieces[number] = contents(directory, entries)
                answer |= {"entries": [tuple(entry) for entry in entries], "piece": next(self._pieces[number])}
        return answer

    async def more(self, number: int) -> bytes:
        """Return the next piece of a run's files; nothing after the last one."""
        return next(self._pieces[number], b"")

    async def drop(self, number: int) -> None:
        """Remove a run that has been handed over."""
        self._pieces.pop(number, None)
        shutil.rmtree(self._runs / str(number), ignore_errors=True)

    async def stop(self) -> None:
        """Let runs end in order, as far as they have come."""
        self._stop.set()

    async def close(self) -> None:
        """Close the models and remove all files."""
        await self._shared.close()
        self._files.remove()
