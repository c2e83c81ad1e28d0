"""`analysis` from Python: its functions take what the commands take and return what these print."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import agentsoc
import analysis
from agentsoc.cli import main
from agentsoc.errors import InputError, LogDamagedError
from agentsoc.experiment.comparison import load_comparison
from agentsoc.experiment.grid import make_grid
from analysis.cascade_laws.as_json import plain
from analysis.comparison.table import read_results
from analysis.comparison.text import report_as_dict
from analysis.measures.text import as_dict
from analysis.synergy.planning.design import DesignReport
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS
from tests.strategies import scenario

FUNCTIONS = ("read_tables", "laws", "metrics", "compare", "phase", "plan", "curve", "watch", "load_runs", "to_csv")
VOTER: dict[str, Any] = {"kind": "simulated", "a": 0.12, "beta": 0.1, "fidelity": 0.8, "lock": 0.1, "message": 120}
COMPARISON = """
name: two
baseline: single
seeds: [1]
base:
  tasks: {kind: signal, count: 30}
  agents: {model: {kind: simulated, signal: 0.3}}
agents: [5]
organisations:
  single: {topology: single, protocol: vote, agents: {count: 1}}
  debate: {topology: decentralized, protocol: {kind: debate, rounds: 2}}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single agent, and five under a hub, on the same 40 tasks."""
    directory = tmp_path_factory.mktemp("runs")
    tasks = {"kind": "signal", "count": 40}
    agentsoc.run(
        scenario(name="single", tasks=tasks, agents={"count": 1, "model": VOTER}, topology="single"),
        directory / "single",
    )
    agentsoc.run(
        scenario(name="star", tasks=tasks, agents={"count": 6, "model": VOTER}, topology="star", protocol="aggregate"),
        directory / "star",
    )
    return directory


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Call a command and return the object that it prints with ``--json``."""

    def call(*words: object) -> Any:
        capsys.readouterr()
        code = main.main([*map(str, words), "--json"])
        told = capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    return call


def test_the_names_that_are_promised_are_there() -> None:
    assert sorted(FUNCTIONS) == analysis.__all__


def test_importing_analysis_imports_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import analysis\n"
        "heavy = {'numpy', 'polars', 'scipy', 'numba', 'pyarrow', 'agentsoc'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_submodule_takes_the_place_of_a_function() -> None:
    for module in pkgutil.walk_packages(analysis.__path__, "analysis."):
        importlib.import_module(module.name)
    for name in FUNCTIONS:
        assert callable(getattr(analysis, name)), name
        assert getattr(analysis, name).__doc__


def test_tables_hold_every_event_of_every_run(runs: Path) -> None:
    table = analysis.read_tables(runs)
    assert set(EVENT_COLUMNS) <= set(table.events.columns)
    assert set(EXECUTION_COLUMNS) <= set(table.executions.columns)
    assert table.n_executions == 80
    parts = [analysis.read_tables(str(runs / name)) for name in ("single", "star")]
    assert table.events.height == sum(part.events.height for part in parts)
    with pytest.raises(InputError, match="there is no run "):
        analysis.read_tables(runs / "nowhere")
    with pytest.raises(InputError, match="given twice"):
        analysis.read_tables([runs / "star", runs / "star"])


def test_laws_are_those_that_the_command_prints(runs: Path, printed: Callable[..., Any]) -> None:
    found = analysis.laws(runs, by="topology", fast=True, seed=3)
    assert plain(found.as_dict()) == printed("laws", runs, "--by", "topology", "--fast", "--seed", 3)
    assert [part.where for part in found.groups] == [{"topology": "single"}, {"topology": "star"}]
    same = analysis.laws(analysis.read_tables(runs), fast=True, seed=3)
    assert same.groups == ()
    assert "groups" not in same.as_dict()
    with pytest.raises(InputError, match="cannot be grouped by 'colour'"):
        analysis.laws(runs, by=["colour"], fast=True)


def test_laws_say_what_is_known_of_the_logs(runs: Path, tmp_path: Path) -> None:
    traces = Path(__file__).parents[1] / "data" / "mas_elites" / "raw_sample"
    assert main.main(["import", "mas-elites", str(traces), "--out", str(tmp_path / "in")]) == 0
    table = analysis.read_tables([tmp_path / "in", runs / "star"])
    assert any("imported from mas-elites" in text for text in table.caveats)
    assert set(table.caveats) <= set(analysis.laws(table, fast=True).whole.caveats)


def test_metrics_are_those_that_the_command_prints(runs: Path, printed: Callable[..., Any]) -> None:
    found = analysis.metrics([runs / "single", runs / "star"], baseline=str(runs / "single"), seed=2)
    assert as_dict(found) == printed("metrics", runs, "--baseline", runs / "single", "--seed", 2)
    assert [report.n_agents for report in found.runs] == [1, 6]
    with pytest.raises(InputError, match="there is no run "):
        analysis.metrics(runs / "nowhere")


def test_a_comparison_is_read_without_running_or_writing(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(COMPARISON)
    grid = make_grid(load_comparison(tmp_path / "two.yaml"))
    agentsoc.run_comparison(grid, tmp_path / "out", workers=1)
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    found = analysis.compare(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before
    assert [row.organisation for row in found.rows()] == ["single", "debate"]
    assert found.table.height == 60
    again = analysis.compare(read_results(tmp_path / "out"))
    assert report_as_dict(again) == report_as_dict(found)
    assert main.main(["compare", str(tmp_path / "out"), "--json", "-q"]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report_as_dict(found)
    with pytest.raises(LogDamagedError):
        analysis.compare(tmp_path)


def test_the_phase_is_that_which_the_command_prints(tmp_path: Path, printed: Callable[..., Any]) -> None:
    right = [1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1]
    rows = [
        {"task": task, "run": run, "node": 0, "agent": agent, "correct": right[(5 * task + 7 * run + agent) % 12]}
        for task in range(60) for run in range(2) for agent in range(3)
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(tmp_path / "votes.csv")
    found = analysis.phase(votes=tmp_path / "votes.csv", gamma=0.9, n_draws=50, seed=4)
    told = printed("phase", "--votes", tmp_path / "votes.csv", "--gamma", 0.9, "--draws", 50, "--seed", 4)
    assert told.pop("figures") == []
    assert plain(found.as_dict()) == told
    assert found.measured.n_draws == 50
    same = analysis.phase(votes=pl.read_csv(tmp_path / "votes.csv"), gamma=0.9, n_draws=50, seed=4)
    assert same.as_dict() == found.as_dict()
    with pytest.raises(InputError, match="give runs, or a table of votes"):
        analysis.phase()
    with pytest.raises(InputError, match="give runs, or a table of votes"):
        analysis.phase(tmp_path, votes=tmp_path / "votes.csv")
    known = analysis.phase(votes=tmp_path / "votes.csv", gamma=0.9, rho=0.2, n_draws=50, seed=4)
    told = printed("phase", "--votes", tmp_path / "votes.csv", "--gamma", 0.9, "--rho", 0.2, "--draws", 50, "--seed", 4)
    assert told.pop("figures") == []
    assert told["parameters"]["rho"]["value"] == 0.2 != found.measured.points["rho"]
    assert plain(known.as_dict()) == told
    with pytest.raises(InputError, match="nothing of the ceiling"):
        analysis.phase(votes=tmp_path / "votes.csv", mu_max=0.9)
    with pytest.raises(InputError, match="how votes were cast"):
        analysis.phase(tmp_path, sent=True)


def test_the_phase_of_runs_names_the_runs_that_it_did_not_use(runs: Path, printed: Callable[..., Any]) -> None:
    found = analysis.phase([runs / "single", runs / "star"], rho=0.1, n_draws=20)
    told = printed("phase", runs / "single", runs / "star", "--rho", 0.1, "--draws", 20)
    assert plain(found.as_dict()) == {key: value for key, value in told.items() if key != "figures"}
    assert found.summary().startswith(found.estimate.summary())
    with pytest.raises(InputError, match="there is no run at "):
        analysis.phase(runs / "nowhere")


def test_a_plan_from_known_parameters_is_that_of_the_command(printed: Callable[..., Any]) -> None:
    found = analysis.plan(6000, window=1000, a=0.12, beta=0.1, rho=0.1, m0=60.0, family="hyp")
    told = printed(
        "plan", "-B", 6000, "-W", 1000, "--a", 0.12, "--beta", 0.1, "--rho", 0.1, "--m0", 60, "--family", "hyp"
    )
    assert isinstance(found, DesignReport)
    assert plain({"budget": 6000.0, "window": 1000.0, **found.as_dict()}) == told
    with pytest.raises(InputError, match="a design needs"):
        analysis.plan(6000, a=0.12)
    with pytest.raises(InputError, match="measurements only"):
        analysis.plan(6000, a=0.12, beta=0.1, rho=0.1, m0=60.0, fan_ins=[3])  # type: ignore[call-overload]


def test_a_plan_from_measurements_is_that_of_the_command(
    runs: Path, tmp_path: Path, printed: Callable[..., Any]
) -> None:
    measured = analysis.phase(runs / "star", rho=0.1, gamma=0.9, n_draws=20)
    (tmp_path / "m.json").write_text(json.dumps(printed("phase", runs / "star", "--rho", 0.1, "--gamma", 0.9,
                                                        "--draws", 20)))  # fmt: skip
    told = printed("plan", "--measurements", tmp_path / "m.json", "-B", 6000, "--a", 0.12, "--beta", 0.1)
    assert told.pop("follow_up") is None
    found = analysis.plan(6000, measurements=tmp_path / "m.json", a=0.12, beta=0.1)
    assert plain(found.as_dict()) == told
    same = analysis.plan(6000, measurements=measured, a=0.12, beta=0.1)
    assert same.best.design.organisation == found.best.design.organisation
    with pytest.raises(InputError, match="without measurements"):
        analysis.plan(6000, measurements=measured, m0=60.0)


def test_a_plan_imports_neither_compiled_kernels_nor_the_scenario() -> None:
    """They took a fifth of the time of `agentsoc plan`, which needs them only to write a follow-up."""
    program = (
        "import sys; import analysis.synergy.planning.plan\n"
        "print(sorted({'numba', 'yaml', 'agentsoc.scenario.model'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
