"""Traces of spans in each generation of conventions: claims, parents, tools and tokens, or it is said why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.errors import InputError
from analysis.importers.importer import LogReading
from analysis.importers.loose_json import BadParts
from analysis.importers.otlp import Otlp
from tests.pace import at_most

LONG = "The road over the hills is shorter than the one along the river by a good hour."


def span(name: str, number: str, at: tuple[int, int], parent: str | None = None, **fields: Any) -> dict[str, Any]:
    """A span of OTLP-JSON; `fields` are its attributes, with dots for double underscores, and events and links."""
    raw: dict[str, Any] = {"traceId": fields.pop("trace", "t"), "spanId": number, "name": name,
                           "startTimeUnixNano": str(at[0]), "endTimeUnixNano": str(at[1])}  # fmt: skip
    raw |= {key: fields.pop(key) for key in ("events", "links", "traceState") if key in fields}
    if parent is not None:
        raw["parentSpanId"] = parent
    raw["attributes"] = [{"key": key.replace("__", "."), "value": value_of(value)} for key, value in fields.items()]
    return raw


def value_of(value: Any) -> dict[str, Any]:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(one) for one in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": key, "value": value_of(one)} for key, one in value.items()]}}
    return {kinds[type(value)]: str(value) if type(value) is int else value}


def otlp(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}


def read(tmp_path: Path, value: Any, rule: str = "found", **options: Any) -> LogReading:
    path = tmp_path / options.pop("name", "trace.json")
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    bad = BadParts(options.pop("skip", False))
    return Otlp().read_parts(path, rule, bad, partial=options.pop("partial", False))


def claims(found: LogReading) -> list[tuple[str, str | None, list[int]]]:
    names = found.table.executions["agents"].to_list()[0]
    rows = found.table.events.filter(pl.col("claim").is_not_null(), pl.col("execution") == 0)
    return [(names[agent], text, parents) for agent, text, parents in rows.select("agent", "text", "parents").rows()]


def out(text: str) -> str:
    return json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}])


def agent(
    name: str, number: str, at: tuple[int, int], said: str, parent: str | None = None, **more: Any
) -> dict[str, Any]:
    return span(f"invoke_agent {name}", number, at, parent, gen_ai__operation__name="invoke_agent",
                gen_ai__agent__name=name, gen_ai__output__messages=out(said), **more)  # fmt: skip


CHAT = {"gen_ai__operation__name": "chat", "gen_ai__agent__name": "a", "gen_ai__usage__input_tokens": 7,
        "gen_ai__usage__output_tokens": 2}  # fmt: skip
GENERATIONS: dict[str, dict[str, Any]] = {
    "messages as attributes": CHAT | {"gen_ai__output__messages": out("Yes.")},
    "messages as structured attributes": CHAT
    | {"gen_ai__output__messages": [{"role": "assistant", "parts": [{"type": "text", "content": "Yes."}]}]},
    "messages as events": CHAT
    | {"events": [{"name": "gen_ai.user.message", "attributes": [{"key": "content", "value": {"stringValue": "Hi"}}]},
                  {"name": "gen_ai.choice", "attributes": [
                      {"key": "message", "value": {"stringValue": '{"content": "Yes."}'}}]}]},
    "an event with details": CHAT
    | {"events": [{"name": "gen_ai.client.inference.operation.details",
                   "attributes": [{"key": "gen_ai.output.messages", "value": {"stringValue": out("Yes.")}}]}]},
    "prompt and completion": {"gen_ai__operation__name": "chat", "agent__name": "a", "gen_ai__completion": "Yes.",
                              "gen_ai__usage__prompt_tokens": 7, "gen_ai__usage__completion_tokens": 2},
    "prompt and completion, spread": {
        "llm__request__type": "chat", "agent_name": "a", "gen_ai__completion__0__content": "Yes.",
        "gen_ai__completion__0__role": "assistant", "gen_ai__prompt__0__content": "Hi",
        "gen_ai__usage__prompt_tokens": 7, "gen_ai__usage__completion_tokens": 2},
    "OpenInference": {
        "openinference__span__kind": "LLM", "agent__name": "a", "llm__token_count__prompt": 7,
        "llm__token_count__completion": 2, "llm__output_messages__0__message__role": "assistant",
        "llm__output_messages__0__message__content": "Yes."},
    "OpenInference, parts": {
        "openinference__span__kind": "LLM", "agent__name": "a", "llm__token_count__prompt": 7,
        "llm__token_count__completion": 2, "llm__output_messages__0__message__role": "assistant",
        "llm__output_messages__0__message__contents__0__message_content__text": "Yes."},
    "OpenLLMetry agent": {
        "traceloop__span__kind": "agent", "traceloop__entity__name": "a", "traceloop__entity__output": '"Yes."',
        "gen_ai__usage__prompt_tokens": 7, "gen_ai__usage__completion_tokens": 2},
}  # fmt: skip


@pytest.mark.parametrize("case", GENERATIONS)
def test_every_generation_of_conventions_is_read(case: str, tmp_path: Path) -> None:
    found = read(tmp_path, otlp(span("chat m", "1", (1, 2), **GENERATIONS[case])))
    text = '"Yes."' if "OpenLLMetry" in case else "Yes."
    assert claims(found) == [("a", text, [])]
    assert found.table.events.select("calls", "tokens_in", "tokens_out").rows() == [(1, 7, 2)]


def test_parents_come_from_links_then_text_then_what_was_last(tmp_path: Path) -> None:
    shown = json.dumps([{"role": "user", "content": f"Somebody said:  {LONG}\nAnd you?"}])
    trace = otlp(
        agent("a", "1", (1, 2), LONG),
        agent("b", "2", (3, 4), "short"),
        agent("c", "3", (5, 6), "from a", gen_ai__input__messages=shown),
        agent("d", "4", (7, 8), "from b", links=[{"traceId": "t", "spanId": "2"}, {"traceId": "other", "spanId": "2"}]),
        agent("e", "5", (9, 10), "from d"),
    )
    by_rule = {rule: [parents for _, _, parents in claims(read(tmp_path, trace, rule))]
               for rule in ("found", "links", "text", "previous")}  # fmt: skip
    assert by_rule == {
        "found": [[], [0], [0], [1], [3]],
        "links": [[], [], [], [1], []],
        "text": [[], [], [0], [], []],
        "previous": [[], [0], [1], [2], [3]],
    }
    notes = read(tmp_path, trace).notes
    assert "parents by the rule found (links 1, text 1, previous 2)" in " ".join(notes)
    assert "need not have been used" in " ".join(notes)
    assert "1 x links that lead to no earlier claim of their trace" in notes


def test_a_short_text_is_nobodys_and_what_ran_at_the_same_time_was_not_seen(tmp_path: Path) -> None:
    shown = json.dumps([{"role": "user", "content": "yes, they say"}])
    trace = otlp(agent("a", "1", (1, 5), "yes"), agent("b", "2", (2, 6), "no", gen_ai__input__messages=shown))
    assert [parents for _, _, parents in claims(read(tmp_path, trace))] == [[], []]


def test_calls_within_an_agent_are_its_own_with_their_tools_and_handoffs(tmp_path: Path) -> None:
    call = {"gen_ai__operation__name": "chat", "gen_ai__usage__input_tokens": 5, "gen_ai__usage__output_tokens": 1}
    trace = otlp(
        span("run", "0", (1, 99), gen_ai__operation__name="invoke_workflow"),
        span("invoke_agent boss", "1", (2, 50), "0", gen_ai__operation__name="invoke_agent",
             gen_ai__usage__input_tokens=999),
        span("chat m", "2", (3, 4), "1", **call, gen_ai__output__messages=out("first")),
        span("execute_tool clock", "3", (5, 6), "1", gen_ai__operation__name="execute_tool",
             gen_ai__tool__call__arguments="{}", gen_ai__tool__call__result="noon"),
        span("execute_tool transfer_to_writer", "4", (7, 8), "1", gen_ai__operation__name="execute_tool"),
        span("chat m", "5", (9, 10), "1", **call, gen_ai__output__messages=out("last")),
        agent("writer", "6", (11, 20), "written", "1"),
        span("chat m", "7", (60, 61), "0", **call),
    )  # fmt: skip
    found = read(tmp_path, trace)
    assert claims(found) == [("writer", "written", []), ("boss", "last", [0])]
    boss = found.table.events.row(by_predicate=pl.col("claim") == 1, named=True)
    assert (boss["calls"], boss["tokens_in"], boss["tokens_out"]) == (2, 10, 2)  # its calls, not its own total again
    tool = found.table.events.row(by_predicate=pl.col("kind") == "tool_call", named=True)
    assert (tool["answer"], tool["text"]) == ("clock({})", "noon")
    handed = found.table.events.row(by_predicate=pl.col("kind") == "delegate_subtask", named=True)
    assert found.table.executions["agents"].to_list()[0][handed["target"]] == "writer"
    assert found.table.events["tokens_in"].sum() == 15
    assert "1 x calls of models outside of all agents, counted as effort" in found.notes


def test_a_trace_that_is_not_whole_is_refused_unless_parts_are_asked_for(tmp_path: Path) -> None:
    orphan = otlp(agent("a", "1", (1, 2), "x"), agent("b", "2", (3, 4), "y", "gone"))
    with pytest.raises(InputError, match=r"1 of 2 spans name a parent that is not there(.|\n)*--partial"):
        read(tmp_path, orphan)
    found = read(tmp_path, orphan, partial=True)
    assert len(claims(found)) == 2
    assert "1 x spans whose parent is missing" in found.notes
    for sampled in (
        agent("a", "1", (1, 2), "x", traceState="ot=th:8"),
        agent("a", "1", (1, 2), "x", sampling__rate=0.1),
    ):
        with pytest.raises(InputError, match="the trace was sampled"):
            read(tmp_path, otlp(sampled))
        assert len(claims(read(tmp_path, otlp(sampled), partial=True))) == 1
    whole = agent("a", "1", (1, 2), "x", traceState="ot=th:0")
    assert len(claims(read(tmp_path, otlp(whole)))) == 1


def test_a_span_may_come_twice_but_an_id_not_for_two(tmp_path: Path) -> None:
    one = agent("a", "1", (1, 2), "x")
    found = read(tmp_path, otlp(one, one))
    assert len(claims(found)) == 1
    assert "1 x spans that were exported twice" in found.notes
    with pytest.raises(InputError, match="two spans have the id 1"):
        read(tmp_path, otlp(one, agent("b", "1", (3, 4), "y")))


def test_traces_a_line_console_spans_and_several_traces(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(otlp(agent("a", "1", (1, 2), "x", trace=t))) for t in ("t1", "t2"))
    found = read(tmp_path, lines, name="trace.jsonl")
    assert found.table.executions["task_name"].to_list() == ["t1", "t2"]
    console = [{"name": "invoke_agent a", "context": {"trace_id": "0x1", "span_id": "0x2"}, "parent_id": None,
                "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z",
                "attributes": {"gen_ai.operation.name": "invoke_agent", "output.value": "x"}}]  # fmt: skip
    assert claims(read(tmp_path, console)) == [("a", "x", [])]


def test_langfuse_and_langsmith_are_the_same_tree(tmp_path: Path) -> None:
    langfuse = [{"id": "t", "name": "run", "observations": [
        {"id": "1", "parentObservationId": None, "type": "AGENT", "name": "planner",
         "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:00:02Z"},
        {"id": "2", "parentObservationId": "1", "type": "GENERATION", "name": "llm", "output": {"content": LONG},
         "startTime": "2026-01-01T00:00:00.5Z", "endTime": "2026-01-01T00:00:01Z",
         "usageDetails": {"input": 7, "output": 2}},
        {"id": "3", "parentObservationId": None, "type": "AGENT", "name": "critic", "input": LONG, "output": "No.",
         "startTime": "2026-01-01T00:00:03Z", "endTime": "2026-01-01T00:00:04Z"},
    ]}]  # fmt: skip
    langsmith = [
        {"id": "1", "trace_id": "t", "name": "planner", "run_type": "chain", "start_time": "2026-01-01T00:00:00",
         "end_time": "2026-01-01T00:00:02", "child_runs": [
             {"id": "2", "name": "ChatModel", "run_type": "llm", "start_time": "2026-01-01T00:00:00.5",
              "end_time": "2026-01-01T00:00:01", "prompt_tokens": 7, "completion_tokens": 2,
              "extra": {"metadata": {"langgraph_node": "planner"}},
              "outputs": {"generations": [[{"text": LONG, "message": {"kwargs": {"content": LONG}, "id": ["AI"]}}]]}}]},
        {"id": "3", "trace_id": "t", "name": "ChatModel", "run_type": "llm", "start_time": "2026-01-01T00:00:03",
         "end_time": "2026-01-01T00:00:04", "extra": {"metadata": {"langgraph_node": "critic"}},
         "inputs": {"messages": [[{"kwargs": {"content": LONG}, "id": ["HumanMessage"]}]]},
         "outputs": {"generations": [[{"text": "No."}]]}}]  # fmt: skip
    for value in (langfuse, langsmith):
        found = read(tmp_path, value)
        assert claims(found) == [("planner", LONG, []), ("critic", "No.", [0])]
        assert found.table.events["tokens_in"].to_list() == [7, 0]


def test_what_is_no_trace_is_refused_by_its_name(tmp_path: Path) -> None:
    for value, says in (
        ([{"role": "user", "content": "x"}], "this is no span"),
        ({"status": "success", "eval": {}}, "this is an Inspect log"),
        ({"resourceSpans": 7}, "resourceSpans is no list of objects"),
        (otlp({"name": "x"}), "a span without traceId"),
        (otlp(span("GET /", "1", (1, 2))), "no span of the trace is an invocation"),
        ({"resourceSpans": []}, "there are no spans"),
    ):
        with pytest.raises(InputError, match=says):
            read(tmp_path, value)
    mixed = otlp(span("GET /", "1", (1, 2), trace="t1"), agent("a", "2", (1, 2), "x", trace="t2"))
    found = read(tmp_path, mixed, skip=True)
    assert len(claims(found)) == 1
    assert any(note.startswith("passed over 1 that cannot be read") for note in found.notes)


def test_circles_and_deep_trees_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in a circle"):
        read(tmp_path, otlp(agent("a", "1", (1, 2), "x", "2"), agent("b", "2", (1, 2), "y", "1")))
    chain = [agent("a", str(at), (at, at + 1), "x", str(at - 1) if at else None) for at in range(400)]
    with pytest.raises(InputError, match="nested more than 256 deep"):
        read(tmp_path, otlp(*chain))
    deep = '{"a":' * 900 + "1" + "}" * 900
    found = read(tmp_path, otlp(agent("a", "1", (1, 2), deep)))
    assert len(claims(found)) == 1


def test_thousands_of_claims_that_repeat_each_other_take_no_long_time(tmp_path: Path) -> None:
    texts = [f"{LONG} And {at} more words that are its own." for at in range(1_000)]
    shown = json.dumps([{"role": "user", "content": "\n".join(texts)}])
    spans = [agent("a", str(at), (2 * at, 2 * at + 1), text) for at, text in enumerate(texts)]
    spans.append(agent("b", "end", (5_000, 5_001), "so", gen_ai__input__messages=shown))
    with at_most(100):
        found = read(tmp_path, otlp(*spans))
    assert len(claims(found)[-1][2]) == 32  # of claims that begin alike the latest are looked for


def test_notes_tell_what_a_trace_does_not_say(tmp_path: Path) -> None:
    silent = read(tmp_path, otlp(span("invoke_agent a", "1", (1, 2), gen_ai__operation__name="invoke_agent")))
    assert "1 of 1 claims have no text: the trace does not hold what was said" in silent.notes
    assert "no span says what it cost: tokens are not known" in silent.notes
    told = read(tmp_path, otlp(agent("a", "1", (1, 2), "x", gen_ai__usage__input_tokens=3)))
    assert not any("no text" in note or "cost" in note for note in told.notes)
    half = otlp(agent("a", "1", (1, 2), "x", gen_ai__usage__input_tokens=3), agent("b", "2", (3, 4), "y"))
    assert "usage is told of 1 of 2 invocations; of the others it is not known" in read(tmp_path, half).notes
