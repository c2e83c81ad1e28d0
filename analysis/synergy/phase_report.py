"""This module makes the report of `agentsoc phase`: the estimate, what a plan needs, and which runs were no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from agentsoc.errors import InputError
from agentsoc.log.below import runs_at
from agentsoc.log.names import CALIBRATION
from agentsoc.log.notebook import notebook_html
from agentsoc.log.read import RunLog
from analysis.synergy.estimation.known import KnownParameters
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.estimation.phase_of_runs import phase_of_runs, phase_of_votes


@dataclass(frozen=True)
class PhaseReport:
    """The report says where an organisation stands, and what was used and not used to say so."""

    estimate: PhaseEstimate
    """The parameters with their intervals, growth, regime, refusals and assumptions."""
    measured: Measured
    """The same for a plan: with joint bootstrap draws and costs of messages."""
    ignored: tuple[str, ...] = ()
    """Runs that told nothing, each with the reason."""

    def summary(self) -> str:
        """Return the report as text."""
        return "\n".join([self.estimate.summary(), *(f"  ignored: {text}" for text in self.ignored)])

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("phase", self, self.summary())

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: what `agentsoc plan --measurements` reads, and what was ignored."""
        return self.measured.as_dict() | {"ignored": list(self.ignored)}


def report_on_runs(
    places: Sequence[Path],
    *,
    b: int | None = None,
    gamma: float | None = None,
    rho: float | None = None,
    mu_max: float = 1.0,
    n_draws: int = 400,
    seed: int = 0,
) -> PhaseReport:
    """Return the phase of the finished runs at or below `places`.

    Args:
        places: run directories, or directories that hold some.
        b: fan-in (votes a node reads); by default the one that was merged most.
        gamma: fidelity where it is known beforehand.
        rho: correlation where it is known beforehand.
        mu_max: ceiling of the signal of one agent.
        n_draws: bootstrap samples.
        seed: seed of the bootstrap.

    Raises:
        InputError: there is no run somewhere, a run is not finished, or the runs hold nothing to estimate from.
    """
    logs = finished_runs(places)
    found, measured, roles = phase_of_runs(
        logs, b=b, known=KnownParameters(gamma, rho, mu_max), n_draws=n_draws, seed=seed,
        scenario=logs[0].manifest.scenario,
    )  # fmt: skip
    return PhaseReport(found, measured, roles.ignored)


def report_on_votes(
    votes: pl.DataFrame,
    *,
    b: int | None = None,
    gamma: float | None = None,
    rho: float | None = None,
    sent: bool = False,
    n_draws: int = 400,
    seed: int = 0,
) -> PhaseReport:
    """Return the phase that a table of sibling votes tells; see `phase_of_votes` for its columns."""
    return PhaseReport(*phase_of_votes(votes, b=b, gamma=gamma, rho=rho, sent=sent, n_draws=n_draws, seed=seed))


def finished_runs(places: Sequence[Path]) -> list[RunLog]:
    """Return the logs of run directories, also of those below the directories given.

    Raises:
        InputError: there is none somewhere, or one is not finished.
    """
    found = [RunLog(directory) for directory in runs_at(places) if not _at_other_settings(directory)]
    unfinished = [log.directory for log in found if log.manifest.status != "finished"]
    if unfinished:
        raise InputError(
            f"{len(unfinished)} of {len(found)} runs are not finished", str(unfinished[0]), "agentsoc resume DIR"
        )
    return found


def _at_other_settings(directory: Path) -> bool:
    """Return whether a run of a calibration measured agents at other settings than the rest (`calibrate --at`)."""
    calibration = directory.absolute().parent.parent / CALIBRATION
    return "-operating-" in directory.name and calibration.exists()
