"""This module corrects the tests of a report for their number: a word must hold among all the words that are printed.

A report on laws compares models for some twenty observables, in every group that was asked for. At 5 % each, some model
"wins" somewhere whatever the data. So Holm's correction is taken over all likelihood ratios that decide words, and the
words follow the corrected p values. The goodness of fit is not corrected: its null hypothesis is the power law itself,
and a correction would make it easier to pass. Its line says so where a report has several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.cascade_laws.examine import Law, Laws, cannot_tell
from analysis.tails import TailFit
from analysis.tails.compare import LikelihoodRatio

Key = tuple[int, str, bool]
"""Part of the report, observable, and whether the fit is that to all values."""


def corrected_together(parts: Sequence[Laws]) -> tuple[Laws, ...]:
    """Return the parts of a report with words that follow p values corrected over all of them."""
    fits = dict(_fits(parts))
    tests = [(key, name, test) for key, fit in fits.items() for name, test in fit.deciding.items()]
    adjusted = holm_log10(np.array([test.log10_p for _, _, test in tests]))
    found: dict[Key, dict[str, LikelihoodRatio]] = {}
    for (key, name, test), log10 in zip(tests, adjusted, strict=True):
        found.setdefault(key, {})[name] = replace(test, log10_p_holm=float(log10), family=len(tests))
    n_gof = sum(fit.gof is not None for fit in fits.values())
    return tuple(
        replace(
            part,
            laws={name: _law(law, (at, name), found, n_gof) for name, law in part.laws.items()},
            n_tests=len(tests),
        )
        for at, part in enumerate(parts)
    )


def holm_log10(log10_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the decimal logarithms of p values that Holm corrects, from those of the raw ones, in the order given."""
    order = np.argsort(log10_p, kind="stable")
    scaled = np.maximum.accumulate(log10_p[order] + np.log10(np.arange(log10_p.size, 0, -1)))
    out = np.empty(log10_p.size)
    out[order] = np.minimum(scaled, 0.0)
    return out


def _fits(parts: Sequence[Laws]) -> Iterator[tuple[Key, TailFit]]:
    for at, part in enumerate(parts):
        for name, law in part.laws.items():
            yield (at, name, False), law.fit
            if law.whole is not None:
                yield (at, name, True), law.whole


def _law(law: Law, place: tuple[int, str], found: Mapping[Key, dict[str, LikelihoodRatio]], n_gof: int) -> Law:
    if (*place, False) not in found:
        return law
    fit = law.fit.judged_by(found[*place, False], law.design, n_gof)
    whole = law.whole
    if whole is not None and (*place, True) in found:
        whole = whole.judged_by(found[*place, True], law.design, n_gof)
    return replace(law, fit=fit, whole=whole, nulls=cannot_tell(fit, law.design, law.growth))
