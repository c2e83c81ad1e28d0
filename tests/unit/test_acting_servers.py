"""What a server of the Model Context Protocol may do to a run; `benchmarks/study_acting_mcp.py` at its smallest."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from agentsoc.engine.recompute import recompute
from agentsoc.engine.run import run
from agentsoc.errors import BackendSetupError, ReplayMismatchError
from benchmarks.study_acting_mcp import at_once, children, in_mode, not_allowed, scenario, with_server

pytestmark = [pytest.mark.skipif(find_spec("mcp") is None, reason="needs the extra mcp"), pytest.mark.timeout(120)]


def test_two_hundred_calls_at_once_come_back_to_their_callers(tmp_path: Path) -> None:
    assert asyncio.run(at_once(tmp_path, 200))[1] == 200


@pytest.mark.parametrize("mode", ["dies", "floods", "asks a person"])
def test_whatever_a_server_does_ends_the_call_and_not_the_run(
    tmp_path: Path, mode: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert with_server(tmp_path, mode)[1] == []
    assert "Traceback" not in capfd.readouterr().err


def test_a_server_that_does_not_start_is_named_and_ended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BackendSetupError, match="did not answer within 1 s"):
        run(scenario(in_mode(tmp_path, "starts never"), start_s=1), tmp_path / "run", consent=True)
    assert children() == []
    assert "never retrieved" not in capfd.readouterr().err


def test_tools_that_changed_since_are_named_though_the_run_keeps_no_files_of_its_scenario(tmp_path: Path) -> None:
    run(scenario(in_mode(tmp_path, "well")), tmp_path / "run", consent=True)
    assert recompute(tmp_path / "run", consent=True) == 0  # all of them read
    in_mode(tmp_path, "has another tool")
    with pytest.raises(ReplayMismatchError, match="half: it is new") as caught:
        recompute(tmp_path / "run", consent=True)
    assert caught.value.exit_code == 5


def test_nothing_is_started_that_nobody_has_allowed(tmp_path: Path) -> None:
    assert not_allowed(tmp_path) == []
