"""The helpers for users' tests, and the public names."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

import agentsoc
from agentsoc import testing
from agentsoc.plugin import PROTOCOLS, Board, Decision, InputError, Protocol, Slot, Society, Turn
from agentsoc.testing import assert_schedule_independent, register, replay, scripted_llm, small_run, small_scenario
from tests.strategies import scenario


def test_a_scripted_llm_says_what_it_is_told_and_else_the_truth() -> None:
    model = scripted_llm({"coin 0": '{"answer": "tails", "why": "told so"}'})
    built = scenario(agents={"count": 3, "model": model, "reply": "json"}, tasks={"kind": "coin", "count": 2})
    with tempfile.TemporaryDirectory() as scratch:
        done = agentsoc.run(built, Path(scratch) / "run")
        said = {(event.task, event.answer, event.text) for event in done.events() if event.kind == "propose_claim"}
        assert {row for row in said if row[0] == 0} == {(0, "tails", "told so")}
        assert all(event.correct == 1.0 for event in done.events() if event.task == 1 and event.kind == "answer")
        assert replay(done.directory).n_events == done.manifest.totals.events


def test_a_log_that_the_code_no_longer_gives_fails_with_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        done = agentsoc.run(scenario(), Path(scratch) / "run")
        family = type(scenario().tasks)
        monkeypatch.setattr(family, "score", lambda self, task, answer: 0.25)
        with pytest.raises(AssertionError, match="task 0, round 0, agent 0"):
            replay(done.directory)


asked: list[int] = []


class Remembers(Protocol):
    """A faulty protocol: whom it asks depends on how often it was asked before, not on the board."""

    kind: Literal["remembers"] = "remembers"

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        if board.round:
            return ()
        asked.append(board.task)
        return [Turn(len(asked) % society.n)]

    def decide(self, society: Society, board: Board) -> Decision:
        claims = [board.claims[claim] for _, claim in sorted(board.standing.items())]
        return Decision(claims[0].answer if claims else None)


def test_a_protocol_that_remembers_is_found_out_and_one_that_does_not_passes() -> None:
    register(Remembers)
    with pytest.raises(AssertionError, match=r"replay differs|depends on how it is computed"):
        assert_schedule_independent(protocol="remembers")
    columns = {"agents": {"count": 5, "model": {"kind": "simulated", "signal": 0.3}}, "tasks": "signal"}
    for protocol in ("vote", "debate"):
        digest = assert_schedule_independent(protocol=protocol, **columns)
        assert digest == assert_schedule_independent(protocol=protocol, **columns)


def test_small_scenarios_are_replaced_by_the_block_and_are_runs_like_any_other(tmp_path: Path) -> None:
    built = small_scenario(topology="star", seed=3)
    assert (built.topology.kind, built.seed, built.tasks.count) == ("star", 3, 2)
    done = small_run(tmp_path / "run", protocol={"kind": "debate", "rounds": 2})
    assert done.manifest.totals.rounds == 4
    assert replay(tmp_path / "run").digest == done.manifest.digest


def test_the_kit_has_the_names_that_its_page_promises() -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing-parts.md").read_text(encoding="utf-8")
    assert [name for name in testing.__all__ if f"`{name}" not in page] == []


def test_every_public_name_can_be_imported_and_importing_the_package_imports_nothing_heavy() -> None:
    assert all(getattr(agentsoc, name) is not None for name in agentsoc.__all__)
    heavy = ["ray", "litellm", "polars", "pyarrow", "numpy", "pydantic", "networkx"]
    program = f"import sys, agentsoc; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


class Vote(Remembers):
    """A protocol of somebody's that has the kind of a built-in one."""

    kind: Literal["vote"] = "vote"  # type: ignore[assignment]


class Around(Protocol):
    """A protocol that may go around another one."""

    kind: Literal["around"] = "around"
    inner: Annotated[Protocol | None, Slot("agentsoc.protocols", "protocol")] = None
    """The one that it goes around; none to let everybody answer."""

    def plan(self, society: Society, board: Board) -> Sequence[Turn]:
        if self.inner is not None:
            return self.inner.plan(society, board)
        return () if board.round else [Turn(agent) for agent in range(society.n)]

    def decide(self, society: Society, board: Board) -> Decision:
        claims = [board.claims[claim] for _, claim in sorted(board.standing.items())]
        return Decision(claims[0].answer if claims else None)


def test_registered_classes_do_not_take_the_place_of_built_in_ones() -> None:
    built_in = PROTOCOLS.find("vote")
    with pytest.raises(InputError, match='the kind "vote" of Vote is built in'):
        register(Vote)
    assert PROTOCOLS.find("vote") is built_in


@pytest.mark.parametrize("what", [int, 5, "vote"])
def test_what_is_no_part_is_not_registered(what: Any) -> None:
    with pytest.raises(InputError, match="fills no slot; derive it from"):
        register(what)


@pytest.mark.parametrize("inner", [None, "vote"])
def test_a_place_for_another_part_may_be_empty(inner: str | None, tmp_path: Path) -> None:
    register(Around)
    done = small_run(tmp_path / "run", protocol={"kind": "around", "inner": inner})
    assert replay(done.directory).n_events == done.manifest.totals.events
    assert done.manifest.scenario["protocol"]["inner"] == (
        None if inner is None else PROTOCOLS.parse(inner).model_dump()
    )
    shape = Around.model_json_schema()["properties"]["inner"]
    assert {"type": "null"} in shape["anyOf"]
