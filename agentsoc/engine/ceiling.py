"""This module says beforehand what a ceiling will cut: how many agents speak at once, and what cannot be paid for.

A run is rehearsed as in `agentsoc.engine.forecast`: nobody agrees, nobody stops early. Each call reserves what the
engine would reserve for it, then uses a part of that. This is done twice: with replies and messages as long as they may
be, and with the shortest ones. What is refused even for these is cut for sure, the rest may be. So the words are a
forecast, not a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentsoc.engine.forecast import (
    ANSWER_CHARS,
    CITING_BYTES,
    CLAIM_BYTES,
    SHOWN_MAX,
    TURNS_MAX,
    asks_model,
    backend_of,
    bare_prompt_bytes,
)

if TYPE_CHECKING:
    from agentsoc.budget.account import Account
    from agentsoc.budget.ledger import Grant, Need
    from agentsoc.contracts.board import Board
    from agentsoc.contracts.task import Task
    from agentsoc.contracts.turns import Reply, Turn
    from agentsoc.society.build import BuiltSociety

_BYTES_A_TOKEN: Final = (8, 4)
"""Bytes of a prompt that a token stands for: at most, where little is to be used; usually."""


@dataclass(frozen=True)
class RoundForecast:
    """The object says what the ceiling makes of one round."""

    round: int
    """Counted from 0."""
    turns: int
    at_once: int
    """Turns that the first wave pays for."""
    waves: int
    refused: int
    """Turns that cannot be paid for."""


@dataclass(frozen=True)
class CeilingForecast:
    """The object says what the ceiling makes of the rounds of a task, until it is spent."""

    long: tuple[RoundForecast, ...]
    """Where replies and messages are as long as they may be."""
    short: tuple[RoundForecast, ...]
    """Where replies take nothing, and messages hold an answer alone."""

    def text(self) -> list[str]:
        """Return in words what is cut; nothing where every round is paid for at once.

        Rounds are counted from 1, as a protocol's ``rounds`` are.
        """
        sure = {one.round: one.refused for one in self.short if one.refused}
        said: list[str] = []
        for one in self.long:
            name, unless = (
                f"round {one.round + 1}",
                "" if one.round in sure else " if replies are as long as their caps",
            )
            if one.refused == one.turns:
                said.append(f"{name} cannot be paid for{unless}")
            elif one.refused:
                said.append(f"in {name}, {one.turns - one.refused} of {one.turns} turns can be paid for{unless}")
            elif one.waves > 1:
                at_once = f"{one.at_once} of {one.turns} agents can speak in a round at once"
                if (text := f"{at_once}; the round takes {one.waves} waves") not in said:
                    said.append(text)
        return said


def forecast_ceiling(society: BuiltSociety) -> CeilingForecast | None:
    """Return what the ceiling of a task makes of its rounds.

    None where there is no ceiling, where the protocol cannot be rehearsed or where that takes too long.
    """
    from agentsoc.contracts.world import World

    scenario = society.scenario
    if scenario.budget is None or not scenario.protocol.rehearsable or isinstance(scenario.tasks, World):
        return None
    try:
        long, short = (_rehearse(society, length) for length in (1, 0))
    except Exception:  # a protocol of somebody else's that such replies upset: it must not keep a run from starting
        return None
    return None if long is None or short is None else CeilingForecast(tuple(long), tuple(short))


def _rehearse(society: BuiltSociety, length: int) -> list[RoundForecast] | None:
    """Return the rounds where every reply takes `length` times its cap."""
    from agentsoc.budget.account import Account
    from agentsoc.engine.conclusion import conclusion_tokens
    from agentsoc.engine.rehearsal import rehearsed
    from agentsoc.society.build import open_board

    scenario = society.scenario
    task = scenario.tasks.make(scenario.tasks_seed, 0)
    board, account = open_board([society], 0, task), Account(society, task)
    account.divide(conclusion_tokens(society, task, 0), society.wiring.root or 0)
    found: list[RoundForecast] = []
    n_turns = n_shown = 0
    while turns := scenario.protocol.plan(society, board):
        n_turns += len(turns)
        n_shown += sum(len(turn.sees) for turn in turns)
        if n_turns > TURNS_MAX or n_shown > SHOWN_MAX:
            return None
        one = _round(society, account, board, turns, [_expected(society, board, task, turn, length) for turn in turns])
        found.append(one)
        if one.refused == len(turns) or (one.refused and account.policy is None):
            break
        board.fold(rehearsed(society, board, turns)[1])
    return found


def _round(
    society: BuiltSociety,
    account: Account,
    board: Board,
    turns: Sequence[Turn],
    expected: Sequence[tuple[Need, tuple[int, int]]],
) -> RoundForecast:
    """Take a round from an account: what each turn asks for, and what it then uses."""
    from agentsoc.budget.spent import Spent
    from agentsoc.budget.waves import WaveQueue

    needs = [need for need, _ in expected]
    exact = [not asks_model(society, turn) for turn in turns]
    ledger = account.ledger
    queue = WaveQueue(ledger, needs, 1, account.shares(board, turns), account.turn_rates(turns), exact)
    waves = refused = at_once = 0
    while queue.waiting:
        wave = queue.next()
        refused += len(wave.refused)
        waves += bool(wave.grants)
        at_once = at_once or len(wave.grants)
        for place, grant in wave.grants:
            account.settle(grant, turns[place].agent, Spent.by(_used(needs[place], grant, expected[place][1])))
    return RoundForecast(board.round, len(turns), at_once, waves, refused)


def _used(need: Need, grant: Grant, tokens: tuple[int, int]) -> Reply:
    """Return a reply that used these tokens (in, out), as far as they were granted."""
    from agentsoc.contracts.turns import Reply

    n_calls = len(need.tokens_in)
    tokens_in, tokens_out = min(tokens[0], sum(need.tokens_in)), min(tokens[1], n_calls * grant.tokens_out)
    return Reply(calls=n_calls if need.asks else 0, tokens_in=tokens_in, tokens_out=tokens_out)


def _expected(society: BuiltSociety, board: Board, task: Task, turn: Turn, length: int) -> tuple[Need, tuple[int, int]]:
    """Return what a turn reserves for one attempt of each call, and what it is likely to use (tokens in, out)."""
    from agentsoc.budget.ledger import Need
    from agentsoc.contracts.model import ElasticBackend, PureBackend
    from agentsoc.society.calls import later_prompt_bound
    from agentsoc.society.reply_form import CHARS_PER_TOKEN

    backend = backend_of(society, turn)
    group = society.group(turn.agent)
    if backend is None:
        return Need(), (0, 0)
    if isinstance(backend, ElasticBackend):
        wants = max(min(backend.wants(None, None, society.n), group.max_tokens), 1)
        return Need((0,), wants), (0, wants)
    if isinstance(backend, PureBackend):
        tokens_in, tokens_out = backend.cost(len(turn.sees), turn.by_rule, society.speaks(turn.agent))
        return Need((tokens_in,), tokens_out, whole=True, asks=not turn.by_rule), (tokens_in, tokens_out)
    scenario, n = society.scenario, turn.iterations
    note = 0 if scenario.budget is None else scenario.budget.shown.bytes_max()
    bare = bare_prompt_bytes(society, board, task, turn) + note
    answer = max((len(option.encode(errors="replace")) for option in task.options), default=ANSWER_CHARS // 4)
    claims = len(set(turn.sees)) + group.memory
    first = bare + claims * (length * CHARS_PER_TOKEN * scenario.message_tokens + answer + CLAIM_BYTES)
    first += CITING_BYTES if claims else 0
    likely = first // _BYTES_A_TOKEN[length]
    if group.model.counting() == "exact":
        first = likely
    if backend.window is not None:
        first = min(first, max(backend.window - group.max_tokens, 1))
    later = later_prompt_bound(first, group.max_tokens, backend.window)
    used = n * likely + (n - 1) * length * group.max_tokens, n * length * group.max_tokens
    return Need((first,) + (later,) * (n - 1), group.max_tokens), used
