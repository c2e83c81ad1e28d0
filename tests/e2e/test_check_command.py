"""`agentsoc check`: what it prints of a scenario, a run and a comparison, word for word where it decides."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import agentsoc.cli.check as check_module
from agentsoc import load_scenario
from agentsoc.backends.known_models import MODELS
from agentsoc.cli.main import main
from agentsoc.engine.bounds import TOO_LARGE
from agentsoc.engine.consent import cost_text
from agentsoc.log.comparison import CellRecord, ComparisonRecord
from agentsoc.log.names import EPISODES
from agentsoc.log.read import RunLog
from agentsoc.protocols.debate import Debate
from tests.forged import SCENARIO, Forged

ROOT = Path(__file__).parents[2]
PLAIN: dict[str, Any] = {
    "name": "plain",
    "seed": 3,
    "tasks": {"kind": "arithmetic", "count": 2},
    "agents": {"count": 3, "model": {"kind": "scripted"}},
    "topology": "star",
    "protocol": "vote",
}


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def row(self, name: str) -> str:
        """Return what is printed in a row of what a scenario would run."""
        [text] = [line[10:] for line in self.out.splitlines() if line.startswith(f"{name:<10}")]
        return text


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def called(*words: object) -> Said:
        capsys.readouterr()
        code = main(["check", *map(str, words)])
        found = capsys.readouterr()
        return Said(code, found.out, found.err)

    return called


def file(directory: Path, **changes: Any) -> Path:
    path = directory / "scenario.yaml"
    path.write_text(yaml.safe_dump({**PLAIN, **changes}, sort_keys=False), encoding="utf-8")
    return path


# Runs


def test_of_a_sound_run_it_is_said_what_was_compared(check: Callable[..., Said], tmp_path: Path) -> None:
    log = Forged(tmp_path / "run", lost=1).write()
    digest = log.manifest.digest
    said = check(tmp_path / "run")
    assert said == (0, f"sound: 12 events in 2 segments, 2 journaled attempts, finished, digest {digest}\n", "")
    assert check(tmp_path / "run", "--json").json == {
        "run_dir": str(tmp_path / "run"),
        "sound": True,
        "status": "finished",
        "n_events": 12,
        "n_segments": 2,
        "n_attempts": 2,
        "n_tool_calls": 0,
        "n_environment_steps": 0,
        "digest": digest,
        "format": 2,
        "not_checked": [],
    }


def test_what_could_not_be_checked_is_said_in_a_line_each(check: Callable[..., Said], tmp_path: Path) -> None:
    still_open = {"digest": None, "journal_file": None, "journal_rows": None, "journal_digest": None}
    Forged(tmp_path / "run", rows=None, status="failed", manifest=still_open).write()
    said = check(tmp_path / "run")
    assert said.code == 0
    first, *rest = said.out.splitlines()
    assert first.endswith("failed, digest not set yet")
    assert len(rest) == 2
    assert all(line.startswith("  but ") for line in rest)
    assert check(tmp_path / "run", "--json").json["not_checked"] == [line.removeprefix("  but ") for line in rest]


def test_a_damaged_run_is_exit_code_4_and_the_file(check: Callable[..., Said], tmp_path: Path) -> None:
    Forged(tmp_path / "run").write()
    (tmp_path / "run" / EPISODES).write_bytes(b"")
    for more in ((), ("--json",)):
        said = check(tmp_path / "run", *more)
        assert said.code == 4
        assert EPISODES in said.err
        assert "sound:" not in said.out


def test_code_is_compared_and_not_run(check: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("raise SystemExit(99)\n")
    Forged(tmp_path / "run", manifest={"code": {"code.py": "0" * 64}}).write()
    said = check(tmp_path / "run", "--allow-code", tmp_path / "code.py")
    assert said.code == 2
    assert "another version of code.py" in said.err
    assert check(tmp_path / "run").code == 0


# Comparisons


def compared(directory: Path, **changes: Any) -> list[RunLog]:
    """Make the directory of a comparison of three runs, the last of which has not been made.

    It has loose code, so `check` takes the list of runs as it is; see tests/e2e/test_compare.py for the others.
    """
    logs = [
        Forged(directory / "runs" / name, scenario={**SCENARIO, "seed": 4 + at}).write() for at, name in enumerate("ab")
    ]
    cells = []
    for at, name in enumerate("abc"):
        log = logs[at] if at < 2 else None
        cell = {"id": name, "organisation": "o", "n_agents": 1, "tasks": "t", "seed": at, "run": f"runs/{name}"}
        cell |= {"scenario_hash": log.manifest.scenario_hash if log else "", "digest": log and log.manifest.digest}
        cells.append(CellRecord(**{**cell, "status": "finished" if log else "waiting", **changes.pop(name, {})}))
    record: dict[str, Any] = {
        "name": "x",
        "asked": {},
        "text_hash": "",
        "hash": "0123456789abcdef" * 4,
        "organisations": ["o"],
    }
    record |= {"code": {"code.py": "0" * 64}}
    ComparisonRecord(**{**record, "baseline": "o", "matched": True, "cells": cells, **changes}).save(directory)
    return logs


def test_of_a_comparison_every_finished_run_is_checked(check: Callable[..., Said], tmp_path: Path) -> None:
    compared(tmp_path / "out", status="interrupted")
    first, *notes = check(tmp_path / "out").out.splitlines()
    assert first == "sound: 2 finished runs of 3, interrupted, comparison 0123456789abcdef"
    assert notes == [
        "  but its runs were not derived again from what was asked: that would run its loose code",
        "  but runs/c is waiting: there is no run to check",
    ]
    assert check(tmp_path / "out", "--json").json == {
        "comparison": str(tmp_path / "out"),
        "sound": True,
        "status": "interrupted",
        "hash": "0123456789abcdef" * 4,
        "n_runs": 3,
        "n_finished": 2,
        "not_checked": [note.removeprefix("  but ") for note in notes],
    }
    (tmp_path / "out" / "runs" / "b" / EPISODES).unlink()
    said = check(tmp_path / "out")
    assert (said.code, EPISODES in said.err, "runs/b" in said.err) == (4, True, True)


@pytest.mark.parametrize("wrong", [{"digest": "0" * 64}, {"scenario_hash": "0" * 64}])
def test_a_run_that_is_not_the_one_of_its_cell_is_named(
    check: Callable[..., Said], tmp_path: Path, wrong: dict[str, str]
) -> None:
    compared(tmp_path / "out", b=wrong)
    said = check(tmp_path / "out")
    assert said.code == 4
    assert f"{tmp_path / 'out' / 'runs' / 'b'}: this run is not the one that the comparison has" in said.err


def test_a_run_that_has_not_finished_by_the_record_is_not_counted(check: Callable[..., Said], tmp_path: Path) -> None:
    compared(tmp_path / "out", b={"status": "failed"})
    said = check(tmp_path / "out").out
    assert said.startswith("sound: 1 finished runs of 3")
    assert "runs/b is failed by the record and finished by itself" in said


def test_a_finished_run_that_is_not_there_is_named(check: Callable[..., Said], tmp_path: Path) -> None:
    compared(tmp_path / "out", b={"run": "runs/nowhere"})
    said = check(tmp_path / "out")
    assert said.code == 4
    assert f"{tmp_path / 'out' / 'runs' / 'nowhere'}: this run is finished, as the comparison says, and" in said.err


def test_inputs_and_code_of_a_comparison_are_compared(check: Callable[..., Said], tmp_path: Path) -> None:
    compared(tmp_path / "out", inputs={"x": "0" * 64})
    said = check(tmp_path / "out")
    assert said.code == 4
    assert "a file of the comparison cannot be read" in said.err
    compared(tmp_path / "coded", code={"code.py": "0" * 64})
    (tmp_path / "code.py").write_text("raise SystemExit(99)\n")
    said = check(tmp_path / "coded", "--allow-code", tmp_path / "code.py")
    assert said.code == 2
    assert "this comparison was made with another version of code.py" in said.err


def test_changes_and_code_are_taken_of_scenarios_and_comparisons(check: Callable[..., Said], tmp_path: Path) -> None:
    [path, *_] = sorted((ROOT / "scenarios" / "comparisons").glob("*.yaml"))
    (tmp_path / "code.py").write_text("NOTHING = 0\n")
    for named in (path, file(tmp_path)):
        said = check(named, "--allow-code", tmp_path / "code.py")
        assert (said.code, "no part is defined in this file" in said.err) == (2, True)
        said = check(named, "--set", "unheard.of=1")
        assert (said.code, "unheard" in said.err) == (2, True)


def test_a_comparison_takes_no_seed(check: Callable[..., Said]) -> None:
    [path, *_] = sorted((ROOT / "scenarios" / "comparisons").glob("*.yaml"))
    said = check(path, "--seed", 3)
    assert said.code == 2
    assert "--seed: a comparison has several seeds" in said.err
    assert "base.seed=N" in said.err


def test_of_a_comparison_file_it_is_said_what_would_run(check: Callable[..., Said]) -> None:
    [path, *_] = sorted((ROOT / "scenarios" / "comparisons").glob("*.yaml"))
    plan = check(path, "--json").json
    assert plan["name"] == yaml.safe_load(path.read_text(encoding="utf-8"))["name"]
    assert plan["name"] in check(path).out


# Scenarios


def test_of_a_scenario_it_is_said_what_it_would_run(check: Callable[..., Said], tmp_path: Path) -> None:
    said = check(file(tmp_path))
    assert said.code == 0
    assert said.row("run") == "plain, seed 3"
    assert said.row("tasks") == "2 of arithmetic"
    assert said.row("agents") == "3, scripted; protocol vote"
    assert said.row("budget") == "none"
    assert said.row("wired").startswith("star: 3 agents")
    built = load_scenario(file(tmp_path))
    assert said.row("first") == built.tasks.make(built.tasks_seed, 0).question
    assert "preset" not in said.out
    assert check(file(tmp_path), "--seed", 9).row("run") == "plain, seed 9"
    [facts] = check(file(tmp_path), "--json").json["runs"]
    assert facts["tasks"]["first"].startswith(said.row("first")[:20])
    assert (facts["cost"], facts["cost_max"], facts["preset"], facts["expansion"]) == (None, None, None, None)
    assert (facts["calls"], facts["tasks"]["count"], facts["models"]) == (6, 2, ["scripted"])
    assert (facts["calls_max"], facts["tasks"]["kind"], facts["agents"]) == (18, "arithmetic", 3)
    assert 0 < facts["tokens"] < facts["tokens_max"]
    assert facts["bound"] == said.row("cost")


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        ({"tokens": 5_000}, "5,000 tokens"),
        ({"tokens_per_task": 2_500}, "5,000 tokens"),
        ({"calls_per_task": 7}, "14 calls"),
        ({"tokens": 5_000, "calls_per_task": 7}, "5,000 tokens, 14 calls"),
        ({"money_per_task": 0.5}, "1.0000 in money"),
        ({"tokens": 5_000, "policy": "uniform"}, "5,000 tokens; shares: uniform"),
        (
            {"tokens": 5_000, "policy": {"kind": "uniform", "carry": True}},
            "5,000 tokens; shares: uniform, carried over",
        ),
        ({"tokens": 5_000, "shown": "team"}, "5,000 tokens; shown: team"),
        (
            {"tokens": 5_000, "policy": "uniform", "shown": {"scope": "both", "placebo": True}},
            "5,000 tokens; shares: uniform; shown: both (placebo)",
        ),
    ],
)
def test_a_budget_is_told_by_its_ceilings_shares_and_what_is_shown(
    check: Callable[..., Said], tmp_path: Path, budget: dict[str, Any], text: str
) -> None:
    prices = {"prices": {"scripted": {"input": 1.0, "output": 1.0}}} if "money_per_task" in budget else {}
    assert check(file(tmp_path, budget=budget, **prices)).row("budget") == text


def test_what_a_run_can_cost_in_money_is_told_where_there_are_prices(
    check: Callable[..., Said], tmp_path: Path
) -> None:
    prices = {"scripted": {"input": 1.0, "output": 2.0, "call": 0.5}}
    [facts] = check(file(tmp_path, prices=prices), "--json").json["runs"]
    assert 3.0 < facts["cost"] <= facts["cost_max"]
    free = {"scripted": {"input": 0.0, "output": 0.0}}
    [facts] = check(file(tmp_path, prices=free), "--json").json["runs"]
    assert (facts["cost"], facts["cost_max"]) == (None, None)


def test_of_a_society_too_large_to_count_its_calls_that_is_said(
    check: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentsoc.engine.forecast.bound", lambda society: TOO_LARGE)
    said = check(file(tmp_path))
    assert said.row("cost") == "too large to work out how many model calls at most"
    [facts] = check(file(tmp_path), "--json").json["runs"]
    counts = ("calls", "calls_max", "tokens", "tokens_max", "cost", "cost_max")
    assert [facts[name] for name in counts] == [None] * 6


def test_of_a_part_that_fails_when_calls_are_counted_the_error_is_told(
    check: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(self: Debate, society: object, board: object) -> list[Any]:
        raise ZeroDivisionError("nobody is left")

    monkeypatch.setattr(Debate, "plan", plan)
    path = file(tmp_path, protocol="debate")
    found = check(path)
    cost, warning = found.row("cost"), found.row("warning")
    unknown, error = cost.split(": rehearsing an episode (protocol debate, tasks arithmetic) fails with ")
    assert unknown == "how many model calls at most is not known"
    assert re.fullmatch(r"ZeroDivisionError at test_check_command\.py:\d+: nobody is left", error)
    assert warning == cost.replace(unknown, "whether prompts fit is not known")
    assert check(path, "--json").json["runs"][0]["calls"] is None
    assert cost_text([load_scenario(path)]) == f"{cost}; there is no budget"


def test_of_a_protocol_that_cannot_be_rehearsed_that_is_said(check: Callable[..., Said], tmp_path: Path) -> None:
    path = file(tmp_path, protocol={"kind": "refine", "critic": "none"})
    said = "how many model calls at most is not known: with protocol refine it depends on the replies"
    assert check(path).row("cost") == said


def test_a_preset_is_told_with_what_it_stands_for(check: Callable[..., Said]) -> None:
    said = check(ROOT / "scenarios" / "preset-centralized.yaml")
    assert said.row("preset") == (
        "centralized: topology {kind: star}, protocol {kind: orchestrate, rounds: 2, guidance: joint}, "
        "agents {count: 6, iterations: 1}"
    )


def test_presets_of_a_sweep_are_told_each(check: Callable[..., Said]) -> None:
    runs = check(ROOT / "scenarios" / "presets.yaml", "--json").json["runs"]
    told = {run["preset"]: run["expansion"] for run in runs}
    assert (
        told["tree"]
        == "topology {kind: tree, fan_in: 3}, protocol {kind: aggregate}, agents {count: 13, iterations: 1}"
    )
    assert told["single"] == "topology {kind: single}, protocol {kind: vote}, agents {count: 1, iterations: 10}"


def test_of_a_sweep_every_run_is_told_up_to_a_number(
    check: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path)
    monkeypatch.setattr(check_module, "RUNS_SHOWN", 3)
    for seeds, more in ((2, None), (3, None), (4, 1), (1_234, 1_231)):
        monkeypatch.setattr(check_module, "RUNS_BUILT", 5)
        said = check(path, "--seeds", seeds)
        first, *rest = said.out.splitlines()
        assert first == f"{path}: {seeds:,} runs"
        shown = rest if more is None else rest[:-1]
        assert len(shown) == min(seeds, 3)
        assert shown[0].startswith("  plain--seed-3: seed 3; at most 6 model calls")
        assert more is None or rest[-1] == f"  ... and {more:,} more"
    found = check(path, "--seeds", 9, "--json").json
    assert (found["n_runs"], len(found["runs"])) == (9, 5)
    assert [run["labels"] for run in found["runs"]][:2] == [{"seed": "3"}, {"seed": "4"}]


def test_a_run_of_a_sweep_that_cannot_be_built_is_named(check: Callable[..., Said], tmp_path: Path) -> None:
    said = check(file(tmp_path, topology={"kind": "decentralized", "degree": 2}), "--set", "agents.count=3,2")
    assert said.code == 2
    assert "plain--count-2" in said.err
    alone = check(file(tmp_path, topology={"kind": "decentralized", "degree": 2}), "--set", "agents.count=2")
    assert alone.code == 2
    assert "plain--" not in alone.err


# Files of models


def _asking(tmp_path: Path, model: dict[str, Any], **changes: Any) -> Path:
    path = tmp_path / "asking.yaml"
    agents = {"count": 2, "model": model, "max_tokens": 40}
    blocks = {**PLAIN, "agents": agents, "topology": "independent", "budget": {"tokens_per_task": 9_000}}
    path.write_text(yaml.safe_dump({**blocks, **changes}))
    return path


MISSING: dict[str, tuple[dict[str, Any], str]] = {
    "known by name": (
        {"kind": "local", "file": "qwen2.5-coder-0.5b"},
        "get it: agentsoc model get qwen2.5-coder-0.5b",
    ),
    "known by hash": (
        {"kind": "local", "file": "mine.gguf", "sha256": MODELS["qwen2.5-coder-1.5b"].sha256},
        "get it: agentsoc model get qwen2.5-coder-1.5b, and write file: qwen2.5-coder-1.5b",
    ),
    "unknown": ({"kind": "local", "file": "mine.gguf", "sha256": "0" * 64}, "the model file mine.gguf does not exist"),
    "tokenizer": (
        {"kind": "litellm", "name": "openai/m", "base_url": "http://127.0.0.1:9/v1", "tokenizer": "mine.json"},
        "the tokenizer mine.json does not exist",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_file_of_a_model_is_named_after_what_would_run_with_the_code_of_the_run(
    case: str, check: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model, what = MISSING[case]
    path = _asking(tmp_path, model)
    said = check(path)
    assert said.code == 2
    assert said.row("run") == "plain, seed 3"
    assert what in said.err
    assert said.err.startswith(f"error: {path}")
    assert main(["run", str(path), "--out", str(tmp_path / "run"), "--yes", "--quiet"]) == 2
    whole = {"name": "two", "base": yaml.safe_load(path.read_text()), "organisations": {"a": {}, "b": {}}}
    del whole["base"]["name"], whole["base"]["seed"]
    both = tmp_path / "both.yaml"
    both.write_text(yaml.safe_dump(whole))
    said = check(both)
    assert said.code == 2
    assert said.out.startswith("two: 2 runs of 2 organisations")
    assert what in said.err
    assert what in str(check(both, "--json").json["error"])  # one object, as ever


def test_a_provider_that_nobody_knows_is_named_before_anybody_is_asked(
    check: Callable[..., Said], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `run` refuses `check` does, and `run` does not ask for consent to it first."""
    path = _asking(tmp_path, {"kind": "scripted"}, budget=None)
    said = check(path, "--model", "opena/gpt-4o-mini")
    assert said.code == 2
    assert said.row("run") == "plain, seed 3"
    assert said.err.startswith(f'error: {path}: agents.model.name: litellm knows no provider "opena"')
    assert 'did you mean "openai/gpt-4o-mini"?' in said.err
    assert main(["run", str(path), "--out", str(tmp_path / "run"), "--model", "opena/gpt-4o-mini"]) == 2
    refused = capsys.readouterr().err
    assert 'knows no provider "opena"' in refused
    assert "nobody has agreed" not in refused
    assert not (tmp_path / "run").exists()
    assert check(path, "--model", "openai/gpt-4o-mini").code == 0  # and no key is needed to work out the cost


def test_a_missing_file_of_a_judge_is_named(
    check: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "essays.jsonl").write_text('{"question": "Why?", "answer": "Because."}')
    judge = {"model": {"kind": "local", "file": "qwen2.5-coder-0.5b"}}
    tasks = {"kind": "jsonl", "file": "essays.jsonl", "count": 1, "scoring": {"score": "judge", "judge": judge}}
    said = check(_asking(tmp_path, {"kind": "scripted"}, tasks=tasks, budget=None))
    assert said.code == 2
    assert "get it: agentsoc model get qwen2.5-coder-0.5b" in said.err
