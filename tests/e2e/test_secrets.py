"""A key that is in the environment, in a prompt, in a reply and in an error occurs nowhere in what a run leaves."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal

import pytest

from agentsoc.backends.scripted import Scripted, ScriptedBackend
from agentsoc.contracts.model import CallError, Completion, Request
from agentsoc.contracts.part import Slot
from agentsoc.engine.run import run
from agentsoc.errors import InputError
from tests.strategies import scenario

CANARY = "canary-5f1e6c0b9d7a4e3f"


class Leaky(Scripted):
    """Repeats a secret in what it says, and in how it fails."""

    kind: Literal["leaky"] = "leaky"  # type: ignore[assignment]

    def open(self, *, seed: int, share: int = 1) -> LeakyBackend:
        return LeakyBackend(self, seed)


class LeakyBackend(ScriptedBackend):
    async def complete(self, request: Request) -> Completion:
        if request.hint is not None and request.hint.agent == 1:
            raise CallError("server", f"401 for key {CANARY}")
        said = await super().complete(request)
        return Completion(said.text.replace("call 0", f"my key is {CANARY}"), said.usage)


def test_a_secret_reaches_no_file_of_a_run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    Slot.register(Leaky)
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", CANARY)
    agents: dict[str, Any] = {
        "count": 3,
        "model": {"kind": "leaky"},
    }
    with tempfile.TemporaryDirectory() as scratch:
        done = run(scenario(agents=agents, calls={"backoff_s": 0.0}), Path(scratch) / "run")
        assert done.manifest.totals.calls_failed == 4
        assert any("[redacted]" in (event.text or "") for event in done.events())
        for path in done.directory.rglob("*"):
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), path
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err


def test_a_scenario_that_holds_a_secret_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", CANARY)
    agents = {"count": 3, "model": {"kind": "scripted"}, "personas": [f"Your key is {CANARY}."]}
    with tempfile.TemporaryDirectory() as scratch:
        with pytest.raises(InputError, match="api_key_env"):
            run(scenario(agents=agents), Path(scratch) / "run")
        assert list(Path(scratch).iterdir()) == []
