"""What an agent is shown: a claim once, however many stand by it; as often as they do, where votes are counted."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pytest

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.contracts.model import Completion, Request
from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.run import run
from agentsoc.events import pack_id
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from agentsoc.society.coded import CodedAgent
from analysis.claims.attachment_offers import offers_of_debate
from tests.loose import scenario

FIRST, SECOND = pack_id(0, 0, 0), pack_id(0, 1, 0)
"""What agents 0 and 1 say first; from the second round on agents 1 and 2 stand by the one, agent 0 by the other."""


class Follower(CodedAgent):
    """Says heads, and stands by the first claim that it is shown; its views are written down."""

    kind: Literal["follower"] = "follower"
    views: ClassVar[list[View]] = []

    async def act(self, view: View) -> Reply:
        Follower.views.append(view)
        return Reply(answer="heads", uses=tuple(claim.id for claim in view.claims[:1]))


class Overheard(Scripted):
    """A scripted model whose prompts are written down."""

    kind: Literal["overheard"] = "overheard"  # type: ignore[assignment]
    prompts: ClassVar[list[Request]] = []

    def open(self, *, seed: int, share: int = 1) -> ScriptedBackend:
        return _Listening(self, seed)


class _Listening(ScriptedBackend):
    async def complete(self, request: Request) -> Completion:
        Overheard.prompts.append(request)
        return await super().complete(request)


@pytest.fixture(autouse=True)
def _registered() -> None:
    Slot.register(Overheard)
    Slot.register(Follower)
    Overheard.prompts.clear()
    Follower.views.clear()


def followed(last: str, **changes: object) -> Scenario:
    """Return a debate in which three followers and a `last` agent all hear each other."""
    groups = [{"count": 3, "model": "follower"}, {"count": 1, "model": last}]
    built = scenario(
        topology={"kind": "decentralized", "degree": 3}, protocol={"kind": "debate", "rounds": 3}, **changes
    )
    return Scenario.model_validate(
        {**built.model_dump(mode="json"), "tasks": {"kind": "coin", "count": 1}, "agents": groups}
    )


def test_a_claim_that_several_stand_by_is_shown_once(tmp_path: Path) -> None:
    run(followed("follower"), tmp_path / "run")
    [view] = [view for view in Follower.views if (view.round, view.agent) == (2, 3)]
    assert view.turn.sees == (FIRST, FIRST, SECOND)
    assert [claim.id for claim in view.claims] == [FIRST, SECOND]


def test_a_prompt_gives_a_claim_that_several_stand_by_one_handle(tmp_path: Path) -> None:
    run(followed("overheard"), tmp_path / "run")
    [prompt] = [request for request in Overheard.prompts if request.hint is not None and request.hint.round == 2]
    first, second = prompt.user.removeprefix("Others said:\n").splitlines()[:2]
    assert {first[2:], second[2:]} == {" agent 0: heads", " agent 1: heads"}
    assert (first[:2], second[:2]) == ("#1", "#2")
    assert prompt.hint is not None
    assert (len(prompt.hint.shown), len(prompt.hint.shown_unique)) == (3, 2)


def test_attention_is_offered_a_claim_once_for_each_that_stands_by_it(tmp_path: Path) -> None:
    """Also where it was cited more often: in the third round claim FIRST was endorsed twice and two stand by it."""
    one = followed("follower", attention={"kind": "random", "k": 3})
    frame = run(one, tmp_path / "run").frame()
    offers = offers_of_debate(frame, one)
    assert offers is not None
    rows = zip(frame.select("round", "agent").iter_rows(), offers.to_list(), strict=True)
    found = {place: offer for place, offer in rows if place[1] >= 0}
    assert found[0, 3] == []
    assert found[1, 3] == [FIRST, SECOND, pack_id(0, 2, 0)]
    assert found[2, 3] == [FIRST, FIRST, SECOND]
    assert found[2, 0] == [FIRST, FIRST, FIRST]
    assert RunLog(tmp_path / "run").manifest.totals.rounds == 3
