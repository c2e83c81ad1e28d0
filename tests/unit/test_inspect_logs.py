"""Logs of Inspect, both ways, through its own library; skipped, visibly, where the extra is not installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from agentsoc.scenario.load import parse_scenario
from analysis.importers import inspect_log
from analysis.importers.importer import import_log
from analysis.importers.inspect_log import InspectLog
from analysis.importers.loose_json import BadParts

FORMATS = Path(__file__).parents[1] / "data" / "formats"
log_api: Any = pytest.importorskip("inspect_ai.log", reason="the extra inspect is not installed")

SCENARIO = """
name: voters
tasks: {kind: comparison, count: 3}
agents: {count: 2, model: scripted}
topology: {kind: decentralized, degree: 1}
protocol: {kind: debate, rounds: 2}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "r"
    run(parse_scenario(SCENARIO), directory)
    return directory


@pytest.mark.parametrize("name", ["log.eval", "log.json"])
def test_inspect_reads_our_runs_and_we_read_them_back(made: Path, tmp_path: Path, name: str) -> None:
    from analysis.exporters.inspect_log import write_inspect

    log = RunLog(made)
    assert write_inspect(log, tmp_path / name) == 3
    read = log_api.read_eval_log(str(tmp_path / name))
    assert (read.status, read.eval.task, len(read.samples)) == ("success", "voters", 3)
    assert read.results.scores[0].metrics["mean"].value == log.manifest.totals.score
    first = read.samples[0]
    assert {event.event for event in first.events} == {"span_begin", "span_end", "model"}
    assert sum(event.event == "model" for event in first.events) == log.manifest.totals.calls / 3
    assert first.target == log.tasks()["truth"][0]
    table, about = import_log("auto", tmp_path / name, tmp_path / "in")
    assert about.importer == "inspect"
    totals = log.manifest.totals
    assert (table.n_executions, table.events["calls"].sum()) == (3, totals.calls)
    assert table.events["tokens_in"].sum() == totals.tokens_in
    assert table.events["tokens_out"].sum() == totals.tokens_out
    ends = table.events.filter(table.events["kind"] == "answer")
    assert ends["correct"].mean() == totals.score
    assert table.executions["agents"].to_list() == [["agent 0", "agent 1"]] * 3


def evaluated(path: Path, **changes: Any) -> Path:
    """A log of one sample of one agent with a tool, written by inspect_ai."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ChatMessageUser, ModelOutput
    from inspect_ai.scorer import Score
    from inspect_ai.tool import ToolCall

    call = ToolCall(id="1", function="clock", arguments={"zone": "x"})
    sample = log_api.EvalSample(
        id="s", epoch=2, input="What is the time?", target="noon",
        messages=[
            ChatMessageUser(content="What is the time?"), ChatMessageAssistant(content="", tool_calls=[call]),
            ChatMessageTool(content="noon", tool_call_id="1", function="clock"), ChatMessageAssistant(content="Noon."),
        ],
        output=ModelOutput.from_content("m", "Noon."), scores={"match": Score(value="C", answer="noon")},
    )  # fmt: skip
    spec = log_api.EvalSpec(created="2026-01-01T00:00:00+00:00", task="time", dataset=log_api.EvalDataset(),
                            model="m", config=log_api.EvalConfig())  # fmt: skip
    made = log_api.EvalLog(status="success", eval=spec, samples=[sample]).model_copy(update=changes)
    log_api.write_eval_log(made, str(path))
    return path


def test_a_sample_of_one_agent_is_its_messages_with_its_score(tmp_path: Path) -> None:
    table, about = import_log("inspect", evaluated(tmp_path / "log.eval"), tmp_path / "in")
    kinds = table.events.select("kind", "answer", "text", "correct").rows()
    assert kinds == [
        ("propose_claim", None, "What is the time?", None),
        ("tool_call", 'clock({"zone": "x"})', "noon", None),
        ("propose_claim", None, "Noon.", None),
        ("answer", "noon", None, 1.0),
    ]
    row = table.executions.row(0, named=True)
    assert (row["benchmark"], row["task_name"], row["attempt"], row["complete"]) == ("time", "s", 1, True)
    assert json.loads(row["extra"])["target"] == "noon"
    assert "1 x samples of one agent or none, parents of messages by the rule" in about.notes


def test_a_log_that_did_not_end_is_taken_when_asked_for(tmp_path: Path) -> None:
    path = evaluated(tmp_path / "log.json", status="cancelled")
    with pytest.raises(InputError, match=r"ended with cancelled(.|\n)*--partial"):
        InspectLog().read(path, "both")
    assert InspectLog().read_parts(path, "both", BadParts(), partial=True).table.n_executions == 1


def test_what_inspect_cannot_read_is_refused_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="an Inspect log that inspect_ai cannot read"):
        InspectLog().read(FORMATS / "inspect.json", "both")
    (tmp_path / "no.eval").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match="this is no Inspect log"):
        InspectLog().read(tmp_path / "no.eval", "both")
    with zipfile.ZipFile(tmp_path / "bomb.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"samples/{number}.json", b"0" * 400_000)
    monkeypatch.setattr(inspect_log, "UNPACKED_MAX", 1_000_000)
    with pytest.raises(InputError, match="a log of 1,200,000 bytes; the limit is 1,000,000"):
        InspectLog().read(tmp_path / "bomb.eval", "both")
