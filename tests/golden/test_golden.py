"""Logs of every format that was ever written replay to the digest that they were written with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from agentsoc.engine.replay import replay
from agentsoc.log.read import RunLog

HERE = Path(__file__).parent
DIGESTS = {
    "format-1/orchestrated": "2273e4c098b856e11a79056e48dfae21c7e18dbe57f800fed1b118c9c7260656",
    "format-1/debated": "7797771311d86ede410c6123025f54d5753e262d04fe3aefd787b7537eafd582",
    "format-1/simulated": "4576cf68a95fdf92f8b250eb313ed04a679605eaa5fb0c90884e2d4a320ccee0",
    "format-2/orchestrated": "2273e4c098b856e11a79056e48dfae21c7e18dbe57f800fed1b118c9c7260656",
    "format-2/debated": "7797771311d86ede410c6123025f54d5753e262d04fe3aefd787b7537eafd582",
    "format-2/simulated": "4576cf68a95fdf92f8b250eb313ed04a679605eaa5fb0c90884e2d4a320ccee0",
    "format-2/read-by-3": "351adad36b9490fa1bb1d46f02100e129297dca9895fd4442ec4583fd3c46d78",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_stored_run_replays_to_its_digest(name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "run"
        shutil.copytree(HERE / name, directory)
        seen = replay(directory)
        assert (seen.digest, seen.model_calls) == (DIGESTS[name], 0)
        log = RunLog(directory)
        assert log.manifest.digest == DIGESTS[name]
        notes = log.check().notes
        assert bool(notes) == (log.manifest.format == 1)  # what cannot be checked of an old run is said


def test_every_stored_run_is_tested() -> None:
    stored = {str(path.parent.relative_to(HERE)) for path in HERE.glob("format-*/*/manifest.json")}
    assert stored == set(DIGESTS)
