"""How often the intervals, tests and plans of `analysis.stats` and `analysis.voting` hold: 1,000 experiments each.

Run: ``python -m benchmarks.study_statistics_coverage [--experiments 1000] [--part NAME ...]`` (a few minutes on one
core; prints tables in Markdown). A nominal 95 % interval of 1,000 experiments lands in 93.6 to 96.4 % with probability
95 %. Binary scores of few tasks cannot be covered evenly: their totals take few values, so the rows with 10 and 20
tasks jump around the nominal value whatever the method.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.streams import stream
from analysis.stats import power
from analysis.stats.bootstrap import DIFFERENCE, SCORE, Bounds, Kind, mean_intervals
from analysis.stats.clusters import TaskSums
from analysis.stats.paired import compare_paired
from analysis.stats.permutation import holm, sign_flip_p
from analysis.stats.predictors import NAMES, design, learn_scale
from analysis.stats.regression import fit_predictors
from analysis.stats.selector import evaluate_selector
from analysis.voting.maker import StepSample, lead_is_enough, plan_maker
from analysis.voting.saturation import fit_saturation, saturation_point
from analysis.voting.verifier import accuracy, ceiling
from analysis.voting.verifier_plan import LabelledAttempts, plan_verifier

F64 = NDArray[np.float64]
REPLICATES = 2000
KINDS: tuple[Kind, ...] = ("expanded", "pseudo", "studentised")
SIZES = ((10, 1), (20, 1), (20, 3), (50, 1), (200, 1))
"""(tasks, seeds)."""


@dataclass(frozen=True)
class Regime:
    """Paired differences as an experiment may give them."""

    name: str
    draw: Callable[[np.random.Generator, int, int, int], F64]
    """(generator, experiments, tasks, seeds) -> differences of that shape."""
    truth: float
    bounds: Bounds | None


def three_way(better: float, worse: float) -> Callable[[np.random.Generator, int, int, int], F64]:
    def draw(rng: np.random.Generator, r: int, t: int, k: int) -> F64:
        u = rng.random((r, t, k))
        return (u < better).astype(np.float64) - ((u >= better) & (u < better + worse))

    return draw


def repeated(better: float, worse: float) -> Callable[[np.random.Generator, int, int, int], F64]:
    """All seeds of a task give the same: only tasks count."""
    return lambda rng, r, t, k: np.repeat(three_way(better, worse)(rng, r, t, 1), k, axis=2)


def tasks_differ(rng: np.random.Generator, r: int, t: int, k: int) -> F64:
    """Tasks of all difficulties; the gain is larger where there is room: mean 0.05."""
    p = rng.beta(0.6, 0.6, (r, t, 1))
    q = p + 0.2 * (1 - p) * rng.random((r, t, 1))
    return (rng.random((r, t, k)) < q).astype(np.float64) - (rng.random((r, t, k)) < p)


def graded(rng: np.random.Generator, r: int, t: int, k: int) -> F64:
    """Scores in [0, 1] that are no counts; mean difference 0.1."""
    ease = rng.beta(2, 2, (r, t, 1))
    return np.clip(ease + 0.1 + 0.05 * rng.standard_normal((r, t, k)), ease - 0.2, ease + 0.4) - ease


def right_or_wrong(a: float, b: float) -> Callable[[np.random.Generator, int, int, int], F64]:
    """Scores of tasks whose success is drawn from a beta distribution."""
    return lambda rng, r, t, k: (rng.random((r, t, k)) < rng.beta(a, b, (r, t, 1))).astype(np.float64)


REGIMES = (
    Regime("no difference, 88 % ties", three_way(0.06, 0.06), 0.0, DIFFERENCE),
    Regime("+.05, 85 % ties", three_way(0.10, 0.05), 0.05, DIFFERENCE),
    Regime("+.2, 60 % ties", three_way(0.3, 0.1), 0.2, DIFFERENCE),
    Regime("+.1, never worse", three_way(0.1, 0.0), 0.1, DIFFERENCE),
    Regime("+.3, never worse", three_way(0.3, 0.0), 0.3, DIFFERENCE),
    Regime("+.8, never worse", three_way(0.8, 0.0), 0.8, DIFFERENCE),
    Regime("+.05, seeds repeat each other", repeated(0.10, 0.05), 0.05, DIFFERENCE),
    Regime("+.05, tasks of all difficulties", tasks_differ, 0.05, DIFFERENCE),
    Regime("+.1, graded scores", graded, 0.1, DIFFERENCE),
    Regime("tokens, normal", lambda rng, r, t, k: rng.standard_normal((r, t, k)), 0.0, None),
    Regime("tokens, lognormal", lambda rng, r, t, k: rng.lognormal(0, 1, (r, t, k)), float(np.exp(0.5)), None),
)


def summed(rows: F64) -> TaskSums:
    """Return the sums of one experiment, shape (tasks, seeds)."""
    n = np.full(rows.shape[0], float(rows.shape[1]))
    return TaskSums(rows.sum(axis=1), n, (rows**2).sum(axis=1))


def coverage(
    regime: Regime, n_tasks: int, seeds: int, experiments: int, kind: Kind | None = None
) -> tuple[float, float]:
    """Return how often the interval holds the truth, and its mean width."""
    rng = stream(1, "study", regime.name, n_tasks, seeds)
    drawn = regime.draw(rng, experiments, n_tasks, seeds)
    sums = [summed(rows) for rows in drawn]
    found = mean_intervals(
        sums, [regime.bounds] * experiments, replicates=REPLICATES, kinds=None if kind is None else [kind] * experiments
    )
    return float(np.mean([one.covers(regime.truth) for one in found])), float(np.mean([one.width for one in found]))


def study_differences(experiments: int) -> None:
    """Intervals of paired differences: what is used, and each kind alone."""
    print("| differences | tasks x seeds | used | width | " + " | ".join(KINDS) + " |")
    print("|---|---|---|---|" + "---|" * len(KINDS))
    for regime in REGIMES:
        for n_tasks, seeds in SIZES:
            held, width = coverage(regime, n_tasks, seeds, experiments)
            alone = [
                "" if regime.bounds is None and kind == "pseudo" else
                f"{coverage(regime, n_tasks, seeds, experiments, kind)[0]:.1%}" for kind in KINDS
            ]  # fmt: skip
            print(
                f"| {regime.name} | {n_tasks} x {seeds} | {held:.1%} | {width:.2f} | " + " | ".join(alone) + " |",
                flush=True,
            )


def sizes_row(n_tasks: int, seeds: int, experiments: int) -> tuple[float, float]:
    """Return how often the intervals of d and of the odds ratio hold the truth: +.2, 60 % ties, d = 1/3 of one row."""
    rng = stream(8, "study", "sizes", n_tasks, seeds)
    drawn = three_way(0.3, 0.1)(rng, experiments, n_tasks, seeds)
    true_d, held = 0.2 / np.sqrt(0.36 / seeds), []
    index = np.indices((n_tasks, seeds)).reshape(2, -1)
    for step in drawn:
        base = np.where(step > 0, 0.0, np.where(step < 0, 1.0, 0.0))
        parts = (("base", base), ("other", base + step))
        table = pl.concat(
            pl.DataFrame({"organisation": o, "tasks": "", "task": index[0], "seed": index[1], "score": s.reshape(-1)})
            for o, s in parts
        )
        (row,) = compare_paired(table, baseline="base", replicates=1000).rows
        held.append((row.d is not None and row.d.covers(true_d), row.odds_ratio is None or row.odds_ratio.covers(3.0)))
    d, odds = np.mean(held, axis=0)
    return float(d), float(odds)


def study_sizes(experiments: int) -> None:
    """Intervals of d and of the odds ratio."""
    print("| tasks x seeds | d | odds ratio |\n|---|---|---|")
    for n_tasks, seeds in ((100, 1), (100, 3), (200, 1)):
        d, odds = sizes_row(n_tasks, seeds, experiments // 2)
        print(f"| {n_tasks} x {seeds} | {d:.1%} | {odds:.1%} |", flush=True)


def study_means(experiments: int) -> None:
    """Intervals of mean scores over tasks of all difficulties, several seeds each."""
    print("| mean score | tasks x seeds | used |\n|---|---|---|")
    for a, b in ((0.6, 0.6), (4.0, 0.5), (1.0, 9.0)):
        regime = Regime("", right_or_wrong(a, b), a / (a + b), SCORE)
        for n_tasks, seeds in ((10, 3), (20, 3), (50, 3), (200, 3)):
            held, _ = coverage(regime, n_tasks, seeds, experiments)
            print(f"| {a / (a + b):.2f} | {n_tasks} x {seeds} | {held:.1%} |", flush=True)


def false_alarms(n_tasks: int, seeds: int, organisations: int, experiments: int, *, ties: float = 0.0) -> float:
    """Return how often Holm finds any difference where there is none.

    All share the tasks' difficulty; a share `ties` of tasks is solved by all or none. The baseline's luck is in every
    difference, so the tests depend on each other.
    """
    rng = stream(2, "study", "alarms", n_tasks, seeds, organisations)
    hits = 0
    for number in range(experiments):
        p = rng.beta(1, 1, (n_tasks, 1, 1))
        p = np.where(rng.random((n_tasks, 1, 1)) < ties, np.round(p), p)
        scores = (rng.random((n_tasks, seeds, organisations)) < p).sum(axis=1).astype(float)
        away = scores[:, 1:] - scores[:, :1]
        ps = np.array([sign_flip_p(away[:, at], replicates=2000, seed=number)[0] for at in range(organisations - 1)])
        hits += bool(holm(ps).min() <= 0.05)
    return hits / experiments


def study_alarms(experiments: int) -> None:
    """Family-wise false alarms under no difference."""
    print("| organisations | tasks x seeds | alarms |\n|---|---|---|")
    for organisations, n_tasks, seeds, ties in (
        (2, 20, 1, 0.0),
        (5, 20, 1, 0.7),
        (5, 20, 3, 0.0),
        (5, 100, 2, 0.0),
        (20, 100, 1, 0.5),
    ):
        rate = false_alarms(n_tasks, seeds, organisations, experiments, ties=ties)
        print(f"| {organisations} | {n_tasks} x {seeds}, {ties:.0%} tied | {rate:.1%} |", flush=True)


def found_share(effect: float, n_tasks: int, seeds: int, experiments: int) -> float:
    """Return how often the sign-flip test finds a true difference at 5 %."""
    rng = stream(3, "study", "power", n_tasks, seeds, round(1e6 * effect))
    drawn = rng_pairs(rng, experiments, n_tasks, seeds, effect)
    ps = [sign_flip_p(rows.sum(axis=1), replicates=2000)[0] for rows in drawn]
    return float(np.mean(np.array(ps) <= 0.05))


def rng_pairs(rng: np.random.Generator, r: int, t: int, k: int, effect: float) -> F64:
    """Draw differences of right-or-wrong answers; tasks of all difficulties gain unequally, `effect` on average."""
    p = rng.beta(1.5, 1.5, (r, t, 1)) * (1 - 2 * effect)
    gain = effect * 2 * rng.random((r, t, 1))  # tasks differ in what they gain
    return (rng.random((r, t, k)) < p + gain).astype(np.float64) - (rng.random((r, t, k)) < p)


def power_row(effect: float, seeds: int, experiments: int) -> tuple[int, float]:
    """Return the tasks that the formula asks for, from a large pilot's components, and the power that they give."""
    pilot = rng_pairs(stream(4, "study", "pilot", seeds), 1, 20_000, 4, effect)[0]
    needed = power.tasks_needed(effect, power.components(summed(pilot)).sd(seeds), grain=1 / seeds)
    assert needed is not None
    return needed, found_share(effect, needed, seeds, experiments)


def study_power(experiments: int) -> None:
    """Tasks needed by the formula, and the power measured with as many."""
    print("| difference | seeds | tasks needed for power .8 | power measured |\n|---|---|---|---|")
    for effect, seeds in ((0.2, 1), (0.2, 4), (0.1, 1), (0.1, 4), (0.05, 4)):
        needed, share = power_row(effect, seeds, experiments)
        print(f"| {effect:+g} | {seeds} | {needed:,} | {share:.3f} |", flush=True)


ARCHITECTURES = {
    "single": (0, 1),
    "independent": (1, 3),
    "centralized": (2, 4),
    "decentralized": (3, 3),
    "hybrid": (4, 4),
}
PLANTED = {
    "I": 0.171, "log_tools": 0.411, "log_overhead": 0.1, "redundancy": -0.1, "efficiency": 0.1,
    "log_amplification": -0.1, "P_SA": 0.315, "overhead*tools": -0.162, "redundancy*n": 0.047,
    "efficiency*tools": -0.267, "P_SA*log_n": -0.404,
}  # fmt: skip
BREAK_EVEN = 0.45


def runs(rng: np.random.Generator, n_tasks: int, n_models: int) -> pl.DataFrame:
    """Draw the predictors of runs: every architecture on every model and task; coordination measured with noise."""
    index = np.indices((n_tasks, n_models, len(ARCHITECTURES))).reshape(3, -1)
    kind, base_n = np.array(list(ARCHITECTURES.values()))[index[2]].T
    size = int(kind.size)

    def noise(spread: float) -> F64:
        return spread * rng.standard_normal(size)

    cells = index[0] * n_models + index[1]
    return pl.DataFrame(
        {
            "task": index[0], "model": index[1], "organisation": np.array(list(ARCHITECTURES))[index[2]],
            "capability": rng.standard_normal(n_models)[index[1]], "tools": rng.integers(1, 20, n_tasks)[index[0]],
            "n_agents": np.where(base_n == 1, 1, rng.integers(2, 9, size)),
            "overhead": np.maximum(60 * kind + noise(25), 0), "density": np.maximum(0.2 * kind + noise(0.1), 0),
            "redundancy": np.clip(0.4 + 0.1 * kind + noise(0.1), 0, 1),
            "efficiency": np.clip(0.5 - 0.08 * kind + noise(0.08), 0.01, 1),
            "amplification": np.exp(0.3 * kind + noise(0.3)),
            "single": rng.uniform(0.1, 0.8, n_tasks * n_models)[cells],
        }
    )  # fmt: skip


def planted_runs(
    seed: int, *, n_tasks: int = 60, n_models: int = 6, task_effect: float = 0.3, noise: float = 0.5
) -> tuple[pl.DataFrame, F64]:
    """Return runs with planted coefficients and break-even, and the coefficients in units of the response's spread."""
    rng = stream(seed, "study", "regression")
    table = runs(rng, n_tasks, n_models)
    scale = learn_scale(table)
    beta = np.array([PLANTED.get(name, 0.0) for name in NAMES])
    standard = (BREAK_EVEN - scale.mean["P_SA"]) / scale.sd["P_SA"]
    beta[NAMES.index("log_n")] = -PLANTED["P_SA*log_n"] * standard
    score = design(table, scale) @ beta
    score += task_effect * rng.standard_normal(n_tasks)[table["task"].to_numpy()]
    score += noise * rng.standard_normal(score.size)
    return table.with_columns(pl.Series("score", score)), beta / score.std()


def regression_row(experiments: int, method: str = "ols", *, n_tasks: int = 60, n_models: int = 6) -> tuple[F64, F64]:
    """Return how often each coefficient's interval holds the planted one, and the break-even points found."""
    held, points = [], []
    for seed in range(experiments):
        table, beta = planted_runs(seed, n_tasks=n_tasks, n_models=n_models)
        fit = fit_predictors(table, method=method)  # type: ignore[arg-type]
        held.append([c.estimate.covers(beta[NAMES.index(c.name)]) for c in fit.coefficients])
        assert fit.break_even is not None
        points.append((fit.break_even.value, fit.break_even.covers(BREAK_EVEN)))
    return np.mean(held, axis=0), np.array(points)


def leak(experiments: int, task_effect: float) -> F64:
    """Return (R2 on tasks held out, R2 on rows held out) of small experiments, shape (experiments, 2)."""
    fits = [
        fit_predictors(planted_runs(s, n_tasks=14, n_models=4, task_effect=task_effect)[0]) for s in range(experiments)
    ]
    return np.array([(fit.grouped.r2, fit.ungrouped.r2) for fit in fits])


def study_regression(experiments: int) -> None:
    """Planted coefficients and break-even; the leak of a task effect."""
    print("| regression | result |\n|---|---|")
    for method, n in (("ols", experiments // 2), ("mixed", experiments // 20)):
        held, points = regression_row(n, method)
        what = f"{method}, {n} experiments"
        print(f"| {what}: coverage of each coefficient | {held.min():.1%} to {held.max():.1%} |")
        off, covered = np.abs(points[:, 0] - BREAK_EVEN), points[:, 1].mean()
        print(f"| {what}: break-even off by | mean {off.mean():.4f}, largest {off.max():.4f} |")
        print(f"| {what}: break-even covered | {covered:.1%} |", flush=True)
    for effect in (0.0, 1.0):
        r2 = leak(max(20, experiments // 10), effect)
        share = np.mean(r2[:, 0] < r2[:, 1])
        print(
            f"| task effect {effect:g}: R2 with tasks, rows held out | {r2[:, 0].mean():.3f}, {r2[:, 1].mean():.3f} |"
        )
        print(f"| task effect {effect:g}: the first is lower in | {share:.0%} |", flush=True)


def known_best(seed: int, form: str, *, n_tasks: int = 40, n_models: int = 4) -> pl.DataFrame:
    """Return runs whose best architecture follows from the single agent's score, the model and the tools.

    ``linear`` scores follow the regression's own form; with ``lines`` each architecture gains by a straight line of its
    own, which that form can only approach.
    """
    rng = stream(seed, "study", "selector")
    if form == "linear":
        table, _ = planted_runs(seed, n_tasks=n_tasks, n_models=n_models, noise=0.1)
        return table
    table = runs(rng, n_tasks, n_models)
    alone, able, tools = (pl.col(name) for name in ("single", "capability", "tools"))
    gain = (
        pl.when(pl.col("organisation") == "single").then(0.0)
        .when(pl.col("organisation") == "independent").then(0.05 - 0.2 * alone)
        .when(pl.col("organisation") == "centralized").then(0.30 - 0.7 * alone - 0.008 * tools)
        .when(pl.col("organisation") == "decentralized").then(0.20 - 0.6 * alone + 0.008 * tools)
        .otherwise(0.18 - 0.6 * alone + 0.06 * able)
    )  # fmt: skip
    noise = pl.Series(0.02 * rng.standard_normal(table.height))
    return table.with_columns((alone + gain + noise).alias("score"))


def study_selector(experiments: int) -> None:
    """Hit rates on families whose best architecture is known."""
    print("| family | rule | best picked | score lost | regression ahead of it in |\n|---|---|---|---|---|")
    for form in ("linear", "lines"):
        found = [evaluate_selector(known_best(seed, form)) for seed in range(max(20, experiments // 20))]
        for name in ("regression", "random", "capability only", "single where it is good"):
            rules = [report.rule(name) for report in found]
            ahead = np.mean([rule.ahead is not None and rule.ahead.value > 0 for rule in rules])
            hits, lost = (np.mean([getattr(rule, part).value for rule in rules]) for part in ("hits", "regret"))
            print(f"| {form} | {name} | {hits:.3f} | {lost:.4f} | {ahead:.0%} |", flush=True)


def maker_row(p: float, sampled: int, steps: int, experiments: int) -> tuple[float, float, float]:
    """Return how often the planned k reaches the target, how often none is planned, and the mean planned k."""
    right = stream(5, "study", "maker", sampled, steps).binomial(sampled, p, experiments)
    plans = {int(n): plan_maker(steps, StepSample(int(n), sampled)) for n in np.unique(right)}
    enough = np.array([lead_is_enough(plans[int(n)], p) for n in right])
    none = np.array([plans[int(n)].k is None for n in right])
    leads = [k for n in right if (k := plans[int(n)].k) is not None]
    return float(np.mean(enough | none)), float(none.mean()), float(np.mean(leads)) if leads else float("nan")


def study_maker(experiments: int) -> None:
    """The lead planned from a sample of steps: does it reach the target with the true p?"""
    print(
        "| p | steps sampled | chain | target reached or nothing promised | nothing promised | mean k |\n"
        "|---|---|---|---|---|---|"
    )
    for p, sampled, steps in (
        (0.65, 100, 1000),
        (0.8, 50, 1000),
        (0.8, 200, 1000),
        (0.96, 200, 10**6),
        (0.998, 500, 10**6),
    ):
        held, none, lead = maker_row(p, sampled, steps, experiments)
        print(f"| {p:g} | {sampled} | {steps:,} | {held:.1%} | {none:.1%} | {lead:.2f} |", flush=True)


def verifier_row(p: float, c: float, f: float, sampled: int, experiments: int) -> dict[str, float]:
    """Return how often the intervals of a plan hold the truth: the ceiling and the accuracy at K = 3 and 50."""
    rng = stream(6, "study", "verifier", sampled, round(1000 * p))
    cells = rng.multinomial(sampled, [p * c, p * (1 - c), (1 - p) * f, (1 - p) * (1 - f)], size=experiments)
    truths = {
        "ceiling": float(ceiling(p, c, f)),
        "K=3": float(accuracy(p, c, f, 3)),
        "K=50": float(accuracy(p, c, f, 50)),
    }
    held = dict.fromkeys(truths, 0.0)
    for a, b, x, y in cells:
        plan = plan_verifier(LabelledAttempts(int(a + b), int(x + y), int(a), int(x)))
        by_k = dict(plan.accuracy)
        for name, found in {"ceiling": plan.ceiling, "K=3": by_k[3], "K=50": by_k[50]}.items():
            held[name] += found.covers(truths[name]) / experiments
    return held


def study_verifier(experiments: int) -> None:
    """Intervals of a verifier's plan."""
    print("| p | c | f | attempts labelled | ceiling | accuracy at 3 | at 50 |\n|---|---|---|---|---|---|---|")
    for p, c, f, sampled in ((0.3, 0.9, 0.2, 50), (0.3, 0.9, 0.2, 400), (0.1, 0.8, 0.05, 200), (0.6, 1.0, 0.5, 100)):
        held = verifier_row(p, c, f, sampled, experiments // 4)
        print(
            f"| {p:g} | {c:g} | {f:g} | {sampled} | " + " | ".join(f"{x:.1%}" for x in held.values()) + " |", flush=True
        )


def saturation_tasks(rng: np.random.Generator, n_tasks: int, units: F64, top: float, p: float) -> F64:
    """Draw tasks that can be solved with probability `top`, then by each unit with probability p; more never harms."""
    first = np.where(rng.random(n_tasks) < top, rng.geometric(p, n_tasks), np.iinfo(np.int64).max)
    return (first[:, None] <= units).astype(float)


def study_saturation(experiments: int) -> None:
    """Intervals of the saturation point."""
    print("| F, p, tasks | F | p | N* |\n|---|---|---|---|")
    units = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    n = max(20, experiments // 10)
    for top, p, n_tasks in ((0.8, 0.2, 200), (0.6, 0.1, 200)):
        rng = stream(7, "study", "saturation", n_tasks, round(100 * p))
        fits = [fit_saturation(units, saturation_tasks(rng, n_tasks, units, top, p), seed=at) for at in range(n)]
        truths: Sequence[tuple[str, float]] = (("top", top), ("p", p), ("point", saturation_point(p, 0.01, top=top)))
        shares = [f"{np.mean([getattr(fit, name).covers(truth) for fit in fits]):.1%}" for name, truth in truths]
        print(f"| {top:g}, {p:g}, {n_tasks} ({n} experiments) | " + " | ".join(shares) + " |", flush=True)


PARTS: dict[str, Callable[[int], None]] = {
    "differences": study_differences,
    "means": study_means,
    "sizes": study_sizes,
    "alarms": study_alarms,
    "power": study_power,
    "regression": study_regression,
    "selector": study_selector,
    "maker": study_maker,
    "verifier": study_verifier,
    "saturation": study_saturation,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--part", choices=sorted(PARTS), nargs="*", default=list(PARTS))
    chosen = parser.parse_args()
    for part in chosen.part:
        started = time.perf_counter()
        PARTS[part](chosen.experiments)
        print(f"\n{part}: {time.perf_counter() - started:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
