"""The backends that must keep the contract of `agentsoc.contracts.model`, each with what it promises.

To put another backend under the contract, append a `Case` to `CASES`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from agentsoc.backends.effort import Effort
from agentsoc.backends.litellm import LiteLLM
from agentsoc.backends.local import Local
from agentsoc.backends.scripted import Scripted
from agentsoc.backends.simulated import Simulated
from agentsoc.backends.solver import Solver
from agentsoc.contracts.model import Backend, Hint, Request
from tests.contract.fault_server import FaultServer
from tests.contract.llama_server import llama_server


@dataclass(frozen=True)
class Case:
    """A backend under the contract."""

    name: str
    running: Callable[[], AbstractAsyncContextManager[Backend]]
    """Gives a started backend and closes it."""
    reproducible: bool = False
    """Equal requests get equal completions."""
    constrains: bool = False
    """Replies keep to `choices` and to `schema`."""
    cuts: bool = False
    """Replies are cut at `max_tokens`, with finish ``length``."""
    exact: bool = False
    """`count` is the number of prompt tokens that the usage reports, not only a bound."""
    too_long: bool = False
    """A prompt over the window fails as ``too_long``."""
    closes: bool = True
    """There is something to close, after which calls fail."""
    reads: bool = True
    """A prompt costs tokens; a simulated voter pays only for the messages that it is shown."""
    marks: tuple[pytest.MarkDecorator, ...] = ()


def ask(user: str = "Name a colour.", **changes: Any) -> Request:
    """Return a small request."""
    hint = Hint(task=0, round=0, agent=0, k=0, purpose="answer", truth="red", options=("red", "blue"))
    request = Request.of("You are careful.", user, max_tokens=8, temperature=0.7, seed=3, hint=hint)
    return msgspec.structs.replace(request, **changes)


@asynccontextmanager
async def _opened(model: Any) -> AsyncIterator[Backend]:
    backend: Backend = model.open(seed=1)
    try:
        await backend.start()
        yield backend
    finally:
        await backend.close()


@asynccontextmanager
async def _remote(client: str, structured: str) -> AsyncIterator[Backend]:
    """The real HTTP endpoint of a llama.cpp server on loopback."""
    with llama_server() as (base_url, key_variable):
        model = LiteLLM(
            name="openai/local",
            base_url=base_url,
            api_key_env=key_variable,
            client=client,
            structured=structured,
            window=512,
        )
        async with _opened(model) as backend:
            yield backend


@asynccontextmanager
async def _fake(client: str) -> AsyncIterator[Backend]:
    """A server that always says the same, for what needs no model."""
    async with FaultServer() as server:
        model = LiteLLM(name="openai/m", base_url=server.base_url, client=client)
        async with _opened(model) as backend:
            yield backend


CASES = [
    Case(
        "local",
        lambda: _opened(Local(context=512)),
        reproducible=True,
        constrains=True,
        cuts=True,
        exact=True,
        too_long=True,
        marks=(pytest.mark.model,),
    ),
    Case(
        "local-fast",
        lambda: _opened(Local(mode="fast", context=512, servers=1, slots=4)),
        constrains=True,
        cuts=True,
        exact=True,
        too_long=True,
        marks=(pytest.mark.model,),
    ),
    Case(
        "litellm-on-llama.cpp",
        lambda: _remote("litellm", "schema"),
        constrains=True,
        cuts=True,
        too_long=True,
        marks=(pytest.mark.model,),
    ),
    Case(
        "lean-on-llama.cpp",
        lambda: _remote("lean", "schema"),
        constrains=True,
        cuts=True,
        too_long=True,
        marks=(pytest.mark.model,),
    ),
    Case("litellm-on-fake", lambda: _fake("litellm"), reproducible=True),
    Case("lean-on-fake", lambda: _fake("lean"), reproducible=True),
    Case("scripted", lambda: _opened(Scripted()), reproducible=True, exact=True, closes=False),
    Case("solver", lambda: _opened(Solver(slip=0.3)), reproducible=True, exact=True, closes=False),
    Case(
        "effort",
        lambda: _opened(Effort(habit=20)),
        reproducible=True,
        exact=True,
        closes=False,
        reads=False,
    ),
    Case(
        "simulated",
        lambda: _opened(Simulated(signal=0.5)),
        reproducible=True,
        exact=True,
        closes=False,
        reads=False,
    ),
]
