"""What happens where a folder or file of the user's own is called ``analysis``, like the package beside this one.

Python takes the first ``analysis`` on its path, and that is often the one in the working directory. The command line is
not affected: `use_own_analysis` imports the package from where it is installed. In a script of the user's the name is
theirs; there `explain_imports` sees to it that an import which fails for this reason says so.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Final

from agentsoc.errors import InputError

NAME: Final = "analysis"
INSTALLED: Final = Path(__file__).resolve().parents[1] / NAME
"""Folder of the package, beside that of agentsoc."""
FUNCTIONS: Final = frozenset(
    {"compare", "curve", "laws", "load_runs", "metrics", "phase", "plan", "read_tables", "to_csv", "watch"}
)
"""What `analysis` itself offers, besides its submodules."""
_WAY_OUT: Final = "rename it, or move it off the path (the working directory, the script's directory, PYTHONPATH)"


def use_own_analysis() -> None:
    """Import the package ``analysis`` from beside agentsoc, whatever else of that name is on the path.

    Raises:
        InputError: another ``analysis`` has been imported in this process already.
    """
    loaded = sys.modules.get(NAME)
    if loaded is not None:
        if not _is_own(loaded):
            raise InputError(f"{place(loaded)} hides the package analysis of agentsoc", str(INSTALLED), _WAY_OUT)
        return
    spec = importlib.util.spec_from_file_location(
        NAME, INSTALLED / "__init__.py", submodule_search_locations=[str(INSTALLED)]
    )
    if spec is None or spec.loader is None or not (INSTALLED / "__init__.py").is_file():
        return  # installed in a way of its own: an ordinary import has to find it
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


def explain_imports() -> None:
    """Let an import of a part of ``analysis`` that another ``analysis`` does not have say what hides what."""
    if not any(isinstance(finder, _Explainer) for finder in sys.meta_path):
        sys.meta_path.append(_Explainer())


def place(module: ModuleType) -> str:
    """Return the file or folder that a module was imported from."""
    if module.__spec__ is not None and module.__spec__.submodule_search_locations:
        return str(next(iter(module.__spec__.submodule_search_locations)))
    return str(module.__file__)


class _Explainer(MetaPathFinder):
    """Comes last of all finders, so it is asked only for what nobody has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find nothing; fail with the reason where the part is one of the package that is hidden."""
        package, _, part = fullname.partition(".")
        loaded = sys.modules.get(NAME)
        if package != NAME or loaded is None or _is_own(loaded) or not _is_part(part):
            return None
        raise ModuleNotFoundError(
            f"{place(loaded)} has no {part}: it hides the package analysis of agentsoc ({INSTALLED}); {_WAY_OUT}",
            name=NAME,
        )


def _is_own(module: ModuleType) -> bool:
    return Path(place(module)).resolve() == INSTALLED


def _is_part(name: str) -> bool:
    return name in FUNCTIONS or (INSTALLED / name).is_dir() or (INSTALLED / f"{name}.py").is_file()
