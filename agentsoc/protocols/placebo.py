"""`placebo`: a debate in which everybody reads what was said about another question: the control of reading as such.

As many agents are asked as often, and read as many claims of the same length, as in a debate; but what they are shown
was said in the episode of another task of the run (`agentsoc.engine.elsewhere`). What a debate gains beyond it comes
from what was said, and not from being asked again with more words in view. Nobody can rest on what it has not seen:
whatever a reply names, its claim rests on the agent's own.

With n agents who all hear each other and r rounds the calls are r n and the deliveries r n (n - 1), as in a debate.
A reader who counts votes is harmed: with two options and accuracy p it is right with probability p a + (1 - p) (1 - a)
after one round among n - 1 (even) others, where a = P(S >= (n - 1)/2) and S, the votes for what is right here, is
Binomial(n - 1, p) or Binomial(n - 1, 1 - p), each with probability one half. That is less than p.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from agentsoc.contracts.board import Board
from agentsoc.contracts.protocol import Act, interpret_reply
from agentsoc.contracts.society import Society
from agentsoc.contracts.turns import Reply, Turn
from agentsoc.protocols.debate import Debate


class Placebo(Debate):
    """As a debate; but each claim that an agent reads is replaced by one of another task, as long as it."""

    elsewhere: ClassVar[bool] = True
    alone: ClassVar[str | None] = "its agents read what was said in another episode"

    kind: Literal["placebo"] = "placebo"  # type: ignore[assignment]

    def interpret(self, society: Society, board: Board, turn: Turn, reply: Reply) -> Sequence[Act]:
        """Read a reply as that of an agent that was shown nothing of this episode."""
        if not turn.sees:
            return interpret_reply(society, board, turn, reply)
        bare = msgspec.structs.replace(turn, sees=(), instead=())
        return interpret_reply(society, board, bare, msgspec.structs.replace(reply, uses=(), disputes=()))

    def schedule(self, society: Society) -> None:
        """Return None: what is said in other episodes is not known beforehand."""
        return
