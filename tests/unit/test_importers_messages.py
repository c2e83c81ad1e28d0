"""Conversations in the wrappings of other frameworks: each is read as it is meant, or refused by its name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.errors import InputError
from analysis.importers.importer import IMPORTERS, import_log, recognised
from analysis.importers.loose_json import BadParts
from analysis.importers.messages import Messages
from analysis.tables import EventTable
from tests.pace import at_most

FORMATS = Path(__file__).parents[1] / "data" / "formats"
LONG = "The road over the hills is shorter than the one along the river by a good hour."


def read(path: Path, parents: str = "both", *, skip: bool = False) -> tuple[EventTable, tuple[str, ...]]:
    found = Messages().read_parts(path, parents, BadParts(skip), partial=False)
    return found.table, found.notes


def written(tmp_path: Path, value: Any, name: str = "chat.json") -> Path:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def said(table: EventTable) -> list[tuple[str, str]]:
    """Who said what, in the first execution."""
    names = table.executions["agents"].to_list()[0]
    rows = table.events.filter(pl.col("execution") == 0, pl.col("claim").is_not_null())
    return [(names[agent], text) for agent, text in rows.select("agent", "text").rows()]


WALK = [("planner", "Go north.")]
CASES: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "ag2_chat_result.json": ("messages", "AG2 chat result", [("admin", "Plan a walk."), *WALK]),
    "agent_key.json": ("messages", "messages", [*WALK, ("checker", "Fine.")]),
    "autogen04_result.json": ("messages", "AutoGen result", [("user", "Plan a walk."), *WALK]),
    "bom.json": ("messages", "OpenAI chat messages", [("a", "x"), ("b", "y")]),
    "chat_list_of_chats.json": ("messages", "OpenAI chat messages", [("user", "Hi"), ("assistant", "Hello")]),
    "debate_dict.json": ("messages", "results of a debate", [("agent 0", "4"), ("agent 1", "5")]),
    "events.jsonl": ("messages", "messages, one a line", [("planner", "Split the work."), ("coder", "Done.")]),
    "langchain_lc.json": ("messages", "LangChain messages", [("human", "Plan a walk."), *WALK]),
    "langfuse.json": ("otlp", "Langfuse observations", [("planner", "Hello")]),
    "langgraph_state.json": ("messages", "LangGraph state", [("human", "Plan a walk."), *WALK]),
    "langgraph_values.json": ("messages", "LangGraph state", [("human", "Plan a walk."), *WALK]),
    "langsmith.json": ("otlp", "LangSmith runs", [("planner", "Hello")]),
    "mast_row.json": ("messages", "MAST row", [("A", "Plan a walk."), ("B", "Go north.")]),
    "metagpt_list.json": ("messages", "MetaGPT messages", [("user", "Plan a walk."), ("Alice", "Go north.")]),
    "nan.json": ("messages", "OpenAI chat messages", [("a", "x"), ("b", "y")]),
    "openai_chat.jsonl": ("messages", "OpenAI chat messages", [("user", "Name a colour."), ("assistant", "Blue.")]),
    "openai_developer.json": ("messages", "OpenAI chat messages", [("user", "Hi"), ("assistant", "Hello")]),
    "openai_toolcall_nocontent.json": (
        "messages", "OpenAI chat messages", [("user", "What is the time?"), ("assistant", "Noon.")]
    ),
    "openai_toolcall_null.json": (
        "messages", "OpenAI chat messages", [("user", "What is the time?"), ("assistant", "Noon.")]
    ),
    "otel.json": ("otlp", "OTLP-JSON", [("planner", None)]),  # type: ignore[list-item]
    "sender_key.json": ("messages", "messages", WALK),
    "sharegpt.json": ("messages", "ShareGPT conversation", [("human", "Hi"), ("gpt", "Hello")]),
    "text_key.json": ("messages", "messages", WALK),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_wrapping_is_found_out_and_read(name: str, tmp_path: Path) -> None:
    importer, form, expected = CASES[name]
    assert recognised(FORMATS / name).name == importer
    table, about = import_log("auto", FORMATS / name, tmp_path / "out")
    assert (about.importer, about.rules["format"]) == (importer, form)
    assert said(table) == expected
    assert any(form in note for note in about.notes)


def test_every_case_has_its_row() -> None:
    assert {file.name for file in FORMATS.iterdir()} - {"README.md", "inspect.json", "inspect_sample.json"} == set(
        CASES
    )


@pytest.mark.parametrize("name", ["langfuse.json", "langsmith.json", "otel.json", "inspect.json"])
def test_what_another_importer_reads_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(InputError, match=r"this is (a|an|OTLP).*\n    agentsoc import (otlp|inspect)"):
        read(FORMATS / name)


def test_tools_are_acts_and_their_results_stand_beside_their_calls() -> None:
    table, _ = read(FORMATS / "openai_toolcall_null.json")
    tool = table.events.row(by_predicate=pl.col("kind") == "tool_call", named=True)
    assert (tool["answer"], tool["text"], tool["claim"], tool["agent"]) == ("clock({})", "noon", None, 1)
    assert table.events["parents"].to_list()[-1] == [0]


def test_usage_in_the_file_is_read_under_each_name(tmp_path: Path) -> None:
    usages: list[dict[str, Any]] = [
        {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}},
        {"usage_metadata": {"input_tokens": 9, "output_tokens": 2, "input_token_details": {"cache_read": 4}}},
        {"models_usage": {"prompt_tokens": 9, "completion_tokens": 2}},
        {"response_metadata": {"token_usage": {"prompt_tokens": 9, "completion_tokens": 2}}},
        {"usage": {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 4}},
        {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2}},
    ]
    chat = [{"role": "assistant", "name": f"a{at}", "content": "x", **usage} for at, usage in enumerate(usages)]
    table, notes = read(written(tmp_path, [{"role": "user", "content": "q"}, *chat]))
    spent = table.events.filter(pl.col("calls") > 0).select("tokens_in", "tokens_cached", "tokens_out").rows()
    assert spent == [(9, 4, 2), (9, 4, 2), (9, 0, 2), (9, 0, 2), (9, 4, 2), (9, 0, 2)]
    assert "usage is told of 6 of 7 messages; of the others it is not known" in notes
    silent, notes = read(written(tmp_path, [{"role": "user", "content": "q"}]))
    assert silent.events["calls"].sum() == 0
    assert "no message says what it cost: tokens and calls are not known" in notes


def test_an_autogen_team_is_read_from_its_manager(tmp_path: Path) -> None:
    thread = [{"source": "user", "content": "Go", "type": "TextMessage"},
              {"source": "a", "content": "thinking", "type": "ThoughtEvent"},
              {"source": "a", "content": "Yes.", "type": "TextMessage"},
              {"source": "a", "target": "b", "content": "Over to you.", "type": "HandoffMessage"},
              {"source": "b", "type": "ToolCallExecutionEvent", "content": [{"content": "7", "call_id": "9"}]},
              {"source": "b", "content": "Done.", "type": "StopMessage"}]  # fmt: skip
    state = {"type": "TeamState", "agent_states": {
        "a/1": {"agent_state": {"llm_context": {"messages": [{"source": "a", "content": "x", "type": "UserMessage"}]}}},
        "RoundRobinGroupChatManager/1": {"type": "RoundRobinManagerState", "message_thread": thread},
    }}  # fmt: skip
    table, notes = read(written(tmp_path, state), "addressee")
    assert said(table) == [("user", "Go"), ("a", "Yes."), ("b", "Done.")]
    handed = table.events.row(by_predicate=pl.col("kind") == "delegate_subtask", named=True)
    assert table.executions["agents"].to_list()[0][handed["target"]] == "b"
    assert table.events["parents"].to_list()[-1] == [2]  # b goes on with the latest claim of whoever handed over
    assert "format: AutoGen team state" in notes
    assert "1 x thoughts, no act of an agent" in notes
    assert "1 x results of tools that nobody was seen to call, no act of an agent" in notes


def test_items_of_the_responses_api_and_replies_of_chat_completions(tmp_path: Path) -> None:
    response = {"object": "response", "input": "Hi", "usage": {"input_tokens": 3, "output_tokens": 1}, "output": [
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "name": "clock", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": "noon"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Noon."}]},
    ]}  # fmt: skip
    table, _ = read(written(tmp_path, response))
    assert said(table) == [("user", "Hi"), ("assistant", "Noon.")]
    assert table.events.filter(pl.col("kind") == "tool_call")["text"].to_list() == ["noon"]
    assert table.events["tokens_in"].sum() == 3
    choices = [{"message": {"role": "assistant", "content": text}} for text in ("Yes", "No")]
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    reply = {"messages": [{"role": "user", "content": "Hi"}], "choices": choices, "usage": usage}
    table, notes = read(written(tmp_path, reply))
    assert said(table) == [("user", "Hi"), ("assistant", "Yes")]
    assert "replies with several choices: the first was read, 1 were not" in notes


def test_more_wrappings(tmp_path: Path) -> None:
    hi, yes = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}
    both = [("user", "Hi"), ("assistant", "Yes")]
    for value in (
        {"chat_messages": {"helper": [hi, yes]}},
        {"trajectory": [hi, yes]},
        [{"values": {"messages": [hi]}}, {"values": {"messages": [hi, yes]}}],
        {"checkpoint": {"channel_values": {"messages": [hi, yes]}}},
        {"data": {"messages": [hi, yes]}},
        [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, yes],
        [{"type": "human", "data": {"content": "Hi"}}, {"type": "ai", "data": {"content": "Yes"}}],
    ):
        table, _ = read(written(tmp_path, value))
        assert [text for _, text in said(table)] == [text for _, text in both], value
    lines = "".join(json.dumps({**one, "session_id": s}) + "\n" for s in ("s1", "s2") for one in (hi, yes))
    table, _ = read(written(tmp_path, lines, "log.jsonl"))
    assert (table.n_executions, said(table)) == (2, both)
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert read(tmp_path / "log.jsonl.gz")[0].n_executions == 2


def test_an_answer_of_a_debate_builds_on_what_its_prompt_repeats(tmp_path: Path) -> None:
    first = [[{"role": "user", "content": "q"}, {"role": "assistant", "content": f"I say {a}"}] for a in "xyz"]
    shown = [["I say y", "I say z"], ["I say x"], []]
    contexts = [
        [*context, {"role": "user", "content": " / ".join(others)}, {"role": "assistant", "content": "more"}]
        for context, others in zip(first, shown, strict=True)
    ]
    table, notes = read(written(tmp_path, {"q": [contexts, "x"]}))
    assert table.events["parents"].to_list() == [[], [], [], [0, 1, 2], [0, 1], [2]]
    assert json.loads(table.executions["extra"][0])["truth"] == "x"
    assert any("those that its prompt repeats" in note for note in notes)
    assert not any("downstream of all before it" in note for note in notes)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("[A]: one\nmore\n[B]: two", [("A", "one\nmore"), ("B", "two")]),
        ("**Boss<->Coder on : Coding, turn 0**\nWrite.\n**Coder<->Boss on : Coding, turn 1**\nDone.",
         [("Boss", "Write."), ("Coder", "Done.")]),
        ("Planner: one\nCoder: two\nPlanner: three\nCoder: four",
         [("Planner", "one"), ("Coder", "two"), ("Planner", "three"), ("Coder", "four")]),
        (json.dumps([{"role": "a", "content": "one"}]), [("a", "one")]),
        ([{"role": "a", "content": "one"}], [("a", "one")]),
    ],
)  # fmt: skip
def test_trajectories_of_mast_are_taken_apart(tmp_path: Path, told: Any, expected: list[tuple[str, str]]) -> None:
    row = {"mas_name": "X", "trace_id": 3, "trace": {"trajectory": told}, "mast_annotation": {"1.1": 1}}
    table, _ = read(written(tmp_path, [row]))
    assert said(table) == expected
    assert json.loads(table.executions["extra"][0])["mast_annotation"] == {"1.1": 1}


def test_bad_parts_are_refused_with_their_place_or_passed_over_and_counted(tmp_path: Path) -> None:
    good = json.dumps({"messages": [{"role": "user", "content": "Hi"}]})
    path = written(tmp_path, f'{good}\n{{"messages": [{{"role": "user"\n{{"messages": [3]}}\n{good}\n', "log.jsonl")
    with pytest.raises(InputError, match=r"log\.jsonl:2: this is no JSON"):
        read(path)
    table, notes = read(path, skip=True)
    assert table.n_executions == 2
    assert sum(note.startswith("passed over 2 that cannot be read: ") for note in notes) == 1
    assert not any("passed over" in note for note in read(written(tmp_path, good))[1])


def test_a_transcript_may_be_annotated(tmp_path: Path) -> None:
    table, _ = read(written(tmp_path, {"history": [{"role": "a", "content": "x"}, {"role": "b", "content": "y"}],
                                       "mistake_step": "1", "mistake_agent": "b"}))  # fmt: skip
    assert table.events.filter(pl.col("kind") == "fault")["parents"].to_list() == [[1]]


REFUSED: dict[str, tuple[str, str]] = {
    "[]": ("an empty list", "put a list of messages"),
    "{}": ("an object without messages (its keys: none)", "put a list of messages"),
    '{"a": [1]}': ("its keys: a", "put a list of messages"),
    '[{"role": "system", "content": "x"}]': ("no message says anything (1 instructions)", ""),
    '[{"role": "user", "content": "x"}, 7]': ("message 1: this is a number, not an object", ""),
    '[{"role": "user", "content": "x"}, {"content": "y"}]': ("message 1: nobody is named", "give it one of"),
    '[{"role": "user", "content": "x"}, {"role": "user"}]': ("message 1: a message without content", "give it one of"),
    '[{"question": "q", "answer": "a"}]': ("a file of tasks", "tasks: {kind: jsonl}"),
    '{"data": [{"traceID": "x", "spans": []}]}': ("a Jaeger export", "OTLP-JSON"),
    '[{"traceId": "x", "localEndpoint": {}}]': ("a Zipkin export", "OTLP-JSON"),
    '[{"claim": 1, "parents": [], "agent": 0}]': ("rows of claims", "agentsoc import claims"),
    '[{"mas_name": "X", "trace": {"trajectory": "nobody said anything"}}]': ("turns cannot be told apart", "[Name]"),
    '{"messages": [{"role": "a", "content": "x"}], "mistake_step": 4}': ("mistake_step is 4", "0 to 0"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_conversation_is_refused_with_what_to_write(tmp_path: Path, text: str) -> None:
    what, hint = REFUSED[text]
    with pytest.raises(InputError) as caught:
        read(written(tmp_path, text))
    assert what in str(caught.value)
    assert hint in str(caught.value)


HOSTILE: dict[str, str] = {
    "deep content": '[{"role": "a", "content": ' + "[" * 900 + '"x"' + "]" * 900 + "}]",
    "deep wrapping": '{"data": ' * 400 + '{"messages": [{"role": "a", "content": "x"}]}' + "}" * 400,
    "deeper than the stack": "[" * 100_000,
    "millions of lists": "[" + "[]," * 5_000_001 + "[]]",
    "a long name": json.dumps([{"role": "r" * 100_000 + "(" * 100_000, "content": "x"}]),
    "many brackets": json.dumps([{"role": "(" * 50_000 + "->" * 50_000, "content": "x"}]),
    "huge number": '[{"role": "a", "content": "x", "usage": {"input_tokens": ' + "9" * 4_000 + "}}]",
    "lone surrogate": '[{"role": "\\ud800", "content": "\\udfff", "k\\ud800": "\\ud800"}]',
    "control characters": json.dumps([{"role": "a\x1b[2J", "content": "x\x00\x1b"}]),
}


REFUSED_ONES = {"millions of lists", "deep content", "deep wrapping", "deeper than the stack"}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_conversations_are_read_or_refused_fast(case: str, tmp_path: Path) -> None:
    path = written(tmp_path, HOSTILE[case])
    if case in REFUSED_ONES:
        with at_most(100), pytest.raises(InputError) as caught:
            import_log("messages", path, tmp_path / "out")
        assert str(caught.value).replace("\n", "").isprintable()
    else:
        with at_most(100):
            table, about = import_log("messages", path, tmp_path / "out")
        assert table.n_executions == 1
        assert all(note.isprintable() for note in about.notes)


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text('[{"role": "a", "content": "secret"}]')
    inside = tmp_path / "logs"
    inside.mkdir()
    (inside / "link.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(InputError, match="no file below it"):
        read(inside)
    written(inside, [{"role": "a", "content": "x"}], "own.json")
    assert said(read(inside)[0]) == [("a", "x")]


def test_auto_says_what_was_met_where_nobody_recognises_it(tmp_path: Path) -> None:
    path = written(tmp_path, {"weather": "fine"})
    with pytest.raises(InputError, match="no importer recognises an object with the keys weather") as caught:
        recognised(path)
    assert all(name in str(caught.value) for name in IMPORTERS.all())
    table = tmp_path / "t.csv"
    table.write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="a table with the columns x, y"):
        recognised(table)
    table.write_text("claim,parents,agent\n1,,0\n")
    assert recognised(table).name == "claims"
    assert recognised(Path(__file__).parents[1] / "data" / "mas_elites" / "raw_sample").name == "mas-elites"
    assert recognised(Path(__file__).parents[1] / "data" / "who_when").name == "messages"


def test_importers_without_parts_say_so(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("claim,parents,agent\n1,,0\n")
    with pytest.raises(InputError, match="read whole or not at all"):
        import_log("claims", table, tmp_path / "out", skip_bad=True)
    with pytest.raises(InputError, match="no parts that can be missing"):
        import_log("claims", table, tmp_path / "out", partial=True)
    assert import_log("claims", table, tmp_path / "out")[0].events.height == 1
