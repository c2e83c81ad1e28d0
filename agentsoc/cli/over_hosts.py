"""This module has the runs of a sweep made by hosts of a Ray cluster, for `agentsoc run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentsoc.errors import AgentsocError, RunFailedError
from agentsoc.printing.live import Style, Watch
from agentsoc.printing.terminal import note

if TYPE_CHECKING:
    from agentsoc.contracts.address import Destination
    from agentsoc.engine.run import Run
    from agentsoc.experiment.spread import Answer, Spread
    from agentsoc.scenario.code import CodeFiles
    from agentsoc.scenario.model import Scenario


def spread_runs(
    runs: Sequence[tuple[Scenario, Path | None]],
    spread: Spread,
    code: CodeFiles,
    consent: frozenset[Destination],
    concurrency: int | None,
    style: Style,
) -> dict[str, Run | AgentsocError]:
    """Return how runs ended that hosts made side by side, by their names; those that stay here are not among them.

    Args:
        runs: scenarios, each with the directory that its run is to have.
        spread: the cluster and how many hosts.
        code: the loose code that they may use.
        consent: what was agreed to.
        concurrency: calls in flight for each model, over all hosts; None for what the scenarios say.
        style: how progress is shown.

    Raises:
        InterruptedSweepError: it was asked to stop.
        RunFailedError: the cluster or its hosts are gone.
    """
    from agentsoc.engine.directory import new_directory
    from agentsoc.engine.forecast import ceiling
    from agentsoc.engine.run import Progress, Run
    from agentsoc.experiment.far_runs import FarRun
    from agentsoc.experiment.spread import SpreadMeans, stays_here
    from agentsoc.experiment.sweep import run_sweep

    kept = [why for scenario, _ in runs if (why := stays_here(scenario))]
    for why in dict.fromkeys(kept):
        note(f"{kept.count(why)} of {len(runs)} runs are made one after the other: {why}")
    sent = [(scenario, out) for scenario, out in runs if not stays_here(scenario)]
    if not sent:
        return {}
    inputs = inputs_for_hosts([scenario for scenario, _ in sent])
    calls = concurrency or max(scenario.engine.concurrency for scenario, _ in sent)
    umask = any(scenario.engine.umask for scenario, _ in sent)
    means = SpreadMeans(spread, inputs, code.hashes, code.paths, consent, calls, umask)
    far = [FarRun(scenario.name, new_directory(scenario, out), scenario) for scenario, out in sent]
    places = {run.name: run.directory for run in far}
    ended: dict[str, Run | AgentsocError] = {}

    def told(name: str, answer: Answer) -> None:
        place = places[name]
        error = RunFailedError(answer.error or answer.status, "")
        ended[name] = Run(place) if answer.status == "finished" else error

    progress = Progress()
    known = [most for scenario, _ in sent if (most := ceiling(scenario)) is not None]
    budget = sum(known) if len(known) == len(sent) else None
    with Watch(progress, f"{len(far)} runs on {spread.hosts} hosts", style=style, budget=budget):
        try:
            run_sweep(far, means, told, progress)
        finally:
            for run in far:
                if run.directory.is_dir() and not any(run.directory.iterdir()):
                    run.directory.rmdir()
    return ended


def inputs_for_hosts(scenarios: Sequence[Scenario]) -> dict[str, bytes]:
    """Return the files that scenarios name, with their content, by the names of the copies.

    Hosts read copies as those of any run, so what is refused of a file for new runs is refused here.

    Raises:
        InputError: a file cannot be read, or has tasks that are none.
        TopologyError: edges of one would be lost.
    """
    from agentsoc.engine.inputs import input_files
    from agentsoc.society.topologies.custom import Custom
    from agentsoc.society.topologies.edges import read_edges

    parts = (scenario.topology for scenario in scenarios)
    for name in dict.fromkeys(one.file for one in parts if isinstance(one, Custom) and one.file is not None):
        read_edges(name)
    families = {one.tasks.model_dump_json(): one for one in scenarios if one.tasks.files()}
    for one in families.values():
        one.tasks.tasks(one.tasks_seed)
    return {name: content for scenario in scenarios for name, content in input_files(scenario)}
