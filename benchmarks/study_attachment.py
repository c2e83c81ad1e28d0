"""This study asks how often attachment is called reinforcement, of choices made by reinforcement or by something else.

Usage: python -m benchmarks.study_attachment [--replicates 1000] [--world NAME ...] [--coverage] (about 20 minutes of
one core). In each of 10 executions 45 claims are made one after the other by ten agents; from the fourth on each builds
on one of the earlier claims, drawn with the weights of its world. The tables are in docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.claims.attachment_choices import Choices
from analysis.claims.attachment_rivals import Examined, examine_choices, exponent_and_offset
from analysis.jit import compiled

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
FIRST: Final = 3
"""Claims of an execution that build on nothing."""


@dataclass(frozen=True)
class World:
    """Claim i is drawn with weight (x_i + offset)^beta age^recency fitness_i author_i, or evenly from the newest."""

    beta: float = 0.0
    offset: float = 1.0
    recency: float = 0.0
    window: int = 0
    """Newest claims from which one is drawn evenly; 0 where all are on offer."""
    fitness: float = 0.0
    """Standard deviation of the logarithm of a claim's own fitness."""
    authors: float = 0.0
    """The same of an author's."""

    @property
    def reinforced(self) -> bool:
        """Whether what was built on before is chosen more for it."""
        return self.beta > 0


WORLDS: Final = {
    "evenly": World(),
    "reinforced, beta 1, offset 0.2": World(beta=1, offset=0.2),
    "reinforced, beta 1, offset 1": World(beta=1),
    "reinforced, beta 1, offset 5": World(beta=1, offset=5),
    "reinforced, beta 0.5, offset 1": World(beta=0.5),
    "fitness of claims, sd 0.5": World(fitness=0.5),
    "fitness of claims, sd 1": World(fitness=1),
    "fitness of claims, sd 1.5": World(fitness=1.5),
    "the last five, evenly": World(window=5),
    "recency, 1 / age": World(recency=-1),
    "authors' fitness, sd 1": World(authors=1),
    "beta 1 and 1 / age": World(beta=1, recency=-1),
    "beta 1 and authors' fitness": World(beta=1, authors=1),
    "beta 1 and fitness of claims, sd 1": World(beta=1, fitness=1),
    "fitness of claims, sd 1, and 1 / age": World(fitness=1, recency=-1),
}


@compiled
def _grow(uniform: F64, own: F64, beta: float, offset: float, recency: float, window: int) -> tuple[I64, F64]:
    """Return what each claim from `FIRST` on builds on, and x of all earlier claims at that time, one by one."""
    n = len(own)
    x, taken = np.zeros(n), np.empty(n - FIRST, np.int64)
    engaged = np.empty(n * (n - 1) // 2 - FIRST * (FIRST - 1) // 2)
    at = 0
    w = np.empty(n)
    for i in range(FIRST, n):
        whole = 0.0
        for j in range(i):
            engaged[at + j] = x[j]
            if window > 0:
                w[j] = 1.0 if i - j <= window else 0.0
            else:
                w[j] = (x[j] + offset) ** beta * (i - j) ** recency * own[j]
            whole += w[j]
        left, j = uniform[i - FIRST] * whole, 0
        while j < i - 1 and left >= w[j]:
            left -= w[j]
            j += 1
        taken[i - FIRST] = j
        x[j] += 1
        at += i
    return taken, engaged


def choices_of(world: World, seed: int, *, executions: int = 10, claims: int = 45, agents: int = 10) -> Choices:
    """Return the choices that were made in a world."""
    rng = np.random.default_rng([seed, 77])
    liked = np.exp(rng.normal(0, 1, agents) * world.authors)
    sizes = np.arange(FIRST, claims)
    earlier = np.concatenate([np.arange(i) for i in sizes])
    age = np.concatenate([i - np.arange(i) for i in sizes])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    parts: list[tuple[F64, I64, I64, I64]] = []
    for e in range(executions):
        author = rng.integers(agents, size=claims)
        own = liked[author] * np.exp(rng.normal(0, 1, claims) * world.fitness)
        taken, engaged = _grow(
            rng.random(claims - FIRST), own, float(world.beta), float(world.offset), float(world.recency), world.window
        )  # fmt: skip
        parts.append((engaged, starts[:-1] + taken + e * starts[-1], author[earlier], earlier + e * claims))
    n = executions * len(sizes)
    return Choices(
        ptr=np.concatenate([[0], np.cumsum(np.tile(sizes, executions))]),
        engagement=np.concatenate([part[0] for part in parts]), chosen_ptr=np.arange(n + 1),
        chosen=np.concatenate([part[1] for part in parts]), cluster=np.repeat(np.arange(executions), len(sizes)),
        age=np.tile(age, executions), author=np.concatenate([part[2] for part in parts]),
        item=np.concatenate([part[3] for part in parts]),
    )  # fmt: skip


def examined(world: World, seed: int, **size: int) -> Examined:
    """Return what is said of choices made in a world."""
    found = examine_choices(choices_of(world, seed, **size))
    assert found is not None
    return found


def called(found: Sequence[Examined]) -> Counter[str]:
    """Return how often each word is said."""
    return Counter(one.word for one in found)


def row(name: str, world: World, replicates: int, **size: int) -> str:
    """Return one row of the table."""
    found = [examined(world, seed, **size) for seed in range(replicates)]
    said = called(found)
    words = ("reinforcement", "looks like reinforcement; fitness not excluded", "fitness", "no reinforcement")
    other = replicates - sum(said[word] for word in words)
    cells = [name, *(f"{said[word] / replicates:.1%}" for word in words), f"{other / replicates:.1%}"]
    covered = np.mean([one.beta.covers(world.beta) for one in found])
    at = np.mean([one.offset.low <= world.offset <= one.offset.high for one in found])
    seen = [np.mean([one.recency.p < 0.01 for one in found])]
    seen.append(np.mean([one.authors is not None and one.authors.p < 0.01 for one in found]))
    seen.append(np.mean([one.good.p < 0.01 for one in found]))
    plain = world.fitness == 0 and world.window == 0
    cells += [f"{np.median([one.beta.value for one in found]):.2f}", f"{covered:.1%}" if plain else "-"]
    cells += [f"{at:.1%}" if plain and world.reinforced else "-", *(f"{share:.1%}" for share in seen)]
    return f"| {' | '.join(cells)} |"


def coverage(name: str, world: World, replicates: int, **size: int) -> str:
    """Return one row of the table of intervals."""
    found = [exponent_and_offset(choices_of(world, seed, **size)) for seed in range(replicates)]
    beta = np.mean([one.covers(world.beta) for one, _ in found])
    offset = np.mean([one.covers(world.offset) for _, one in found])
    width = np.median([one.width for one, _ in found])
    return f"| {name} | {replicates:,} | {beta:.1%} | {offset:.1%} | {width:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--world", nargs="*", default=list(WORLDS))
    parser.add_argument("--coverage", action="store_true", help="intervals alone, which is faster")
    parser.add_argument("--executions", type=int, default=10)
    asked = parser.parse_args()
    if asked.coverage:
        print("| world | replicates | beta covered | offset covered | width of beta |\n| --- | --- | --- | --- | --- |")
        for name in asked.world:
            print(coverage(name, WORLDS[name], asked.replicates, executions=asked.executions), flush=True)
        return
    head = ["world", "reinforcement", "looks like it", "fitness", "none", "other", "median beta", "beta covered"]
    head += ["offset covered", "recency found", "authors found", "fit rejected"]
    print(f"| {' | '.join(head)} |\n{'| --- ' * len(head)}|")
    started = time.process_time()
    for name in asked.world:
        print(row(name, WORLDS[name], asked.replicates, executions=asked.executions), flush=True)
    print(f"<!-- {time.process_time() - started:.0f} s of CPU -->")


if __name__ == "__main__":
    main()
