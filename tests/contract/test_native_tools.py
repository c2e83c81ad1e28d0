"""Tools told to a server in its own way: what is sent, what it calls, and what the log makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentsoc.backends.body import ServerHabits
from agentsoc.backends.native_tools import with_calls
from agentsoc.engine.replay import replay
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from tests.contract.odd_server import OddServer
from tests.societies import built


@pytest.fixture
def server() -> Iterator[OddServer]:
    ServerHabits.forget()
    with OddServer() as found:
        yield found
    ServerHabits.forget()


def blocks(model: Any, reply: str) -> dict[str, Any]:
    return {
        "tasks": {"kind": "arithmetic", "count": 1},
        "agents": {"count": 1, "model": model, "reply": reply, "tools": ["calculator"], "max_tokens": 256},
        "topology": "single",
        "protocol": "vote",
    }


def test_a_servers_calls_are_calls_of_tools(server: OddServer, tmp_path: Path) -> None:
    model = {"kind": "litellm", "name": "openai/caller", "base_url": server.base_url}
    done = run(built(**blocks(model, "native")), tmp_path / "run")
    first, second = server.calls
    [tool] = first["tools"]
    assert tool["function"]["name"] == "calculator"
    assert tool["function"]["parameters"]["required"] == ["expression"]
    assert "response_format" not in first
    assert "You may call tools" not in first["messages"][1]["content"]
    assert second["messages"][-1]["content"].startswith("42")
    kinds = [(event.kind, event.text) for event in done.events() if event.agent == 0]
    assert kinds[0] == ("tool_call", "42")
    assert [event.answer for event in done.events() if event.kind == "answer"] == ["42"]
    assert replay(tmp_path / "run").digest == done.manifest.digest
    assert all(call.same for call in done.transcript(0))


def test_the_same_is_asked_of_every_server_in_words_and_by_a_schema(server: OddServer, tmp_path: Path) -> None:
    model = {"kind": "litellm", "name": "openai/plain", "base_url": server.base_url}
    run(built(**blocks(model, "json"), calls={"repair": False, "fail_fast": False}), tmp_path / "run")
    asked = server.calls[0]
    assert "tools" not in asked
    assert "oneOf" in str(asked["response_format"])
    assert "You may call tools" in asked["messages"][1]["content"]


def test_a_model_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be told of tools in a way of its own"):
        run(built(**blocks({"kind": "scripted"}, "native")), tmp_path / "run")


@pytest.mark.parametrize(
    "found", [None, [], "x", [None], [{"function": "x"}], [{"function": {"name": 3}}], [{"id": "1"}]]
)
def test_what_is_no_call_leaves_a_message_as_it_is(found: Any) -> None:
    message = {"content": "hello", "tool_calls": found}
    assert with_calls(message) == message
