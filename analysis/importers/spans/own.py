"""This module names what `agentsoc export --to otlp` writes beside the attributes of OpenTelemetry, and reads it back.

An episode is a trace. Its root span carries the attributes `EPISODE` and one `agentsoc.act` event for each act of the
society; the span of a turn carries one for each act of the turn, with the fields `ACT` that are set. What is read back
is therefore every event of the log, in its order, with parents, answers, scores and tokens as they were.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentsoc.errors import InputError
from agentsoc.events import KINDS, LABEL_SOURCES, MAX_AGENTS, MAX_K, MAX_ROUNDS, SOCIETY
from agentsoc.scenario.source import printable
from analysis.importers.spans.span import Trace, TraceSpan

PREFIX: Final = "agentsoc."
ACT_EVENT: Final = "agentsoc.act"
"""Name of the span events that are acts."""
FORMAT: Final = "agentsoc.format"
"""Attribute of the root span by which such traces are known."""
VERSION: Final = 1
EPISODE: Final = {
    "agentsoc.task": "task", "agentsoc.run": "run", "agentsoc.task_name": "task_name",
    "agentsoc.benchmark": "benchmark",
    "agentsoc.topology": "topology", "agentsoc.n_agents": "n_agents", "agentsoc.seed": "seed",
    "agentsoc.complete": "complete",
}  # fmt: skip
"""Attribute of the root span -> column of `executions`."""
ACTS: Final = "agentsoc.acts"
"""Attribute of the root span: how many acts there are, so a trace that lost one is noticed; spans without are not."""
_TEXTS: Final = frozenset({"run", "task_name", "benchmark", "topology"})
_WHOLE_MAX: Final = 1 << 53
_BOUNDS: Final[dict[str, tuple[int, int]]] = {
    "round": (0, MAX_ROUNDS), "agent": (SOCIETY, MAX_AGENTS), "k": (0, MAX_K), "calls": (0, _WHOLE_MAX),
    "tokens_in": (0, _WHOLE_MAX), "tokens_cached": (0, _WHOLE_MAX), "tokens_out": (0, _WHOLE_MAX),
    "task": (0, _WHOLE_MAX), "n_agents": (0, MAX_AGENTS),
}  # fmt: skip
"""Least value of a number, and the first one that is too large; others have 64 bits."""
_ANY: Final = (-(1 << 63), 1 << 63)
NUMBERS: Final = (
    "round", "agent", "k", "claim", "target", "subtask", "subtask_parent", "calls", "tokens_in", "tokens_cached",
    "tokens_out",
)  # fmt: skip
REALS: Final = ("correct", "confidence")
TEXTS: Final = ("answer", "text")
ACT: Final = (*NUMBERS, *REALS, *TEXTS, "kind", "label_source", "parents")
"""Fields of an act; each is the attribute ``agentsoc.FIELD`` of its event."""
_REQUIRED: Final = ("round", "agent", "k")


def is_own(trace: Trace) -> bool:
    """Return whether a trace was written by `agentsoc export`."""
    return any(FORMAT in span.attributes for span in trace.spans)


def root_of(trace: Trace, where: str) -> TraceSpan:
    """Return the span of the episode.

    Raises:
        InputError: there are several, or the format is one of a newer version.
    """
    roots = [span for span in trace.spans if FORMAT in span.attributes]
    if len(roots) != 1:
        raise InputError(f"{len(roots)} spans say that they are the episode", where, "export the run again")
    version = roots[0].attributes[FORMAT]
    if not isinstance(version, int) or version > VERSION:
        raise InputError(
            f"format {printable(str(version), 20)}; this version reads up to {VERSION}", where, "update agentsoc"
        )
    return roots[0]


def own_rows(trace: Trace, where: str, *, partial: bool = False) -> list[dict[str, Any]]:
    """Return the events of an episode in their order: by round, agent and k.

    Args:
        trace: the trace.
        where: its place, for messages.
        partial: whether a trace is taken of which acts are missing.

    Raises:
        InputError: an act has no place, a field that it cannot have, or the place of another one; or acts are missing.
    """
    rows = [
        _row(event.attributes, where)
        for span in trace.spans
        for event in span.events
        if event.name == ACT_EVENT
    ]  # fmt: skip
    rows.sort(key=lambda row: (row["round"], row["agent"], row["k"]))
    for first, second in itertools.pairwise(rows):
        if all(first[key] == second[key] for key in _REQUIRED):
            raise InputError("two acts have one place", where, "export the run again")
    said = root_of(trace, where).attributes.get(ACTS)
    if said is not None and said != len(rows) and not partial:
        raise InputError(
            f"the trace is not whole: it has {len(rows):,} acts of {printable(str(said), 20)}",
            where,
            "export the run again, or add --partial to take what is there",
        )
    return rows


def _row(attributes: Mapping[str, Any], where: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("calls", "tokens_in", "tokens_cached", "tokens_out"), 0)
    row["parents"] = []
    for name in ACT:
        value = attributes.get(PREFIX + name)
        if value is not None:
            row[name] = _checked(name, value, where)
    if any(row.get(name) is None for name in _REQUIRED):
        raise InputError("an act without round, agent or k", where, "export the run again")
    return row


def _checked(name: str, value: Any, where: str) -> Any:
    number = _is_number(name, value)
    real = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300
    if (
        (name in NUMBERS and number)
        or (name in REALS and real)
        or (name in TEXTS and isinstance(value, str))
        or (name == "kind" and value in KINDS)
        or (name == "label_source" and value in LABEL_SOURCES)
        or (name == "parents" and _are_numbers(value))
    ):
        return value
    raise InputError(f"an act whose {name} is {printable(repr(value), 60)}", where, "export the run again")


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(_is_number("parents", one) for one in value)


def _is_number(name: str, value: Any) -> bool:
    least, beyond = _BOUNDS.get(name, _ANY)
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < beyond


def own_execution(root: TraceSpan, where: str) -> Iterator[tuple[str, Any]]:
    """Yield (column of `executions`, value) of what the root span says.

    Raises:
        InputError: a value is none that the column can have.
    """
    for attribute, column in EPISODE.items():
        value = root.attributes.get(attribute)
        if value is None:
            continue
        text = isinstance(value, str) if column in _TEXTS else False
        truth = column == "complete" and isinstance(value, bool)
        number = column not in _TEXTS and column != "complete" and _is_number(column, value)
        if not (text or truth or number):
            raise InputError(
                f"an episode whose {column} is {printable(repr(value), 60)}", where, "export the run again"
            )
        yield column, value
