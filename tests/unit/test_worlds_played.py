"""The shipped environments in the engine: what it logs is what playing without it gives, and every run replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentsoc.contracts.environments import ENVIRONMENTS
from agentsoc.contracts.script import Script
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.environments.playing import play_out
from docs.generate import own_kinds
from tests.societies import built

WORLDS: dict[str, tuple[int, dict[str, Any]]] = {
    "commons": (5, {}),
    "commons, inverse and by parts": (4, {"resource": "inverse", "allocation": "proportional", "newcomer_from": 3}),
    "payoff": (4, {"punishment": True, "rounds": 3}),
    "payoff, trust": (2, {"game": "trust"}),
    "payoff, coopetition": (3, {"game": "coopetition", "goes_by": "integrated", "rounds": 3}),
    "shop": (2, {"stages": 12}),
    "library": (4, {}),
    "library, votes": (4, {"organisation": "votes"}),
    "grid-delivery": (3, {"size": 5}),
}
"""Agents and settings, by kind and, behind a comma, what is special."""


def test_every_shipped_environment_is_played_here() -> None:
    assert {name.partition(",")[0] for name in WORLDS} == set(own_kinds(ENVIRONMENTS)) - FOREIGN


FOREIGN = {kind for kind in own_kinds(ENVIRONMENTS) if ENVIRONMENTS.find(kind).foreign}
"""Environments of other packages, which have tests of their own."""


@pytest.mark.parametrize("script", ["optimal", "noisy"])
@pytest.mark.parametrize("name", WORLDS)
def test_the_engine_logs_what_playing_without_it_gives_and_replays_it(name: str, script: str, tmp_path: Path) -> None:
    n, settings = WORLDS[name]
    world = ENVIRONMENTS.find(name.partition(",")[0])(**settings)
    noise = {"error": 0.15, "quality": 0.9} if script == "noisy" else {}
    done = run(
        built(
            tasks={
                "kind": "episodes",
                "count": 3,
                "environment": world.model_dump(exclude_unset=True) | {"kind": world.kind},
            },
            agents={"count": n, "model": {"kind": "policy", "name": script, **noise}},
            topology="decentralized",
            protocol="play",
        ),
        tmp_path / "run",
    )
    rows, events = done.episode_rows(), list(done.events())
    assert rows is not None
    for task in range(3):
        played = play_out(world, world.task(5, task), n, 5, Script(script, **noise))
        assert rows["score"][task].as_py() == pytest.approx(played.score, abs=0)
        given = [event.rewards for event in events if event.task == task and event.kind == "action"]
        assert sum(reward or 0.0 for reward in given) == pytest.approx(
            sum(sum(step.values()) for step in played.rewards)
        )
        if script == "optimal" and "votes" not in name:
            assert played.score == 1.0
    assert replay(tmp_path / "run").digest == done.manifest.digest
