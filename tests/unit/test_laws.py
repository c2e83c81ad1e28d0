"""What is said about a set of executions besides its fits: null models that remain, and caveats by number of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentsoc.events import Event
from analysis.extremes import largest_growth
from analysis.laws import FAST, cannot_tell, examine
from analysis.observables import Sample
from analysis.tables import EventTable, concat, from_events
from analysis.tails import Design, TailFit, fit_tail
from analysis.tails.bootstrap import GoodnessOfFit
from analysis.tails.compare import Comparison
from analysis.tails.fit import ClusterLevel

POWER = "power law (goodness of fit not computed)"
TRUNCATED = "sandpile or near-critical branching (truncated power law)"
EXPONENTIAL = "subcritical growth (exponential tail)"
GROWTH = "one distribution for all N (growth of the largest)"


def compared(first: str, second: str, ratio: float, p: float = 0.01) -> Comparison:
    return Comparison(first, second, ratio, np.sign(ratio) * 2.6, p, np.log10(p), nested=False)


@pytest.fixture(scope="module")
def open_fit() -> TailFit:
    """A fit in which no test has been made yet."""
    found = fit_tail(np.random.default_rng(1).zipf(2.2, 500).astype(float))
    assert found.power is not None
    return replace(found, tests={}, levels=(), gof=None)


def told(fit: TailFit, *tests: Comparison) -> tuple[str, ...]:
    return cannot_tell(replace(fit, tests={str(place): test for place, test in enumerate(tests)}), Design(), None)


def test_without_a_test_that_decides_no_law_can_be_told_from_another(open_fit: TailFit) -> None:
    everything = (POWER, "lognormal", TRUNCATED, EXPONENTIAL)
    assert told(open_fit) == everything
    assert told(open_fit, compared("power_law", "lognormal", 3.0, p=0.05)) == everything
    assert told(open_fit, compared("power_law", "lognormal", -3.0, p=0.06)) == everything


@pytest.mark.parametrize(
    ("loser", "named"),
    [
        ("power_law", POWER),
        ("lognormal", "lognormal"),
        ("truncated_power_law", TRUNCATED),
        ("exponential", EXPONENTIAL),
    ],
)
def test_a_law_that_another_beats_is_told_apart_and_no_other_is(open_fit: TailFit, loser: str, named: str) -> None:
    rest = [name for name in (POWER, "lognormal", TRUNCATED, EXPONENTIAL) if name != named]
    assert told(open_fit, compared("stretched_exponential", loser, 3.0)) == tuple(rest)
    assert told(open_fit, compared(loser, "stretched_exponential", -3.0)) == tuple(rest)
    assert told(open_fit, compared("stretched_exponential", loser, -3.0)) == (
        POWER,
        "lognormal",
        TRUNCATED,
        EXPONENTIAL,
    )


def test_a_law_is_told_apart_by_the_coarsest_clusters_only(open_fit: TailFit) -> None:
    """Values taken as independent may decide what executions, or cells, do not."""
    among_values = {"x": compared("power_law", "lognormal", 3.0)}
    levels = [
        ClusterLevel(name, 12, {"x": compared("power_law", "lognormal", 3.0, p)}, None)
        for name, p in (("e", 0.01), ("c", 0.3))
    ]
    assert "lognormal" in cannot_tell(replace(open_fit, tests=among_values, levels=tuple(levels)), Design(), None)
    assert "lognormal" not in cannot_tell(
        replace(open_fit, tests=among_values, levels=tuple(levels[:1])), Design(), None
    )


def test_a_power_law_that_does_not_fit_is_told_apart(open_fit: TailFit) -> None:
    for p, stays in ((0.1, False), (0.11, True)):
        found = cannot_tell(replace(open_fit, gof=GoodnessOfFit(p, 100, 0.02)), Design(), None)
        assert ("power law" in found) is stays


def test_a_design_that_caps_or_repeats_values_can_be_all_that_is_seen(open_fit: TailFit) -> None:
    mixture = "deterministic mixture over N"
    for design in (Design(max_is_cap=True), Design(replication=0.5)):
        assert cannot_tell(open_fit, design, None)[0] == mixture
    assert mixture not in cannot_tell(open_fit, Design(replication=0.49), None)


def test_growth_that_one_distribution_gives_as_well_is_no_growth_law(open_fit: TailFit) -> None:
    n = np.repeat([8, 16, 32, 64], 12)
    rng = np.random.default_rng(2)
    for exponent, stays in ((0.0, True), (0.9, False)):
        largest = n**exponent * np.exp(rng.normal(0, 0.1, n.size))
        sample = Sample("size", largest, np.arange(n.size), np.full(n.size, np.inf), "claims")
        growth = largest_growth(sample, n, replicates=100)
        assert (GROWTH in cannot_tell(open_fit, Design(), growth)) is stays


def executions(n_cells: int, of_each: int = 1) -> EventTable:
    """Return executions of as many designs, which differ in the number of agents: each builds a claim on another."""
    tables = [
        from_events(
            [
                Event(task, 0, 0, 0, "propose_claim", 1),
                Event(task, 1, 1, 0, "revise_claim", 2, (1,)),
                Event(task, 2, -1, 0, "stop"),
            ],
            run=f"{cell}-{task}",
            topology="star",
            n_agents=2 + cell,
        )
        for cell in range(n_cells)
        for task in range(of_each)
    ]  # fmt: skip
    return concat(tables)


@pytest.mark.parametrize(
    ("n_cells", "of_each", "said"),
    [
        (1, 1, ["there is one execution, so its values are taken as independent"]),
        (1, 12, ["there is one design cell"]),
        (1, 9, ["there is one design cell", "there are only 9 executions"]),
        (2, 6, ["there are only 2 design cells"]),
        (2, 1, ["there are only 2 design cells", "there are only 2 executions"]),
        (9, 2, ["there are only 9 design cells"]),
        (10, 1, []),
    ],
)
def test_few_executions_and_few_design_cells_are_told_by_their_number(
    n_cells: int, of_each: int, said: list[str]
) -> None:
    caveats = examine(executions(n_cells, of_each), effort=FAST).caveats
    assert [text[: len(begin)] for text, begin in zip(caveats, said, strict=True)] == said
    few = "tests take executions as independent, and nothing is said about other designs"
    assert sum(few in text for text in caveats) == sum("design cell" in text for text in said)
