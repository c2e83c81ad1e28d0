"""This module defines predictors of a score: ten main terms and nine interactions, standardised (arXiv 2512.08296).

Base variables are standardised to mean 0 and standard deviation 1; interactions are products of standardised variables
and are not scaled again. So a main coefficient is the slope where every partner of its interactions is at its mean,
and a ratio of two coefficients is a value of a base variable in standard units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError
from analysis.interval import FloatArray

BASES: Final[Mapping[str, tuple[str, bool]]] = {
    "I": ("capability", False),
    "tools": ("tools", False),
    "log_tools": ("tools", True),
    "n": ("n_agents", False),
    "log_n": ("n_agents", True),
    "overhead": ("overhead", False),
    "log_overhead": ("overhead", True),
    "density": ("density", False),
    "redundancy": ("redundancy", False),
    "efficiency": ("efficiency", False),
    "amplification": ("amplification", False),
    "log_amplification": ("amplification", True),
    "P_SA": ("single", False),
}
"""Base variable -> (column of the table, whether log(1 + x) is taken)."""

TERMS: Final[tuple[tuple[str, ...], ...]] = (
    ("I",), ("I", "I"), ("log_tools",), ("log_n",), ("log_overhead",), ("density",), ("redundancy",), ("efficiency",),
    ("log_amplification",), ("P_SA",),
    ("I", "efficiency"), ("amplification", "P_SA"), ("overhead", "tools"), ("redundancy", "n"), ("density", "I"),
    ("efficiency", "tools"), ("P_SA", "log_n"), ("I", "log_tools"), ("amplification", "tools"),
)  # fmt: skip
"""The 19 predictors besides the intercept, each a product of base variables."""

NAMES: Final = ("intercept", *("*".join(term) for term in TERMS))
COLUMNS: Final = tuple(dict.fromkeys(column for column, _ in BASES.values()))
"""Columns that a table of runs must have: capability of the model (any scale), tools, n_agents, overhead (% more
turns than a single agent), density (messages a turn), redundancy, efficiency, amplification (of errors), single (score
of a single agent on the same task)."""
COORDINATION: Final = ("overhead", "density", "redundancy", "efficiency", "amplification")
"""Predictors that are known only after a run."""


@dataclass(frozen=True)
class Scale:
    """The scale holds means and standard deviations of the base variables, as learnt from some rows."""

    mean: Mapping[str, float]
    sd: Mapping[str, float]
    """Standard deviations; 0 for a variable that did not vary, whose terms are then 0."""

    def natural(self, base: str, standard: float) -> float:
        """Return a value in standard units as one of the base variable."""
        return self.mean[base] + self.sd[base] * standard


def learn_scale(table: pl.DataFrame) -> Scale:
    """Return means and standard deviations of the base variables over the rows of a table.

    Raises:
        InputError: a column is missing, holds nulls, or takes a log of something at or below -1.
    """
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError(f"the table has no column {', '.join(missing)}", "", f"it has {', '.join(table.columns)}")
    values = {base: _base(table, base) for base in BASES}
    bad = [base for base, value in values.items() if not np.all(np.isfinite(value))]
    if bad:
        raise InputError(f"not every row has a usable {', '.join(bad)}", "", "leave such rows out")
    sd = {base: float(value.std()) for base, value in values.items()}
    mean = {base: float(value.mean()) for base, value in values.items()}
    return Scale(mean, {base: s if s > 1e-12 * max(1.0, abs(mean[base])) else 0.0 for base, s in sd.items()})


def design(table: pl.DataFrame, scale: Scale) -> FloatArray:
    """Return intercept and predictors, shape (n_rows, 20), in the order of `NAMES`."""
    standard = {
        base: (_base(table, base) - scale.mean[base]) / scale.sd[base] if scale.sd[base] else np.zeros(table.height)
        for base in BASES
    }
    columns = [np.ones(table.height)]
    columns += [np.prod([standard[base] for base in term], axis=0) for term in TERMS]
    return np.column_stack(columns)


def _base(table: pl.DataFrame, base: str) -> FloatArray:
    column, logged = BASES[base]
    value = table[column].cast(pl.Float64).to_numpy().astype(np.float64)
    if not logged:
        return value
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log1p(value))
