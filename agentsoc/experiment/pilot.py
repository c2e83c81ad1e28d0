"""This module makes pilots of a comparison (`engine/pilot.py`): the first tasks of a run of each organisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsoc.engine.consent import Consent
from agentsoc.engine.pilot import Pilot, pilot_scenario, run_pilot
from agentsoc.errors import InputError
from agentsoc.experiment.plan import Kind
from agentsoc.scenario.code import CodeFiles
from agentsoc.scenario.model import Scenario


@dataclass(frozen=True)
class KindPilot:
    """The pilot of runs that differ in nothing but their seed holds what one of them let expect of all."""

    kind: Kind
    pilot: Pilot

    @property
    def runs(self) -> int:
        """Runs that are to be made (runs)."""
        return len(self.kind.cells) - self.kind.answered

    @property
    def tokens_expected(self) -> int:
        """Tokens of all these runs if their tasks take what those of the pilot took on average (tokens)."""
        return self.pilot.tokens_expected * self.runs

    @property
    def cost_expected(self) -> int | None:
        """Cost of these runs by the same rule (units of money); None without prices."""
        each = self.pilot.cost_expected
        return None if each is None else each * self.runs

    @property
    def study_expected(self) -> tuple[int, int, int | None]:
        """Calls, tokens and cost (units of money) of the study in these runs, which are in none of the others."""
        each = self.pilot.study
        if each is None:
            return 0, 0, 0
        cost = each.cost_expected
        return (
            each.calls_expected * self.runs,
            each.tokens_expected * self.runs,
            None if cost is None else cost * self.runs,
        )

    @property
    def seconds_expected(self) -> float:
        """Time of these runs one after the other (seconds)."""
        return self.pilot.seconds_expected * self.runs


def pilot_scenarios(rows: Sequence[Kind], n: int) -> list[tuple[Kind, Scenario]]:
    """Return the scenario of which a pilot is made for each kind of runs that asks a model.

    Raises:
        InputError: none asks a model, or one has no more than `n` tasks.
    """
    found = [(row, row.cells[0].scenario) for row in rows if not row.pure]
    if not found:
        what = "no organisation of this comparison asks a model: simulated runs cost nothing"
        raise InputError(what, "--pilot", "run it: agentsoc compare")
    for _, scenario in found:
        pilot_scenario(scenario, n)
    return found


def run_pilots(
    rows: Sequence[Kind],
    n: int,
    out: Path | None = None,
    *,
    code_paths: Sequence[Path] | CodeFiles = (),
    consent: Consent = False,
) -> list[KindPilot]:
    """Run the first `n` tasks of one run of each kind, one kind after the other, and return what they took.

    Args:
        rows: the plan of the comparison (`agentsoc.experiment.plan`).
        n: tasks, fewer than each organisation has.
        out: the directory below which each pilot has its run directory; None for new ones under ``runs/``.
        code_paths: as in `agentsoc.run`.
        consent: as in `agentsoc.run`.

    Raises:
        InputError: as `pilot_scenarios` and `agentsoc.run`.
        RunFailedError: as `agentsoc.run`; so do the errors for an interrupt.
    """
    return [
        KindPilot(
            row,
            run_pilot(
                scenario,
                n,
                None if out is None else out / row.cells[0].id,
                code_paths=code_paths,
                consent=consent,
            ),
        )
        for row, scenario in pilot_scenarios(rows, n)
    ]
