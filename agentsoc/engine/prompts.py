"""This module renders the prompts of the turns on a host: it counts them before a round and keeps them for sending."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentsoc.budget.ledger import Need
from agentsoc.contracts.model import Backend, ElasticBackend, PureBackend, Request
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import View
from agentsoc.engine.attempts import AttemptRequest, PlannedTurn
from agentsoc.engine.views import Views
from agentsoc.society.calls import REPAIR_TOKENS, ModelCall, later_prompt_bound
from agentsoc.society.coded import CodedAgent
from agentsoc.society.prompt import build_request

RENDERED_MAX = 4096
"""Prompts kept between counting and sending; more of a round are rendered twice (prompts)."""
_NOTHING = Need()


class RenderedPrompt(msgspec.Struct, frozen=True, gc=False):
    """A rendered prompt is the request of an attempt, and what its reply is read with."""

    request: Request
    view: View
    """Without the claims that did not fit into the prompt."""
    task: Task
    backend: Backend
    due: int = 0
    """Claims that the turn is to read, whether or not there was room for them (claims)."""


class Prompts:
    """The object renders the prompts of a host's turns and says what they may cost."""

    def __init__(self, views: Views, backends: Sequence[Backend]) -> None:
        self._views = views
        self._society = views.society
        self._groups = views.society.scenario.agents
        self._backends = backends
        self._coded = [isinstance(group.model, CodedAgent) for group in self._groups]
        self._pure = [backend if isinstance(backend, PureBackend) else None for backend in backends]
        self._elastic = [backend if isinstance(backend, ElasticBackend) else None for backend in backends]
        self._rendered: dict[tuple[int, int, int, int], tuple[int, int, RenderedPrompt]] = {}
        """Prompts that were counted and not sent yet, with their tokens and output cap."""

    def rendered(self, wanted: AttemptRequest, *, kept: bool = False) -> RenderedPrompt:
        """Return the prompt of an attempt; that of a turn's first attempt was rendered when its tokens were counted.

        Args:
            wanted: the attempt.
            kept: whether the first attempt's is wanted again.
        """
        if wanted.call or wanted.attempt:
            return self._render(wanted)
        place = _place(wanted.planned)
        known = self._rendered.get(place) if kept else self._rendered.pop(place, None)
        if known is not None and known[:2] == (wanted.tokens_in, wanted.tokens_out):
            return known[2]
        return self._render(wanted)

    def forget(self, wanted: AttemptRequest) -> None:
        """Keep the prompt of an attempt no longer: it is not sent."""
        if not (wanted.call or wanted.attempt):
            self._rendered.pop(_place(wanted.planned), None)

    def _render(self, wanted: AttemptRequest) -> RenderedPrompt:
        planned = self._views.instructed(wanted.planned)
        turn = planned.turn
        task = self._views.asked(planned)
        view = self._views.prompted(planned)
        backend = self._backends[self._society.group_index(turn.agent)]
        limit = wanted.tokens_in
        if backend.window is not None:
            room = backend.window - wanted.tokens_out
            limit = room if limit is None else min(limit, room)
        request = build_request(
            self._society,
            task,
            view,
            model_call(self._views, wanted),
            None if limit is None else lambda candidate: backend.count(candidate) <= limit,
        )
        n_shown = len(request.hint.shown_unique) if request.hint is not None else 0
        return RenderedPrompt(request, first_claims(view, n_shown), task, backend, len(view.claims))

    def prepare(self, turns: Sequence[PlannedTurn], limit: int | None = None) -> list[Need]:
        """Return what each turn may cost: prompts are rendered and counted, nothing is called.

        Args:
            turns: the turns.
            limit: room for prompt and reply of one call, for a concluding turn (tokens).
        """
        self._views.expect(turns)
        return [self._need(planned, limit) for planned in turns]

    def _need(self, planned: PlannedTurn, limit: int | None) -> Need:
        turn = planned.turn
        index = self._society.group_index(turn.agent)
        group, backend = self._groups[index], self._backends[index]
        if self._coded[index]:
            return _NOTHING
        pure, elastic = self._pure[index], self._elastic[index]
        if elastic is not None:
            wanted = min(elastic.wants(planned.left, planned.team_left, self._society.n), group.max_tokens)
            return _NOTHING if turn.by_rule else Need((0,), max(wanted, 1))
        if pure is not None:
            tokens_in, tokens_out = pure.cost(len(turn.sees), turn.by_rule, self._society.speaks(turn.agent))
            asks = not turn.by_rule
            return Need((tokens_in,), tokens_out, whole=True, asks=asks) if tokens_in or tokens_out else _NOTHING
        if turn.by_rule:
            return _NOTHING
        cap = group.max_tokens if limit is None else max(1, min(group.max_tokens, limit // 2))
        if planned.room is not None:
            first = planned.room
        else:
            room = None if limit is None else limit - cap
            rendered = self._render(AttemptRequest(planned, 0, 0, room, cap))
            first = backend.count(rendered.request)
            if len(self._rendered) >= RENDERED_MAX:  # those of turns that were never sent stand among the oldest
                for place in list(self._rendered)[: RENDERED_MAX // 2]:
                    del self._rendered[place]
            self._rendered[_place(planned)] = (first, cap, rendered)
        later = later_prompt_bound(first, cap, backend.window)
        calls = (first,) if turn.iterations == 1 else (first,) + (later,) * (turn.iterations - 1)
        return Need(calls, cap, again=REPAIR_TOKENS)


def model_call(views: Views, wanted: AttemptRequest) -> ModelCall:
    """Return what the prompt of an attempt says besides the view."""
    planned = wanted.planned
    turn = planned.turn
    memory = () if turn.fresh else views.memory(turn.agent)
    return ModelCall(
        wanted.call, wanted.tokens_out, wanted.attempt, wanted.draft, wanted.fault, views.exchanges(planned), memory
    )


def first_claims(view: View, n: int) -> View:
    """Return a view without the claims that did not fit into its prompt."""
    return view if n >= len(view.claims) else msgspec.structs.replace(view, claims=view.claims[:n])


def _place(planned: PlannedTurn) -> tuple[int, int, int, int]:
    return planned.task, planned.round, planned.turn.agent, planned.turn.slot
