"""`agentsoc import` and `agentsoc laws` from logs to numbers: contract of the JSON, exit codes, figures, start-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agentsoc.cli import main
from analysis.cascade_laws.examine import FAST, examine
from analysis.cascade_laws.figures import draw_growth
from analysis.cascade_laws.nulls import deterministic_mixture, pareto, reinforced_routing
from analysis.importers import store
from analysis.tails import fit_tail
from analysis.tails.competitor import COMPETITORS
from analysis.tails.powerlaw import survival

DATA = Path(__file__).parents[1] / "data"
TRACES = DATA / "mas_elites" / "raw_sample"
CASES = json.loads((DATA / "cascade_cases.json").read_text())
SCENARIO = """
name: star
seed: 7
tasks: {kind: sentiment, count: 12}
agents: {count: 6, model: {kind: simulated, signal: 0.3, fidelity: 0.9, compute: 40, message: 10}}
topology: star
protocol: aggregate
"""


@pytest.fixture
def agentsoc(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def run(tmp_path: Path, agentsoc: Any) -> Path:
    (tmp_path / "star.yaml").write_text(SCENARIO)
    code, _, said = agentsoc("run", tmp_path / "star.yaml", "--out", tmp_path / "run", "--quiet")
    assert code == 0, said
    return tmp_path / "run"


@pytest.fixture
def traces(tmp_path: Path, agentsoc: Any) -> Path:
    assert agentsoc("import", "mas-elites", TRACES, "--out", tmp_path / "traces")[0] == 0
    return tmp_path / "traces"


def check_contract(data: dict[str, Any]) -> list[str]:
    """Return the observables after checking that every one has all that was promised."""
    names = [name for name, value in data.items() if isinstance(value, dict) and "fit" in value]
    for name in names:
        law = data[name]
        for key in ("n", "mean", "max", "gini", "top10_share"):
            assert isinstance(law[key], int | float), (name, key)
        assert {"alpha", "xmin", "ks", "n_tail", "best", "verdict", "card"} <= law["fit"].keys()
        for test in law["lr"].values():
            assert {"R", "z", "p"} <= test.keys()
        assert "gamma" in data["gamma"][name]
        for model in law["fit"]["models"].values():
            assert set(model["ci95"]) in (set(), set(model["params"]))
    assert {"gamma", "concentration", "merge_conversion", "audit", "dti"} <= data.keys()
    return names


def test_laws_of_an_own_run_keep_the_contract(run: Path, agentsoc: Any) -> None:
    code, out, _ = agentsoc("laws", run, "--fast", "--json")
    assert code == 0
    data = json.loads(out)
    names = check_contract(data)
    assert {"merge_fan_in", "tce", "agent_effort_events", "tce_tokens_execution"} <= set(names)
    assert data["merge_fan_in"]["max"] == 5
    assert data["executions"] == 12
    assert data["audit"]["by"][0]["n_agents"] == 6
    assert data["attachment"]["star"]["beta"] is None
    assert data["dti"]["star"]["corrected"]["cascades"] == 12 * 5
    assert any("one design cell" in text for text in data["caveats"])


def test_numbers_of_the_imported_traces_are_those_of_the_reference(traces: Path, agentsoc: Any) -> None:
    data = json.loads(agentsoc("laws", traces, "--fast", "--json", "--by", "benchmark, topology")[1])
    check_contract(data)
    expected = [one for case in CASES["raw_sample_expected"].values() for one in case]
    assert data["executions"] == len(expected) == 11
    assert data["events"] == sum(one["events"] for one in expected)
    fan_in = [value for one in expected for value in one["merge_fan_in"]]
    assert data["merge_fan_in"]["n"] == len(fan_in)
    assert data["merge_fan_in"]["mean"] == pytest.approx(sum(fan_in) / len(fan_in), rel=1e-12)
    assert data["merge_conversion"]["merges"] == sum(one["event_types"].get("merge_claims", 0) for one in expected)
    star = next(part for part in data["groups"] if part["where"] == {"benchmark": "REALM", "topology": "star"})
    wanted = CASES["raw_sample_expected"]["REALM/star/n8/s1/cscmax_20_15_5_disrupted"]
    assert star["tce_logged"]["n"] == len(wanted[0]["tce_logged"])
    assert len(data["groups"]) == len(
        {(name.split("/")[0], name.split("/")[1]) for name in CASES["raw_sample_expected"]}
    )


ATTENTION = """
name: attention
seed: 3
tasks: {kind: signal, count: 10}
agents: {count: 30, model: {kind: simulated, signal: 0.2, fidelity: 0.9}}
topology: decentralized
protocol: {kind: debate, rounds: 5}
attention: {kind: reinforced, k: 1}
sweep: {attention.beta: [0.0, 1.0]}
"""


def test_the_exponent_of_attention_that_a_scenario_plants_is_recovered_from_its_log(
    tmp_path: Path, agentsoc: Any
) -> None:
    """By the plain exponent within 0.35, about four standard errors; who could read what is taken from the run."""
    (tmp_path / "a.yaml").write_text(ATTENTION)
    assert agentsoc("run", tmp_path / "a.yaml", "--out", tmp_path / "runs", "--quiet")[0] == 0
    data = json.loads(agentsoc("laws", tmp_path / "runs", "--fast", "--json", "--by", "run")[1])
    found = [part["attachment"]["decentralized"] for part in data["groups"]]
    assert [one["n_choices"] > 800 for one in found] == [True, True]
    assert [one["examined"]["verdict"] for one in found] == ["no reinforcement", "reinforcement"]
    assert abs(found[0]["plain"]["beta"]) < 0.35
    assert abs(found[1]["plain"]["beta"] - 1.0) < 0.35
    assert found[1]["ci95"][0] < 1.0 < found[1]["ci95"][1]


def test_bootstraps_give_every_parameter_its_interval_and_fast_gives_none(traces: Path, agentsoc: Any) -> None:
    whole = json.loads(agentsoc("laws", traces, "--json", "--gof", "5")[1])["merge_fan_in"]["fit"]
    assert whole["intervals"]["value"]["low"] < whole["alpha"] < whole["intervals"]["value"]["high"]
    for model in whole["models"].values():
        for name, (low, high) in model["ci95"].items():
            assert low <= model["params"][name] <= high, name
    fast = json.loads(agentsoc("laws", traces, "--json", "--fast")[1])["merge_fan_in"]["fit"]
    assert fast["intervals"]["value"] is None
    assert fast["models"]["lognormal"]["ci95"] == {}


def test_a_monitor_without_merges_or_cascades_to_learn_from_keeps_its_defaults(traces: Path, agentsoc: Any) -> None:
    """With a = 1 and delta = 2 a chain of eight acts fires once, at its fourth."""
    chain = json.loads(agentsoc("laws", traces, "--fast", "--json")[1])["dti"]["chain"]
    assert chain["corrected"] == {
        "a": 1.0, "beta": 0.6, "delta": 2.0, "cascades": 3, "large_cascades": 3, "merge_points": 0, "events": 24,
        "triggers": 3, "cascades_hit": 3,
    }  # fmt: skip


def test_the_first_use_says_that_it_compiles_and_later_ones_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that is compiled with an empty cache is told of once, and not when it comes from the cache."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    code = (
        "from analysis.jit import when_compiling\n"
        "from analysis.tails.kernels import zeta_sums\n"
        "with when_compiling(lambda: print('compiling')):\n"
        "    zeta_sums(2.0, 1.0)\n"
        "    zeta_sums(2, 1)\n"
    )
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
        for _ in range(2)
    ]
    assert said == ["compiling\n", ""]


def test_the_list_of_commands_says_what_laws_does(agentsoc: Any) -> None:
    said = " ".join(agentsoc("--help")[1].split())
    assert "laws Say which laws of coordination the logs in DIR support, and every reason to doubt them" in said


def test_equal_logs_give_equal_laws_to_the_last_digit(traces: Path, agentsoc: Any) -> None:
    words = ("laws", traces, "--json", "--gof", "8")
    assert agentsoc(*words)[1] == agentsoc(*words)[1]


def test_own_runs_and_imported_logs_can_be_examined_together(run: Path, traces: Path, agentsoc: Any) -> None:
    code, out, _ = agentsoc("laws", run, traces, "--fast", "--json", "--by", "topology,n")
    assert code == 0
    data = json.loads(out)
    assert data["executions"] == 23
    assert {"topology": "star", "n": 6} in [part["where"] for part in data["groups"]]
    assert sum(part["executions"] for part in data["groups"]) == 23


def test_the_text_says_verdicts_reasons_nulls_and_cards(traces: Path, agentsoc: Any) -> None:
    code, out, _ = agentsoc("laws", traces, "--fast", "--cards")
    assert code == 0
    for part in ("Verdicts", "Cannot be told from", "Growth of the largest", "Concentration of effort",
                 "Merge conversion", "Attachment exponent", "Structure audit", "Fit cards", "equation:"):  # fmt: skip
        assert part in out
    assert "power law:" not in out


def test_transcripts_come_in_and_their_faults_are_traced(tmp_path: Path, agentsoc: Any) -> None:
    out = tmp_path / "chats"
    code, said, _ = agentsoc(
        "import", "transcripts", DATA / "who_when", "--out", out, "--parents", "addressee", "--json"
    )
    assert code == 0
    assert json.loads(said)["executions"] == 3
    data = json.loads(agentsoc("laws", out, "--fast", "--json")[1])
    assert [fault["claim"] for fault in data["faults"]] == [0, 2, 18]
    assert "parents addressee" in data["caveats"][0]


def test_claims_come_in_and_unknown_columns_are_told(tmp_path: Path, agentsoc: Any) -> None:
    code, said, _ = agentsoc("import", "claims", DATA / "claims" / "two_teams.csv", "--out", tmp_path / "c")
    assert code == 0
    assert "kept as they are: mood" in said
    code, said, _ = agentsoc("laws", tmp_path / "c", "--fast")
    assert code == 0
    assert "merge_fan_in" in said


def test_figures_are_written_where_asked(tmp_path: Path, agentsoc: Any) -> None:
    designed = deterministic_mixture((8, 16, 32), repeats=2)
    store.save(designed, tmp_path / "log", store.describe("claims", DATA / "claims", {}))
    code, _, said = agentsoc("laws", tmp_path / "log", "--fast", "--figures", tmp_path / "figures")
    assert code == 0
    files = sorted((tmp_path / "figures").iterdir())
    names = ("growth", "lorenz", "tails")  # nobody merged, so there is no picture of merges
    assert [path.name for path in files] == [f"{name}.{ending}" for name in names for ending in ("csv", "png")]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in files if path.suffix == ".png")
    assert said.count("written:") == 6
    growth = pl.read_csv(tmp_path / "figures" / "growth.csv")
    assert growth.columns == ["observable", "n_agents", "mean", "line", "cap"]
    assert set(growth["n_agents"]) == {8.0, 16.0, 32.0}


def test_curves_in_the_figure_are_the_fitted_laws(tmp_path: Path) -> None:
    """Differences of the drawn survival are the fitted probabilities, at neighbouring whole values."""
    import numpy as np

    fit = fit_tail(pareto(2.2, 4000, seed=1), xmin=2.0)
    tail = fit.sample.tail(2.0)
    low = tail.values[:20]
    for model in fit.models.values():
        law = COMPETITORS.get(model.name)
        drop = law.survival(model, low, discrete=True) - law.survival(model, low + 1.0, discrete=True)
        assert np.allclose(drop, np.exp(model.log_mass[:20]), rtol=1e-6, atol=1e-12), model.name
        assert law.survival(model, np.array([2.0]), discrete=True)[0] == pytest.approx(1.0)
    assert fit.power is not None
    assert survival(fit.power, np.array([2.0]), discrete=True)[0] == pytest.approx(1.0)


def test_a_figure_without_data_is_left_out() -> None:
    assert draw_growth(examine(reinforced_routing(1.0, executions=2, steps=20), effort=FAST)) is None
    assert draw_growth(examine(deterministic_mixture((4, 8), repeats=2), effort=FAST)) is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("laws", "{tmp}/gone"), "there is no run and no imported log at"),
        (("laws", "{tmp}/empty"), "there is no run and no imported log at"),
        (("laws", "{run}", "{run}"), "given twice"),
        (("laws", "{run}", "--by", "mood", "--fast"), "cannot be grouped by 'mood'"),
        (("import", "claims", "{tmp}/gone.csv", "--out", "{tmp}/x"), "no such file"),
        (("import", "claims", "{tmp}/star.yaml", "--out", "{run}"), "exists and is not empty"),
        (("import", "claims", "{tmp}/star.yaml", "--out", "{tmp}/x", "--parents", "both"), "names its own parents"),
        (("import", "transcripts", "{tmp}/star.yaml", "--out", "{tmp}/x", "--parents", "all"), "no rule 'all'"),
        (("import", "mas-elites", "{tmp}/gone", "--out", "{tmp}/x"), "no such file or directory"),
        (("import", "letters", "{tmp}", "--out", "{tmp}/x"), "letters"),
    ],
)
def test_bad_input_ends_with_exit_code_two_and_leaves_nothing_behind(
    tmp_path: Path, run: Path, agentsoc: Any, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    code, out, said = agentsoc(*(word.format(tmp=tmp_path, run=run) for word in words))
    assert code == 2
    assert message in said
    assert out == ""
    assert not (tmp_path / "x").exists()


def test_a_damaged_import_ends_with_exit_code_four(traces: Path, agentsoc: Any) -> None:
    (traces / "events.parquet").write_bytes(b"PAR1")
    code, _, said = agentsoc("laws", traces)
    assert code == 4
    assert "not what was written" in said


def test_an_error_with_json_is_one_object(tmp_path: Path, agentsoc: Any) -> None:
    code, out, _ = agentsoc("laws", tmp_path / "gone", "--json")
    assert json.loads(out)["exit_code"] == code == 2


def test_the_verbs_load_nothing_heavy_before_they_work() -> None:
    code = (
        "import sys, analysis.commands.imports, analysis.commands.laws\n"
        "print(sorted(m for m in sys.modules if m in ('numba', 'scipy', 'polars', 'pyarrow', 'matplotlib', 'numpy')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
