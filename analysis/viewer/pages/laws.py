"""This module is the page of laws: verdicts first, then tails with their fits, ratios, concentration, growth, doubt.

It takes the data of `agentsoc laws --json`, as `LawsReport.as_dict` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agentsoc.errors import InputError
from analysis.viewer.pages.plain import Span, listed, number, numbers, table, text, texts

_OTHERS: Final = frozenset(
    {
        "gamma", "concentration", "merge_conversion", "audit", "attachment", "dti", "faults", "switched", "where",
        "executions", "events", "caveats", "groups",
    }
)  # fmt: skip
"""Keys beside those of observables."""
_OF_EFFORT: Final = ("gini_all", "top10_all", "effective_n", "tok_gini_all", "tok_top10_all", "n_active", "n_all")


class Ratio(msgspec.Struct, frozen=True):
    """A test of two models by the ratio of their likelihoods: above 0 for the first."""

    first: str
    second: str
    ratio: float | None
    p: float | None


class TailPicture(msgspec.Struct, frozen=True):
    """The share of values at least x, and what each model expects from xmin on."""

    x: list[float | None]
    share: list[float | None]
    fit_x: list[float | None]
    fits: dict[str, list[float | None]]
    xmin: float | None


class Growth(msgspec.Struct, frozen=True):
    """How the largest value grows with the number of agents N."""

    gamma: Span | None
    reason: str | None
    """Why there is no exponent."""
    n: list[float | None]
    mean: list[float | None]


class LawLine(msgspec.Struct, frozen=True):
    """One observable with what is said of it."""

    name: str
    unit: str
    n: float | None
    n_eff: float | None
    mean: float | None
    largest: float | None
    gini: float | None
    top10_share: float | None
    verdict: str
    reasons: list[str]
    """Every reason for doubt."""
    nulls: list[str]
    """What it cannot be told from."""
    alpha: float | None
    interval: Span | None
    """The widest one that is known of alpha."""
    xmin: float | None
    n_tail: float | None
    gof_p: float | None
    ratios: list[Ratio]
    tail: TailPicture | None
    """None for data of an earlier version."""
    growth: Growth | None


class LawsPage(msgspec.Struct, frozen=True):
    """What the page of laws shows; `groups` has the same for each group of executions that was asked for."""

    title: str
    verdict: str
    """In one sentence, of which observables something is claimed."""
    executions: float | None
    events: float | None
    laws: list[LawLine]
    concentration: dict[str, float | None]
    caveats: list[str]
    groups: list[LawsPage]


def laws_page(data: Mapping[str, Any]) -> LawsPage:
    """Return the page of some laws.

    Raises:
        InputError: the data is none of laws.
    """
    if "concentration" not in data or "gamma" not in data:
        raise InputError("these are no laws", "", "give a file that agentsoc laws --json wrote")
    growth = table(data["gamma"], "gamma")
    found = [_line(name, table(row, name), growth.get(name)) for name, row in data.items() if name not in _OTHERS]
    effort = table(data["concentration"], "concentration")
    where = table(data.get("where"), "where")
    return LawsPage(
        title=", ".join(f"{key} {value}" for key, value in where.items()),
        verdict=laws_sentence(found),
        executions=number(data.get("executions"), "executions"),
        events=number(data.get("events"), "events"),
        laws=found,
        concentration={name: number(effort.get(name), name) for name in _OF_EFFORT if name in effort},
        caveats=texts(data.get("caveats"), "caveats"),
        groups=[laws_page(table(one, "groups")) for one in listed(data.get("groups"), "groups")[:200]]
        if "groups" in data
        else [],
    )


def laws_sentence(found: list[LawLine]) -> str:
    """Return in one sentence what is said of the tails."""
    words: dict[str, list[str]] = {}
    for one in found:
        words.setdefault(one.verdict, []).append(one.name)
    if not words:
        return "No observable has values."
    told = "; ".join(f"{word}: {', '.join(names)}" for word, names in words.items())
    return f"Tails by verdict: {told}."


def _line(name: str, row: Mapping[str, Any], growth: Any) -> LawLine:
    fit = table(row.get("fit"), f"{name}.fit")
    gof = table(fit.get("gof"), f"{name}.gof")
    plain = {key: number(row.get(key), key) for key in ("n", "n_eff", "mean", "gini", "top10_share")}
    ratios = table(row.get("lr"), f"{name}.lr").values()
    return LawLine(
        name=name,
        unit=text(row.get("unit", ""), "unit"),
        largest=number(row.get("max"), "max"),
        verdict=text(row.get("verdict", "no fit"), "verdict"),
        reasons=texts(row.get("reasons"), "reasons"),
        nulls=texts(row.get("nulls"), "nulls"),
        alpha=number(fit.get("alpha"), "alpha"),
        interval=_widest(fit),
        xmin=number(fit.get("xmin"), "xmin"),
        n_tail=number(fit.get("n_tail"), "n_tail"),
        gof_p=number(gof.get("p"), "gof"),
        ratios=[_ratio(table(one, "lr")) for one in ratios],
        tail=_tail(row.get("curves"), number(fit.get("xmin"), "xmin")),
        growth=_growth(growth),
        **plain,
    )


def _widest(fit: Mapping[str, Any]) -> Span | None:
    alpha = number(fit.get("alpha"), "alpha")
    found = [table(one, "intervals") for one in table(fit.get("intervals"), "intervals").values() if one is not None]
    spans = [Span(alpha, number(one.get("low"), "low"), number(one.get("high"), "high")) for one in found]
    known = [one for one in spans if one.low is not None and one.high is not None]
    return max(known, key=lambda one: (one.high or 0.0) - (one.low or 0.0), default=None)


def _ratio(one: Mapping[str, Any]) -> Ratio:
    first, second = (text(one.get(name, ""), name) for name in ("first", "second"))
    return Ratio(first, second, number(one.get("R"), "R"), number(one.get("p"), "p"))


def _tail(data: Any, xmin: float | None) -> TailPicture | None:
    if data is None:
        return None
    one = table(data, "curves")
    x, share, fit_x = (numbers(one.get(name), name) for name in ("x", "share", "fit_x"))
    fits = {str(name)[:60]: numbers(curve, "fits") for name, curve in table(one.get("fits"), "fits").items()}
    if len(x) != len(share) or any(len(curve) != len(fit_x) for curve in fits.values()):
        raise InputError("the curves of a tail have other lengths than their values", "curves", "write the file again")
    return TailPicture(x, share, fit_x, fits, xmin)


def _growth(data: Any) -> Growth | None:
    if data is None:
        return None
    one = table(data, "gamma")
    if one.get("gamma") is None:
        return Growth(None, text(one.get("reason") or "", "gamma"), [], [])
    ends = [*numbers(one.get("ci95"), "ci95"), None, None]
    rows = [table(row, "per_n") for row in listed(one.get("per_n"), "per_n")]
    n, mean = (numbers([row.get(name) for row in rows], name) for name in ("n_agents", "mean"))
    return Growth(Span(number(one["gamma"], "gamma"), ends[0], ends[1]), None, n, mean)
