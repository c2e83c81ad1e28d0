"""This module writes a run as OTLP-JSON, in the conventions of OpenTelemetry for generative AI.

    episode     a trace; its root span is `invoke_workflow`, with the attributes of `analysis.importers.spans.own`
    turn        `invoke_agent`, linked to the turns whose claims its acts build on
    attempt     `chat`, below its turn: model, tokens, finish; the reply with `contents`
    tool call   `execute_tool`, below its turn
    act         an event `agentsoc.act` of its turn's span (of the root for acts of the society), with all its fields

Ids are computed from the digest of the run and the place: the same run gives the same file. A log has no clock, so
times are places: a round is a second, and a turn a millisecond in it, counted from the year 2000. What agents were
asked stands in no file of a run and is not exported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from agentsoc.events import SOCIETY, unpack_id
from agentsoc.log.files import write_whole
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from analysis.exporters.episodes import SLOTS, ExportedEpisode, TurnKey, episodes_of, failure_sort
from analysis.importers.spans.own import ACT, ACT_EVENT, ACTS, FORMAT, PREFIX, VERSION

_BEGIN: Final = 946_684_800 * 10**9
"""First moment of the year 2000 (ns since the epoch), from which places are counted as times."""
_ROUND: Final = 10**9
_TURN: Final = 10**6
_KIND_INTERNAL: Final = 1
_KIND_CLIENT: Final = 3
_ERROR: Final = {"code": 2}


def write_otlp(log: RunLog, path: Path, *, contents: bool = True) -> int:
    """Write a run as OTLP-JSON and return the number of spans.

    Args:
        log: the run.
        path: the file; with the ending ``.jsonl`` a line an episode, otherwise one document.
        contents: whether what was said is written too: replies, claims, answers, results of tools.

    Raises:
        LogDamagedError: the run is not what was written.
        OSError: the file cannot be written.
    """
    lines = path.suffix == ".jsonl"
    resource = {"attributes": _attributes({"service.name": "agentsoc", "service.instance.id": log.manifest.name})}
    scope = {"name": "agentsoc", "version": str(log.manifest.versions.get("agentsoc", ""))}
    n = 0

    def pieces() -> Iterator[bytes]:
        nonlocal n
        before, between, after = ("", "\n", "\n") if lines else ('{"resourceSpans": [\n', ",\n", "\n]}\n")
        yield before.encode()
        for at, episode in enumerate(episodes_of(log)):
            spans = list(_spans(log, episode, contents))
            n += len(spans)
            whole = {"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}
            text = json.dumps({"resourceSpans": [whole]} if lines else whole, ensure_ascii=False)
            yield ((between if at else "") + text).encode("utf-8", "replace")
        yield after.encode()

    write_whole(path, pieces())
    return n


def _spans(log: RunLog, episode: ExportedEpisode, contents: bool) -> Iterator[dict[str, Any]]:
    ids = _Ids(log, episode.task)
    turns = episode.turns()
    places = _places(turns)
    end = max((at for _, at in places.values()), default=_BEGIN + _TURN)
    society = [act for act in episode.acts if act["agent"] == SOCIETY]
    yield {
        **ids.span("episode"), "name": f"invoke_workflow {log.manifest.name}", "kind": _KIND_INTERNAL,
        "startTimeUnixNano": str(_BEGIN), "endTimeUnixNano": str(end + _TURN),
        "attributes": _attributes(_of_episode(log, episode)),
        "events": [_act(act, end, contents) for act in society],
    }  # fmt: skip
    for key, acts in turns.items():
        start, stop = places[key]
        yield {
            **ids.span("turn", *key), "parentSpanId": ids.id("episode"), "name": f"invoke_agent agent {key.agent}",
            "kind": _KIND_INTERNAL, "startTimeUnixNano": str(start), "endTimeUnixNano": str(stop),
            "attributes": _attributes(_of_turn(key, acts, contents)),
            "events": [_act(act, stop, contents) for act in acts],
            "links": list(_links(ids, acts, turns)),
        }  # fmt: skip
        yield from _calls(ids, key, episode.attempts.get(key, []), start, contents)
        yield from _tools(ids, key, acts, start, contents)


class _Ids:
    """The object computes the ids of one trace from the run and the place."""

    def __init__(self, log: RunLog, task: int) -> None:
        manifest = log.manifest
        self._run = f"{manifest.digest or manifest.scenario_hash} {manifest.seed} {task}"
        self.trace = self._hash("trace", 32)

    def _hash(self, what: str, length: int) -> str:
        return hashlib.sha256(f"agentsoc {self._run} {what}".encode()).hexdigest()[:length]

    def id(self, *place: object) -> str:
        return self._hash(" ".join(map(str, place)), 16)

    def span(self, *place: object) -> dict[str, str]:
        return {"traceId": self.trace, "spanId": self.id(*place)}


def _places(turns: Mapping[TurnKey, Any]) -> dict[TurnKey, tuple[int, int]]:
    """Return (start, end) of each turn: turns of a round begin together and end one after the other."""
    found: dict[TurnKey, tuple[int, int]] = {}
    rounds = {number: at for at, number in enumerate(sorted({key.round for key in turns}))}
    within: dict[int, int] = {}
    for key in turns:
        at = within[key.round] = within.get(key.round, 0) + 1
        begin = _BEGIN + (rounds[key.round] + 1) * _ROUND
        found[key] = (begin, begin + min(at * _TURN, _ROUND - 1))
    return found


def _of_episode(log: RunLog, episode: ExportedEpisode) -> dict[str, Any]:
    manifest = log.manifest
    scenario = manifest.scenario
    counts = [group.get("count") for group in scenario.get("agents", [])]
    known = counts and all(isinstance(count, int) for count in counts)
    return {
        "gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": manifest.name, FORMAT: VERSION,
        "agentsoc.run": str(manifest.name), "agentsoc.task": episode.task, "agentsoc.task_name": episode.name,
        "agentsoc.benchmark": scenario.get("tasks", {}).get("kind"),
        "agentsoc.topology": scenario.get("topology", {}).get("kind"),
        "agentsoc.n_agents": sum(counts) if known else None, "agentsoc.seed": manifest.seed,
        "agentsoc.complete": episode.ended, ACTS: len(episode.acts),
    }  # fmt: skip


def _of_turn(key: TurnKey, acts: list[dict[str, Any]], contents: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"agent {key.agent}",
        "gen_ai.agent.id": str(key.agent),
    }  # fmt: skip
    calls = sum(act["calls"] for act in acts)
    if calls:
        found |= {
            "gen_ai.usage.input_tokens": sum(act["tokens_in"] for act in acts),
            "gen_ai.usage.output_tokens": sum(act["tokens_out"] for act in acts),
            "gen_ai.usage.cache_read.input_tokens": sum(act["tokens_cached"] for act in acts),
        }
    said = [act["text"] or act["answer"] for act in acts if act["claim"] is not None]
    if contents and said and said[-1]:
        found["gen_ai.output.messages"] = _messages(said[-1], "stop")
    return found


def _messages(text: str, finish: str) -> str:
    one = {"role": "assistant", "parts": [{"type": "text", "content": text}], "finish_reason": finish}
    return json.dumps([one], ensure_ascii=False)


def _links(ids: _Ids, acts: list[dict[str, Any]], turns: Mapping[TurnKey, Any]) -> Iterator[dict[str, Any]]:
    """Yield a link to the turn of each claim that the acts build on."""
    told: set[TurnKey] = set()
    for act in acts:
        for parent in act["parents"]:
            place = unpack_id(parent)
            key = TurnKey(place.round, place.agent, place.k // SLOTS)
            if key in turns and key not in told:
                told.add(key)
                yield {**ids.span("turn", *key), "attributes": _attributes({"agentsoc.relation": "built on"})}


def _calls(ids: _Ids, key: TurnKey, attempts: list[Attempt], start: int, contents: bool) -> Iterator[dict[str, Any]]:
    for one in attempts:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat", "gen_ai.request.model": one.model, "agentsoc.attempt": one.attempt,
            "agentsoc.call": one.k, "agentsoc.state": one.state, "gen_ai.usage.input_tokens": one.tokens_in,
            "gen_ai.usage.output_tokens": one.tokens_out, "gen_ai.usage.cache_read.input_tokens": one.tokens_cached,
            "gen_ai.response.finish_reasons": [one.finish] if one.finish else None,
            "error.type": None if one.failure is None else _sort(one.failure, contents),
        }  # fmt: skip
        if contents and one.reply is not None:
            attributes["gen_ai.output.messages"] = _messages(one.reply, one.finish or "stop")
        took = min(max(one.latency_ms or 0, 0), 10**9) * 10**6
        yield {
            **ids.span("chat", *key, one.k, one.attempt), "parentSpanId": ids.id("turn", *key),
            "name": f"chat {one.model}", "kind": _KIND_CLIENT, "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + took), "attributes": _attributes(attributes),
            **({} if one.failure is None else {"status": _ERROR}),
        }  # fmt: skip


def _sort(failure: str, contents: bool) -> str:
    """Return the sort of a failure; without contents no words but ours, since a failure may repeat what was said."""
    return failure_sort(failure) or (failure.split(":")[0].strip()[:60] if contents else "_OTHER")


def _tools(ids: _Ids, key: TurnKey, acts: list[dict[str, Any]], start: int, contents: bool) -> Iterator[dict[str, Any]]:
    for act in acts:
        if act["kind"] != "tool_call":
            continue
        name, _, arguments = (act["answer"] or "").partition("(")
        attributes = {
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name.strip()[:200] or "?",
            "gen_ai.tool.call.arguments": arguments.removesuffix(")") if contents else None,
            "gen_ai.tool.call.result": act["text"] if contents else None,
        }  # fmt: skip
        yield {
            **ids.span("tool", *key, act["k"]), "parentSpanId": ids.id("turn", *key),
            "name": f"execute_tool {attributes['gen_ai.tool.name']}", "kind": _KIND_INTERNAL,
            "startTimeUnixNano": str(start), "endTimeUnixNano": str(start), "attributes": _attributes(attributes),
        }  # fmt: skip


def _act(act: Mapping[str, Any], at: int, contents: bool) -> dict[str, Any]:
    """Return an act as an event of a span, with the fields that are set."""
    hidden = () if contents else ("text", "answer")
    fields = {PREFIX + name: act[name] for name in ACT if name not in hidden and act[name] is not None}
    if not act["parents"]:
        del fields[PREFIX + "parents"]
    return {"name": ACT_EVENT, "timeUnixNano": str(at), "attributes": _attributes(fields)}


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": str(value)}
