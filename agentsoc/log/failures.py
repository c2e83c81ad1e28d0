"""This module counts the failed turns of a run by who failed, and tells the commonest words of each.

The counts are in the totals of the manifest; the words are in the events. A run of an earlier version has no counts in
its manifest: they are read from its events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from agentsoc.contracts.failure import FAMILIES, FailureFamily, family_of
from agentsoc.log.stored import StoredRun

BROKEN_SHARE: Final = 0.01
"""Share of turns that failed by the infrastructure above which a run says nothing about its society."""


class Failures(msgspec.Struct, frozen=True):
    """The failures of one family in a run."""

    count: int = 0
    """Turns that failed so."""
    text: str = ""
    """What was said most often, ``kind: message``."""


def texts_of(table: pa.Table) -> Iterator[tuple[str, int]]:
    """Yield each failure in a table of events, with how often it occurs."""
    failed = table.filter(pc.equal(table["kind"].cast(pa.string()), "call_failed"))
    counted = pc.value_counts(failed["text"].cast(pa.string()))
    for text, n in zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True):
        yield text or "", n


def failures_of(log: StoredRun) -> dict[FailureFamily, Failures]:
    """Return what failed in a run, by family; families without a failure are left out."""
    if not log.manifest.totals.calls_failed:
        return {}
    texts: dict[FailureFamily, Counter[str]] = {family: Counter() for family in FAMILIES}
    for table in log.tables(("kind", "text")):
        for text, n in texts_of(table):
            texts[family_of(text)][text] += n
    return {
        family: Failures(found.total(), min(found, key=lambda text: (-found[text], text)))
        for family, found in texts.items()
        if found
    }


def failures_told(log: StoredRun) -> dict[FailureFamily, Failures]:
    """Return the same with the calls that had failed when the run ended early, of which no event tells."""
    found, unanswered = failures_of(log), log.manifest.unanswered
    if unanswered:
        of_events = found.get("infrastructure", Failures())
        text = of_events.text or (log.manifest.error or "").partition(": ")[2]
        found["infrastructure"] = Failures(of_events.count + unanswered, text)
    return found


def broken_by(log: StoredRun) -> str | None:
    """Return why a run says nothing about its society, None when it may: too many turns failed by the infrastructure.

    Turns are counted as the run counts them; one of format 1 has no count of turns and is judged by its events.
    """
    found = failures_of(log).get("infrastructure")
    totals = log.manifest.totals
    if found is None or found.count <= BROKEN_SHARE * max(totals.turns, 1):
        return None
    return f"{found.count:,} of {totals.turns:,} turns failed ({found.text})"
