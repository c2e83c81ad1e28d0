"""The scale table: every piece holds its own check at a small size, and what is said of growth is right on planted."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agentsoc.scenario.code import forget_code
from benchmarks import bench_scale
from benchmarks.__main__ import ROOT
from benchmarks.bench_scale import (
    MARK,
    PAGE,
    RESULTS,
    Runs,
    exponent,
    growth_table,
    last_decade,
    median,
    memory_again,
    peer_lines,
    per_cpu_s,
    tables,
    variant_tables,
)  # fmt: skip
from benchmarks.scale_work import SHAPES, by_events, by_tasks, fan_out, talk


@pytest.fixture(autouse=True)
def _parts_of_its_own() -> Iterator[None]:
    """Load the parts of the benchmark anew for each test, as what a test registers ends with it."""
    forget_code()
    yield
    forget_code()


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_everybody_speaks_in_every_round(shape: str) -> None:
    assert talk(shape, 200)["check"]


def test_fan_out_includes_every_agent_and_takes_virtual_time_only() -> None:
    quick, slow = fan_out(300, 0.0), fan_out(300, 1.0)
    assert quick["check"]
    assert slow["check"]
    assert quick["virtual_s"] == 0.0
    assert slow["virtual_s"] > 3.0  # the slowest of 300 whose times are exponential with mean 1


def test_events_grow_with_tasks_and_rounds() -> None:
    assert by_tasks(20)["check"]
    found = by_events(5)
    assert found["check"]
    assert found["units"] == 25_002


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is told by the kernel of Linux")
def test_the_peak_of_a_piece_is_its_own_and_not_that_of_its_parent() -> None:
    held = np.ones(1 << 25)  # 256 MB of the process that starts the piece
    code = (
        "import resource as r; from benchmarks.peak import peak_mb; print(peak_mb(), r.getrusage(0).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    own, inherited = map(float, done.stdout.split())
    assert 1 < own < 100 < held.nbytes / 2**20 < inherited


def test_the_memory_on_file_is_replaced_and_the_times_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter([{"peak_mb": 3.0, "cpu_s": 9.0}, {"peak_mb": 5.0, "cpu_s": 9.0}])
    monkeypatch.setattr(
        bench_scale, "jobs", lambda: [("fan-out 1000 0", ["true"], ROOT), ("ring 1000", ["true"], ROOT)]
    )
    monkeypatch.setattr(bench_scale, "measured", lambda *_: next(told))
    one, other = {"cpu_s": 1.0, "peak_mb": 200.0}, {"cpu_s": 2.0, "peak_mb": 200.0}
    runs: Runs = {"fan-out 1000 0": [one, other], "ring 1000": [{"cpu_s": 1.0, "peak_mb": 200.0}]}
    memory_again(runs, ["fan-out 1000 0"])
    assert runs["fan-out 1000 0"] == [{"cpu_s": 1.0, "peak_mb": 3.0}, {"cpu_s": 2.0, "peak_mb": 5.0}]
    assert runs["ring 1000"][0]["peak_mb"] == 200.0


def test_growth_is_that_of_planted_costs() -> None:
    sizes = [1e3, 1e4, 1e5, 1e6]
    assert exponent(sizes, [2e-6 * n**1.3 for n in sizes], 0.0) == pytest.approx(1.3)
    assert exponent(sizes, [0.1 + 2e-6 * n for n in sizes], 0.1) == pytest.approx(1.0)
    assert exponent(sizes, [0.1 + 2e-6 * n for n in sizes], 0.0) < 0.8, "a fixed cost hides growth"
    assert last_decade(sizes, [2e-6 * n**2 for n in sizes]) == pytest.approx(2.0)


def test_what_failed_is_in_no_table() -> None:
    runs: Runs = {
        "w1": [{"units": 10, "cpu_s": 1.0}],
        "mesa w1": [{"error": "its check failed", "units": 10, "cpu_s": 1}],
    }
    assert len(peer_lines(runs)) == 2
    assert len(growth_table(runs)) == 2
    runs["mesa w1"] = [{"units": 20, "cpu_s": 1.0}]
    assert peer_lines(runs)[-1].endswith("| 0.50 |")
    assert "budgeted" in "\n".join(variant_tables(runs))
    assert np.isfinite(exponent([1, 10], [1, 10], 0))


def test_the_page_shows_the_figures_on_file() -> None:
    """Tables are those of the results; what the page says of Mesa, replay and `ls` in words is what they hold."""
    found = json.loads(RESULTS.read_text())
    words, shown = PAGE.read_text().split(MARK)
    assert shown.strip() == tables(found).strip()
    runs: Runs = found["runs"]
    ratio = (per_cpu_s(runs, "w1") or 0) / (per_cpu_s(runs, "mesa w1") or 1)
    assert f"W1 reaches {ratio:.2f} of Mesa" in words
    listed = median(runs, "cli-ls 10000")
    assert listed is not None
    assert f"takes {listed:.1f} s of CPU" in words
    low, high = (int(text.replace(",", "")) for text in re.findall(r"makes ([\d,]+) to ([\d,]+) events", words)[0])
    assert low <= round(per_cpu_s(runs, "replay-llm") or 0, -3) <= high
