"""This module alone knows numba: `compiled` turns a typed function on arrays into machine code, cached on disk.

The first use on a machine compiles for some seconds; `when_compiling` lets a verb say so.

Numba keys its cache by the file of the function, not by the files of the functions it calls. So kernels that call each
other live in one module, and an edit never meets stale machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from agentsoc.errors import MissingExtraError

try:
    import numba
    from numba.core import event
except ModuleNotFoundError as missing:  # pragma: no cover - depends on what is installed
    raise MissingExtraError("the analysis of logs", "numba", "analysis") from missing

_F = TypeVar("_F", bound=Callable[..., object])


def compiled(function: _F) -> _F:
    """Return `function` compiled at its first call for the argument types it meets; releases the GIL."""
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


class _Once(event.Listener):
    """The object calls `tell` when the first function is compiled, not when one comes from the cache."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell, self.told = tell, False

    def on_start(self, _: object) -> None:
        """Tell, once."""
        if not self.told:
            self.told = True
            self.tell()

    def on_end(self, _: object) -> None:
        """Do nothing; numba asks for this method."""


@contextmanager
def when_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Within the context, call `tell` once if something has to be compiled first."""
    with event.install_listener("numba:compile", _Once(tell)):
        yield
