"""`agentsoc phase`: where an organisation stands, from runs or from a table of votes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentsoc.errors import InputError
from agentsoc.printing.options import AsJson
from agentsoc.printing.terminal import note, print_json, say
from analysis.commands.extras import require
from analysis.files import read_rows

if TYPE_CHECKING:
    from analysis.synergy.estimation.measured import Measured
    from analysis.synergy.estimation.phase_estimate import PhaseEstimate


def phase(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Runs, or directories that hold some.")
    ] = None,
    votes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A table of sibling votes instead (Parquet or CSV).")
    ] = None,
    sent: Annotated[bool, typer.Option("--sent", help="The votes are as they were cast, not as received.")] = False,
    fan_in: Annotated[
        int | None, typer.Option(min=3, metavar="B", help="Fan-in; by default the one in the data.")
    ] = None,
    gamma: Annotated[float | None, typer.Option(min=0, max=1, help="Fidelity, where it is known.")] = None,
    rho: Annotated[float | None, typer.Option(min=0, max=1, help="Correlation, where it is known.")] = None,
    mu_max: Annotated[float, typer.Option(min=0, max=1, help="Ceiling of the signal of one agent.")] = 1.0,
    draws: Annotated[int, typer.Option(min=2, max=100_000, help="Bootstrap samples.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the phase diagram (PNG) into DIR.")] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate a, beta, gamma, rho, the growth alpha and the exponent s, with intervals, and say the regime.

    RUN... are runs of lone agents at several computes, relays with a planted message, and merges: what
    `agentsoc calibrate` makes, or any of your own; each is used for what it can tell. FILE has the columns task, run,
    node, agent, correct. What the data cannot tell is refused by name; assumptions that they contradict are listed.

    With --json, the object that `agentsoc plan --measurements` reads.
    """
    require("numba", "scipy")
    if figures is not None:
        require("matplotlib", extra="plot")
    if bool(runs) == (votes is not None):
        raise InputError("give runs, or a table of votes", "--votes", "for example: agentsoc phase runs/*")
    ignored: tuple[str, ...] = ()
    if votes is not None:
        from analysis.synergy.estimation.phase_of_runs import phase_of_votes

        estimate, measured = phase_of_votes(
            read_rows(votes), b=fan_in, gamma=gamma, sent=sent, n_draws=draws, seed=seed
        )
    else:
        from analysis.synergy.estimation.phase_of_runs import phase_of_runs

        logs = find_runs(runs or [])
        estimate, measured, roles = phase_of_runs(
            logs, b=fan_in, gamma=gamma, rho=rho, mu_max=mu_max, n_draws=draws, seed=seed,
            scenario=logs[0].manifest.scenario,
        )  # fmt: skip
        ignored = roles.ignored
    drawn = [] if figures is None else draw(estimate, measured, figures)
    if as_json:
        data = measured.as_dict() | {"ignored": list(ignored), "figures": [str(path) for path in drawn]}
        print_json(data)
    else:
        say(estimate.summary())
        for text in ignored:
            say(f"  ignored: {text}")
    for path in drawn:
        note(f"written: {path}")


def find_runs(places: list[Path]) -> list[Any]:
    """Return the logs of run directories, also of those below the directories given.

    Raises:
        InputError: there is none somewhere.
    """
    from agentsoc.log.manifest import NAME
    from agentsoc.log.read import RunLog

    found = []
    for place in places:
        inside = [place] if (place / NAME).exists() else sorted(path.parent for path in place.glob(f"**/{NAME}"))
        if not inside:
            raise InputError("there is no run here", str(place), "name run directories, or a directory that holds some")
        found += [RunLog(directory) for directory in inside if not _at_other_settings(directory)]
    unfinished = [log.directory for log in found if log.manifest.status != "finished"]
    if unfinished:
        raise InputError(
            f"{len(unfinished)} of {len(found)} runs are not finished", str(unfinished[0]), "agentsoc resume DIR"
        )
    return found


def _at_other_settings(directory: Path) -> bool:
    """Return whether a run of a calibration measured agents at other settings than the rest (`calibrate --at`)."""
    calibration = directory.absolute().parent.parent / "calibration.json"
    return "-operating-" in directory.name and calibration.exists()


def draw(estimate: PhaseEstimate, measured: Measured, directory: Path) -> list[Path]:
    """Draw what can be drawn: the plane always, budgets and depths where the leaf law and the channel are known."""
    import numpy as np

    from analysis.synergy.diagram.figures import draw_budget, draw_plane, draw_trajectory, save
    from analysis.synergy.diagram.panels import budget_panel, phase_plane, trajectory_panel
    from analysis.synergy.theory.costs import LeafLaw

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
