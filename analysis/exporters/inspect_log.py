"""This module writes a run as a log of Inspect, by `inspect_ai` itself, so that Inspect View opens it.

An episode is a sample: its question, its reference answer as target, and the score of the society's answer. The events
of the sample are its turns as spans of type `agent`, with a model event for each attempt; its messages are what agents
claimed, each with the agent's name. What agents were asked stands in no file of a run: the input of a
model event is the question alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentsoc.errors import InputError
from agentsoc.events import SOCIETY
from agentsoc.log.journal import Attempt
from agentsoc.log.read import RunLog
from analysis.exporters.episodes import ExportedEpisode, episodes_of
from analysis.extras import require

if TYPE_CHECKING:
    from inspect_ai.event import Event
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import ChatMessage, ModelOutput

EPISODES_MAX: Final = 20_000
"""Episodes that are written: a log of Inspect is built in memory (episodes)."""
_BEGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""A log has no clock: times are places, counted in milliseconds from here."""
_SCORER: Final = "verifier"


def write_inspect(log: RunLog, path: Path) -> int:
    """Write a run as a log of Inspect (``.eval`` or ``.json``) and return the number of samples.

    Raises:
        InputError: the ending is another, or there are too many episodes.
        LogDamagedError: the run is not what was written.
        MissingExtraError: inspect_ai is not installed.
        OSError: the file cannot be written.
    """
    require("inspect_ai", extra="inspect")
    if path.suffix not in (".eval", ".json"):
        raise InputError(f"a log of Inspect ends in .eval or .json, not {path.suffix or 'in nothing'}", str(path))
    if log.manifest.totals.episodes > EPISODES_MAX:
        what = f"{log.manifest.totals.episodes:,} episodes; the limit is {EPISODES_MAX:,}"
        raise InputError(what, str(log.directory), "export it --to otlp or parquet")
    from inspect_ai.log import write_eval_log

    made = inspect_log(log)
    write_eval_log(made, str(path.resolve()), format="eval" if path.suffix == ".eval" else "json")
    return len(made.samples or ())


def inspect_log(log: RunLog) -> EvalLog:
    """Return a run as a log of Inspect."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec

    manifest = log.manifest
    models = [str(model.get("name") or model.get("kind") or "model") for model in manifest.models]
    samples = [_sample(one, models[0] if models else "model") for one in episodes_of(log)]
    identity = (manifest.digest or manifest.scenario_hash)[:22]
    metric = EvalMetric(name="mean", value=manifest.totals.score or 0.0)
    return EvalLog(
        status="success" if manifest.status == "finished" else "cancelled",
        eval=EvalSpec(
            eval_id=identity, run_id=identity, task_id=identity, created=_BEGIN.isoformat(), task=manifest.name,
            dataset=EvalDataset(name=str(manifest.scenario.get("tasks", {}).get("kind")), samples=len(samples)),
            model=models[0] if len(set(models)) == 1 else "several", config=EvalConfig(),
            packages={"agentsoc": str(manifest.versions.get("agentsoc", ""))},
            metadata={
                "seed": manifest.seed, "digest": manifest.digest,
                "topology": manifest.scenario.get("topology", {}).get("kind"),
                "protocol": manifest.scenario.get("protocol", {}).get("kind"),
            },
        ),
        results=EvalResults(
            total_samples=len(samples), completed_samples=sum(one.limit is None for one in samples),
            scores=[EvalScore(name=_SCORER, scorer=_SCORER, metrics={"mean": metric})],
        ),
        samples=samples,
    )  # fmt: skip


def _sample(episode: ExportedEpisode, model: str) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageUser, ModelUsage
    from inspect_ai.scorer import Score

    question = episode.question or f"task {episode.name}, which is made from the seed"
    outcome = episode.outcome
    said = "" if outcome is None else outcome["answer"] or ""
    correct = None if outcome is None else outcome["correct"]
    used = [sum(act[name] for act in episode.acts) for name in ("tokens_in", "tokens_cached", "tokens_out")]
    usage = ModelUsage(
        input_tokens=used[0] - used[1], output_tokens=used[2], total_tokens=used[0] + used[2],
        input_tokens_cache_read=used[1] or None,
    )  # fmt: skip
    return EvalSample(
        id=episode.name,
        epoch=1,
        input=question,
        target=episode.truth or "",
        messages=[ChatMessageUser(content=question), *_messages(episode, model)],
        output=_output(model, said),
        scores={} if correct is None else {_SCORER: Score(value=float(correct), answer=said)},
        events=list(_events(episode, question)),
        model_usage={model: usage} if any(used) else {},
        metadata={"task": episode.task},
        uuid=f"task-{episode.task}",
    )


def _messages(episode: ExportedEpisode, model: str) -> Iterator[ChatMessage]:
    from inspect_ai.model import ChatMessageAssistant

    for act in episode.acts:
        if act["agent"] == SOCIETY or act["claim"] is None:
            continue
        place = f"{act['round']}.{act['agent']}.{act['k']}"
        yield ChatMessageAssistant(
            id=f"{episode.task}-{place}", content=act["text"] or act["answer"] or "", model=model, source="generate",
            metadata={"agent": f"agent {act['agent']}", "round": act["round"], "kind": act["kind"], "claim": place},
        )  # fmt: skip


def _output(model: str, said: str, attempt: Attempt | None = None) -> ModelOutput:
    from inspect_ai.model import ModelOutput, ModelUsage

    made = ModelOutput.from_content(model, said)
    if attempt is not None and attempt.tokens_in is not None:
        cached = attempt.tokens_cached or 0
        made.usage = ModelUsage(
            input_tokens=attempt.tokens_in - cached, output_tokens=attempt.tokens_out or 0,
            total_tokens=attempt.tokens_in + (attempt.tokens_out or 0), input_tokens_cache_read=cached or None,
        )  # fmt: skip
    return made


def _events(episode: ExportedEpisode, question: str) -> Iterator[Event]:
    from inspect_ai.event import ModelEvent, SpanBeginEvent, SpanEndEvent
    from inspect_ai.model import ChatMessageUser, GenerateConfig

    at = 0
    for key in episode.turns():
        name = f"{episode.task}-{key.round}.{key.agent}.{key.turn}"
        at += 1
        begin: dict[str, Any] = {
            "timestamp": _BEGIN + timedelta(milliseconds=at),
            "working_start": 0.0,
            "uuid": f"b-{name}",
        }
        yield SpanBeginEvent(id=name, type="agent", name=f"agent {key.agent}", span_id=name, **begin)
        for attempt in episode.attempts.get(key, []):
            at += 1
            moment = _BEGIN + timedelta(milliseconds=at)
            yield ModelEvent(
                model=attempt.model, input=[ChatMessageUser(content=question)], tools=[], tool_choice="none",
                config=GenerateConfig(), output=_output(attempt.model, attempt.reply or "", attempt), span_id=name,
                error=attempt.failure, timestamp=moment, completed=moment, working_start=0.0,
                uuid=f"m-{name}.{attempt.k}.{attempt.attempt}",
            )  # fmt: skip
        at += 1
        end: dict[str, Any] = {
            "timestamp": _BEGIN + timedelta(milliseconds=at),
            "working_start": 0.0,
            "uuid": f"e-{name}",
        }
        yield SpanEndEvent(id=name, span_id=name, **end)
