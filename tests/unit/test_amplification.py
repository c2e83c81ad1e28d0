"""Error amplification: closed forms of propagation and of aggregation, from synthetic logs and from the engine."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from agentsoc.engine.run import run
from agentsoc.errors import InputError
from agentsoc.events import SOCIETY, Event, pack_id
from analysis.measures.amplification import Taint, a_task, a_trace, expected_taint, taint, union_error
from analysis.measures.effective_votes import votes_worth
from analysis.synergy.theory.maps import majority_map_real
from analysis.tables import EventTable, from_events, from_log
from tests.strategies import scenario


def tree(
    fan: int, depth: int, reject: float, n: int, seed: int, *, by_target: bool = False, answered: bool = False
) -> EventTable:
    """Return n episodes in which `fan` agents read each claim; a planted error is rejected with probability `reject`.

    A reader that does not reject repeats the wrong answer; one that does, or reads a right claim, is right.
    """
    rng = np.random.default_rng(seed)
    events: list[Event] = []
    for task in range(n):
        layer = [(pack_id(0, 0, 0), True)]
        events.append(Event(task, 0, 0, 0, "propose_claim", layer[0][0], answer="B", correct=0.0))
        named = {"target": layer[0][0]} if by_target else {"parents": (layer[0][0],)}
        events.append(Event(task, 0, 0, 1, "fault", answer="B", **named))
        for round_ in range(1, depth + 1):
            following = []
            for place, ((parent, bad), _) in enumerate(itertools.product(layer, range(fan))):
                tainted = bad and rng.random() >= reject
                claim = pack_id(round_, place, 0)
                answer, score = ("B", 0.0) if tainted else ("A", 1.0)
                events.append(
                    Event(task, round_, place, 0, "revise_claim", claim, (parent,), answer=answer, correct=score)
                )
                following.append((claim, tainted))
            layer = following
        if answered:
            claim, bad = layer[0]
            events.append(
                Event(task, depth + 1, SOCIETY, 0, "answer", None, (claim,), answer="B" if bad else "A",
                      correct=float(not bad))
            )  # fmt: skip
    return from_events(events, run=f"tree-{fan}-{depth}-{reject}-{seed}")


@pytest.mark.parametrize("fan", [1, 2, 3])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("reject", [0.0, 0.25, 0.5, 0.8])
def test_taint_spreads_as_the_closed_form_says(fan: int, depth: int, reject: float) -> None:
    """Within 3 standard errors: 36 cells with fixed seeds; a right program fails one of them once in 10 fresh seeds."""
    found = (
        taint(tree(fan, depth, reject, 300, seed=int(100 * reject) + 10 * fan + depth)).table["per_fault"].to_numpy()
    )
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert abs(found.mean() - expected_taint(fan, reject, depth)) <= 3 * error + 1e-12


def test_the_published_values_of_the_closed_form() -> None:
    assert (expected_taint(3, 0.0, 2), expected_taint(3, 0.5, 2)) == (13.0, 4.75)


def test_organisations_that_differ_in_rejection_only_are_ordered_by_it() -> None:
    """Independent agents reject nothing, peers something, a centre most: the order is that of the checks."""
    single = taint(tree(1, 2, 0.5, 400, seed=1))
    found = [a_trace(taint(tree(3, 2, q, 400, seed=2)), single, draws=400) for q in (0.0, 0.4, 0.7)]
    assert found[0].low > found[1].high
    assert found[1].low > found[2].high
    assert found[0].value == pytest.approx(13 / single.table["per_fault"].to_numpy().mean())


def test_a_fault_counts_by_target_or_parent_and_a_tainted_answer_is_one_more() -> None:
    tables = [tree(2, 2, 0.3, 50, seed=4, by_target=by_target, answered=True) for by_target in (False, True)]
    first, second = (taint(table).table for table in tables)
    assert first.drop("run").equals(second.drop("run"))
    assert 0 < first["reached"].sum() < 50
    assert (first["per_fault"] == first["tainted"] + first["reached"].cast(pl.Int64)).all()
    assert (first["downstream"] == 2 + 4).all()
    assert "50 faults in 50 executions" in taint(tables[0]).summary()


def test_a_wrong_claim_behind_a_rejection_is_no_taint_and_an_endorsement_is() -> None:
    def claim(round_: int, agent: int, answer: str, parent: int | None, kind: str = "revise_claim") -> Event:
        score = float(answer == "A")
        here = pack_id(round_, agent, 0)
        return Event(0, round_, agent, 0, kind, here, (parent,), answer=answer, correct=score)  # type: ignore[arg-type]

    planted = Event(0, 0, 0, 0, "propose_claim", pack_id(0, 0, 0), answer="B", correct=0.0)
    disputing = claim(2, 4, "C", planted.claim, "contradict_claim")
    disputing = msgspec.structs.replace(disputing, target=planted.claim)
    events = [
        planted,
        Event(0, 0, 0, 1, "fault", target=planted.claim),
        claim(1, 1, "A", planted.claim),  # rejected
        Event(0, 1, 2, 0, "endorse_claim", None, (pack_id(0, 0, 0),), pack_id(0, 0, 0), answer="B", correct=0.0),
        claim(2, 3, "B", pack_id(1, 1, 0)),  # wrong on its own
        disputing,  # wrong as well, but not because of the planted error
        Event(0, 3, SOCIETY, 0, "answer", answer="B", correct=0.0),  # by majority: what the tainted claim says
    ]
    row = taint(from_events(events, run="r")).table.row(0, named=True)
    assert (row["faults"], row["tainted"], row["downstream"], row["reached"]) == (1, 2, 4, True)
    assert row["per_fault"] == 3


def test_without_planted_errors_there_is_no_trace() -> None:
    some = taint(tree(1, 1, 0.0, 3, seed=0))
    none = taint(from_events([Event(0, 0, 0, 0, "propose_claim", 1, answer="A", correct=1.0)], run="r"))
    assert none.summary() == "no faults"
    with pytest.raises(InputError, match="no planted error"):
        a_trace(some, none)


def test_errors_planted_in_scenarios_are_traced_and_readers_that_reject_hold_them_up(tmp_path: Path) -> None:
    def planted(name: str, **parts: Any) -> Taint:
        built = scenario(tasks={"kind": "signal", "count": 400}, faults=[{"agent": 0, "round": 0}], **parts)
        return taint(from_log(run(built, tmp_path / name).frame(), run=name))

    voter = {"kind": "simulated", "signal": 0.8}
    alone = planted("alone", agents={"count": 1, "model": voter}, topology="single")
    assert alone.table["per_fault"].to_list() == [2.0] * 400  # the claim and the answer
    debate: dict[str, Any] = {"topology": "decentralized", "protocol": {"kind": "debate", "rounds": 3}}
    trusting = planted("trusting", agents={"count": 5, "model": voter}, **debate)
    wary = planted("wary", agents={"count": 5, "model": {**voter, "rejects": 0.5}}, **debate)
    assert (trusting.table["downstream"] == wary.table["downstream"]).all()
    first, second = a_trace(trusting, alone, draws=500), a_trace(wary, alone, draws=500)
    assert second.high < first.low < first.high < 1  # five who count votes drown one error; a single agent cannot


def scores(right: int, n: int = 100) -> pl.DataFrame:
    return pl.DataFrame({"task": range(n), "score": [1.0] * right + [0.0] * (n - right)})


def test_a_task_is_a_ratio_of_failures_with_an_interval_over_tasks() -> None:
    found = a_task(scores(63), scores(534, 1000), draws=500)
    assert found.value == pytest.approx(0.37 / 0.466)
    assert not found.paired
    assert found.low < found.value < found.high
    same = a_task(scores(60), scores(60), draws=200)
    assert (same.value, same.low, same.high, same.paired) == (1.0, 1.0, 1.0, True)
    assert math.isinf(a_task(scores(60), scores(100), draws=50).value)
    with pytest.raises(InputError):
        a_task(scores(60).clear(), scores(1))


def test_aggregation_alone_turns_the_conclusion_round() -> None:
    """Agents that err in 1 of 10: handing on the union amplifies errors, a majority removes them."""
    unions = [union_error(n, 0.1) / 0.1 for n in (3, 5, 9)]
    assert [round(value, 2) for value in unions] == [2.71, 4.10, 6.13]
    majorities = [(1 - float(majority_map_real(0.8, n))) / 2 / 0.1 for n in (3, 5, 9)]
    assert [round(value, 2) for value in majorities[:1]] == [0.28]
    assert [round(value, 3) for value in majorities[1:2]] == [0.086]
    assert round(majorities[2], 4) == 0.0089


@pytest.mark.parametrize("n", [1, 3, 9])
def test_independent_voters_are_worth_their_number(n: int, tmp_path: Path) -> None:
    """Signal 0.3, 4,000 tasks; the interval holds the truth in 95 of 100 seeds, this one is fixed."""
    done = run(
        scenario(
            tasks={"kind": "signal", "count": 4000},
            agents={"count": n, "model": {"kind": "simulated", "signal": 0.3}},
            topology="independent",
        ),
        tmp_path / "run",
    )
    found = votes_worth(done.frame(), 2, draws=300)
    assert found.low <= n <= found.high
    assert found.leaves == n
    assert found.n_tasks == 4000
    assert found.efficiency == found.value / n


def test_shared_errors_and_deaf_readers_lower_the_effective_votes(tmp_path: Path) -> None:
    def worth(name: str, **model: float) -> float:
        done = run(
            scenario(
                tasks={"kind": "signal", "count": 4000},
                agents={"count": 10, "model": {"kind": "simulated", "signal": 0.3, **model}},
                topology="star",
                protocol="aggregate",
            ),
            tmp_path / name,
        )
        return votes_worth(done.frame(), 2, draws=100).value

    clean, locked, deaf = worth("clean"), worth("locked", lock=0.5), worth("deaf", fidelity=0.5)
    assert locked < clean / 1.5
    assert deaf < clean / 1.5


def test_an_outcome_below_one_leaf_is_worth_no_vote_and_chance_none_at_all() -> None:
    def events(leaf_right: int, out_right: int) -> pl.DataFrame:
        rows = []
        for task in range(20):
            leaf, out = float(task < leaf_right), float(task < out_right)
            rows.append(Event(task, 0, 0, 0, "propose_claim", 1, answer="A", correct=leaf))
            rows.append(Event(task, 1, SOCIETY, 0, "answer", answer="A", correct=out))
        return from_events(rows, run="r").events

    assert votes_worth(events(15, 12), 2, draws=50).value == 0
    assert votes_worth(events(15, 15), 2, draws=50).value == 1
    assert math.isinf(votes_worth(events(15, 20), 2, draws=50).value)
    assert math.isnan(votes_worth(events(8, 12), 2, draws=50).value)
    with pytest.raises(InputError, match="two or more answers"):
        votes_worth(events(15, 12), 0)
