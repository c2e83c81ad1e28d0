"""Where tests keep scratch files: in memory where the system has that, since most of them test nothing about the disk."""

import os
import tempfile
from pathlib import Path

import pytest

if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK):
    tempfile.tempdir = "/dev/shm"


@pytest.fixture(autouse=True)
def _a_terminal_of_ordinary_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output does not depend on where the tests are started from."""
    monkeypatch.setenv("COLUMNS", "120")
