"""Simulated societies computed as columns give the events of the turn-by-turn engine, whoever hears whom."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from agentsoc.contracts.board import Board
from agentsoc.contracts.part import Slot
from agentsoc.contracts.protocol import Decision
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.engine.columns.episodes import column_run
from agentsoc.engine.columns.schedule import can_vectorise
from agentsoc.engine.execute import Plan, execute
from agentsoc.protocols.debate import Debate
from agentsoc.society.build import build_society
from tests.strategies import scenario

DEBATE = {"kind": "debate", "rounds": 5}
VOTERS = (
    {"signal": 0.6},
    {"signal": 0.2, "fidelity": 0.8, "lock": 0.3},
    {"signal": 0.3, "keep_own": 0.5, "latency_s": 1.0},
)
SOCIETIES: tuple[tuple[Any, int, Any], ...] = (
    # pairs: each endorses the other's claim and then hears of its own
    ({"kind": "decentralized", "degree": 1, "shape": "regular"}, 6, DEBATE),
    # hub and workers hear one, several or many: some stand by one claim and cite it once
    ("star", 5, DEBATE),
    ({"kind": "hybrid", "peers": 6}, 6, DEBATE),
    # different numbers of neighbours act in one round and must not hear each other's new claims
    ({"kind": "decentralized", "degree": 3}, 9, DEBATE),
    ({"kind": "small-world", "neighbours": 2, "rewire": 0.3}, 12, DEBATE),
    ("chain", 5, DEBATE),
    ({"kind": "tree", "fan_in": 2}, 7, DEBATE),
    ({"kind": "tree", "fan_in": 2}, 7, "aggregate"),
    ({"kind": "hybrid", "peers": 6}, 6, "aggregate"),
    ("independent", 4, "vote"),
)


def computed(built: Any, vectorise: bool) -> tuple[str, dict[str, Any]]:
    changed = built.model_copy(update={"engine": built.engine.model_copy(update={"vectorise": vectorise})})
    with tempfile.TemporaryDirectory() as scratch:
        result = asyncio.run(execute(Plan(changed, Path(scratch))))
    totals = result.totals.model_dump()
    return result.digest, {**totals, "virtual_s": round(totals["virtual_s"], 6)}


@pytest.mark.parametrize("model", VOTERS)
@pytest.mark.parametrize(("topology", "n", "protocol"), SOCIETIES)
def test_columns_and_turns_give_one_log(topology: Any, n: int, protocol: Any, model: dict[str, Any]) -> None:
    for choices in (2, 5):
        built = scenario(
            tasks={"kind": "signal", "count": 9, "choices": choices},
            agents={"count": n, "model": {"kind": "simulated", **model}},
            topology=topology,
            protocol=protocol,
        )
        assert column_run(build_society(built)) is not None
        assert computed(built, True) == computed(built, False)


class Stubborn(Debate):
    """A debate that ends otherwise, and whose author did not think of columns."""

    kind: Literal["stubborn"] = "stubborn"  # type: ignore[assignment]

    def decide(self, society: Society, board: Board) -> Decision:
        return Decision(board.claims[board.standing[0]].answer)


class Shy(Debate):
    """A debate in which not everybody speaks, and whose author did not think of columns."""

    kind: Literal["shy"] = "shy"  # type: ignore[assignment]

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        return list(super().plan(society, board))[:-1]


@pytest.mark.parametrize("protocol", ["stubborn", "shy"])
def test_a_protocol_that_changes_a_debate_is_not_computed_as_one(protocol: str) -> None:
    for part in (Stubborn, Shy):
        Slot.register(part)
    model = {"kind": "simulated", "signal": 0.3}
    built = scenario(agents={"count": 4, "model": model}, topology="decentralized", protocol=protocol)
    assert can_vectorise(build_society(built), None, ("heads", "tails")) is None
    assert computed(built, True) == computed(built, False)
