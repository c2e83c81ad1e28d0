"""This module keeps ``looks.json``: which looks at a growing comparison there were, and what they decided.

A comparison whose file says ``looks: K`` is tested at the levels of `analysis.stats.looks`. A look is a report on more
pairs than the last one had; to report again on the same ones is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.inside import Inside
from analysis.stats import PairedComparison, PairedRow, holm
from analysis.stats.looks import look_levels
from analysis.stats.paired import paired_sums, paired_up
from analysis.stats.permutation import most_swaps, smaller_p

FILE: Final = "looks.json"
FORMAT: Final = 1


@dataclass(frozen=True)
class Look:
    """A look is one report on the data so far."""

    state: str
    """SHA-256 of the runs that it saw."""
    pairs: int
    """Pairs of the comparison that had most."""
    p: Mapping[str, float]
    """P value of no difference by organisation, not corrected."""
    level: float
    """Level of each test at this look."""
    decided: Mapping[str, bool]
    """Organisations that were found to differ at this look or before it -> whether they are better."""


@dataclass(frozen=True)
class Looks:
    """The object holds the looks at a comparison, this one last."""

    planned: int
    looks: tuple[Look, ...]

    @property
    def now(self) -> Look:
        """This look."""
        return self.looks[-1]

    @property
    def number(self) -> int:
        """Number of this look, from 1."""
        return len(self.looks)

    @property
    def used_up(self) -> bool:
        """Whether there were more looks than planned, so that this one can decide nothing."""
        return self.number > self.planned

    def words(self) -> str:
        """Return which look this is and what it may decide."""
        if self.used_up:
            return (
                f"look {self.number} of a comparison planned for {self.planned}: alpha is spent, so this look decides "
                "nothing that the planned ones did not"
            )
        return (
            f"look {self.number} of {self.planned} planned (alpha spending by Lan and DeMets, O'Brien-Fleming type): "
            f"differences are told at p <= {self.now.level:.2g}; intervals are those of a single look"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"format": FORMAT, "planned": self.planned, "looks": [vars(look) for look in self.looks]}


def surer(found: PairedComparison, table: pl.DataFrame, cluster: Sequence[str]) -> PairedComparison:
    """Return the same with more random swaps for those that none of them reached: early looks ask for very small p."""
    if not any(row.test == "random swaps" for row in found.rows):
        return found
    names, matrix, task, _ = paired_up(table, found.baseline.organisation, found.value, tuple(cluster))
    at_base = names.index(found.baseline.organisation)
    sums = paired_sums(matrix, task, at_base, [names.index(row.organisation) for row in found.rows])
    made = {"replicates": found.replicates, "seed": found.seed}
    rows = [
        row if row.test == "exact" else replace(row, p=smaller_p(one.total, row.p, **made))
        for row, one in zip(found.rows, sums.versus, strict=True)
    ]
    p_holm = holm(np.array([row.p for row in rows]))
    together = (replace(row, p_holm=float(p)) for row, p in zip(rows, p_holm, strict=True))
    return replace(found, rows=tuple(together))


def out_of_reach(level: float, rows: Iterable[PairedRow]) -> str:
    """Return for which organisations no p can be as small as a look asks for, in words; nothing where all can be."""
    least = {row.organisation: 1 / (1 + most_swaps(row.n_paired_tasks)) for row in rows if row.test == "random swaps"}
    who = [name for name, p in least.items() if p > level > 0]
    if not who:
        return ""
    return (
        f"this look cannot tell a difference of {', '.join(who)}: the p of graded scores comes from random swaps, of "
        f"which there are too few for a p of {level:.2g}"
    )


def look_again(
    earlier: Sequence[Look],
    planned: int,
    runs: Sequence[str],
    found: Mapping[str, tuple[int, float, bool]],
    alpha: float,
) -> Looks:
    """Return the looks with this one.

    Args:
        earlier: those that were kept.
        planned: looks planned in all.
        runs: what names the finished runs and their content.
        found: by organisation its pairs, the p of no difference, and whether it was better.
        alpha: probability of any false alarm over all looks and organisations.
    """
    state = hashlib.sha256("\n".join(sorted(runs)).encode()).hexdigest()
    pairs = max((n for n, _, _ in found.values()), default=0)
    before = list(earlier)
    while before and (before[-1].state == state or before[-1].pairs >= pairs):
        before.pop()  # the same data again, or less of them
    level = 0.0
    if pairs:
        sizes = [*(look.pairs for look in before), pairs]
        level = look_levels([float(size) for size in sizes], planned, alpha=alpha / max(len(found), 1))[-1]
    decided = dict(before[-1].decided) if before else {}
    for name, (_, p, better) in found.items():
        if p <= level:
            decided.setdefault(name, better)
    now = Look(state, pairs, {name: p for name, (_, p, _) in found.items()}, level, decided)
    return Looks(planned, (*before, now))


def read_looks(directory: Path, planned: int) -> tuple[Look, ...]:
    """Return the looks that were kept in the directory of a comparison; none where there is no file.

    Raises:
        LogDamagedError: the file is not what was written.
        InputError: another number of looks was planned when the first of them was taken.
    """
    path = directory / FILE
    if not path.exists():
        return ()
    try:
        data = json.loads(Inside(directory).read(FILE))
        was = int(data["planned"])
        found = tuple(
            Look(
                str(one["state"]),
                int(one["pairs"]),
                {str(k): float(v) for k, v in one["p"].items()},
                float(one["level"]),
                {str(k): bool(v) for k, v in one["decided"].items()},
            )
            for one in data["looks"]
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LogDamagedError(
            "the looks at this comparison cannot be read",
            str(path),
            "without them no level can be kept: restore the file",
        ) from None
    if was != planned:
        raise InputError(
            f"this comparison planned {was} looks before the first one, now its file says {planned}",
            str(path),
            f"write looks: {was}; what is planned must not depend on what was seen",
        )
    return found


def save_looks(directory: Path, looks: Looks) -> None:
    """Write the looks beside the runs."""
    Inside(directory).write(FILE, json.dumps(looks.as_dict(), indent=1).encode())
