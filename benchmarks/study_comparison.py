"""This study asks how often what a comparison says of differences is right, of planted ones.

Usage: python -m benchmarks.study_comparison [--replicates 1000] [--part intervals d] (each part one to three minutes of
one core). Paired differences are those of `benchmarks.study_statistics_coverage`. The tables are in
docs/comparison-studies.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.interval import Interval
from analysis.stats.bootstrap import DIFFERENCE, mean_intervals
from analysis.stats.clusters import TaskSums
from analysis.stats.effects import FEWEST_TASKS, FEWEST_UNUSUAL, paired_d
from analysis.stats.inversion import agreeing, score_interval
from analysis.stats.looks import look_levels
from analysis.stats.margins import score_tests, task_tests
from analysis.stats.permutation import sign_flip_p
from analysis.stats.pooled import random_effects
from benchmarks.study_statistics_coverage import REGIMES, Regime, summed, three_way

F64 = NDArray[np.float64]
LEVEL: Final = 0.95
DRAWS: Final = 1000
SIZES: Final = ((3, 1), (5, 1), (10, 1), (10, 3), (20, 1), (20, 3), (50, 1), (200, 1))
"""(tasks, seeds)."""


def intervals_of(regime: Regime, rows: F64) -> tuple[list[Interval], list[Interval], F64]:
    """Return the intervals over tasks alone, those that are given, and p, of experiments (n, tasks, seeds)."""
    sums = [summed(one) for one in rows]
    alone = mean_intervals(sums, [regime.bounds] * len(sums), replicates=DRAWS)
    p = np.array([sign_flip_p(one.total, replicates=DRAWS)[0] for one in sums])
    answers = bool(np.all(np.isin(rows, (-1.0, 0.0, 1.0)))) and rows.shape[2] == 1 and regime.bounds is not None
    given = []
    for one, step, interval, each in zip(sums, rows, alone, p, strict=True):
        won, lost = int(np.sum(step > 0)), int(np.sum(step < 0))
        own = score_interval(won, lost, one.n_tasks, level=LEVEL) if answers else interval
        given.append(agreeing(own, float(each)))
    return alone, given, p


def study_intervals(replicates: int) -> None:
    """Coverage, width, and how often interval and p are at odds about 0."""
    print("| differences | tasks x seeds | held | width | at odds with p | over tasks alone: held | at odds |")
    print("| --- " * 7 + "|")
    for regime in REGIMES:
        for n_tasks, seeds in SIZES:
            rng = np.random.default_rng([n_tasks, seeds, len(regime.name)])
            alone, given, p = intervals_of(regime, regime.draw(rng, replicates, n_tasks, seeds))
            cells = [regime.name, f"{n_tasks} x {seeds}", held(given, regime.truth)]
            cells.append(f"{np.median([one.width for one in given]):.3g}")
            cells += [at_odds(given, p), held(alone, regime.truth), at_odds(alone, p)]
            print(f"| {' | '.join(cells)} |", flush=True)


def held(found: list[Interval], truth: float) -> str:
    return f"{np.mean([one.covers(truth) for one in found]):.1%}"


def at_odds(found: list[Interval], p: F64) -> str:
    """Return how often an interval leaves 0 out although p exceeds 5 %, or the other way round."""
    apart = [(one.low > 0 or one.high < 0) != (each <= 1 - LEVEL) for one, each in zip(found, p, strict=True)]
    return f"{np.mean(apart):.1%}"


def _lognormal(rng: np.random.Generator, r: int, t: int, k: int) -> F64:
    return rng.lognormal(0, 1, (r, t, k)) - rng.lognormal(0, 0.5, (r, t, k))


_E: Final = float(np.exp(0.25))
SHAPES: Final[dict[str, tuple[Callable[[np.random.Generator, int, int, int], F64], float]]] = {
    "normal, d 0.3": (lambda rng, r, t, k: 0.3 + rng.standard_normal((r, t, k)), 0.3),
    "normal, d 1": (lambda rng, r, t, k: 1 + rng.standard_normal((r, t, k)), 1.0),
    "+.05, 85 % ties": (three_way(0.1, 0.05), 0.05 / np.sqrt(0.15 - 0.05**2)),
    "+.2, 60 % ties": (three_way(0.3, 0.1), 0.2 / np.sqrt(0.4 - 0.2**2)),
    "+.3, never worse": (three_way(0.3, 0.0), 0.3 / np.sqrt(0.3 - 0.3**2)),
    "+.8, never worse": (three_way(0.8, 0.0), 0.8 / np.sqrt(0.8 - 0.8**2)),
    "lognormal": (_lognormal, float((np.exp(0.5) - np.exp(0.125)) / np.sqrt((np.e - 1) * np.e + (_E - 1) * _E))),
}
D_SIZES: Final = (3, 5, 10, 20, 30, 50, 100, 200)


def study_d(replicates: int) -> None:
    """How often the interval of d holds, by tasks; where there is none because all tasks are alike, it misses."""
    print(f"| differences | {' | '.join(f'{n} tasks' for n in D_SIZES)} |")
    print("| --- " * (1 + len(D_SIZES)) + "|")
    for name, (draw, truth) in SHAPES.items():
        cells = []
        for n_tasks in D_SIZES:
            rows = draw(np.random.default_rng([n_tasks, 7]), replicates, n_tasks, 1)
            sums = [summed(one) for one in rows]
            kept = [one for one in sums if one.n_unusual >= FEWEST_UNUSUAL] if n_tasks >= FEWEST_TASKS else sums
            cells.append(f"{np.mean([holds_d(one, truth) for one in kept]):.1%}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def holds_d(sums: TaskSums, truth: float) -> bool:
    """Return whether the interval of d, however few tasks there are, holds the truth."""
    found = paired_d(sums, LEVEL, fewest=(2, 1))
    return found is not None and found.covers(truth)


MARGINS: Final = (
    (0.02, 0.02, 100), (0.02, 0.02, 400), (0.02, 0.1, 400), (0.02, 0.1, 1600), (0.05, 0.05, 100), (0.05, 0.2, 100),
    (0.05, 0.2, 400), (0.1, 0.1, 50), (0.1, 0.2, 50), (0.1, 0.4, 100), (0.1, 0.4, 400),
)  # fmt: skip
"""(margin, share of pairs that differ, tasks)."""
GRADED: Final = ((0.02, 100), (0.02, 200), (0.05, 50), (0.05, 100), (0.1, 20), (0.1, 50))
"""(margin, tasks), three seeds, scores that vary by .05 between rows and .05 between tasks."""
RARE: Final = ((0.02, 50), (0.02, 200), (0.02, 800), (0.05, 50), (0.05, 200), (0.1, 20), (0.1, 100))
"""(margin, tasks), one seed, scores that vary by .01 but for a few tasks that are lost, or won, wholly."""


def margin_row(margin: float, moved: float, n: int, true: float, replicates: int) -> tuple[float, float]:
    """Return how often answers are shown not worse, and equivalent, where the true difference is `true`."""
    better, worse = (moved + true) / 2, (moved - true) / 2
    rng = np.random.default_rng([n, round(1000 * margin), round(1000 * moved)])
    won, lost, _ = rng.multinomial(n, [better, worse, 1 - moved], size=replicates).T
    pairs, often = np.unique(np.stack([won, lost], axis=1), axis=0, return_counts=True)
    p = np.array([score_tests(int(b), int(c), n, margin)[:2] for b, c in pairs])
    share = often / replicates
    return float(share @ (p[:, 0] <= 1 - LEVEL)), float(share @ (p.max(axis=1) <= 1 - LEVEL))


def graded_row(margin: float, n: int, true: float, replicates: int) -> tuple[float, float]:
    """Return the same for scores that are no counts."""
    rng = np.random.default_rng([n, round(1000 * margin), 3])
    rows = true + 0.05 * rng.standard_normal((replicates, n, 1)) + 0.05 * rng.standard_normal((replicates, n, 3))
    return _shown(rows, margin)


def rare_row(margin: float, n: int, true: float, replicates: int, *, size: float = 1.0) -> tuple[float, float]:
    """Return the same for scores whose true difference is that of rare tasks lost or won by `size`."""
    rng = np.random.default_rng([n, round(1000 * margin), 4])
    rows = 0.01 * rng.standard_normal((replicates, n, 1))
    rows[rng.random(rows.shape) < abs(true) / size] = np.copysign(size, true)
    return _shown(rows, margin)


def _shown(rows: F64, margin: float) -> tuple[float, float]:
    """Return how often samples of differences, shape (replicates, tasks, seeds), show each claim."""
    p = np.array([task_tests(summed(one), DIFFERENCE, margin)[:2] for one in rows])
    return float(np.mean(p[:, 0] <= 1 - LEVEL)), float(np.mean(p.max(axis=1) <= 1 - LEVEL))


def study_margins(replicates: int) -> None:
    """Size at both margins and power at no difference."""
    print(
        "| values | margin | tasks | not worse, at -margin | equivalent, at +margin | not worse, at 0 | equivalent, 0 |"
    )
    print("| --- " * 7 + "|")
    many = 20 * replicates
    for margin, moved, n in MARGINS:
        at = [margin_row(margin, moved, n, true, many) for true in (-margin, margin, 0.0)]
        print(_margin_cells(f"right or wrong, {moved:.0%} differ", margin, n, at), flush=True)
    for margin, n in GRADED:
        at = [graded_row(margin, n, true, 5 * replicates) for true in (-margin, margin, 0.0)]
        print(_margin_cells("graded, 3 seeds", margin, n, at), flush=True)
    for size in (1.0, 0.5):
        for margin, n in RARE:
            at = [rare_row(margin, n, true, 5 * replicates, size=size) for true in (-margin, margin, 0.0)]
            print(_margin_cells(f"graded, rare tasks off by {size:g}", margin, n, at), flush=True)


def rare_alarms(n: int, replicates: int) -> tuple[float, float]:
    """Return how often scores of equal means are said to differ, and how often once names may be exchanged.

    One task in fifty is lost by half, all others are won by a little, so that the mean is 0; then signs at random.
    """
    rng = np.random.default_rng([n, 5])
    values = 0.01 / 0.98 + 0.003 * rng.standard_normal((replicates, n))
    values[rng.random(values.shape) < 0.02] = -0.5
    turned = values * rng.choice([-1.0, 1.0], values.shape)
    said = [np.mean([sign_flip_p(one, replicates=2000)[0] <= 1 - LEVEL for one in rows]) for rows in (values, turned)]
    return float(said[0]), float(said[1])


def study_rare(replicates: int) -> None:
    """How often graded scores of equal means are said to differ, because rare tasks were not met."""
    print("| tasks | said to differ | where names are exchangeable |\n| --- | --- | --- |")
    for n in (10, 20, 50, 100, 200, 400):
        print(f"| {n} | {' | '.join(f'{share:.1%}' for share in rare_alarms(n, replicates))} |", flush=True)


def _margin_cells(name: str, margin: float, n: int, at: list[tuple[float, float]]) -> str:
    cells = [name, f"{margin:g}", f"{n}", *(f"{x:.1%}" for x in (at[0][0], at[1][1], *at[2]))]
    return f"| {' | '.join(cells)} |"


def false_alarms_of_looks(looks: int, per_look: int, moved: float, replicates: int, *, planned: bool) -> float:
    """Return how often any look finds a difference between equals, at the levels planned or at 5 % each."""
    rng = np.random.default_rng([looks, per_look, round(100 * moved)])
    levels = look_levels([per_look * (at + 1) for at in range(looks)], looks) if planned else [0.05] * looks
    won, lost, _ = rng.multinomial(per_look, [moved / 2, moved / 2, 1 - moved], size=(replicates, looks)).T
    won, lost = won.T.cumsum(axis=1), lost.T.cumsum(axis=1)
    p = np.minimum(2 * stats.binom.cdf(np.minimum(won, lost), won + lost, 0.5), 1.0)
    return float(np.mean(np.any(p <= np.array(levels), axis=1)))


def looks_power(looks: int, n: int, true: float, replicates: int) -> tuple[float, float]:
    """Return how often a true difference is found by the last look, and the share of the tasks used on average."""
    rng = np.random.default_rng([looks, n, round(1000 * true)])
    size = n // looks
    levels = np.array(look_levels([size * (at + 1) for at in range(looks)], looks))
    cells = rng.multinomial(size, [0.2 + true / 2, 0.2 - true / 2, 0.6], size=(replicates, looks))
    won, lost = cells[..., 0].cumsum(axis=1), cells[..., 1].cumsum(axis=1)
    p = np.minimum(2 * stats.binom.cdf(np.minimum(won, lost), won + lost, 0.5), 1.0)
    found = p <= levels
    ended = np.where(found.any(axis=1), found.argmax(axis=1) + 1, looks)
    return float(found.any(axis=1).mean()), float(ended.mean() / looks)


def study_looks(replicates: int) -> None:
    """False alarms over all looks, of planned levels and of 5 % at each; power and tasks used."""
    print("| looks | tasks a look | pairs that differ | false alarms | 5 % at each look | found, +.1 | tasks used |")
    print("| --- " * 7 + "|")
    for looks in (1, 2, 5, 10):
        for per_look, moved in ((20, 0.4), (100, 0.4), (100, 0.1)):
            both = [false_alarms_of_looks(looks, per_look, moved, 20 * replicates, planned=by) for by in (True, False)]
            cells = [f"{looks}", f"{per_look}", f"{moved:.0%}", *(f"{x:.1%}" for x in both)]
            cells += [f"{x:.0%}" for x in looks_power(looks, 400, 0.1, 20 * replicates)] if per_look == 20 else ["", ""]
            print(f"| {' | '.join(cells)} |", flush=True)


def pooled_row(k: int, tau: float, replicates: int, *, uneven: bool = False) -> tuple[float, float, float, float]:
    """Return coverage of these, of beyond, of one more, and the median width of beyond; errors 1, or .5 to 2."""
    rng = np.random.default_rng([k, round(10 * tau), int(uneven)])
    errors = np.linspace(0.5, 2.0, k) if uneven else np.ones(k)
    true = tau * rng.standard_normal((replicates, k + 1))
    seen = true[:, :k] + errors * rng.standard_normal((replicates, k))
    found = [random_effects(one.tolist(), errors.tolist()) for one in seen]
    these = [one.these.covers(float(t[:k].mean())) for one, t in zip(found, true, strict=True)]
    more = [one.another.covers(float(t[k])) for one, t in zip(found, true, strict=True)]
    width = np.median([one.beyond.width for one in found])
    return (
        float(np.mean(these)),
        float(np.mean([one.beyond.covers(0.0) for one in found])),
        float(np.mean(more)),
        float(width),
    )


def study_pooled(replicates: int) -> None:
    """Coverage of the pooled differences, beside that of the plain mean taken for one of all."""
    print("| models | tau in errors | these | beyond | one more | width of beyond |")
    print("| --- " * 6 + "|")
    for k in (2, 3, 5, 10):
        for tau, uneven in ((0.0, False), (1.0, False), (3.0, False), (1.0, True)):
            held_of = pooled_row(k, tau, replicates, uneven=uneven)
            name = f"{k}, errors of .5 to 2" if uneven else f"{k}"
            print(
                f"| {name} | {tau:g} | {' | '.join(f'{x:.1%}' for x in held_of[:3])} | {held_of[3]:.2f} |", flush=True
            )


PARTS: Final[dict[str, Callable[[int], None]]] = {
    "intervals": study_intervals, "d": study_d, "margins": study_margins, "rare": study_rare,
    "looks": study_looks, "pooled": study_pooled,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="*", default=list(PARTS))
    chosen = parser.parse_args()
    for part in chosen.part:
        PARTS[part](chosen.replicates)
        print(flush=True)


if __name__ == "__main__":
    main()
