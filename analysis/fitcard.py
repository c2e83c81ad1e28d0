"""This module defines the fit card, which every curve carries: what a reader must know to trust or repeat a fit.

Four groups after (Mis)Fitting (arXiv 2502.18969): the form that was fitted, the data it was fitted to, how each point
was extracted, how the optimum and its uncertainty were found. Equal fits of equal logs give equal cards and equal
digests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike

Entry = str | int | float | bool | None | tuple[str, ...] | tuple[float, ...]

MIN_POINTS = 5
MIN_RATIO = 10.0


@dataclass(frozen=True)
class FitCard:
    """A card describes one fit; every group maps a short name to a value."""

    form: Mapping[str, Entry]
    """Equation, free and fixed parameters, units, what x is, competing forms."""
    data: Mapping[str, Entry]
    """Values, range, seeds, exclusions, dependence."""
    extraction: Mapping[str, Entry]
    """How each value came out of the log."""
    optimisation: Mapping[str, Entry]
    """Loss, bounds, starts, convergence, uncertainty, goodness of fit, hold-out."""
    warnings: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, object]:
        """Return the card as plain values for JSON."""
        groups = {name: dict(getattr(self, name)) for name in ("form", "data", "extraction", "optimisation")}
        return {**groups, "warnings": list(self.warnings), "digest": self.digest()}

    def digest(self) -> str:
        """Return a hash of the card: equal cards, equal hash. Floats count to twelve digits."""
        groups = [dict(getattr(self, name)) for name in ("form", "data", "extraction", "optimisation")]
        text = json.dumps([_rounded(groups), list(self.warnings)], sort_keys=True)
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def summary(self) -> str:
        """Return the card as text, one line an entry."""
        lines = []
        for name in ("form", "data", "extraction", "optimisation"):
            lines.append(f"{name}:")
            lines += [f"  {key}: {_shown(value)}" for key, value in getattr(self, name).items()]
        lines += [f"warning: {text}" for text in self.warnings]
        return "\n".join(lines)


def range_warnings(x: ArrayLike, what: str = "x") -> tuple[str, ...]:
    """Return why a law fitted over these x says little: fewer than five distinct x, or less than a factor ten."""
    distinct = np.unique(np.asarray(x, dtype=np.float64))
    found = []
    if len(distinct) < MIN_POINTS:
        found.append(f"only {len(distinct)} distinct {what}; an exponent needs at least {MIN_POINTS}")
    if len(distinct) and distinct[0] > 0 and distinct[-1] / distinct[0] < MIN_RATIO:
        found.append(
            f"{what} spans a factor of {distinct[-1] / distinct[0]:.3g}; an exponent needs at least {MIN_RATIO:g}"
        )
    return tuple(found)


def _rounded(value: object) -> object:
    """Return `value` with floats cut to twelve significant digits, so that rounding of the machine does not count."""
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


def _shown(value: Entry) -> str:
    """Return an entry as text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return ", ".join(f"{part:.6g}" if isinstance(part, float) else str(part) for part in value)
    return str(value)
