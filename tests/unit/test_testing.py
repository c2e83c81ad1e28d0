"""The helpers for users' tests, and the public names."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import agentsoc
from agentsoc.testing import replay, scripted_llm
from tests.strategies import scenario


def test_a_scripted_llm_says_what_it_is_told_and_else_the_truth() -> None:
    model = scripted_llm({"coin 0": '{"answer": "tails", "why": "told so"}'})
    built = scenario(agents={"count": 3, "model": model, "reply": "json"}, tasks={"kind": "coin", "count": 2})
    with tempfile.TemporaryDirectory() as scratch:
        done = agentsoc.run(built, Path(scratch) / "run")
        said = {(event.task, event.answer, event.text) for event in done.events() if event.kind == "propose_claim"}
        assert {row for row in said if row[0] == 0} == {(0, "tails", "told so")}
        assert all(event.correct == 1.0 for event in done.events() if event.task == 1 and event.kind == "answer")
        assert replay(done.directory).n_events == done.manifest.totals.events


def test_a_log_that_the_code_no_longer_gives_fails_with_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        done = agentsoc.run(scenario(), Path(scratch) / "run")
        family = type(scenario().tasks)
        monkeypatch.setattr(family, "score", lambda self, task, answer: 0.25)
        with pytest.raises(AssertionError, match="task 0, round 0, agent 0"):
            replay(done.directory)


def test_every_public_name_can_be_imported_and_importing_the_package_imports_nothing_heavy() -> None:
    assert all(getattr(agentsoc, name) is not None for name in agentsoc.__all__)
    heavy = ["ray", "litellm", "polars", "pyarrow", "numpy", "pydantic", "networkx"]
    program = f"import sys, agentsoc; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
