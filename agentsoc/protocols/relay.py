"""`relay`: claims run along the edges, once: whoever has heard all that it will hear answers, and passes it on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Decision, Protocol, Stage, Verdict
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Turn
from agentsoc.errors import InputError
from agentsoc.protocols.aggregators import count
from agentsoc.society.attention import attend, standing_of


class Relay(Protocol):
    """Waves along a topology without circles: agents who hear nobody answer first; everybody answers once.

    What an error does that nobody catches: with f readers a claim, each of whom rejects a wrong one with probability q,
    the wrong claims that come of one planted error over h waves are, on average, the sum of (f (1 - q))^i for
    i = 0..h. The majority of the last wave is the society's answer.
    """

    kind: Literal["relay"] = "relay"

    def check(self, society: Society) -> None:
        """Refuse a circle: on one, everybody waits for everybody."""
        if _waves(society) is None:
            raise InputError(
                f"relay goes along the edges once, and in {society.wiring.kind} some of them form a circle",
                "protocol",
                "use topology custom with one-way edges, or protocol debate",
            )

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        """Return the turns of the wave that is due."""
        waves = _cached(society)
        if board.round >= len(waves):
            return ()
        return [
            Turn(
                agent,
                sees=attend(society, board, agent, standing_of(board, society.neighbours[agent])),
                iterations=society.group(agent).iterations,
            )
            for agent in waves[board.round]
        ]

    def decide(self, society: Society, board: Board) -> Decision:
        """Return the majority of the last wave that has spoken."""
        for wave in reversed(_cached(society)):
            claims = [board.claims[board.standing[agent]] for agent in wave if agent in board.standing]
            if len(claims) == len(wave) == 1:
                return Decision(claims[0].answer, claims[0].id)
            if claims:
                return count("majority", claims, society, board)
        return Decision(None)

    def schedule(self, society: Society) -> Sequence[Stage] | None:
        """Return all waves when everything is shown, else None."""
        if society.attention.kind != "all":
            return None
        return [Stage(wave, tuple(society.neighbours[agent] for agent in wave)) for wave in _cached(society)]

    def verdict(self, society: Society) -> Verdict | None:
        """Return the last agent, whose claim decides; None where the last wave is several agents."""
        last = _cached(society)[-1]
        return last[0] if len(last) == 1 else None


def _cached(society: Society) -> tuple[tuple[int, ...], ...]:
    return society.remember("relay", lambda: _waves(society) or ())


def _waves(society: Society) -> tuple[tuple[int, ...], ...] | None:
    """Return the agents by the longest way to them along the edges; None when there is a circle."""
    waits = [len(heard) for heard in society.neighbours]
    wave = [agent for agent in range(society.n) if not waits[agent]]
    waves: list[tuple[int, ...]] = []
    while wave:
        waves.append(tuple(wave))
        following = []
        for agent in wave:
            for reader in society.addresses(agent):
                waits[reader] -= 1
                if not waits[reader]:
                    following.append(reader)
        wave = sorted(following)
    return tuple(waves) if sum(map(len, waves)) == society.n else None
