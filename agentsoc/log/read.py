"""This module reads a run directory, lazily as events, as a polars frame or only its manifest, and checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentsoc.log.journal import Attempt, Key
from agentsoc.log.stored import StoredRun

if TYPE_CHECKING:
    from agentsoc.log.check import Checked


class RunLog(StoredRun):
    """A run directory is opened for reading: nothing is read before it is asked for, and nothing is written."""

    def check(self) -> Checked:
        """Compare everything with the manifest, and the manifest's totals with what they are a fold of.

        Raises:
            LogDamagedError: names the first thing that is not what was written.
        """
        from agentsoc.log.check import check

        return check(self)[0]

    def checked(self) -> dict[Key, Attempt]:
        """Return all model attempts by key after the same check, in one pass over the journal.

        Raises:
            LogDamagedError: names the first thing that is not what was written.
        """
        from agentsoc.log.check import check

        return check(self, keep=True)[1]
