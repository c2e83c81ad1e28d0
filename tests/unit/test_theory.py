"""Formulas that simulator and analysis share: written once, the same for floats and arrays, with their known values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.backends.simulated import Fidelity, Simulated
from agentsoc.budget import allocation as budget
from agentsoc.theory.agents import leaf_signal, success
from agentsoc.theory.allocation import best_leaf_tokens, leaves_paid
from agentsoc.theory.fidelity import capacity, exponential, hill, hyperbolic
from analysis.synergy.theory.budget import optimal_leaf_tokens, optimal_leaves
from analysis.synergy.theory.costs import LeafLaw
from analysis.synergy.theory.fidelity import FidelityCurve, FidelityFamily

NAMES: dict[str, FidelityFamily] = {"exp": "exp", "hyperbolic": "hyp", "hill": "hill", "capacity": "capacity"}
LENGTHS = st.integers(0, 10_000)
SCALES = st.floats(0.1, 1e4)


def test_known_values() -> None:
    assert leaf_signal(100.0, 0.02, 0.5, 0.95) == pytest.approx(0.2, rel=1e-15)
    assert leaf_signal(10_000.0, 0.02, 0.5, 0.95) == 0.95
    assert success(700.0, 1000.0) == 1 - math.exp(-0.7)
    assert exponential(50.0, 50.0) == 1 - math.exp(-1)
    assert hyperbolic(30.0, 10.0) == 0.75
    assert hill(2.0, 1.0, 3.0) == pytest.approx(8 / 9, rel=1e-15)
    assert capacity(50.0, 50.0) == math.sqrt(1 - math.exp(-1))
    assert best_leaf_tokens(12.0, 0.2, 0.5) == pytest.approx(8.0)
    assert leaves_paid(188.0, 12.0, 8.0) == 10


@given(m=LENGTHS, m0=SCALES, h=st.floats(0.2, 5), ceiling=st.floats(0.1, 1), kind=st.sampled_from(list(NAMES)))
def test_simulated_readers_have_the_fidelity_that_is_fitted(
    m: int, m0: float, h: float, ceiling: float, kind: str
) -> None:
    told = Fidelity.model_validate({"kind": kind, "m0": m0, "h": h, "ceiling": ceiling}).at(m)
    fitted = FidelityCurve(NAMES[kind], m0, hill=h, ceiling=ceiling)
    assert float(fitted(m)) == pytest.approx(told, rel=1e-14)
    assert fitted(np.array([m, m]))[1] == pytest.approx(told, rel=1e-14)


@given(x=st.integers(1, 10**6), a=st.floats(1e-4, 1), beta=st.floats(0.01, 2), top=st.floats(0.1, 1))
def test_simulated_agents_have_the_leaf_law_that_is_fitted(x: int, a: float, beta: float, top: float) -> None:
    told = Simulated(a=a, beta=beta, signal_max=top, compute=x).leaf_signal()
    assert float(LeafLaw(a, beta, top)(x)) == pytest.approx(told, rel=1e-14)


@given(
    amount=st.floats(1, 1e6), c0=st.just(0.0) | st.floats(1e-3, 1e3), beta=st.floats(0, 0.6), t=st.floats(0, 0.6)
)  # fmt: skip
def test_the_policy_buys_the_leaves_that_the_theory_names(amount: float, c0: float, beta: float, t: float) -> None:
    told = budget.leaf_tokens(c0, beta, t)
    named = float(optimal_leaf_tokens(c0, beta, t))
    assert math.isnan(named) if told is None else named == told
    assert float(optimal_leaves(amount, c0, beta, t)) == budget.leaves(amount, c0, beta, t)


@given(xs=st.lists(st.floats(0, 1e5), min_size=1, max_size=8), scale=st.floats(0.5, 1e4))
def test_an_array_gives_what_its_elements_give(xs: list[float], scale: float) -> None:
    for curve in (exponential, hyperbolic, capacity, success):
        whole = curve(np.array(xs), np.float64(scale))  # type: ignore[type-var]
        assert whole == pytest.approx([curve(x, scale) for x in xs], rel=1e-13, abs=1e-300)
