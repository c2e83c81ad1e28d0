"""The whole examination of one sample: threshold, power law, competitors, tests, resampling, verdict and fit card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fitcard import Entry, FitCard
from analysis.tails.bootstrap import (
    GoodnessOfFit,
    Interval,
    ValueIntervals,
    cluster_interval,
    goodness_of_fit,
    value_interval,
)
from analysis.tails.compare import Comparison, Members, members, nested, vuong, vuong_clustered
from analysis.tails.competitor import COMPETITORS, TailModel
from analysis.tails.competitors.truncated import TRUNCATED
from analysis.tails.histogram import Histogram, histogram
from analysis.tails.powerlaw import MIN_DISTINCT, MIN_TAIL, PowerLaw, fit_at, log_mass, select_xmin
from analysis.tails.profile import Range
from analysis.tails.verdict import AGAINST_CUT_OFF, Design, Verdict, degeneracies, judge

F64 = NDArray[np.float64]

POWER: Final = "power_law"


@dataclass(frozen=True)
class ClusterLevel:
    """What is left of the evidence when whole clusters, not values, are the independent units."""

    name: str
    clusters: int
    tests: dict[str, Comparison]
    interval: Interval | None
    """Of alpha; None if no replicates were asked for."""


@dataclass(frozen=True)
class TailFit:
    """Everything that was found about the tail of one sample."""

    name: str
    sample: Histogram
    power: PowerLaw | None
    models: dict[str, TailModel]
    tests: dict[str, Comparison]
    """Likelihood ratios with values taken as independent; keys as in `judge`."""
    levels: tuple[ClusterLevel, ...]
    interval: Interval | None
    """Of alpha with values taken as independent; None if no replicates were asked for."""
    ranges: dict[str, dict[str, Range]]
    """Intervals of the competitors' parameters by model, values taken as independent; empty without replicates."""
    gof: GoodnessOfFit | None
    degenerate: tuple[str, ...]
    verdict: Verdict
    card: FitCard

    @property
    def best(self) -> str | None:
        """The model with the smallest AIC."""
        if self.power is None:
            return None
        scores = {name: model.aic for name, model in self.models.items()}
        scores[POWER] = 2.0 - 2.0 * self.power.loglik
        return min(scores, key=lambda name: scores[name])

    def summary(self) -> str:
        """Return a few lines: fit, tests and verdict."""
        title = self.name or "sample"
        if self.power is None:
            return f"{title}: {self.verdict.summary()}"
        lines = [f"{title}: {self.power.summary()}"]
        lines += [f"  {test.summary()}" for test in self.tests.values()]
        lines += [f"  value: {self.interval.summary()}"] if self.interval is not None else []
        lines += [f"  {level.name}: {level.interval.summary()}" for level in self.levels if level.interval is not None]
        lines += [f"  {self.gof.summary()}"] if self.gof is not None else []
        return "\n".join([*lines, f"  {self.verdict.summary()}"])


def fit_tail(
    values: ArrayLike,
    *,
    name: str = "",
    unit: str = "",
    discrete: bool = True,
    xmin: float | None = None,
    clusters: Mapping[str, ArrayLike] | None = None,
    gof_replicates: int = 0,
    interval_replicates: int = 0,
    seed: int = 0,
    design: Design | None = None,
    min_tail: int = MIN_TAIL,
    min_distinct: int = MIN_DISTINCT,
) -> TailFit:
    """Return the examination of the positive `values`.

    Args:
        values: the sample, shape (n,); zeros are left out.
        name: what it is, for the reader.
        unit: unit of the values.
        discrete: whole numbers with probability masses, or densities.
        xmin: the threshold; chosen by the smallest KS distance if not given.
        clusters: for each level of dependence a label per value, shape (n,), the coarsest last: its tests decide.
        gof_replicates: replicates of the goodness-of-fit test; 0 leaves it out, and then no power law is claimed.
        interval_replicates: replicates of the bootstraps, over values and over the clusters of each level; 0 leaves
            all intervals out.
        seed: seed of all resampling.
        design: caps and repeats, see `Design`.
        min_tail: values that the threshold must leave.
        min_distinct: distinct values that it must leave.

    Raises:
        InputError: values are negative or not finite, or labels do not match them.
    """
    array = np.asarray(values, dtype=np.float64)
    sample = histogram(array, discrete=discrete)
    design = design or Design()
    power = (
        fit_at(sample, xmin) if xmin is not None else select_xmin(sample, min_tail=min_tail, min_distinct=min_distinct)
    )
    if power is None or power.n_distinct < 2:
        verdict = judge(None, None, {}, {}, None, design)
        return TailFit(
            name, sample, None, {}, {}, (), None, {}, None, (), verdict,
            _card(sample, None, {}, unit, xmin, clusters, None, None, seed),
        )  # fmt: skip
    tail = sample.tail(power.xmin)
    models = {name: one.fit(tail, power) for name, one in COMPETITORS.all().items()}
    tests = _tests(power, models, tail, None)
    gof = None
    if gof_replicates:
        gof = goodness_of_fit(
            sample, power, replicates=gof_replicates, seed=seed, refit_xmin=xmin is None,
            min_tail=min_tail, min_distinct=min_distinct,
        )  # fmt: skip
    own = None
    if interval_replicates:
        own = value_interval(
            sample, power, replicates=interval_replicates, seed=seed, refit_xmin=xmin is None, min_tail=min_tail,
            min_distinct=min_distinct, truncated=xmin is None,
        )  # fmt: skip
    levels = []
    for level, labels in (clusters or {}).items():
        who = members(tail, array, labels)
        interval = None
        if interval_replicates:
            interval = cluster_interval(
                array[array > 0], np.asarray(labels)[array > 0], power, discrete=discrete,
                replicates=interval_replicates, seed=seed, refit_xmin=xmin is None, min_tail=min_tail,
                min_distinct=min_distinct,
            )  # fmt: skip
        levels.append(ClusterLevel(level, who.n_clusters, _tests(power, models, tail, who), interval))
    deciding = levels[-1].tests if levels else tests
    verdict = judge(power, tail, models, deciding, gof, design)
    interval = None if own is None else own.alpha
    ranges = {} if own is None else {key: _ranges(model, tail, own) for key, model in models.items()}
    card = _card(sample, power, models, unit, xmin, clusters, gof, interval, seed)
    short = degeneracies(power, tail)
    return TailFit(name, sample, power, models, tests, tuple(levels), interval, ranges, gof, short, verdict, card)


def _ranges(model: TailModel, tail: Histogram, own: ValueIntervals) -> dict[str, Range]:
    """Return the profile intervals of a competitor, widened to the bootstrap's where the threshold was chosen.

    The threshold is chosen for the power law, and that tilts the truncated law, so its profile at the chosen threshold
    covers too little (benchmarks/study_tail_coverage.py); the other competitors hardly notice.
    """
    found = dict(COMPETITORS.get(model.name).intervals(model, tail))
    for name, (low, high) in own.truncated.items() if model.name == TRUNCATED else ():
        old = found[name]
        found[name] = Range(
            min(low, old.low),
            max(high, old.high),
            old.level,
            old.open_low or (name == "rate" and low == 0),
            old.open_high,
        )
    return found


def _tests(
    power: PowerLaw, models: Mapping[str, TailModel], tail: Histogram, who: Members | None
) -> dict[str, Comparison]:
    """Return all likelihood ratios, cluster-robust if `who` is given."""
    masses = {POWER: log_mass(power, tail), **{name: model.log_mass for name, model in models.items()}}

    def against(first: str, second: str) -> Comparison:
        pair, mass = (first, second), (masses[first], masses[second])
        return vuong(pair, mass, tail) if who is None else vuong_clustered(pair, mass, tail, who)

    found = {}
    for name, one in COMPETITORS.all().items():
        # With clusters no chi-square holds; there the clustered z stands, which is conservative when the rate is 0.
        inside = one.holds_power_law and who is None
        found[name] = nested((POWER, name), power.loglik, models[name].loglik) if inside else against(POWER, name)
    rivals = {name: one for name, one in COMPETITORS.all().items() if one.rivals_cut_off}
    found |= {f"{AGAINST_CUT_OFF}{one.short}": against(TRUNCATED, name) for name, one in rivals.items()}
    return found


def _card(
    sample: Histogram,
    power: PowerLaw | None,
    models: Mapping[str, TailModel],
    unit: str,
    xmin: float | None,
    clusters: Mapping[str, ArrayLike] | None,
    gof: GoodnessOfFit | None,
    interval: Interval | None,
    seed: int,
) -> FitCard:
    """Return the fit card of the examination."""
    kind = "x^-alpha / zeta(alpha, xmin)" if sample.discrete else "(alpha - 1)/xmin (x/xmin)^-alpha"
    levels: dict[str, Entry] = {
        f"clusters by {name}": len(np.unique(np.asarray(labels))) for name, labels in (clusters or {}).items()
    }
    data: dict[str, Entry] = {
        "values": sample.n,
        "distinct values": len(sample.values),
        "least": float(sample.values[0]) if sample.n else None,
        "largest": float(sample.values[-1]) if sample.n else None,
        "excluded": "zeros",
        "dependence": "cluster-robust tests" if clusters else "values taken as independent",
        **levels,
    }
    optimisation: dict[str, Entry] = {
        "loss": "negative log-likelihood of the tail",
        "alpha range": (1.0, 60.0),
        "threshold": "given" if xmin is not None else "smallest KS distance, ties to the smaller",
        "seed": seed,
    }
    warnings = []
    if power is not None:
        optimisation |= {
            "thresholds compared": power.candidates,
            "thresholds possible": power.possible,
            "xmin": power.xmin,
            "alpha": power.alpha,
            "KS": power.ks,
            "goodness of fit": gof.summary() if gof is not None else "not computed",
            "uncertainty": interval.summary() if interval is not None else "not computed",
            "converged": tuple(name for name, model in models.items() if model.converged),
        }
        stuck = [name for name, model in models.items() if not model.converged]
        warnings += [f"the fit of {name} did not converge" for name in stuck]
        for model in models.values():
            warnings += [f"{model.name}: {parameter} is at an end of its range" for parameter in model.at_bound]
        if power.candidates < power.possible and xmin is None:
            warnings.append(f"only {power.candidates} of {power.possible} thresholds were compared")
    return FitCard(
        form={"equation": kind, "free": ("alpha",), "x": unit or "size", "competitors": tuple(COMPETITORS.all())},
        data=data,
        extraction={"censoring": "none", "pooling": "all executions"},
        optimisation=optimisation,
        warnings=tuple(warnings),
    )
