"""This module turns tests into one careful word with its reasons, never stronger than the weakest test behind it.

Words, in the order in which they are tried: ``no fit`` (too few values), ``deterministic`` (executions of one design
agree in their values far more often than chance lets them, so the sample holds no chance to speak of), ``design
bounded`` (the largest value is the largest that the design allows, so the end of the tail is the design's),
``degenerate`` (the tail is too short or the exponent at its bound), ``truncated`` (a cut-off wins, by AIC over all and
by far over the exponential, and lies inside the data; which other curved laws that does not exclude is told), ``light
tailed`` (it loses to the exponential), ``power law rejected`` (it does not fit, whatever it beats), ``power law`` (it
fits, AIC prefers it to every competitor, and the tail is long enough for that to mean something), ``heavy tailed`` (it
beats the exponential, and another law beats it), ``power law not rejected`` (it fits and beats the exponential, and
what else is open is named) and ``undecided``.

The lognormal and the stretched exponential have the power law as a limit, so no likelihood-ratio test can exclude them
(Vuong, Econometrica 57, 1989, has power only between models that are apart); AIC can prefer the law with fewer
parameters, by two at most. A short or a far piece of any of them passes for a power law, so the word needs two decades
(Stumpf & Porter, Science 335, 2012), a tenth of the values and 300 of them. Chosen by a pilot on lognormals, mixtures
and true power laws; benchmarks/study_power_law_word.py says how often the word is wrong and how often it is missed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from scipy.stats import beta

from analysis.tails.bootstrap import GoodnessOfFit
from analysis.tails.compare import LikelihoodRatio
from analysis.tails.competitor import TailModel
from analysis.tails.competitors.truncated import TRUNCATED
from analysis.tails.histogram import Histogram
from analysis.tails.powerlaw import PowerLaw

Word = Literal[
    "no fit",
    "deterministic",
    "design bounded",
    "degenerate",
    "truncated",
    "light tailed",
    "power law rejected",
    "power law",
    "heavy tailed",
    "power law not rejected",
    "undecided",
]

AGAINST_CUT_OFF: Final = "tpl_vs_"
"""How keys of tests begin that compare the truncated law with another one than the power law."""
GOOD_FIT: Final = 0.1
"""The goodness of fit is rejected at this p and below (Clauset, Shalizi & Newman, SIAM Rev. 51, 2009, section 4.1)."""
GOOD_FIT_LARGE: Final = 0.05
"""The same for tails of `LARGE_TAIL` values and more, in which the test sees small faults, and true laws pay for it."""
LARGE_TAIL: Final = 1000
LEVEL: Final = 0.05
REPLICATED: Final = 0.9
"""Share of the pairs of repeats that are the same, chance taken off, from which on values are the design's."""
NOTEWORTHY: Final = 0.5
"""Such a share is told beside other words; with a fixed schedule it makes values the design's."""
MOST: Final = 0.5
"""Share of the executions that must belong to repeated designs before repeats speak for all."""
CONFIDENCE: Final = 0.95
"""Of the interval of the share of repeats that must lie above chance."""
FEW_DISTINCT: Final = 10
SHORT_TAIL: Final = 10.0**0.5
LONG: Final = 100.0
"""Range that a power law must hold over: a short enough piece of any smooth tail passes for one."""
LEAST_SHARE: Final = 0.1
"""Share of the values that a power law must hold for: the far tail of a lognormal passes for one."""
EXCLUDES: Final = 10.0
"""AIC by which a power law with a cut-off must be better than the exponential, which it has as a limit. Exponentials
came out as cut off by 5.5 at the most, power laws that truly end by 69 at the least (a pilot of 60 samples a cell)."""
LEAST_TAIL: Final = 300
"""Values that a power law must hold for: with fewer, nothing tells it from its rivals."""


@dataclass(frozen=True)
class Verdict:
    """A verdict is one word and why."""

    word: Word
    reasons: tuple[str, ...]

    def summary(self) -> str:
        """Return word and reasons in one line."""
        return f"{self.word}: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class DesignRepeats:
    """The object says how often two executions of one design (topology, N, seed) have the same values.

    Few whole numbers coincide by chance, so the share is held against that of executions of different designs.
    """

    same: float
    """Share of the pairs of executions of one design that have the same values."""
    by_chance: float
    """The same share for executions of different designs; nan where there is one design only."""
    schedule: float
    """Share of the pairs of one design in which the same agents act, in the same order, on as many claims."""
    repeats: int
    """Executions beyond the first of their design."""
    covered: float = 1.0
    """Share of the executions whose design is repeated."""

    @property
    def beyond_chance(self) -> float:
        """Share of what chance leaves open that is the same, 1 where all is; 0 where the repeats are too few to say.

        With one design there is no chance level: then only values that are all the same, or nearly so under one
        schedule, count.
        """
        if self.covered < MOST:
            return 0.0
        if math.isnan(self.by_chance):
            return self.same if self.same == 1.0 or self.schedule == 1.0 else 0.0
        if self.by_chance >= 1.0:
            return 1.0
        hits = round(self.same * self.repeats)
        low = float(beta.ppf((1 - CONFIDENCE) / 2, hits, self.repeats - hits + 1)) if hits else 0.0
        return max((self.same - self.by_chance) / (1.0 - self.by_chance), 0.0) if low > self.by_chance else 0.0

    @property
    def by_design(self) -> bool:
        """Whether the design fixes the values: nearly all repeats agree, or most do and the schedule is fixed."""
        beyond = self.beyond_chance
        scheduled = not math.isnan(self.by_chance) and self.schedule >= REPLICATED and beyond >= NOTEWORTHY
        return beyond >= REPLICATED or scheduled

    def summary(self) -> str:
        """Return what repeats, in words."""
        chance = "" if math.isnan(self.by_chance) else f" ({self.by_chance:.0%} of the pairs of different designs do)"
        return f"{self.same:.0%} of the pairs of executions of one design have the same values{chance}"


@dataclass(frozen=True)
class SampleDesign:
    """The object holds what is known about how the sample came to be, beyond its values."""

    max_is_cap: bool = False
    """Whether the largest value is the largest that the design allows."""
    capped: float = 0.0
    """Share of executions whose largest value is their cap."""
    replication: DesignRepeats | None = None
    """How far repeats of a design give the same values; None without repeats."""


def degeneracies(power: PowerLaw, tail: Histogram) -> tuple[str, ...]:
    """Return why the fitted tail is no tail to speak of; empty if it is one."""
    found = []
    if power.at_bound:
        found.append(f"the exponent is at its bound ({power.alpha:.4g})")
    if power.n_distinct < FEW_DISTINCT:
        found.append(f"the tail has {power.n_distinct} distinct values, fewer than {FEW_DISTINCT}")
    if tail.values[-1] / power.xmin < SHORT_TAIL:
        found.append(f"the tail spans a factor of {tail.values[-1] / power.xmin:.2f}, less than half a decade")
    return tuple(found)


def judge(
    power: PowerLaw | None,
    tail: Histogram | None,
    models: Mapping[str, TailModel],
    tests: Mapping[str, LikelihoodRatio],
    gof: GoodnessOfFit | None,
    design: SampleDesign,
    n: int | None = None,
) -> Verdict:
    """Return the verdict on one sample.

    Args:
        power: the power law, None if there were too few values.
        tail: the values at or above its xmin.
        models: fitted competitors by name.
        tests: by name of the competitor, the power law against it; ``tpl_vs_lognormal`` and ``tpl_vs_stretched`` for
            the truncated law. Pass the cluster-robust ones where there are clusters.
        gof: goodness of fit, None if it was not computed.
        design: caps and repeats.
        n: values of the whole sample; None where all are in the tail.
    """
    if power is None or tail is None:
        return Verdict("no fit", ("too few values or too few distinct values for any threshold",))
    again = design.replication
    if again is not None and again.by_design:
        return Verdict("deterministic", (again.summary(), *_scheduled(again)))
    if design.max_is_cap:
        share = f"{design.capped:.0%} of the executions reach their cap"
        return Verdict("design bounded", ("the largest value is the largest that the design allows", share))
    short = degeneracies(power, tail)
    if short:
        return Verdict("degenerate", short)
    repeats: tuple[str, ...] = ()
    if again is not None and again.beyond_chance >= NOTEWORTHY:
        repeats = (f"{again.summary()}: few are independent",)
    cut = _cut_off(tail, power, models, tests)
    if cut:
        return Verdict("truncated", (*cut, *repeats))
    winners = [name for name in models if name in tests and tests[name].prefers(name, LEVEL)]
    reasons = [*(tests[name].summary() for name in winners), *repeats]
    against = tests["exponential"]
    if against.prefers("exponential", LEVEL):
        return Verdict("light tailed", (*reasons, *([gof.summary()] if gof is not None else [_NOT_COMPUTED])))
    heavy = against.prefers("power_law", LEVEL)
    if gof is None:
        return Verdict("heavy tailed" if heavy else "undecided", (against.summary(), *reasons, _NOT_COMPUTED))
    reasons.append(gof.summary())
    if gof.p <= (GOOD_FIT_LARGE if tail.n >= LARGE_TAIL else GOOD_FIT):
        than = (f"it is heavier than an exponential: {against.summary()}",) if heavy else ()
        return Verdict("power law rejected", (gof.summary(), *than, *reasons[:-1]))
    lacking = _lacking(tail, power, models, n)
    if not winners and not lacking:
        return Verdict("power law", (gof.summary(), _PREFERRED, _range(tail, power), *repeats))
    if heavy:
        word: Word = "heavy tailed" if winners else "power law not rejected"
        return Verdict(word, (against.summary(), *reasons, *lacking))
    return Verdict("undecided", (against.summary(), *reasons, *lacking))


def _range(tail: Histogram, power: PowerLaw) -> str:
    """Return over what a power law was seen to hold: a far enough cut-off leaves no trace in the data."""
    return f"from {power.xmin:.4g} to {tail.values[-1]:.4g}: a cut-off that so few values do not show is not excluded"


_PREFERRED: Final = "AIC prefers it to every competitor"
_NOT_COMPUTED: Final = "goodness of fit not computed, so a power law is not claimed"


def _lacking(tail: Histogram, power: PowerLaw, models: Mapping[str, TailModel], n: int | None) -> tuple[str, ...]:
    """Return what a power law that fits lacks to be called one."""
    found = []
    own = 2.0 - 2.0 * power.loglik
    if close := [name.replace("_", " ") for name, model in models.items() if not own < model.aic]:
        found.append(f"not excluded, by AIC: {', '.join(close)}")
    span, share = float(tail.values[-1] / power.xmin), tail.n / n if n else 1.0
    if span < LONG:
        found.append(f"the tail spans a factor of {span:.3g}, less than two decades, so a power law is not claimed")
    if share < LEAST_SHARE:
        found.append(f"the tail holds {share:.1%} of the values, less than a tenth, so a power law is not claimed")
    if tail.n < LEAST_TAIL:
        found.append(f"the tail has {tail.n} values, fewer than {LEAST_TAIL}, so a power law is not claimed")
    return tuple(found)


def _scheduled(again: DesignRepeats) -> tuple[str, ...]:
    """Return that the schedule is fixed, where that is why values are the design's."""
    if again.beyond_chance >= REPLICATED:
        return ()
    return (f"who acts, when and on how many claims is the same in {again.schedule:.0%} of the pairs",)


def _cut_off(
    tail: Histogram, power: PowerLaw, models: Mapping[str, TailModel], tests: Mapping[str, LikelihoodRatio]
) -> tuple[str, ...]:
    """Return the reasons to call the tail truncated, or nothing."""
    name = TRUNCATED
    if name not in models or not tests[name].prefers(name, LEVEL):
        return ()
    rate = models[name].params["rate"]
    if rate <= 0 or not power.xmin <= 1.0 / rate <= tail.values[-1]:
        return ()
    if any(model.aic < models[name].aic for model in models.values()):
        return ()
    plain = models.get("exponential")
    if plain is not None and plain.aic - models[name].aic < EXCLUDES:
        return ()
    rivals = [test for key, test in tests.items() if key.startswith(AGAINST_CUT_OFF)]
    if any(test.prefers(test.second if test.first == name else test.first, LEVEL) for test in rivals):
        return ()
    reasons = (tests[name].summary(), f"the cut-off 1/rate = {1.0 / rate:.4g} lies inside the data")
    others = [test.first if test.second == name else test.second for test in rivals if not test.prefers(name, LEVEL)]
    return (*reasons, f"not excluded: {', '.join(other.replace('_', ' ') for other in others)}") if others else reasons
