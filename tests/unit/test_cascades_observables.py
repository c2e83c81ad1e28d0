"""Observables, concentration, integration, extremes, attachment, DTI and audits, on small logs."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from agentsoc.errors import InputError
from agentsoc.events import Event, Kind
from agentsoc.society.deficit import NO_BRAKES, Brakes, Monitor, Parameters
from analysis.cascade_laws.elites import concentration, lorenz, tce_weighted_influence
from analysis.cascade_laws.extremes import largest_growth
from analysis.claims.attachment import fit_attachment
from analysis.claims.attachment_choices import Choices, claim_choices, make_choices
from analysis.claims.cascades import cascades, claim_graph
from analysis.claims.dti import cascade_rows, estimate, first_trigger, replay
from analysis.claims.integration import COUNTED, Integration, integration
from analysis.fitcard import FitCard, range_warnings
from analysis.observables.audit import agreement, design_of, replication, structure_audit
from analysis.observables.described import effective_n, gini, top_share, top_size
from analysis.observables.sampled import Sample, observables, structures
from analysis.tables import EventTable, concat, from_events
from analysis.tails.verdict import DesignRepeats


def act(round_: int, agent: int, kind: Kind, claim: int | None, parents: tuple[int, ...] = (), **more: object) -> Event:
    return Event(0, round_, agent, 0, kind, claim, parents, **more)  # type: ignore[arg-type]


@pytest.fixture
def log() -> EventTable:
    """A hub (0) delegates to 1 and 2; both revise; 1 disputes 2's claim twice, 3 once much later; the hub merges."""
    return from_events(
        [
            act(0, 0, "propose_claim", 1, tokens_in=5, tokens_out=5, calls=1),
            act(1, 0, "delegate_subtask", None, target=1, subtask=11, subtask_parent=10),
            act(2, 0, "delegate_subtask", None, target=2, subtask=12, subtask_parent=10),
            act(3, 1, "revise_claim", 2, (1,), tokens_out=7),
            act(4, 2, "revise_claim", 3, (2,), tokens_out=2),
            act(5, 1, "contradict_claim", 4, (3,), tokens_out=1),
            act(8, 1, "contradict_claim", 5, (3,), tokens_out=1),
            act(12, 3, "contradict_claim", 6, (3,), tokens_out=1),
            act(13, 0, "merge_claims", 7, (4, 5, 6), tokens_out=9),
            act(13, 2, "endorse_claim", None, (7,), target=7),
            act(14, -1, "answer", 7, tokens_out=0),
            act(14, -1, "stop", None),
        ],
        run="r",
        n_agents=5,
    )


def values(sample: Sample) -> list[float]:
    return sorted(sample.values.tolist())


def test_every_observable_has_the_value_that_a_person_would_count(log: EventTable) -> None:
    found = {name: values(sample) for name, sample in observables(structures(log)).items()}
    assert found == {
        "delegation_subtree": [1, 1],
        "subtask_tree": [2],
        "revision_chain_len": [2],
        "contradiction_burst_recomputed": [1, 1],
        "merge_fan_in": [3],
        "tce": [6],
        "cascade_size": [6],
        "claim_descendant_count": [1, 1, 1, 4, 5, 6],
        "claim_out_degree": [1, 1, 1, 1, 1, 3],
        "claim_in_degree": [1, 1, 1, 1, 1, 3],
        "claim_depth": [1, 2, 3, 3, 3, 4],
        "agent_out_strength": [1, 1, 3, 3],
        "agent_out_degree": [1, 1, 2, 2],
        "agent_descendant_influence": [1, 4, 6, 7],
        "agent_unique_descendant_reach": [1, 4, 5, 6],
        "agent_effort_events": [1, 2, 3, 4],
        "agent_effort_tokens": [1, 2, 9, 19],
        "tce_tokens_execution": [31],
        "message_tokens_output": [1, 1, 1, 2, 5, 7, 9],
    }


def test_a_sample_knows_the_caps_of_the_design(log: EventTable) -> None:
    found = observables(structures(log))
    assert found["merge_fan_in"].cap.tolist() == [5]
    assert not found["merge_fan_in"].max_is_cap
    for outcome in ("cascade_size", "subtask_tree", "claim_out_degree", "agent_effort_events", "tce"):
        assert not found[outcome].has_caps, outcome  # what an execution brought forth is no design
    assert np.isinf(found["agent_effort_tokens"].cap).all()


def test_contradictions_three_rounds_apart_are_one_burst_and_four_are_two() -> None:
    def bursts(*rounds: int) -> list[float]:
        events = [act(r, i, "contradict_claim", 10 + i, (1,)) for i, r in enumerate(rounds)]
        table = from_events([act(0, 9, "propose_claim", 1), *events], run="r")
        return values(observables(structures(table))["contradiction_burst_recomputed"])

    assert bursts(1, 4, 7) == [3]
    assert bursts(1, 5) == [1, 1]


def test_a_revision_joins_the_oldest_chain_that_it_cites() -> None:
    table = from_events(
        [
            act(0, 0, "propose_claim", 1), act(1, 1, "revise_claim", 2, (1,)), act(2, 1, "revise_claim", 3, (1,)),
            act(3, 2, "revise_claim", 4, (3, 2)), act(4, 2, "revise_claim", 5, (4,)),
        ],
        run="r",
    )  # fmt: skip
    assert values(observables(structures(table))["revision_chain_len"]) == [1, 3]


def test_gini_top_share_and_effective_n_of_known_distributions() -> None:
    assert gini([3, 3, 3, 3]) == 0
    assert gini([0, 0, 0, 8]) == pytest.approx(0.75)
    assert top_share([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10]) == pytest.approx(11 / 20)
    assert effective_n([2, 2, 2]) == pytest.approx(3)
    assert effective_n([0, 0, 5]) == pytest.approx(1)
    assert np.isnan(gini([0, 0]))


@pytest.mark.parametrize(("n", "k"), [(1, 1), (8, 1), (10, 1), (11, 2), (70, 7), (110, 11), (128, 13)])
def test_the_top_tenth_is_rounded_up_but_not_by_the_rounding_of_the_machine(n: int, k: int) -> None:
    assert top_size(n) == k


def test_the_lorenz_curve_spans_the_gini_coefficient() -> None:
    x = np.array([1.0, 2.0, 3.0, 10.0])
    share, held = lorenz(x)
    assert (held[0], held[-1]) == (0, 1)
    area = float(np.sum(np.diff(share) * (held[1:] + held[:-1]) / 2))
    assert 1 - 2 * area == pytest.approx(gini(x))


def test_concentration_tells_active_agents_from_all_agents(log: EventTable) -> None:
    row = concentration(log, null_replicates=0).table.row(0, named=True)
    assert (row["n_active"], row["n_all"], row["k_active"], row["k_all"]) == (4, 5, 1, 1)
    assert row["events"] == 10
    assert row["top10_active"] == pytest.approx(0.4)
    assert row["gini_all"] > row["gini_active"]


def test_acts_handed_out_by_chance_are_no_more_concentrated_than_the_null() -> None:
    """200 executions of 30 acts by 10 agents: p values of the null are uniform; their mean is 0.5 +- 0.06 (3 sigma).

    Ties make p conservative, so the mean may lie above; below 0.44 it falls once in a thousand.
    """
    rng = np.random.default_rng(3)
    runs = [
        from_events(
            [act(i, int(a), "propose_claim", i) for i, a in enumerate(rng.integers(10, size=30))],
            run=f"r{r}",
            n_agents=10,
        )
        for r in range(200)
    ]
    found = concentration(concat(runs), null_replicates=100)
    assert found.null_events is not None
    assert 0.44 < found.null_events.top_share_p.mean() < 0.75
    assert found.null_events.gini.mean() == pytest.approx(found.table["gini_all"].mean(), abs=0.02)


def test_one_agent_doing_everything_is_beyond_the_null() -> None:
    table = from_events([act(i, 0, "propose_claim", i) for i in range(20)], run="r", n_agents=10)
    found = concentration(table, null_replicates=200)
    assert found.null_events is not None
    assert found.null_events.top_share_p[0] == pytest.approx(1 / 201)


def turns(counts: list[int]) -> EventTable:
    """One execution in which agent i acts as often as the i-th count says, of as many agents as there are counts."""
    who = [agent for agent, count in enumerate(counts) for _ in range(count)]
    events = [act(i, agent, "propose_claim", i, tokens_out=7, calls=1) for i, agent in enumerate(who)]
    return from_events(events, run="turns", n_agents=len(counts))


def test_where_everybody_has_one_turn_the_schedule_leaves_nothing_to_chance() -> None:
    found = concentration(turns([1] * 20), null_replicates=50)
    assert found.schedule_events is not None
    assert found.schedule_tokens is not None
    assert found.null_events is not None
    assert (found.schedule_events.gini[0], found.schedule_events.top_share[0]) == (0.0, pytest.approx(0.1))
    assert found.schedule_tokens.gini[0] == pytest.approx(0.0)
    assert found.null_events.gini[0] > 0.3


def test_the_schedules_chance_is_what_acts_beyond_the_first_give() -> None:
    """Three acts of two agents: one has two of them, whoever it is, so the Gini is 1/6 and the top share 2/3."""
    found = concentration(turns([1, 2]), null_replicates=50)
    assert found.schedule_events is not None
    assert found.schedule_events.gini[0] == pytest.approx(1 / 6)
    assert found.schedule_events.top_share[0] == pytest.approx(2 / 3)
    assert found.schedule_events.top_share_p[0] == 1.0


def test_both_kinds_of_chance_are_told_where_they_were_asked_for() -> None:
    free, scheduled = "where all acts fall by chance", "where each acts once and the rest by chance"
    asked, not_asked = (concentration(turns([3, 1, 1, 0]), null_replicates=n).summary() for n in (20, 0))
    assert free in asked
    assert scheduled in asked
    assert asked.index(scheduled) < asked.index(free)
    assert free not in not_asked
    assert scheduled not in not_asked


def test_influence_weighted_by_effort_counts_the_cascade_of_each_claim(log: EventTable) -> None:
    found = structures(log)
    weights = tce_weighted_influence(found.graph, found.cascades, found.reach)
    assert dict(zip(found.reach.actor_agent.tolist(), weights.tolist(), strict=True)) == {0: 12, 1: 18, 2: 6, 3: 6}


def test_integration_counts_merges_against_everything_else(log: EventTable) -> None:
    found = structures(log)
    result = integration(log, found.graph, found.cascades)
    row = result.executions.row(0, named=True)
    assert (row["merges"], row["expansion"], row["claims"]) == (1, 9, 7)
    assert row["participation"] == pytest.approx(4 / 7)
    assert row["integration"] == 1
    assert result.conversion().row(0, named=True)["mean_merge_per_tce"] == pytest.approx(1 / 6)
    assert result.roots == "earliest_parent"


def test_cascades_find_their_labels_by_execution_in_whatever_order_these_stand() -> None:
    runs = pl.DataFrame({"execution": [0, 1, 2], **dict.fromkeys(COUNTED, 1), "merges": 1, "expansion": 5})
    per_cascade = pl.DataFrame({"execution": [0, 1, 2, 2], "tce": [1, 1, 2, 2], "merge_per_tce": [0.1, 0.2, 0.4, 0.8]})
    found = Integration(runs, per_cascade, "logged")
    labels = pl.DataFrame({"execution": [0, 1, 2], "topology": ["star", "tree", "ring"]})
    for order in ([0, 1, 2], [2, 0, 1], [2, 1, 0]):
        rows = found.conversion(labels[order], "topology").select("topology", "n_cascades", "mean_merge_per_tce").rows()
        assert rows == [("ring", 2, pytest.approx(0.6)), ("star", 1, 0.1), ("tree", 1, 0.2)]
    for wrong in (labels[[0, 2]], labels[[0, 1, 1, 2]], labels[[1, 2]]):
        with pytest.raises(InputError, match="each number from 0 on once"):
            found.conversion(wrong, "topology")


def test_a_log_of_votes_alone_has_no_integration_and_says_so() -> None:
    table = from_events([act(0, 0, "vote", None), act(1, -1, "stop", None)], run="r")
    found = structures(table)
    assert integration(table, found.graph, found.cascades).summary() == "no coordination events"


def sample(draws: list[tuple[int, float]], caps: float = np.inf) -> Sample:
    pairs = np.array(draws).reshape(-1, 2)
    return Sample("x", pairs[:, 1], pairs[:, 0].astype(int), np.full(len(pairs), caps), "events")


def planted_growth(gamma: float, seed: int = 5) -> tuple[Sample, np.ndarray]:
    """20 executions at each of six N; the largest of ten values grows as N^gamma, with 10 % noise."""
    rng = np.random.default_rng(seed)
    n = np.repeat([8, 16, 32, 64, 128, 256], 20)
    draws = [
        (e, float(size**gamma * np.exp(rng.normal(0, 0.1)) / (1 + j))) for e, size in enumerate(n) for j in range(10)
    ]
    return sample(draws), n


def test_a_planted_growth_exponent_is_recovered_and_lies_beyond_the_null() -> None:
    values_, n = planted_growth(0.8)
    found = largest_growth(values_, n, replicates=200)
    assert found.by_mean.low < 0.8 < found.by_mean.high
    assert found.by_mean.high - found.by_mean.low < 0.1
    assert found.by_mean.beyond_null
    assert abs(found.zeta) < 1e-9
    assert abs(found.holdout_error) < 0.15
    assert math.isnan(found.at_cap)
    assert "no cap of the design is known" in found.summary()


def test_one_distribution_for_all_n_is_not_beyond_the_null() -> None:
    values_, n = planted_growth(0.0)
    assert not largest_growth(values_, n, replicates=200).by_mean.beyond_null


def test_growth_along_a_cap_is_told() -> None:
    n = np.repeat([8, 16, 32], 4)
    values_ = Sample("x", n - 1.0, np.arange(12), n - 1.0, "events")
    found = largest_growth(values_, n, replicates=50)
    assert found.at_cap == 1
    assert "100% are at their cap" in found.summary()
    assert any("span" in w for w in found.card.warnings)
    assert any("3 distinct" in w for w in found.card.warnings)


def test_growth_needs_two_sizes() -> None:
    with pytest.raises(InputError, match="has values at one number of agents only"):
        largest_growth(sample([(0, 1.0), (1, 2.0)]), np.array([8, 8]))
    with pytest.raises(InputError, match="has no values"):
        largest_growth(sample([]), np.array([8, 8]))


def test_a_largest_value_that_never_varies_has_no_growth() -> None:
    """An interval of no width would claim that it never could."""
    flat, one_off = ([(e, 1.0 + (e == last)) for e in range(6)] for last in (6, 5))
    n = np.array([8, 8, 16, 16, 32, 32])
    with pytest.raises(InputError, match="is 1 in every execution"):
        largest_growth(sample(flat), n)
    assert largest_growth(sample(one_off), n, replicates=50).by_mean.width > 0


def planted_choices(beta: float, *, decisions: int = 1500, seed: int = 0) -> Choices:
    """Decisions of one or two out of six alternatives with engagement 0..9, drawn with weight (x + 1)^beta."""
    rng = np.random.default_rng(seed)
    made = []
    for d in range(decisions):
        x = rng.integers(0, 10, size=6)
        weight = (x + 1.0) ** beta
        picked = rng.choice(6, size=1 + d % 2, replace=False, p=weight / weight.sum())
        made.append((x.tolist(), picked.tolist(), d % 30))
    return make_choices(made)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 1.5])
def test_a_planted_attachment_exponent_is_recovered(beta: float) -> None:
    """The estimate lies within 3.5 standard errors of the truth: once in two thousand seeds it would not."""
    found = fit_attachment(planted_choices(beta), groups=50)
    assert found.beta is not None
    assert found.se is not None
    assert found.interval is not None
    assert abs(found.beta - beta) < 3.5 * found.se
    assert found.se < 0.06
    assert found.interval[0] < found.beta < found.interval[1]


def test_choices_with_replacement_are_biased() -> None:
    fair, naive = (fit_attachment(planted_choices(1.5), replacement=r) for r in (False, True))
    assert fair.beta is not None
    assert naive.beta is not None
    assert naive.beta < fair.beta - 0.1


def test_taking_everything_identifies_nothing() -> None:
    found = fit_attachment(make_choices([([1, 2, 3], [0, 1, 2], 0), ([2, 2], [0], 0)]))
    assert found.beta is None
    assert "took all" in found.reason
    assert found.n_uninformative == 2


def test_an_exponent_beyond_its_range_is_a_bound() -> None:
    found = fit_attachment(make_choices([([0, 9], [1], e) for e in range(20)]))
    assert found.at_bound
    assert "only a bound" in found.summary()


def test_a_choice_is_made_among_what_could_be_read() -> None:
    """Agent 2 can read agent 0 only; among all earlier claims it had a choice, among its own risk set it had none."""
    table = from_events(
        [act(0, 0, "propose_claim", 1), act(0, 1, "propose_claim", 2), act(1, 2, "revise_claim", 3, (1,))], run="r"
    )
    graph = claim_graph(table)
    assert claim_choices(table, graph, risk="all").n_decisions == 1
    assert claim_choices(table, graph, risk="all", readable={2: [0]}).n_decisions == 0


def test_engagement_counts_citations_of_earlier_rounds() -> None:
    table = from_events(
        [
            act(0, 0, "propose_claim", 1), act(0, 1, "propose_claim", 2), act(1, 2, "revise_claim", 3, (1,)),
            act(1, 3, "revise_claim", 4, (1,)), act(2, 4, "revise_claim", 5, (2,)),
        ],
        run="r",
    )  # fmt: skip
    choices = claim_choices(table, claim_graph(table), risk="all")
    assert choices.engagement.tolist() == [0, 0, 0, 0, 2, 0, 0, 0]
    assert choices.chosen.tolist() == [0, 2, 5]


def test_the_monitor_fires_where_the_closed_form_says() -> None:
    p = Parameters()
    assert (first_trigger(p), first_trigger(p, restarted=True)) == (4, 7)
    monitor = Monitor(p)
    fired = [t for t in range(1, 30) if monitor.observe(1, t % 3, t, merge=False)]
    assert fired == [4, 11, 18, 25]


def test_a_trigger_names_the_latest_act_of_every_agent() -> None:
    monitor = Monitor(Parameters())
    hits = [monitor.observe(1, agent, row, merge=False) for row, agent in enumerate([5, 6, 5, 7])]
    assert hits[:3] == [None, None, None]
    assert hits[3] is not None
    assert hits[3].heads == (1, 2, 3)
    assert (hits[3].events, hits[3].merges, hits[3].number) == (4, 0, 1)


@pytest.mark.parametrize(
    ("brakes", "fired"),
    [
        (NO_BRAKES, [4, 11, 18, 25]),
        (Brakes(min_branches=1, min_tce=9, cooldown_events=0), [10, 17, 24]),
        (Brakes(min_branches=1, min_tce=0, cooldown_events=9), [4, 14, 24]),
        (Brakes(min_branches=1, min_tce=0, max_triggers=2), [4, 11]),
        (Brakes(min_branches=4, min_tce=0), []),
        (Brakes(min_branches=1, affordable=lambda branches: False), []),
    ],
)
def test_brakes_hold(brakes: Brakes, fired: list[int]) -> None:
    monitor = Monitor(Parameters(), brakes)
    assert [t for t in range(1, 30) if monitor.observe(1, t % 3, t, merge=False)] == fired


def test_merges_pay_the_deficit_off(log: EventTable) -> None:
    graph = claim_graph(log)
    rows = cascade_rows(log, graph, cascades(graph))
    assert rows["merge"].sum() == 1
    assert rows.height == 8
    assert replay(rows, Parameters()).triggers["events"].to_list() == [4]
    assert replay(rows, Parameters(threshold=50.0)).triggers.height == 0


def test_parameters_default_where_the_log_is_too_poor(log: EventTable) -> None:
    graph = claim_graph(log)
    found = estimate(cascade_rows(log, graph, cascades(graph)))
    assert found.parameters == Parameters(1.0, 2.0)
    assert (found.cascades, found.large_cascades, found.merge_points) == (1, 1, 1)


def repeated(sizes: list[list[int]], seeds: list[int]) -> EventTable:
    """Executions of chains of given lengths, one run each, with the given seeds."""
    tables = []
    for r, (lengths, seed) in enumerate(zip(sizes, seeds, strict=True)):
        events, claim = [], 0
        for chain in lengths:
            for i in range(chain):
                events.append(
                    act(i, claim % 4, "propose_claim" if i == 0 else "revise_claim", claim, (claim - 1,) if i else ())
                )
                claim += 1
        one = from_events(sorted(events, key=lambda e: e.round), run=f"r{r}", topology="chain", n_agents=4)
        tables.append(EventTable(one.events, one.executions.with_columns(seed=pl.lit(seed, pl.Int64))))
    return concat(tables)


def test_executions_that_only_repeat_their_cell_are_found() -> None:
    table = repeated([[3, 4], [3, 4], [5, 2], [5, 2]], [0, 0, 1, 1])
    audit = structure_audit(table)
    assert (audit.deterministic_cells, audit.repeated_cells) == (2, 2)
    found = observables(structures(table))["cascade_size"]
    assert replication(found, table) == DesignRepeats(1.0, 0.0, 1.0, 2, 1.0)
    mixed = EventTable(table.events, table.executions.with_columns(seed=pl.Series([0, 1, 0, 1])))
    assert replication(found, mixed) == DesignRepeats(0.0, 0.5, 0.0, 2, 1.0)
    apart = EventTable(table.events, table.executions.with_columns(seed=pl.Series([0, 1, 2, 3])))
    assert replication(found, apart) is None
    cut = EventTable(table.events, table.executions.with_columns(complete=pl.Series([True, False, None, True])))
    assert replication(found, cut) == DesignRepeats(1.0, 0.0, 1.0, 1, 2 / 3)
    again = design_of(found, table).replication
    assert again is not None
    assert again.by_design
    assert design_of(found, apart).replication is None  # two sizes, and other seeds are no repeats


def test_pairs_agree_as_a_person_would_count_them() -> None:
    found = agreement(["a", "a", "b", "a", "c"], [0, 0, 0, 1, 1])
    assert found is not None
    assert found.within == pytest.approx((3 * (1 / 3) + 2 * 0) / 5)
    assert found.between == pytest.approx(2 / 6)
    assert (found.repeats, found.covered) == (3, 1.0)
    assert agreement(["a", "b"], [0, 1]) is None
    one = agreement(["a", "a", "b"], [0, 0, 0])
    assert one is not None
    assert math.isnan(one.between)
    half = agreement(["a", "a", "b", "a"], [0, 0, 1, 2])
    assert half is not None
    assert half.covered == 0.5


def test_a_fit_card_has_a_digest_that_changes_with_what_it_says() -> None:
    one = FitCard({"a": 1.0}, {}, {}, {"alpha": 2.5}, ("careful",))
    assert one.digest() == FitCard({"a": 1.0 + 1e-15}, {}, {}, {"alpha": 2.5}, ("careful",)).digest()
    assert one.digest() != FitCard({"a": 1.0}, {}, {}, {"alpha": 2.6}, ("careful",)).digest()
    assert "warning: careful" in one.summary()
    assert range_warnings([1, 2, 4, 8, 16]) == ()
    assert len(range_warnings([1, 2])) == 2
