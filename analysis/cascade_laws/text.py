"""This module tells laws as text for a terminal: a table, the verdicts with their reasons, and what limits them."""

from __future__ import annotations

from agentsoc.printing.text import table
from analysis.cascade_laws.examine import Law, Laws
from analysis.claims.attachment import Attachment
from analysis.tails.competitor import COMPETITORS
from analysis.tails.fit import POWER

HEAD = ("observable", "n", "n_eff", "mean", "max", "gini", "top10%", "alpha", "xmin", "KS", "tail", "best", "verdict")
_RIGHT = frozenset(range(1, 11))


def laws_as_text(laws: Laws, *, cards: bool = False) -> str:
    """Return the report on `laws`; with `cards` the fit card of every tail as well."""
    title = ", ".join(f"{key} {value}" for key, value in laws.where.items())
    blocks = [f"== {title} ==" if title else "", laws.table.summary()]
    blocks += [f"note: {text}" for text in laws.caveats]
    if laws.laws:
        blocks += ["", table([HEAD, *(_row(name, law) for name, law in laws.laws.items())], right=_RIGHT)]
        blocks += [
            "",
            f"Verdicts{_over(laws)}",
            *(text for name, law in laws.laws.items() for text in _verdict(name, law)),
        ]
        blocks += ["", "Cannot be told from"]
        blocks += [f"  {name}: {_nulls(law)}" for name, law in laws.laws.items()]
        blocks += ["", "Growth of the largest value with N", *_growth_lines(laws)]
    blocks += ["", "Concentration of effort", f"  {laws.concentration.summary()}"]
    if laws.switched is not None and laws.switched.replicates:
        blocks += ["", "Cascades against the same fan-in and fan-out wired at random", f"  {laws.switched.summary()}"]
    blocks += ["", "Merge conversion", f"  {laws.integration.summary()}"]
    blocks += ["", "Attachment exponent, by topology"]
    blocks += [f"  {name}: {_attachment(found)}" for name, found in laws.attachment.items()]
    if laws.deficits:
        blocks += ["", "Deficit-triggered integration, replayed offline, by topology"]
        blocks += [f"  {name}: {found.summary()}" for name, found in laws.deficits.items()]
    blocks += ["", "Structure audit", f"  {laws.audit.summary()}"]
    if laws.faults.table.height:
        blocks += ["", "Faults", f"  {laws.faults.summary()}"]
    if laws.laws:
        blocks += ["", *_cards(laws, whole=cards)]
    return "\n".join(blocks).lstrip("\n")


def _over(laws: Laws) -> str:
    """Return what the words are corrected for."""
    if not laws.n_tests:
        return ""
    return f" (words follow p values that Holm corrects over {laws.n_tests} likelihood ratios; goodness of fit is not)"


def _row(name: str, law: Law) -> list[str]:
    """Return the cells of one observable."""
    told, power = law.numbers, law.fit.power
    cells = [name, str(law.sample.n), f"{law.n_effective:.0f}", f"{told.mean:.4g}", f"{told.largest:g}"]
    cells += [f"{told.gini:.3f}", f"{told.top_share:.3f}"]
    if power is None:
        cells += ["-"] * 4
    else:
        alpha = f"{power.alpha:.3f}" + ("!" if power.at_bound else "")
        cells += [alpha, f"{power.xmin:g}", f"{power.ks:.4f}", str(power.n_tail)]
    best = law.fit.best
    return [*cells, _short(best), law.fit.verdict.word]


def _verdict(name: str, law: Law) -> list[str]:
    """Return the verdict on the chosen tail and, where that is a small part, on all values."""
    lines = [f"  {name}: {law.fit.verdict.summary()}"]
    if law.whole is not None and law.fit.power is not None:
        share = law.fit.power.n_tail / law.sample.n
        lines.append(f"    that is the tail with {share:.1%} of the values; all of them: {law.whole.verdict.summary()}")
    return lines


def _growth_lines(laws: Laws) -> list[str]:
    """Return one line per observable that has an exponent, and one for the reasons of all others."""
    lines = []
    for law in laws.laws.values():
        if law.growth is not None:
            lines += [f"  {law.growth.summary()}", *(f"    warning: {text}" for text in law.growth.card.warnings)]
        if law.curve is not None:
            lines.append(f"    as a curve: {law.curve.summary()}")
    reasons = {law.no_growth for law in laws.laws.values() if law.growth is None}
    few = [name for name, law in laws.laws.items() if law.growth is None]
    if not lines:
        return [f"  not identified: {sorted(reasons)[0]}"]
    return lines + ([f"  not identified for {', '.join(few)}"] if few else [])


def _nulls(law: Law) -> str:
    """Return the null models that an observable may come from."""
    if law.fit.power is None:
        return "any: too few values for a test"
    return ", ".join(law.nulls) if law.nulls else "none of the null models"


def _attachment(found: Attachment | str) -> str:
    return f"not looked for: {found}" if isinstance(found, str) else found.summary()


def _cards(laws: Laws, *, whole: bool) -> list[str]:
    """Return the fit cards, or their digests and warnings."""
    lines = ["Fit cards"]
    for name, law in laws.laws.items():
        card = law.fit.card
        if whole:
            lines += [f"  {name} ({card.digest()})", *(f"    {text}" for text in card.summary().splitlines())]
        else:
            lines += [f"  {name}: {card.digest()}", *(f"    warning: {text}" for text in card.warnings)]
    return lines if whole else [*lines, "  (--cards prints them, --json holds them)"]


def _short(best: str | None) -> str:
    """Return the short name of the model that fits best."""
    if best is None or best == POWER:
        return "-" if best is None else "power"
    return COMPETITORS.get(best).short
