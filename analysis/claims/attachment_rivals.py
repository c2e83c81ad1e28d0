"""This module asks whether choices that look reinforced are: the exponent beside what else would make them so.

P(choose i) is proportional to (x_i + c)^beta exp(age_i + author_i): x how often i was built on before (Krapivsky &
Redner, Phys. Rev. E 63, 2001), c its offset, both estimated; age a free effect of classes of age, author a normal
random effect. Rivals: nothing is reinforced (beta = 0), and the fitness of claims. If claim i is chosen in proportion
to a fitness that nobody sees, then after x_i choices where E_i were due to the mean fitness, its expected fitness grows
with x as reinforcement does, and falls with what it did not get: (x_i + s)/(E_i + s) for fitness of a gamma law of
shape s, a quotient of integrals for a lognormal one. The law that explains more, and its width, are taken. Among
claims that are all there from the start the two are the same process (Polya's urn is a mixture of independent draws);
claims that come later tell them apart. Goodness of fit: free effects of classes of x, as in the nonparametric estimate
of Pham, Sheridan & Shimodaira (PLoS ONE 10, 2015), against (x + c)^beta. Jeong, Neda & Barabasi (Europhys. Lett. 61,
2003) fitted the exponent alone. Intervals are profile likelihoods: choices are taken as independent given the past.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.stats import chi2

from analysis.claims.attachment_choices import Choices
from analysis.claims.attachment_logit import AGES, ENGAGED, Effects, Fit, SingleChoices, effects, fit, single_choices
from analysis.interval import Interval

F64 = NDArray[np.float64]

Word = Literal[
    "reinforcement",
    "looks like reinforcement; fitness not excluded",
    "looks like reinforcement; the model does not fit",
    "fitness",
    "no reinforcement",
    "avoidance",
]

LEAST: Final = 30
"""Choices with fewer than this give no estimate."""
OFFSETS: Final = np.exp(np.linspace(math.log(0.05), math.log(50.0), 12))
SHAPES: Final = np.exp(np.linspace(math.log(0.1), math.log(20.0), 5))
"""Of gamma laws of fitness."""
SPREADS: Final = np.exp(np.linspace(math.log(0.25), math.log(2.5), 5))
"""Standard deviations of the logarithm, of lognormal laws of fitness."""
LEVEL: Final = 0.05
"""Of the test of beta = 0, by a chi-square with two degrees of freedom: where beta is 0 the offset means nothing."""
SURE: Final = 0.01
"""Of the tests of age, authors and fit."""
EXCLUDES: Final = 10.0
"""Difference of AIC from which on fitness is excluded (Burnham & Anderson 2002, section 2.6): a smaller one was reached
by fitness alone in one of ten samples."""
DECIDES: Final = 4.0
"""Difference of AIC from which on fitness is said to explain the choices."""
_PASSES: Final = 2
_TURNS: Final = 5
_QUADRATURE: Final = 24
_GRID: Final = 80  # values of what was due at which integrals are worked out
_HALF: Final = float(chi2.ppf(0.95, 1)) / 2


@dataclass(frozen=True)
class RatioTest:
    """A test is a likelihood ratio with its degrees of freedom."""

    ratio: float
    """2 (log L1 - log L0)."""
    df: int

    @property
    def p(self) -> float:
        """P value by the chi-square law."""
        return float(chi2.sf(max(self.ratio, 0.0), self.df)) if self.df > 0 else 1.0


@dataclass(frozen=True)
class Examined:
    """The object says what choices show: reinforcement, or what looks like it."""

    word: Word
    reasons: tuple[str, ...]
    beta: Interval
    """Attachment exponent beside age and authors, offset estimated."""
    se: float
    """Standard error of beta at the estimated offset."""
    offset: Interval
    """The c in (x + c)^beta; open where the choices set no limit."""
    reinforced: RatioTest
    """Against beta = 0."""
    fitness: RatioTest
    """What the fitness of claims explains beyond age and authors; two parameters, law and width."""
    aic_over_fitness: float
    """AIC of fitness less AIC of reinforcement: positive speaks for reinforcement."""
    recency: RatioTest
    """What age explains beside reinforcement: its classes or a power of it, whichever is surer."""
    age_slope: float
    """Slope of the effect of age over its logarithm: negative where new claims are preferred."""
    authors: RatioTest | None
    """What authors explain beside reinforcement; None where they are too many, or one."""
    good: RatioTest
    """Free effects of classes of x against (x + c)^beta: small p speaks against the form."""
    n: int

    def summary(self) -> str:
        """Return word and reasons in one line."""
        return f"{self.word}: {'; '.join(self.reasons)}"


def examine_choices(choices: Choices) -> Examined | None:
    """Return what the choices show; None where fewer than `LEAST` choices leave anything open, or ages are not known.

    Args:
        choices: decisions with their risk sets; ages, authors and claims of the alternatives are needed.
    """
    if not choices.described or not choices.informative().n_decisions:
        return None
    data = single_choices(choices)
    varied = np.maximum.reduceat(data.engagement, data.ptr[:-1]) > np.minimum.reduceat(data.engagement, data.ptr[:-1])
    if np.count_nonzero(varied) < LEAST:
        return None
    return _Examination(data).result()


def exponent_and_offset(choices: Choices) -> tuple[Interval, Interval]:
    """Return the exponent beside ages and authors and its offset, each with its profile interval.

    Raises:
        ValueError: ages, authors and claims of the alternatives are not known.
    """
    if not choices.described:
        raise ValueError("ages, authors and claims of the alternatives are needed")
    examination = _Examination(single_choices(choices))
    beta, offset, _ = _profiles(examination.by_offset(), examination.none.loglik)
    return beta, offset


class _Examination:
    """The object fits the model and its rivals to one set of choices."""

    def __init__(self, data: SingleChoices) -> None:
        self.data = data
        self.age = data.classes(data.age, AGES)
        self.author = data.authors()
        self.both = effects(self.age, random=self.author)
        self.nothing = np.zeros(len(data.engagement))
        self.none = fit(data, self.nothing, self.nothing, self.both)

    def by_offset(self) -> list[Fit]:
        """Return the fits at each of `OFFSETS`."""
        fits, start = [], self.none.theta
        for c in OFFSETS:
            fits.append(fit(self.data, np.log(self.data.engagement + c), self.nothing, self.both, start))
            start = fits[-1].theta
        return fits

    def result(self) -> Examined:
        """Return all fits and the word."""
        fits = self.by_offset()
        start = fits[-1].theta
        beta, offset, best = _profiles(fits, self.none.loglik)
        logs = np.log(self.data.engagement + offset.value)
        at_best = fit(self.data, logs, self.nothing, self.both, start)
        reinforced = RatioTest(2 * (best - self.none.loglik), 2)
        fitness = self._fitness()
        no_age = fit(self.data, logs, self.nothing, effects(random=self.author))
        recency = min(
            RatioTest(2 * (at_best.loglik - no_age.loglik), int(self.age.max()) + 1),
            RatioTest(2 * (self._with_age_slope(logs, no_age) - no_age.loglik), 1), key=lambda test: test.p,
        )  # fmt: skip
        authors = None
        if self.author is not None:
            without = fit(self.data, logs, self.nothing, effects(self.age))
            authors = RatioTest(2 * (at_best.loglik - without.loglik), int(self.author.max()))
        good = self._good(best)
        over = 2 * best - 4 - (2 * fitness - 2 * 2)
        gained = RatioTest(2 * (fitness - self.none.loglik), 2)
        slope = self._age_slope(at_best)
        word, reasons = _word(beta, reinforced, gained, over, good)
        reasons += _beside(recency, slope, authors, word)
        return Examined(
            word,
            reasons,
            beta,
            at_best.se,
            offset,
            reinforced,
            gained,
            over,
            recency,
            slope,
            authors,
            good,
            self.data.n,
        )

    def _fitness(self) -> float:
        """Return the log-likelihood of choices by the fitness of claims, age and authors: the best law and width.

        E counts what was due to a claim among the fitness expected of the others, so it is worked out again with the
        best law of the first pass.
        """
        x, liked, best, theta = self.data.engagement, np.ones(len(self.nothing)), -math.inf, self.none.theta
        for _ in range(_PASSES):
            due = self.data.exposure(np.exp(_predicted(self.both, theta, len(x))), liked)
            for law, widths in ((_gamma, SHAPES), (_lognormal, SPREADS)):
                found: list[Fit] = []
                for width in widths:
                    expected = law(x, due, float(width))
                    found.append(fit(self.data, self.nothing, np.log(expected), self.both, theta))
                    if found[-1].loglik > best:
                        best, theta, liked = found[-1].loglik, found[-1].theta, expected
                best = max(best, _peak(np.log(widths), np.array([one.loglik for one in found]))[1])
        return best

    def _with_age_slope(self, logs: F64, without: Fit) -> float:
        """Return the log-likelihood with a power of age in place of its classes: sees more where that is the form.

        Exponent and power are fitted in turn, from the fit without age on.
        """
        ages, random = np.log(self.data.age), effects(random=self.author)
        found = without
        for _ in range(_TURNS):
            aged = fit(self.data, ages, found.slope * logs, random)
            found = fit(self.data, logs, aged.slope * ages, random)
        return found.loglik

    def _good(self, best: float) -> RatioTest:
        """Return the test of the form in x: free effects of its classes against the best offset and exponent."""
        classes = self.data.classes(np.rint(self.data.engagement).astype(np.int64), ENGAGED)
        free = fit(self.data, self.nothing, self.nothing, effects(self.age, classes, random=self.author))
        return RatioTest(2 * (free.loglik - best), int(classes.max()) + 1 - 2)

    def _age_slope(self, found: Fit) -> float:
        """Return the slope of the age effects over the logarithm of age, weighted by choices."""
        number = int(self.age.max()) + 1
        if number < 1:
            return 0.0
        taken = self.age[self.data.chosen]
        count = np.bincount(taken + 1, minlength=number + 1).astype(np.float64)
        logs = np.bincount(self.age + 1, np.log(self.data.age), number + 1) / np.bincount(
            self.age + 1, minlength=number + 1
        )
        effect = np.concatenate([[0.0], found.theta[1 : number + 1]])
        centred = logs - count @ logs / count.sum()
        spread = float(count @ centred**2)
        return float(count @ (centred * effect)) / spread if spread > 0 else 0.0


def _gamma(x: F64, due: F64, shape: float) -> F64:
    """Return the expected fitness, of mean 1 before anything was seen, under a gamma law of this shape."""
    return (x + shape) / (due + shape)


def _lognormal(x: F64, due: F64, sigma: float) -> F64:
    """Return the same under a lognormal law, by quadrature: E[f^(x + 1) exp(-f due)] / E[f^x exp(-f due)]."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    logs = sigma * nodes - sigma**2 / 2
    seen, row = np.unique(x, return_inverse=True)
    largest = max(float(due.max()), 1e-9)
    grid = largest * np.linspace(0.0, 1.0, _GRID) ** 2  # denser where little was due
    exponent = seen[:, None, None] * logs - grid[None, :, None] * np.exp(logs) + np.log(weights)
    mass = np.exp(exponent - exponent.max(axis=2, keepdims=True))
    table = np.log(mass @ np.exp(logs) / mass.sum(axis=2))
    at = np.sqrt(due / largest) * (_GRID - 1)
    low = np.minimum(at.astype(np.int64), _GRID - 2)
    part = at - low
    expected: F64 = np.exp((1 - part) * table[row, low] + part * table[row, low + 1])
    return expected


def _predicted(groups: Effects, theta: F64, n: int) -> F64:
    """Return the sum of the effects of each alternative."""
    found = np.zeros(n)
    for column in groups.columns.T:
        found += np.where(column >= 0, theta[column], 0.0)
    return found


def _peak(at: F64, values: F64) -> tuple[float, float]:
    """Return where an interpolated curve is highest, and how high."""
    dense = np.linspace(at[0], at[-1], 600)
    curve = PchipInterpolator(at, values)(dense)
    place = int(curve.argmax())
    k = int(values.argmax())
    if 0 < k < len(at) - 1:  # a parabola through the best three points, which the interpolation flattens
        (a, b, c), step = values[k - 1 : k + 2], at[1] - at[0]
        bend = a - 2 * b + c
        if bend < 0:
            shift = 0.5 * (a - c) / bend
            return float(at[k] + shift * step), float(b - 0.25 * (a - c) * shift)
    return float(dense[place]), float(curve[place])


def _profiles(fits: list[Fit], none: float) -> tuple[Interval, Interval, float]:
    """Return exponent and offset with their profile intervals, and the largest log-likelihood.

    Where beta is 0 the offset means nothing, and the largest ratio over all offsets is no chi-square with one degree of
    freedom (Davies, Biometrika 64, 1977). So the interval leaves 0 out only where the test against beta = 0 does, whose
    log-likelihood is `none`.
    """
    at = np.log(OFFSETS)
    values = np.array([one.loglik for one in fits])
    where, best = _peak(at, values)
    dense = np.linspace(at[0], at[-1], 600)
    curve = np.minimum(PchipInterpolator(at, values)(dense), best)
    inside = np.flatnonzero(curve >= best - _HALF)
    low, high = dense[inside[0]], dense[inside[-1]]
    c = Interval(
        math.exp(where), math.exp(low), math.exp(high), 0.95, "profile likelihood",
        open_low=bool(inside[0] == 0), open_high=bool(inside[-1] == len(dense) - 1),
    )  # fmt: skip
    slopes = PchipInterpolator(at, [one.slope for one in fits])
    errors = PchipInterpolator(at, [one.se for one in fits])
    ends = []
    for side in (-1.0, 1.0):  # for each offset beta reaches as far as the likelihood that the offset leaves allows
        reach = np.sqrt(2 * np.maximum(curve[inside] - (best - _HALF), 0.0))
        ends.append(slopes(dense[inside]) + side * reach * errors(dense[inside]))
    lowest, highest = float(ends[0].min()), float(ends[1].max())
    if RatioTest(2 * (best - none), 2).p >= LEVEL:
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    return Interval(float(slopes(where)), lowest, highest, 0.95, "profile likelihood"), c, best


def _word(
    beta: Interval, reinforced: RatioTest, fitness: RatioTest, over: float, good: RatioTest
) -> tuple[Word, tuple[str, ...]]:
    """Return the word with its reasons, never stronger than the weakest test behind it."""
    said = f"beta = {beta.value:.3g} {beta.brackets()} beside age and authors"
    against = f"AIC {abs(over):.1f} {'better' if over > 0 else 'worse'} than claims of unequal fitness"
    if over <= -DECIDES and fitness.p < LEVEL:
        return "fitness", (
            f"claims of unequal fitness explain the choices better than reinforcement (by AIC {-over:.1f})",
            "what was built on before is chosen for what it is",
        )
    if reinforced.p >= LEVEL:
        return "no reinforcement", (said, f"no better than beta = 0 (p = {reinforced.p:.2g})")
    if beta.value < 0:
        return "avoidance", (said, "what was built on before is chosen less")
    if over < EXCLUDES:
        return "looks like reinforcement; fitness not excluded", (said, against)
    if good.p < SURE:
        return "looks like reinforcement; the model does not fit", (said, f"goodness of fit p = {good.p:.2g}")
    return "reinforcement", (said, against, f"goodness of fit p = {good.p:.2g}")


def _beside(recency: RatioTest, slope: float, authors: RatioTest | None, word: Word) -> tuple[str, ...]:
    """Return what else was found.

    Where claims may differ in fitness, ages are found to be preferred in nearly every sample though none is: what is
    liked is chosen again and again (benchmarks/study_attachment.py). Then both are told.
    """
    found = []
    if recency.p < SURE:
        age = "newer" if slope < 0 else "older"
        if word in ("fitness", "looks like reinforcement; fitness not excluded"):
            found.append(f"{age} claims are preferred, or claims are of unequal fitness (p = {recency.p:.1g})")
        else:
            found.append(f"{age} claims are preferred (p = {recency.p:.1g})")
    if authors is not None and authors.p < SURE:
        found.append(f"some authors are preferred (p = {authors.p:.1g})")
    return tuple(found)
