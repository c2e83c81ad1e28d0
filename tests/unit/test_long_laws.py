"""A log that is read part by part has the laws that it has when it is read whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import polars.testing
import pytest

import agentsoc
import analysis
from agentsoc.errors import InputError
from agentsoc.log import segments
from agentsoc.log.imported import Imported
from agentsoc.scenario.model import Scenario
from agentsoc.society.deficit import NO_BRAKES, Brakes, Monitor, Parameters
from analysis import blocks
from analysis.cascade_laws import input as reading
from analysis.cascade_laws.gather import gathered
from analysis.cascade_laws.long_table import LongTable
from analysis.claims import attachment_choices
from analysis.claims.attachment_choices import Choices, Offer, make_choices
from analysis.claims.dti import replay
from analysis.observables.base import Sample
from analysis.observables.described import described
from analysis.observables.pooled import packed, pooled
from analysis.stats.clusters import effective_size
from analysis.tables import EventTable
from analysis.tails import Resampling, fit_tail
from benchmarks.study_switched import planted

NEAR = 1e-12
"""Largest relative difference of sums that are taken in another order."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three shapes, one in which attention picks what is heard, one that merges."""
    where = tmp_path_factory.mktemp("runs")
    debate = {"kind": "debate", "rounds": 2}
    made: dict[str, dict[str, object]] = {
        "few": {"protocol": debate, "topology": {"kind": "ring"}, "attention": {"kind": "reinforced", "k": 1}},
        "many": {"protocol": debate, "topology": {"kind": "decentralized", "degree": 4}},
        "star": {"protocol": {"kind": "aggregate"}, "topology": {"kind": "star"}},
    }
    for n, (name, shape) in enumerate(made.items()):
        common = {"name": name, "seed": n, "tasks": {"kind": "signal", "count": 30}}
        agents = {"agents": {"count": (6, 9, 13)[n], "model": {"kind": "simulated", "signal": 0.3}}}
        with pytest.MonkeyPatch.context() as patched:  # segments of some dozen events
            patched.setattr(segments, "BYTES_MAX", 6_000)
            agentsoc.run(Scenario.model_validate({**common, **agents, **shape}), where / name)
    return where


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is long, and read some hundred events at a time."""
    monkeypatch.setattr(reading, "LONG", 1)
    monkeypatch.setattr(reading, "BLOCK_ROWS", 120)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 60)


def _same(one: object, other: object, at: str = "") -> None:
    """Compare plain data: numbers to `NEAR`, everything else to the letter."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert list(one) == list(other), at
        for key in one:
            _same(one[key], other[key], f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), at
        for n, (a, b) in enumerate(zip(one, other, strict=True)):
            _same(a, b, f"{at}[{n}]")
    elif isinstance(one, float) and isinstance(other, float):
        assert math.isclose(one, other, rel_tol=NEAR, abs_tol=NEAR), (at, one, other)
    else:
        assert one == other, at


@pytest.mark.usefixtures("in_parts")
def test_a_long_log_has_the_laws_that_it_has_in_memory(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = reading.open_tables([runs])
    assert isinstance(table, LongTable)
    parts = [part for _, part in table.parts()]
    assert len(parts) == 10
    whole = analysis.read_tables(runs)
    assert table.executions.equals(whole.executions)
    assert table.summary() == whole.summary()
    assert table.caveats == whole.caveats
    keys = ("topology", "n")
    readings = 0
    read = reading._parts

    def counted(opened: Sequence[reading.OwnRun]) -> Iterator[EventTable]:
        nonlocal readings
        readings += 1
        return read(opened)

    monkeypatch.setattr(reading, "_parts", counted)
    found = analysis.laws(runs, by=keys, fast=True, gof=4, seed=2)
    assert readings == 2 * (1 + len(found.groups)), "what the page says of the cost of --by"
    wanted = analysis.laws(whole, by=keys, fast=True, gof=4, seed=2)
    _same(found.as_dict(), wanted.as_dict())
    assert found.summary() == wanted.summary()
    assert isinstance(found.whole.table, LongTable)
    assert [one.where for one in found.groups] == [one.where for one in wanted.groups]


@pytest.mark.parametrize(("even", "share"), [(0.0, "as by chance"), (1.0, "less than by chance")])
def test_switched_wirings_of_parts_say_what_those_of_the_whole_say(even: float, share: str) -> None:
    """Of cascades at random, and of some that are kept equal: the largest has less than by chance, at the least p."""
    whole = planted(1, even=even)
    parts = [whole.where(pl.col("execution") // 2 == n) for n in range(3)]
    long = LongTable(whole.executions, lambda: iter(parts))
    found, wanted = (gathered(t, chance=0, switched=199, risk=None, seed=1).switched for t in (long, whole))
    for one, other in zip(found.measures, wanted.measures, strict=True):
        assert one.value == pytest.approx(other.value, rel=NEAR)  # of the log itself
        assert one.low < one.high
        assert one.by_chance == pytest.approx(other.by_chance, abs=(other.high - other.low) / 8)
        assert (one.p_holm <= 0.05) == (other.p_holm <= 0.05)
    assert share in found.measures[2].summary()
    assert (found.measures[2].p == wanted.measures[2].p == 2 / 200) == (even == 1.0)


@pytest.mark.usefixtures("in_parts")
def test_a_long_log_with_what_was_asked_of_the_risk_set(runs: Path) -> None:
    many = runs / "many"
    found = analysis.laws(many, fast=True, risk="latest").whole.attachment
    wanted = analysis.laws(analysis.read_tables(many), fast=True, risk="latest").whole.attachment
    assert found == wanted
    silent = analysis.laws(many, fast=True).whole.attachment["decentralized"]
    assert isinstance(silent, str)
    assert "pass --risk" in silent


@pytest.mark.usefixtures("in_parts")
def test_the_same_run_twice_is_refused_and_imports_are_read_whole(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="given twice"):
        reading.open_tables([runs / "few", runs / "few"])
    from analysis.importers import store

    about = Imported("none", "x", "0", {}, ())
    store.save(analysis.read_tables(runs / "star"), tmp_path / "imported", about)
    assert isinstance(reading.open_tables([runs / "few", tmp_path / "imported"]), EventTable)


def _sample(rng: np.random.Generator, *, capped: bool = False) -> Sample:
    execution = np.repeat(np.arange(40), 25)
    values = np.floor(rng.pareto(1.5, 1000) + 1)
    cap = np.full(1000, values.max() if capped else np.inf)
    return Sample("size", values, execution, cap, "claims")


def test_counted_samples_are_the_samples_that_they_count() -> None:
    sample = _sample(np.random.default_rng(1), capped=True)
    short = pooled([packed(sample, 0)])
    assert len(short.values) < 500
    assert short.n == sample.n == 1000
    assert (short.capped, short.max_is_cap, short.has_caps) == (sample.capped, sample.max_is_cap, sample.has_caps)
    assert short.summary() == sample.summary()
    one, other = described(short), described(sample)
    _same(vars(one), vars(other))
    sizes = [effective_size(np.log1p(s.values), s.execution, s.count) for s in (short, sample)]
    assert sizes[0] == pytest.approx(sizes[1], rel=NEAR)
    often = Resampling(gof=3, interval=5, seed=1)
    fits = [
        fit_tail(s.counted, name="size", clusters={"execution": s.execution}, resampling=often) for s in (short, sample)
    ]
    assert fits[0].card.summary() == fits[1].card.summary()
    assert fits[0].gof == fits[1].gof
    assert fits[0].levels[0].interval == fits[1].levels[0].interval
    for name, test in fits[1].deciding.items():
        assert fits[0].deciding[name].log10_p == pytest.approx(test.log10_p, rel=1e-9)


def test_a_cap_that_is_passed_in_any_part_is_none() -> None:
    sample = _sample(np.random.default_rng(2), capped=True)
    passed = Sample(sample.name, sample.values, sample.execution, np.full(1000, np.inf), sample.unit, passed=True)
    both = pooled([packed(sample, 0), packed(passed, 40)])
    assert not both.has_caps
    assert both.passed
    assert both.execution.max() == 79
    assert pooled([packed(sample, 0), packed(sample, 40)]).has_caps


def test_values_that_are_all_the_same_are_worth_their_number() -> None:
    ones, cluster = np.full(300, math.log1p(4.0)), np.repeat(np.arange(30), 10)
    assert effective_size(ones, cluster) == 300


def test_choices_of_parts_are_the_choices_of_the_whole() -> None:
    """Claims of a part are numbered from 0; in the whole, those of the next part follow on the highest before."""
    first = [([1.0, 0.0, 2.0], [1], 0), ([0.0, 3.0], [1], 0)]
    of_first = [Offer([3, 2, 1], [4, 5, 6], [0, 1, 4]), Offer([2, 1], [4, 6], [0, 4])]
    second = ([2.0, 2.0, 0.0], [0, 2])
    third = ([5.0], [0])
    whole = make_choices(
        [*first, (*second, 1), (*third, 2)],
        [*of_first, Offer([9, 8, 1], [1, 2, 3], [5, 6, 8]), Offer([7], [2], [9])],
    )
    parts = [
        (0, make_choices(first, of_first)),
        (1, make_choices([])),
        (1, make_choices([(*second, 0)], [Offer([9, 8, 1], [1, 2, 3], [0, 1, 3])])),
        (2, make_choices([(*third, 0)], [Offer([7], [2], [0])])),
    ]
    joined = attachment_choices.joined(parts)
    assert joined.described
    for field in fields(Choices):
        assert getattr(joined, field.name).tolist() == getattr(whole, field.name).tolist(), field.name
    assert attachment_choices.joined(parts[1:2]).n_decisions == 0


@pytest.mark.usefixtures("in_parts")
def test_pictures_of_a_long_log_are_those_of_the_whole(runs: Path) -> None:
    from analysis.cascade_laws.figure_tables import lorenz_table, merges_table

    long = analysis.laws(runs, fast=True).whole
    whole = analysis.laws(analysis.read_tables(runs), fast=True).whole
    for table in (lorenz_table, merges_table):
        one, other = table(long), table(whole)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            pl.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    "brakes", [NO_BRAKES, Brakes(), Brakes(min_branches=3, min_tce=4, cooldown_events=5, max_triggers=2)]
)
def test_the_compiled_monitor_is_the_monitor(brakes: Brakes) -> None:
    rng = np.random.default_rng(3)
    execution = np.sort(rng.integers(5, size=2000))
    columns = {"row": np.arange(2000), "root": rng.integers(4, size=2000), "agent": rng.integers(-1, 5, size=2000)}
    rows = pl.DataFrame({"execution": execution, **columns, "merge": rng.random(2000) < 0.1})
    own = {e: Parameters(0.8 + 0.1 * e, 1.5 + 0.2 * e) for e in range(5)}
    wanted = []
    for e in range(5):
        monitor = Monitor(own[e], brakes)
        for at, row, root, agent, merge in rows.filter(pl.col("execution") == e).iter_rows():
            hit = monitor.observe(root, agent, row, merge=merge)
            if hit is not None:
                last = (hit.deficit, hit.events, hit.merges, len(hit.heads), hit.number)
                wanted.append((at, row, root, *last))
    assert len(wanted) > 30
    assert replay(rows, own, brakes).triggers.rows() == wanted
    assert replay(rows.head(0), own, brakes).triggers.height == 0
