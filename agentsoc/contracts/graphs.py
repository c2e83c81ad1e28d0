"""This module gives networkx its usual name `nx` and imports it at its first use: most topologies build no graph.

The import takes a fifth of what `agentsoc check` may take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx
else:

    class _Later:
        """The object stands for the module until somebody uses something of it."""

        def __getattr__(self, name: str) -> Any:
            import networkx

            return getattr(networkx, name)

    nx = _Later()

__all__ = ["nx"]
