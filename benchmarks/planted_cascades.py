"""This module plants cascades: stars and chains of random sizes, random routing by a fixed schedule, fixed programs."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import zeta

from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, N_SEEN, EventTable, conform

I64 = NDArray[np.int64]
Law = Literal["power law", "lognormal", "geometric"]
Form = Literal["star", "chain"]
LAWS: Final[tuple[Law, ...]] = ("power law", "lognormal", "geometric")
LARGEST: Final = 5000


def sizes(law: Law, n: int, rng: np.random.Generator) -> I64:
    """Return n sizes of at least 1, at most `LARGEST`: alpha 2.5, lognormal (1, 1), or geometric with mean 4."""
    if law == "power law":
        x = np.arange(1, LARGEST + 1)
        drawn = 1 + np.searchsorted(np.cumsum(x**-2.5 / zeta(2.5, 1)), rng.random(n))
    elif law == "lognormal":
        drawn = np.rint(np.exp(rng.normal(1, 1, n)))
    else:
        drawn = rng.geometric(0.25, n)
    return np.clip(drawn, 1, LARGEST).astype(np.int64)


def random_cascades(
    law: Law, roots: int, seed: int, *, n: int = 400, form: Form = "star", one_seed: bool = False, agents: int = 50
) -> EventTable:
    """Return n cascades of random sizes, `roots` in each execution; every claim is of an agent drawn at random.

    Args:
        law: distribution of the sizes.
        roots: cascades of an execution.
        seed: seed of everything.
        n: cascades in all.
        form: whether claims build on the root or on the claim before.
        one_seed: whether all executions are logged with the same seed.
        agents: pool of agents, stated as N.
    """
    rng = np.random.default_rng([seed, roots, LAWS.index(law)])
    parents: list[int | None] = []
    execution: list[int] = []
    for i, size in enumerate(sizes(law, n, rng)):
        e, root = i // roots, len(parents) if i % roots == 0 else None
        first = len(parents) if root is None else root
        parents += [None, *(range(first, first + size) if form == "chain" else [first] * size)]
        execution += [e] * (size + 1)
    return table_of(parents, execution, rng.integers(agents, size=len(parents)), one_seed=one_seed, n_agents=agents)


def random_routing(seed: int, *, executions: int = 40, acts: int = 60, agents: int = 10) -> EventTable:
    """Return executions in which agents act in turn and build on an earlier claim at random: the schedule is fixed."""
    rng = np.random.default_rng(seed)
    parents = [None if t == 0 else e * acts + int(rng.integers(t)) for e in range(executions) for t in range(acts)]
    where = [e for e in range(executions) for _ in range(acts)]
    return table_of(parents, where, np.arange(len(parents)) % acts % agents, one_seed=True, n_agents=agents)


def program(
    form: Literal["star", "tree"], *, agents: tuple[int, ...] = tuple(range(4, 64, 3)), repeats: int = 5
) -> EventTable:
    """Return executions of a program: a star, or a binary tree, over N agents, each run `repeats` times."""
    parents: list[int | None] = []
    execution: list[int] = []
    agent: list[int] = []
    n_of: list[int] = []
    for n in agents:
        for _ in range(repeats):
            first = len(parents)
            parents += [None, *(first + ((i - 1) // 2 if form == "tree" else 0) for i in range(1, n))]
            execution += [len(n_of)] * n
            agent += list(range(n))
            n_of.append(n)
    return table_of(parents, execution, np.array(agent), one_seed=True, n_agents=n_of)


def table_of(
    parents: list[int | None], execution: list[int], agent: I64, *, one_seed: bool, n_agents: int | list[int] | None
) -> EventTable:
    """Return the table of claims that each build on one claim of the table or on none, one act a round."""
    where = np.array(execution, dtype=np.int64)
    start = np.searchsorted(where, np.arange(where[-1] + 2))
    place = np.arange(len(where)) - start[where]
    rows = pl.DataFrame(
        {
            "execution": where, "task": where, "round": place, "agent": agent,
            "kind": ["propose_claim" if p is None else "revise_claim" for p in parents], "claim": place,
            "parents": pl.Series(
                [[] if p is None else [p - start[e]] for p, e in zip(parents, where, strict=True)],
                dtype=pl.List(pl.Int64()),
            ),
        }
    ).with_columns(
        k=pl.lit(0, pl.Int64), calls=pl.lit(1, pl.Int64), tokens_in=pl.lit(0, pl.Int64),
        tokens_cached=pl.lit(0, pl.Int64), tokens_out=pl.lit(0, pl.Int64), label_source=pl.lit("logged"),
    )  # fmt: skip
    missing = [pl.lit(None).alias(name) for name in EVENT_COLUMNS if name not in rows.columns]
    events = conform(rows.with_columns(missing).select(*EVENT_COLUMNS), "planted")
    count = len(start) - 1
    seen = [len(np.unique(agent[start[e] : start[e + 1]])) for e in range(count)]
    stated = n_agents if isinstance(n_agents, list) else [n_agents] * count
    lines = [
        (e, "planted", e, 0, "planted", str(e), "free", seen[e] if stated[e] is None else stated[e],
         0 if one_seed else e, int(start[e + 1] - start[e]), True)
        for e in range(count)
    ]  # fmt: skip
    executions = pl.DataFrame(lines, schema=EXECUTION_COLUMNS, orient="row")
    return EventTable(events, executions.with_columns(pl.Series(N_SEEN, [n is None for n in stated])))
