"""This module marks what of a run is to be made again because its infrastructure failed, and says what that had cost.

A failed attempt and every later row of its episode become *superseded*: they stay in the journal, are skipped by number
and are charged for what they cost, at the start of the round that is made again; nothing else of them counts. What was
answered in that round and before it stays. Failures of the model or of a reply's form are its answers, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agentsoc.budget.spent import Spent
from agentsoc.contracts.failure import family_of
from agentsoc.contracts.model import CallError
from agentsoc.errors import ModelFailedError
from agentsoc.events import SOCIETY
from agentsoc.log.failures import failures_of
from agentsoc.log.files import RunLock
from agentsoc.log.journal import Attempt, Journal, Key
from agentsoc.log.manifest import Manifest
from agentsoc.log.names import JOURNAL
from agentsoc.log.read import RunLog
from agentsoc.log.tool_rows import TOOL, is_model
from agentsoc.scenario.model import Scenario
from agentsoc.society.probe import FIRST_K

SUPERSEDED: Final = "superseded"
BEFORE_ALL: Final = -1
"""Stands for the round from which on an episode is made again that built on one that changes: nothing of it is kept."""
BEING_MADE_AGAIN: Final = "its failed turns are being made again"
"""What the manifest says as its error while rows are marked: a run that dies then goes on as a failed one."""


def is_to_be_made_again(manifest: Manifest) -> bool:
    """Return whether the failed turns of a run are made again without being asked for.

    So they are of a run that ended because a model could not be used, and of one that was about to make them again. A
    full disk has failed no turn, and what was answered before it is not bought twice.
    """
    error = manifest.error or ""
    return manifest.status == "failed" and (
        error == BEING_MADE_AGAIN or error.startswith(f"{ModelFailedError.__name__}:")
    )


def failed_rounds(known: Mapping[Key, Attempt], scenario: Scenario, *, lost: bool) -> dict[int, int]:
    """Return task -> first round of which a call failed by the infrastructure and is to be made again.

    So are all episodes after a failed one, where they are taken one after the other with what agents remember, and in
    a protocol that shows what was said elsewhere, whatever was shown of a round that is made again.

    Args:
        known: the journal.
        scenario: of the run.
        lost: whether a call that ended with a lost attempt counts; so it does in a run that has ended by itself.
    """
    found: dict[int, int] = {}
    for task, round_, _, _ in _failed_calls(known, lost):
        found[task] = min(round_, found.get(task, round_))
    if scenario.episodes == "sequential" and found:
        first = min(found)
        found |= {task: BEFORE_ALL for task in {key[0] for key in known} if task > first}
    if scenario.protocol.elsewhere and found:
        _shown_again(found, {key[0] for key in known})
    return found


def _shown_again(found: dict[int, int], tasks: Iterable[int]) -> None:
    """Add the episodes that show what was said in rounds that are made again: all that comes after these rounds."""
    if 1 in found:
        found[0] = min(found[1], found.get(0, found[1]))
    for task in sorted(set(tasks) - {0}):
        if task - 1 in found:
            found[task] = min(found[task - 1], found.get(task, found[task - 1]))


def superseded_rows(known: Mapping[Key, Attempt], rounds: Mapping[int, int], *, lost: bool) -> list[Attempt]:
    """Return the rows that are superseded when these rounds are made again, marked as such."""
    failed = _failed_calls(known, lost)
    marked = []
    for row in known.values():
        first = rounds.get(row.task)
        if first is None or row.state == SUPERSEDED or row.round < first:
            continue
        if row.round > first or ((row.task, row.round, row.agent, row.k) in failed and _fails(row, lost)):
            marked.append(msgspec.structs.replace(row, state=SUPERSEDED, finish=str(max(first, 0))))
    return marked


def rest_of_rounds(known: Mapping[Key, Attempt], task: int, round_: int, *, others: bool) -> list[Attempt]:
    """Return what is still kept of a round that is made again, marked as superseded.

    It was asked under a ledger that had not been charged for the attempts that failed. Where that changes what is
    granted, or what an agent is told of the budget, kept answers would be answers to other requests.

    Args:
        known: the journal.
        task: of the round.
        round_: its number.
        others: whether the same is done of all rounds that are made again and behind which nothing stands yet.
    """
    places = {(task, round_)}
    if others:
        last: dict[int, int] = {}
        for row in known.values():
            if row.state != SUPERSEDED:
                last[row.task] = max(row.round, last.get(row.task, 0))
        remade = {counts_at(row) for row in known.values() if row.state == SUPERSEDED}
        places |= {place for place in remade if last.get(place[0], 0) <= place[1]}
    return [
        msgspec.structs.replace(row, state=SUPERSEDED, finish=str(row.round))
        for row in known.values()
        if row.state != SUPERSEDED and (row.task, row.round) in places
    ]


def _failed_calls(known: Mapping[Key, Attempt], lost: bool) -> set[tuple[int, int, int, int]]:
    """Return the calls whose last attempt failed by the infrastructure: task, round, agent and number of each."""
    last: dict[tuple[int, int, int, int], Attempt] = {}
    for row in known.values():
        if not is_model(row.model):
            continue  # what a tool gave is an answer, a failure as well
        call = (row.task, row.round, row.agent, row.k)
        if row.agent == SOCIETY and row.k >= FIRST_K:  # a probe that failed says nothing, and no turn rests on it
            continue
        if row.state != SUPERSEDED and (call not in last or row.attempt > last[call].attempt):
            last[call] = row
    return {call for call, row in last.items() if _fails(row, lost)}


def _fails(row: Attempt, lost: bool) -> bool:
    if row.state == "started":
        return lost
    return row.state == "failed" and family_of(row.failure or "") == "infrastructure"


def mark(directory: Path, manifest: Manifest, rows: Sequence[Attempt]) -> None:
    """Write superseded rows into the journal of a run that is about to be resumed; to be called under its lock.

    The manifest is unpinned first: whenever this is cut off, the run can be resumed as a failed one.
    """
    _unpin(directory, manifest)
    journal = Journal(directory / JOURNAL)
    try:
        journal.rewrite(rows)
    finally:
        journal.close()


def reopen_run(directory: Path) -> bool:
    """Make a finished run with turns that failed by the infrastructure a failed one, for the next resume to mend.

    Return whether it is such a run; any other is left as it is.
    """
    with RunLock(directory):
        log = RunLog(directory)
        if log.manifest.status != "finished" or "infrastructure" not in failures_of(log):
            return False
        log.check()
        _unpin(directory, log.manifest)
    return True


def _unpin(directory: Path, manifest: Manifest) -> None:
    manifest.status, manifest.error, manifest.digest = "failed", BEING_MADE_AGAIN, None
    manifest.journal_rows = manifest.journal_digest = manifest.journal_file = manifest.study = None
    manifest.unanswered = None
    manifest.save(directory)


def counts_at(row: Attempt) -> tuple[int, int]:
    """Return the place (task, round) of a run at which a row counts: for a superseded one, where it is charged."""
    return row.task, int(row.finish or 0) if row.state == SUPERSEDED else row.round


def charges(rows: Iterable[Attempt]) -> dict[tuple[int, int], list[tuple[int, Spent]]]:
    """Return for each (task, round) what is charged at its start: agents, and what their superseded rows cost."""
    found: dict[tuple[int, int], list[tuple[int, Spent]]] = {}
    for row in rows:
        if (
            row.state == SUPERSEDED
            and row.agent != SOCIETY
            and is_model(row.model)
            and (tokens := _cost(row)) is not None
        ):
            tokens_in, whole = tokens
            spent = Spent(whole, whole, tokens_in, 1)
            found.setdefault(counts_at(row), []).append((row.agent, spent))
    return found


def tools_charged(rows: Iterable[Attempt]) -> dict[tuple[int, int], list[tuple[int, str]]]:
    """Return for each (task, round) the calls of tools that are charged at its start: agents, and names of tools."""
    found: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for row in rows:
        if row.state == SUPERSEDED and row.model.startswith(TOOL):
            found.setdefault(counts_at(row), []).append((row.agent, row.model.removeprefix(TOOL)))
    return found


def _cost(row: Attempt) -> tuple[int, int] | None:
    """Return the tokens of the prompt and in all that a row was charged; None for an attempt that was not billed."""
    if row.usage_known and (row.tokens_in or row.tokens_out):
        tokens_in = row.tokens_in or 0
        return tokens_in, tokens_in + (row.tokens_out or 0)
    if row.failure is not None:
        kind = row.failure.partition(": ")[0]
        if not CallError(kind, "").billed:  # type: ignore[arg-type]
            return None
    return row.room, row.reserved
