"""Scenarios with a model file that not every machine has are skipped where it is missing, and say so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentsoc.backends import modelfile
from agentsoc.errors import BackendSetupError


def skip_without_models(scenario: Path) -> None:
    """Skip the test when a model file that the scenario names is not on this machine."""
    for name in re.findall(r"kind: local, file: ([\w.-]+)", scenario.read_text(encoding="utf-8")):
        try:
            modelfile.find(Path(name))
        except BackendSetupError:
            pytest.skip(f"needs the model file of {name}: agentsoc model get {name}")
