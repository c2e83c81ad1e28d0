"""This module works out what a run can cost before the first call is made.

One episode is rehearsed without any model: the protocol plans, everybody disagrees with everybody at full length,
nobody stops early, and the prompts that this makes are counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from agentsoc.contracts.judge import FENCE
from agentsoc.contracts.world import World
from agentsoc.engine.bounds import TOO_LARGE, Bound, BoundTally, NoBound
from agentsoc.errors import InputError

if TYPE_CHECKING:
    from agentsoc.contracts.board import Board
    from agentsoc.contracts.model import Backend, Request
    from agentsoc.contracts.task import Task
    from agentsoc.contracts.turns import Turn
    from agentsoc.scenario.model import Scenario
    from agentsoc.society.build import BuiltSociety

TURNS_MAX: Final = 5_000
"""Turns of one episode up to which it is rehearsed (turns)."""
SHOWN_MAX: Final = 20_000
"""Claims shown in one episode up to which it is rehearsed (claims)."""
TASKS_READ: Final = 200
"""Tasks that are searched for the longest one (tasks)."""
TURNS_READ: Final = 64
"""Turns of the first round that are searched for one that the budget pays for (turns)."""
ANSWER_CHARS: Final = 400
"""Length to which a free answer is kept (characters)."""
CLAIM_BYTES: Final = 32
"""Size of the handle and author that stand around a shown claim (bytes)."""
CITING_BYTES: Final = 400
"""Size of what a prompt says about shown claims besides the claims (bytes)."""
DRAFT_BYTES: Final = 16
"""Bytes of text that one token of a draft may stand for when the next call reads it."""


def bound(society: BuiltSociety) -> Bound | NoBound:
    """Return what a run of `society` can take, or why that is not known."""
    scenario = society.scenario
    if not scenario.protocol.rehearsable or isinstance(scenario.tasks, World):
        what = f"tasks {scenario.tasks.kind}" if scenario.protocol.rehearsable else f"protocol {scenario.protocol.kind}"
        return NoBound(
            f"how many model calls at most is not known: with {what} it depends on the replies", of_judge(scenario)
        )
    if any(not tool.offered() for group in scenario.agents for tool in group.tools):
        return NoBound(
            "how many tokens at most is not known: what the tools of a server say is not, before it is started",
            of_judge(scenario),
        )
    try:
        most = _most(society, _longest_task(scenario))
    except _TooLongError:
        return replace(TOO_LARGE, judge=of_judge(scenario))
    except Exception as error:  # a part of somebody else's that such replies upset must not stop a run from starting
        from agentsoc.engine.rehearsal import failure_text

        why = f"how many model calls at most is not known: {failure_text(scenario, error)}"
        return NoBound(why, of_judge(scenario))
    n = scenario.tasks.count
    calls, attempts = most.calls, most.calls * scenario.calls.attempts
    tokens_max, cost_max = most.tokens_max, most.cost_max
    if scenario.budget is not None:
        limits = scenario.budget.limits(n)
        if limits.calls is not None:
            calls, attempts = min(calls, limits.calls), min(attempts, limits.calls)
        if limits.tokens is not None:
            tokens_max = min(tokens_max, limits.tokens)
            cost_max = min(cost_max, tokens_max * most.dearest + most.calls_cost_max)
        if limits.money is not None:
            cost_max = min(cost_max, limits.money)
    tokens, cost = min(most.tokens, tokens_max), min(most.cost, cost_max)
    # what the study asks on its own account stands beside the team's ceiling
    study = None if most.study is None else most.study.bound(n, scenario.calls.attempts)
    team = BoundTally(calls, tokens, tokens_max, cost, cost_max)
    return replace(team.bound(n, 1), attempts=n * attempts, study=study)


def ceiling(scenario: Scenario) -> int | None:
    """Return what the budget of a run allows over all its tasks (tokens); None without a limit of tokens."""
    n = scenario.tasks.count
    limit = None if scenario.budget is None else scenario.budget.per_task(n)
    return None if limit is None else limit * n


class _TooLongError(Exception):
    """The rehearsal has more turns or shows more claims than is worth waiting for."""


def _most(society: BuiltSociety, task: Task) -> BoundTally:
    """Return what one episode of `task` takes when nobody agrees with anybody."""
    from agentsoc.budget.account import rates_of
    from agentsoc.engine.forecast_tools import tool_steps
    from agentsoc.engine.rehearsal import rehearsed
    from agentsoc.scenario.prices import FREE
    from agentsoc.society.build import open_board
    from agentsoc.society.calls import REPAIR_TOKENS
    from agentsoc.society.reply_form import CHARS_PER_TOKEN, STATING

    scenario = society.scenario
    message, repeats = scenario.message_tokens, scenario.calls.attempts - 1
    answer = max(map(_bytes, task.options), default=4 * ANSWER_CHARS)
    board = open_board([society], 0, task)
    rates = rates_of(society) or [FREE] * len(scenario.agents)
    note = 0 if scenario.budget is None else scenario.budget.shown.bytes_max()
    most = BoundTally(dearest=max(max(rate[:3]) for rate in rates), study=study_tally(scenario, task))
    n_turns = n_shown = 0
    said: dict[int, list[int]] = {}
    while turns := scenario.protocol.plan(society, board):
        n_turns += len(turns)
        n_shown += sum(len(turn.sees) for turn in turns)
        if n_turns > TURNS_MAX or n_shown > SHOWN_MAX:
            raise _TooLongError
        for turn in turns:
            if not asks_model(society, turn):
                continue
            before = replace(most)
            bare = bare_prompt_bytes(society, board, task, turn) + note
            group = society.group_index(turn.agent)
            settings, rate = scenario.agents[group], rates[group]
            cap = settings.max_tokens
            claims = len(set(turn.sees)) + settings.memory
            # a character is at most four bytes, and a byte at most a token
            text = 4 * CHARS_PER_TOKEN * message
            if society.peers_see == "whole" or any(one.peers_see == "whole" for one in scenario.agents):
                text = max(text, max(one.max_tokens for one in scenario.agents) * DRAFT_BYTES)
            claim = text + answer + CLAIM_BYTES
            prompt = bare + answer + claims * claim
            prompt += CITING_BYTES if claims else 0
            earlier = said.setdefault(turn.agent, [])
            exchanges = earlier if settings.history in ("own", "all") else earlier[-1:]
            shown_again = sum(exchanges) if settings.history == "all" else 0
            prompt += len(exchanges) * (cap * DRAFT_BYTES + bare) + shown_again * claim
            earlier.append(len(set(turn.sees)))
            steps = tool_steps(society, turn)
            n = max(turn.iterations, steps.calls)
            bare, prompt = bare + steps.said, prompt + steps.said + steps.results * (1 + len(exchanges))
            attempts = n * (1 + repeats)
            again = len(exchanges) * (cap + bare // 4) + shown_again * (message + 8)
            likely = n * (bare // 4 + claims * (message + 8) + again + steps.likely)
            drafts = (n - 1) * cap * DRAFT_BYTES * (n if steps.calls else 1)
            prompts = n * prompt + drafts + repeats * (n * (prompt + REPAIR_TOKENS) + drafts)
            most.add_calls(rate, (n, likely, n * cap), (attempts, prompts, attempts * cap))
            most.cost, most.cost_max = most.cost + steps.price, most.cost_max + steps.price
            most.calls_cost_max += steps.price
            if most.study is not None and scenario.probe is not None and turn.sees and turn.purpose in STATING:
                most.study.add_probes(before, most, scenario.probe)
        board.fold(rehearsed(society, board, turns)[1])
    return most


def of_judge(scenario: Scenario) -> Bound | None:
    """Return what a judge's readings of all answers can take; None where rules grade."""
    tally = study_tally(scenario, _longest_task(scenario))
    found = None if tally is None else tally.bound(scenario.tasks.count, scenario.calls.attempts)
    return found if found is not None and found.calls else None


def study_tally(scenario: Scenario, task: Task) -> BoundTally | None:
    """Return where the probes of a study are added up, with its judge's readings of one answer in it; None for none."""
    from agentsoc.scenario.prices import FREE, price_of
    from agentsoc.society.calls import REPAIR_TOKENS

    judge = scenario.tasks.judged_by()
    if scenario.probe is None and judge is None:
        return None
    found = BoundTally()
    if judge is not None:
        price = price_of(judge.model.model_dump(mode="json"), scenario.prices)
        n, attempts = judge.readings, judge.readings * scenario.calls.attempts
        answer = max(group.max_tokens for group in scenario.agents)
        shown = _bytes(judge.prompt(task.question, task.truth, FENCE, swapped=False)) + CLAIM_BYTES
        likely = shown // 4 + answer
        at_most = shown + answer * DRAFT_BYTES + REPAIR_TOKENS
        found.add_calls(
            FREE if price is None else price.rate,
            (n, n * likely, n * judge.max_tokens),
            (attempts, attempts * at_most, attempts * judge.max_tokens),
        )
    return found


def _longest_task(scenario: Scenario) -> Task:
    tasks = (scenario.tasks.make(scenario.tasks_seed, index) for index in range(min(scenario.tasks.count, TASKS_READ)))
    return max(tasks, key=lambda task: _bytes(task.question) + sum(map(_bytes, task.parts)))


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def backend_of(society: BuiltSociety, turn: Turn) -> Backend | None:
    """Return the backend that a turn spends tokens on, not started; None for code and for counting by rule."""
    from agentsoc.contracts.model import PureBackend
    from agentsoc.society.coded import CodedAgent

    index = society.group_index(turn.agent)
    model = society.scenario.agents[index].model
    if isinstance(model, CodedAgent):
        return None
    backend: Backend = society.remember(("bound", index), lambda: model.open(seed=society.scenario.seed))
    return None if turn.by_rule and not isinstance(backend, PureBackend) else backend


def asks_model(society: BuiltSociety, turn: Turn) -> bool:
    """Return whether a turn is a model call."""
    from agentsoc.contracts.model import PureBackend

    backend = backend_of(society, turn)
    return backend is not None and not isinstance(backend, PureBackend)


def bare_prompt_bytes(society: BuiltSociety, board: Board, task: Task, turn: Turn) -> int:
    """Return the size of the prompt of a turn before any claim is shown in it."""
    from agentsoc.contracts.model import bytes_bound

    return bytes_bound(_bare_request(society, board, task, turn))


def _bare_request(society: BuiltSociety, board: Board, task: Task, turn: Turn) -> Request:
    from agentsoc.contracts.board import Claim
    from agentsoc.contracts.turns import View
    from agentsoc.society.calls import ModelCall
    from agentsoc.society.prompt import build_request
    from agentsoc.society.sight import part_line

    question = task.question
    if turn.subtask is not None:
        question += part_line(society, board, turn)
    own = board.position(turn.agent)
    alone = msgspec.structs.replace(turn, sees=())
    # the template of a turn that reads claims, with as little of one as there can be
    claims = (Claim(0, 0, 0, "propose_claim", ""),) if turn.sees and society.rules.prompts > 1 else ()
    view = View(board.task, board.round, turn.agent, question, task.options, alone, claims, own=own)
    return build_request(society, task, view, ModelCall(0, max_tokens=1))


def require_a_call(society: BuiltSociety) -> None:
    """Check that the budget of a task pays for at least one turn of the first round.

    A turn is granted whole or not at all: with iterations, all its calls have to be paid for.

    Raises:
        InputError: it does not, so nobody would ever be asked.
    """
    from agentsoc.budget.account import Account
    from agentsoc.scenario.prices import money_text
    from agentsoc.society.build import open_board

    scenario = society.scenario
    if scenario.budget is None:
        return
    task = scenario.tasks.make(scenario.tasks_seed, 0)
    board = open_board([society], 0, task)
    account = Account(society, task)
    account.divide(None, 0)
    limits = scenario.budget.limits(scenario.tasks.count)
    least: tuple[int, int, int] | None = None
    for turn in scenario.protocol.plan(society, board)[:TURNS_READ]:
        share, rate = account.share(board, turn), account.rate(turn.agent)
        cost = _least_cost(society, board, task, turn, account.ledger.room(share, rate))
        calls = turn.iterations
        if cost == (0, 0) or account.ledger.pays((sum(cost), calls, rate.most(*cost, calls)), share):
            return
        least = (sum(cost), calls, turn.agent) if least is None else min(least, (sum(cost), calls, turn.agent))
    if least is not None:
        has = [] if limits.tokens is None else [f"{limits.tokens:,} tokens"]
        has += [] if limits.calls is None else [f"{limits.calls:,} calls"]
        has += [] if limits.money is None else [f"{money_text(limits.money)} in money"]
        split = " split into shares" if scenario.budget.policy is not None else ""
        tokens, calls, _ = least
        first = "call needs" if calls == 1 else f"turn, which has {calls} calls (iterations), has to be sure of"
        raise InputError(
            f"the budget pays for no {'call' if calls == 1 else 'turn'}: a task has {', '.join(has)}{split}, "
            f"and the cheapest first {first} {tokens:,}" + ("" if limits.tokens is not None else " tokens"),
            "budget",
            "raise the budget, or let it be split over fewer tasks" + "; or take fewer iterations" * (calls > 1),
        )


def _least_cost(society: BuiltSociety, board: Board, task: Task, turn: Turn, ceiling: int) -> tuple[int, int]:
    """Return the least that the ledger has to hold for a turn all of whose calls are made once (tokens in, out).

    It is a bound when that is within `ceiling`.
    """
    from agentsoc.budget.ledger import OUT_MIN
    from agentsoc.contracts.model import PureBackend, bytes_bound
    from agentsoc.society.calls import later_prompt_bound

    backend = backend_of(society, turn)
    if backend is None:
        return 0, 0
    if isinstance(backend, PureBackend):
        return backend.cost(len(turn.sees), turn.by_rule, society.speaks(turn.agent))
    request = _bare_request(society, board, task, turn)
    if not society.group(turn.agent).model.counts_offline():
        return turn.iterations, turn.iterations  # nothing is refused before those who can count are asked
    cap, n = society.group(turn.agent).max_tokens, turn.iterations
    reply = min(OUT_MIN, cap)

    def prompts(first: int) -> int:
        """Return the size of all prompts: later ones hold a draft and what a repair adds, as the engine reserves."""
        return first + (n - 1) * later_prompt_bound(first, cap, backend.window)

    bounded = prompts(bytes_bound(request))
    # the exact count may need the model's file, so it is only asked for when it decides
    return bounded if bounded + n * reply <= ceiling else prompts(backend.count(request)), n * reply
