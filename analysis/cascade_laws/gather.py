"""This module gathers what an examination needs of a log, part by part: a log in memory is one part, a long one many.

What is kept of a part is small beside its events: compact samples, counts, and rows for executions and cascades. The
monitors of deficit-triggered integration need two passes, since their parameters come from the whole log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from analysis.cascade_laws import elites
from analysis.cascade_laws.elites import Concentration, concentration
from analysis.cascade_laws.groups import groups
from analysis.cascade_laws.switched import Switched, Wirings, compared, wirings
from analysis.claims import attachment_choices, faults, integration
from analysis.claims.attachment_choices import Choices, RiskSet, claim_choices
from analysis.claims.attachment_offers import OFFERED, offered_choices
from analysis.claims.cascades import cascades, claim_graph
from analysis.claims.deficits import Deficits, Source, add_points, replayed
from analysis.claims.dti import DeficitPoints
from analysis.claims.faults import FaultTrace
from analysis.claims.integration import Integration
from analysis.observables.audit import structure_hashes
from analysis.observables.pooled import PackedSample, packed, pooled
from analysis.observables.sampled import Sample, all_samples, structures
from analysis.tables import EventTable, Executions


@dataclass(frozen=True)
class Gathered:
    """The object holds what was found in all parts of a log."""

    samples: dict[str, Sample]
    """By observable; those without a value are left out."""
    hashes: list[str]
    """Structure of each execution."""
    concentration: Concentration
    integration: Integration
    faults: FaultTrace
    choices: dict[str, Choices | None]
    """By topology: what was chosen from what; None where nothing says what could be read."""
    deficits: dict[str, Deficits]
    switched: Switched


def gathered(table: Executions, *, chance: int, switched: int, risk: RiskSet | None, seed: int) -> Gathered:
    """Return what there is in the executions of `table`.

    Args:
        table: the events, in memory or not.
        chance: replicates of the null models of effort.
        switched: wirings at random.
        risk: which earlier claims everybody could read, where the log does not say.
        seed: seed of all draws.
    """
    parts, whole = _Parts(), isinstance(table, EventTable)
    sources: Iterable[Source] = _sources(table)
    for number, (first, part) in enumerate(table.parts()):
        found = structures(part)
        for name, sample in all_samples(found).items():
            if whole:
                parts.whole[name] = sample
            else:
                parts.samples.setdefault(name, []).append(packed(sample, first))
        parts.hashes += structure_hashes(part)
        parts.concentration.append(concentration(part, first=first, null_replicates=chance, seed=seed))
        merging = integration.integration(part, found.graph, found.cascades)
        parts.integration.append(merging if whole else integration.narrowed(merging, first))
        parts.faults.append((first, faults.trace_faults(part, found.graph)))
        parts.add_choices(part, first, risk)
        add_points(parts.points, (part, found.graph, found.cascades))
        made = wirings(part, found.graph, replicates=switched, seed=seed, part=number)
        parts.wirings = made if parts.wirings is None else parts.wirings + made
        if whole:
            sources = [(part, found.graph, found.cascades)]
    assert parts.wirings is not None
    for name in list(parts.samples):
        parts.whole[name] = pooled(parts.samples.pop(name))
    return Gathered(
        samples={name: sample for name, sample in parts.whole.items() if sample.n},
        hashes=parts.hashes,
        concentration=elites.joined(parts.concentration),
        integration=parts.integration[0] if whole else integration.joined(parts.integration),
        faults=parts.faults[0][1] if whole else faults.joined(parts.faults),
        choices=parts.all_choices(),
        deficits=replayed(parts.points, sources),
        switched=compared(parts.wirings),
    )


def _sources(table: Executions) -> Iterator[Source]:
    """Yield the parts again, with their claim graphs and cascades."""
    for _, part in table.parts():
        graph = claim_graph(part)
        yield part, graph, cascades(graph)


@dataclass
class _Parts:
    """The object holds what was found in the parts so far."""

    samples: dict[str, list[PackedSample]] = field(default_factory=dict)
    whole: dict[str, Sample] = field(default_factory=dict)
    """Samples of all parts."""
    hashes: list[str] = field(default_factory=list)
    concentration: list[Concentration] = field(default_factory=list)
    integration: list[Integration] = field(default_factory=list)
    faults: list[tuple[int, FaultTrace]] = field(default_factory=list)
    offered: dict[str, list[tuple[int, Choices]]] = field(default_factory=dict)
    """Choices by topology, from what runs are known to have offered."""
    supposed: dict[str, list[tuple[int, Choices]]] = field(default_factory=dict)
    """Choices from what could be read, by the log's word or as it was asked for; none of a part that says nothing."""
    points: dict[str, list[DeficitPoints]] = field(default_factory=dict)
    wirings: Wirings | None = None

    def add_choices(self, part: EventTable, first: int, risk: RiskSet | None) -> None:
        """Add the choices of a part to those of its topologies: pooled they would measure their differences."""
        for where, own in groups(part, ("topology",)):
            assert isinstance(own, EventTable)
            name = str(where["topology"] or "unknown")
            if own.has(OFFERED):
                self.offered.setdefault(name, []).append((first, offered_choices(own)))
                continue
            supposed, logged = self.supposed.setdefault(name, []), own.has("visible")
            if logged or risk is not None:
                made = claim_choices(own, claim_graph(own), risk=risk or "latest", logged_visibility=logged)
                supposed.append((first, made))

    def all_choices(self) -> dict[str, Choices | None]:
        """Return the choices of each topology; None where nothing says what could be read."""
        names = sorted({*self.offered, *self.supposed}, key=lambda name: (name == "unknown", name))
        found = {name: self.offered.get(name) or self.supposed[name] for name in names}
        return {name: attachment_choices.joined(parts) if parts else None for name, parts in found.items()}
