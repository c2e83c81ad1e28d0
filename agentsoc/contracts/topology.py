"""A `Topology` is the part of a scenario that says who may address whom. Builders are pure and seeded.

Also here: what bounds every organisation, whatever its kind. `check_window` says whether what an agent has to read
fits its model's context window.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

import numpy as np

from agentsoc.contracts.graphs import nx
from agentsoc.contracts.part import Part, Slot
from agentsoc.contracts.router import Router
from agentsoc.contracts.society import Society
from agentsoc.contracts.wiring import Wiring
from agentsoc.errors import TopologyError


class Topology(Part):
    """Base of all topologies; the ``topology`` block of a scenario."""

    slot: ClassVar[str] = "agentsoc.topologies"
    live: ClassVar[bool] = False
    """Whether its edges change while an episode goes on: then it has a `router`."""

    kind: str

    @abstractmethod
    def build(self, n: int, rng: np.random.Generator) -> nx.DiGraph[int]:
        """Return the graph on agents 0..n-1; nodes carry ``role`` and ``level``; edge u -> v: u may address v.

        Raises:
            TopologyError: no such organisation of `n` agents exists.
        """

    def root(self, n: int) -> int | None:
        """Return the agent in whom the organisation ends, or None among peers."""
        return None

    def router(self, society: Society) -> Router | None:
        """Return a new fold that says who hears whom in each stage of an episode; None where `build` says it."""
        return None

    def size(self, n: int | None) -> int:
        """Return the number of agents: `n` when given, else what the topology's own parameters imply.

        Raises:
            TopologyError: it is not given and the topology does not fix it, or the two disagree.
        """
        if n is None:
            raise TopologyError(f"a {self.kind} needs the number of agents", "", "give agents a count")
        return n

    def wiring(self, n: int, rng: np.random.Generator) -> Wiring:
        """Return the built topology as arrays. Overridden where a graph would be too big; always equal to `build`."""
        return Wiring.of(self.build(n, rng), self.kind, root=self.root(n))

    def fan_in_limit(self, n: int) -> int:
        """Return the largest number of claims that one agent has to read at once, whatever the seed.

        This is the maximum of `Wiring.reads`, or a bound of it where draws decide who hears whom; everybody, for a
        topology that does not say.
        """
        return n - 1

    def remarks(self, n: int) -> tuple[str, ...]:
        """Return what a person should know of how the organisation of `n` agents was read, in sentences; () by default.

        `agentsoc check` prints them: ids of a file that became others, edges that were left out.
        """
        return ()


TOPOLOGIES: Slot[Topology] = Slot("agentsoc.topologies", "topology")
"""The topologies that scenarios can name: their classes by kind, and `parse`, which makes one from a block."""

_SYMBOLS: Final = {
    "star": ("N", "workers under the hub"),
    "hybrid": ("N", "workers under the hub"),
    "tree": ("b", "children of a node"),
}
"""What the theory calls the fan-in of a kind."""


def check_window(
    what: Wiring | Topology,
    message_tokens: int,
    window_tokens: int,
    *,
    n: int | None = None,
    agents: slice | None = None,
) -> None:
    """Check that what any agent has to read at once fits the context window: max fan-in * m <= W.

    For a star that is N m <= W with N workers, for a tree b m <= W with b children a node. The fan-in is that of
    `Wiring.reads`; a topology stands for the worst seed, so where draws decide, the wiring gives the sharper check.
    The window is what is left for the messages: take off what the question and the answer need.

    Args:
        what: a built wiring, or a topology with `n` given.
        message_tokens: length of one message, m (tokens).
        window_tokens: context window, W (tokens).
        n: number of agents, for a topology.
        agents: those whose window it is, of a wiring; None for everybody.

    Raises:
        TopologyError: it does not fit; says what would.
    """
    if isinstance(what, Wiring):
        size, fan_in = what.n, int(what.reads[agents or slice(None)].max(initial=0))
    else:
        size = what.size(n)
        fan_in = what.fan_in_limit(size)
    if fan_in * message_tokens <= window_tokens:
        return
    symbol, meaning = _SYMBOLS.get(what.kind, ("k", "agents that one agent reads"))
    room, length = window_tokens // message_tokens, window_tokens // fan_in
    least = 2 if symbol == "b" else 1
    fits = []
    if room >= least:
        workers = f" (agents = {room + 1})" if symbol == "N" else ""
        fits.append(f"{symbol} <= {room}{workers}")
    if length >= 1:
        fits.append(f"m <= {length}")
    raise TopologyError(
        f"this {what.kind} of {size} agents does not fit the context window: {symbol} * m <= W is needed, found "
        f"{symbol} * m = {fan_in} * {message_tokens} = {fan_in * message_tokens} > W = {window_tokens} "
        f"({symbol} = {meaning}, m = tokens a message, W = tokens of the window)",
        "",
        f"fits: {' or '.join(fits)}" if fits else "nothing fits so small a window; use a model with a larger one",
    )
