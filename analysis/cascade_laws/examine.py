"""This module examines the laws of coordination in a set of logs: every observable, its tail, and all reasons to doubt.

`examine` runs the whole analysis on one event table: tails with cluster-robust tests and verdicts, growth of the
largest values with N, concentration of effort against chance, merge conversion, attachment exponent, replay of
deficit-triggered integration, structure audit, traced faults, and which null models the data cannot be told from.
`analysis.cascade_laws.text` and `analysis.cascade_laws.as_json` print the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agentsoc.errors import InputError
from analysis.cascade_laws.elites import Concentration, concentration
from analysis.cascade_laws.extremes import Extremes, largest_growth
from analysis.cascade_laws.growth_curve import growth_curve
from analysis.cascade_laws.switched import Switched, against_switched
from analysis.claims.attachment import Attachment
from analysis.claims.attachment_choices import RiskSet, claim_choices
from analysis.claims.attachment_offers import OFFERED, offered_choices
from analysis.claims.attachment_verdict import examine_attachment
from analysis.claims.cascades import claim_graph
from analysis.claims.deficits import Deficits, deficits
from analysis.claims.faults import FaultTrace, trace_faults
from analysis.claims.integration import Integration, integration
from analysis.curves import CurveLaw
from analysis.observables.audit import StructureAudit, cells_of, design_of, structure_audit
from analysis.observables.sampled import Sample, Structures, observables, structures
from analysis.stats.clusters import effective_size
from analysis.tables import EventTable
from analysis.tails import Resampling, SampleDesign, TailFit, fit_tail
from analysis.tails.verdict import LEVEL, NOTEWORTHY

GROUP_KEYS: Final = {"benchmark": "benchmark", "topology": "topology", "n": "n_agents", "seed": "seed", "run": "run"}
"""What executions can be grouped by, and the column behind it."""
SMALL_TAIL: Final = 0.1
"""Below this share of the values a chosen tail is not all there is to say: the KS distance avoids every cut-off."""
MIN_CLUSTERS: Final = 10
"""Design cells needed before tests go by cells: with fewer the cluster-robust error is too small."""


SEEN: Final = "N is not stated: the agents that acted are counted, and more of them act where more happens"

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
        return effective_size(np.log1p(self.sample.values), self.sample.execution)


@dataclass(frozen=True)
class Laws:
    """The laws hold everything that was found in one set of executions."""

    table: EventTable
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

    def summary(self) -> str:
        """Return one line per observable: its verdict."""
        lines = [self.table.summary(), *(f"{name}: {law.fit.verdict.summary()}" for name, law in self.laws.items())]
        return "\n".join([*lines, self.concentration.summary(), self.integration.summary(), self.audit.summary()])


def examine(
    table: EventTable,
    *,
    effort: ResamplingEffort | None = None,
    risk: RiskSet | None = None,
    seed: int = 0,
    where: dict[str, str | int | None] | None = None,
) -> Laws:
    """Return what the executions of `table` say.

    Args:
        table: the events.
        effort: how much is resampled.
        risk: which earlier claims everybody could read, where the log does not say; None takes the log's word only.
        seed: seed of all resampling.
        where: the group that the table is, for the reader.
    """
    effort = effort or ResamplingEffort()
    found = structures(table)
    cells = cells_of(table)
    notes = [*table.caveats, *_caveats(table, cells)]
    if risk is not None:
        notes.append(f"attachment takes it that everybody could read {_RISK[risk]}, unless the log says otherwise")
    laws = {name: _law(sample, table, cells, effort, seed) for name, sample in observables(found).items()}
    return Laws(
        table=table,
        laws=laws,
        concentration=concentration(table, null_replicates=effort.chance, seed=seed),
        integration=integration(table, found.graph, found.cascades),
        audit=structure_audit(table),
        attachment=_attachment(found, effort, risk),
        deficits=deficits(table, found.graph, found.cascades),
        faults=trace_faults(table, found.graph),
        switched=against_switched(table, found.graph, replicates=effort.switched, seed=seed),
        where=where or {},
        caveats=tuple(notes),
    )


def groups(table: EventTable, keys: tuple[str, ...]) -> list[tuple[dict[str, str | int | None], EventTable]]:
    """Return the parts of `table` that share the values of `keys`, in order of these values.

    Raises:
        InputError: a key is none of `GROUP_KEYS`.
    """
    unknown = [key for key in keys if key not in GROUP_KEYS]
    if unknown:
        raise InputError(f"executions cannot be grouped by {unknown[0]!r}", "--by", f"use {', '.join(GROUP_KEYS)}")
    columns = [GROUP_KEYS[key] for key in keys]
    parts = []
    for values in table.executions.select(columns).unique().sort(columns, nulls_last=True).iter_rows():
        same = [pl.col(column).eq_missing(pl.lit(value)) for column, value in zip(columns, values, strict=True)]
        parts.append((dict(zip(keys, values, strict=True)), table.where(pl.all_horizontal(same))))
    return parts


def _caveats(table: EventTable, cells: NDArray[np.int64]) -> list[str]:
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


def _law(sample: Sample, table: EventTable, cells: NDArray[np.int64], effort: ResamplingEffort, seed: int) -> Law:
    """Return the examination of one observable; tests go by design cells if there are enough, else by executions."""
    design = design_of(sample, table)
    levels = {}
    if len(np.unique(sample.execution)) > 1:
        levels["execution"] = sample.execution
    if len(np.unique(cells[sample.execution])) >= MIN_CLUSTERS:
        levels["design cell"] = cells[sample.execution]

    def fitted(xmin: float | None) -> TailFit:
        return fit_tail(
            sample.values, name=sample.name, unit=sample.unit, xmin=xmin, clusters=levels, design=design,
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
    sample: Sample, table: EventTable, cells: NDArray[np.int64], replicates: int, seed: int
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


def _units(table: EventTable, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the independent unit of each execution: its design cell, and itself where no seed tells repeats."""
    unknown = table.executions["seed"].is_null().to_numpy()
    return np.where(unknown, len(cells) + np.arange(len(cells)), cells)


def _attachment(found: Structures, effort: ResamplingEffort, risk: RiskSet | None) -> dict[str, Attachment | str]:
    """Return the attachment exponent of each topology: pooled over topologies it would measure their differences."""
    result: dict[str, Attachment | str] = {}
    for where, part in groups(found.table, ("topology",)):
        name = str(where["topology"] or "unknown")
        if part.has(OFFERED):
            result[name] = examine_attachment(offered_choices(part), groups=effort.attachment)
            continue
        logged = part.has("visible")
        if not logged and risk is None:
            result[name] = "the log does not say which claims an agent could read; if all could be read, pass --risk"
            continue
        choices = claim_choices(part, claim_graph(part), risk=risk or "latest", logged_visibility=logged)
        result[name] = examine_attachment(choices, groups=effort.attachment)
    return result


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
