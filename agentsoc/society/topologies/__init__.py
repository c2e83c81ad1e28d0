"""The kinds of organisation that a scenario can name, and what can be said of one before it runs.

    alone.py     single, independent          nobody hears anybody
    hubs.py      star, hybrid                 one agent in the middle
    trees.py     chain, tree                  step by step to one end
    circles.py   ring, exponential, small-world
    peers.py     decentralized                everybody with everybody, or each with a few
    modules.py   modular                      communities and bridges
    custom.py    custom                       edges from a file or the scenario (edges.py reads them)
    survey.py    describe                     who hears whom, roles, levels, diameter
    limits.py                                 what is too small or too large

Each kind is a pure builder function and a part of the scenario that calls it.
"""

from agentsoc.society.topologies.alone import Independent, Single
from agentsoc.society.topologies.circles import Exponential, Ring, SmallWorld
from agentsoc.society.topologies.custom import Custom
from agentsoc.society.topologies.hubs import Hybrid, Star
from agentsoc.society.topologies.modules import Modular
from agentsoc.society.topologies.peers import Decentralized
from agentsoc.society.topologies.survey import Description, describe
from agentsoc.society.topologies.trees import Chain, Tree
from agentsoc.society.topology import check_window

__all__ = [
    "Chain",
    "Custom",
    "Decentralized",
    "Description",
    "Exponential",
    "Hybrid",
    "Independent",
    "Modular",
    "Ring",
    "Single",
    "SmallWorld",
    "Star",
    "Tree",
    "check_window",
    "describe",
]
