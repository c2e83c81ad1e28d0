"""This module draws the phase of an estimate into a directory: the plane, the signal by budget and by depth.

Each is a picture (PNG) and, beside it, the table of what is drawn (CSV).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agentsoc.log.files import write_whole
from analysis.csv_cells import as_csv
from analysis.synergy.diagram.figure_tables import budget_table, depth_table, plane_table
from analysis.synergy.diagram.figures import draw_budget, draw_plane, draw_trajectory, save
from analysis.synergy.diagram.panels import budget_panel, phase_plane, trajectory_panel
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.theory.costs import LeafLaw


def draw_phase(estimate: PhaseEstimate, measured: Measured, directory: Path) -> list[Path]:
    """Draw what can be drawn into `directory`, each with its numbers as CSV, and return the files.

    The plane of gamma and rho always; budgets and depths where the leaf law and the fidelity are known.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mu0 = estimate.leaf.signals[-1] if estimate.leaf is not None and estimate.leaf.signals[-1] > 0 else None
    plane = phase_plane(estimate.b, estimate=estimate, mu0=mu0)
    pictures = {"phase-plane": (draw_plane(plane), plane_table(plane))}
    if estimate.gamma is not None and estimate.rho is not None:
        gamma, rho = (float(np.clip(one.value, 0, 1)) for one in (estimate.gamma, estimate.rho))
        if estimate.a is not None and estimate.beta is not None and estimate.beta.value >= 0 and measured.messages:
            leaf = LeafLaw(estimate.a.value, estimate.beta.value, measured.mu_max)
            m = measured.messages[0].cost / 2
            if m > 0:
                panel = budget_panel(estimate.b, gamma, rho, leaf, m, lock=estimate.lock, estimate=estimate)
                pictures["phase-budget"] = (draw_budget(panel), budget_table(panel))
        if mu0 is not None:
            depth = trajectory_panel(mu0, estimate.b, gamma, rho, 6, lock=estimate.lock, estimate=estimate)
            pictures["phase-depth"] = (draw_trajectory(depth), depth_table(depth))
    written = []
    for name, (figure, table) in pictures.items():
        save(figure, directory / f"{name}.png")
        write_whole(directory / f"{name}.csv", as_csv(table))
        written += [directory / f"{name}.png", directory / f"{name}.csv"]
    return written
