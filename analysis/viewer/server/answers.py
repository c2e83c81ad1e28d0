"""This module answers what the browser's side asks of runs: data of pages, at most 200 rows at a time.

Each function takes the places that are shown and what was asked, and returns plain data. Errors are those of the pages.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from agentsoc.errors import AgentsocError, InputError
from agentsoc.log.names import JOURNAL
from agentsoc.log.progress import JournalProgress, journal_progress
from agentsoc.printing.text import command
from analysis.viewer.blocks import figure_of
from analysis.viewer.charts.escape import visible
from analysis.viewer.charts.runs import rounds_chart, society_chart, strip_chart
from analysis.viewer.document.run_section import run_facts, society_note, told_first, told_last
from analysis.viewer.pages.episode import episode_page
from analysis.viewer.pages.events import EventFilter, events_page
from analysis.viewer.pages.run import (
    NOT_TOLD,
    RunPage,
    TaskScore,
    agents_of,
    not_ended,
    round_counts,
    run_page,
    task_scores,
)
from analysis.viewer.pages.society import NO_SOCIETY, built_on, cited, society_map
from analysis.viewer.pages.store import OpenLog
from analysis.viewer.pages.transcript import transcript_page
from analysis.viewer.server.places import ViewedPlaces, stamp
from analysis.viewer.server.shown import ROWS_MAX, plain, plain_blocks

Asked = Mapping[str, str]
Answer = Callable[[ViewedPlaces, Asked], Any]
_WHOLE: Final = re.compile(r"-?\d{1,15}")
REPLAY_MAX: Final = 200_000
"""Events of a run that is replayed from a page; a larger one takes the command."""
BEHIND: Final = (
    "What stands in no segment of the log yet cannot be worked out here ({why}): rounds and claims appear once their "
    "segment is written; choose an agent to see what can be read of its calls."
)
"""Said of an episode that goes on where its page may lack rounds."""
WANTED: Final[dict[str, Callable[[TaskScore], bool]]] = {
    "all": lambda one: True,
    "wrong": lambda one: one.score is not None and one.score < 1.0,
    "right": lambda one: one.score is not None and one.score >= 1.0,
    "unfinished": lambda one: one.stop not in ("finished", "consensus", NOT_TOLD),
}
"""Which tasks of a run are listed."""


def whole(asked: Asked, name: str, default: int | None = None) -> int | None:
    """Return a whole number that was asked for.

    Raises:
        InputError: it is none.
    """
    if (text := asked.get(name, "")) == "":
        return default
    if not _WHOLE.fullmatch(text):
        raise InputError(f"{name} is no whole number", name, "leave it out, or write digits")
    return int(text)


def needed(asked: Asked, name: str) -> int:
    """Return a whole number that must be there."""
    if (found := whole(asked, name)) is None:
        raise InputError(f"{name} is missing", name, "begin with the list of runs")
    return found


def place_of(asked: Asked) -> str:
    """Return the place that was asked for; the directory itself where none was."""
    return asked.get("place") or "."


def run(places: ViewedPlaces, asked: Asked) -> Any:
    """Return what the manifest and the table of episodes say of a run."""

    def made(log: OpenLog) -> Any:
        page = run_page(log, whole=False)
        return {
            "name": page.name, "status": page.status, "digest": page.digest, "events": page.events,
            "tasks_in_all": log.tasks(), "first": plain_blocks(told_first(page)),
            "facts": plain([[name, "" if value is None else str(value)] for name, value in run_facts(page)]),
            "strip": plain_blocks(figure_of(strip_chart(page))),
            "stops": plain(page.stops), "failures": plain(page.failures), "last": plain_blocks(told_last(page)),
            "can_replay": _can_replay(places, page), "no_replay": _no_replay(page),
        }  # fmt: skip

    found = dict(places.worked_out(place_of(asked), "run", made))
    with places.log(place_of(asked)) as log:
        return found | {"live": _live(log), "stamp": stamp(log.directory)}


def _can_replay(places: ViewedPlaces, page: RunPage) -> bool:
    return places.means.replayer is not None and page.digest is not None and page.events <= REPLAY_MAX


def _no_replay(page: RunPage) -> str:
    """Return why a run is not replayed from its page."""
    if page.status == "imported":
        return "An imported log has no journal, so there is nothing to replay."
    if page.digest is None:
        return "A run can be replayed once it is finished."
    return f"A run of more than {REPLAY_MAX:,} events is not replayed from here: agentsoc replay does it."


def _live(log: OpenLog) -> Any:
    """Return how far a run that goes on has got; None for one that does not, or that asks no model."""
    if not log.live:
        return None
    try:
        return plain(journal_progress(log.directory / JOURNAL))
    except (AgentsocError, OSError):
        return plain(JournalProgress([], []))


def rounds(places: ViewedPlaces, asked: Asked) -> Any:
    """Return tokens over rounds, flags and stops: what takes a look at every event."""

    def made(log: OpenLog) -> Any:
        by_round, kinds, flags, stops = round_counts(log)
        page = msgspec.structs.replace(_EMPTY, by_round=by_round)
        return {
            "figure": plain_blocks(figure_of(rounds_chart(page))),
            "kinds": plain(kinds),
            "flags": plain(flags),
            "stops": plain(stops),
        }

    return places.worked_out(place_of(asked), "rounds", made)


def society(places: ViewedPlaces, asked: Asked) -> Any:
    """Return who may address whom, what went along each link, and where each agent stands on a picture."""

    def made(log: OpenLog) -> Any:
        found = society_map(log)
        return {
            "map": plain(msgspec.structs.replace(found, links=[])),
            "links": [[link.speaker, link.hearer] for link in found.links],
            "figure": plain_blocks(figure_of(society_chart(found))),
            "note": plain_blocks(society_note(found)),
        }

    return places.worked_out(place_of(asked), "society", made)


def cited_most(places: ViewedPlaces, asked: Asked) -> Any:
    """Return the agents on whose claims others built most."""
    return places.worked_out(place_of(asked), "cited", lambda log: {"cited": plain(cited(built_on(log)))})


def tasks(places: ViewedPlaces, asked: Asked) -> Any:
    """Return some of the tasks of a run with what they came to."""
    which = asked.get("which") or "all"
    if which not in WANTED:
        raise InputError(f"there is no such list of tasks: {which[:40]}", "which", f"lists: {', '.join(WANTED)}")
    scores = places.worked_out(place_of(asked), "tasks", task_scores)
    return rows_from([one for one in scores if WANTED[which](one)], asked)


def rows_from(found: list[Any], asked: Asked) -> Any:
    """Return a page of rows with the number of them all."""
    offset = max(whole(asked, "offset", 0) or 0, 0)
    return {"rows": plain(found[offset : offset + ROWS_MAX]), "offset": offset, "total": len(found)}


def episode(places: ViewedPlaces, asked: Asked) -> Any:
    """Return one episode: question, rounds, standings, claims."""
    with places.log(place_of(asked)) as log:
        page = episode_page(log, needed(asked, "task"))
        found = plain(page)
        why = log.untold.get(page.task) if log.journal_bytes() > 0 else None
        if log.manifest is not None and (log.manifest.unanswered or (why is not None and not page.agents)):
            every = range(min(agents_of(log.manifest), ROWS_MAX))
            found["agents"] = sorted({*page.agents, *every})  # the calls of those of whom no event tells can be seen
        return found | {
            "name": plain(log.name), "live": log.live, "not_ended": not_ended(log), "stamp": stamp(log.directory),
            "behind": None if why is None else plain(BEHIND.format(why=why)),
        }  # fmt: skip


def transcript(places: ViewedPlaces, asked: Asked) -> Any:
    """Return what an agent was sent and said in a task."""
    with places.log(place_of(asked)) as log:
        page = transcript_page(
            log, needed(asked, "task"), needed(asked, "agent"), transcriber=places.means.transcriber
        )  # fmt: skip
        return plain(page)


def events(places: ViewedPlaces, asked: Asked) -> Any:
    """Return 200 events that a filter lets through."""
    wanted = EventFilter(
        task=whole(asked, "task"),
        round=whole(asked, "round"),
        agent=whole(asked, "agent"),
        kinds=tuple(kind for kind in asked.get("kind", "").split(",") if kind),
        answer=asked.get("answer") or None,
        text=asked.get("text", ""),
    )
    with places.log(place_of(asked)) as log:
        return plain(events_page(log, wanted, whole(asked, "offset", 0) or 0))


def state(places: ViewedPlaces, asked: Asked) -> Any:
    """Return numbers that are others once the run at a place has changed, and how long ago that was (seconds)."""
    path = places.path(place_of(asked))
    found = stamp(path)
    written = max(found[1::2], default=0) / 1e6
    return {
        "stamp": found, "quiet_s": max(time.time() - written, 0.0) if found else 0.0,
        "resume": visible(command("resume", path)),
    }  # fmt: skip


def replay(places: ViewedPlaces, asked: Asked) -> Any:
    """Replay a run, and return what is said of it; nothing is written and no model is called."""
    with places.log(place_of(asked)) as log:
        allowed, directory = _can_replay(places, run_page(log, whole=False)), log.directory
    if places.means.replayer is None or not allowed:
        raise InputError("this run is not replayed from here", place_of(asked), "agentsoc replay does it")
    return {"said": plain(places.means.replayer(directory))}


_EMPTY: Final = RunPage(
    "", "", "", None, "", None, None, None, 0, 0, {}, 0, 0, 0, 0, 0, 0, [], 0, [], NO_SOCIETY, [], [], [], (0, 0), None,
    [], {}, [], None, [], "", [],
)  # fmt: skip
