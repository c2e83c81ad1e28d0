"""This module makes the report of `agentsoc laws`: the laws of all executions, and of each group that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentsoc.log.notebook import notebook_html
from analysis.cascade_laws.as_json import laws_as_dict
from analysis.cascade_laws.examine import FAST, Laws, ResamplingEffort, examine
from analysis.cascade_laws.groups import groups
from analysis.cascade_laws.long_table import LongTable
from analysis.cascade_laws.text import laws_as_text
from analysis.cascade_laws.together import corrected_together
from analysis.claims.attachment_choices import RiskSet
from analysis.tables import EventTable


@dataclass(frozen=True)
class LawsReport:
    """The report holds the laws of a set of logs."""

    whole: Laws
    """All executions together."""
    groups: tuple[Laws, ...]
    """Each group by itself, in order of the keys; its `where` says which one it is."""
    by: tuple[str, ...]
    """Keys of the groups; empty when none were asked for."""

    def summary(self, *, cards: bool = False) -> str:
        """Return the report as text; with `cards` the fit card of every tail as well."""
        return "\n\n".join(laws_as_text(part, cards=cards) for part in (self.whole, *self.groups))

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("laws", self, self.summary())

    def as_dict(self) -> dict[str, object]:
        """Return plain data for JSON: that of all executions, and under ``groups`` that of each group."""
        data = laws_as_dict(self.whole)
        return data | {"groups": [laws_as_dict(part) for part in self.groups]} if self.by else data


def laws_of_table(
    table: EventTable | LongTable,
    *,
    by: Sequence[str] = (),
    fast: bool = False,
    gof: int | None = None,
    risk: RiskSet | None = None,
    seed: int = 0,
) -> LawsReport:
    """Return the laws that the executions of `table` support, and those of each group of them.

    Args:
        table: events of all executions, in memory or not.
        by: keys of the groups, any of benchmark, topology, n, seed, run; none for no groups.
        fast: whether the bootstrap is left out; no power law is claimed then.
        gof: replicates of the goodness-of-fit test; None for the usual number.
        risk: which earlier claims everybody could read, where the log does not say.
        seed: seed of all resampling.

    Raises:
        InputError: executions cannot be grouped by one of `by`.
    """
    parts = groups(table, tuple(by)) if by else []
    effort = FAST if fast else ResamplingEffort()
    if gof is not None:
        effort = replace(effort, gof=gof)
    whole = examine(table, effort=effort, risk=risk, seed=seed)
    found = [examine(part, effort=effort, risk=risk, seed=seed, where=where) for where, part in parts]
    whole, *found = corrected_together([whole, *found])
    return LawsReport(whole, tuple(found), tuple(by))
