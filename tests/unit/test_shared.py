"""Models that several runs share are loaded once, limited once and closed once."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import pytest

from agentsoc.backends.scripted import Scripted
from agentsoc.backends.simulated import Simulated, SimulatedBackend
from agentsoc.contracts.model import Backend, Completion, Model, Request, Usage
from agentsoc.engine.model_gate import Patience
from agentsoc.engine.shared import Shared
from agentsoc.errors import BackendSetupError


class CountedBackend(Backend):
    def __init__(self, fails: bool, parallel: int | None) -> None:
        self.started = self.closed = 0
        self.fails, self.parallel = fails, parallel

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.started += 1
        if self.fails:
            raise BackendSetupError("no such model")

    async def complete(self, request: Request) -> Completion:
        return Completion("x", Usage())

    def count(self, request: Request) -> int:
        return 7

    async def close(self) -> None:
        self.closed += 1

    def identity(self) -> dict[str, Any]:
        return {"kind": "counted"}


class Counted(Model):
    per_seed = False
    kind: Literal["counted"] = "counted"
    fails: bool = False
    parallel: int | None = None
    size: int = 0

    def open(self, *, seed: int, share: int = 1) -> Backend:
        backend = CountedBackend(self.fails, self.parallel)
        OPENED.append(backend)
        return backend


OPENED: list[CountedBackend] = []


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test in an event loop of its own."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        asyncio.run(test(**arguments))

    return run


@pytest.fixture(autouse=True)
def _fresh() -> None:
    OPENED.clear()


@in_a_loop
async def test_a_model_is_opened_started_and_closed_once_for_all_runs() -> None:
    shared = Shared()
    kept = [shared.open(Counted(), seed=seed) for seed in (1, 2, 3)]
    await asyncio.gather(*(backend.start() for backend in kept))
    for backend in kept:
        await backend.close()  # a run that ends leaves it to the others
    assert [(one.started, one.closed) for one in OPENED] == [(1, 0)]
    assert (kept[0].identity(), kept[0].count(None)) == ({"kind": "counted"}, 7)  # type: ignore[arg-type]
    await shared.close()
    assert [one.closed for one in OPENED] == [1]


@in_a_loop
async def test_models_with_other_settings_and_those_of_a_seed_are_others() -> None:
    shared = Shared()
    assert shared.open(Counted(), seed=1) is not shared.open(Counted(size=2), seed=1)
    assert shared.open(Scripted(), seed=1) is not shared.open(Scripted(), seed=2)
    assert shared.open(Scripted(), seed=1) is shared.open(Scripted(), seed=1)
    await shared.close()


@in_a_loop
async def test_a_model_that_cannot_start_fails_every_run_that_wants_it() -> None:
    shared = Shared()
    for seed in range(3):
        with pytest.raises(BackendSetupError, match="no such model"):
            await shared.open(Counted(fails=True), seed=seed).start()
    assert [one.started for one in OPENED] == [1]
    await shared.close()


@in_a_loop
async def test_computed_voters_are_not_shared() -> None:
    shared = Shared()
    assert isinstance(shared.open(Simulated(), seed=1), SimulatedBackend)
    assert shared.open(Simulated(), seed=1) is not shared.open(Simulated(), seed=1)


@pytest.mark.parametrize(("wanted", "own", "parallel", "most"), [(None, 5, None, 5), (2, 5, None, 2), (9, 5, 3, 3)])
@in_a_loop
async def test_one_gate_holds_for_a_model_whichever_run_asks(
    wanted: int | None, own: int, parallel: int | None, most: int
) -> None:
    shared, inside, seen = Shared(wanted), 0, []

    async def pass_through(run: int) -> None:
        nonlocal inside
        gate = shared.gate(Counted(parallel=parallel), own, parallel, Patience())
        await gate.enter()
        inside += 1
        seen.append(inside)
        await asyncio.sleep(0)
        inside -= 1
        gate.leave()

    await asyncio.gather(*(pass_through(run) for run in range(20)))
    assert max(seen) == most
