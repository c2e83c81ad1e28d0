"""Simulated voters obey the laws they are given, one alone draws what it draws among many, and tokens add up.

Statistical tests have fixed seeds, so they pass or fail for ever; the rates say how likely a fresh seed is to fail a
right voter.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agentsoc.backends.simulated import Fidelity, Simulated, SimulatedBackend
from agentsoc.contracts.model import CallError, Hint, Request
from agentsoc.engine.columns.draws import ColumnDraw, draw_codes
from agentsoc.engine.run import run
from tests.loose import scenario

steady = settings(deadline=None, derandomize=True)
N = 20_000

FIDELITIES = st.just(1.0) | st.floats(0.01, 1.0)
MODELS = st.builds(
    Simulated,
    signal=st.floats(-1, 1),
    fidelity=FIDELITIES,
    lock=st.just(0.0) | st.floats(0.0, 0.99),
    lock_order=st.sampled_from(["after_channel", "before_channel"]),
    keep_own=st.none() | st.floats(0, 1),
)


def hint(**changes: Any) -> Hint:
    return Hint(
        **{"task": 0, "round": 0, "agent": 0, "k": 0, "purpose": "answer", "truth": "", "options": (), **changes}
    )


@settings(steady, max_examples=150)
@given(
    model=MODELS,
    seed=st.integers(0, 2**63 - 1),
    k=st.integers(2, 6),
    n=st.integers(1, 8),
    b=st.integers(0, 5),
    round_=st.integers(0, 9),
    role=st.sampled_from(["leaf", "standing", "tally", "merge"]),
    data=st.data(),
)
def test_one_voter_answers_what_it_answers_among_many(
    model: Simulated, seed: int, k: int, n: int, b: int, round_: int, role: str, data: st.DataObject
) -> None:
    """`respond`, turn by turn, against the columns, for random rules, answer spaces and fan-ins."""
    if role in ("tally", "merge") and b == 0:
        b = 1  # with nothing of its own and nothing heard there is nothing to say
    codes = st.integers(0, k - 1)
    options = tuple(f"option {code}" for code in range(k))
    places = st.lists(st.integers(0, 2**20), min_size=n, max_size=n)
    task, agent = np.array(data.draw(places)), np.array(data.draw(places))
    truth = np.array(data.draw(st.lists(codes, min_size=n, max_size=n)))
    sent = np.array(data.draw(st.lists(st.integers(-1, k - 1), min_size=n * b, max_size=n * b))).reshape(n, b)
    own = np.array(data.draw(st.lists(codes, min_size=n, max_size=n))) if role == "standing" else None
    backend = SimulatedBackend(model, seed)

    many = draw_codes(
        backend,
        ColumnDraw(
            round=round_,
            k=k,
            task=task,
            agent=agent,
            truth=truth,
            signal=backend.signals(task, None),
            own=own,
            sent=sent if b else None,
            tally=role in ("tally", "merge"),
        ),
    )
    for i in range(n):
        said = backend.respond(
            hint(
                task=int(task[i]),
                round=round_,
                agent=int(agent[i]),
                purpose="merge" if role == "merge" else "answer",
                truth=options[truth[i]],
                options=options,
                shown=tuple(None if code < 0 else options[code] for code in sent[i]),
                own=None if own is None else options[own[i]],
                by_rule=role == "tally",
            )
        )
        assert said.answer == options[many[i]]


# The leaf law


@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("mu", [-0.1, 0.0, 0.2, 0.7, 1.0])
def test_a_leaf_is_right_with_its_signal_and_wrong_evenly(k: int, mu: float) -> None:
    """Binomial and chi-squared tests on 20,000 votes; false alarms: 2e-4 for a case, 3e-3 in all."""
    backend = SimulatedBackend(Simulated(signal=mu), 5)
    truth = np.arange(N) % k
    votes = backend.leaves(np.arange(N), 0, np.zeros(N, int), truth, np.full(N, mu), k)
    right = int((votes == truth).sum())
    p = mu + (1 - mu) / k
    assert stats.binomtest(right, N, min(p, 1.0)).pvalue > 1e-4
    off = (votes - truth)[votes != truth] % k
    if k > 2 and len(off):
        assert stats.chisquare(np.bincount(off, minlength=k)[1:]).pvalue > 1e-4


@pytest.mark.parametrize(("a", "beta", "x", "most"), [(0.02, 0.3, 200, 0.95), (0.5, 0.5, 4, 0.95), (0.3, 1.0, 0, 0.95)])
def test_the_leaf_law_is_a_power_of_compute_up_to_its_ceiling(a: float, beta: float, x: int, most: float) -> None:
    model = Simulated(a=a, beta=beta, compute=x, signal_max=most)
    assert model.leaf_signal() == pytest.approx(min(a * x**beta, most))
    assert SimulatedBackend(model, 0).signal_of(3, None) == model.leaf_signal()
    assert Simulated(signal=0.4, a=a).leaf_signal() != 0.4
    assert SimulatedBackend(Simulated(signal=0.4, a=a), 0).signal_of(3, 0.9) == 0.4
    assert SimulatedBackend(Simulated(signal="task"), 0).signal_of(3, 0.9) == 0.9


def test_a_mixture_gives_each_task_one_signal_in_its_proportion() -> None:
    """Chi-squared test on 20,000 tasks; false alarms: 1e-4."""
    model = Simulated(
        mixture=[{"weight": 1, "signal": 0.1}, {"weight": 2, "signal": 0.5}, {"weight": 5, "signal": -0.2}]
    )
    backend = SimulatedBackend(model, 9)
    signals = backend.signals(np.arange(N), None)
    counts = [int((signals == level.signal).sum()) for level in model.mixture]
    assert sum(counts) == N
    assert stats.chisquare(counts, np.array([1, 2, 5]) * N / 8).pvalue > 1e-4
    assert [backend.signal_of(task, None) for task in range(200)] == signals[:200].tolist()


def test_a_voter_has_one_source_of_its_signal() -> None:
    with pytest.raises(ValueError, match="signal or mixture"):
        Simulated(signal=0.1, mixture=[{"weight": 1, "signal": 0.1}])


# The channel, the lock, one's own answer


@pytest.mark.parametrize(
    ("kind", "at_scale"),
    [("exp", 1 - 1 / math.e), ("hyperbolic", 0.5), ("hill", 0.5), ("capacity", math.sqrt(1 - 1 / math.e))],
)
def test_fidelity_families_have_their_known_values(kind: Any, at_scale: float) -> None:
    law = Fidelity(kind=kind, m0=40.0, h=3.0)
    assert law.at(0) == 0.0
    assert law.at(40) == pytest.approx(at_scale, abs=1e-15)
    assert law.at(4e9) == pytest.approx(1.0, abs=1e-6)
    assert Fidelity(kind=kind, m0=40.0, h=3.0, ceiling=0.6).at(40) == pytest.approx(0.6 * at_scale)
    assert Simulated(fidelity=law, message=40).gamma == law.at(40)
    assert Simulated(fidelity=0.3, message=40).gamma == 0.3


@steady
@given(
    st.sampled_from(["exp", "hyperbolic", "hill", "capacity"]),
    st.floats(0.1, 1e4),
    st.floats(0.1, 5),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
)
def test_fidelity_grows_with_length_within_its_bounds(kind: Any, m0: float, h: float, m: int, more: int) -> None:
    law = Fidelity(kind=kind, m0=m0, h=h, ceiling=0.9)
    assert 0 <= law.at(m) <= law.at(m + more) <= 0.9 + 1e-12


@pytest.mark.parametrize(("gamma", "k"), [(0.2, 2), (0.8, 2), (0.5, 4), (1.0, 3)])
def test_a_message_is_read_as_sent_with_its_fidelity_and_evenly_otherwise(gamma: float, k: int) -> None:
    """Chi-squared test on 20,000 readings; false alarms: 1e-4 for a case, 4e-4 in all."""
    backend = SimulatedBackend(Simulated(fidelity=gamma), 3)
    heard = backend.received(np.arange(N), 1, np.zeros(N, int), np.ones((N, 1), int), k)[:, 0]
    share = np.full(k, (1 - gamma) / k)
    share[1] += gamma
    counts = np.bincount(heard, minlength=k)
    if gamma == 1:
        assert counts[1] == N
    else:
        assert stats.chisquare(counts, share * N).pvalue > 1e-4


def test_the_readings_of_one_agent_are_independent() -> None:
    """Chi-squared test on pairs; false alarms: 1e-4."""
    backend = SimulatedBackend(Simulated(fidelity=0.5), 4)
    heard = backend.received(np.arange(N), 0, np.zeros(N, int), np.ones((N, 2), int), 2)
    table = np.array([[int(((heard[:, 0] == a) & (heard[:, 1] == b)).sum()) for b in (0, 1)] for a in (0, 1)])
    assert stats.chi2_contingency(table, correction=False).pvalue > 1e-4


@pytest.mark.parametrize("order", ["after_channel", "before_channel"])
def test_a_lock_makes_all_messages_the_first_one(order: Any) -> None:
    """Binomial test on 20,000 nodes with 8 messages; false alarms: 1e-4 for a case, 2e-4 in all."""
    backend = SimulatedBackend(Simulated(fidelity=0.5, lock=0.3, lock_order=order), 6)
    sent = np.tile([0, 1, 2, 3, 4, 5, 6, 7], (N, 1))
    heard = backend.received(np.arange(N), 0, np.zeros(N, int), sent, 1_000)
    if order == "after_channel":  # every reading is the first one's, flipped or not
        locked = int((heard == heard[:, :1]).all(axis=1).sum())
        assert stats.binomtest(locked, N, 0.3).pvalue > 1e-4
    else:  # every message is the first one, each is flipped by itself
        of_first = int((heard[:, 1] == 0).sum())
        assert stats.binomtest(of_first, N, 0.3 * 0.5 + 0.5 / 1_000).pvalue > 1e-4  # locked and not lost, or drawn
        assert (heard == heard[:, :1]).all(axis=1).mean() < 0.01


def test_the_plurality_wins_and_ties_are_broken_evenly() -> None:
    """Chi-squared test on 20,000 ties; false alarms: 1e-4."""
    backend = SimulatedBackend(Simulated(), 8)
    zeros = np.zeros(N, int)
    clear = backend.combine(np.arange(N), 0, zeros, np.tile([2, 0, 2, 1], (N, 1)), None, 3)
    assert (clear == 2).all()
    tied = backend.combine(np.arange(N), 0, zeros, np.tile([2, 0, 2, 0], (N, 1)), None, 3)
    counts = np.bincount(tied, minlength=3)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2]]).pvalue > 1e-4
    own = backend.combine(np.arange(N), 0, zeros, np.tile([2, 0, 2, 0], (N, 1)), np.full(N, 0), 3)
    assert (own == 0).all()  # one's own answer is one vote


def test_an_own_answer_is_kept_with_its_probability() -> None:
    """Binomial test on 20,000 voters who all hear the opposite; false alarms: 1e-4."""
    backend = SimulatedBackend(Simulated(keep_own=0.7), 8)
    kept = backend.combine(np.arange(N), 0, np.zeros(N, int), np.ones((N, 3), int), np.zeros(N, int), 2)
    assert stats.binomtest(int((kept == 0).sum()), N, 0.7).pvalue > 1e-4


# Tokens and time


@steady
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 20))
def test_a_turn_costs_what_it_reads_computes_and_writes(x: int, m: int, overhead: int, shown: int) -> None:
    backend = SimulatedBackend(Simulated(compute=x, message=m, overhead=overhead), 0)
    assert backend.cost(shown, False, True) == (shown * m, x + m)
    assert backend.cost(shown, False, False) == (shown * m, x)
    assert backend.cost(shown, True, True) == (shown * m, overhead + m)
    said = backend.respond(hint(shown=("a",) * shown, options=("a", "b"), truth="a", speaks=False))
    assert (said.tokens_in, said.tokens_out) == (shown * m, x)


@pytest.mark.parametrize("vectorise", [True, False])
@pytest.mark.parametrize(("b", "depth"), [(2, 1), (2, 4), (3, 2), (4, 2), (7, 1)])
def test_the_tokens_of_a_tree_are_those_of_the_theory(b: int, depth: int, vectorise: bool) -> None:
    """B = N x + 2 m b (N - 1) / (b - 1) for N = b^L leaves: each message is written once and read once."""
    x, m = 90, 7
    built = scenario(
        tasks={"kind": "coin", "count": 3},
        agents={"count": None},
        model={"kind": "simulated", "signal": 0.3, "compute": x, "message": m},
        topology={"kind": "tree", "fan_in": b, "depth": depth},
        protocol={"kind": "aggregate"},
        engine={"vectorise": vectorise},
    )
    n = b**depth
    expected = n * x + 2 * m * b * (n - 1) // (b - 1)
    with tempfile.TemporaryDirectory() as scratch:
        log = run(built, Path(scratch) / "run")
        for task in range(3):
            mine = [event for event in log.events() if event.task == task]
            assert sum(event.tokens_in + event.tokens_out for event in mine) == expected
        totals = log.manifest.totals
        assert totals.tokens_in + totals.tokens_out == 3 * expected
        assert totals.deliveries == 3 * (b * (n - 1) // (b - 1))


def test_simulated_time_is_exponential_and_changes_no_answer() -> None:
    """Kolmogorov-Smirnov on 5,000 turns; false alarms: 1e-4."""
    slow, quick = (SimulatedBackend(Simulated(signal=0.2, latency_s=s), 1) for s in (2.0, 0.0))
    hints = [hint(task=task, options=("a", "b"), truth="a") for task in range(5_000)]
    answers = [slow.respond(one) for one in hints]
    assert [said.answer for said in answers] == [quick.respond(one).answer for one in hints]
    assert stats.kstest([said.latency_s for said in answers], "expon", args=(0, 2.0)).pvalue > 1e-4
    assert quick.respond(hints[0]).latency_s == 0.0


def test_a_voter_answers_prompts_by_their_hints_only() -> None:
    backend = SimulatedBackend(Simulated(signal=1.0, compute=9, message=2), 1)
    asked = Request.of("", "", 10, 0.0, 0, hint=hint(options=("a", "b"), truth="b", shown=("b",)))
    got = asyncio.run(backend.complete(asked))
    assert (got.text, got.usage.tokens_in, got.usage.tokens_out) == ("b", 2, 11)
    assert backend.count(asked) == 2
    with pytest.raises(CallError, match="bare prompts"):
        asyncio.run(backend.complete(Request.of("", "What?", 10, 0.0, 0)))


def test_without_options_there_is_no_answer_but_a_price() -> None:
    said = SimulatedBackend(Simulated(compute=9, message=2), 1).respond(hint(truth="42"))
    assert (said.answer, said.tokens_out) == (None, 11)
