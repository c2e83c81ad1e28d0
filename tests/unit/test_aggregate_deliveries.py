"""Deliveries counted from the arrays of a wiring are those that are counted turn by turn."""

from typing import Any

import numpy as np
import pytest

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, Protocol
from agentsoc.contracts.turns import Turn
from agentsoc.protocols.aggregate import Aggregate
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society


@pytest.mark.parametrize(
    "topology",
    [{"kind": "tree", "fan_in": 3}, {"kind": "star"}, {"kind": "chain"}, {"kind": "hybrid", "peers": 2}],
    ids=lambda topology: str(topology["kind"]),
)
@pytest.mark.parametrize("sees", [(), (1,)])
def test_deliveries_of_many_are_those_of_each(topology: dict[str, Any], sees: tuple[int, ...]) -> None:
    scenario = Scenario.model_validate(
        {
            "name": "deliveries",
            "tasks": {"kind": "signal", "count": 1},
            "agents": {"count": 23, "model": {"kind": "simulated", "signal": 0.3}},
            "topology": topology,
            "protocol": {"kind": "aggregate"},
        }
    )
    society, protocol = build_society(scenario), scenario.protocol
    assert isinstance(protocol, Aggregate)
    agents, board = np.arange(society.n), Board(0)
    for acts in ((Act("propose_claim"),), (Act("propose_claim"), Act("endorse_claim"))):
        for turn in (Turn(0, "answer", sees=sees), Turn(0, "merge", sees=sees, by_rule=True)):
            found = protocol.deliveries_each(society, board, agents, turn, acts)
            one_by_one = Protocol.deliveries_each(protocol, society, board, agents, turn, acts)
            assert found.tolist() == one_by_one.tolist()
            assert found.sum() > 0
