"""This module imports traces: OTLP-JSON, spans of a console exporter, exports of Langfuse and LangSmith.

One trace is one execution. `analysis.importers.spans` has how exports are read (`otlp_json`, `platforms`), what a span
means in each generation of conventions (`meaning`, `content`) and what becomes a claim (`acts`). A trace that
`agentsoc export` wrote is read back act by act (`own`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import polars as pl

from agentsoc.errors import InputError
from agentsoc.scenario.source import printable
from analysis.importers.chats.foreign import foreign_format
from analysis.importers.importer import Importer, LogReading
from analysis.importers.loose_json import BadParts, JsonDocument, documents, files_at, whole_text
from analysis.importers.sample import ImportSample
from analysis.importers.spans.acts import SPAN_RULES, SpanRule, TraceActs
from analysis.importers.spans.otlp_json import console_span, otlp_spans
from analysis.importers.spans.own import ACTS, is_own, own_execution, own_rows, root_of
from analysis.importers.spans.platforms import langfuse_spans, langsmith_spans
from analysis.importers.spans.span import Trace, TraceSpan
from analysis.importers.spans.tree import tree_of
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, N_SEEN, EventTable, conform

SPANS_MAX: Final = 2_000_000
"""Spans that are read from one place (spans)."""
_COLUMNS: Final[dict[str, pl.DataType]] = {
    **EXECUTION_COLUMNS, N_SEEN: pl.Boolean(), "agents": pl.List(pl.String()), "extra": pl.String(),
}  # fmt: skip
_KEPT: Final = ("service.name", "gen_ai.conversation.id", "session.id", "gen_ai.request.model", "llm.model_name")
_HINT: Final = "export whole traces as OTLP-JSON, or as JSON from Langfuse or LangSmith"


class Otlp(Importer):
    """The importer reads traces of spans."""

    name: ClassVar[str] = "otlp"
    place: ClassVar[int] = 4
    reads: ClassVar[str] = "traces of spans"
    parent_rules: ClassVar[tuple[str, ...]] = SPAN_RULES

    def read(self, path: Path, parents: str) -> LogReading:
        """Return the traces in the file or directory `path`."""
        return self.read_parts(path, parents, BadParts(), partial=False)

    def read_parts(self, path: Path, parents: str, bad: BadParts, *, partial: bool) -> LogReading:
        """Return the traces; those of which spans are missing only where `partial` says so."""
        return read_traces(traces_at(path, bad), path, cast(SpanRule, parents), bad, partial=partial)

    def recognises(self, sample: ImportSample) -> str | None:
        """Return the name of the export's format."""
        found = foreign_format(sample.value)
        return found.name if found is not None and found.importer == self.name else None


def traces_at(path: Path, bad: BadParts) -> list[Trace]:
    """Return the traces in the files at or below `path`, in the order in which their first spans were exported.

    Raises:
        InputError: a file holds no spans, and `bad` does not pass over such.
    """
    found: dict[tuple[str, str], list[TraceSpan]] = {}
    n = 0
    for file in files_at(path):
        for document in documents(file, bad):
            try:
                spans = list(_spans(document))
            except InputError as error:
                bad.refuse(error)
                continue
            for form, span in spans:
                n += 1
                if n > SPANS_MAX:
                    raise InputError(f"more than {SPANS_MAX:,} spans", str(path), "import it in parts")
                found.setdefault((form, span.trace), []).append(replace(span, place=n))
    if not found:
        raise InputError("there are no spans", str(path), _HINT)
    return [Trace(trace, tuple(spans), form) for (form, trace), spans in found.items()]


def _spans(document: JsonDocument) -> Iterator[tuple[str, TraceSpan]]:
    value, where = document.value, document.where
    for at, one in enumerate(value if isinstance(value, list) else [value]):
        place = f"{where}: entry {at}" if isinstance(value, list) else where
        foreign = foreign_format(one)
        if foreign is None or foreign.importer != "otlp" or not isinstance(one, Mapping):
            named = "this is no span" if foreign is None else f"this is {foreign.name}"
            raise InputError(named, place, _HINT if foreign is None else foreign.hint)
        if "run_type" in one:
            yield from (("LangSmith runs", span) for span in langsmith_spans(one, place))
        elif "observations" in one or "parentObservationId" in one:
            yield from (("Langfuse observations", span) for span in langfuse_spans(one, place))
        elif "context" in one:
            yield "OpenTelemetry console spans", console_span(one, place)
        else:
            yield from (("OTLP-JSON", span) for span in otlp_spans(one, place))


@dataclass
class _Table:
    """The object gathers the rows of all traces, and what is to be said of them."""

    run: str
    events: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in EVENT_COLUMNS})
    executions: list[dict[str, Any]] = field(default_factory=list)
    by: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    unsaid: int = 0
    claims: int = 0
    used: int = 0

    def add(self, rows: list[dict[str, Any]], execution: dict[str, Any]) -> None:
        number = len(self.executions)
        for row in rows:
            for name, column in self.events.items():
                column.append(number if name == "execution" else row.get(name, number if name == "task" else None))
        self.executions.append(
            dict.fromkeys(_COLUMNS) | {"execution": number, "run": self.run, "task": number, "attempt": 0}
            | execution | {"n_events": len(rows)}
        )  # fmt: skip

    def table(self, where: str) -> EventTable:
        rows = {"calls": 0, "tokens_in": 0, "tokens_cached": 0, "tokens_out": 0, "label_source": "rule"}
        for name, default in rows.items():
            self.events[name] = [default if one is None else one for one in self.events[name]]
        frame = conform(pl.DataFrame(self.events, schema=EVENT_COLUMNS), where)
        return EventTable(frame, pl.DataFrame(self.executions, schema=_COLUMNS))


def read_traces(traces: list[Trace], path: Path, rule: SpanRule, bad: BadParts, *, partial: bool) -> LogReading:
    """Return the reading of traces, one execution each.

    Raises:
        InputError: a trace is not whole, or says nothing, and `bad` does not pass over such.
    """
    found = _Table(whole_text(path.name.split(".")[0] or path.name))
    forms: Counter[str] = Counter()
    for trace in traces:
        try:
            if is_own(trace):
                _add_own(found, trace, str(path), partial=partial)
                forms["OTLP-JSON of agentsoc export"] += 1
            else:
                _add(found, trace, str(path), rule, partial=partial)
                forms[trace.form] += 1
        except InputError as error:
            bad.refuse(error)
    if not found.executions:
        raise InputError("no trace was read", str(path), "; ".join(bad.skipped[:3]))
    n = len(found.executions)
    count = "1 trace" if n == 1 else f"{n:,} traces"
    told = [f"format: {', '.join(forms)}; {count}, one execution each", *_notes(found, rule)]
    own = set(forms) == {"OTLP-JSON of agentsoc export"}
    rules = {"format": ", ".join(forms), "parents": "as exported" if own else rule}
    return LogReading(found.table(str(path)), rules, (*told, *bad.notes()))


def _add_own(found: _Table, trace: Trace, where: str, *, partial: bool) -> None:
    place = f"{where}: trace {printable(trace.id, 80)}"
    root = root_of(trace, place)
    rows = own_rows(trace, place, partial=partial)
    if partial and root.attributes.get(ACTS, len(rows)) != len(rows):
        found.told["exported traces that lack acts"] += 1
    said = dict(own_execution(root, place))
    number = said.get("task")
    agents = {row["agent"] for row in rows if row["agent"] >= 0}
    known = isinstance(said.get("n_agents"), int)
    said |= {N_SEEN: not known, "n_agents": said["n_agents"] if known else len(agents)}
    found.add([row | {"task": number} for row in rows] if number is not None else rows, said)


def _add(found: _Table, trace: Trace, where: str, rule: SpanRule, *, partial: bool) -> None:
    tree = tree_of(trace, where, partial=partial)
    acts = TraceActs(tree, rule)
    if not acts.invocations:
        what = "no span of the trace is an invocation of an agent, a call of a model or says something"
        hint = "instrument agents with gen_ai.operation.name, or an OpenInference span kind"
        raise InputError(what, f"{where}: trace {printable(trace.id, 80)}", hint)
    names = acts.agents()
    agents = {name: number for number, name in enumerate(names)}
    rows = list(acts.rows(agents))
    extra = {
        key: value
        for one in tree.spans
        for key in _KEPT
        if isinstance(value := one.span.attributes.get(key), str | int)
    }  # fmt: skip
    first = min(trace.spans, key=lambda span: span.place)
    found.add(rows, {
        "task_name": trace.id, "n_agents": len(names), N_SEEN: True, "agents": names,
        "extra": json.dumps(extra | {"name": first.name}, sort_keys=True),
    })  # fmt: skip
    found.by.update(acts.by)
    found.claims += len(acts.invocations)
    found.unsaid += sum(not one.text for one in acts.invocations)
    found.used += sum(acts.usage(one).known for one in acts.invocations)
    found.told["spans that were exported twice"] += tree.repeated
    found.told["spans whose parent is missing"] += tree.missing
    found.told["links that lead to no earlier claim of their trace"] += acts.dropped_links
    found.told["calls of models outside of all agents, counted as effort"] += len(acts.strays)
    for what, n in acts.left_out.items():
        found.told[what] += n
    found.told["traces without invocations of agents: calls of models are the claims"] += acts.level == "calls"
    found.told["traces without calls of models: their innermost spans are the claims"] += acts.level == "spans"


def _notes(found: _Table, rule: SpanRule) -> Iterator[str]:
    """Yield what was assumed."""
    yield from (f"{n:,} x {what}" for what, n in found.told.items() if n)
    if not found.claims:
        return
    if found.by:
        told = ", ".join(f"{name} {found.by[name]:,}" for name in SPAN_RULES if found.by[name])
        yield f"parents by the rule {rule} ({told or 'none found'}): a claim that was in view need not have been used"
    if found.unsaid:
        yield f"{found.unsaid:,} of {found.claims:,} claims have no text: the trace does not hold what was said"
    if not found.used:
        yield "no span says what it cost: tokens are not known"
    elif found.used < found.claims:
        yield f"usage is told of {found.used:,} of {found.claims:,} invocations; of the others it is not known"
