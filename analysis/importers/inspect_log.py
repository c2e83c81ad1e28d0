"""This module imports logs of Inspect (``.eval``, or its JSON), read by `inspect_ai` itself: the extra ``inspect``.

One sample in one epoch is one execution. Where its events show invocations of several agents, claims, tools and parents
are found as in traces (`analysis.importers.spans`); otherwise its messages are the claims, as in conversations. The
output of the sample with its first score becomes the answer of the society, so `metrics` knows accuracy.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import polars as pl
from pydantic import BaseModel

from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.scenario.source import printable
from analysis.extras import require
from analysis.files import JSON_BYTES
from analysis.importers.chats.chat import PARENT_RULES, ParentRule
from analysis.importers.chats.chat_rows import PlacedChat, table_of
from analysis.importers.chats.foreign import foreign_format
from analysis.importers.chats.read_chats import chat_of
from analysis.importers.chats.usage_forms import whole
from analysis.importers.chats.wrappings import RawChat
from analysis.importers.importer import Importer, LogReading
from analysis.importers.loose_json import BadParts, files_at, whole_text
from analysis.importers.sample import ImportSample
from analysis.importers.spans.acts import TraceActs
from analysis.importers.spans.otlp_json import nanoseconds
from analysis.importers.spans.span import Trace, TraceSpan
from analysis.importers.spans.tree import tree_of
from analysis.tables import EVENT_COLUMNS, EXECUTION_COLUMNS, N_SEEN, EventTable, conform

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample

UNPACKED_MAX: Final = 1 << 30
"""Largest log, unpacked (bytes)."""
ENTRIES_MAX: Final = 200_000
"""Files in the archive of a log."""
_COLUMNS: Final[dict[str, pl.DataType]] = {
    **EXECUTION_COLUMNS, N_SEEN: pl.Boolean(), "agents": pl.List(pl.String()), "extra": pl.String(),
}  # fmt: skip
_ZEROS: Final = {"calls": 0, "tokens_in": 0, "tokens_cached": 0, "tokens_out": 0}


class InspectLog(Importer):
    """The importer reads logs of Inspect."""

    name: ClassVar[str] = "inspect"
    place: ClassVar[int] = 5
    reads: ClassVar[str] = "logs of Inspect"
    parent_rules: ClassVar[tuple[str, ...]] = PARENT_RULES

    def read(self, path: Path, parents: str) -> LogReading:
        """Return the samples of the log or logs at `path`."""
        return self.read_parts(path, parents, BadParts(), partial=False)

    def read_parts(self, path: Path, parents: str, bad: BadParts, *, partial: bool) -> LogReading:
        """Return the samples; a log that did not end is taken only where `partial` says so."""
        require("inspect_ai", extra="inspect")
        found = _Samples(whole_text(path.name.split(".")[0] or path.name), cast(ParentRule, parents))
        for file in files_at(path, (".eval", ".json")):
            try:
                _add_log(found, _log(file), file, bad, partial=partial)
            except InputError as error:
                bad.refuse(error)
        if not found.executions:
            raise InputError("no sample was read", str(path), "; ".join(bad.skipped[:3]) or "is the log empty?")
        rules = {"format": "Inspect log", "parents": parents}
        return LogReading(found.table(str(path)), rules, (*found.notes(), *bad.notes()))

    def recognises(self, sample: ImportSample) -> str | None:
        """Return the name of the format."""
        known = foreign_format(sample.value)
        own = sample.file.suffix == ".eval" or (known is not None and known.importer == self.name)
        return "an Inspect log" if own else None


def _log(file: Path) -> EvalLog:
    """Return the log in a file.

    Raises:
        InputError: it is too large, or inspect_ai cannot read it.
    """
    size = file.stat().st_size
    if file.suffix == ".eval":
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise InputError(f"this is no Inspect log: {printable(str(error), 120)}", str(file)) from None
        size = sum(entry.file_size for entry in entries)
        if len(entries) > ENTRIES_MAX:
            raise InputError(f"an archive of {len(entries):,} files; the limit is {ENTRIES_MAX:,}", str(file))
    limit = UNPACKED_MAX if file.suffix == ".eval" else 4 * JSON_BYTES
    if size > limit:
        raise InputError(f"a log of {size:,} bytes; the limit is {limit:,}", str(file), "split it by samples")
    from inspect_ai.log import read_eval_log

    try:
        return read_eval_log(str(file.resolve()), resolve_attachments=True)
    except Exception as error:  # a reader of somebody else's, over a file of a stranger
        said = printable(" ".join(str(error).split()), 200)
        hint = "write it with inspect_ai; older ones: inspect log convert"
        raise InputError(f"an Inspect log that inspect_ai cannot read: {said}", str(file), hint) from None


@dataclass
class _Samples:
    """The object gathers the rows of all samples."""

    run: str
    rule: ParentRule
    frames: list[pl.DataFrame] = field(default_factory=list)
    executions: list[dict[str, Any]] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    chars: int = 0
    """Texts of all samples so far: a text that stands in the log once may be referred to many times (characters)."""

    def table(self, where: str) -> EventTable:
        frame = conform(pl.concat(self.frames), where)
        return EventTable(frame, pl.DataFrame(self.executions, schema=_COLUMNS))

    def notes(self) -> Iterator[str]:
        yield f"format: Inspect log; {len(self.executions):,} samples, one execution each"
        yield from (f"{n:,} x {what}" for what, n in self.told.items() if n)


def _add_log(found: _Samples, log: EvalLog, file: Path, bad: BadParts, *, partial: bool) -> None:
    if log.status != "success" and not partial:
        what = f"the log is that of an evaluation that ended with {log.status}"
        raise InputError(what, str(file), "add --partial to take the samples that are there")
    for sample in log.samples or ():
        where = f"{file}: sample {printable(str(sample.id), 80)}, epoch {sample.epoch}"
        try:
            _add_sample(found, log, sample, where)
        except InputError as error:
            bad.refuse(error)


def _add_sample(found: _Samples, log: EvalLog, sample: EvalSample, where: str) -> None:
    number = len(found.executions)
    found.chars += _chars(sample)
    if found.chars > UNPACKED_MAX:
        raise InputError(
            f"more than {UNPACKED_MAX:,} characters of text",
            where,
            "what is referred to counts each time: split the log by samples",
        )
    spans = list(_spans(sample))
    named = {span.name for span in spans if span.attributes.get("gen_ai.operation.name") == "invoke_agent"}
    if len(named) > 1:
        acts = TraceActs(tree_of(Trace(str(sample.id), tuple(spans), "Inspect log"), where, partial=False), "found")
        names = acts.agents()
        rows = list(acts.rows({name: at for at, name in enumerate(names)}))
        found.told["samples of several agents, parents by links, text or what was last"] += 1
        found.told.update(acts.left_out)
    else:
        raw = RawChat("Inspect log", [_message(one) for one in sample.messages], str(sample.id))
        table = table_of([PlacedChat(found.run, str(sample.id), chat_of(raw, where))], found.rule, where)
        names = table.executions["agents"].to_list()[0]
        rows = table.events.drop("execution", "task").to_dicts()
        found.told["samples of one agent or none, parents of messages by the rule"] += 1
    last = max((row["round"] for row in rows), default=-1)
    rows += list(_ending(sample, last + 1, rows))
    schema = {name: kind for name, kind in EVENT_COLUMNS.items() if name not in ("execution", "task")}
    full = [{name: row.get(name, _ZEROS.get(name)) for name in schema} for row in rows]
    frame = pl.DataFrame(full, schema=schema).with_columns(
        execution=pl.lit(number, pl.Int64), task=pl.lit(number, pl.Int64)
    )
    found.frames.append(frame.select(list(EVENT_COLUMNS)))
    scores = {name: _scalar(score.value) for name, score in (sample.scores or {}).items()}
    extra = {
        "model": log.eval.model,
        "target": _scalar(sample.target),
        "scores": scores,
        "metadata": _plain(sample.metadata),
    }
    found.executions.append({
        "execution": number, "run": found.run, "task": number, "attempt": max(int(sample.epoch) - 1, 0),
        "benchmark": printable(str(log.eval.task), 200), "task_name": printable(str(sample.id), 200), "topology": None,
        "n_agents": len(names), "seed": None, "n_events": len(rows),
        "complete": sample.error is None and sample.limit is None, N_SEEN: True, "agents": names,
        "extra": whole_text(json.dumps(extra, sort_keys=True, default=str)),
    })  # fmt: skip


def _chars(sample: EvalSample) -> int:
    """Return how long the texts of a sample are, each counted as often as it is referred to (characters)."""
    models = [event for event in sample.events if event.event == "model"]
    tools = [event for event in sample.events if event.event == "tool"]
    found = sum(len(one.text) for one in sample.messages) + sum(len(one.output.completion) for one in models)
    found += sum(_length(one.result) + _length(one.arguments) for one in tools)
    return found + sum(len(one.text) for event in models for one in event.input)


def _length(value: Any) -> int:
    """Return how long the texts in a value are that a tool was given or gave (characters)."""
    found, left = 0, [value]
    while left:
        one = left.pop()
        if isinstance(one, BaseModel):  # parts of a content: texts, and pictures as text
            left += [given for _, given in one]
        elif isinstance(one, Mapping):
            left += [*one, *one.values()]
        elif isinstance(one, list | tuple):
            left += one
        else:
            found += len(one) if isinstance(one, str) else 8
    return found


def _ending(sample: EvalSample, round_: int, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the answer of the sample with its first score, and usage that no message tells."""
    usage = Counter[str]()
    for used in (sample.model_usage or {}).values():
        usage.update({
            "tokens_in": _input_of(used), "tokens_cached": used.input_tokens_cache_read or 0,
            "tokens_out": used.output_tokens or 0,
        })  # fmt: skip
    told = sum(row.get("tokens_in") or 0 for row in rows) + sum(row.get("tokens_out") or 0 for row in rows)
    score = next(iter((sample.scores or {}).values()), None)
    correct = None if score is None else _correct(score.value)
    answer = (score.answer if score is not None else None) or sample.output.completion
    calls = 0 if told else int(bool(usage))
    yield {
        "round": round_, "agent": SOCIETY, "k": 0, "kind": "answer", "parents": [],
        "answer": whole_text(answer) or None,
        "correct": correct, "label_source": "logged", "calls": calls, **({} if told else usage),
    }  # fmt: skip


def _input_of(used: Any) -> int:
    """Return the tokens that were read: Inspect counts those of its cache apart."""
    return (used.input_tokens or 0) + (used.input_tokens_cache_read or 0) + (used.input_tokens_cache_write or 0)


def _correct(value: Any) -> float | None:
    """Return a score in [0, 1]: C and I are right and wrong, P half, N (no answer) wrong; None for other values."""
    letters = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
    if isinstance(value, str):
        return letters.get(value)
    if isinstance(value, bool | int | float) and 0 <= float(value) <= 1:
        return float(value)
    return None


def _message(one: Any) -> dict[str, Any]:
    """Return a message of Inspect as other frameworks write it."""
    metadata = one.metadata or {}
    found: dict[str, Any] = {"role": one.role, "content": one.text}
    if isinstance(metadata.get("agent"), str):
        found["name"] = metadata["agent"]
    calls = (one.tool_calls if one.role == "assistant" else None) or ()
    if calls:
        found["tool_calls"] = [
            {"id": call.id, "name": call.function, "arguments": _plain(call.arguments)} for call in calls
        ]
    if one.role == "tool":
        found |= {"tool_call_id": one.tool_call_id, "name": one.function}
    return found


def _spans(sample: EvalSample) -> Iterator[TraceSpan]:
    """Yield the spans, calls of models and calls of tools among the events of a sample."""
    trace = str(sample.id)
    ends = {event.id: nanoseconds(event.timestamp.isoformat()) for event in sample.events if event.event == "span_end"}
    for at, event in enumerate(sample.events):
        start = nanoseconds(event.timestamp.isoformat())
        if event.event == "span_begin":
            operation = "invoke_agent" if event.type == "agent" else "other"
            attributes: dict[str, Any] = {"gen_ai.operation.name": operation}
            if operation == "invoke_agent":
                attributes["gen_ai.agent.name"] = event.name
            yield TraceSpan(
                trace, event.id, event.parent_id, event.name, start, ends.get(event.id, start), attributes, place=at
            )
        elif event.event == "model":
            used = event.output.usage
            attributes = {
                "gen_ai.operation.name": "chat", "output.value": event.output.completion,
                "input.value": [{"role": one.role, "content": one.text} for one in event.input],
            }  # fmt: skip
            if used is not None:
                cached = used.input_tokens_cache_read or 0
                attributes |= {
                    "gen_ai.usage.input_tokens": whole(
                        used.input_tokens + cached + (used.input_tokens_cache_write or 0)
                    ),
                    "gen_ai.usage.output_tokens": whole(used.output_tokens),
                    "gen_ai.usage.cache_read.input_tokens": whole(cached),
                }
            end = start if event.completed is None else nanoseconds(event.completed.isoformat())
            yield TraceSpan(trace, f"model {at}", event.span_id, "chat", start, end, attributes, place=at)
        elif event.event == "tool":
            attributes = {
                "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": event.function,
                "gen_ai.tool.call.arguments": _plain(event.arguments), "gen_ai.tool.call.result": _scalar(event.result),
            }  # fmt: skip
            yield TraceSpan(trace, f"tool {at}", event.span_id, event.function, start, start, attributes, place=at)


def _scalar(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else _plain(value)


def _plain(value: Any) -> str:
    try:
        return whole_text(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str))[:10_000]
    except (ValueError, TypeError, RecursionError):
        return "..."
