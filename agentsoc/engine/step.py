"""This module makes the tool calls of one step of a stage: what may be called, what it gave, and its events."""

from __future__ import annotations

from collections.abc import Sequence

from agentsoc.budget.account import Account
from agentsoc.contracts.board import Board
from agentsoc.contracts.turns import SLOT_WIDTH, Reply, Turn
from agentsoc.engine.run_state import ScenarioEpoch
from agentsoc.engine.tool_desk import WantedCall
from agentsoc.errors import RunFailedError
from agentsoc.events import Event


async def step_events(
    epoch: ScenarioEpoch, account: Account, board: Board, calling: Sequence[tuple[Turn, Reply]]
) -> list[list[Event]]:
    """Make the calls of a step; return the events of each turn that calls.

    Args:
        epoch: the society with its tools.
        account: what pays: each call is taken from it in the order of agents and calls, whatever comes of it.
        board: of the episode, as it was before the step.
        calling: the turns that call tools, in the order of agents, with their replies.
    """
    if epoch.desk is None:
        raise RunFailedError(f"agent {calling[0][0].agent} calls a tool and has none")
    place = (board.task, board.log_round)
    wanted: list[WantedCall] = []
    for turn, reply in calling:
        most = epoch.society.group(turn.agent).tool_use.calls
        for number, call in enumerate(reply.tool_calls):
            if number >= most:
                allowed = f"limit: at most {most} calls in one reply"
            else:
                allowed = (
                    ""
                    if account.take_tool_call(board, turn, call.tool)
                    else "limit: the budget pays for no further call"
                )
            wanted.append(WantedCall(turn, number, call, allowed))
    outcomes = iter(await epoch.desk.make(*place, wanted))
    found = []
    for turn, reply in calling:
        cost = (reply.calls, reply.tokens_in, reply.tokens_cached, reply.tokens_out)
        events = []
        for number, _ in enumerate(reply.tool_calls):
            outcome = next(outcomes)
            calls, tokens_in, cached, tokens_out = cost if number == 0 else (0, 0, 0, 0)
            k = turn.slot * SLOT_WIDTH + 1 + number
            events.append(
                Event(
                    *place, turn.agent, k, "tool_call", answer=outcome.said, text=outcome.text,
                    calls=calls, tokens_in=tokens_in, tokens_cached=cached, tokens_out=tokens_out,
                )
            )  # fmt: skip
        found.append(events)
    return found


def told(event: Event) -> str:
    """Return what an agent is told of a call that it made."""
    return event.text or ""
