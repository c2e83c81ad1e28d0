"""This module answers for agents that are functions of the seed: simulated voters, and exact merges by rule."""

from __future__ import annotations

import zlib

import msgspec

from agentsoc.contracts.board import Board
from agentsoc.contracts.model import ElasticBackend, Hint, PureBackend, SampleHint, VoterReply
from agentsoc.contracts.protocol import majority
from agentsoc.contracts.turns import Delegation, Reply, Turn
from agentsoc.engine.attempts import PlannedTurn
from agentsoc.engine.views import Views
from agentsoc.society.parts import part_of
from agentsoc.society.reply_reader import MALFORMED


class Voters:
    """The object gives the replies of a host's agents that ask no model and run no code of a user's."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._society = views.society
        self._scenario = views.society.scenario

    def merge_by_rule(self, planned: PlannedTurn) -> Reply:
        """Return a merge by rule of agents whose reading is exact: count what is shown, no tokens."""
        board, turn = self._views.board(planned.task), planned.turn
        claims = [board.claims[claim] for claim in turn.sees]
        weights = None
        if self._scenario.protocol.weighs_claims():
            weights = [claim.confidence if claim.confidence is not None else 0.5 for claim in claims]
        decision = majority(
            claims,
            seed=self._scenario.seed,
            task=planned.task,
            round_=planned.seen_at,
            agent=turn.agent,
            weights=weights,
        )
        return Reply(answer=decision.answer, uses=tuple(dict.fromkeys(turn.sees)))

    def vote(self, planned: PlannedTurn, backend: PureBackend) -> Reply:
        """Return the reply of a simulated voter."""
        task, board, turn = self._views.asked(planned), self._views.board(planned.task), planned.turn
        own = None if turn.fresh else board.position(turn.agent)
        hint = Hint(
            task=planned.task,
            round=planned.seen_at,
            agent=turn.agent,
            k=turn.slot,
            purpose=turn.purpose,
            truth=task.truth,
            options=task.options,
            shown=_shown_answers(board, turn) if turn.sees else (),
            own=None if own is None else own.answer,
            by_rule=turn.by_rule,
            speaks=self._society.speaks(turn.agent),
            difficulty=task.difficulty,
        )
        if turn.fresh:
            place = zlib.crc32(turn.state.encode()) if turn.state is not None else 0
            hint = SampleHint(*msgspec.structs.astuple(hint), turn.slot, place)  # type: ignore[call-arg]
        said = self._spend(planned, backend, hint) if isinstance(backend, ElasticBackend) else backend.respond(hint)
        if said.invalid:
            what = f"{MALFORMED}simulated"
            spent = Reply(latency_s=said.latency_s, calls=1, tokens_in=said.tokens_in, tokens_out=said.tokens_out)
            return msgspec.structs.replace(spent, **{"discarded" if turn.strict else "failed": what})
        planning = turn.purpose in ("plan", "guide")  # a voter has no words: it hands on the question itself
        disputes = tuple(dict.fromkeys([turn.sees[i] for i in said.rejected])) if said.rejected else ()
        return Reply(
            answer=None if planning else said.answer,
            uses=tuple([c for c in dict.fromkeys(turn.sees) if c not in disputes]),
            disputes=disputes,
            chosen=None if said.chosen is None else turn.sees[said.chosen],
            accepts=said.accepts,
            delegations=tuple(Delegation(to, task.question) for to in turn.targets) if planning else (),
            stop=False if turn.purpose == "judge" else None,
            latency_s=said.latency_s,
            calls=0 if turn.by_rule else 1,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
        )

    def _spend(self, planned: PlannedTurn, backend: ElasticBackend, hint: Hint) -> VoterReply:
        """Return what a voter says that decides itself what it spends, on a part of the task as a model would."""
        task, turn = self._views.asked(planned), planned.turn
        if turn.by_rule or turn.purpose in ("plan", "guide", "judge", "choose", "check"):
            return backend.respond(msgspec.structs.replace(hint, by_rule=True))
        part = part_of(task, self._views.board(planned.task), turn.subtask)
        if part is not None and task.part_truths:
            difficulty = task.part_difficulty[part] if task.part_difficulty else None
            hint = msgspec.structs.replace(hint, truth=task.part_truths[part], options=(), difficulty=difficulty)
        wanted = min(
            backend.wants(planned.left, planned.team_left, self._society.n), self._society.group(turn.agent).max_tokens
        )
        return backend.spend(hint, max(wanted, 1) if planned.cap is None else planned.cap)


def _shown_answers(board: Board, turn: Turn) -> tuple[str | None, ...]:
    """Return the answers that a voter hears, one for each claim that its turn sees."""
    if turn.instead:
        said = {claim.id: claim.answer for claim in turn.instead}
        return tuple([said[claim] for claim in turn.sees])
    return tuple([board.claims[claim].answer for claim in turn.sees])
