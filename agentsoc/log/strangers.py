"""This module finds files in a run directory that its manifest does not list, because whole-directory readers use them.

`pl.scan_parquet("RUN/events/*.parquet")` is such a reader, and it reads names that begin with a dot. Only the names
that a writer gives to files until they are whole are passed over; those end in no way that a reader looks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from agentsoc.errors import LogDamagedError
from agentsoc.log.inside import TEMPORARY
from agentsoc.log.names import EVENTS, INPUTS
from agentsoc.log.segments import REBUILD
from agentsoc.log.stored import StoredRun

_PART: Final = re.compile(r"part-\d{5,}\.parquet")


def check_strangers(log: StoredRun) -> Iterator[str]:
    """Look for files that the manifest does not list, beside the events and the copies of files of the scenario.

    Yields:
        What cannot be told, in a sentence: a part of a run that has not ended may be one that is just being written.

    Raises:
        LogDamagedError: names the first such file.
    """
    known = {segment.file for segment in log.segments}
    found = _strangers(log, EVENTS, known)
    if log.manifest.status == "running":
        unlisted = [name for name in found if _PART.fullmatch(name)]
        found = [name for name in found if name not in unlisted]
        if unlisted:
            count = f"{len(unlisted):,} files of events are" if len(unlisted) > 1 else f"{EVENTS}/{unlisted[0]} is"
            yield f"the run has not ended: {count} not in its manifest, just being written or of somebody else"
    if found:
        raise _refused(log, f"{EVENTS}/{found[0]}")
    _check_inputs(log)


def _check_inputs(log: StoredRun) -> None:
    below: dict[str, set[str]] = {INPUTS: set()}
    for name in log.manifest.inputs:
        place = INPUTS
        for part in name.split("/"):
            below.setdefault(place, set()).add(part)
            place = f"{place}/{part}"
    for directory, known in below.items():
        for name in _strangers(log, directory, known):
            raise _refused(log, f"{directory}/{name}")


def _strangers(log: StoredRun, directory: str, known: set[str]) -> list[str]:
    return [name for name in log.inside.names(directory) if name not in known and not TEMPORARY.fullmatch(name)]


def _refused(log: StoredRun, name: str) -> LogDamagedError:
    return LogDamagedError("this file is not one of the run's", str(log.directory / name), REBUILD)
