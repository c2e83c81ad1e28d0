"""What is said about a set of executions besides its fits: null models that remain, and caveats by number of cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from agentsoc.errors import InputError
from agentsoc.events import Event
from analysis.cascade_laws import examine as laws
from analysis.cascade_laws import gather
from analysis.cascade_laws.examine import FAST, cannot_tell, examine
from analysis.cascade_laws.extremes import largest_growth
from analysis.cascade_laws.groups import groups
from analysis.observables.audit import cells_of
from analysis.observables.sampled import Sample
from analysis.tables import EventTable, concat, from_events
from analysis.tails import Resampling, SampleDesign, TailFit, fit_tail
from analysis.tails.bootstrap import GoodnessOfFit
from analysis.tails.compare import LikelihoodRatio
from analysis.tails.fit import ClusterLevel
from analysis.tails.verdict import DesignRepeats

POWER = "power law (goodness of fit not computed)"
TRUNCATED = "sandpile or near-critical branching (truncated power law)"
EXPONENTIAL = "subcritical growth (exponential tail)"
GROWTH = "one distribution for all N (growth of the largest)"


def compared(first: str, second: str, ratio: float, p: float = 0.01) -> LikelihoodRatio:
    return LikelihoodRatio(first, second, ratio, np.sign(ratio) * 2.6, p, np.log10(p), nested=False)


@pytest.fixture(scope="module")
def open_fit() -> TailFit:
    """A fit in which no test has been made yet."""
    found = fit_tail(np.random.default_rng(1).zipf(2.2, 500).astype(float))
    assert found.power is not None
    return replace(found, tests={}, levels=(), gof=None)


def told(fit: TailFit, *tests: LikelihoodRatio) -> tuple[str, ...]:
    return cannot_tell(replace(fit, tests={str(place): test for place, test in enumerate(tests)}), SampleDesign(), None)


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
    assert "lognormal" in cannot_tell(replace(open_fit, tests=among_values, levels=tuple(levels)), SampleDesign(), None)
    assert "lognormal" not in cannot_tell(
        replace(open_fit, tests=among_values, levels=tuple(levels[:1])), SampleDesign(), None
    )


def test_a_power_law_that_does_not_fit_is_told_apart(open_fit: TailFit) -> None:
    for p, stays in ((0.1, False), (0.11, True)):
        found = cannot_tell(replace(open_fit, gof=GoodnessOfFit(p, 100, 0.02)), SampleDesign(), None)
        assert ("power law" in found) is stays


def test_a_design_that_caps_or_repeats_values_can_be_all_that_is_seen(open_fit: TailFit) -> None:
    mixture = "deterministic mixture over N"
    for design in (SampleDesign(max_is_cap=True), SampleDesign(replication=DesignRepeats(0.5, 0.0, 0.0, 50))):
        assert cannot_tell(open_fit, design, None)[0] == mixture
    for again in (
        DesignRepeats(0.49, 0.0, 0.0, 50),
        DesignRepeats(0.6, 0.4, 0.0, 50),
        DesignRepeats(0.6, 0.6, 0.0, 50),
    ):
        assert mixture not in cannot_tell(open_fit, SampleDesign(replication=again), None)


def test_growth_that_one_distribution_gives_as_well_is_no_growth_law(open_fit: TailFit) -> None:
    n = np.repeat([8, 16, 32, 64], 12)
    rng = np.random.default_rng(2)
    for exponent, stays in ((0.0, True), (0.9, False)):
        largest = n**exponent * np.exp(rng.normal(0, 0.1, n.size))
        sample = Sample("size", largest, np.arange(n.size), np.full(n.size, np.inf), "claims")
        growth = largest_growth(sample, n, replicates=100)
        assert (GROWTH in cannot_tell(open_fit, SampleDesign(), growth)) is stays


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


# How one observable is examined


@pytest.fixture
def asked(open_fit: TailFit, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `fit_tail` and `largest_growth` are asked for; the fit has as many values in its tail as ``n_tail`` says."""
    said: dict[str, Any] = {"fits": [], "n_tail": 500, "growth": []}

    def fitted(values: object, **options: Any) -> TailFit:
        said["fits"].append(options)
        power = None if said["n_tail"] is None else replace(open_fit.power, n_tail=said["n_tail"])  # type: ignore[type-var]
        return replace(open_fit, power=power)

    def grown(sample: Sample, n_agents: object, **options: Any) -> None:
        said["growth"].append(options)
        if said.get("refuses"):
            raise InputError("all executions have one N", "N", "add some")

    monkeypatch.setattr(laws, "fit_tail", fitted)
    monkeypatch.setattr(laws, "largest_growth", grown)
    return said


def sample_of(execution: list[int]) -> Sample:
    values = np.arange(2.0, len(execution) + 2)
    return Sample("size", values, np.array(execution), np.full(len(execution), np.inf), "claims")


def law(table: EventTable, sample: Sample) -> laws.Law:
    return laws._law(sample, table, cells_of(table), laws.ResamplingEffort(7, 8, 9, 10, 11), 12)


@pytest.mark.parametrize(
    ("n_cells", "of_each", "execution", "levels"),
    [
        (1, 1, [0] * 20, []),
        (1, 2, [1] * 20, []),
        (1, 2, [0, 1] * 10, ["execution"]),
        (9, 2, [*range(18), 0, 1], ["execution"]),
        (10, 2, [*range(18), 0, 1], ["execution"]),  # no value is from the tenth cell
        (10, 2, list(range(20)), ["execution", "design cell"]),
    ],
)
def test_tests_go_by_executions_where_there_are_two_and_by_cells_where_there_are_enough(
    asked: dict[str, Any], n_cells: int, of_each: int, execution: list[int], levels: list[str]
) -> None:
    table = executions(n_cells, of_each)
    sample = sample_of(execution)
    law(table, sample)
    [fit] = asked["fits"]
    assert list(fit["clusters"]) == levels
    if levels:
        assert fit["clusters"]["execution"].tolist() == execution
    if len(levels) == 2:
        assert fit["clusters"]["design cell"].tolist() == cells_of(table)[execution].tolist()
    assert (fit["resampling"], fit["xmin"]) == (Resampling(gof=7, interval=8, seed=12), None)


@pytest.mark.parametrize(("n_tail", "whole"), [(2, False), (1, True), (20, False), (None, False)])
def test_all_values_are_fitted_as_well_where_less_than_a_tenth_is_in_the_tail(
    asked: dict[str, Any], n_tail: int | None, whole: bool
) -> None:
    asked["n_tail"] = n_tail
    found = law(executions(1, 2), sample_of([0, 1] * 10))
    assert (found.whole is not None) is whole
    assert [fit["xmin"] for fit in asked["fits"]] == ([None, 2.0] if whole else [None])


@pytest.mark.parametrize("seeds", [[1, 1, 2, 2], [1, 1, None, None], [None] * 4])
def test_growth_goes_by_cells_and_by_executions_where_no_seed_is_known(
    asked: dict[str, Any], seeds: list[int | None]
) -> None:
    table = executions(1, 4)
    table = EventTable(table.events, table.executions.with_columns(seed=pl.Series(seeds, dtype=pl.Int64)))
    law(table, sample_of([0, 1, 2, 3]))
    [growth] = asked["growth"]
    units = growth["clusters"].tolist()
    for a in range(4):
        for b in range(a):
            assert (units[a] == units[b]) is (seeds[a] is not None and seeds[a] == seeds[b])
    assert (growth["replicates"], growth["seed"]) == (9, 12)


def test_where_growth_cannot_be_looked_at_it_is_said_why(asked: dict[str, Any]) -> None:
    assert law(executions(1), sample_of([0] * 5)).no_growth == ""
    asked["refuses"] = True
    found = law(executions(1), sample_of([0] * 5))
    assert (found.growth, found.no_growth) == (None, "all executions have one N")


# Attachment


def topology_of(name: str | None, run: str, **columns: Any) -> EventTable:
    table = from_events(
        [
            Event(0, 0, 0, 0, "propose_claim", 1),
            Event(0, 1, 1, 0, "revise_claim", 2, (1,)),
            Event(0, 2, -1, 0, "stop"),
        ],
        run=run,
        topology=name,
        n_agents=2,
    )
    series = [pl.Series(key, values, dtype=pl.List(pl.Int64)) for key, values in columns.items()]
    return EventTable(table.events.with_columns(series), table.executions)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """By which way the choices of parents were found."""
    ways: list[Any] = []
    monkeypatch.setattr(gather, "offered_choices", lambda part: ("offered", None, None))
    monkeypatch.setattr("analysis.claims.attachment_choices.joined", lambda parts: parts[0][1])
    monkeypatch.setattr(
        gather, "claim_choices", lambda part, graph, risk, logged_visibility: ("claims", risk, logged_visibility)
    )

    def noted(choices: tuple[Any, ...], groups: Any) -> str:
        ways.append((*choices, groups))
        return "a fit"

    monkeypatch.setattr(laws, "examine_attachment", noted)
    return ways


def looked_for(table: EventTable, risk: Any) -> dict[str, Any]:
    """What is found of attachment in each topology of a log that is in memory."""
    parts = gather._Parts()
    parts.add_choices(table, 0, risk)
    return laws._attachment(parts.all_choices(), laws.ResamplingEffort(7, 8, 9, 10, 11))


UNKNOWN = "the log does not say which claims an agent could read; if all could be read, pass --risk"


@pytest.mark.parametrize(
    ("columns", "risk", "result", "way"),
    [
        ({}, None, UNKNOWN, []),
        ({}, "all", "a fit", [("claims", "all", False, 11)]),
        ({}, "latest", "a fit", [("claims", "latest", False, 11)]),
        ({"visible": [None, [0], None]}, None, "a fit", [("claims", "latest", True, 11)]),
        ({"visible": [None, [0], None]}, "all", "a fit", [("claims", "all", True, 11)]),
        ({"visible": [None, None, None]}, None, UNKNOWN, []),
        ({"offered": [None, [1], None]}, None, "a fit", [("offered", None, None, 11)]),
        ({"offered": [None, [1], None], "visible": [None, [0], None]}, "all", "a fit", [("offered", None, None, 11)]),
    ],
)
def test_choices_are_taken_from_what_the_log_says_best(
    fitted: list[Any], columns: dict[str, Any], risk: Any, result: str, way: list[Any]
) -> None:
    assert looked_for(topology_of("star", "a", **columns), risk) == {"star": result}
    assert fitted == way


def test_attachment_is_looked_for_in_each_topology_by_itself(fitted: list[Any]) -> None:
    """One that does not tell what could be read, in whatever place, does not end the search in others."""
    offered = {"offered": [None, [1], None]}
    tables = [topology_of("chain", "a"), topology_of("star", "b", **offered), topology_of(None, "c", **offered)]
    found = looked_for(concat(tables), None)
    assert found == {"chain": UNKNOWN, "star": "a fit", "unknown": "a fit"}
    assert len(fitted) == 2


def test_what_is_taken_for_granted_about_reading_is_a_caveat() -> None:
    table = executions(10)
    assert examine(table, effort=FAST).caveats == ()
    for risk, words in (("all", "every earlier claim"), ("latest", "everybody's latest earlier claim")):
        [caveat] = examine(table, effort=FAST, risk=risk).caveats  # type: ignore[arg-type]
        assert f"could read {words}, unless the log says otherwise" in caveat
    assert examine(replace(table, caveats=("known before",)), effort=FAST).caveats == ("known before",)


def test_executions_are_grouped_by_what_is_asked_for_in_order() -> None:
    tables = [topology_of("star", "a"), topology_of("chain", "b"), topology_of(None, "c"), topology_of("star", "d")]
    found = groups(concat(tables), ("topology",))
    assert [(where, part.n_executions) for where, part in found] == [
        ({"topology": "chain"}, 1),
        ({"topology": "star"}, 2),
        ({"topology": None}, 1),
    ]
    both = groups(concat(tables), ("topology", "n", "run"))
    assert [where["run"] for where, _ in both] == ["b", "a", "d", "c"]
    assert [where["n"] for where, _ in both] == [2] * 4
    with pytest.raises(InputError) as raised:
        groups(concat(tables), ("topology", "colour", "size"))
    assert "'colour'" in raised.value.problem.what
    assert raised.value.problem.where == "--by"
