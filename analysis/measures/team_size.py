"""This module fits the law of team size, R(N) = N_eff / N = 1 / (1 + c (N - 1) N^-b), to runs of several N.

It is the same as rho(N) = c N^-b for the correlation of two final votes (`analysis.measures.independence`), so that is
what is fitted: by generalised least squares, with errors over tasks, and the covariance of runs that have tasks in
common. b = 0 is Kish's design effect: correlation does not depend on N and N_eff has the ceiling 1/c; with
0 < b < 1 it grows as N^b / c, with b >= 1 in proportion to N. arXiv 2606.02646.

Intervals are profiles: all (b, c) whose distance from the runs is at most that of the best pair plus 3.84. Where rho
cannot be told from 0, every b fits, and nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from scipy import stats

from analysis.interval import FloatArray, Interval
from analysis.measures.independence import IndependentVotes

FLAT: Final = 0.2
"""b below which a law that may have b = 0 is called a hard ceiling."""
TARGET: Final = 30
"""Agents for which N_eff is predicted where the runs have fewer."""
MISFIT: Final = 0.05
"""p of the fit below which no regime is told."""
_B: Final = np.linspace(-2.0, 4.0, 1201)
METHOD: Final = "profile over b and c"


@dataclass(frozen=True)
class SizedRun:
    """A run is one point of the law: its votes, and which tasks these are about."""

    votes: IndependentVotes
    tasks: str
    """Identity of the tasks; runs with the same one have their tasks in common."""


@dataclass(frozen=True)
class TeamSize:
    """The object holds the fitted law."""

    sizes: tuple[int, ...]
    """N of each run, increasing."""
    b: Interval
    c: Interval
    fit: float | None
    """p of the runs' distance from the law; None with two runs, through which it always goes."""
    target: int | None
    """N for which N_eff is predicted; None where a run has as many."""
    predicted: Interval | None

    @property
    def regime(self) -> str:
        """What the interval of b allows to be said, and "undecided" where it is nothing."""
        b = self.b
        if (self.fit is not None and self.fit < MISFIT) or b.open_low or b.open_high:
            return "undecided"
        if b.low > 0:
            return "linear" if b.low >= 1 else "sublinear" if b.high < 1 else "undecided"
        return "hard ceiling" if 0 <= b.high < FLAT and b.low > -FLAT else "undecided"

    def summary(self) -> str:
        """Return what is found, in a sentence or two."""
        listed = ", ".join(str(n) for n in dict.fromkeys(self.sizes))
        known = {"hard ceiling": f"hard ceiling (b = 0 to within {FLAT:g})"}
        said = f"R(N) = 1 / (1 + c (N - 1) N^-b) over N = {listed}: b {self.b.brackets()} about {self.b.value:.3g}"
        said += f", c {self.c.brackets()} about {self.c.value:.3g}: {known.get(self.regime, self.regime)}"
        if self.fit is None:
            said += "; the law goes through any two runs, so whether it holds is not tested"
        elif self.fit < MISFIT:
            said += f"; the runs do not follow it (p = {self.fit:.2g})"
        if self.predicted is not None:
            said += f"; N_eff of {self.target} agents {self.predicted}, if the law holds that far"
        return said

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        predicted = None if self.predicted is None else self.predicted.as_dict()
        found = {"n": list(self.sizes), "b": self.b.as_dict(), "c": self.c.as_dict(), "regime": self.regime}
        return {**found, "p_of_fit": self.fit, "target": self.target, "n_eff_at_target": predicted}


def team_size(runs: Sequence[SizedRun], *, target: int = TARGET) -> TeamSize | None:
    """Return the law of runs that differ in N alone; None where they have fewer than two N.

    Args:
        runs: the runs, each with two or more final votes a task.
        target: agents for which N_eff is predicted, where no run has as many.
    """
    ordered = sorted(runs, key=lambda run: run.votes.n)
    sizes = tuple(run.votes.n for run in ordered)
    if len(set(sizes)) < 2:
        return None
    rho = np.array([run.votes.rho.value for run in ordered])
    return fit_law(np.array(sizes, dtype=np.float64), rho, _covariance(ordered), target=target)


def fit_law(sizes: FloatArray, rho: FloatArray, covariance: FloatArray, *, target: int = TARGET) -> TeamSize:
    """Return the law rho = c N^-b that fits best, with c >= 0.

    Args:
        sizes: N of each run, shape (n,), with two values or more.
        rho: correlation of two votes in each.
        covariance: of the errors of `rho`, shape (n, n).
        target: agents for which N_eff is predicted, where no run has as many.
    """
    weights = np.linalg.pinv(covariance, hermitian=True)
    z = sizes ** -_B[:, None]
    weighted = z @ weights
    square, cross = (weighted * z).sum(axis=1), weighted @ rho
    c = np.maximum(cross / square, 0.0)
    distance = float(rho @ weights @ rho) - 2 * c * cross + c * c * square
    best = int(np.argmin(distance))
    spare = float(stats.chi2.ppf(0.95, 1)) - (distance - distance[best])
    inside = spare >= 0
    reach = np.sqrt(np.maximum(spare, 0.0) / square)
    low, high = np.maximum(cross / square - reach, 0.0), cross / square + reach
    b = Interval(
        float(_B[best]), float(_B[inside][0]), float(_B[inside][-1]), method=METHOD, open_low=bool(inside[0]),
        open_high=bool(inside[-1]),
    )  # fmt: skip
    slope = Interval(
        float(c[best]), float(low[inside].min()), float(high[inside].max()), method=METHOD, open_low=b.open_low,
        open_high=b.open_high,
    )  # fmt: skip
    n_spare = len(sizes) - 2
    fit = float(stats.chi2.sf(max(distance[best], 0.0), n_spare)) if n_spare else None
    larger = target if sizes.max() < target else None
    predicted = None
    if larger is not None:
        at = float(larger) ** -_B
        least, most = ((bound * at)[inside] for bound in (low, high))
        value, below, above = (_worth(larger, one) for one in (c[best] * at[best], most.max(), least.min()))
        below, above = 1.0 if b.open_low else below, float(larger) if b.open_high else above
        predicted = Interval(value, below, above, method=METHOD)
    return TeamSize(tuple(int(n) for n in sizes), b, slope, fit, larger, predicted)


def _worth(n: int, rho: float) -> float:
    """Return N_eff; a correlation above 1 is one of 1."""
    return n / (1 + (n - 1) * min(float(rho), 1.0))


def _covariance(runs: Sequence[SizedRun]) -> FloatArray:
    """Return the covariance of rho over runs, from what each task adds to each.

    The error of a run is at least what its interval says: where all votes agree, tasks add nothing.
    """
    n = len(runs)
    found = np.zeros((n, n))
    for i, one in enumerate(runs):
        for j, other in enumerate(runs[: i + 1]):
            if i == j or one.tasks == other.tasks:
                found[i, j] = found[j, i] = _shared(one.votes, other.votes)
    spread = np.array([(run.votes.rho.width / 3.92) ** 2 for run in runs])
    found[np.diag_indices(n)] = np.maximum(found.diagonal(), spread)
    return found


def _shared(one: IndependentVotes, other: IndependentVotes) -> float:
    """Return the covariance of two correlations by the tasks that both runs have."""
    _, mine, theirs = np.intersect1d(one.tasks, other.tasks, return_indices=True)
    size = min(one.n_tasks, other.n_tasks)
    return float(one.pull[mine] @ other.pull[theirs]) / (one.n_tasks * other.n_tasks) * size / (size - 1)


def setting_of(scenario: Mapping[str, Any]) -> str:
    """Return what two runs have to have in common to be points of one law: all but N, the seed and which tasks.

    Args:
        scenario: as a manifest records it.
    """
    tasks = {name: value for name, value in scenario.get("tasks", {}).items() if name not in ("count", "seed")}
    groups = scenario.get("agents", [])
    agents = [{name: value for name, value in group.items() if name != "count"} for group in groups]
    kind = scenario.get("topology", {}).get("kind")
    parts = [kind, scenario.get("protocol"), agents, tasks]
    return msgspec.json.encode(parts, order="deterministic", enc_hook=str).decode()


def laws_of(runs: Iterable[tuple[str, str, SizedRun]]) -> Iterator[tuple[str, TeamSize]]:
    """Yield the law of the runs of each setting that has one, with its name.

    Args:
        runs: setting, what to call it, and the run, of each.
    """
    groups: dict[str, list[SizedRun]] = {}
    names: dict[str, str] = {}
    for setting, name, run in runs:
        groups.setdefault(setting, []).append(run)
        names.setdefault(setting, name)
    for setting, members in groups.items():
        found = team_size(members)
        if found is not None:
            yield names[setting], found
