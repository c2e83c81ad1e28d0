"""This module draws the phase of an estimate into a directory (PNG): the plane, the signal by budget and by depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.synergy.diagram.figures import draw_budget, draw_plane, draw_trajectory, save
from analysis.synergy.diagram.panels import budget_panel, phase_plane, trajectory_panel
from analysis.synergy.estimation.measured import Measured
from analysis.synergy.estimation.phase_estimate import PhaseEstimate
from analysis.synergy.theory.costs import LeafLaw


def draw_phase(estimate: PhaseEstimate, measured: Measured, directory: Path) -> list[Path]:
    """Draw what can be drawn into `directory` and return the files.

    The plane of gamma and rho always; budgets and depths where the leaf law and the fidelity are known.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mu0 = estimate.leaf.signals[-1] if estimate.leaf is not None and estimate.leaf.signals[-1] > 0 else None
    pictures = {"phase-plane.png": draw_plane(phase_plane(estimate.b, estimate=estimate, mu0=mu0))}
    if estimate.gamma is not None and estimate.rho is not None:
        gamma, rho = (float(np.clip(one.value, 0, 1)) for one in (estimate.gamma, estimate.rho))
        if estimate.a is not None and estimate.beta is not None and estimate.beta.value >= 0 and measured.messages:
            leaf = LeafLaw(estimate.a.value, estimate.beta.value, measured.mu_max)
            m = measured.messages[0].cost / 2
            if m > 0:
                panel = budget_panel(estimate.b, gamma, rho, leaf, m, lock=estimate.lock, estimate=estimate)
                pictures["phase-budget.png"] = draw_budget(panel)
        if mu0 is not None:
            depth = trajectory_panel(mu0, estimate.b, gamma, rho, 6, lock=estimate.lock, estimate=estimate)
            pictures["phase-depth.png"] = draw_trajectory(depth)
    written = []
    for name, figure in pictures.items():
        save(figure, directory / name)
        written.append(directory / name)
    return written
