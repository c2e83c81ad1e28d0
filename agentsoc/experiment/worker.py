"""This module is a process that carries out simulated cells one after the other, and the driver's side of it.

Both talk in lines of JSON: a cell on the worker's stdin, what came of it on its stdout. The worker ends with its stdin,
so it never outlives a driver that was killed; what it was doing then is computed again.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from agentsoc.contracts.address import Destination
from agentsoc.errors import AgentsocError

if TYPE_CHECKING:
    from agentsoc.engine.consent import Consent
    from agentsoc.experiment.cell import CellOptions

END_S: Final = 2.0
"""How long a worker may take to end (seconds)."""
LINE_BYTES: Final = 64 << 20
"""Longest line (bytes): a scenario can hold a table of edges."""
_BEGIN: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from agentsoc.experiment.worker import main; main()"
)
_THREADS: Final = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerEndedError(Exception):
    """The worker process ended before it had answered."""


class Worker:
    """A worker as its driver sees it takes one cell at a time and answers what came of it."""

    def __init__(self, base_dir: Path, code_paths: Sequence[Path], code: Mapping[str, str], consent: Consent) -> None:
        self._setup = {
            "base_dir": str(base_dir.absolute()),
            "code": [[str(path.resolve()), code.get(path.name)] for path in code_paths],
            "consent": consent if isinstance(consent, bool) else [[d.address, d.variable] for d in consent],
        }
        self._process: asyncio.subprocess.Process | None = None

    async def carry_out(self, directory: Path, scenario: str) -> dict[str, Any]:
        """Have the worker carry out one cell; return what it says of the run.

        Args:
            directory: the run directory.
            scenario: the scenario as JSON.

        Raises:
            WorkerEndedError: the process ended; the next cell gets a new one.
        """
        if self._process is None or self._process.returncode is not None:
            await self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(_job(directory, scenario))
            await process.stdin.drain()
            line = await process.stdout.readline()
        except ConnectionError:
            line = b""
        if not line:
            code = await process.wait()
            self._process = None
            raise WorkerEndedError(f"the worker process ended (exit code {code})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _start(self) -> None:
        # a session of its own: Ctrl-C is for the driver, which lets the cell be finished
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _BEGIN,
            json.dumps(sys.path),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_BYTES,
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._setup).encode() + b"\n")

    async def close(self) -> None:
        """End the process; a cell that it was carrying out is left as it is, resumable."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _job(directory: Path, scenario: str) -> bytes:
    return json.dumps({"directory": str(directory.resolve()), "scenario": scenario}).encode() + b"\n"


def main() -> None:
    """Work as a worker: read cells, carry them out, answer; end when nobody asks any more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not get between the answers
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, lines), daemon=True).start()
    setup = json.loads(lines.get())
    _prepare(setup)
    means = _means(setup)
    while True:
        print(json.dumps(_answer(json.loads(lines.get()), means)), file=answers, flush=True)


def _listen(source: TextIO, lines: queue.SimpleQueue[str]) -> None:
    """Pass lines on; end the process with its driver, in the middle of whatever it does."""
    for line in source:
        lines.put(line)
    os._exit(0)


def _prepare(setup: dict[str, Any]) -> None:
    from agentsoc.scenario.code import load_code
    from agentsoc.scenario.files import use_kept

    use_kept(Path(setup["base_dir"]))  # of the comparison
    for path, digest in setup["code"]:
        load_code(path, digest)


def _means(setup: dict[str, Any]) -> CellOptions:
    from agentsoc.experiment.cell import CellOptions
    from agentsoc.scenario.code import loaded_code

    agreed = setup["consent"]
    return CellOptions(
        code={found["file"]: found["sha256"] for found in loaded_code()},
        code_paths=[Path(path) for path, _ in setup["code"]],
        consent=agreed if isinstance(agreed, bool) else frozenset(Destination(*pair) for pair in agreed),
    )


def _answer(job: dict[str, Any], means: CellOptions) -> dict[str, Any]:
    from agentsoc.experiment.cell import carry_out
    from agentsoc.scenario.model import Scenario

    try:
        scenario = Scenario.model_validate_json(job["scenario"])
        run = asyncio.run(carry_out(Path(job["directory"]), scenario, means))
    except Exception as error:
        known = isinstance(error, AgentsocError)
        return {"error": str(error) if known else f"{type(error).__name__}: {error}", "kind": type(error).__name__}
    return {"digest": run.manifest.digest, "totals": run.manifest.totals.model_dump(mode="json")}
