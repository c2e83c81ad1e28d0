"""This study asks how often `phase` names the wrong regime, and `plan` a loser, of votes whose shared errors are known.

Usage: python -m benchmarks.study_shapes [--part regimes|plans|chance|cliques] [--samples 100] [--tasks 200]
[--rho 0.3] [--shapes NAME ...] (about fifteen minutes of one core). Votes come from the lock, the beta-binomial law or
a Gaussian factor, 200 tasks twice, groups of 5, with the fidelity that makes the true growth at chance 1.2, 1 or 0.8;
or from cliques, a form that is none of these. The tables are in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from analysis.synergy.estimation.growth import SHAPES
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.phase_of_runs import phase_of_votes
from analysis.synergy.planning.design import Design
from analysis.synergy.planning.recommend import recommend
from analysis.synergy.theory.recursion import alpha, node_map
from analysis.synergy.theory.shapes import Shape, latent_correlation

GROWTHS: Final = {"growing": 1.2, "critical": 1.0, "collapsing": 0.8}
RIGHT: Final = {"growing": "amplify", "collapsing": "collapse"}
PLANNED: Final = (0.8, 1.0, 1.1, 1.25)
"""Growths for which a plan is made."""
B: Final = 5


def gamma_for(growth: float, rho: float, shape: Shape) -> float:
    """Return the fidelity at which a node of `B` votes grows a weak signal by `growth`."""
    return growth / float(alpha(B, 1.0, rho, shape=shape))


def votes(
    shape: Shape, *, rho: float = 0.3, mu: float = 0.2, gamma: float = 0.8, tasks: int = 200, seed: int = 0
) -> pl.DataFrame:
    """Return votes as they are received: each right with probability (1 + gamma mu) / 2, correlated within runs."""
    rng, p = np.random.default_rng([seed, SHAPES.index(shape)]), (1 + gamma * mu) / 2
    groups = 2 * tasks
    right: NDArray[np.bool_]
    if shape == "lock":
        right = rng.random((groups, B)) < p
        shared = rng.random(groups) < rho
        right[shared] = right[shared, :1]
    elif shape == "beta_binomial":
        bias = rng.beta(p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho, (groups, 1))
        right = rng.random((groups, B)) < bias
    else:
        r = float(latent_correlation(rho))
        right = np.sqrt(r) * rng.normal(size=(groups, 1)) + np.sqrt(1 - r) * rng.normal(size=(groups, B)) < ndtri(p)
    return table_of(right)


def table_of(right: NDArray[np.bool_]) -> pl.DataFrame:
    """Return votes as a table: groups of `B`, two for each task."""
    where = np.repeat(np.arange(len(right)), B)
    return pl.DataFrame(
        {
            "task": (where // 2).astype(str), "run": (where % 2).astype(str), "node": np.full(where.size, "n"),
            "agent": np.tile(np.arange(B), len(right)), "correct": right.ravel().astype(float),
        }
    )  # fmt: skip


def phase(
    shape: Shape, growth: float, seed: int, *, rho: float = 0.3, tasks: int = 200
) -> tuple[PhaseEstimate, Measured]:
    """Return what is said of one sample, its fidelity given."""
    gamma = gamma_for(growth, rho, shape)
    return phase_of_votes(votes(shape, rho=rho, gamma=gamma, tasks=tasks, seed=seed), gamma=gamma)


def truth(design: Design, shape: Shape, a: float, beta: float, gamma: float, rho: float) -> float:
    """Return the signal that a design truly has."""
    mu = np.asarray(min(a * design.x**beta, 1.0))
    for _ in range(design.depth):
        mu = node_map(mu, design.b, gamma, rho, shape=shape)
    return float(mu)


def priced(measured: Measured) -> Measured:
    """Return measurements whose messages have 50 tokens."""
    return replace(measured, messages=tuple(replace(one, m=50, cost=100.0) for one in measured.messages))


def planned(shape: Shape, growth: float, seed: int, *, rho: float = 0.3, tasks: int = 200) -> tuple[float, bool, bool]:
    """Return the least P that is stated for the design recommended, whether it truly loses, and whether it is alone."""
    a, beta, gamma = 0.05, 0.15, gamma_for(growth, rho, shape)
    _, measured = phase(shape, growth, seed, rho=rho, tasks=tasks)
    found = recommend(priced(measured).with_given(a=a, beta=beta), 20_000, 1_000)
    if found.best.design.organisation == "single":
        return found.p_least, False, True
    told = truth(found.best.design, shape, a, beta, gamma, rho)
    return found.p_least, told < truth(found.single.design, shape, a, beta, gamma, rho), False


def regimes(samples: int) -> None:
    """Print the table of regimes."""
    print("| votes | truth | samples | amplify | undecided | collapse | wrong |\n" + "| --- " * 7 + "|")
    for shape in SHAPES:
        for name, growth in GROWTHS.items():
            said = Counter(phase(shape, growth, seed)[0].verdict for seed in range(samples))
            wrong = sum(n for word, n in said.items() if word not in ("undecided", RIGHT.get(name)))
            counts = " | ".join(str(said[word]) for word in ("amplify", "undecided", "collapse"))
            print(f"| {shape} | {name} ({growth}) | {samples} | {counts} | {wrong / samples:.0%} |", flush=True)


def plans(samples: int, tasks: int, rho: float, shapes: Sequence[Shape]) -> None:
    """Print the table of plans."""
    print("| votes | tasks | rho | growth | samples | one agent | P >= .9 stated | of these, losers |")
    print("| --- " * 8 + "|")
    for shape in shapes:
        for growth in PLANNED:
            found = [planned(shape, growth, seed, rho=rho, tasks=tasks) for seed in range(samples)]
            sure = [lost for p, lost, single in found if p >= 0.9 and not single]
            alone = sum(single for *_, single in found)
            cells = f"{shape} | {tasks} | {rho} | {growth} | {samples} | {alone}"
            print(f"| {cells} | {len(sure)} | {sum(sure)} |", flush=True)


def chance(samples: int) -> None:
    """Print how often votes are said to be below chance."""
    print("| true signal | samples | said to be below chance |\n| --- | --- | --- |")
    for mu in (-0.3, -0.1, 0.0, 0.1):
        told = [phase_of_votes(votes("lock", mu=mu, seed=s), gamma=0.8, n_draws=20)[0] for s in range(samples)]
        print(f"| {mu} | {samples} | {sum(one.below_chance is not None for one in told) / samples:.1%} |", flush=True)


def clique_votes(share: float, gamma: float, *, mu: float = 0.2, tasks: int = 200, seed: int = 0) -> pl.DataFrame:
    """Return votes of which three of five are one draw in a share of the groups: a form that no law here has.

    A majority of these groups is that one draw, so growth is gamma (share + (1 - share) 15/8), though the correlation
    of two votes is 0.3 of the share.
    """
    rng, p = np.random.default_rng([seed, 9]), (1 + gamma * mu) / 2
    right = rng.random((2 * tasks, B)) < p
    alike = rng.random(2 * tasks) < share
    right[alike, :3] = right[alike, :1]
    return table_of(right)


def cliques(samples: int) -> None:
    """Print what is said of votes that follow no known form, and of those that follow one, by the number of tasks."""
    print("| votes | tasks | growth | samples | no known form | amplify | collapse | P >= .9 stated |")
    print("| --- " * 8 + "|")
    for form in (1.0, 0.7, 0.4, *SHAPES):
        for tasks in (60, 200):
            found = [_of_form(form, tasks, seed) for seed in range(samples)]
            unknown = sum(one.unknown_form is not None for _, one in found)
            said = Counter(one.verdict for one, _ in found)
            sure = sum(_certain(one) for _, one in found)
            name = form if isinstance(form, str) else f"three of five alike in {form:.0%}"
            growth = 1.0 if isinstance(form, str) else 0.9 * (form + (1 - form) * 15 / 8)
            cells = f"{name} | {tasks} | {growth:.2f} | {samples} | {unknown}"
            print(f"| {cells} | {said['amplify']} | {said['collapse']} | {sure} |", flush=True)


def _of_form(form: Shape | float, tasks: int, seed: int) -> tuple[PhaseEstimate, Measured]:
    """Return what is said of votes at critical growth, or of cliques in a share of the groups."""
    if isinstance(form, str):
        return phase(form, 1.0, seed, tasks=tasks)
    return phase_of_votes(clique_votes(form, 0.9, tasks=tasks, seed=seed), gamma=0.9)


def _certain(measured: Measured) -> bool:
    """Return whether a plan recommends a design of many with P >= .9."""
    found = recommend(priced(measured).with_given(a=0.05, beta=0.15), 20_000, 1_000)
    return found.best.design.organisation != "single" and found.p_least >= 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=("regimes", "plans", "chance", "cliques"))
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=200, help="of a sample that is planned from")
    parser.add_argument("--rho", type=float, default=0.3, help="of a sample that is planned from")
    parser.add_argument(
        "--shapes", nargs="*", choices=SHAPES, default=SHAPES, help="of the votes that are planned from"
    )
    asked = parser.parse_args()
    if asked.part in (None, "regimes"):
        regimes(asked.samples)
    if asked.part in (None, "plans"):
        plans(asked.samples, asked.tasks, asked.rho, asked.shapes)
    if asked.part in (None, "chance"):
        chance(asked.samples)
    if asked.part in (None, "cliques"):
        cliques(asked.samples)


if __name__ == "__main__":
    main()
