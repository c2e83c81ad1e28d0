"""A stranger's run in which agents acted: hostile words of tools and environments, packages that are not installed."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import pytest

from agentsoc.cli.main import main
from agentsoc.contracts.part import Slot
from agentsoc.contracts.tools import Effect
from agentsoc.engine.run import run
from agentsoc.errors import LogDamagedError
from agentsoc.events import Event
from agentsoc.log.acted import acted
from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.gardens import garden
from tests.rewritten import rewritten
from tests.societies import built
from tests.tooling import WORD, Noting, register

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202eabc\u2066 {{ 7*7 }} </script> \x00\x9b1m \ud800 'x': 1e999\n" + "line\n" * 50


class Shouting(Noting):
    """Gives back what no terminal should be given."""

    effect: ClassVar[Effect] = "pure"

    kind: Literal["shouting"] = "shouting"  # type: ignore[assignment]
    where: str = ""

    def arguments(self) -> Mapping[str, Any]:
        return WORD

    def call(self, arguments: Mapping[str, Any]) -> str:
        return HOSTILE * 20


@pytest.fixture(scope="module")
def shouted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose tool shouts."""
    register()
    Slot.register(Shouting)
    where = tmp_path_factory.mktemp("shouted") / "run"
    calls = [[{"tool": "shouting", "arguments": {"word": "a\x1b[31m{task}"}}], [{"tool": "\x1b[7mnobody"}]]
    agents = {"count": 3, "model": {"kind": "scripted", "uses_tools": calls}, "tools": ["shouting"]}
    protocol = {"kind": "debate", "rounds": 2}
    run(built(tasks={"kind": "coin", "count": 3}, agents=agents, topology="star", protocol=protocol), where)
    return where


COMMANDS = (
    ("show",), ("show", "--task", "0"), ("show", "--task", "0", "--prompts"), ("show", "--task", "0", "--json"),
    ("metrics",), ("metrics", "--json"), ("laws",), ("check",), ("check", "--json"), ("ls",), ("replay",),
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_words_of_a_tool_reach_no_terminal_and_nobody_needs_the_tool(
    shouted: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(Slot._loose, "agentsoc.tools", {})  # the package that brought it is not here

    def called(self: object, arguments: object) -> str:
        raise AssertionError("a tool was called")

    monkeypatch.setattr(Shouting, "call", called)
    assert main([command[0], str(shouted), *command[1:]]) == 0
    said = capsys.readouterr()
    assert "nobody foresaw" not in said.err
    for text in (said.out, said.err):
        assert not {"\x1b", "\x07", "\x00", "\x9b", "\u202e", "\u2066"} & set(text)
    if "--json" in command:
        json.loads(said.out)


def forged(kind: str, **changes: Any) -> Callable[[list[Event]], list[Event]]:
    """Return what changes every event of a kind."""

    def forge(events: list[Event]) -> list[Event]:
        return [msgspec.structs.replace(each, **changes) if each.kind == kind else each for each in events]

    return forge


@pytest.mark.parametrize(
    "forge",
    [
        forged("action", answer=HOSTILE.replace("\ud800", "")),
        forged("action", answer="[" * 30_000),
        forged("action", answer="9" * 30_000),
        forged("action", answer="1e999"),
        forged("action", answer='{"a": NaN}'),
        forged("action", rewards=1e308),
        forged("action", rewards=float("inf")),
        forged("action", rewards=float("nan")),
        forged("action", text=HOSTILE.replace("\ud800", "")),
    ],
    ids=["words", "nested", "long", "endless", "nan", "huge", "inf", "none", "text"],
)
@pytest.mark.parametrize("environment", ["garden", "commons", "payoff"])
def test_moves_of_a_stranger_are_measured_or_refused_in_order(
    tmp_path: Path, environment: str, forge: Callable[[list[Event]], list[Event]], capsys: pytest.CaptureFixture[str]
) -> None:
    where = played(tmp_path, environment)
    rewritten(where, events=forge)
    for command in (("metrics",), ("laws",), ("show", "--task", "0"), ("check",), ("replay",)):
        code = main([command[0], str(where), *command[1:]])
        said = capsys.readouterr()
        assert code in (0, 2, 4, 5), (command, said.err)
        assert "nobody foresaw" not in said.err, (command, said.err)
        assert "\x1b" not in said.out + said.err
        if command[0] == "replay":
            assert code in (4, 5), said.err
    with contextlib.suppress(LogDamagedError):
        assert acted(RunLog(where)).rewards is not None


def played(tmp_path: Path, environment: str) -> Path:
    """Return a short run in an environment."""
    where = tmp_path / "run"
    blocks = garden()
    if environment != "garden":
        blocks["tasks"] = {"kind": "episodes", "count": 2, "environment": environment}
        blocks["agents"] = {
            "count": 2 if environment == "payoff" else 4,
            "model": {"kind": "policy", "name": "optimal"},
        }
    run(built(**blocks), where)
    return where


@pytest.mark.parametrize("settings", [[], "commons", {"kind": ["commons"]}, {"kind": "commons", "capacity": "x"}, None])
def test_settings_of_an_environment_that_are_none_are_no_fault_of_the_measures(tmp_path: Path, settings: Any) -> None:
    from analysis.measures.commons import shared_resource
    from analysis.measures.cooperation import cooperation

    log = RunLog(played(tmp_path, "commons"))
    log.manifest.scenario["tasks"]["environment"] = settings
    assert shared_resource(log) is None
    assert cooperation(log) is None
    log.manifest.scenario["tasks"] = settings
    assert shared_resource(log) is None
    log.manifest.scenario |= {"tasks": {"environment": {"kind": "commons"}}, "agents": settings}
    assert shared_resource(log) is None


def with_files(tmp_path: Path) -> Scenario:
    """Return a society with a table and a folder of texts."""
    from agentsoc.scenario.files import BASE_DIR

    (tmp_path / "texts").mkdir()
    (tmp_path / "prices.csv").write_text("item,price\nlamp,3\n")
    (tmp_path / "texts" / "a.txt").write_text("a lamp costs three")
    BASE_DIR.set(tmp_path)
    calls = [[{"tool": "table", "arguments": {"where": {"item": "lamp"}}}]]
    tools = [{"kind": "table", "file": "prices.csv"}, {"kind": "search", "folder": "texts"}]
    agents = {"count": 2, "model": {"kind": "scripted", "uses_tools": calls}, "tools": tools}
    return built(tasks={"kind": "coin", "count": 2}, agents=agents, topology="independent", protocol="vote")


@pytest.mark.parametrize("name", ["prices.csv", "texts/a.txt"])
@pytest.mark.parametrize("how", ["changed", "gone", "more"])
def test_a_file_of_a_tool_that_changed_since_is_named_with_what_to_do(
    tmp_path: Path, name: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(with_files(tmp_path), tmp_path / "run")
    (tmp_path / name).write_text("what lies beside the scenario now does not matter\n")
    assert main(["replay", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    kept = tmp_path / "run" / "inputs" / name
    if how == "more":
        (kept.parent / "b.txt").write_text("one more")
    elif how == "gone":
        kept.unlink()
    else:
        kept.write_text(kept.read_text() + " ")
    for command in ("check", "resume", "replay"):
        code = main([command, str(tmp_path / "run")])
        said = capsys.readouterr().err
        if how != "more":
            assert code == 4, (command, said)
            assert str(kept) in said
            assert "put back the file that the run was made with" in said
            assert "agentsoc resume" not in said
        else:
            assert code in (0, 4), (command, said)
    shutil.rmtree(tmp_path / "run")
