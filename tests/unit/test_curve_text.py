"""Both sides of what is printed of budget curves: curves on which each sentence has to stand, and on which not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from agentsoc.log.comparison import CellRecord, ComparisonRecord, DialRecord
from analysis.comparison.crossovers import Crossing, Crossover
from analysis.comparison.curve_law import CurvePoints, FittedCurve, Isotonic
from analysis.comparison.curve_text import PAIRS_SHOWN, crossover_text, curve_lines, curve_notes, curve_table
from analysis.comparison.curves import Curve, CurvePoint, Curves, GainAt, Spending, _gains, _spending, _why_absent
from analysis.comparison.estimates import estimates
from analysis.comparison.front import FrontPoint
from analysis.comparison.report import Report, make_report
from analysis.comparison.table import Results
from analysis.comparison.text import notes, report_as_dict, report_as_text
from analysis.interval import Interval
from tests.sides import told_apart
from tests.unit.test_comparison_report import of

B_STAR = Interval(2_310.0, 1_900.0, 2_800.0)
SCORE = Interval(0.5, 0.4, 0.6)


def point(name: str, budget: int, spent: float, **dial: Any) -> CurvePoint:
    own = DialRecord(organisation=name, tasks="sums", budget=budget, **dial)
    return CurvePoint(f"{name} at {budget:,}", budget, own, 1, SCORE, Interval(spent, spent, spent))


def curve(name: str, dial: str = "rounds", **more: Any) -> Curve:
    set_ = {"dial": dial, "value": 3, "how": "exact"} if dial else {}
    return Curve(
        name,
        dial,
        (point(name, 1_000, 990.0, **{**set_, **more.pop("set", {})}),),
        more.pop("absent", {}),
        **{"fits": (), **more},
    )


def front(name: str, *, on_front: bool) -> FrontPoint:
    return FrontPoint(f"{name} at 1,000", 990.0, 0.5, on_front, 0.87)


def curves(*found: Curve, **more: Any) -> Curves:
    known: dict[str, Any] = {
        "budgets": (1_000,), "curves": found or (curve("alone"), curve("talk")), "crossovers": (), "gains": (),
        "single": "alone", "front": (front("alone", on_front=True), front("talk", on_front=False)),
        "spending": (), "n_tasks": 20, "level": 0.95, "replicates": 2_000,
    }  # fmt: skip
    return Curves(**{**known, **more})


def lines(**more: Any) -> str:
    return " | ".join(curve_lines(curves(**more), "alone"))


def told(*found: Curve) -> str:
    return " | ".join(curve_notes(curves(*found)))


def test_matched_spending_is_said_only_within_a_tenth() -> None:
    same, apart = Spending(1_000, ("talk", 900.0), ("alone", 990.0)), Spending(2_000, ("talk", 900.0), ("alone", 991.0))
    told_apart({
        "matched spending at 1,000: all within 10% of each other":
            (lines(spending=(same,)), lines(spending=(same, apart))),
        "spending at 2,000 is not matched: from 900 (talk) to 991 (alone) tokens a task; what follows goes by what was":
            (lines(spending=(apart,)), lines(spending=(same, apart))),
    }, lines())  # fmt: skip
    points = {"a": (point("a", 1_000, 100.0),), "b": (point("b", 1_000, 110.0),), "c": (point("c", 2_000, 1.0),)}
    assert [(one.budget, one.matched) for one in _spending(points, (1_000, 2_000))] == [(1_000, True)]


def test_crossovers_are_told_or_not_and_why() -> None:
    def pair(verdict: str, **more: Any) -> str:
        found = Crossover("alone", "talk", verdict, low=1_000.0, high=8_000.0, **more)  # type: ignore[arg-type]
        return lines(crossovers=(found,))

    there = pair("crossover", crossings=(Crossing(B_STAR, "alone", "talk"),))
    by_theory = pair("crossover", crossings=(Crossing(B_STAR, "alone", "talk"),), predicted=2_200.0)
    never = pair("none", ahead="talk")
    open_, partly = pair("open"), pair("open", shown=(("talk", 4_000.0, 8_000.0), ("alone", 900.0, 900.0)))
    told_apart({
        "talk overtakes alone at 2,310 tokens a task [1,900, 2,800]": (there, by_theory),
        " (by the theory of phases at 2,200)": by_theory,
        "no crossover in the range: talk is ahead of alone from 1,000 to 8,000 tokens": never,
        "whether talk and alone cross cannot be told from 1,000 to 8,000 tokens": (open_, partly),
        "; shown is only that talk is ahead from 4,000 to 8,000, alone is ahead at 900": partly,
    }, lines())  # fmt: skip
    apart = Crossover("alone", "talk", "open", reason="no spending in common")
    assert crossover_text(apart) == "whether talk and alone cross cannot be told: no spending in common"
    behind = Crossover("alone", "talk", "none", ahead="alone", low=1.0, high=2.0)
    assert "alone is ahead of talk" in crossover_text(behind)


def test_pairs_without_the_baseline_are_told_up_to_a_number() -> None:
    others = [Crossover(f"x{n}", f"y{n}", "open") for n in range(PAIRS_SHOWN + 1)]
    with_base = Crossover("alone", "talk", "open")
    told_apart(
        {"1 more pairs are in report.json, under crossovers": lines(crossovers=(with_base, *others))},
        lines(crossovers=(with_base, *others[:-1])),
    )
    assert f"x{PAIRS_SHOWN - 1}" in lines(crossovers=tuple(others))
    assert f"x{PAIRS_SHOWN} " not in lines(crossovers=tuple(others))


def test_gains_are_told_with_their_spending_or_their_reason() -> None:
    gain = Interval(1.25, 1.1, 1.4)
    equal, more = GainAt("talk", 1_000, gain, matched=True), GainAt("talk", 1_000, gain, matched=False)
    none = GainAt("talk", 1_000, "the single agent scores 0", matched=False)
    other = GainAt("votes", 1_000, gain, matched=True)
    told_apart({
        "gain G over alone at 1,000: talk 1.250 [1.100, 1.400]": (lines(gains=(equal,)), lines(gains=(more,))),
        " (not at equal spending)": lines(gains=(more,)),
        "there is no gain G: the single agent scores 0": lines(gains=(none,)),
        "there is no gain G for talk at 1,000: the single agent scores 0": lines(gains=(none, other)),
    }, lines())  # fmt: skip


def test_the_front_names_what_is_on_it() -> None:
    told_apart({
        "nobody has more for as few tokens as (share of 2,000 samples of tasks): alone at 1,000 (87%)": lines(),
    }, told(curve("alone")))  # fmt: skip
    assert "talk" not in lines()
    again = FrontPoint("alone at 2,000", 990.0, 0.5, True, 0.8)
    assert "2,000 (" not in lines(front=(front("alone", on_front=True), again)), "the same at a higher budget"


def test_notes_say_how_dials_were_set_and_what_is_absent() -> None:
    fits = Isotonic().fit(
        CurvePoints("alone", np.array([1.0, 2.0]), np.array([0.9, 0.2]), np.array([0.01, 0.01]), 9), 0
    )
    assert isinstance(fits, FittedCurve)
    exact, none = told(curve("alone")), told(curve("alone", ""))
    given, pilots = (
        told(curve("alone", set={"how": "given"})),
        told(curve("alone", set={"how": "pilot"}, pilot_tokens=1_234)),
    )
    idle = told(curve("alone", set={"reason": "it takes no more tokens when it is turned up"}))
    gone, falls = (
        told(curve("alone", absent={500: "the least that it does takes 700 tokens"})),
        told(curve("alone", fits=(fits,))),
    )
    told_apart({
        "alone turns up rounds: 3 (worked out)": (exact, idle, gone, falls),
        "alone turns up rounds: 3 (as the file says)": given,
        "alone turns up rounds: 3 (by pilots)": pilots,
        "alone has no fill: it does the same at every budget": none,
        "pilots that set the dials took 1,234 tokens, which are in no other figure: alone 1,234": pilots,
        "alone is not turned further at 1,000: it takes no more tokens when it is turned up": idle,
        "alone has no point at 500: the least that it does takes 700 tokens": gone,
        "alone: its score falls by 0.700 where it spends more (p 0.000): more tokens made it worse": falls,
    })  # fmt: skip


# From a table of results


def at(name: str, n: int, budget: int, scores: Sequence[float], spent: int) -> pl.DataFrame:
    return of(name, n, scores, budget=budget, tokens=spent, charged=spent, budget_left=budget - spent)


def results(*frames: pl.DataFrame, dials: Sequence[DialRecord] = (), baseline: str = "alone") -> Results:
    table = pl.concat([frame.select(sorted(frames[0].columns)) for frame in frames])
    cells = [
        CellRecord(
            id=f"{name}-b{budget}-sums-s0", organisation=name, n_agents=n, budget=budget, tasks="sums", seed=0,
            run="runs/x", scenario_hash="", status="finished",
        )
        for frame in frames
        for name, n, budget in [frame.select("organisation", "n_agents", "budget").row(0)]
    ]  # fmt: skip
    record = ComparisonRecord(
        name="by-hand", asked={}, text_hash="", hash="c0ffee" * 8, matched=True, baseline=baseline, cells=cells,
        organisations=list(dict.fromkeys(cell.organisation for cell in cells)), dials=list(dials),
    )  # fmt: skip
    return Results(Path("out"), record, table, (), False, {"sums": 1_000})


def half(right: int, of_all: int = 60) -> list[float]:
    return [float((7 * task) % of_all < right) for task in range(of_all)]


def report(**more: Any) -> Report:
    frames = [
        at("alone", 1, 1_000, half(30), 990), at("talk", 3, 1_000, half(6), 995),
        at("alone", 1, 4_000, half(30), 3_990), at("talk", 3, 4_000, half(56), 2_400),
    ]  # fmt: skip
    return make_report(results(*frames, **more), replicates=400)


def test_a_report_has_a_table_of_budgets_a_block_for_each_and_the_lines() -> None:
    found = report()
    text, plain = report_as_text(found), make_report(plain_results(), replicates=400)
    told_apart({
        "Score [95%] by tokens that a task may take (and what it took)": text,
        "2 organisations at 2 budgets, baseline alone": text,
        "1,000, 4,000 tokens a task, each the same for all": text,
        "Scores at 4,000 tokens": text,
        " or the same organisation at the same budget": text,
        "a crossover is told where both signs of the difference are shown (at most one pair in twenty with a": text,
    }, report_as_text(plain))  # fmt: skip
    assert "  alone         0.500 [0.37" in text
    assert text.count("(990)") == 1
    assert [block.where for block in found.blocks] == [" at 1,000 tokens", " at 4,000 tokens"]
    assert "talk at 4,000" in " ".join(notes(found))


def plain_results() -> Results:
    from tests.unit.test_comparison_report import results as without_budgets

    return without_budgets(of("alone", 1, half(30)), of("talk", 3, half(6)))


def test_the_json_has_curves_crossovers_gains_front_and_spending() -> None:
    found = report_as_dict(report())
    (pair,) = found["crossovers"]
    assert pair["verdict"] == "crossover"
    assert 990 < pair["low"] < pair["value"] < pair["high"] < 2_400
    assert pair["organisations"] == ["alone", "talk"]
    assert [(one["organisation"], one["budget"], one["matched"]) for one in found["gain"]] == [
        ("talk", 1_000, True), ("talk", 4_000, False),
    ]  # fmt: skip
    assert found["gain"][0]["value"] == 0.2
    assert [one["matched"] for one in found["spending"]] == [True, False]
    talk = next(one for one in found["curves"] if one["organisation"] == "talk")
    assert [(one["budget"], one["tokens"]["value"]) for one in talk["points"]] == [(1_000, 995.0), (4_000, 2_400.0)]
    assert talk["points"][1]["unspent"] == 0.4
    assert talk["fits"][0]["law"] == "isotonic"
    assert {one["label"] for one in found["front"] if one["on_front"]} == {"alone at 1,000", "talk at 4,000"}
    assert "curves" not in report_as_dict(make_report(plain_results(), replicates=400))


def test_estimates_hold_the_points_and_the_crossover() -> None:
    table = estimates(report())
    talk = table.filter((pl.col("organisation") == "talk") & (pl.col("quantity") == "score"))
    assert talk["budget"].to_list() == [1_000, 4_000]
    crossing = table.filter(pl.col("quantity") == "crossover")
    assert crossing.select("organisation", "baseline").rows() == [("talk", "alone")]
    assert crossing["low"][0] < crossing["value"][0] < crossing["high"][0]
    assert estimates(make_report(plain_results(), replicates=400))["budget"].null_count() > 0


def test_without_a_single_agent_there_is_no_gain_and_left_out_budgets_are_told() -> None:
    frames = [at("votes", 3, 4_000, half(30), 990), at("talk", 3, 4_000, half(6), 995)]
    dial = DialRecord(organisation="talk", tasks="sums", budget=1_000, dial="rounds", how="exact", least_tokens=1_180.0)
    found = make_report(results(*frames, dials=[dial], baseline="votes"), replicates=400)
    told_apart({
        "there is no gain G: no organisation is a single agent": report_as_text(found),
        "talk has no point at 1,000: the least that it does takes 1,180 tokens": report_as_text(found),
    }, report_as_text(report()))  # fmt: skip
    assert _why_absent([dial], 1_000) == "the least that it does takes 1,180 tokens"
    bare = dial.model_copy(update={"least_tokens": None})
    refused = bare.model_copy(update={"reason": "the budget pays for no call"})
    told_apart({
        "no run that can be compared": _why_absent([dial], 4_000),
        "the smallest value of its dial does not fit": _why_absent([bare], 1_000),
        "the budget pays for no call": _why_absent([refused], 1_000),
    })  # fmt: skip
    mixed = {"alone": (point("alone", 1_000, 9.0),), "talk": (point("talk", 4_000, 9.0),)}
    table = pl.concat([at("alone", 1, 1_000, half(3), 9), at("talk", 3, 4_000, half(3), 9)])
    stored = results(at("alone", 1, 1_000, half(3), 9), at("talk", 3, 4_000, half(3), 9))
    (gap,) = _gains(stored, table, "alone", mixed, {}, (0, 200, 0.95))
    both = {"alone": (point("alone", 1_000, 9.0),), "talk": (point("talk", 1_000, 9.0),)}
    rows = results(at("alone", 1, 1_000, half(3), 9), at("talk", 3, 1_000, half(3), 9))
    apart = pl.concat(
        [at("alone", 1, 1_000, half(3), 9), at("talk", 3, 1_000, half(3), 9).with_columns(seed=pl.lit(9, pl.Int64))]
    )
    (other,) = _gains(rows, apart, "alone", both, {}, (0, 200, 0.95))
    told_apart({
        "the single agent has no run at this budget": str(gap.gain),
        "it has no task in common with the single agent": str(other.gain),
    })  # fmt: skip


def test_only_tasks_of_both_are_pairs() -> None:
    frames = [
        at("alone", 1, 1_000, half(30), 990), at("talk", 3, 1_000, half(6)[:40], 995),
        at("alone", 1, 4_000, half(30), 3_990), at("talk", 3, 4_000, half(56)[:40], 3_900),
    ]  # fmt: skip
    found = make_report(results(*frames), replicates=400)
    assert found.curves is not None
    assert found.curves.crossovers[0].verdict == "crossover"
    begin, end = frames[1].filter(pl.col("task") < 20), frames[3].filter(pl.col("task") >= 20)
    never = make_report(results(frames[0], begin, frames[2], end), replicates=400)
    told_apart({"both have no task in common at all budgets": report_as_text(never)}, report_as_text(found))
    assert len(curve_table(found.curves)) == 2
