"""This module holds the two functions of `analysis` about courses: `curve` over a sweep, `watch` along rounds.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from analysis.curves import CurveLaw
    from analysis.files import Places
    from analysis.slowing import EarlyWarning
    from analysis.slowing.rounds import Quantity
    from analysis.tables import EventTable


def curve(
    data: Places | pl.DataFrame,
    *,
    x: str = "n_agents",
    y: str = "score",
    cluster: str | None = None,
    seed: int = 0,
    accept_failures: bool = False,
) -> CurveLaw:
    """Return how one quantity goes with another over a sweep: power law, with breaks, with a limit, or logistic.

    Args:
        data: run directories that differ in `x`, or directories that hold some; or a tidy table, a row for each
            measurement.
        x: column of N, tokens or rounds, positive. Of runs: `n_agents`, `rounds` (of the protocol), or any metric of
            `metrics`, such as `tokens` or `turns` of a task.
        y: column of what depends on it, positive; of runs any metric, such as `score`.
        cluster: column that says which rows belong together; None takes each x as independent.
        seed: seed of the bootstrap.
        accept_failures: whether runs are used in which server, network or key failed in more than one turn in a
            hundred.

    Returns:
        CurveLaw: the law, chosen by the error on values that were left out: `word`, `slopes` (log-log), `breaks`
            (in units of x), `limit` (in units of y), each with its 95 % interval; `predict` for other x;
            `summary()` in words; `card`.

    Raises:
        InputError: there is no run at a path, a column is missing, fewer than four distinct x, or a value is not
            positive and finite.
        BrokenDataError: a run is one of failures, and they are not accepted.
        LogDamagedError: a log is not what was written.
        MissingExtraError: numba or scipy is not installed.
    """
    import polars as pl

    from analysis.extras import require

    require("numba", "scipy")
    from analysis.curves import curve_of

    if isinstance(data, pl.DataFrame):
        return curve_of(data, x, y, cluster=cluster, seed=seed)
    from analysis.files import paths_of
    from analysis.measures.failures import require_unbroken
    from analysis.measures.report import examine
    from analysis.measures.sweep import sweep_table

    require_unbroken(paths_of(data), accept_failures)
    return curve_of(sweep_table(examine(paths_of(data), seed=seed).runs), x, y, cluster=cluster, seed=seed)


def watch(
    logs: Places | EventTable,
    quantity: Quantity = "agreement",
    *,
    execution: int = 0,
    window: int | None = None,
    bandwidth: float | None = None,
    surrogates: int = 500,
    seed: int = 0,
) -> EarlyWarning:
    """Return the signs of slowing along the rounds of one society on one task.

    Args:
        logs: directories as for `read_tables`, or a table that it gave.
        quantity: what is watched in each round: `agreement`, the share of the answers that the commonest has; `right`,
            the share that are right; `disputes`, the share of acts that contradict; `acts`, their number.
        execution: which society and task, by its number in the table.
        window: rounds of a window; None for half of them.
        bandwidth: Gaussian kernel of the trend that is taken away (rounds); None for a tenth of them, 0 for none.
        surrogates: of each kind, 500 or more.
        seed: seed of the surrogates.

    Returns:
        EarlyWarning: for lag-1 autocorrelation, variance and absolute skewness Kendall's tau with time, what 95 %
            of the surrogates give, and p; `summary()` in words, with what these signs are not.

    Raises:
        InputError: there is no log at a path, the execution has fewer than 40 rounds in which this can be measured, it
            does not vary, or a window does not fit.
        LogDamagedError: a log is not what was written.
        MissingExtraError: scipy is not installed.
    """
    from analysis.extras import require

    require("scipy")
    from analysis.cascade_laws.input import read_tables
    from analysis.files import paths_of
    from analysis.slowing import watch_rounds
    from analysis.tables import EventTable

    table = logs if isinstance(logs, EventTable) else read_tables(paths_of(logs))
    return watch_rounds(
        table, quantity, execution=execution, window=window, bandwidth=bandwidth, surrogates=surrogates, seed=seed
    )
