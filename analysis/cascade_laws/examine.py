"""This module examines the laws of coordination in a set of logs: every observable, its tail, and all reasons to doubt.

`examine` runs the whole analysis on one event table: tails with cluster-robust tests and verdicts, growth of the
largest values with N, concentration of effort against chance, merge conversion, attachment exponent, replay of
deficit-triggered integration, structure audit, traced faults, and which null models the data cannot be told from.
`analysis.cascade_laws.text` and `analysis.cascade_laws.as_json` print the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from agentsoc.log.notebook import notebook_html
from analysis.cascade_laws.elites import Concentration
from analysis.cascade_laws.extremes import Extremes, largest_growth
from analysis.cascade_laws.gather import gathered
from analysis.cascade_laws.growth_curve import growth_curve
from analysis.cascade_laws.long_table import LongTable
from analysis.cascade_laws.switched import Switched
from analysis.claims.attachment import Attachment
from analysis.claims.attachment_choices import Choices, RiskSet
from analysis.claims.attachment_verdict import examine_attachment
from analysis.claims.deficits import Deficits
from analysis.claims.faults import FaultTrace
from analysis.claims.integration import Integration
from analysis.curves import CurveLaw
from analysis.observables.audit import StructureAudit, cells_of, design_of, structure_audit
from analysis.observables.described import Described, described
from analysis.observables.sampled import Sample
from analysis.stats.clusters import effective_size
from analysis.tables import EventTable
from analysis.tails import Resampling, SampleDesign, TailFit, fit_tail
from analysis.tails.verdict import LEVEL, NOTEWORTHY

SMALL_TAIL: Final = 0.1
"""Below this share of the values a chosen tail is not all there is to say: the KS distance avoids every cut-off."""
MIN_CLUSTERS: Final = 10
"""Design cells needed before tests go by cells: with fewer the cluster-robust error is too small."""


SEEN: Final = "N is not stated: the agents that acted are counted, and more of them act where more happens"

_UNSEEN: Final = "the log does not say which claims an agent could read; if all could be read, pass --risk"

_RISK: Final[dict[RiskSet, str]] = {"all": "every earlier claim", "latest": "everybody's latest earlier claim"}


@dataclass(frozen=True)
class ResamplingEffort:
    """The effort says how much is resampled: replicates, and the groups that the attachment jackknife leaves out."""

    gof: int = 100
    interval: int = 100
    growth: int = 400
    chance: int = 200
    attachment: int = 40
    switched: int = 139
    curve: int = 200


FAST: Final = ResamplingEffort(gof=0, interval=0, growth=50, chance=20, attachment=0, switched=0, curve=0)


@dataclass(frozen=True)
class Law:
    """A law is one observable with its sample, its tail, its growth with N, and what it could be mistaken for."""

    sample: Sample
    fit: TailFit
    whole: TailFit | None
    """Fit to all values, where the chosen threshold leaves less than `SMALL_TAIL` of them."""
    design: SampleDesign
    growth: Extremes | None
    no_growth: str
    """Why there is no growth exponent; empty if there is one."""
    nulls: tuple[str, ...]
    """Null models that the data cannot be told from."""
    curve: CurveLaw | None = None
    """The curve of the largest value over N; None where growth is refused, there are too few N, or nothing is drawn."""

    @property
    def n_effective(self) -> float:
        """Independent values that the sample is worth, for its mean logarithm: values of an execution are alike."""
        return effective_size(np.log1p(self.sample.values), self.sample.execution, self.sample.count)

    @cached_property
    def numbers(self) -> Described:
        """The numbers that describe the sample."""
        return described(self.sample)


@dataclass(frozen=True)
class Laws:
    """The laws hold everything that was found in one set of executions."""

    table: EventTable | LongTable
    laws: dict[str, Law]
    concentration: Concentration
    integration: Integration
    audit: StructureAudit
    attachment: dict[str, Attachment | str]
    """By topology: the exponent, or why it was not looked for."""
    deficits: dict[str, Deficits]
    """By topology: what deficit-triggered integration would have done."""
    faults: FaultTrace
    where: dict[str, str | int | None] = field(default_factory=dict)
    """Keys of the group to which the executions belong; empty for all executions."""
    switched: Switched | None = None
    """The cascades against the same fan-in and fan-out wired at random."""
    caveats: tuple[str, ...] = ()
    n_tests: int = 0
    """Likelihood ratios that the words are corrected for; 0 where nothing was corrected."""

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("laws", self, self.summary())

    def summary(self) -> str:
        """Return one line per observable: its verdict."""
        lines = [self.table.summary(), *(f"{name}: {law.fit.verdict.summary()}" for name, law in self.laws.items())]
        return "\n".join([*lines, self.concentration.summary(), self.integration.summary(), self.audit.summary()])


def examine(
    table: EventTable | LongTable,
    *,
    effort: ResamplingEffort | None = None,
    risk: RiskSet | None = None,
    seed: int = 0,
    where: dict[str, str | int | None] | None = None,
) -> Laws:
    """Return what the executions of `table` say.

    Args:
        table: the events, in memory or not.
        effort: how much is resampled.
        risk: which earlier claims everybody could read, where the log does not say; None takes the log's word only.
        seed: seed of all resampling.
        where: the group that the table is, for the reader.
    """
    effort = effort or ResamplingEffort()
    found = gathered(table, chance=effort.chance, switched=effort.switched, risk=risk, seed=seed)
    cells = cells_of(table)
    notes = [*table.caveats, *_caveats(table, cells)]
    if risk is not None:
        notes.append(f"attachment takes it that everybody could read {_RISK[risk]}, unless the log says otherwise")
    laws = {name: _law(sample, table, cells, effort, seed, found.hashes) for name, sample in found.samples.items()}
    return Laws(
        table=table,
        laws=laws,
        concentration=found.concentration,
        integration=found.integration,
        audit=structure_audit(table, hashes=found.hashes),
        attachment=_attachment(found.choices, effort),
        deficits=found.deficits,
        faults=found.faults,
        switched=found.switched,
        where=where or {},
        caveats=tuple(notes),
    )


def _caveats(table: EventTable | LongTable, cells: NDArray[np.int64]) -> list[str]:
    """Return what limits every statement about the table."""
    cut = table.executions.filter(pl.col("complete").eq(other=False)).height
    notes = [f"{cut} of {table.n_executions} executions are cut short and are counted as they are"] if cut else []
    n_cells = len(np.unique(cells))
    few = "tests take executions as independent, and nothing is said about other designs"
    if table.n_executions == 1:
        notes.append("there is one execution, so its values are taken as independent, which they are not")
    elif n_cells == 1:
        notes.append(f"there is one design cell (topology, N, seed): {few}")
    elif n_cells < MIN_CLUSTERS:
        notes.append(f"there are only {n_cells} design cells (topology, N, seed): {few}")
    seen = int(table.n_is_seen.sum())
    if seen:
        notes.append(
            f"N is not stated for {seen} of {table.n_executions} executions: it counts the agents that acted, which is "
            "an outcome, so designs, growth and shares of all agents do not go by it; give n_agents"
        )
    if 1 < table.n_executions < MIN_CLUSTERS:
        notes.append(f"there are only {table.n_executions} executions: errors over so few clusters are too small")
    return notes


def _law(
    sample: Sample,
    table: EventTable | LongTable,
    cells: NDArray[np.int64],
    effort: ResamplingEffort,
    seed: int,
    hashes: list[str] | None = None,
) -> Law:
    """Return the examination of one observable; tests go by design cells if there are enough, else by executions."""
    design = design_of(sample, table, hashes=hashes)
    levels = {}
    if len(np.unique(sample.execution)) > 1:
        levels["execution"] = sample.execution
    if len(np.unique(cells[sample.execution])) >= MIN_CLUSTERS:
        levels["design cell"] = cells[sample.execution]

    def fitted(xmin: float | None) -> TailFit:
        return fit_tail(
            sample.counted, name=sample.name, unit=sample.unit, xmin=xmin, clusters=levels, design=design,
            resampling=Resampling(effort.gof, effort.interval, seed),
        )  # fmt: skip

    fit = fitted(None)
    small = fit.power is not None and fit.power.n_tail < SMALL_TAIL * sample.n
    whole = fitted(float(sample.values.min())) if small else None
    growth, reason = _growth(sample, table, cells, effort.growth, seed)
    curve = None
    if growth is not None:
        units, n_agents = _units(table, cells), table.per_execution("n_agents")
        curve = growth_curve(sample, n_agents, clusters=units, draws=effort.curve, seed=seed)
    return Law(sample, fit, whole, design, growth, reason, cannot_tell(fit, design, growth), curve)


def _growth(
    sample: Sample, table: EventTable | LongTable, cells: NDArray[np.int64], replicates: int, seed: int
) -> tuple[Extremes | None, str]:
    """Return how the largest value grows with N, or why that cannot be said."""
    present = np.unique(sample.execution)
    if table.n_is_seen[present].any():
        return None, SEEN
    n_agents = table.per_execution("n_agents")
    try:
        return largest_growth(sample, n_agents, clusters=_units(table, cells), replicates=replicates, seed=seed), ""
    except InputError as error:
        return None, error.problem.what


def _units(table: EventTable | LongTable, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the independent unit of each execution: its design cell, and itself where no seed tells repeats."""
    unknown = table.executions["seed"].is_null().to_numpy()
    return np.where(unknown, len(cells) + np.arange(len(cells)), cells)


def _attachment(found: dict[str, Choices | None], effort: ResamplingEffort) -> dict[str, Attachment | str]:
    """Return the attachment exponent of each topology, or why it was not looked for."""
    return {
        name: _UNSEEN if choices is None else examine_attachment(choices, groups=effort.attachment)
        for name, choices in found.items()
    }


def cannot_tell(fit: TailFit, design: SampleDesign, growth: Extremes | None) -> tuple[str, ...]:
    """Return the null models of `analysis.cascade_laws.nulls` that nothing in the examination speaks against.

    The likelihood ratios are those of the coarsest clusters; a model is told apart when another one beats it.
    """
    found = []
    if design.max_is_cap or (design.replication is not None and design.replication.beyond_chance >= NOTEWORTHY):
        found.append("deterministic mixture over N")
    if fit.power is not None:
        tests = fit.deciding.values()
        beaten = {test.second if test.ratio > 0 else test.first for test in tests if test.deciding_p < LEVEL}
        if "power_law" not in beaten and (fit.gof is None or fit.gof.p > 0.1):
            found.append("power law" if fit.gof is not None else "power law (goodness of fit not computed)")
        if "lognormal" not in beaten:
            found.append("lognormal")
        if "truncated_power_law" not in beaten:
            found.append("sandpile or near-critical branching (truncated power law)")
        if "exponential" not in beaten:
            found.append("subcritical growth (exponential tail)")
    if growth is not None and not growth.by_mean.beyond_null:
        found.append("one distribution for all N (growth of the largest)")
    return tuple(found)
