"""Agents written in Python: they take part like models, and one that blocks or never answers is named."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.replay import replay
from agentsoc.engine.run import Progress, run
from agentsoc.errors import RunFailedError
from agentsoc.society.coded import CodedAgent
from tests.strategies import scenario


class Follower(CodedAgent):
    """Takes the first option, then the answer that most of those it hears gave."""

    kind: Literal["follower"] = "follower"

    async def act(self, view: View) -> Reply:
        answers = [claim.answer for claim in view.claims]
        if not answers:
            return Reply(answer=view.options[view.agent % 2])
        return Reply(answer=max(sorted(set(answers)), key=answers.count), uses=tuple(c.id for c in view.claims))  # type: ignore[type-var]


class Sleeper(Follower):
    """Waits for a moment, as an agent that asks something outside would."""

    kind: Literal["sleeper"] = "sleeper"  # type: ignore[assignment]

    async def act(self, view: View) -> Reply:
        async with asyncio.timeout(5):
            await asyncio.sleep(0.01)
        return await super().act(view)


class Blocker(Follower):
    """Blocks its host's event loop in one turn."""

    kind: Literal["blocker"] = "blocker"  # type: ignore[assignment]

    async def act(self, view: View) -> Reply:
        if view.agent == 2 and view.task == 0 and view.round == 0:
            time.sleep(3)  # noqa: ASYNC251 - the fault that is tested
        return await super().act(view)


class Absent(Follower):
    """Never answers in one turn."""

    kind: Literal["absent"] = "absent"  # type: ignore[assignment]

    async def act(self, view: View) -> Reply:
        if view.agent == 1:
            await asyncio.Event().wait()
        return await super().act(view)


class Rude(Follower):
    """Returns something else than a reply."""

    kind: Literal["rude"] = "rude"  # type: ignore[assignment]

    async def act(self, view: View) -> Reply:
        return "yes"  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _registered() -> None:
    for part in (Follower, Sleeper, Blocker, Absent, Rude):
        Slot.register(part)


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def of(kind: str, **changes: Any) -> Any:
    return scenario(
        agents={"count": 4, "model": kind},
        topology="decentralized",
        protocol={"kind": "debate", "rounds": 2},
        **changes,
    )


def test_an_agent_that_waits_gives_the_log_of_one_that_does_not(scratch: Path) -> None:
    quick = run(of("follower"), scratch / "quick")
    slow = run(of("sleeper"), scratch / "slow")
    assert quick.manifest.digest == slow.manifest.digest
    assert quick.manifest.totals.events_by_kind["merge_claims"] == 16
    assert replay(slow.directory).digest == slow.manifest.digest


def test_an_agent_that_blocks_its_host_is_named_within_five_seconds(scratch: Path) -> None:
    progress = Progress()
    began = time.monotonic()
    run(of("blocker"), scratch / "run", progress=progress)
    assert time.monotonic() - began < 5 + 3
    (notice,) = [n for n in progress.notices if "blocked its host" in n]
    assert notice.startswith("agent 2 (task 0, round 0)")
    assert "act (test_coded_agents.py" in notice


def test_an_agent_that_never_answers_is_named_and_its_turn_fails_in_time(scratch: Path) -> None:
    progress = Progress()
    built = of("absent", tasks={"kind": "coin", "count": 1}, calls={"timeout_s": 0.5})
    done = run(built, scratch / "run", progress=progress)
    assert any(n.startswith("agent 1 (task 0, round 0) has been waiting") for n in progress.notices)
    failed = [event for event in done.events() if event.kind == "call_failed"]
    assert {event.agent for event in failed} == {1}
    assert done.manifest.totals.episodes == 1


def test_an_agent_that_returns_no_reply_stops_the_run_with_its_name(scratch: Path) -> None:
    with pytest.raises(RunFailedError, match="agent 0 returned str in task"):
        run(of("rude"), scratch / "run")
