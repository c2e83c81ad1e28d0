"""Agents in environments: states are a fold of actions, everybody's move counts, the log replays with its rewards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from agentsoc.contracts.environments import Action, Draw, State, Step
from agentsoc.contracts.part import Slot
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.environments.playing import play_out
from agentsoc.errors import InputError, RunFailedError
from agentsoc.events import Event
from agentsoc.log.digest import digest_of
from agentsoc.log.read import RunLog
from agentsoc.log.schema import REWARDS, to_table
from tests.gardens import Count, Garden, garden
from tests.societies import built


def test_the_engine_gives_what_playing_without_it_gives(tmp_path: Path) -> None:
    scenario = built(**garden())
    done = run(scenario, tmp_path / "run")
    episodes = done.episode_rows()
    assert episodes is not None
    for task in range(3):
        played = play_out(Garden(), Garden().task(5, task), 4, 5)
        assert episodes["score"][task].as_py() == played.score
        mine = [event for event in done.events() if event.task == task and event.kind == "action"]
        assert [event.rewards for event in mine] == [r for step in played.rewards for _, r in sorted(step.items())]
        assert {event.answer for event in mine} == {"water"}
        assert len(mine) == 16
    assert replay(tmp_path / "run").digest == done.manifest.digest
    assert RunLog(tmp_path / "run").check() is not None
    said = done.summary()
    assert said["tool_calls"] == 0
    assert said["rewards"]["total"] == sum(event.rewards or 0.0 for event in done.events())
    assert said["rewards"]["actions"] == 48


class Odd(Garden):
    """A garden whose rewards are no numbers, in which one who has no move is rewarded, or whose best move is none."""

    kind: Literal["odd"] = "odd"  # type: ignore[assignment]
    reward: str = ""

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        step = super().resolve(state, actions, draw)
        given: Any = 10**400 if self.reward == "huge" else float(self.reward) if self.reward else 1.0
        return Step(step.state, step.told, dict.fromkeys(range(4), given))

    def observe(self, state: State, agent: int) -> Sight:
        sight = super().observe(state, agent)
        return msgspec.structs.replace(sight, may_act=agent > 0)

    def best(self, state: State, agent: int, draw: Draw) -> Action:
        return "dance" if agent == 1 else "water"


def odd(**settings: Any) -> dict[str, Any]:
    Slot.register(Odd)
    tasks = {"kind": "episodes", "count": 1, "environment": {"kind": "odd", "days": 1, **settings}}
    return garden(tasks=tasks, protocol={"kind": "play"})


def test_actions_are_the_moves_that_were_made(tmp_path: Path) -> None:
    done = run(built(**odd()), tmp_path / "run")
    moves = [(event.agent, event.answer, event.rewards) for event in done.events() if event.kind == "action"]
    assert moves == [(0, None, 1.0), (1, "dance", None), (1, "rest", 1.0), (2, "water", 1.0), (3, "water", 1.0)]
    assert done.summary()["rewards"] == {"total": 4.0, "per_episode": 4.0, "actions": 3}


@pytest.mark.parametrize("reward", ["nan", "inf", "huge"])
def test_a_reward_that_is_no_finite_number_ends_the_run_and_is_named(tmp_path: Path, reward: str) -> None:
    with pytest.raises(RunFailedError, match="a reward is a finite number"):
        run(built(**odd(reward=reward)), tmp_path / "run")


def test_a_noisy_policy_is_worse_and_seeded(tmp_path: Path) -> None:
    noisy = garden(agents={"count": 4, "model": {"kind": "policy", "name": "noisy", "error": 0.2, "quality": 0.4}})
    one = run(built(**noisy), tmp_path / "one")
    assert one.manifest.digest == run(built(**noisy), tmp_path / "two").manifest.digest
    best = run(built(**garden()), tmp_path / "best")
    assert (one.manifest.totals.score or 0.0) < (best.manifest.totals.score or 0.0)
    played = play_out(Garden(), Garden().task(5, 0), 4, 5, Script("noisy", 0.2, 0.4))
    rows = one.episode_rows()
    assert rows is not None
    assert rows["score"][0].as_py() == played.score


def scripted(replies: list[tuple[str, str]], **changes: Any) -> dict[str, Any]:
    model = {"kind": "scripted", "replies": replies}
    return garden(agents={"count": 4, "model": model}, tasks={**garden()["tasks"], "count": 1}, **changes)


def test_models_are_asked_with_what_they_see_and_a_missing_move_is_the_default(tmp_path: Path) -> None:
    done = run(built(**scripted([("Day 1", "no move at all")], calls={"repair": False})), tmp_path / "run")
    events = list(done.events())
    asked = done.transcript(0, 0)[0].request
    assert "Day 0: the garden is 3 high." in asked.user
    assert "water or rest" in asked.user
    second = [event for event in events if event.round == 1 and event.agent == 2]
    assert [(event.kind, event.answer, event.text) for event in second] == [
        ("call_failed", None, "malformed: it is not valid JSON"),
        ("action", "rest", "by default"),
    ]
    assert second[1].rewards == -1.0
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_agents_talk_before_they_act(tmp_path: Path) -> None:
    blocks = scripted(
        [("Say to the others", "I would water.\nWho joins?"), ("Who joins?", '{"answer": "water"}')],
        protocol={"kind": "play", "talk": 1, "asks_talk": "Be brief.", "asks": "Act now."},
    )
    done = run(built(**blocks), tmp_path / "run")
    events = list(done.events())
    assert [event.kind for event in events[:8]] == ["propose_claim"] * 4 + ["action"] * 4
    assert events[0].text == "I would water.\nWho joins?"
    acts = done.transcript(0, 1)[1].request.user
    assert acts.count("Who joins?") == 3
    assert "Act now." in acts
    assert "Be brief." in done.transcript(0, 1)[0].request.user
    assert {event.answer for event in events if event.kind == "action"} == {"water"}
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_scripted_policies_say_what_they_have_to_say_and_otherwise_act_at_once(tmp_path: Path) -> None:
    done = run(built(**garden(protocol={"kind": "play", "talk": 2})), tmp_path / "run")
    kinds = [(event.round, event.kind) for event in done.events() if event.task == 0 and event.agent == 0]
    assert kinds == [(0, "propose_claim"), (1, "propose_claim"), *((day, "action") for day in (2, 3, 4, 5))]


def test_moves_in_turn_with_an_action_that_is_a_number(tmp_path: Path) -> None:
    blocks = garden(tasks={"kind": "episodes", "count": 1, "environment": {"kind": "count", "goal": 7}})
    done = run(built(**blocks), tmp_path / "run")
    moves = [(event.agent, event.answer, event.rewards) for event in done.events() if event.kind == "action"]
    assert moves == [(0, "3", 0.0), (1, "3", 0.0), (2, "1", 1.0), (3, None, -1.0)]
    assert done.manifest.totals.score == 1.0
    assert [event.answer for event in done.events() if event.kind == "answer"] == ["counted to 7"]
    model = {"kind": "scripted", "replies": [("The count is", '{"action": 2, "why": "two"}')]}
    asked = run(built(**{**blocks, "agents": {"count": 4, "model": model}}), tmp_path / "asked")
    assert [event.answer for event in asked.events() if event.kind == "action"][:4] == ["2", "2", "2", "2"]
    assert '"minimum":1' in asked.transcript(0, 0)[0].request.user
    assert replay(tmp_path / "asked").digest == asked.manifest.digest


def test_tools_in_an_environment(tmp_path: Path) -> None:
    model = {"kind": "scripted", "uses_tools": [[{"tool": "calculator", "arguments": {"expression": "1+1"}}]],
             "replies": [("2\n\n", '{"answer": "water"}')]}  # fmt: skip
    blocks = garden(agents={"count": 4, "model": model, "tools": ["calculator"]})
    done = run(built(**blocks), tmp_path / "run")
    kinds = done.manifest.totals.events_by_kind
    assert (kinds["tool_call"], kinds["action"]) == (48, 48)
    assert done.summary()["tool_calls"] == 48
    assert replay(tmp_path / "run").digest == done.manifest.digest


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "vote"}, "vote does not know what to do in it"),
        ({"tasks": {"kind": "arithmetic", "count": 1}}, "the tasks have none"),
        ({"agents": {"count": 4, "model": {"kind": "policy", "name": "clever"}}}, 'no scripted policy "clever"'),
        ({"tasks": {"kind": "episodes", "environment": {"kind": "garden", "days": 70_000}}}, "70,000 stages"),
        (
            {
                "tasks": {"kind": "episodes", "environment": {"kind": "garden", "days": 20_000}},
                "protocol": {"kind": "play", "talk": 3},
            },
            "could have 80,000 rounds",
        ),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(built(**garden(**changes)), tmp_path / "run")


def test_a_digest_covers_rewards_and_knows_nothing_of_their_absence() -> None:
    plain = [Event(0, 0, 0, 0, "action", answer="a"), Event(0, 0, 1, 0, "action", answer="b")]
    assert digest_of(to_table(plain)) == digest_of(to_table(plain, rewards=True))
    one = [Event(0, 0, 0, 0, "action", answer="a", rewards=1.0), plain[1]]
    other = [Event(0, 0, 0, 0, "action", answer="a"), Event(0, 0, 1, 0, "action", answer="b", rewards=1.0)]
    found = {digest_of(to_table(events, rewards=True)) for events in (plain, one, other)}
    assert len(found) == 3
    assert to_table(one, rewards=True).column_names[-1] == REWARDS.name


def test_counts_in_turn_are_checked_by_their_schema() -> None:
    played = play_out(Count(), Count().task(0, 0), 3, 0)
    assert (played.score, played.ended) == (1.0, "counted to 7")
