"""This module tells the curves of a comparison with several budgets: a table of budgets by organisation, and lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agentsoc.printing.text import line, table
from analysis.comparison.crossovers import Crossover
from analysis.comparison.curves import MATCHED, Curve, CurvePoint, Curves
from analysis.interval import Interval, shown

PAIRS_SHOWN: Final = 12
"""Pairs without the baseline that are told one by one; all are in report.json."""
_HOW: Final = {"given": "as the file says", "exact": "worked out", "pilot": "by pilots"}


def curve_table(found: Curves) -> list[str]:
    """Return the table of scores and spending by budget."""
    rows = [["organisation", *(f"{budget:,}" for budget in found.budgets)]]
    for curve in found.curves:
        at = {point.budget: point for point in curve.points}
        rows.append([curve.organisation, *(_cell(at.get(budget)) for budget in found.budgets)])
    title = f"Score [{found.level:.0%}] by tokens that a task may take (and what it took)"
    return [title, table(rows, right=frozenset(range(1, len(rows[0]))), indent="  ")]


def _cell(point: CurvePoint | None) -> str:
    return "-" if point is None else f"{point.score.text()} ({shown(point.tokens.value)})"


def curve_lines(found: Curves, baseline: str) -> list[str]:
    """Return what the curves tell, a line each: crossovers, gains, the front, and whether spending was matched."""
    said = [*_spending_lines(found), *_crossover_lines(found, baseline), *_gain_lines(found), *_front_lines(found)]
    return [line(text) for text in said]


def _spending_lines(found: Curves) -> Iterator[str]:
    same = [f"{one.budget:,}" for one in found.spending if one.matched]
    if same:
        yield f"matched spending at {', '.join(same)}: all within {MATCHED - 1:.0%} of each other"
    for one in found.spending:
        if not one.matched:
            (least, low), (most, high) = one.least, one.most
            yield (
                f"spending at {one.budget:,} is not matched: from {shown(low)} ({least}) to {shown(high)} ({most}) "
                "tokens a task; what follows goes by what was spent"
            )


def _crossover_lines(found: Curves, baseline: str) -> Iterator[str]:
    own = [one for one in found.crossovers if baseline in (one.one, one.other)]
    others = [one for one in found.crossovers if baseline not in (one.one, one.other)]
    for one in (*own, *others[:PAIRS_SHOWN]):
        predicted = "" if one.predicted is None else f" (by the theory of phases at {shown(one.predicted)})"
        yield crossover_text(one) + predicted
    if len(others) > PAIRS_SHOWN:
        yield f"{len(others) - PAIRS_SHOWN:,} more pairs are in report.json, under crossovers"


def crossover_text(one: Crossover) -> str:
    """Return whether and where one organisation overtakes the other, in a sentence."""
    if one.verdict == "crossover":
        told = [f"{each.ahead_above} overtakes {each.ahead_below} at {_tokens(each.budget)}" for each in one.crossings]
        return "; ".join(told)
    where = "" if one.low is None or one.high is None else f" from {shown(one.low)} to {shown(one.high)} tokens"
    if one.verdict == "none":
        behind = one.other if one.ahead == one.one else one.one
        return f"no crossover in the range: {one.ahead} is ahead of {behind}{where}"
    text = f"whether {one.other} and {one.one} cross cannot be told{where}"
    if one.reason:
        return f"{text}: {one.reason}"
    ahead = [f"{who} is ahead {_span(low, high)}" for who, low, high in one.shown]
    return f"{text}; shown is only that {', '.join(ahead)}" if ahead else text


def _span(low: float, high: float) -> str:
    return f"at {shown(low)}" if low == high else f"from {shown(low)} to {shown(high)}"


def _tokens(found: Interval) -> str:
    return f"{shown(found.value)} tokens a task [{shown(found.low)}, {shown(found.high)}]"


def _gain_lines(found: Curves) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for budget in found.budgets:
        at = [one for one in found.gains if one.budget == budget]
        told = [
            f"{one.organisation} {one.gain.text()}{'' if one.matched else ' (not at equal spending)'}"
            for one in at
            if isinstance(one.gain, Interval)
        ]
        if told:
            yield f"gain G over {found.single} at {budget:,}: {'; '.join(told)}"
        for one in at:
            if isinstance(one.gain, str):
                reasons.setdefault(one.gain, []).append(f"{one.organisation} at {budget:,}")
    for why, whose in reasons.items():
        who = "" if len(whose) == len(found.gains) else f" for {', '.join(whose)}"
        yield f"there is no gain G{who}: {why}"


def _front_lines(found: Curves) -> Iterator[str]:
    on = [one for one in found.front if one.on_front]
    first = {(one.tokens, one.score, one.label.partition(" at ")[0]): one for one in reversed(on)}
    told = [f"{one.label} ({one.share:.0%})" for one in on if one in first.values()]
    yield f"nobody has more for as few tokens as (share of {found.replicates:,} samples of tasks): {', '.join(told)}"


def curve_notes(found: Curves) -> Iterator[str]:
    """Yield how dials were set, where there is no run, and what limits the curves."""
    for curve in found.curves:
        yield from _dial_notes(curve)
        for budget, why in curve.absent.items():
            yield f"{curve.organisation} has no point at {budget:,}: {why}"
        for fit in curve.fits:
            if fit.words:
                yield f"{curve.organisation}: {fit.words}"
    took = {curve.organisation: curve.pilot_tokens for curve in found.curves if curve.pilot_tokens}
    if took:
        each = ", ".join(f"{name} {tokens:,}" for name, tokens in took.items())
        yield f"pilots that set the dials took {sum(took.values()):,} tokens, which are in no other figure: {each}"
    yield (
        "a crossover is told where both signs of the difference are shown (at most one pair in twenty with a wrong "
        "sign); its interval has the budgets at which no difference is not rejected; scores between two points are "
        f"read in proportion to log tokens; {found.replicates:,} samples of {found.n_tasks:,} tasks; pairs are not "
        "corrected for their number"
    )


def _dial_notes(curve: Curve) -> Iterator[str]:
    if not curve.dial:
        yield f"{curve.organisation} has no fill: it does the same at every budget"
        return
    values = ", ".join("-" if point.dial.value is None else f"{point.dial.value:,}" for point in curve.points)
    how = " and ".join(dict.fromkeys(_HOW[point.dial.how] for point in curve.points if point.dial.how in _HOW))
    yield f"{curve.organisation} turns up {curve.dial}: {values} ({how})"
    for why in dict.fromkeys(point.dial.reason for point in curve.points if point.dial.reason):
        at = ", ".join(f"{point.budget:,}" for point in curve.points if point.dial.reason == why)
        yield f"{curve.organisation} is not turned further at {at}: {why}"
