"""Which stopped runs have their failed turns made again without being asked for."""

from __future__ import annotations

import pytest

from agentsoc.engine.remake import BEING_MADE_AGAIN, is_to_be_made_again
from agentsoc.engine.run import run
from agentsoc.log.manifest import Manifest, Status
from tests.strategies import scenario


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return run(scenario(), tmp_path_factory.mktemp("runs") / "run").manifest


@pytest.mark.parametrize(
    ("status", "error", "again"),
    [
        ("failed", "ModelFailedError: the first 5 calls of m failed alike: rejected: HTTP 404", True),
        ("failed", BEING_MADE_AGAIN, True),  # the marking of its rows was cut off, or a comparison asked for it
        ("failed", "OSError: [Errno 28] No space left on device", False),
        ("failed", "RunFailedError: the journal cannot be written: database or disk is full", False),
        ("failed", None, False),
        ("interrupted", "ModelFailedError: m has answered nobody", False),
        ("finished", None, False),
    ],
)
def test_a_run_that_its_models_ended_and_no_other(
    manifest: Manifest, status: Status, error: str | None, again: bool
) -> None:
    assert is_to_be_made_again(manifest.model_copy(update={"status": status, "error": error})) is again
