"""No verdict over failures: comparisons and analyses refuse runs of dead servers, or say what they leave out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.cli import main
from agentsoc.engine.run import run
from agentsoc.errors import BrokenDataError
from tests.contract.odd_server import OddServer
from tests.e2e.test_failures import _dead_port, scenario, server

__all__ = ["server"]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def agentsoc(capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main.main([*map(str, words)])
        return code, capsys.readouterr().out

    return call


def comparison(tmp_path: Path, server: OddServer, other: dict[str, Any], **more: Any) -> Path:
    """Write a comparison of a vote with another organisation of three agents."""
    model = {"kind": "litellm", "name": "openai/voter", "base_url": server.base_url, "window": 8192}
    whole = {
        "name": "broken",
        "base": {
            "tasks": {"kind": "jsonl", "file": "mine.jsonl", "count": 20},
            "agents": {"count": 3, "model": model, "max_tokens": 60},
            "budget": {"tokens_per_task": 20_000},
        },
        "organisations": {"vote": {"topology": "independent", "protocol": "vote"}, "other": other},
        "baseline": "vote",
        **more,
    }
    path = tmp_path / "comparison.yaml"
    path.write_text(json.dumps(whole))
    return path


DEBATE: dict[str, Any] = {"topology": "decentralized", "protocol": {"kind": "debate", "rounds": 2}}


def test_an_organisation_of_a_dead_server_is_not_compared(server: OddServer, tmp_path: Path, agentsoc: Command) -> None:
    path = comparison(tmp_path, server, {**DEBATE, "agents": {"model": {"base_url": _dead_port()}}})
    code, out = agentsoc("compare", path, "--out", tmp_path / "out")
    assert code == 1
    assert "not comparable: other: no run is finished: the first 5 calls of openai/voter failed alike" in " ".join(
        out.lower().split()
    )
    assert "minus vote" not in out  # no table of differences
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["blocks"] == []
    assert list(report["not_comparable"]) == ["other"]
    assert list(report["metrics"]) == ["vote"]


def test_a_dead_baseline_leaves_nothing_to_compare(server: OddServer, tmp_path: Path, agentsoc: Command) -> None:
    dead = {**DEBATE, "agents": {"model": {"base_url": _dead_port()}}}
    path = comparison(tmp_path, server, dead, baseline="other")
    code, out = agentsoc("compare", path, "--out", tmp_path / "out")
    assert code == 1
    assert "Not comparable: other" in out
    assert "there is no difference to tell" in " ".join(out.lower().split())


def test_failures_are_counted_apart_refused_and_accepted_with_bounds(
    server: OddServer, tmp_path: Path, agentsoc: Command
) -> None:
    flaky = {**DEBATE, "agents": {"model": {"name": "openai/flaky"}}, "calls": {"attempts": 1}}
    path = comparison(tmp_path, server, flaky)
    code, out = agentsoc("compare", path, "--out", tmp_path / "out")
    said = " ".join(out.split())
    assert code == 1
    assert "not comparable: other" in said.lower()
    assert "turns failed (server: HTTP 500: internal error)" in said
    assert "minus vote" not in out
    table = pl.read_parquet(tmp_path / "out" / "results.parquet")
    rows = table.filter(pl.col("organisation") == "other")
    assert rows["failed_infrastructure"].sum() == rows["calls_failed"].sum() > 0
    assert rows["failed_format"].sum() == rows["failed_model"].sum() == 0
    assert table.filter(pl.col("organisation") == "vote")["failed_infrastructure"].sum() == 0
    n_failed = int(rows["failed_infrastructure"].sum())
    assert f"other: failed turns: {n_failed} infrastructure" in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["failures"] == {"vote": {}, "other": {"infrastructure": n_failed}}

    code, out = agentsoc("compare", tmp_path / "out", "--accept-failures")
    said = " ".join(out.split())
    assert code == 0
    assert "minus vote" in out
    broken = rows.filter(pl.col("failed_infrastructure") > 0).height
    low = float(rows.filter(pl.col("failed_infrastructure") == 0)["score"].sum()) / rows.height
    assert f"other: {broken} of 20 episodes hold turns that failed by the infrastructure and are left out" in said
    assert f"its score is {low:.3f} and {low + broken / 20:.3f}" in said
    assert "its difference to vote between" in said

    server.well = True
    code, out = agentsoc("compare", tmp_path / "out", "--retry-failed")
    assert code == 0
    assert "not comparable" not in out.lower()
    table = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert table["failed_infrastructure"].sum() == 0
    code, _ = agentsoc("check", tmp_path / "out")
    assert code == 0


@pytest.mark.parametrize("verb", ["laws", "metrics", "phase"])
def test_other_analyses_refuse_runs_of_failures(
    server: OddServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    flaky = scenario(
        server, "flaky", topology="decentralized", protocol={"kind": "debate", "rounds": 2}, calls={"attempts": 1}
    )
    run(flaky, tmp_path / "run")
    more = ["--fast"] if verb == "laws" else []
    assert main.main([verb, str(tmp_path / "run"), *more]) == 1
    said = capsys.readouterr().err
    assert "no verdict over failures of the infrastructure" in said
    assert "turns failed (server: HTTP 500: internal error)" in " ".join(said.split())
    assert "--accept-failures" in said
    assert "accepted although its infrastructure failed" not in said
    code = main.main([verb, str(tmp_path / "run"), *more, "--accept-failures"])
    said = capsys.readouterr().err
    assert "no verdict over failures" not in said
    assert "accepted although its infrastructure failed" in said
    assert code == 0


def test_a_calibration_stops_at_the_first_run_of_failures(
    server: OddServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    asked = scenario(server, "flaky", calls={"attempts": 1}).model_dump(mode="json", exclude_none=True)
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump(
            {name: asked[name] for name in ("name", "tasks", "agents", "calls")}
            | {"topology": "single", "protocol": "vote"}
        )
    )
    code = main.main(
        [
            "calibrate",
            "s.yaml",
            "--budget",
            "400000",
            "--fan-in",
            "3",
            "--out",
            "cal",
            "--levels",
            "1,2,4,16",
            "--dial",
            "iterations",
        ]
    )
    assert code == 1
    assert len(list((tmp_path / "cal" / "runs").iterdir())) == 1


def test_failures_of_the_model_are_no_broken_data(server: OddServer, tmp_path: Path, agentsoc: Command) -> None:
    done = run(scenario(server, "refusal", calls={"fail_fast": False, "attempts": 1}), tmp_path / "run")
    assert done.summary()["failures"]["model"]["count"] == 24
    assert "the model declined" in done.summary()["failures"]["model"]["text"]
    assert done.manifest.totals.failures == {"model": 24}
    assert "24 model" in agentsoc("ls", tmp_path)[1]
    assert "(failed turns: 24 model)" in agentsoc("show", tmp_path / "run")[1]
    assert agentsoc("laws", "--fast", tmp_path / "run")[0] != 1


def test_the_error_travels_between_processes() -> None:
    import pickle

    error = BrokenDataError(("a: 1 of 2 turns failed",), 3)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert "and 2 more" in str(error)
