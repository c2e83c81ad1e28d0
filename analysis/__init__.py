"""This package says what the logs of societies show, and holds the theory behind it. It never runs a society.

These functions do from Python what commands do, or have no command; they return objects instead of text:

- `load_runs`    one row for each run: settings, score, tokens
- `to_csv`       any of the tables as CSV
- `read_tables`  runs and imported logs as one table of events
- `laws`         tails, growth with N, elites, integration, attachment, with every reason to doubt them
- `metrics`      what coordination cost, how diverse agents were, how errors spread
- `compare`      differences between organisations of a comparison that was run
- `phase`        signal, fidelity and correlation of agents, and whether trees of them amplify or collapse
- `plan`         the organisation that is worth its tokens
- `curve`        how a quantity goes with N, tokens or rounds: power law, with breaks, with a limit, logistic
- `watch`        signs of slowing along the rounds of a society, with what chance gives

Rooms behind them: ``claims`` (cascades, merges, attachment), ``observables``, ``cascade_laws``, ``curves``,
``measures``, ``comparison``, ``slowing``, ``synergy`` (theory, simulation, estimation, planning, diagrams), ``stats``,
``tails``, ``voting``, ``importers``; ``commands`` has the verbs.

Nothing heavy is imported before it is used. The functions need the extra: ``pip install "agentsoc[analysis]"``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, overload

from analysis.along import curve, watch
from analysis.frames import load_runs, to_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Unpack

    import polars as pl

    from analysis.cascade_laws.long_table import LongTable
    from analysis.cascade_laws.report import LawsReport
    from analysis.claims.attachment_choices import RiskSet
    from analysis.comparison.report import Report
    from analysis.comparison.table import Results
    from analysis.files import Places
    from analysis.measures.embeddings import Embedder
    from analysis.measures.report import Reports
    from analysis.synergy.estimation.measured import Measured
    from analysis.synergy.phase_report import PhaseReport
    from analysis.synergy.planning.design import DesignReport
    from analysis.synergy.planning.plan import Family
    from analysis.synergy.planning.recommend import Recommendation
    from analysis.tables import EventTable

__all__ = [
    "compare", "curve", "laws", "load_runs", "metrics", "phase", "plan", "read_tables", "to_csv", "watch",
]  # fmt: skip


class KnownVoters(TypedDict, total=False):
    """The mapping holds parameters of `phase` that are known beforehand."""

    gamma: float | None
    """Fidelity of a message, in [0, 1]."""
    rho: float | None
    """Correlation of received votes given the task, in [0, 1)."""
    mu_max: float
    """Ceiling of the signal of one agent, in [0, 1]; for runs only."""


class KnownTheory(TypedDict, total=False):
    """The mapping holds parameters of `plan` that are taken as certain."""

    a: float | None
    """Signal of one token: mu = a x^beta."""
    beta: float | None
    """Compute exponent of a leaf."""
    gamma: float | None
    """Fidelity of a message of `message` tokens, in [0, 1]."""
    rho: float | None
    """Correlation of the votes that a node reads, in [0, 1]."""
    mu_max: float | None
    """Ceiling of the signal of one agent, in [0, 1]."""
    message: int | None
    """Tokens of the messages that `gamma` is about; without measurements only."""
    m0: float | None
    """Scale of a fidelity curve gamma(m), in tokens, instead of `gamma`; without measurements only."""
    family: Family
    """Form of that curve: exp, hyp, hill or capacity; without measurements only."""


def read_tables(places: Places) -> EventTable:
    """Return the events of runs and imported logs as one table.

    Args:
        places: one directory or several: run directories, imported logs, or directories that hold some at most three
            levels below.

    Returns:
        EventTable: `events`, a polars frame with a row for each act, in order of execution, round, agent;
            `executions`, a frame with a row for each society on one task; `caveats`, what a reader must know of the
            logs.

    Raises:
        InputError: a path does not exist or holds no log, or the same log is given twice.
        LogDamagedError: a log is not what was written.
    """
    from analysis.cascade_laws.input import read_tables as read
    from analysis.files import paths_of

    return read(paths_of(places))


def laws(
    logs: Places | EventTable | LongTable,
    *,
    by: str | Sequence[str] = (),
    fast: bool = False,
    gof: int | None = None,
    risk: RiskSet | None = None,
    seed: int = 0,
    accept_failures: bool = False,
) -> LawsReport:
    """Return which laws of coordination the logs support; what `agentsoc laws` prints.

    Args:
        logs: directories as for `read_tables`, or a table that it gave. Runs of more than a million events are read
            from directories part by part, so that they need not fit into memory; a table has to.
        by: also for each group of executions: any of benchmark, topology, n, seed, run.
        fast: leave the bootstrap out; no power law is claimed then.
        gof: replicates of the goodness-of-fit test; None for 100. Take 1000 for a claim.
        risk: for logs that do not say it, which earlier claims everybody could read: "all", or each one's "latest".
        seed: seed of all resampling.
        accept_failures: whether runs are used in which server, network or key failed in more than one turn in a
            hundred; they say nothing about a society.

    Returns:
        LawsReport: `whole`, the laws of all executions: for each observable its sample (counts, in the unit it
            names), its tail with intervals and verdict, and its growth with N; `groups`, the same for each group.
            `summary()` is the text and `as_dict()` the JSON of the command.

    Raises:
        InputError: there is no log at a path, or executions cannot be grouped so.
        BrokenDataError: a run is one of failures, and they are not accepted; a table is taken as it is.
        LogDamagedError: a log is not what was written.
        MissingExtraError: numba or scipy is not installed.
    """
    from analysis.extras import require

    require("numba", "scipy")
    from analysis.cascade_laws.input import open_tables
    from analysis.cascade_laws.long_table import LongTable
    from analysis.cascade_laws.report import laws_of_table
    from analysis.files import paths_of
    from analysis.measures.failures import require_unbroken
    from analysis.tables import EventTable

    keys = [by] if isinstance(by, str) and by else list(by)
    if not isinstance(logs, EventTable | LongTable):
        require_unbroken(paths_of(logs), accept_failures)
    table = logs if isinstance(logs, EventTable | LongTable) else open_tables(paths_of(logs))
    return laws_of_table(table, by=keys, fast=fast, gof=gof, risk=risk, seed=seed)


def metrics(
    runs: Places,
    *,
    baseline: str | Path | None = None,
    embedder: Callable[[Path], Embedder] | None = None,
    centred: bool = False,
    seed: int = 0,
    accept_failures: bool = False,
) -> Reports:
    """Return what coordination cost in some runs and what it gave; what `agentsoc metrics` prints.

    Args:
        runs: one directory or several: run directories, or directories that hold some at most three levels below.
        baseline: the single agent's run; None for the only run with one agent among `runs`, where there is one.
        embedder: makes the embedder of a run from its directory, to compare texts; None compares answers.
        centred: take what all agents have in common away before channels are counted.
        seed: seed of all resampling.
        accept_failures: whether runs are used in which server, network or key failed in more than one turn in a
            hundred; they say nothing about a society.

    Returns:
        Reports: one report a run, in the order found. Every metric is a value with its 95 % interval over tasks:
            overheads in percent of the baseline, information in bits, budget in tokens, times in seconds, all
            others as ratios. `analysis.measures.text` makes the command's text and JSON of them.

    Raises:
        InputError: there is no run at a path, or a run has no task that ended.
        BrokenDataError: a run is one of failures, and they are not accepted.
        LogDamagedError: a log is not what was written.
        MissingExtraError: numba or scipy is not installed.
    """
    from pathlib import Path

    from analysis.extras import require

    require("numba", "scipy")
    from analysis.files import paths_of
    from analysis.measures.failures import require_unbroken
    from analysis.measures.report import examine

    single = None if baseline is None else Path(baseline)
    require_unbroken([*paths_of(runs), *([] if single is None else [single])], accept_failures)
    return examine(paths_of(runs), baseline=single, embedder=embedder, centred=centred, seed=seed)


def compare(
    results: str | Path | Results,
    *,
    effect: float | None = None,
    margin: float | None = None,
    seed: int = 0,
    accept_failures: bool = False,
) -> Report:
    """Return the differences between the organisations of a comparison; what `agentsoc compare` prints.

    Nothing is run: `agentsoc.run_comparison` makes the directory. Nothing is written either.

    Args:
        results: the directory of a comparison, or what `analysis.comparison.table.read_results` made of it.
        effect: difference of the score for which the number of tasks needed is told; None for 0.05.
        margin: largest difference of the score that does not matter, for which equivalence is tested; None for that of
            the comparison's file.
        seed: seed of all resampling.
        accept_failures: whether organisations are compared in which server, network or key failed in more than one
            turn in a hundred: by the tasks in which none did, with bounds for the others.

    Returns:
        Report: for each number of agents the paired differences from the baseline, in the unit of the score, with
            95 % intervals and corrected p values; metrics of every organisation; costs in money where prices are
            known; the table of results, a row for each organisation, number of agents, task and seed.
            `analysis.comparison.text` makes the command's text and JSON of it.

    Raises:
        InputError: the baseline, or all but one organisation, has no finished run.
        LogDamagedError: the record of the comparison is missing or not what was written.
        MissingExtraError: scipy is not installed.
    """
    from pathlib import Path

    from analysis.extras import require

    require("scipy")
    from analysis.comparison.report import make_report
    from analysis.comparison.table import read_results

    read = read_results(Path(results)) if isinstance(results, str | Path) else results
    return make_report(read, effect=effect, seed=seed, accept_failures=accept_failures, margin=margin)


def phase(
    runs: Places = (),
    *,
    votes: str | Path | pl.DataFrame | None = None,
    sent: bool = False,
    b: int | None = None,
    n_draws: int = 400,
    seed: int = 0,
    accept_failures: bool = False,
    **known: Unpack[KnownVoters],
) -> PhaseReport:
    """Return where an organisation stands: parameters, growth and regime; what `agentsoc phase` prints.

    Args:
        runs: finished runs of lone agents, relays and merges, or directories that hold some at most
            three levels below.
        votes: a table of sibling votes instead, or its file (Parquet or CSV): columns task, run, node, agent, correct
            (1 or 0), and k, the number of answers, where that is not 2.
        sent: whether these votes are as they were cast; by default as they were received.
        b: fan-in, odd, at least 3; by default the one in the data.
        n_draws: bootstrap samples.
        seed: seed of the bootstrap.
        accept_failures: whether runs are used in which server, network or key failed too often.
        known: `gamma`, `rho`, `mu_max`, where they are known beforehand.

    Returns:
        PhaseReport: `estimate`, with a, beta, gamma, rho, growth alpha and exponent s, each with its 95 % interval,
            or refused with a reason; `measured`, the same with joint bootstrap draws of shape (n_draws,), for
            `plan`; `ignored` runs. `summary()` is the text and `as_dict()` the JSON of the command.

    Raises:
        InputError: runs and votes were both given, or neither; or something that only the other of them can use;
            or they hold nothing to estimate from.
        BrokenDataError: a run is one of failures, and they are not accepted.
        LogDamagedError: a log is not what was written.
        MissingExtraError: numba or scipy is not installed.
    """
    import polars as pl

    from agentsoc.errors import InputError
    from analysis.extras import require

    require("numba", "scipy")
    from analysis.files import paths_of, read_rows
    from analysis.measures.failures import require_unbroken
    from analysis.synergy.phase_report import report_on_runs, report_on_votes

    places = paths_of(runs)
    if bool(places) == (votes is not None):
        raise InputError("give runs, or a table of votes", "--votes", "for example: agentsoc phase runs/*")
    if votes is None:
        if sent:
            raise InputError("the logs of runs tell how votes were cast", "--sent", "leave it out, or give --votes")
        require_unbroken(places, accept_failures)
        return report_on_runs(places, b=b, n_draws=n_draws, seed=seed, **known)
    if known.get("mu_max", 1.0) != 1.0:
        raise InputError("votes of siblings tell nothing of the ceiling of one agent", "--mu-max", "leave it out")
    gamma, rho = known.get("gamma"), known.get("rho")
    table = votes if isinstance(votes, pl.DataFrame) else read_rows(paths_of(votes)[0])
    return report_on_votes(table, b=b, gamma=gamma, rho=rho, sent=sent, n_draws=n_draws, seed=seed)


@overload
def plan(
    budget: float,
    *,
    window: float = ...,
    measurements: str | Path | Measured | PhaseReport,
    fan_ins: Sequence[int] | None = ...,
    x_min: float | None = ...,
    **known: Unpack[KnownTheory],
) -> Recommendation: ...


@overload
def plan(
    budget: float,
    *,
    window: float = ...,
    measurements: None = ...,
    fan_ins: None = ...,
    x_min: float | None = ...,
    **known: Unpack[KnownTheory],
) -> DesignReport: ...


def plan(
    budget: float,
    *,
    window: float = 4096.0,
    measurements: str | Path | Measured | PhaseReport | None = None,
    fan_ins: Sequence[int] | None = None,
    x_min: float | None = None,
    **known: Unpack[KnownTheory],
) -> Recommendation | DesignReport:
    """Return the organisation that is worth its tokens; what `agentsoc plan` prints.

    Args:
        budget: tokens of one answer of the whole organisation.
        window: tokens of messages that a node can read.
        measurements: what `phase` returned, or the file that `agentsoc calibrate` wrote or `phase --json` printed.
        fan_ins: odd fan-ins to consider, with measurements; by default all that fit, thinned out.
        x_min: fewest tokens of a leaf; by default the fewest that were measured, without measurements 1.
        known: what is taken as certain. With measurements, any of `a`, `beta`, `gamma`, `rho`, `mu_max`, in place of
            what was measured. Without, `a`, `beta`, `rho` and either `gamma` with `message` or `m0` with `family`.

    Returns:
        Recommendation | DesignReport: with measurements, a `Recommendation`: the best design and its rivals, each
            with the share of bootstrap draws in which it beats one agent. Without, a `DesignReport` of the exact
            search. Signals are in [0, 1], lengths in tokens. Both have `as_dict()`.

    Raises:
        InputError: a parameter is missing, or the budget does not pay for one agent.
        MissingExtraError: numba or scipy is not installed.
    """
    from pathlib import Path

    from agentsoc.errors import InputError
    from analysis.extras import require

    require("numba", "scipy")
    from analysis.synergy.estimation.measured import Measured, load_measurements
    from analysis.synergy.phase_report import PhaseReport
    from analysis.synergy.planning.plan import StatedParameters, plan_from_parameters
    from analysis.synergy.planning.recommend import recommend

    given = StatedParameters(**known)
    if measurements is None:
        if fan_ins is not None:
            raise InputError("fan-ins can be chosen with measurements only", "", "leave fan_ins out")
        return plan_from_parameters(budget, window, given, x_min=x_min)
    if given.message is not None or given.m0 is not None:
        raise InputError("message and m0 describe a plan without measurements", "", "leave them out")
    if isinstance(measurements, PhaseReport):
        measured = measurements.measured
    elif isinstance(measurements, Measured):
        measured = measurements
    else:
        measured = load_measurements(Path(measurements))
    stated = measured.with_given(a=given.a, beta=given.beta, gamma=given.gamma, rho=given.rho, mu_max=given.mu_max)
    return recommend(stated, budget, window, fan_ins=fan_ins, x_min=x_min)
