"""networkx under its usual name `nx`, imported at its first use: most topologies never build a graph.

The import takes a fifth of what `agentsoc check` may take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import networkx as nx
else:

    class _Later:
        """Stands for the module until something of it is used."""

        def __getattr__(self, name: str) -> Any:
            import networkx

            return getattr(networkx, name)

    nx = _Later()

__all__ = ["nx"]
