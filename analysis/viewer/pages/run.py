"""This module is the page of a run: one sentence, its budget, score by task, tokens by round, and its society."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
import yaml

from agentsoc.events import SOCIETY
from agentsoc.log.acted import acted
from agentsoc.log.failures import failures_told
from agentsoc.log.manifest import Manifest
from agentsoc.printing.text import command, line
from agentsoc.scenario.models import THROUGH
from agentsoc.theory.proportion import Z95, wilson
from analysis.viewer.pages.society import NO_SOCIETY, SocietyMap, society_map
from analysis.viewer.pages.store import OpenLog

NOT_TOLD: Final = "not told"
"""Stands where an imported log does not say why an episode ended."""
TASKS_MAX: Final = 2_000
"""Tasks of the strip that are told one by one; of more, so many at equal distances."""
FLAGS_MAX: Final = 20
NAME_CHARS: Final = 300
SCENARIO_CHARS: Final = 40_000
"""Length to which a scenario is shown (characters)."""


class Figure(msgspec.Struct, frozen=True):
    """A number with its interval."""

    value: float
    low: float
    high: float
    n: int
    """Of how many tasks it is."""
    method: str


class BudgetLine(msgspec.Struct, frozen=True):
    """What was spent of a budget (tokens)."""

    used: int
    lost: int
    """Charged for attempts of which nobody knows what they used."""
    budget: int | None
    left: int | None
    overrun: int
    cost: float | None


class TaskScore(msgspec.Struct, frozen=True):
    """What one task came to."""

    task: int
    score: float | None
    answer: str | None
    stop: str
    tokens: int
    events: int
    rounds: int


class RoundTokens(msgspec.Struct, frozen=True):
    """Tokens of one round, over all tasks, by what they were spent on."""

    round: int
    act: str
    """The kind of event that the tokens stand on: the first that came of a turn."""
    calls: int
    tokens_in: int
    tokens_out: int


class EventCount(msgspec.Struct, frozen=True):
    """How often something happened; clicking it leads to these events."""

    name: str
    count: int
    kind: str
    """Kind of the events, for the filter."""
    text: str = ""


class RunPage(msgspec.Struct, frozen=True):
    """What the page of a run shows."""

    name: str
    place: str
    status: str
    seed: int | None
    sentence: str
    digest: str | None
    score: Figure | None
    budget: BudgetLine | None
    episodes: int
    events: int
    kinds: dict[str, int]
    calls: int
    calls_failed: int
    calls_lost: int
    turns: int
    rounds: int
    deliveries: int
    tasks: list[TaskScore]
    tasks_in_all: int
    by_round: list[RoundTokens]
    society: SocietyMap
    stops: list[EventCount]
    failures: list[EventCount]
    flags: list[EventCount]
    tool_calls: tuple[int, int]
    """Calls of tools that were made, and those beyond a limit."""
    rewards: dict[str, Any] | None
    models: list[str]
    versions: dict[str, str]
    not_reproducible: list[str]
    error: str | None
    notes: list[str]
    scenario: str
    """As YAML."""
    commands: list[str]
    """To show it, to replay it or to go on with it, and to check it."""
    planned: int = 0
    """Tasks that it was asked for; 0 where its scenario does not say."""
    unanswered: int = 0
    """Failed calls of which no event tells, as the run ended first; they are among `calls_failed`."""


def run_page(log: OpenLog, *, whole: bool = True) -> RunPage:
    """Return the page of a run or of an imported log; a run that goes on is shown as far as it got.

    Args:
        log: the run.
        whole: whether to look at every event; else tokens by round, flags and the society, which take a look at all
            of them, are left empty, and events by kind and stops are those of the manifest.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    tasks = task_scores(log)
    if whole or log.manifest is None:
        society = society_map(log)
        by_round, kinds, flags, stops = round_counts(log)
    else:
        society, by_round, flags = NO_SOCIETY, [], []
        kinds = dict(log.manifest.totals.events_by_kind)
        stops = [EventCount(name, n, "stop") for name, n in log.manifest.totals.stops.items()]
    scored = [one.score for one in tasks if one.score is not None]
    if log.run is None:
        assert log.table is not None
        assert log.about is not None
        notes = [f"imported from {log.about.importer}", *log.about.notes]
        return RunPage(
            log.name, str(log.directory), "imported", None, log.table.summary(), None, _score(scored), None,
            log.table.n_executions, log.rows, kinds, 0, 0, 0, 0, 0, 0, _thinned(tasks), len(tasks), by_round, society,
            stops, [], flags, (0, 0), None, [], {}, [], None, notes, "", [],
        )  # fmt: skip
    manifest, totals = log.run.manifest, log.run.manifest.totals
    ci = totals.score_ci95
    score = None
    if totals.score is not None and ci is not None:
        score = Figure(totals.score, *ci, totals.episodes, "Wilson")
    did = acted(log.run)
    failures = [EventCount(name, one.count, "call_failed", one.text) for name, one in failures_told(log.run).items()]
    return RunPage(
        manifest.name, str(log.directory), manifest.status, manifest.seed, run_sentence(manifest), manifest.digest,
        score or _score(scored), _budget(manifest), totals.episodes, log.rows, kinds, totals.calls,
        manifest.calls_failed, totals.calls_lost, totals.turns, totals.rounds, totals.deliveries, _thinned(tasks),
        len(tasks), by_round, society, stops, failures, flags, (did.tool_calls, did.tool_calls_refused), did.rewards,
        models_of(manifest), dict(manifest.versions), list(manifest.not_reproducible), manifest.error, [],
        scenario_text(manifest), _commands(log.directory, manifest.status), _planned(manifest),
        manifest.unanswered or 0,
    )  # fmt: skip


def run_sentence(manifest: Manifest) -> str:
    """Return in one sentence what a run is and what came out."""
    totals = manifest.totals
    agents = agents_of(manifest)
    parts = [manifest.scenario.get(name, {}).get("kind") for name in ("topology", "protocol", "tasks")]
    topology, protocol, tasks = (str(part) if part else "unknown" for part in parts)
    who = f"{agents:,} agents" if agents > 1 else "one agent" if agents else "agents"
    begun = f"{who} in the organisation {topology}, by the protocol {protocol}, on tasks of {tasks}"
    if totals.score is None or (ci := totals.score_ci95) is None:
        return f"{begun}: no episode has ended."
    n = "1 task" if totals.episodes == 1 else f"{totals.episodes:,} tasks"
    return f"{begun}: score {totals.score:.3f}, 95 % between {ci[0]:.3f} and {ci[1]:.3f}, {n}."


def task_scores(log: OpenLog) -> list[TaskScore]:
    """Return what each task came to: from the table of episodes, and what that does not hold from the events."""
    ended = _ended(log)
    if ended is not None and log.manifest is not None and log.manifest.status == "finished":
        return ended
    known = {one.task for one in ended or ()}
    return sorted([*(ended or ()), *(one for one in _begun(log) if one.task not in known)], key=lambda one: one.task)


def _ended(log: OpenLog) -> list[TaskScore] | None:
    """Return the tasks of the table of episodes; None where there is none."""
    table = log.run.episodes() if log.run is not None else None
    if table is not None:
        spent = pl.col("tokens_in") + pl.col("tokens_out") + pl.col("tokens_lost")
        rows = table.sort("task").select("task", "score", "answer", "stop", spent.alias("tokens"), "events", "rounds")
        rows = rows.with_columns(pl.when(pl.col("score").is_finite()).then("score"))
        return [TaskScore(*row) for row in rows.iter_rows()]
    return None


def _begun(log: OpenLog) -> list[TaskScore]:
    """Return what the events say of each task."""
    found: dict[int, dict[str, Any]] = {}
    names = ["task", "round", "agent", "kind", "answer", "correct", "tokens_in", "tokens_out"]
    for frame in log.columns(names):
        ends = frame.filter((pl.col("kind").is_in(["answer", "stop"])) & (pl.col("agent") == SOCIETY))
        for row in (
            frame.group_by("task")
            .agg(
                pl.len().alias("events"),
                (pl.col("round").max() + 1).alias("rounds"),
                (pl.col("tokens_in").fill_null(0) + pl.col("tokens_out").fill_null(0)).sum().alias("tokens"),
            )
            .iter_rows(named=True)
        ):
            one = found.setdefault(row["task"], {"events": 0, "rounds": 0, "tokens": 0, "stop": not_ended(log)})
            one["events"] += row["events"]
            one["tokens"] += row["tokens"]
            one["rounds"] = max(one["rounds"], row["rounds"])
        for task, kind, answer, correct in ends.select("task", "kind", "answer", "correct").iter_rows():
            found[task] |= {"stop": answer or ""} if kind == "stop" else {"answer": answer, "score": correct}
    return [
        TaskScore(
            task, one.get("score"), one.get("answer"), one["stop"], one["tokens"], one["events"], one["rounds"]
        )
        for task, one in sorted(found.items())
    ]  # fmt: skip


def not_ended(log: OpenLog) -> str:
    """Return what is said in place of the reason for which an episode ended, where no event tells one."""
    if log.manifest is None:
        return NOT_TOLD
    return "under way" if log.live else f"not ended: the run is {log.manifest.status}"


def round_counts(log: OpenLog) -> tuple[list[RoundTokens], dict[str, int], list[EventCount], list[EventCount]]:
    """Return tokens by round and act, events by kind, flags and stops: one pass over a few columns of all events."""
    spent: dict[tuple[int, str], list[int]] = {}
    kinds: dict[str, int] = {}
    said: dict[tuple[str, str], int] = {}
    sums = [pl.col(name).fill_null(0).sum() for name in ("calls", "tokens_in", "tokens_out")]
    for frame in log.columns(["round", "kind", "answer", "calls", "tokens_in", "tokens_out"]):
        for round_, kind, n, *tokens in frame.group_by("round", "kind").agg(pl.len(), *sums).iter_rows():
            name = kind or "other"
            kinds[name] = kinds.get(name, 0) + n
            if any(tokens):
                row = spent.setdefault((round_, name), [0, 0, 0])
                row[:] = [before + more for before, more in zip(row, tokens, strict=True)]
        marked = frame.filter(pl.col("kind").is_in(["stop", "flag"]))
        for kind, answer, n in marked.group_by("kind", "answer").len().iter_rows():
            said[kind, answer or ""] = said.get((kind, answer or ""), 0) + n
    by_round = [RoundTokens(round_, act, *row) for (round_, act), row in sorted(spent.items())]
    ordered = sorted(said.items(), key=lambda one: (-one[1], one[0]))
    flags, stops = (
        [EventCount(name, n, kind) for (kind, name), n in ordered if kind == wanted][:FLAGS_MAX]
        for wanted in ("flag", "stop")
    )
    return by_round, dict(sorted(kinds.items())), flags, stops


def _score(scores: list[float]) -> Figure | None:
    """Return the mean of scores with Wilson's interval; see `Totals.score_ci95`."""
    if not scores:
        return None
    mean = min(max(math.fsum(scores) / len(scores), 0.0), 1.0)
    low, high = wilson(mean, len(scores), Z95)
    return Figure(mean, max(low, 0.0), min(high, 1.0), len(scores), "Wilson")


def _budget(manifest: Manifest) -> BudgetLine:
    totals = manifest.totals
    left = None if totals.budget is None else max(totals.budget - totals.tokens, 0)
    return BudgetLine(
        totals.tokens_in + totals.tokens_out,
        totals.tokens_lost,
        totals.budget,
        left,
        totals.tokens_overrun,
        totals.cost,
    )


def _thinned(tasks: list[TaskScore]) -> list[TaskScore]:
    step = max(-(-len(tasks) // TASKS_MAX), 1)
    return tasks[::step]


def agents_of(manifest: Manifest) -> int:
    """Return how many agents the groups of a run have together; 0 where that is not stated."""
    return sum(group.get("count") or 0 for group in manifest.scenario.get("agents", []))


def _planned(manifest: Manifest) -> int:
    count = manifest.scenario.get("tasks", {}).get("count")
    return count if isinstance(count, int) else 0


def models_of(manifest: Manifest) -> list[str]:
    """Return the model of each group of agents: of one that a provider has its name, of others their kind."""
    found = []
    for group in manifest.scenario.get("agents", []):
        model = group.get("model")
        named = model.get("name" if model.get("kind") == THROUGH else "kind") if isinstance(model, dict) else model
        found.append(line(str(named), NAME_CHARS))
    return list(dict.fromkeys(found))


def scenario_text(manifest: Manifest) -> str:
    """Return the scenario of a run as YAML."""
    text = yaml.safe_dump(manifest.scenario, sort_keys=False, allow_unicode=True, width=120)
    return text if len(text) <= SCENARIO_CHARS else text[:SCENARIO_CHARS] + "\n# cut here\n"


def _commands(directory: Path, status: str) -> list[str]:
    return [command(name, directory) for name in ("show", "replay" if status == "finished" else "resume", "check")]
