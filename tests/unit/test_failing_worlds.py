"""Environments that fail, or give something else than they should: named with task, stage and what is to be mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from agentsoc.contracts.board import Board
from agentsoc.contracts.environments import Action, Draw, State, Step
from agentsoc.contracts.part import Slot
from agentsoc.contracts.protocol import Decision, Protocol
from agentsoc.contracts.script import Script
from agentsoc.contracts.sight import Sight
from agentsoc.contracts.society import Society
from agentsoc.contracts.task import Task
from agentsoc.contracts.turns import Turn
from agentsoc.engine.replay import replay
from agentsoc.engine.resume import resume
from agentsoc.engine.run import run
from agentsoc.errors import EnvironmentFailedError, InputError, ReplayMismatchError
from agentsoc.log.read import RunLog
from agentsoc.society.build import build_society
from tests.gardens import Garden, garden
from tests.societies import built

Fault = Callable[..., Any]


class Failing(Garden):
    """A garden in which one method does something else in a certain state."""

    kind: Literal["failing"] = "failing"  # type: ignore[assignment]
    faults: ClassVar[dict[str, Fault]] = {}
    """Method -> what it does in its place from the third day on; it is given what the garden gave."""

    def _given(self, name: str, state: Any, given: Any) -> Any:
        day = state.get("day", 0) if isinstance(state, dict) else 0
        return self.faults[name](given) if name in self.faults and (day >= 2 or name == "opening") else given

    def opening(self, task: Task, n: int, seed: int) -> State:
        return self._given("opening", None, super().opening(task, n, seed))

    def observe(self, state: State, agent: int) -> Sight:
        return self._given("observe", state, super().observe(state, agent))  # type: ignore[no-any-return]

    def resolve(self, state: State, actions: Mapping[int, Action], draw: Draw) -> Step:
        return self._given("resolve", state, super().resolve(state, actions, draw))  # type: ignore[no-any-return]

    def over(self, state: State) -> str | None:
        return self._given("over", state, super().over(state))  # type: ignore[no-any-return]

    def score(self, task: Task, state: State) -> float:
        return self._given("score", state, super().score(task, state))  # type: ignore[no-any-return]

    def outcome(self, task: Task, state: State) -> str:
        return self._given("outcome", state, super().outcome(task, state))  # type: ignore[no-any-return]

    def scripted(self, script: Script, state: State, agent: int, draw: Draw) -> Action:
        return self._given("scripted", state, super().scripted(script, state, agent, draw))

    def default(self, state: State, agent: int) -> Action:
        return self._given("default", state, super().default(state, agent))


@pytest.fixture(autouse=True)
def _registered() -> None:
    Slot.register(Failing)
    Failing.faults.clear()


def failing(**changes: Any) -> dict[str, Any]:
    """Return the blocks of a failing garden."""
    return garden(tasks={"kind": "episodes", "count": 2, "environment": "failing"}, **changes)


def raises(given: Any) -> Any:
    raise ZeroDivisionError("no water")


def leaves(given: Any) -> Any:
    raise SystemExit(3)


def step(**changes: Any) -> Fault:
    """Return what puts something else into a step."""
    return lambda given: Step(**{name: changes.get(name, getattr(given, name)) for name in given.__struct_fields__})


@pytest.mark.parametrize(
    ("method", "fault", "said"),
    [
        ("resolve", raises, r"raised ZeroDivisionError: no water at .*py:\d+ \(task 0, stage 2\).* mend resolve"),
        ("resolve", leaves, r"raised SystemExit: 3 at .*\(task 0, stage 2\); its author has to mend resolve"),
        ("observe", raises, r"ZeroDivisionError.*task 0, stage 2.*mend observe"),
        ("over", raises, r"ZeroDivisionError.*task 0, stage 2.*mend over"),
        ("opening", raises, r"ZeroDivisionError.*task 0, stage 0.*mend opening"),
        ("scripted", raises, r"ZeroDivisionError.*task 0, stage 2.*mend scripted"),
        ("outcome", raises, r"ZeroDivisionError.*task 0, stage 4.*mend outcome"),
        ("outcome", lambda _: 7, r"gave 7, of type int; it has to be a text"),
        ("score", raises, r"ZeroDivisionError.*task 0, stage 4.*mend score"),
        ("score", lambda _: "0.5", r"gave '0.5', of type str; a score is a number between 0 and 1"),
        ("score", lambda _: float("nan"), r"gave nan, of type float; a score"),
        ("score", lambda _: None, r"gave a NoneType; a score"),
        ("score", lambda _: 1.5, r"gave 1.5, of type float; a score"),
        ("over", lambda _: 1, r"gave 1, of type int; it has to be words"),
        ("observe", lambda _: "water?", r"gave 'water\?', of type str; it has to be a Sight"),
        ("observe", lambda _: Sight("go", (1, 2)), r"the choices of a Sight have to be texts"),  # type: ignore[arg-type]
        ("observe", lambda _: Sight(3, ("a",)), r"the text of a Sight"),  # type: ignore[arg-type]
        ("observe", lambda _: Sight("go", schema="int"), r"the schema of a Sight"),  # type: ignore[arg-type]
        ("observe", lambda _: Sight("go", ("a",), may_act=False), r"task 0 \(stage 2\) and nobody may act"),
        ("resolve", lambda _: {"day": 3}, r"gave a dict; it has to be a Step"),
        ("resolve", step(rewards={0: float("nan")}), r"gave nan, of type float; a reward is a finite number"),
        ("resolve", step(rewards={0: "1"}), r"gave '1', of type str; a reward"),
        ("resolve", step(rewards={0: 10**5000}), r"gave a int; a reward"),
        ("resolve", step(rewards=[1.0]), r"gave a list; rewards have to be numbers by agent"),
        ("resolve", step(told={0: 5}), r"told has to give texts by agent"),
        ("resolve", step(state={1, 2}), r"a state that is no JSON value"),
        ("resolve", step(state={"a": "x" * 70_000}), r"gave a state of 70,008 bytes; at most 65,536"),
        ("opening", lambda _: float("inf"), r"a state that is no JSON value.*stage 0"),
        ("scripted", lambda _: 5, r"gave 5, of type int; an action has to be a text"),
    ],
)
def test_what_an_environment_does_wrong_is_told_with_its_place(
    tmp_path: Path, method: str, fault: Fault, said: str
) -> None:
    Failing.faults[method] = fault
    with pytest.raises(EnvironmentFailedError, match=said) as caught:
        run(built(**failing()), tmp_path / "run")
    assert caught.value.exit_code == 1
    assert "agentsoc resume" in str(caught.value)
    manifest = RunLog(tmp_path / "run").manifest
    assert (manifest.status, (manifest.error or "").partition(":")[0]) == ("failed", "EnvironmentFailedError")


class Leading(Protocol):
    """A protocol of somebody else's that lets everybody act at once."""

    plays: ClassVar[bool] = True
    rehearsable: ClassVar[bool] = False

    kind: Literal["leading"] = "leading"

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        world = board.world
        if world is None or world.over() is not None:
            return ()
        return [Turn(agent, "act", sight=sight, played=world.played(agent)) for agent, sight in world.sights().items()]

    def decide(self, society: Society, board: Board) -> Decision:
        return Decision(None)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (70_000, r"an episode could have 70,000 rounds \(70,000 stages of up to 1 steps\); the limit is"),
        (0, r"says that it can have 0 stages\n.*mend horizon"),
        ("three", r"says that it can have three stages"),
        (None, r"does not say how long it can be: ZeroDivisionError: no water"),
    ],
)
def test_how_long_an_episode_can_be_is_checked_for_every_protocol(
    days: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Slot.register(Leading)
    blocks = failing(protocol="leading")
    assert build_society(built(**blocks)).n == 4
    monkeypatch.setattr(Failing, "horizon", raises if days is None else lambda self: days)
    with pytest.raises(InputError, match=said) as caught:
        build_society(built(**blocks))
    assert caught.value.problem.where == "tasks.environment"


def test_a_default_that_is_no_choice_is_told(tmp_path: Path) -> None:
    Failing.faults["default"] = lambda _: 0
    agents = {"count": 4, "model": {"kind": "scripted", "replies": [("Day", "no move")]}}
    with pytest.raises(EnvironmentFailedError, match="gave 0, of type int; an action has to be a text"):
        run(built(**failing(agents=agents, calls={"repair": False})), tmp_path / "run")


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    Failing.faults |= {"score": np.float64, "resolve": step(rewards={0: np.float32(0.5)})}
    done = run(built(**failing()), tmp_path / "run")
    assert next(event.rewards for event in done.events() if event.kind == "action" and event.round == 3) == 0.5


def test_a_run_goes_on_when_its_environment_was_mended(tmp_path: Path) -> None:
    agents = {"count": 4, "model": {"kind": "scripted", "replies": [("Day", '{"answer": "water"}')]}}
    whole = run(built(**failing(agents=agents)), tmp_path / "whole")
    Failing.faults["resolve"] = raises
    with pytest.raises(EnvironmentFailedError):
        run(built(**failing(agents=agents)), tmp_path / "run")
    paid = len(list(RunLog(tmp_path / "run").journal()))
    assert paid >= 12  # what was answered on the days before is kept
    Failing.faults.clear()
    done = resume(tmp_path / "run")
    assert done.manifest.digest == whole.manifest.digest
    assert len(list(done.journal())) == 32
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_an_environment_that_fails_in_a_replay_is_a_mismatch(tmp_path: Path) -> None:
    run(built(**failing()), tmp_path / "run")
    Failing.faults["resolve"] = raises
    with pytest.raises(ReplayMismatchError, match=r"cannot be computed again") as caught:
        replay(tmp_path / "run")
    assert "no water" in str(caught.value)


LOOSE = '''
from agentsoc.society.build import build_society
from tests.gardens import Garden
from typing import Literal


class Loose(Garden):
    """A garden in a file of its own."""

    kind: Literal["loose"] = "loose"

    def score(self, task, state):
        return WORTH
'''


def test_loose_code_that_was_mended_is_taken_by_resume_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from agentsoc.cli.main import main
    from agentsoc.scenario.code import forget_code

    code, directory, file = tmp_path / "loose.py", str(tmp_path / "run"), tmp_path / "s.yaml"
    blocks = garden(tasks={"kind": "episodes", "count": 2, "environment": "loose"})
    file.write_text(json.dumps({"name": "loose", "seed": 5, **blocks}))
    code.write_text(LOOSE.replace("WORTH", "'much'"))
    assert main(["run", str(file), "--allow-code", str(code), "--out", directory, "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "the environment loose gave 'much', of type str; a score is a number" in said
    assert "(task 0, stage 4); its author has to mend score" in said
    forget_code()
    code.write_text(LOOSE.replace("WORTH", "0.25"))
    assert main(["resume", directory, "--allow-code", str(code), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["score"] == 0.25
    assert "loose.py is another version than the run began with" in captured.err
    assert main(["replay", directory, "--allow-code", str(code)]) == 0
    capsys.readouterr()
    code.write_text(LOOSE.replace("WORTH", "0.5"))  # a run that did not fail keeps to its code
    forget_code()
    assert main(["resume", directory, "--allow-code", str(code)]) == 2
    assert "another version of loose.py" in capsys.readouterr().err
    forget_code()
