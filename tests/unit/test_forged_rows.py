"""Rows of tools and environments, and their events, that a stranger altered, every hash right: told with a place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import LogDamagedError, ReplayMismatchError
from agentsoc.events import Event
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from tests.foreign import adding
from tests.gardens import garden
from tests.rewritten import rewritten
from tests.societies import built
from tests.tooling import noted


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with calls of three tools."""
    where = tmp_path_factory.mktemp("tools")
    run(noted(where / "notes", where / "peeks", tasks={"kind": "coin", "count": 2}), where / "run")
    return where / "run"


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run in an environment with a program of its own."""
    where = tmp_path_factory.mktemp("steps") / "run"
    run(adding(), where, consent=True)
    return where


@pytest.fixture(scope="module")
def moves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run in an environment that is computed here."""
    where = tmp_path_factory.mktemp("moves") / "run"
    run(built(**garden()), where)
    return where


def told_by_replay(directory: Path) -> str:
    """Return what a replay says, after checking that it ends with exit code 5."""
    with pytest.raises(ReplayMismatchError) as caught:
        replay(directory)
    assert caught.value.exit_code == 5
    return str(caught.value)


def told_by_check(directory: Path) -> str:
    """Return what `check` says of a run; empty for one that it finds sound."""
    try:
        RunLog(directory).check()
    except LogDamagedError as error:
        return str(error)
    return ""


def of(model: str, /, **changes: Any) -> Callable[[list[Attempt]], list[Attempt]]:
    """Return what changes the second row of a model."""

    def forge(rows: list[Attempt]) -> list[Attempt]:
        mine = [at for at, row in enumerate(rows) if row.model == model]
        rows[mine[1]] = msgspec.structs.replace(rows[mine[1]], **changes)
        return rows

    return forge


def swapped(model: str) -> Callable[[list[Attempt]], list[Attempt]]:
    """Return what lets the first two rows of a model change places."""

    def forge(rows: list[Attempt]) -> list[Attempt]:
        one, other = [at for at, row in enumerate(rows) if row.model == model][:2]
        first, second = rows[one], rows[other]
        rows[one] = msgspec.structs.replace(second, **first.key._asdict())
        rows[other] = msgspec.structs.replace(first, **second.key._asdict())
        return rows

    return forge


def without(model: str) -> Callable[[list[Attempt]], list[Attempt]]:
    """Return what leaves out the last row of a model."""

    def forge(rows: list[Attempt]) -> list[Attempt]:
        return [row for row in rows if row is not [each for each in rows if each.model == model][-1]]

    return forge


def one_more(model: str, /, **place: int) -> Callable[[list[Attempt]], list[Attempt]]:
    """Return what adds a row like the last one of a model, elsewhere."""

    def forge(rows: list[Attempt]) -> list[Attempt]:
        return [*rows, msgspec.structs.replace([row for row in rows if row.model == model][-1], **place)]

    return forge


@pytest.mark.parametrize(
    ("forge", "replayed", "checked"),
    [
        (of("tool:peeking", request=b"\1" * 32), "task 0, round 0, agent 1, tool peeking: this call of a tool is", ""),
        (of("tool:peeking", model="tool:noting"), "task 0, round 0, agent 1, tool peeking: this call", "agent 1, k 1"),
        (of("tool:noting", reply="noted else"), "task 0, round 1, agent 1", "does not say what its row"),
        (
            of("tool:noting", failure="error: no", state="failed"),
            "task 0, round 1, agent 1",
            "does not say what its row in the journal says: task 0, round 1, agent 1, k 1",
        ),
        (of("tool:peeking", state="started"), "does not say what came of this call", "does not say what its row"),
        (of("tool:calculator", state="failed"), "contradicts itself", ""),
        (swapped("tool:noting"), "task 0, round 1, agent 0, tool noting: this call", "task 0, round 1, agent 0, k 1"),
        (without("tool:calculator"), "no row for this call", "have a call of a tool that the journal has no row of"),
        (
            one_more("tool:peeking", k=7),
            "task 1, round 3, agent 2, call 7: the journal has a row that nothing",
            "the journal has a row of a call of a tool that is in no event: task 1, round 3, agent 2, k 7",
        ),
        (one_more("tool:peeking", task=77), "task 77, round 3", "in no event: task 77"),
    ],
    ids=["arguments", "tool", "result", "failure", "started", "contradicts", "order", "missing", "more", "stray"],
)
def test_a_forged_row_of_a_tool_is_told(
    tools: Path, tmp_path: Path, forge: Callable[[list[Attempt]], list[Attempt]], replayed: str, checked: str
) -> None:
    where = Path(shutil.copytree(tools, tmp_path / "run"))
    rewritten(where, rows=forge)
    assert replayed in told_by_replay(where)
    assert (checked in told_by_check(where)) if checked else told_by_check(where) == ""


def test_what_was_not_forged_is_sound(tools: Path, steps: Path, moves: Path, tmp_path: Path) -> None:
    for number, one in enumerate((tools, steps, moves)):
        where = Path(shutil.copytree(one, tmp_path / str(number)))
        rewritten(where, rows=list, events=list)
        assert told_by_check(where) == ""
        assert replay(where).digest == RunLog(one).manifest.digest


def test_a_row_that_was_altered_without_its_hashes_is_told_with_its_place(tools: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(tools, tmp_path / "run"))
    before = (where / "manifest.json").read_bytes(), (where / "manifest.sha256").read_bytes()
    rewritten(where, rows=of("tool:noting", reply="noted else"))
    (where / "manifest.json").write_bytes(before[0])
    (where / "manifest.sha256").write_bytes(before[1])
    said = told_by_check(where)
    assert "task 0, round 1, agent 1, k 1" in said
    assert "put back the journal" in said
    assert "resume" not in said


@pytest.mark.parametrize(
    ("forge", "replayed", "checked"),
    [
        (of("env:adding", request=b"\1" * 32), "task 0, round 0: this step of the environment is another one", ""),
        (of("env:adding", reply='{"agents":["a","b"],"at":3,"rewards":{"a":9,"b":0.5},"step":1}'), "round 1", ""),
        (of("env:adding", reply='{"agents":["a","b"],"at":4,"rewards":{"a":1.0,"b":0.5},"step":1}'), "round 1", ""),
        (of("env:adding", reply="[]"), "task 0, round 0: the journal's row of this step", ""),
        (of("env:adding", reply='{"agents":7}'), "task 0, round 0: the journal's row of this step", ""),
        (of("env:adding", reply='{"agents":["a","b"]}'), "its author", ""),
        (swapped("env:adding"), "task 0, round 0: this step of the environment", ""),
        (without("env:adding"), "task 1, round 2: the journal has no row", "no step of the environment"),
        (one_more("env:adding", round=9), "task 1, round 9", "there is no action: task 1, round 9"),
    ],
    ids=["request", "reward", "state", "list", "count", "nothing", "order", "missing", "more"],
)
def test_a_forged_step_of_an_environment_is_told(
    steps: Path, tmp_path: Path, forge: Callable[[list[Attempt]], list[Attempt]], replayed: str, checked: str
) -> None:
    where = Path(shutil.copytree(steps, tmp_path / "run"))
    rewritten(where, rows=forge)
    assert replayed in told_by_replay(where)
    assert (checked in told_by_check(where)) if checked else told_by_check(where) == ""


def edited(kind: str, **changes: Any) -> Callable[[list[Event]], list[Event]]:
    """Return what changes the third event of a kind."""

    def forge(events: list[Event]) -> list[Event]:
        at = [number for number, event in enumerate(events) if event.kind == kind][2]
        events[at] = msgspec.structs.replace(events[at], **changes)
        return events

    return forge


def dropped(kind: str) -> Callable[[list[Event]], list[Event]]:
    """Return what leaves out the third event of a kind that cost no call."""

    def forge(events: list[Event]) -> list[Event]:
        third = [event for event in events if event.kind == kind and not event.calls][2]
        return [event for event in events if event is not third]

    return forge


@pytest.mark.parametrize(
    ("forge", "checked"),
    [
        (edited("tool_call", text="9"), "the event of a call of a tool does not say what its row"),
        (edited("tool_call", answer='{"arguments":{},"tool":"noting"}'), "does not say what its row in the journal"),
        (edited("tool_call", answer="[" * 5000), "does not say what its row in the journal"),
        (edited("tool_call", answer='{"arguments":{"word":"x"},"tool":"peeking"}'), ""),
        (dropped("tool_call"), "the journal has a row of a call of a tool that is in no event"),
    ],
    ids=["result", "tool", "nested", "arguments", "dropped"],
)
def test_an_edited_event_of_a_tool_is_told(
    tools: Path, tmp_path: Path, forge: Callable[[list[Event]], list[Event]], checked: str
) -> None:
    where = Path(shutil.copytree(tools, tmp_path / "run"))
    rewritten(where, events=forge)
    place = "task 0, round 1, agent 2, k 2" if "in no event" in checked else "task 0, round 0, agent 2, k 1"
    assert f"{place}: this event differs" in told_by_replay(where)
    found = told_by_check(where)
    assert (checked in found and place in found) if checked else found == ""


@pytest.mark.parametrize(
    "forge",
    [edited("action", rewards=7.0), edited("action", answer="rest"), edited("action", text="by default")],
    ids=["reward", "answer", "default"],
)
def test_an_edited_action_is_told(moves: Path, tmp_path: Path, forge: Callable[[list[Event]], list[Event]]) -> None:
    where = Path(shutil.copytree(moves, tmp_path / "run"))
    rewritten(where, events=forge)
    assert "task 0, round 0, agent 2, k 0: this event differs" in told_by_replay(where)
    shutil.copytree(moves, tmp_path / "plain")
    shutil.copytree(where / "events", tmp_path / "plain" / "events", dirs_exist_ok=True)
    assert "part-" in told_by_check(tmp_path / "plain")  # without its hashes beside it the file is named


def test_actions_without_their_steps_are_told(steps: Path, tmp_path: Path) -> None:
    where = Path(shutil.copytree(steps, tmp_path / "run"))

    def forge(events: list[Event]) -> list[Event]:
        return [event for event in events if event.kind != "action" or event.round != 1]

    rewritten(where, events=forge)
    assert "task 0, round 1, agent 0" in told_by_replay(where)
    assert "there is no action: task 0, round 1" in told_by_check(where)
