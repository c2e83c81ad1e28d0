"""A gate over several processes lets in what one gate would, and gives back what a dead process held."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from agentsoc.contracts.model import Model
from agentsoc.engine.far_gate import GateKeeper, SharedOverHosts
from agentsoc.engine.model_gate import Patience
from agentsoc.errors import ModelFailedError
from tests.strategies import scenario

IMPATIENT = Patience(True, 0.0, 0.0)


class Handle:
    """Calls of an actor as Ray makes them: begun at once, awaited by whoever wants."""

    def __init__(self, keeper: GateKeeper) -> None:
        self._keeper = keeper

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._keeper, name)

        class Remote:
            @staticmethod
            def remote(*args: Any) -> asyncio.Task[Any]:
                work: Coroutine[Any, Any, Any] = method(*args)
                return asyncio.get_running_loop().create_task(work)

        return Remote


def model(**settings: Any) -> Model:
    return scenario(agents={"count": 1, "model": {"kind": "scripted", **settings}}).agents[0].model


async def soon() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_calls_of_all_processes_share_the_places_of_a_model() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        gates = [SharedOverHosts(Handle(keeper), name, 3).gate(model(), 8, None, Patience()) for name in ("one", "two")]
        entered = 0

        async def call(gate: Any) -> None:
            nonlocal entered
            await gate.enter(10)
            entered += 1

        calls = [asyncio.create_task(call(gates[at % 2])) for at in range(6)]
        await soon()
        assert entered == 3
        assert sum((await keeper.inside()).values()) == 3
        gates[0].heard(None)
        gates[0].leave()
        await soon()
        assert entered == 4
        for task in calls:
            task.cancel()
        await soon()

    asyncio.run(body())


def test_models_with_other_settings_have_gates_of_their_own() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        shared = SharedOverHosts(Handle(keeper), "one", 1)
        for one in (model(), model(accuracy=0.25)):
            await asyncio.wait_for(shared.gate(one, 8, None, Patience()).enter(), 1)
        assert len(await keeper.inside()) == 2

    asyncio.run(body())


def test_what_a_dead_process_held_and_waited_for_is_given_back() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        dead, alive = (SharedOverHosts(Handle(keeper), name, 1).gate(model(), 8, None, Patience()) for name in "da")
        await dead.enter()
        waiting = asyncio.create_task(dead.enter())
        await soon()
        entering = asyncio.create_task(alive.enter())
        await soon()
        assert not entering.done()
        await keeper.forget("d")
        await soon()
        assert entering.done()
        assert {name.split()[0] for name in await keeper.inside()} == {"a"}
        waiting.cancel()

    asyncio.run(body())


def test_a_call_that_is_cut_off_while_it_waits_leaves_no_place_taken() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        gate = SharedOverHosts(Handle(keeper), "one", 1).gate(model(), 8, None, Patience())
        await gate.enter()
        waiting = asyncio.create_task(gate.enter())
        await soon()
        waiting.cancel()
        await soon()
        gate.leave()
        await soon()
        assert await keeper.inside() == {}
        await asyncio.wait_for(gate.enter(), 1)

    asyncio.run(body())


def test_a_model_that_failed_elsewhere_is_not_asked_here_and_the_reason_is_told() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        there, here = (SharedOverHosts(Handle(keeper), name).gate(model(), 8, None, IMPATIENT) for name in "th")
        for _ in range(5):
            await there.enter()
            there.heard("rejected: HTTP 401 no such key")
            there.leave()
            await there.settled()
        assert there.cause is not None
        with pytest.raises(ModelFailedError, match="HTTP 401"):
            await there.enter()
        with pytest.raises(ModelFailedError, match="HTTP 401"):
            await here.enter()

    asyncio.run(body())


def test_a_run_without_answers_is_hopeless_only_where_nobody_anywhere_had_one() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        one, two = (SharedOverHosts(Handle(keeper), name).gate(model(), 8, None, Patience()) for name in "ot")

        async def call(gate: Any, failure: str | None) -> None:
            await gate.enter()
            gate.heard(failure)
            gate.leave()
            await gate.settled()

        await call(two, "timeout: 3 s")
        assert "answered nobody" in str(two.hopeless())
        await call(one, None)
        await call(two, "timeout: 3 s")
        assert two.hopeless() is None

    asyncio.run(body())


def test_a_backend_with_few_slots_is_not_given_more_however_many_the_gate_lets_in() -> None:
    async def body() -> None:
        keeper = GateKeeper()
        gate = SharedOverHosts(Handle(keeper), "one", 8).gate(model(), 8, 2, Patience())
        calls = [asyncio.create_task(gate.enter()) for _ in range(3)]
        await soon()
        assert [call.done() for call in calls] == [True, True, False]
        gate.leave()
        await soon()
        assert calls[2].done()

    asyncio.run(body())
