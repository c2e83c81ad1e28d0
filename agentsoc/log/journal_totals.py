"""This module adds up what rows of a journal amount to beyond the events: the study, what was lost, what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agentsoc.contracts.failure import family_of
from agentsoc.contracts.probe_calls import FIRST_K
from agentsoc.events import SOCIETY
from agentsoc.log.journal import Attempt, JournalDigest, journal_chunks
from agentsoc.log.journal_file import reading
from agentsoc.log.study import Study, StudyAccount
from agentsoc.log.tool_check import ActingRows
from agentsoc.log.tool_rows import is_model

_WITHOUT_OUTCOME: Final = ("started", "superseded")


class JournalTotals(msgspec.Struct):
    """The object adds up what the rows of a journal amount to; they come in the order of their keys."""

    lost: int = 0
    """Attempts whose outcome counts for nothing: a crash swallowed it, it is under way, or it was superseded."""
    account: StudyAccount = msgspec.field(default_factory=StudyAccount)
    acting: ActingRows | None = None
    """Takes in the rows of tools and environments; None where nobody wants to know of them."""
    failing: set[tuple[int, int, int, int]] = msgspec.field(default_factory=set)
    """Calls (task, round, agent, k) whose last attempt failed by the infrastructure; probes left out, on which no turn
    rests."""

    @property
    def study(self) -> Study:
        """Return what the calls of the study amount to."""
        return self.account.study

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Take in rows."""
        if self.acting is not None:
            self.acting.add(attempts)
        self.lost += sum([is_model(row.model) for row in attempts if row.state in _WITHOUT_OUTCOME])
        for row in attempts:
            if row.agent == SOCIETY and is_model(row.model):
                used = (row.tokens_in or 0, row.tokens_cached or 0, row.tokens_out or 0) if row.usage_known else None
                self.account.add(row.k, used, row.failure, (row.reserved, row.room))
            if row.failure is not None or row.attempt:
                self._note_failing(row)

    def _note_failing(self, row: Attempt) -> None:
        if row.state == "superseded" or not is_model(row.model) or (row.agent == SOCIETY and row.k >= FIRST_K):
            return
        call = (row.task, row.round, row.agent, row.k)
        if row.state == "failed" and family_of(row.failure or "") == "infrastructure":
            self.failing.add(call)
        else:
            self.failing.discard(call)

    def unanswered(self, rounds: Mapping[int, int]) -> int:
        """Count the failing calls of rounds that were not committed, so that no event tells of them.

        Args:
            rounds: committed rounds of each task; none of a task that is left out.
        """
        return sum(round_ >= rounds.get(task, 0) for task, round_, _, _ in self.failing)


def read_digest(
    path: Path, account: StudyAccount | None = None, acting: ActingRows | None = None
) -> tuple[tuple[int, str], JournalTotals]:
    """Return number and digest of the rows of a journal, and what they amount to, in one pass that keeps no row.

    `account` takes in the calls of the study; without one they have no prices. `acting` takes in the rows of tools and
    environments.

    Raises:
        LogDamagedError: see `agentsoc.log.journal.read_journal`.
    """
    digest, totals = JournalDigest(), JournalTotals(account=account or StudyAccount(), acting=acting)
    with reading(path) as db:
        for rows, attempts in journal_chunks(db, path):
            digest.update(rows)
            totals.add(attempts)
    return digest.result(), totals
