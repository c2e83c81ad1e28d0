"""This module keeps what Ray would print in a file: standard output and standard error belong to the command.

Ray prints news of its processes on the driver's standard output (a raylet that dies brings twenty lines of its log),
has no setting against it, and gives its logger a handler for standard error.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
from pathlib import Path
from typing import Any


class OutputFile:
    """The file takes what Ray says, from its making until `close`."""

    def __init__(self, ray: Any, path: Path) -> None:
        path.touch(mode=0o600)
        self._file = path.open("a", encoding="utf-8")
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._logger = logging.getLogger("ray")
        self._before = (self._logger.handlers[:], self._logger.propagate)
        self._logger.handlers[:] = [self._handler]
        self._logger.propagate = False
        self._worker = ray._private.worker
        self._print = self._worker.print_to_stdstream
        self._worker.print_to_stdstream = self._write
        # Ray would turn it on for standard error, where its aborts then leave the stacks of Python
        self._crashes = not faulthandler.is_enabled()
        if self._crashes:
            faulthandler.enable(self._file, all_threads=False)

    def _write(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
        """Note a message that Ray wants printed."""
        for line in data.get("lines", ()):
            self._logger.error("(%s) %s", data.get("pid"), line)

    def close(self) -> None:
        """Give back what was changed, and close the file."""
        if self._crashes:
            faulthandler.disable()
        self._worker.print_to_stdstream = self._print
        self._logger.handlers[:], self._logger.propagate = self._before
        with contextlib.suppress(OSError):
            self._file.close()
