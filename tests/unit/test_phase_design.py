"""The exact designer finds what a full enumeration finds, obeys budget and window, and respects the synergy theorem."""

from __future__ import annotations

import numpy as np
import pytest

from agentsoc.errors import InputError
from analysis.synergy.planning.design import Design, DesignTerms, best_depth, search
from analysis.synergy.theory import formulas as th


def enumerate_designs(budget: int, window: int, leaf: th.LeafLaw, curve: th.FidelityCurve, rho: float) -> list[Design]:
    """Return every design there is, in plain loops over the theory."""
    found = [Design("single", 1, 0, 0, 1, float(budget), 1.0, float(leaf(budget)))]
    for m in range(1, window + 1):
        gamma = float(curve(m))
        for b in range(3, window // m + 1, 2):
            depth, x = 1, float(th.leaf_tokens(budget, b, 1, m))
            while x > 1:
                mu = float(th.trajectory(leaf(x), b, gamma, rho, depth)[-1])
                found.append(Design("star" if depth == 1 else "tree", b, m, depth, b**depth, x, gamma, mu))
                depth += 1
                x = float(th.leaf_tokens(budget, b, depth, m))
        crowds = [(n, budget / n - n * m) for n in range(3, window // m + 2, 2)]
        found += [
            Design("full", n, m, 1, n, x, gamma, float(th.full_vote(n, gamma, leaf(x), rho)))
            for n, x in crowds
            if x > 1
        ]
    return found


@pytest.mark.parametrize(
    ("budget", "window", "rho", "beta"),
    [(400, 60, 0.1, 0.1), (3000, 90, 0.0, 0.2), (3000, 90, 0.6, 0.05), (20_000, 40, 0.2, 0.05), (800, 120, 0.1, 0.45)],
)
def test_search_finds_the_best_of_each_organisation_that_enumeration_finds(
    budget: int, window: int, rho: float, beta: float
) -> None:
    leaf, curve = th.LeafLaw(0.03, beta, 0.98), th.FidelityCurve("hyp", 5)
    designs = enumerate_designs(budget, window, leaf, curve, rho)
    report = search(budget, window, leaf, curve, rho)
    assert report.n_candidates == len(designs)
    assert report.best.mu == pytest.approx(max(d.mu for d in designs), rel=1e-12)
    for organisation, best in report.by_organisation.items():
        assert best.mu == pytest.approx(max(d.mu for d in designs if d.organisation == organisation), rel=1e-12)


def test_designs_cost_the_budget_and_fit_the_window() -> None:
    report = search(1e5, 2000, th.LeafLaw(0.02, 0.15, 0.98), th.FidelityCurve("exp", 60), 0.1)
    assert set(report.by_organisation) == {"single", "star", "tree", "full"}
    for design in report.by_organisation.values():
        n, x, m = design.n_leaves, design.x, design.m
        cost = {
            "single": x,
            "star": float(th.star_cost(n, x, m)),
            "tree": float(th.tree_cost(max(design.b, 2), design.depth, x, m)),
            "full": float(th.full_cost(n, x, m)),
        }[design.organisation]
        assert cost == pytest.approx(1e5)
        assert design.context <= 2000
        assert 0.5 <= design.accuracy <= 1
    assert report.gain > 1
    assert report.best.organisation in report.summary()


def test_named_messages_and_organisations_restrict_the_search() -> None:
    leaf = th.LeafLaw(0.02, 0.15, 0.98)
    report = search(1e5, 2000, leaf, 0.9, 0.1, messages=[50], organisations=["tree"])
    assert set(report.by_organisation) == {"single", "tree"}
    assert report.by_organisation["tree"].m == 50
    report = search(1e5, 2000, leaf, 0.9, 0.1, messages=[50], organisations=[])
    assert report.best.organisation == "single"
    assert "no organisation beats it" in report.summary()


def test_weak_leaves_below_the_exponent_never_pay_and_above_it_some_budget_pays() -> None:
    rng = np.random.default_rng(11)
    below = above = 0
    for _ in range(160):
        b, m = int(rng.choice([3, 5, 7, 9, 15])), int(rng.integers(5, 200))
        gamma, rho, beta = rng.uniform(0.5, 1), rng.uniform(0, 0.6), rng.uniform(0.02, 0.45)
        s = float(th.organization_exponent(b, gamma, rho))
        # So weak a leaf that even the deepest tree here stays in the growth regime.
        leaf = th.LeafLaw(1e-9, beta)
        start = float(th.depth_threshold(b, 1, th.overhead(b, m), beta, s)) if s > beta else 1e4
        budgets = np.geomspace(20, 1e7, 8) if s <= beta else [start * 1.001, start * 3]
        wins = [
            best_depth(float(x), b, m, gamma, rho, leaf, terms=DesignTerms(1e-3)).best.depth > 0
            for x in budgets
            if x < 1e9
        ]
        if s <= beta:
            below += 1
            assert not any(wins)
        elif wins:
            above += 1
            assert all(wins)
    assert min(below, above) > 40


def test_just_below_the_threshold_of_depth_one_no_tree_pays() -> None:
    a = th.allocation(5, 0.9, 0.1, 50, th.LeafLaw(1e-9, 0.15))
    assert best_depth(a.depth_thresholds[0] * 0.999, 5, 50, 0.9, 0.1, th.LeafLaw(1e-9, 0.15)).best.depth == 0
    assert best_depth(a.depth_thresholds[0] * 1.001, 5, 50, 0.9, 0.1, th.LeafLaw(1e-9, 0.15)).best.depth == 1


@pytest.mark.parametrize("factor", [1.0, 3.0, 100.0])
def test_from_the_catch_up_budget_on_one_agent_wins(factor: float) -> None:
    leaf = th.LeafLaw(0.02, 0.25)
    window = th.allocation(7, 0.9, 0.2, 40, leaf).window()
    assert window is not None
    assert best_depth(window[1] * factor, 7, 40, 0.9, 0.2, leaf).best.depth == 0
    assert best_depth(np.sqrt(window[0] * window[1]), 7, 40, 0.9, 0.2, leaf).best.depth > 0


def test_of_equally_good_designs_the_smallest_wins() -> None:
    report = best_depth(1e12, 3, 10, 1.0, 0.0, th.LeafLaw(0.5, 0.5, 1.0))
    assert report.best.organisation == "single"
    assert report.best.mu == 1.0


def test_huge_window_asks_for_named_message_lengths() -> None:
    with pytest.raises(InputError, match="too many to enumerate"):
        search(1e12, 4e6, th.LeafLaw(0.02, 0.15), 0.9, 0.1)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"b": 4}, "odd fan-ins"),
        ({"b": 11, "window": 500}, "exceed the window"),
        ({"budget": 0.5}, "does not pay for one agent"),
        ({"gamma": 1.5}, "gamma must lie in"),
    ],
)
def test_impossible_designs_are_refused(kwargs: dict[str, float], named: str) -> None:
    arguments = {"budget": 1e4, "b": 5, "m": 50, "gamma": 0.9, "rho": 0.1, "leaf": th.LeafLaw(0.02, 0.15)} | kwargs
    with pytest.raises(InputError, match=named):
        best_depth(**arguments)  # type: ignore[arg-type]


def test_unknown_organisation_is_named() -> None:
    with pytest.raises(InputError, match="pyramid"):
        search(1e4, 500, th.LeafLaw(0.02, 0.15), 0.9, 0.1, organisations=["pyramid"])  # type: ignore[list-item]
