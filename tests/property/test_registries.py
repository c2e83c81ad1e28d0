"""What the analysis finds by entry point: each object keeps the promises of its kind, and each has a row here.

An object without a row fails `test_everything_registered_has_a_row`, so nothing is added without being tried.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentsoc.cli import main
from agentsoc.errors import InputError
from analysis.importers import store
from analysis.importers.importer import IMPORTERS, import_log
from analysis.observables.base import OBSERVABLES
from analysis.observables.sampled import BUILT_IN, observables, structures
from analysis.registry import Registry
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS
from analysis.tails import fit_at, fit_tail, histogram
from analysis.tails.competitor import COMPETITORS

DATA = Path(__file__).parents[1] / "data"
SETTINGS = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SEEDS = st.integers(0, 2**32 - 1)


class TailRow(NamedTuple):
    """A competitor: a law with known parameters, and how to draw from its tail above 1."""

    params: dict[str, float]
    draw: Callable[[np.random.Generator, int], np.ndarray]
    told: tuple[str, ...]
    """Parameters that a fit gives back within its interval, which is one in twenty times too short."""


def _from_survival(survival: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Return draws of whole numbers x >= 1 with P(X >= x) = survival(x), by inversion on a grid."""
    grid = survival(np.arange(1.0, 20_000.0))

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return np.searchsorted(-grid, -rng.random(n), side="right").astype(float)

    return draw


def _truncated(x: np.ndarray) -> np.ndarray:
    mass = x**-1.5 * np.exp(-0.02 * x)
    return np.asarray(np.cumsum(mass[::-1])[::-1] / mass.sum())


TAILS: dict[str, TailRow] = {
    "exponential": TailRow({"rate": 0.1}, _from_survival(lambda x: np.exp(-0.1 * (x - 1))), ("rate",)),
    "truncated_power_law": TailRow({"alpha": 1.5, "rate": 0.02}, _from_survival(_truncated), ("alpha", "rate")),
    "lognormal": TailRow(
        {"mu": 2.0, "sigma": 1.0}, lambda rng, n: np.maximum(np.rint(rng.lognormal(2, 1, n)), 1.0), ()
    ),
    "stretched_exponential": TailRow(
        {"beta": 0.5, "slope": 0.5},
        _from_survival(lambda x: np.exp(-0.5 * (((x - 0.5) / 0.5) ** 0.5 - 1) / 0.5)),
        ("beta", "slope"),
    ),
}

IMPORTED: dict[str, Path] = {
    "mas-elites": DATA / "mas_elites" / "raw_sample",
    "claims": DATA / "claims" / "two_teams.csv",
    "transcripts": DATA / "who_when",
    "messages": DATA / "formats" / "autogen04_result.json",
    "otlp": DATA / "formats" / "langfuse.json",
    "inspect": DATA / "formats" / "inspect_sample.json",
}

UNITS: dict[str, str] = {
    "delegation_subtree": "subtasks",
    "subtask_tree": "subtasks",
    "revision_chain_len": "revisions",
    "contradiction_burst_logged": "agents",
    "contradiction_burst_recomputed": "agents",
    "merge_fan_in": "claims",
    "tce_logged": "events",
    "tce": "events",
    "cascade_size": "claims",
    "claim_descendant_count": "claims",
    "claim_out_degree": "claims",
    "claim_in_degree": "claims",
    "claim_depth": "steps",
    "agent_out_strength": "edges",
    "agent_out_degree": "agents",
    "agent_descendant_influence": "claims",
    "agent_unique_descendant_reach": "claims",
    "agent_effort_events": "events",
    "agent_effort_tokens": "tokens",
    "tce_tokens_execution": "tokens",
    "message_tokens_output": "tokens",
}


def test_everything_registered_has_a_row() -> None:
    found = structures(IMPORTERS.get("mas-elites").read(IMPORTED["mas-elites"], "visible").table)
    assert set(COMPETITORS.all()) == set(TAILS)
    assert set(IMPORTERS.all()) == set(IMPORTED)
    assert {make(found).name for make in BUILT_IN} | set(OBSERVABLES.all()) == set(UNITS)


@pytest.mark.parametrize("name", COMPETITORS.all())
@SETTINGS
@given(seed=SEEDS, n=st.integers(80, 600))
def test_a_competitor_is_a_probability_law_at_its_best_parameters(name: str, seed: int, n: int) -> None:
    law, sample = COMPETITORS.get(name), histogram(TAILS[name].draw(np.random.default_rng(seed), n))
    power = fit_at(sample, 1.0)
    model = law.fit(sample, power)
    assert model.name == name
    assert set(model.params) == set(TAILS[name].params)
    assert np.all(model.log_mass <= 1e-12)
    assert model.loglik == pytest.approx(float(sample.counts @ model.log_mass), rel=1e-9)
    x = np.arange(1.0, 200.0)
    above = law.survival(model, x, discrete=True)
    assert above[0] == pytest.approx(1.0, abs=1e-9)
    assert np.all(np.diff(above) <= 1e-12)
    inside = sample.values[sample.values < 199].astype(int)
    drops = (above[:-1] - above[1:])[inside - 1]
    assert np.allclose(drops, np.exp(model.log_mass[: len(inside)]), rtol=1e-5, atol=1e-9)
    if law.holds_power_law:
        assert model.loglik >= power.loglik - 1e-9 * abs(power.loglik)


@pytest.mark.parametrize("name", COMPETITORS.all())
@SETTINGS
@given(seed=SEEDS)
def test_intervals_of_a_competitor_hold_its_estimate_and_grow_with_their_level(name: str, seed: int) -> None:
    law, sample = COMPETITORS.get(name), histogram(TAILS[name].draw(np.random.default_rng(seed), 400))
    model = law.fit(sample, fit_at(sample, 1.0))
    found = {level: law.intervals(model, sample, level=level) for level in (0.5, 0.95)}
    assert set(found[0.95]) == set(model.params)
    for parameter, value in model.params.items():
        narrow, wide = found[0.5][parameter], found[0.95][parameter]
        slack = 1e-6 * (1 + abs(value))
        assert narrow.low - slack <= value <= narrow.high + slack
        assert wide.low - slack <= narrow.low
        assert narrow.high <= wide.high + slack


@pytest.mark.parametrize(("name", "parameter"), [(name, told) for name, row in TAILS.items() for told in row.told])
def test_a_competitor_gives_its_parameters_back(name: str, parameter: str) -> None:
    """Twenty samples with fixed seeds; a right interval of 95 % misses more than four of twenty once in 400 times."""
    law, row = COMPETITORS.get(name), TAILS[name]
    missed = 0
    for seed in range(20):
        sample = histogram(row.draw(np.random.default_rng(seed), 1000))
        found = law.intervals(law.fit(sample, fit_at(sample, 1.0)), sample)[parameter]
        missed += not found.low <= row.params[parameter] <= found.high
    assert missed <= 4


def test_short_names_and_styles_tell_competitors_apart() -> None:
    every = COMPETITORS.all().values()
    assert len({one.short for one in every}) == len({one.style for one in every}) == len(every)


def _require_installed(name: str) -> None:
    if name == "inspect":
        pytest.importorskip("inspect_ai", reason="the extra inspect is not installed")


@pytest.mark.parametrize("name", IMPORTERS.all())
def test_an_importer_gives_a_table_that_is_stored_and_read_back_for_each_of_its_rules(
    name: str, tmp_path: Path
) -> None:
    _require_installed(name)
    importer = IMPORTERS.get(name)
    for rule in importer.parent_rules or (None,):
        table, about = import_log(name, IMPORTED[name], tmp_path / str(rule), parents=rule)
        assert about.importer == name
        assert about.rules.get("parents") == rule
        assert {key: table.events.schema[key] for key in EVENT_COLUMNS} == {**EVENT_COLUMNS}
        assert set(EXECUTION_COLUMNS) <= set(table.executions.columns)
        assert table.events["execution"].is_sorted()
        assert set(table.events["execution"]) <= set(range(table.n_executions))
        again, told = store.load(tmp_path / str(rule))
        assert told == replace(about, rules=dict(about.rules))
        assert again.events.equals(table.events)
        assert again.executions.equals(table.executions)
        assert observables(structures(again))
    with pytest.raises(InputError, match=r"no rule 'gossip'|names its own parents"):
        importer.rule("gossip")


@pytest.mark.parametrize("source", IMPORTED.values(), ids=list(IMPORTED))
def test_samples_of_observables_lie_within_their_executions_and_caps(source: Path) -> None:
    name = next(name for name, path in IMPORTED.items() if path == source)
    _require_installed(name)
    table = IMPORTERS.get(name).read(source, IMPORTERS.get(name).rule(None)).table
    for key, sample in observables(structures(table)).items():
        assert sample.name == key
        assert sample.unit == UNITS[key]
        assert len(sample.values) == len(sample.execution) == len(sample.cap)
        assert np.all(sample.values > 0)
        assert np.all(sample.values <= sample.cap)
        assert np.all((sample.execution >= 0) & (sample.execution < table.n_executions))


OTHERS = """
import numpy as np
from analysis.importers.importer import Importer, LogReading
from analysis.importers.claims import import_claims
from analysis.observables.base import Observable, sample_of
from analysis.tails.competitors.exponential import ExponentialTail

class Twin(ExponentialTail):
    name = "twin"
    place = 100
    short = "twin"
    style = ("k", ":")

    def fit(self, tail, power):
        found = super().fit(tail, power)
        return type(found)("twin", found.xmin, found.params, found.loglik, found.log_mass, ())

class Letters(Importer):
    name = "letters"
    reads = "a box of letters"

    def read(self, path, parents):
        return LogReading(import_claims(path), notes=("from a box",))

class Acts(Observable):
    name = "acts_of_an_execution"

    def measure(self, found):
        counts = np.diff(found.table.starts)
        return sample_of(self.name, counts, np.arange(len(counts)), None, "events")
"""
LINES = """[analysis.tail_competitors]
twin = others_package:Twin
[analysis.importers]
letters = others_package:Letters
[analysis.observables]
acts_of_an_execution = others_package:Acts
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package of somebody else's that adds one object of each kind."""
    (tmp_path / "others_package.py").write_text(OTHERS)
    info = tmp_path / "others_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(LINES)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("others_package", None)  # each test writes its own
    every: tuple[Registry[Any], ...] = (COMPETITORS, IMPORTERS, OBSERVABLES)
    for registry in every:
        registry.forget()
    yield tmp_path
    monkeypatch.undo()
    sys.modules.pop("others_package", None)
    for registry in every:
        registry.forget()


def test_another_package_adds_a_competitor_an_importer_and_an_observable(
    others: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = fit_tail(TAILS["exponential"].draw(np.random.default_rng(1), 500), xmin=1.0)
    assert list(found.models)[-1] == "twin"
    assert abs(found.tests["twin"].ratio - found.tests["exponential"].ratio) < 1e-9
    assert set(found.card.form["competitors"]) == set(COMPETITORS.all())  # type: ignore[arg-type]
    assert main.main(["import", "letters", str(IMPORTED["claims"]), "--out", str(others / "in"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == ["from a box"]
    assert main.main(["laws", str(others / "in"), "--fast"]) == 0
    assert "acts_of_an_execution" in capsys.readouterr().out


def test_an_entry_point_that_names_something_else_is_refused_by_name(
    others: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = others / "others_package-1.0.dist-info" / "entry_points.txt"
    for wrong, text in (("others_package:Acts", "is no Importer"), ("others_package:Gone", "cannot be loaded")):
        lines.write_text(f"[analysis.importers]\nletters = {wrong}\n")
        importlib.invalidate_caches()
        IMPORTERS.forget()
        with pytest.raises(InputError, match=text):
            IMPORTERS.all()
    with pytest.raises(InputError, match="did you mean lognormal"):
        COMPETITORS.get("lognormall")


def test_no_package_takes_the_place_of_a_built_in_observable(others: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (others / "others_package.py").write_text(OTHERS.replace("acts_of_an_execution", "cascade_size"))
    lines = others / "others_package-1.0.dist-info" / "entry_points.txt"
    lines.write_text("[analysis.observables]\ncascade_size = others_package:Acts\n")
    importlib.invalidate_caches()
    sys.modules.pop("others_package", None)
    OBSERVABLES.forget()
    table = IMPORTERS.get("claims").read(IMPORTED["claims"], "").table
    with pytest.raises(InputError, match="cascade_size is built in"):
        observables(structures(table))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('sample_of("cascade_size", np.ones(1), np.zeros(1, int), None, "events")', "a sample named cascade_size"),
        ('sample_of(self.name, np.ones(1), np.array([99]), None, "events")', "outside of 0 to"),
        ('sample_of(self.name, np.array([np.nan]), np.zeros(1, int), None, "events")', "nan is no value"),
        ('sample_of(self.name, np.array([-1]), np.zeros(1, int), None, "events")', "-1.0 is no value"),
        ('sample_of(self.name, np.ones(2), np.zeros(1, int), None, "events")', "the execution of each value"),
        ("None", "measure gave NoneType"),
    ],
)
def test_what_an_added_observable_measures_is_looked_at(others: Path, body: str, said: str) -> None:
    kept = 'sample_of(self.name, counts, np.arange(len(counts)), None, "events")'
    assert kept in OTHERS
    (others / "others_package.py").write_text(OTHERS.replace(kept, body))
    table = IMPORTERS.get("claims").read(IMPORTED["claims"], "").table
    with pytest.raises(InputError, match=said):
        observables(structures(table))


@pytest.mark.parametrize(
    ("body", "said"),
    [("None", "gave NoneType, not a LogReading"), ("LogReading({})", "gave a dict as table, not a LogReading")],
)
def test_an_importer_that_gives_no_reading_is_named(others: Path, body: str, said: str) -> None:
    (others / "others_package.py").write_text(
        OTHERS.replace("return LogReading(import_claims(path)", f"return {body}  # ")
    )
    with pytest.raises(InputError, match=said):
        import_log("letters", IMPORTED["claims"], others / "in")
    assert not (others / "in").exists()


def test_an_object_without_a_name_is_refused_by_its_entry_point(others: Path) -> None:
    (others / "others_package.py").write_text(OTHERS.replace('    name = "letters"\n', ""))
    with pytest.raises(InputError, match="others_package:Letters is no Importer of the name letters"):
        IMPORTERS.all()
