"""This module keeps ``looks.json``: which looks at a growing comparison there were, and what they decided.

A comparison whose file says ``looks: K`` is tested at the levels of `analysis.stats.looks`. A look is a report on more
pairs than the last one had; to report again on the same ones is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agentsoc.errors import InputError, LogDamagedError
from agentsoc.log.inside import Inside
from analysis.stats.looks import look_levels

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
