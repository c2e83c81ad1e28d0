"""Sentences of imports and exports: each stands where it is so, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import analysis
from agentsoc.cli import main
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.log.read import RunLog
from agentsoc.scenario.load import parse_scenario
from analysis.exporters.redacted import write_redacted
from analysis.importers.importer import import_log
from analysis.interval import Interval
from analysis.measures.categories import SHOWN, Categories, CategoryScore
from analysis.measures.text import as_text
from tests.sides import told_apart
from tests.unit.test_importers_spans import agent, otlp, span

HI: dict[str, Any] = {"role": "user", "content": "Hi"}
SCENARIO = """
name: few
tasks: {kind: comparison, count: 2}
agents: {count: 2, model: scripted}
topology: independent
protocol: vote
"""


@pytest.fixture
def notes(tmp_path: Path) -> Any:
    number = iter(range(1_000))

    def told(value: Any, importer: str = "auto", name: str = "log.json", **options: Any) -> str:
        """The notes of an import, as one text."""
        directory = tmp_path / str(next(number))
        directory.mkdir()
        (directory / name).write_text(value if isinstance(value, str) else json.dumps(value))
        return "\n".join(import_log(importer, directory / name, directory / "out", **options)[1].notes)

    return told


def inner(kind: str) -> list[dict[str, Any]]:
    return [HI, {"source": "a", "type": kind, "content": "x"}]


def test_what_is_passed_over_is_told_by_its_name(notes: Any) -> None:
    told_apart({
        "chunks of a stream": notes(inner("ModelClientStreamingChunkEvent")),
        "x thoughts, no act of an agent": notes(inner("ThoughtEvent")),
        "queries of a memory": notes(inner("MemoryQueryEvent")),
        "requests for input": notes(inner("UserInputRequestedEvent")),
        "choices of the next speaker": notes(inner("SelectSpeakerEvent")),
        "code before it is run": notes(inner("CodeGenerationEvent")),
        "references to other items": notes([HI, {"type": "item_reference", "role": "a", "content": "x"}]),
        "messages that say nothing": notes([HI, {"role": "a", "content": ""}]),
        "results of tools that nobody was seen to call": notes([HI, {"role": "tool", "content": "x"}]),
        "instructions, no act of an agent": notes([{"role": "system", "content": "x"}, HI]),
    }, notes([HI]))  # fmt: skip
    assert ", no act of an agent" not in notes([HI])


def test_what_is_assumed_of_a_conversation_is_told(notes: Any) -> None:
    state = {"values": {"messages": [HI]}}
    asked = {"messages": [HI], "choices": [{"message": {"role": "assistant", "content": text}} for text in "ab"]}
    bad = json.dumps({"messages": [HI]}) + "\n{\n"
    told_apart({
        "usage told of whole conversations: counted at their last message": notes(
            {"messages": [HI], "usage": {"input_tokens": 1, "output_tokens": 1}}
        ),
        "snapshots of one state: the longest was read": notes([state, {"values": {"messages": [HI, HI]}}]),
        "replies with several choices: the first was read, 1 were not": notes(asked),
        "an answer of a debate builds on the agent's own before it, and on those that its prompt repeats": notes(
            {"q": [[[HI, {"role": "assistant", "content": "4"}]], "4"]}
        ),
        "1 annotated mistakes in 1 transcripts": notes({"history": [HI], "mistake_step": 0}),
        "passed over 1 that cannot be read: ": notes(bad, name="log.jsonl", skip_bad=True),
    }, notes([HI]), notes(state))  # fmt: skip


def test_what_is_assumed_of_a_trace_is_told(notes: Any) -> None:
    whole = otlp(agent("a", "1", (1, 2), "x"))
    chat = {"gen_ai__operation__name": "chat", "gen_ai__completion": "x"}
    told_apart({
        "traces without invocations of agents: calls of models are the claims": notes(
            otlp(span("c", "1", (1, 2), **chat))
        ),
        "traces without calls of models: their innermost spans are the claims": notes(
            otlp(span("c", "1", (1, 2), openinference__span__kind="CHAIN", output__value="x"))
        ),
        "parents by the rule found (previous 1): a claim that was in view need not have been used": notes(
            otlp(agent("a", "1", (1, 2), "x"), agent("b", "2", (3, 4), "y"))
        ),
        "parents by the rule found (none found): ": notes(
            otlp(agent("a", "1", (1, 5), "x"), agent("b", "2", (1, 5), "y"))
        ),
        "1 of 1 claims have no text: the trace does not hold what was said": notes(
            otlp(span("invoke_agent a", "1", (1, 2), gen_ai__operation__name="invoke_agent"))
        ),
    }, notes(whole))  # fmt: skip
    assert "format: OTLP-JSON; 1 trace, one execution each" in notes(whole)
    assert "claims have no text: the trace does not hold what was said" not in notes(whole)
    assert "a claim that was in view need not have been used" not in notes(whole)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    run(parse_scenario(SCENARIO), tmp_path / "run")
    return tmp_path / "run"


def test_a_redacted_log_says_so_and_others_do_not(made: Path, notes: Any, tmp_path: Path) -> None:
    _, about = write_redacted(RunLog(made), tmp_path / "red")
    told = "\n".join(about.notes)
    told_apart({
        "redacted: prompts, questions, claims, replies, names and addresses are not in this log": told,
        "answers are numbered in each task; equal ones have equal numbers": told,
        "the digest of the run it was made of is ": told,
    }, notes([HI]))  # fmt: skip
    assert "the digest of the run it was made of is not set" not in about.notes
    assert about.rules == {"redacted": "texts, answers and names left out", "parents": "as the run has them"}


def test_metrics_say_where_a_log_has_no_answers(made: Path, tmp_path: Path) -> None:
    write_redacted(RunLog(made), tmp_path / "red")
    (tmp_path / "chat.json").write_text(json.dumps([HI]))
    import_log("messages", tmp_path / "chat.json", tmp_path / "chat")
    told_apart(
        {
            "the claims of this log are texts, without answers that could be voted on": as_text(
                analysis.metrics(tmp_path / "chat")
            )
        },
        as_text(analysis.metrics(tmp_path / "red")),
        as_text(analysis.metrics(made)),
    )


def test_only_so_many_categories_are_printed() -> None:
    def text(n: int) -> str:
        scores = tuple(CategoryScore(f"c{at}", 1, Interval(1.0, 0.5, 1.0)) for at in range(n))
        return "\n".join(Categories("subject", scores).summary())

    told_apart({"  and 2 more categories": text(SHOWN + 2)}, text(SHOWN))


def test_commands_say_what_they_wrote_where_they_wrote_it(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chat.json").write_text(json.dumps([HI]))
    words = ["import", "auto", str(tmp_path / "chat.json"), "--out"]
    assert main.main([*words, str(tmp_path / "a")]) == 0
    plain = capsys.readouterr().out
    assert main.main([*words, str(tmp_path / "b"), "--json"]) == 0
    told_apart({", read by messages\nwritten to ": plain}, capsys.readouterr().out)
    words = ["export", str(made), "--to", "otlp", "--out"]
    assert main.main([*words, str(tmp_path / "c.json")]) == 0
    plain = capsys.readouterr().out
    assert main.main([*words, str(tmp_path / "d.json"), "--json"]) == 0
    told_apart({"\nwritten to ": plain}, capsys.readouterr().out)


def test_samples_of_inspect_say_how_their_parents_were_found(made: Path, notes: Any, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai", reason="the extra inspect is not installed")
    from analysis.exporters.inspect_log import write_inspect

    write_inspect(RunLog(made), tmp_path / "log.json")
    several = (tmp_path / "log.json").read_text()
    one = (Path(__file__).parents[1] / "data" / "formats" / "inspect_sample.json").read_text()
    told_apart({
        "samples of several agents, parents by links, text or what was last": notes(several),
        "samples of one agent or none, parents of messages by the rule": notes(one),
        "format: Inspect log; 2 samples, one execution each": notes(several),
    })  # fmt: skip
    with pytest.raises(InputError, match="the log is that of an evaluation that ended with error"):
        notes(one.replace('"success"', '"error"'))
    assert "2 x samples" not in notes(one)
