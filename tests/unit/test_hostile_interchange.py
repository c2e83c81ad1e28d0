"""Files of strangers that once ended in a traceback, took minutes, or were read with a part of them lost in silence."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import BaseModel

from agentsoc.cli import main
from agentsoc.engine import ray_files
from agentsoc.engine.run import run
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.files import write_whole
from agentsoc.log.machines import machine
from agentsoc.log.read import RunLog
from agentsoc.scenario.files import BASE_DIR
from agentsoc.scenario.load import parse_scenario
from agentsoc.tasks.jsonl import Jsonl
from analysis.exporters.otlp import _sort, write_otlp
from analysis.importers import inspect_log, store
from analysis.importers.chats import read_chats
from analysis.importers.chats.chat import parted
from analysis.importers.importer import LogReading, import_log, recognised
from analysis.importers.loose_json import BadParts
from analysis.importers.messages import Messages
from analysis.importers.otlp import Otlp
from analysis.importers.spans import acts
from analysis.importers.spans.otlp_json import otlp_spans
from analysis.importers.store import load, source_digest
from analysis.importers.transcripts import import_transcripts
from tests.pace import at_most
from tests.sides import told_apart

SAID: list[dict[str, Any]] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
INVOKED = [
    {"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}},
    {"key": "gen_ai.agent.name", "value": {"stringValue": "bob"}},
]
RUN = """
name: few
seed: 3
tasks: {kind: comparison, count: 2}
agents: {count: 2, model: scripted}
topology: decentralized
protocol: {kind: debate, rounds: 2}
"""


def trace(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def span(number: str = "1", **fields: Any) -> dict[str, Any]:
    return {"traceId": "t", "spanId": number, "name": "x", "attributes": INVOKED} | fields


def own(episode: dict[str, Any], act: dict[str, Any]) -> dict[str, Any]:
    place = {"agentsoc.round": 0, "agentsoc.agent": 0, "agentsoc.k": 0, "agentsoc.kind": "propose_claim"}
    event = {"name": "agentsoc.act", "attributes": place | act}
    return trace(span(attributes={"agentsoc.format": 1, "agentsoc.task": 0} | episode, events=[event]))


def written(tmp_path: Path, value: Any, name: str = "file.json") -> Path:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def traces(path: Path, *, partial: bool = False) -> LogReading:
    return Otlp().read_parts(path, "found", BadParts(), partial=partial)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (trace(span(links=5)), "links is no list of objects"),
        (trace(span(events="abc")), "events is no list of objects"),
        (trace(span(attributes=[{"key": "a", "value": {"arrayValue": {"values": 5}}}])), "are no list"),
        (trace(span(attributes=[{"key": "a", "value": {"kvlistValue": {"values": 5}}}])), "are no list"),
        ({"context": {"trace_id": "0x1", "span_id": "0x2"}, "links": {"a": 1}}, "links is no list of objects"),
        ({"id": "1", "run_type": "chain", "outputs": {}, "child_runs": 5}, "child_runs is no list of runs"),
        ({"id": "1", "run_type": "chain", "outputs": {}, "child_runs": ["x"]}, "child_runs is no list of runs"),
        (own({"agentsoc.task": "abc"}, {}), "an episode whose task is 'abc'"),
        (own({"agentsoc.task": 2**70}, {}), "an episode whose task is"),
        (own({"agentsoc.n_agents": -4}, {}), "an episode whose n_agents is -4"),
        (own({"agentsoc.seed": 2**80}, {}), "an episode whose seed is"),
        (own({"agentsoc.topology": 5}, {}), "an episode whose topology is 5"),
        (own({"agentsoc.complete": "yes"}, {}), "an episode whose complete is 'yes'"),
        (own({}, {"agentsoc.parents": [2**70]}), "an act whose parents is"),
        (own({}, {"agentsoc.round": 2**62}), "an act whose round is"),
        (own({}, {"agentsoc.agent": -9}), "an act whose agent is -9"),
        (own({}, {"agentsoc.k": -1}), "an act whose k is -1"),
        (own({}, {"agentsoc.calls": -7}), "an act whose calls is -7"),
        (own({"agentsoc.acts": 2}, {}), "it has 1 acts of 2"),
    ],
)
def test_a_trace_with_something_else_in_a_place_is_refused_with_it(value: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?s)file.json.*") as caught:
        traces(written(tmp_path, value))
    assert told in str(caught.value)


def test_attributes_of_a_resource_are_shared_by_its_spans_and_few(tmp_path: Path) -> None:
    def value(n: int) -> dict[str, Any]:
        many = trace(span("1", attributes=INVOKED[:1]), span("2", attributes=INVOKED[:1]))
        named = [{"key": "gen_ai.agent.name", "value": {"stringValue": "ann"}}]
        more = [{"key": f"k{at}", "value": {"intValue": "1"}} for at in range(n - 1)]
        many["resourceSpans"][0]["resource"] = {"attributes": named + more}
        return many

    first, second = otlp_spans(value(256), "file")
    assert first.attributes.maps[1] is second.attributes.maps[1]  # type: ignore[attr-defined]
    assert traces(written(tmp_path, value(256))).table.executions["agents"].to_list() == [["ann"]]
    with pytest.raises(InputError, match="a resource with 257 attributes"):
        traces(written(tmp_path, value(257)))


def test_an_exported_trace_that_lost_a_span_is_refused_and_taken_in_part_where_asked(tmp_path: Path) -> None:
    run(parse_scenario(RUN), tmp_path / "r")
    write_otlp(RunLog(tmp_path / "r"), tmp_path / "t.jsonl")
    whole = traces(tmp_path / "t.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    spans = lines[0]["scopeSpans"][0]["spans"] if "scopeSpans" in lines[0] else None
    spans = lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"] if spans is None else spans
    lost = next(one for one in spans if one["name"].startswith("invoke_agent"))
    spans[:] = [one for one in spans if lost["spanId"] not in (one["spanId"], one.get("parentSpanId"))]
    path = written(tmp_path, "\n".join(json.dumps(line) for line in lines), "cut.jsonl")
    with pytest.raises(InputError, match=r"the trace is not whole: it has [0-9]+ acts of [0-9]+"):
        traces(path)
    part = traces(path, partial=True)
    told_apart({"exported traces that lack acts": "; ".join(part.notes)}, "; ".join(whole.notes))
    assert part.table.events.height == whole.table.events.height - len(lost["events"])


def test_a_file_that_is_written_in_pieces_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_whole(path, iter([b"a", b"b"]))
    assert path.read_bytes() == b"ab"

    def cut() -> Iterator[bytes]:
        yield b"c"
        raise InputError("it is cut", "")

    with pytest.raises(InputError):
        write_whole(path, cut())
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"ab"]


def test_without_contents_a_failure_has_no_words_but_ours() -> None:
    assert _sort("timeout: after 3 s", contents=False) == "timeout"
    assert _sort("the secret word was no JSON", contents=False) == "_OTHER"
    assert _sort("the secret word was no JSON", contents=True) == "the secret word was no JSON"


def test_acts_that_have_no_place_in_a_log_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]
    tool = [{"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}}]

    def told(*spans: dict[str, Any]) -> str:
        return "; ".join(traces(written(tmp_path, trace(*spans))).notes)

    outside = told(span("1", attributes=chat), span("2", attributes=tool))
    handed = [*tool, {"key": "gen_ai.tool.name", "value": {"stringValue": "transfer_to_bob"}}]
    given = told(span("1", attributes=chat), span("2", attributes=handed))
    inside = span("1"), *(span(str(at), parentSpanId="1", attributes=tool) for at in (2, 3))
    strays = span("1"), *(span(str(at), attributes=chat) for at in (2, 3))
    whole = told(*inside), told(*strays)
    monkeypatch.setattr(acts, "TOOLS_MAX", 1)
    monkeypatch.setattr(acts, "STRAYS_MAX", 1)
    told_apart(
        {
            "1 x calls of tools outside of all invocations, left out": outside,
            "1 x hand-offs outside of all invocations, left out": given,
            "1 x calls of tools and hand-offs beyond 1 of an invocation, left out": told(*inside),
            "1 x calls of models outside of all agents beyond 1, left out": told(*strays),
        },
        *whole,
    )
    monkeypatch.setattr(acts, "MAX_ROUNDS", 1)
    with pytest.raises(InputError, match="2 invocations; the limit is 1"):
        told(span("1"), span("2"))


def test_a_text_that_inspect_refers_to_counts_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    said = SimpleNamespace(text="x" * 100)
    event = SimpleNamespace(event="model", input=[said] * 3, output=SimpleNamespace(completion="y" * 10))
    gave = [Part(text="z" * 50)]
    tool = SimpleNamespace(event="tool", result=gave, arguments={"to": ["x" * 28]})
    sample: Any = SimpleNamespace(messages=[said], events=[event, tool, tool, SimpleNamespace(event="info")])
    found, log = inspect_log._Samples("r", "both"), cast("Any", None)
    monkeypatch.setattr(inspect_log, "UNPACKED_MAX", 569)
    with pytest.raises(InputError, match="more than 569 characters of text"):
        inspect_log._add_sample(found, log, sample, "sample")
    assert found.chars == 410 + 2 * (50 + 2 + 28)


def test_no_field_of_a_stranger_takes_more_than_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with at_most(10):
        assert traces(written(tmp_path, trace(span(traceState=";" * 100_000)))).table.events.height == 1
    name = "x (-> " + " " * 20_000 + "y"
    chat = written(tmp_path, [{"name": name, "content": "a"}, {"name": "a" + " " * 20_000 + "(", "content": "b"}])
    with at_most(10):
        assert import_transcripts(chat).events.height == 2
        assert Messages().read(chat, "both").table.events.height == 2
    answers = [{"role": "assistant", "content": f"a{i}"} for i in range(20_000)]
    debate = written(tmp_path, {"q": [[answers], "t"]})
    with at_most(50):  # thrice as long where each round looks through all others
        assert Messages().read(debate, "both").table.events.height == 20_000
    crowd = written(tmp_path, {"q": [[[SAID[0], SAID[1], SAID[0], SAID[1]] for _ in range(9)], "t"]})
    assert Messages().read(crowd, "both").table.events.height == 18
    monkeypatch.setattr(read_chats, "DEBATE_WORK_MAX", 50_000)
    with pytest.raises(InputError, match="too many agents and too much text"):
        Messages().read(crowd, "both")


@pytest.mark.parametrize(
    ("who", "found"),
    [
        ("Ann", ("Ann", None)),
        ("Ann (-> Bob)", ("Ann", "Bob")),
        ("Ann ( ->  Bob  )", ("Ann", "Bob")),
        ("Ann (thought)", ("Ann", None)),
        ("Ann (x) (-> Bob)", ("Ann (x)", "Bob")),
        ("Ann (x))", ("Ann (x))", None)),
        ("Ann)", ("Ann)", None)),
        ("Ann (->)", ("Ann", None)),
        ("(-> Bob)", ("", "Bob")),
    ],
)
def test_a_remark_behind_a_name_is_no_part_of_it(who: str, found: tuple[str, str | None]) -> None:
    assert parted(who) == found


def test_contents_nested_deeply_are_read(tmp_path: Path) -> None:
    lists, objects = "[" * 400 + "]" * 400, '{"a":' * 400 + "1" + "}" * 400
    path = written(tmp_path, f'[{{"name": "a", "content": {lists}}}, {{"name": "b", "content": {objects}}}]')
    assert import_transcripts(path).events["text"][0] == "..."


def test_links_out_of_a_directory_are_neither_read_nor_hashed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    written(tmp_path / "d", SAID, "b.json")
    before = source_digest(tmp_path / "d")
    (tmp_path / "d" / "a.json").symlink_to(written(tmp_path, {"secret": 1}, "outside.json"))
    assert source_digest(tmp_path / "d") == before
    assert recognised(tmp_path / "d").name == "messages"
    assert import_transcripts(tmp_path / "d").n_executions == 1


def test_a_name_that_is_no_text_is_one_afterwards(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json"))
    path.write_text(json.dumps(SAID))
    for reading in (Messages().read(tmp_path, "both").table, import_transcripts(path)):
        assert reading.executions["task_name"].to_list() == ["\ufffd"]
    assert main.main(["import", "auto", str(path), "--out", str(tmp_path / "out")]) == 0
    assert main.main(["check", str(tmp_path / "out")]) == 0


def test_nothing_is_made_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    file = written(tmp_path, SAID)
    monkeypatch.chdir(tmp_path / "here")
    assert main.main(["import", "auto", str(file), "--out", "."]) == 2
    assert "this is the current directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([{"title": "t", "mapping": {"a": {"message": None}}}], "a data export of ChatGPT"),
        ({"raw": "x", "tasks_output": [{"agent": "a", "raw": "x"}]}, "an output of CrewAI"),
        ({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}, "contents of Gemini's API"),
        ({"custom_id": "1", "response": {"body": {"choices": []}}}, "a batch of OpenAI's API"),
        ({"trajectory": [{"action": "ls", "observation": "x"}]}, "a trajectory of SWE-agent"),
    ],
)
def test_what_is_known_and_not_read_is_refused_by_its_name(value: Any, told: str, tmp_path: Path) -> None:
    path = written(tmp_path, value)
    with pytest.raises(InputError, match=f"this is {told}"):
        recognised(path)
    with pytest.raises(InputError, match=f"this is {told}"):
        Messages().read(path, "both")


def test_numbers_that_no_log_has_are_refused_when_written_and_when_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 2**63 - 1
    for rows, told in (
        ("n_agents\na,,x,1000000000000\n", "an execution of 1,000,000,000,000 agents"),
        (f"tokens_in\na,,x,{most}\nb,,x,{most}\n", "tokens_in add up to more than any log has"),
    ):
        path = written(tmp_path, f"claim,parents,agent,{rows}", "claims.csv")
        with pytest.raises(InputError, match=told):
            import_log("claims", path, tmp_path / "refused")
    import_log("claims", written(tmp_path, "claim,parents,agent,n_agents\na,,x,7\n", "c.csv"), tmp_path / "log")
    assert load(tmp_path / "log")[0].n_executions == 1
    monkeypatch.setattr(store, "AGENTS_MAX", 6)
    with pytest.raises(LogDamagedError, match="an execution of 7 agents"):
        load(tmp_path / "log")


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    token = BASE_DIR.set(tmp_path)
    yield tmp_path
    BASE_DIR.reset(token)


def test_task_files_of_other_programs(base: Path) -> None:
    for word in ("nan", "inf", "-Infinity"):
        written(base, f"question,answer,difficulty\nq,1,{word}\n", "t.csv")
        with pytest.raises(InputError, match='"difficulty" is out of range'):
            Jsonl(file="t.csv").tasks(0)
    written(base, "PK", "t.xlsx")
    with pytest.raises(InputError, match=r"a spreadsheet .* is not read"):
        Jsonl(file="t.xlsx").tasks(0)
    scores = {str(at): 0 for at in range(4_000)} | {"x": 1}
    written(base, {"examples": [{"input": "q", "target_scores": scores}]}, "t.json")
    with at_most(20), pytest.raises(InputError, match="4,001 entries"):
        Jsonl(file="t.json", preset="big-bench").tasks(0)


def test_a_process_id_counts_where_it_is_one_of_the_same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(threading, "Thread", Now)
    gone = 4_194_304 + 1  # beyond any process id of Linux
    ray_files.die_with((socket.gethostname(), gone, ""))  # of the same name, and another machine
    ray_files.die_with((f"{machine()} other", gone, ""))
    assert ended == []
    with pytest.raises(RecursionError):
        ray_files.die_with((machine(), gone, ""))


class Part(BaseModel):
    """A part of what a tool gave."""

    text: str


class Now:
    """A thread that runs where it is started, and stops at the first end of a process."""

    def __init__(self, *, target: Any, daemon: bool, name: str) -> None:
        self.target = target

    def start(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "_exit", self.end)
            self.target()

    def end(self, code: int) -> None:
        raise RecursionError
