"""Tools and models that mean harm: whatever a call says or raises is a line told to the agent, and the run goes on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agentsoc.contracts.part import Slot
from agentsoc.contracts.tools import Effect, Tool, ToolError, ToolSession, ToolSpec
from agentsoc.contracts.turns import ToolCall, Turn
from agentsoc.engine.bounds import Bound
from agentsoc.engine.forecast import bound
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.engine.tool_desk import ToolDesk, WantedCall
from agentsoc.errors import InputError
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.prices import money
from agentsoc.society.build import build_society
from agentsoc.tools import table
from agentsoc.tools.table import Table
from tests.societies import built


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("nothing to say")


RAISED: dict[str, BaseException] = {
    "half": ValueError("x\ud800y\x00z"),
    "long": ValueError("ab " * 5_000_000),
    "exit": SystemExit(3),
    "cancelled": asyncio.CancelledError(),
    "speechless": SpeechlessError(),
    "number": ToolError("error", 5),  # type: ignore[arg-type]
    "kind": ToolError("odd\nkind", "m"),  # type: ignore[arg-type]
}
TOLD = {
    "half": "error: ValueError: x?y\ufffdz",
    "long": "error: ValueError: " + ("ab " * 70)[:188],
    "exit": "error: SystemExit: 3",
    "cancelled": "error: CancelledError:",
    "speechless": "error: SpeechlessError",
    "number": "error: 5",
    "kind": "error: m",
}


class Raising(Tool):
    """Raises what it is asked to."""

    effect: ClassVar[Effect] = "pure"
    kind: Literal["raising"] = "raising"

    def arguments(self) -> Mapping[str, Any]:
        return {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}

    def call(self, arguments: Mapping[str, Any]) -> str:
        raise RAISED[arguments["what"]]


class RaisingQuickly(Raising):
    """Raises what it is asked to, without a thread."""

    quick: ClassVar[bool] = True
    kind: Literal["raising_quickly"] = "raising_quickly"  # type: ignore[assignment]


def told(directory: Path, tool: str, arguments: Any) -> str:
    """Return what an agent was told whose model called a tool so; the run has to end, and its replay to agree."""
    for kind in (Raising, RaisingQuickly):
        Slot.register(kind)
    reply = json.dumps({"calls": [{"tool": tool, "arguments": arguments}]})
    model = {"kind": "scripted", "replies": [["What", reply]]}
    group = {"count": 1, "model": model, "tools": [tool], "tool_use": {"steps": 2}, "max_tokens": 512}
    done = run(
        built(tasks={"kind": "arithmetic", "count": 1}, agents=[group], topology="single", protocol="vote"), directory
    )
    assert done.manifest.status == "finished"
    assert replay(directory).digest == done.manifest.digest
    [text] = [event.text for event in RunLog(directory).events() if event.kind == "tool_call"]
    return text or ""


@pytest.mark.parametrize("tool", ["raising", "raising_quickly"])
@pytest.mark.parametrize("what", list(RAISED))
def test_whatever_a_tool_raises_is_told_in_a_line(tmp_path: Path, tool: str, what: str) -> None:
    began = time.monotonic()
    assert told(tmp_path / "run", tool, {"what": what})[:200] == TOLD[what][:200]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("arguments", ["NaN", "[1e999]", '{"expression": NaN}', "{", "[" * 5000 + "]" * 5000])
def test_arguments_that_are_no_json_are_bad_arguments(tmp_path: Path, arguments: str) -> None:
    assert told(tmp_path / "run", "calculator", arguments).startswith("bad_arguments: ")


def test_a_small_table_that_unfolds_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "UNFOLDED_MAX", 1 << 20)
    monkeypatch.setattr(table, "ROWS_MAX", 20_000)
    many = pa.table({"a": pa.array(["x" * 1000], pa.string()).take(pa.array([0] * 10_000))})
    pq.write_table(many, tmp_path / "much.parquet")
    pq.write_table(pa.table({"a": list(range(20_001))}), tmp_path / "many.parquet")
    pq.write_table(pa.table({"a": ["x", "y"]}), tmp_path / "few.parquet")
    (tmp_path / "many.csv").write_text("a\n" + "1\n" * 20_001)
    (tmp_path / "many.jsonl").write_text('{"a": 1}\n' * 20_001)
    token = BASE_DIR.set(tmp_path)
    try:
        assert Table(file="few.parquet").call({"where": {"a": "y"}}) == '{"a": "y"}'
        with pytest.raises(InputError, match="unfolds to more than"):
            Table(file="much.parquet").describe()
        for name in ("many.parquet", "many.csv", "many.jsonl"):
            with pytest.raises(InputError, match=r"20,00[01] rows|at most 20,000"):
                Table(file=name).describe()
    finally:
        BASE_DIR.reset(token)


class OneAtATime(Tool):
    """Takes a while, and has a session that makes one call at once."""

    effect: ClassVar[Effect] = "pure"
    kind: Literal["one_at_a_time"] = "one_at_a_time"

    def open(self) -> ToolSession:
        return Slow(self.spec())


class Slow(ToolSession):
    at_once = 1

    def __init__(self, spec: ToolSpec) -> None:
        self._spec = spec

    def specs(self) -> tuple[ToolSpec]:
        return (self._spec,)

    async def call(self, name: str, arguments: Mapping[str, Any], timeout_s: float) -> str:
        await asyncio.wait_for(asyncio.sleep(0.04), timeout_s)
        return "done"


class Nowhere:
    async def write(self, row: Attempt) -> None:
        assert row.model == "tool:one_at_a_time"


def test_what_a_call_waits_for_others_is_not_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    Slot.register(OneAtATime)
    monkeypatch.setattr("agentsoc.engine.tool_desk._SLACK_S", 0.0)
    group = {"count": 8, "model": "scripted", "tools": ["one_at_a_time"], "tool_use": {"timeout_s": 0.2}}
    tasks = {"kind": "arithmetic", "count": 1}
    society = build_society(built(tasks=tasks, agents=[group], topology="decentralized", protocol="vote"))

    async def ask() -> list[str]:
        desk = ToolDesk(society, Nowhere(), {})  # type: ignore[arg-type]
        await desk.start()
        wanted = [WantedCall(Turn(agent), 0, ToolCall("one_at_a_time", "{}"), "") for agent in range(8)]
        return [outcome.text for outcome in await desk.make(0, 0, wanted)]

    assert asyncio.run(ask()) == ["done"] * 8


def test_the_bound_on_the_cost_holds_the_price_of_tools_under_a_ceiling_of_tokens(tmp_path: Path) -> None:
    calls = [[{"tool": "calculator", "arguments": {"expression": "1"}}] * 2]
    group = {"count": 1, "model": {"kind": "scripted", "uses_tools": calls}, "tools": ["calculator"]}
    scenario = built(
        tasks={"kind": "arithmetic", "count": 1}, agents=[group], topology="single", protocol="vote",
        prices={"scripted": {"input": 1, "output": 1}, "tool:calculator": {"call": 1}},
        budget={"tokens_per_task": 50_000},
    )  # fmt: skip
    found = bound(build_society(scenario))
    assert isinstance(found, Bound)
    spent = run(scenario, tmp_path / "run").manifest.totals.cost
    assert spent is not None
    assert 2 < spent < money(found.cost_max)
