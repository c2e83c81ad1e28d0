"""This module writes the report of a comparison beside its runs: report.txt, report.json, estimates, and figures."""

from __future__ import annotations

import json
from pathlib import Path

from agentsoc.log.inside import Inside
from analysis.comparison.estimates import write_estimates
from analysis.comparison.figures import draw
from analysis.comparison.looks import save_looks
from analysis.comparison.report import Report
from analysis.comparison.text import report_as_dict, report_as_text


def write_report(report: Report) -> None:
    """Write the text, the data and the estimates of `report` into the directory of its comparison.

    Where looks are planned, this one is kept: the next report goes on from it.
    """
    inside = Inside(report.results.directory)
    inside.write("report.txt", (report_as_text(report) + "\n").encode())
    inside.write("report.json", json.dumps(report_as_dict(report), indent=1, allow_nan=False).encode())
    if report.looks is not None:
        save_looks(report.results.directory, report.looks)
    write_estimates(report)


def draw_report(report: Report) -> list[Path]:
    """Draw the figures of `report` into the folder ``figures`` of its comparison and return their files."""
    return draw(report, report.results.directory / "figures")
