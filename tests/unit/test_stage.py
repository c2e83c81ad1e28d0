"""A stage ends each turn with its reply at once, plays scripted turns itself, and keeps those open that call tools."""

from __future__ import annotations

from typing import Any

import pytest

from agentsoc.contracts.turns import Reply, StepTaken, ToolCall, Turn
from agentsoc.engine import prompts
from agentsoc.engine.stage import StageUnderWay
from agentsoc.society.build import BuiltSociety, build_society
from tests.societies import built, result

BLOCKS: dict[str, Any] = {
    "tasks": {"kind": "sentiment", "count": 1},
    "agents": {"count": 12, "model": "scripted"},
    "topology": "independent",
    "protocol": "vote",
}
SAID: list[Reply | None] = [Reply(answer="a"), None, Reply(answer="c")]


def society(**agents: Any) -> BuiltSociety:
    return build_society(built(**{**BLOCKS, "agents": {"count": 3, "model": "scripted", **agents}}))


def test_a_stage_without_tools_has_one_step_in_which_all_are_due() -> None:
    turns = [Turn(agent) for agent in range(3)]
    stage = StageUnderWay(society(), turns)
    assert stage.due() == (turns, [])
    assert stage.take(SAID, 0.5) == []
    assert (stage.replies, stage.virtual_s, stage.steps) == (SAID, 0.5, [])
    assert list(stage.ended()) == turns
    assert stage.refused(False)
    assert not stage.refused(True)  # with shares, one that is spent leaves the others theirs


def test_turns_of_scripted_policies_are_played_and_count_as_no_refusal() -> None:
    turns = [Turn(0, "act", played="up"), Turn(1, "act"), Turn(2, "talk", played="hello")]
    stage = StageUnderWay(society(), turns)
    assert stage.due() == ([turns[1]], [])
    assert stage.take([None], 0.0) == []
    assert stage.replies == [Reply(answer="up"), None, Reply(text="hello")]
    assert stage.refused(True)  # the only one who was asked was refused
    played = StageUnderWay(society(), [turns[0]])
    assert played.due() == ([], [])
    assert played.take((), 0.0) == []
    assert not played.refused(True)


def test_a_turn_that_calls_goes_on_with_what_it_got_and_the_others_wait() -> None:
    asked = [Turn(agent, tools=True) for agent in range(3)]
    call = Reply(tool_calls=(ToolCall("calculator", "{}"),), said="call")
    stage = StageUnderWay(society(tools=["calculator"]), asked)
    assert stage.take([Reply(answer="a"), call, Reply(answer="c")], 0.0) == [(1, call)]
    stage.go_on(1, "call", ["4"])
    [due], steps = stage.due()
    assert (due.agent, due.step, steps) == (1, 1, [(StepTaken("call", ("4",)),)])
    assert stage.take([Reply(answer="b")], 0.0) == []
    assert [reply.answer for reply in stage.replies if reply] == ["a", "b", "c"]
    assert [turn.step for turn in stage.ended()] == [0, 0, 0]
    assert stage.steps == [(), (StepTaken("call", ("4",)),), ()]
    assert not stage.refused(False)


def test_prompts_that_were_counted_are_written_once_but_for_those_beyond_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A round of more turns than prompts are kept writes the oldest twice, and gives the same log."""
    write = prompts.Prompts._render
    written: list[int] = []

    def counted(self: prompts.Prompts, wanted: Any) -> prompts.RenderedPrompt:
        written.append(wanted.planned.turn.agent)
        return write(self, wanted)

    monkeypatch.setattr(prompts.Prompts, "_render", counted)
    whole = result(**BLOCKS).digest
    assert sorted(written) == list(range(12))
    written.clear()
    monkeypatch.setattr(prompts, "RENDERED_MAX", 8)
    assert result(**BLOCKS).digest == whole
    assert sorted(written) == sorted([*range(12), *range(4)])
