"""The one place that knows numba: `compiled` turns a typed function on arrays into machine code, cached on disk.

Numba keys its cache by the file of the function, not by the files of the functions it calls. So kernels that call each
other live in one module, and an edit never meets stale machine code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from agentsoc.errors import MissingExtraError

try:
    import numba
except ModuleNotFoundError as missing:  # pragma: no cover - depends on what is installed
    raise MissingExtraError("the analysis of logs", "numba", "analysis") from missing

_F = TypeVar("_F", bound=Callable[..., object])


def compiled(function: _F) -> _F:
    """Return `function` compiled at its first call for the argument types it meets; releases the GIL."""
    return cast(_F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
