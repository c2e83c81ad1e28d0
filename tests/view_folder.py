"""A folder for the viewer to show: stored runs, a comparison, laws and measurements, and a log of hostile texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import polars as pl

from agentsoc.log.read import RunLog
from analysis.importers.store import describe, save
from analysis.tables import from_log
from tests.viewer_results import a_comparison, some_laws, some_measurements

GOLDEN: Final = Path(__file__).parent / "golden" / "format-2"
HOSTILE: Final = (
    "<script>window.hit=1</script>",
    "<img src=x onerror='window.hit=1'>",
    "\"onmouseover='window.hit=1' x=\"",
    "javascript:window.hit=1",
    "<svg/onload=window.hit=1>",
    "</script><iframe src=http://x.example>",
    "a\x00b\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe\u2066 \u05e9\u05dc\u05d5\u05dd",
    "${window.hit=1} {{7*7}}",
    "line\u2028and\u2029paragraph",
    "x" * 262_144,
    "<style>@import url(http://x.example/)</style>",
)


def make_folder(base: Path) -> Path:
    """Make the folder in an empty directory and return it."""
    for name in ("debated", "orchestrated", "simulated"):
        shutil.copytree(GOLDEN / name, base / name)
    a_comparison(base)
    (base / "two.yaml").unlink()
    (base / "laws.json").write_text(json.dumps(some_laws().as_dict()))
    (base / "measured.json").write_text(json.dumps(some_measurements().as_dict()))
    hostile_log(base / "stranger")
    return base


def hostile_log(place: Path) -> None:
    """Make an imported log in which every text is hostile, a different one in each event."""
    frame = RunLog(GOLDEN / "debated").frame().filter(pl.col("task") < 1)
    texts = pl.Series([HOSTILE[at % len(HOSTILE)] for at in range(frame.height)])
    answers = pl.when(pl.col("answer").is_null()).then(None).otherwise(texts)
    frame = frame.with_columns(text=texts, answer=answers)
    table = from_log(frame, run=HOSTILE[0], topology=HOSTILE[1], benchmark=HOSTILE[2], task_names={0: HOSTILE[4]})
    save(table, place, describe("claims", GOLDEN, {HOSTILE[0][:30]: HOSTILE[3]}, [*HOSTILE]))
