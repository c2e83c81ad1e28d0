"""This module examines one sample: threshold, power law, competitors, tests, resampling, verdict and fit card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fitcard import Entry, FitCard
from analysis.interval import Interval
from analysis.tails.bootstrap import (
    ExponentInterval,
    GoodnessOfFit,
    ValueIntervals,
    cluster_interval,
    goodness_of_fit,
    value_interval,
)
from analysis.tails.compare import LikelihoodRatio, Members, members, nested, vuong, vuong_clustered
from analysis.tails.competitor import COMPETITORS, TailModel
from analysis.tails.competitors.truncated import TRUNCATED
from analysis.tails.histogram import CountedValues, Histogram, counted, histogram
from analysis.tails.powerlaw import USUAL_TAIL, LeastTail, PowerLaw, fit_at, log_mass, select_xmin
from analysis.tails.verdict import AGAINST_CUT_OFF, SampleDesign, Verdict, degeneracies, judge

F64 = NDArray[np.float64]

POWER: Final = "power_law"


@dataclass(frozen=True)
class ClusterLevel:
    """A level holds what is left of the evidence when whole clusters, not values, are the independent units."""

    name: str
    clusters: int
    tests: dict[str, LikelihoodRatio]
    interval: ExponentInterval | None
    """Interval of alpha; None if no replicates were asked for."""


@dataclass(frozen=True)
class TailFit:
    """The fit holds everything that was found about the tail of one sample."""

    name: str
    sample: Histogram
    power: PowerLaw | None
    models: dict[str, TailModel]
    tests: dict[str, LikelihoodRatio]
    """Likelihood ratios with values taken as independent; keys as in `judge`."""
    levels: tuple[ClusterLevel, ...]
    interval: ExponentInterval | None
    """Interval of alpha with values taken as independent; None if no replicates were asked for."""
    ranges: dict[str, dict[str, Interval]]
    """Intervals of the competitors' parameters by model, values taken as independent; empty without replicates."""
    gof: GoodnessOfFit | None
    degenerate: tuple[str, ...]
    verdict: Verdict
    card: FitCard

    @property
    def deciding(self) -> dict[str, LikelihoodRatio]:
        """The likelihood ratios that words follow: those of the coarsest clusters."""
        return self.levels[-1].tests if self.levels else self.tests

    def judged_by(self, tests: Mapping[str, LikelihoodRatio], design: SampleDesign, family: int = 1) -> TailFit:
        """Return the same with other deciding tests, such as corrected ones, and the word that follows from them.

        Args:
            tests: by name of the competitor, as `deciding` has them.
            design: caps and repeats.
            family: fits of the same report with a goodness of fit, which is told and not corrected for.
        """
        if self.power is None:
            return self
        tail = self.sample.tail(self.power.xmin)
        gof = None if self.gof is None else replace(self.gof, family=family)
        verdict = judge(self.power, tail, self.models, tests, gof, design, self.sample.n)
        if not self.levels:
            return replace(self, tests=dict(tests), gof=gof, verdict=verdict)
        last = replace(self.levels[-1], tests=dict(tests))
        return replace(self, levels=(*self.levels[:-1], last), gof=gof, verdict=verdict)

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


@dataclass(frozen=True)
class Resampling:
    """The object says how often a sample is drawn again; zeros leave resampling out."""

    gof: int = 0
    """Replicates of the goodness-of-fit test; 0 leaves it out, and then no power law is claimed."""
    interval: int = 0
    """Replicates of the bootstraps, over values and over the clusters of each level; 0 leaves all intervals out."""
    seed: int = 0
    """Seed of all draws."""


NO_RESAMPLING: Final = Resampling()


def fit_tail(
    values: ArrayLike | CountedValues,
    *,
    name: str = "",
    unit: str = "",
    discrete: bool = True,
    xmin: float | LeastTail | None = None,
    clusters: Mapping[str, ArrayLike] | None = None,
    resampling: Resampling = NO_RESAMPLING,
    design: SampleDesign | None = None,
) -> TailFit:
    """Return the examination of the positive `values`.

    Args:
        values: the sample, shape (n,); zeros are left out.
        name: what it is, for the reader.
        unit: unit of the values.
        discrete: whole numbers with probability masses, or densities.
        xmin: the threshold, or what it must leave when it is chosen, by the smallest KS distance.
        clusters: for each level of dependence a label per value, shape (n,), the coarsest last: its tests decide.
        resampling: replicates of the goodness-of-fit test and of the bootstraps.
        design: caps and repeats, see `SampleDesign`.

    Raises:
        InputError: values are negative or not finite, or labels do not match them.
    """
    sample, design = histogram(values, discrete=discrete), design or SampleDesign()
    given = None if isinstance(xmin, LeastTail) else xmin
    least = xmin if isinstance(xmin, LeastTail) else USUAL_TAIL if xmin is None else None
    asked = _Asked(unit, given, least, clusters or {}, resampling)
    power = asked.power_law(sample)
    if power is None or power.n_distinct < 2:
        verdict, card = judge(None, None, {}, {}, None, design), _card(sample, None, {}, asked)
        return TailFit(name, sample, None, {}, {}, (), None, {}, None, (), verdict, card)
    tail = sample.tail(power.xmin)
    models = {key: one.fit(tail, power) for key, one in COMPETITORS.all().items()}
    tests = _tests(power, models, tail, None)
    gof, own = _resampled(sample, power, asked)
    levels = [_level(key, labels, values, power, models, asked, tail) for key, labels in asked.clusters.items()]
    verdict = judge(power, tail, models, levels[-1].tests if levels else tests, gof, design, sample.n)
    interval = None if own is None else own.alpha
    ranges = {} if own is None else {key: _ranges(model, tail, own) for key, model in models.items()}
    card = _card(sample, power, models, asked, gof, interval)
    short = degeneracies(power, tail)
    return TailFit(name, sample, power, models, tests, tuple(levels), interval, ranges, gof, short, verdict, card)


@dataclass(frozen=True)
class _Asked:
    """The object holds what was asked of an examination."""

    unit: str
    xmin: float | None
    """The threshold that was given."""
    least: LeastTail | None
    """What a chosen threshold must leave in the tail; None where the threshold was given."""
    clusters: Mapping[str, ArrayLike]
    resampling: Resampling

    def power_law(self, sample: Histogram) -> PowerLaw | None:
        """Return the power law above the threshold; None where none leaves enough."""
        if self.least is None:
            assert self.xmin is not None
            return fit_at(sample, self.xmin)
        return select_xmin(sample, min_tail=self.least.values, min_distinct=self.least.distinct)


def _resampled(sample: Histogram, power: PowerLaw, asked: _Asked) -> tuple[GoodnessOfFit | None, ValueIntervals | None]:
    """Return goodness of fit and intervals with values taken as independent, as far as they were asked for."""
    again, least = asked.resampling, asked.least
    gof = own = None
    if again.gof:
        gof = goodness_of_fit(sample, power, replicates=again.gof, seed=again.seed, refit=least)
    if again.interval:
        chosen = least is not None
        own = value_interval(sample, power, replicates=again.interval, seed=again.seed, refit=least, truncated=chosen)
    return gof, own


def _level(
    name: str,
    labels: ArrayLike,
    values: ArrayLike | CountedValues,
    power: PowerLaw,
    models: Mapping[str, TailModel],
    asked: _Asked,
    tail: Histogram,
) -> ClusterLevel:
    """Return what is left of the evidence when the clusters of one level are the units."""
    who = members(tail, values, labels)
    interval, again = None, asked.resampling
    if again.interval:
        array, often = counted(values)
        some = array > 0
        kept = array[some] if often is None else CountedValues(array[some], often[some])
        interval = cluster_interval(
            kept, np.asarray(labels)[some], power, discrete=tail.discrete,
            replicates=again.interval, seed=again.seed, refit=asked.least,
        )  # fmt: skip
    return ClusterLevel(name, who.n_clusters, _tests(power, models, tail, who), interval)


def _ranges(model: TailModel, tail: Histogram, own: ValueIntervals) -> dict[str, Interval]:
    """Return the profile intervals of a competitor, widened to the bootstrap's where the threshold was chosen.

    The threshold is chosen for the power law, and that tilts the truncated law, so its profile at the chosen threshold
    covers too little (benchmarks/study_tail_coverage.py); the other competitors hardly notice.
    """
    found = dict(COMPETITORS.get(model.name).intervals(model, tail))
    for name, (low, high) in own.truncated.items() if model.name == TRUNCATED else ():
        old = found[name]
        found[name] = replace(
            old,
            low=min(low, old.low),
            high=max(high, old.high),
            method="profile likelihood and bootstrap",
            open_low=old.open_low or (name == "rate" and low == 0),
        )
    return found


def _tests(
    power: PowerLaw, models: Mapping[str, TailModel], tail: Histogram, who: Members | None
) -> dict[str, LikelihoodRatio]:
    """Return all likelihood ratios, cluster-robust if `who` is given."""
    masses = {POWER: log_mass(power, tail), **{name: model.log_mass for name, model in models.items()}}

    def against(first: str, second: str) -> LikelihoodRatio:
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
    asked: _Asked,
    gof: GoodnessOfFit | None = None,
    interval: ExponentInterval | None = None,
) -> FitCard:
    """Return the fit card of the examination."""
    kind = "x^-alpha / zeta(alpha, xmin)" if sample.discrete else "(alpha - 1)/xmin (x/xmin)^-alpha"
    levels: dict[str, Entry] = {
        f"clusters by {name}": len(np.unique(np.asarray(labels))) for name, labels in asked.clusters.items()
    }
    data: dict[str, Entry] = {
        "values": sample.n,
        "distinct values": len(sample.values),
        "least": float(sample.values[0]) if sample.n else None,
        "largest": float(sample.values[-1]) if sample.n else None,
        "excluded": "zeros",
        "dependence": "cluster-robust tests" if asked.clusters else "values taken as independent",
        **levels,
    }
    optimisation: dict[str, Entry] = {
        "loss": "negative log-likelihood of the tail",
        "alpha range": (1.0, 60.0),
        "threshold": "given" if asked.xmin is not None else "smallest KS distance, ties to the smaller",
        "seed": asked.resampling.seed,
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
        if power.candidates < power.possible and asked.xmin is None:
            warnings.append(f"only {power.candidates} of {power.possible} thresholds were compared")
    return FitCard(
        form={"equation": kind, "free": ("alpha",), "x": asked.unit or "size", "competitors": tuple(COMPETITORS.all())},
        data=data,
        extraction={"censoring": "none", "pooling": "all executions"},
        optimisation=optimisation,
        warnings=tuple(warnings),
    )
