"""What a person sees of runs: a table that fits, failed calls with their cause, sweeps with their means, one `Run`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentsoc import RunLog, run
from agentsoc.cli.main import main
from agentsoc.cli.summary import failure_text
from agentsoc.log.manifest import Totals

SWEEP = """
name: grid
seed: 1
tasks: {kind: comparison, count: 4}
agents: {count: 3, model: {kind: scripted, accuracy: 0.7}}
topology: star
protocol: {kind: aggregate, by: majority}
sweep: {topology: [star, independent], protocol: [vote], agents.count: [3, 5], seeds: 3}
"""
DEAD = """
name: dead
tasks: {kind: comparison, count: 3}
agents: {count: 3, model: {kind: litellm, name: openai/x, base_url: "http://127.0.0.1:9/v1"}}
topology: independent
protocol: vote
calls: {attempts: 1, backoff_s: 0, fail_fast: false, deadline_s: 0}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    (base / "grid.yaml").write_text(SWEEP)
    (base / "dead.yaml").write_text(DEAD)
    assert main(["run", str(base / "grid.yaml"), "--out", str(base / "grid"), "-q", "--json"]) == 0
    run(base / "dead.yaml", base / "dead")
    return base


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main([str(word) for word in words]) in (0, 1)
    return capsys.readouterr().out


def test_a_sweep_has_columns_of_what_it_varies_and_means_over_seeds(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, Any] = json.loads(told(capsys, "ls", runs / "grid", "--json"))
    assert {json.dumps(row["varied"], sort_keys=True) for row in found["runs"]} == {
        json.dumps({"topology": kind, "count": n}, sort_keys=True) for kind in ("star", "independent") for n in (3, 5)
    }
    assert [(mean["seeds"], mean["sd"] is None) for mean in found["means"]] == [(3, False)] * 4
    for mean in found["means"]:
        scores = [row["score"] for row in found["runs"] if row["varied"] == mean["settings"]]
        assert mean["score"] == pytest.approx(sum(scores) / 3)
    text = told(capsys, "ls", runs / "grid", "--sort", "-count")
    head, *lines = text.splitlines()
    assert {"count", "topology"} <= set(head.split())
    assert [line.split()[3] for line in lines[:12]] == ["5"] * 6 + ["3"] * 6
    assert "means over seeds; sd is the standard deviation of the score of one seed" in lines


@pytest.mark.parametrize("columns", [100, 80, 60])
def test_no_line_is_wider_than_the_output_and_nothing_piped_is_coloured(
    columns: int, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = told(capsys, "ls", runs)
    assert all(len(line) <= columns for line in text.splitlines())
    assert "\x1b" not in text
    assert "not shown for want of width: " in text
    if columns >= 80:
        head, first = text.splitlines()[:2]
        assert {"failed", "score", "ci95"} <= set(head.split())
        assert re.search(r" 0\.\d{3} +0\.\d{3}-[01]\.\d{3} ", first)


def test_lines_of_a_sweep_give_each_score_with_its_interval_and_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid.yaml").write_text(SWEEP)
    text = told(capsys, "run", tmp_path / "grid.yaml", "--out", tmp_path / "grid", "-q")
    lines = [line for line in text.splitlines() if line.startswith("grid--")]
    assert len(lines) == 12
    for line in lines:
        found = re.search(r"  score (\S+) \[(\S+), (\S+)\] of 4 tasks  ", line)
        assert found is not None
        score, low, high = map(float, found.groups())
        assert 0 <= low <= score <= high <= 1


def on_a_terminal(words: list[str], **environment: str) -> str:
    """Return what a command prints on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    env |= {"TERM": "xterm", **environment}
    with subprocess.Popen(
        [sys.executable, "-m", "agentsoc", *words], stdout=theirs, stderr=subprocess.DEVNULL, env=env
    ) as child:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
        child.wait(60)
    os.close(ours)
    return b"".join(parts).decode()


def test_colours_are_for_terminals_and_not_where_they_are_unwanted(runs: Path) -> None:
    text = on_a_terminal(["ls", str(runs)])
    assert "\x1b[32mfinished\x1b[0m" in text
    assert "\x1b[31m9 infrastructure\x1b[0m" in text
    assert "\x1b" not in on_a_terminal(["ls", str(runs)], NO_COLOR="1")


def test_a_summary_on_a_terminal_is_folded_below_its_beginning(runs: Path) -> None:
    lines = on_a_terminal(["show", str(runs / "dead")], NO_COLOR="1").split("\r\n")
    facts = [line for line in lines if "agentsoc" not in line]
    assert all(len(line) <= 80 for line in facts)
    at = next(at for at, line in enumerate(lines) if line.startswith("failed "))
    assert lines[at + 1].startswith(" " * 10)


def test_the_summary_of_a_run_with_failed_calls_names_the_commonest_cause(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, "show", runs / "dead")
    (line,) = [line for line in text.splitlines() if line.startswith("failed")]
    assert line.startswith("failed    9 of 9 failed calls: connection: ")
    assert "failed  " not in told(capsys, "show", next((runs / "grid").iterdir()))
    assert failure_text(runs / "nowhere", Totals(calls_failed=2)) is None


def test_a_run_shows_what_it_amounts_to(runs: Path) -> None:
    log = RunLog(runs / "dead")
    assert repr(log).startswith(
        f"<RunLog {runs / 'dead'}: dead, seed 0, finished, score 0.000 (95 % between 0.000 and "
    )
    assert repr(log).endswith(", 0 tokens, 9 calls (9 failed)>")
    assert "\n" not in repr(log)
    lines = str(log).splitlines()
    assert [line.split()[0] for line in lines] == ["run", "score", "tokens", "calls", "events", "digest"]
    assert lines[-1].split()[1] == log.manifest.digest


def test_one_model_for_all_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    groups = "agents: [{count: 2, model: fast}, {count: 1, model: scripted}]"
    models = "models: {fast: {kind: scripted, accuracy: 0.9}}"
    head = "tasks: {kind: comparison, count: 2}"
    Path("one.yaml").write_text(f"name: one\n{models}\n{head}\n{groups}\ntopology: independent\nprotocol: vote\n")
    assert main(["run", "one.yaml", "--model", "fast", "--out", "run", "-q"]) == 0
    assert [group["model"]["accuracy"] for group in RunLog("run").manifest.scenario["agents"]] == [0.9, 0.9]
    Path("two.yaml").write_text(
        f"name: two\n{models}\nbase:\n  {head}\n"
        "  agents: {count: 3, model: scripted}\n  budget: {tokens_per_task: 9000}\n"
        "organisations:\n  a: {topology: independent, protocol: vote}\n"
        "  b: {topology: star, protocol: aggregate, agents: {model: simulated}}\n"
    )
    capsys.readouterr()
    assert main(["compare", "two.yaml", "--model", "fast", "--out", "cmp", "-q", "--yes"]) == 0
    for directory in Path("cmp/runs").iterdir():
        assert RunLog(directory).manifest.scenario["agents"][0]["model"]["accuracy"] == 0.9
    assert main(["compare", "cmp", "--model", "fast"]) == 2
    assert "--model and --seeds go with a comparison file" in capsys.readouterr().err
