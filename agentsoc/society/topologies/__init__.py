"""This package holds the kinds of organisation that a scenario can name, and describes one before it runs.

    alone.py     single, independent          nobody hears anybody
    hubs.py      star, hybrid                 one agent in the middle
    trees.py     chain, tree                  step by step to one end
    circles.py   ring, exponential, small-world
    peers.py     decentralized                everybody with everybody, or each with a few
    modules.py   modular                      communities and bridges
    live.py      dynamic-reputation, need-offer   edges that move while an episode goes on
    custom.py    custom                       edges from a file or the scenario (edges.py reads them)
    survey.py    describe                     who hears whom, roles, levels, diameter
    limits.py                                 what is too small or too large

Each kind is a pure builder function and a part of the scenario that calls it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentsoc.contracts.topology import check_window
    from agentsoc.society.topologies.alone import Independent, Single
    from agentsoc.society.topologies.circles import Exponential, Ring, SmallWorld
    from agentsoc.society.topologies.custom import Custom
    from agentsoc.society.topologies.hubs import Hybrid, Star
    from agentsoc.society.topologies.live import DynamicReputation, NeedOffer
    from agentsoc.society.topologies.modules import Modular
    from agentsoc.society.topologies.peers import Decentralized
    from agentsoc.society.topologies.survey import Description, describe
    from agentsoc.society.topologies.trees import Chain, Tree

__all__ = [
    "Chain",
    "Custom",
    "Decentralized",
    "Description",
    "DynamicReputation",
    "Exponential",
    "Hybrid",
    "Independent",
    "Modular",
    "NeedOffer",
    "Ring",
    "Single",
    "SmallWorld",
    "Star",
    "Tree",
    "check_window",
    "describe",
]

_HOME = {
    "Chain": "trees",
    "Custom": "custom",
    "Decentralized": "peers",
    "Description": "survey",
    "DynamicReputation": "live",
    "Exponential": "circles",
    "Hybrid": "hubs",
    "Independent": "alone",
    "Modular": "modules",
    "NeedOffer": "live",
    "Ring": "circles",
    "Single": "alone",
    "SmallWorld": "circles",
    "Star": "hubs",
    "Tree": "trees",
    "describe": "survey",
}


def __getattr__(name: str) -> Any:
    """Import a kind when it is first used: a scenario names one, and each takes some milliseconds."""
    if name == "check_window":
        return importlib.import_module("agentsoc.contracts.topology").check_window
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
