"""What agents are told of the budget: the scenario's words, the committed state, and nothing when it is hidden."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.budget.shown import NOTHING, BudgetNotice, Used, placebo, tell, tier_of
from agentsoc.contracts.model import Completion, Request
from agentsoc.contracts.part import Slot
from agentsoc.contracts.turns import Reply, View
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from agentsoc.scenario.budget import TIERS, Limits, Shown
from agentsoc.scenario.model import Scenario
from agentsoc.society.build import build_society
from agentsoc.society.coded import CodedAgent
from tests.strategies import scenario

TEAM = Limits(tokens=3_000), Used(tokens=1_000)
OWN = Limits(tokens=600), Used(tokens=550)


@pytest.mark.parametrize(
    ("scope", "says", "left", "team_left"),
    [
        ("hidden", "", None, None),
        ("self", "Your tokens: 50 of 600 left (8 %).\nCRITICAL: Give your best answer now, briefly.", 50, None),
        (
            "team",
            "The team's tokens: 2000 of 3000 left (66 %).\nMEDIUM: Spend on what decides the question.",
            None,
            2_000,
        ),
        (
            "both",
            "Your tokens: 50 of 600 left (8 %).\nThe team's tokens: 2000 of 3000 left (66 %).\n"
            "CRITICAL: Give your best answer now, briefly.",
            50,
            2_000,
        ),
    ],
)
def test_each_scope_says_what_it_is_about(scope: Any, says: str, left: int | None, team_left: int | None) -> None:
    assert tell(Shown(scope=scope), OWN, TEAM) == BudgetNotice(left, team_left, says)


def test_there_is_a_line_for_each_limited_resource() -> None:
    limits = Limits(tokens=1_000, calls=20, money=5 * 10**11)
    shown = Shown(scope="team", style="{resource} {used}/{limit} {left} {percent} {tier}")
    lines = tell(shown, None, (limits, Used(100, 10, 10**11))).note.splitlines()
    assert lines == [
        "tokens 100/1000 900 90 HIGH",
        "calls 10/20 10 50 MEDIUM",
        "money 0.1000/0.5000 0.4000 80 HIGH",
        "MEDIUM: Spend on what decides the question.",
    ]


@pytest.mark.parametrize(
    ("left", "tier"), [(100, 0), (70, 0), (69, 1), (30, 1), (29, 2), (10, 2), (9, 3), (1, 3), (0, 3)]
)
def test_tiers_begin_at_seventy_thirty_and_ten_percent(left: int, tier: int) -> None:
    assert tier_of(TIERS, left, 100) == tier_of(TIERS, 1_000 * left, 100_000) == tier


def test_more_than_the_limit_leaves_nothing_not_less() -> None:
    assert tell(Shown(scope="team"), None, (Limits(tokens=10), Used(tokens=12))).team_left == 0


@given(
    st.builds(Limits, *[st.none() | st.integers(1, 10**15)] * 3),
    st.builds(Used, *[st.integers(0, 10**15)] * 3),
    st.sampled_from(["self", "team", "both"]),
)
def test_a_placebo_is_as_long_as_the_note_and_says_nothing(limits: Limits, used: Used, scope: Any) -> None:
    real = tell(Shown(scope=scope), (limits, used), (limits, used))
    sham = tell(Shown(scope=scope, placebo=True), (limits, used), (limits, used))
    assert len(sham.note) == len(real.note)
    assert sham == BudgetNotice(note=placebo(len(real.note)))
    assert not re.search(r"\d|token|call|money|budget", sham.note)
    assert len(real.note.encode()) <= Shown(scope=scope).bytes_max()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"style": "{leftover}"}, "leftover"),
        ({"style": "{left.__class__}"}, "left.__class__"),
        ({"tiers": [{"name": "A", "at_least": 50}]}, "end with 0"),
        ({"tiers": [{"name": "A", "at_least": 0}, {"name": "B", "at_least": 50}]}, "most to least"),
    ],
)
def test_words_that_cannot_be_filled_in_are_refused(changes: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        Shown.model_validate({"scope": "team", **changes})


def test_the_wording_is_part_of_what_the_run_is_hashed_by() -> None:
    def hashed(**shown: Any) -> str:
        return hash_json(scenario(budget={"tokens_per_task": 900, "shown": shown}).result_part())

    said = [hashed(scope="hidden"), hashed(scope="team"), hashed(scope="team", placebo=True)]
    said += [hashed(scope="team", style="{left}"), hashed(scope="team", tiers=[{"name": "ANY", "at_least": 0}])]
    assert len(set(said)) == 5
    assert hashed(scope="hidden") == hash_json(scenario(budget={"tokens_per_task": 900}).result_part())


# Through the engine


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


class Reader(CodedAgent):
    """A coded agent that answers with what it was told."""

    kind: Literal["reader"] = "reader"

    async def act(self, view: View) -> Reply:
        return Reply(answer="heads", text=f"{view.tokens_left}/{view.team_tokens_left}/{view.note[:4]}")


@pytest.fixture(autouse=True)
def _registered() -> None:
    Slot.register(Overheard)
    Slot.register(Reader)
    Overheard.prompts.clear()


def debated(shown: Any, policy: Any = "uniform", **changes: Any) -> Scenario:
    return scenario(
        **{
            "tasks": {"kind": "coin", "count": 2},
            "agents": {"count": 3, "model": "overheard", "max_tokens": 60},
            "topology": "decentralized",
            "protocol": {"kind": "debate", "rounds": 3},
            "budget": {"tokens_per_task": 3_000, "policy": policy, "shown": shown},
            **changes,
        }
    )


def played(one: Scenario, where: Path) -> RunLog:
    run(one, where)
    assert replay(where).model_calls == 0
    return RunLog(where)


def test_agents_read_the_committed_state_at_the_start_of_the_round(tmp_path: Path) -> None:
    """Every prompt of a round says the limit minus what the events of earlier rounds add up to."""
    events = list(played(debated("both"), tmp_path / "run").events())
    assert len(Overheard.prompts) == 18
    for request in Overheard.prompts:
        assert request.hint is not None
        place = request.hint
        before = [e for e in events if e.task == place.task and e.round < place.round]
        team = 3_000 - sum(e.tokens_in + e.tokens_out for e in before)
        own = 1_000 - sum(e.tokens_in + e.tokens_out for e in before if e.agent == place.agent)
        found = re.findall(r"tokens: (\d+) of (\d+) left", request.user)
        assert found == [(str(own), "1000"), (str(team), "3000")]


def test_what_is_read_does_not_depend_on_who_is_faster(tmp_path: Path) -> None:
    one = debated("both", calls={"backoff_s": 0.0})
    digests = set()
    for number, concurrency in enumerate((1, 3, 64)):
        engine = one.engine.model_copy(update={"concurrency": concurrency})
        log = played(one.model_copy(update={"engine": engine}), tmp_path / str(number))
        digests.add((log.manifest.digest, tuple(row.request for row in log.journal())))
    assert len(digests) == 1


def test_hidden_and_placebo_tell_nothing_and_the_placebo_takes_the_same_room(tmp_path: Path) -> None:
    told: dict[str, list[str]] = {}
    for name, shown in (("hidden", "hidden"), ("team", "team"), ("sham", {"scope": "team", "placebo": True})):
        Overheard.prompts.clear()
        played(debated(shown), tmp_path / name)
        told[name] = [request.user for request in Overheard.prompts if request.hint and request.hint.round == 0]
    assert not any("tokens" in text or "left" in text for name in ("hidden", "sham") for text in told[name])
    assert [len(text) for text in told["sham"]] == [len(text) for text in told["team"]]
    assert all(len(sham) > len(hidden) for sham, hidden in zip(told["sham"], told["hidden"], strict=True))


def test_the_note_is_paid_for_and_within_the_bound(tmp_path: Path) -> None:
    """The wall holds with notes in every prompt, and `check` reckons with them."""
    one = debated(
        "both", budget={"tokens_per_task": 400, "policy": {"kind": "uniform", "carry": True}, "shown": "both"}
    )
    totals = played(one, tmp_path / "run").manifest.totals
    assert 0 < totals.tokens_in + totals.tokens_out <= 800
    assert totals.tokens_overrun == 0
    free = one.model_copy(update={"budget": None})
    noted = one.model_copy(update={"budget": one.budget.model_copy(update={"tokens_per_task": 10**9})})  # type: ignore[union-attr]
    without, with_note = bound(build_society(free)), bound(build_society(noted))
    assert isinstance(without, Bound)
    assert isinstance(with_note, Bound)
    assert with_note.tokens_max > without.tokens_max


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ("hidden", "None/None/"),
        ("team", "900/900/The "),
        ("self", "300/None/Your"),
        ("both", "300/900/Your"),
        ({"scope": "both", "placebo": True}, "None/None/This"),
    ],
)
def test_coded_agents_read_it_in_their_view(shown: Any, says: str, tmp_path: Path) -> None:
    one = debated(
        shown,
        agents={"count": 3, "model": "reader"},
        budget={"tokens_per_task": 900, "policy": "uniform", "shown": shown},
        protocol="vote",
    )
    events = list(played(one, tmp_path / "run").events())
    assert {event.text for event in events if event.kind == "propose_claim"} == {says}


def test_nothing_is_told_where_nothing_is_limited() -> None:
    assert tell(Shown(scope="hidden"), OWN, TEAM) is NOTHING
    with tempfile.TemporaryDirectory() as scratch:
        played(scenario(agents={"count": 2, "model": "overheard"}, topology="independent"), Path(scratch) / "run")
    assert not any("left" in request.user for request in Overheard.prompts)
