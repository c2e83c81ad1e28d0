"""This module works out what a comparison says, and from how many samples: who scores how much, and at what price.

Computed from the table of results alone. Scores and differences come from `analysis.stats.compare_paired`, what
coordination costs from `analysis.measures.episodes.run_metrics`; nothing is estimated here a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from scipy import stats

from agentsoc.errors import InputError
from agentsoc.log.notebook import notebook_html
from analysis.comparison.block import BaselineBlock
from analysis.comparison.broken import LeftOut, left_out, not_comparable
from analysis.comparison.curve_draws import REPLICATES as DRAWN
from analysis.comparison.curves import Curves, make_curves
from analysis.comparison.gain import gains_of
from analysis.comparison.looks import Looks, look_again, read_looks, surer
from analysis.comparison.lost import lost_bounds, lost_episodes
from analysis.comparison.table import Results
from analysis.comparison.together import corrected_together
from analysis.measures.episodes import RunMetrics, run_metrics
from analysis.stats import Interval, MeanRow, PairedComparison, PairedRow, compare_paired, mean_interval
from analysis.stats.margins import WithinMargin, within_margin
from analysis.stats.pooled import Pooled, random_effects
from analysis.stats.proportions import score_bounds

REPLICATES: Final = 10_000
SHOWN_METRICS: Final = (
    *("tokens", "budget_left", "success_per_1k_tokens", "cost", "turns", "rounds", "broadcasts", "deliveries"),
    *("message_density_deliveries", "overhead_turns", "overhead_tokens", "efficiency", "redundancy"),
    *("information_gain", "consensus", "k_star", "majority_correct", "virtual_s", "wall_s", "claims_not_shown"),
)
"""Metrics of the report, in its order; means over tasks, or ratios of means."""


@dataclass(frozen=True)
class _Settings:
    """The settings say how differences are computed; as in `make_report`."""

    seed: int
    replicates: int
    level: float
    effect: float | None
    margin: float | None


@dataclass(frozen=True)
class Report:
    """A report holds a comparison with all that is said of it."""

    results: Results
    """What the runs of the comparison gave."""
    blocks: tuple[BaselineBlock, ...]
    """For each number of agents, the differences from the baseline."""
    metrics: Mapping[str, RunMetrics]
    """Coordination metrics of each organisation, by its label."""
    costs: Mapping[str, Interval]
    """Mean cost of a task by label (money); without those that have no price."""
    reference: str
    """Label of the organisation that overhead and efficiency are relative to."""
    n_tests: int
    """Comparisons that Holm's correction counts."""
    not_comparable: Mapping[str, str] = field(default_factory=dict)
    """Label -> reason of organisations that are not compared, because server, network or key failed."""
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    """By label, episodes with failures that are left out because somebody accepted them."""
    curves: Curves | None = None
    """What several budgets tell, where the comparison has them."""
    looks: Looks | None = None
    """The looks at the comparison, this one last, where looks are planned."""

    def _repr_html_(self) -> str:
        """Return it for a notebook: pictures and tables, without any script."""
        return notebook_html("comparison", self, _plain_text(self))

    @property
    def table(self) -> pl.DataFrame:
        """The table of results."""
        return self.results.table

    def rows(self) -> list[MeanRow | PairedRow]:
        """Every organisation once, in the order of the comparison."""
        found: dict[str, MeanRow | PairedRow] = {}
        for block in self.blocks:
            for row in block.rows:
                found.setdefault(row.organisation, row)
        return [found[label] for label in self.results.members if label in found]


def make_report(
    results: Results,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    level: float = 0.95,
    effect: float | None = None,
    accept_failures: bool = False,
    margin: float | None = None,
) -> Report:
    """Return the report on the results of a comparison.

    Args:
        results: the table and what is missing from it.
        seed: root of all resampling.
        replicates: bootstrap samples, and random swaps of the test.
        level: coverage of the intervals.
        effect: difference for which the tasks that it needs are computed; None for 0.05.
        accept_failures: whether organisations in which the infrastructure failed are compared by their whole episodes.
        margin: largest difference that does not matter, for equivalence; None for that of the comparison's file.

    Returns:
        The report; without a block where all that could be compared is not comparable.

    Raises:
        InputError: no run of the baseline is finished, or nothing can be compared with it.
    """
    table, omitted, broken = _usable(results, accept_failures)
    present = (set(table["organisation"].to_list()) if table.height else set()) - set(broken)
    baselines = [label for label, (name, _) in results.members.items() if name == results.record.baseline]
    if not present & set(baselines) and not broken:
        raise InputError(
            f"no run of the baseline {results.record.baseline} is finished, so there is nothing to compare with",
            str(results.directory),
            "see status and error of its runs in comparison.json",
        )
    margin = results.record.asked.get("margin") if margin is None else margin
    settings = _Settings(seed, replicates, level, effect, margin)
    lost = lost_episodes(results, _labelled(results), table)
    blocks = [
        block
        for baseline in baselines
        if baseline in present
        if (block := _block(results, table, lost, present, baseline, settings)) is not None
    ]
    if not blocks and not broken:
        raise InputError(
            "only one organisation has finished runs, so there is nothing to compare",
            str(results.directory),
            "see status and error of the other runs in comparison.json",
        )
    blocks, n_tests = corrected_together(blocks)
    table = table.filter(pl.col("organisation").is_in(list(present)))
    reference = _reference(results, present) if present else ""
    metrics = _metrics(table, results, reference, seed) if present else {}
    costs = _costs(table, results, metrics, settings)
    curves = make_curves(results, table, blocks, metrics, seed=seed, replicates=min(replicates, DRAWN), level=level)
    looks = _looks(results, blocks, 1 - level)
    return Report(results, tuple(blocks), metrics, costs, reference, n_tests, broken, omitted, curves, looks)


def _costs(table: pl.DataFrame, results: Results, labels: Iterable[str], how: _Settings) -> dict[str, Interval]:
    """Return the mean cost of a task of each organisation of which every task has one."""
    return {
        label: mean_interval(
            part, value="cost", cluster=results.cluster, level=how.level, replicates=how.replicates, seed=how.seed
        )
        for label in labels
        for part in [table.filter(pl.col("organisation") == label)]
        if part["cost"].null_count() == 0
    }


def _looks(results: Results, blocks: Sequence[BaselineBlock], alpha: float) -> Looks | None:
    """Return the looks at the comparison with this one; None where none are planned."""
    planned = results.record.asked.get("looks")
    if planned is None:
        return None
    found = {
        block.name(row.organisation): (row.n_pairs, row.p, row.difference.value > 0)
        for block in blocks
        for row in block.found.rows
    }
    absent = {cell.id for cell in results.missing}
    runs = [f"{cell.id} {cell.digest}" for cell in results.record.cells if cell.id not in absent]
    return look_again(read_looks(results.directory, int(planned)), int(planned), runs, found, alpha)


def _usable(results: Results, accept_failures: bool) -> tuple[pl.DataFrame, dict[str, LeftOut], dict[str, str]]:
    """Return the rows that count, with labels; what is left out of them; and who is not comparable, with the reason."""
    table = _labelled(results)
    if not accept_failures or not table.height:
        return table, {}, not_comparable(results, table)
    omitted = left_out(table)
    table = table.filter(pl.col("failed_infrastructure") == 0)
    whole = set(table["organisation"].to_list())
    broken = {label: "no episode is whole" for label in omitted if label not in whole}
    return table, omitted, not_comparable(results, table) | broken


def _block(
    results: Results,
    table: pl.DataFrame,
    lost: pl.DataFrame,
    present: set[str],
    baseline: str,
    how: _Settings,
) -> BaselineBlock | None:
    """Return the differences of all that belong to a baseline to it; None where nothing does."""
    several = sum(name == results.record.baseline for name, _ in results.members.values()) > 1
    n = results.counts[baseline] if several else None
    labels = [
        label for label in results.members if label in present and (n is None or results.counts[label] in (n, None))
    ]
    if len(labels) < 2:
        return None
    part = _in_order(table, labels)
    found = compare_paired(
        part, baseline=baseline, cluster=results.cluster, seed=how.seed, replicates=how.replicates, level=how.level,
        effect=how.effect,
    )  # fmt: skip
    if results.record.asked.get("looks") is not None:
        found = surer(found, part, results.cluster)
    by_tasks = _by_tasks(part, results, baseline, how)
    margins: Sequence[WithinMargin] = ()
    if how.margin is not None:
        margins = within_margin(part, how.margin, baseline=baseline, cluster=results.cluster, level=how.level)
    bounds = lost_bounds(
        part, lost, baseline, results.cluster, seed=how.seed, replicates=how.replicates, margin=how.margin,
        level=how.level,
    )  # fmt: skip
    named = {one.organisation: one for one in margins}
    scores = score_bounds(part["score"].cast(pl.Float64).to_numpy()) is not None
    within = (-1.0, 1.0) if scores else (-np.inf, np.inf)
    gains: dict[str, Interval | str] = {}
    if results.agents[baseline] == 1 and results.record.matched:
        gains = gains_of(
            part, baseline, results.cluster, replicates=how.replicates, seed=how.seed, level=how.level
        )  # fmt: skip
    pooled = _pooled(by_tasks, labels, how.level, within)
    if results.at_budgets:
        return BaselineBlock(None, found, by_tasks, named, bounds, pooled, gains, results.members[baseline][1])
    return BaselineBlock(n, found, by_tasks, named, bounds, pooled, gains)


def _pooled(
    by_tasks: Mapping[str, PairedComparison], labels: Sequence[str], level: float, within: tuple[float, float]
) -> dict[str, Pooled]:
    """Return the difference of each organisation over the task blocks that it was compared on, where there are several.

    The error of a difference is a quarter of the width of its 95 % interval, and at other levels accordingly.
    """
    reach = 2 * float(stats.norm.ppf((1 + level) / 2))
    found = {}
    for label in labels:
        rows = [row for one in by_tasks.values() for row in one.rows if row.organisation == label]
        errors = [row.difference.width / reach for row in rows]
        if len(rows) > 1 and all(0 < error < np.inf for error in errors):
            found[label] = random_effects([row.difference.value for row in rows], errors, level=level, within=within)
    return found


def _labelled(results: Results) -> pl.DataFrame:
    """Return the table with labels for organisations: with their number of agents where they come in several."""
    if not results.table.height:
        return results.table
    names = pl.DataFrame(
        {
            "organisation": [name for name, _ in results.members.values()],
            results.number: [n for _, n in results.members.values()],
            "label": list(results.members),
        },
        schema={"organisation": pl.String, results.number: pl.Int64, "label": pl.String},
    )
    joined = results.table.join(names, on=["organisation", results.number], how="left", maintain_order="left")
    return joined.with_columns(organisation=pl.col("label")).drop("label")


def _in_order(table: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Return the rows of these organisations, in this order."""
    return pl.concat([table.filter(pl.col("organisation") == label) for label in labels])


def _by_tasks(table: pl.DataFrame, results: Results, baseline: str, how: _Settings) -> dict[str, PairedComparison]:
    blocks = table["tasks"].unique(maintain_order=True).to_list()
    if len(blocks) < 2:
        return {}
    found = {}
    for name in blocks:
        part = table.filter(pl.col("tasks") == name)
        if baseline in part["organisation"] and part["organisation"].n_unique() > 1:
            found[name] = compare_paired(
                part, baseline=baseline, cluster=results.cluster, seed=how.seed, replicates=how.replicates,
                level=how.level,
            )  # fmt: skip
    return found


def _reference(results: Results, present: set[str]) -> str:
    """Return what overhead is relative to: a single agent, the baseline if it is one, else the baseline."""
    members = {label: place for label, place in results.members.items() if label in present}
    of_baseline = [label for label, (name, _) in members.items() if name == results.record.baseline]
    alone = [label for label in members if results.agents[label] == 1]
    return next((label for label in of_baseline if label in alone), (alone or of_baseline or list(members))[0])


def _metrics(table: pl.DataFrame, results: Results, reference: str, seed: int) -> dict[str, RunMetrics]:
    """Return the metrics of every organisation; tasks that recur with several seeds count once, by their mean.

    Where there are several budgets, what coordination costs is relative to the reference at the same one.
    """
    rows = {label: part for (label,), part in table.group_by("organisation", maintain_order=True)}
    tasks = {str(label): _by_task(part, results.cluster) for label, part in rows.items()}
    at = {results.label(results.members[reference][0], n): n for n in results.sizes[results.members[reference][0]]}
    same = {n: label for label, n in at.items() if label in tasks} if results.at_budgets else {}
    return {
        label: run_metrics(tasks[label], tasks[same.get(number, reference)], seed=seed)
        for label, (_, number) in results.members.items()
        if label in tasks
    }


def _by_task(rows: pl.DataFrame, cluster: Sequence[str]) -> pl.DataFrame:
    numbers = [name for name, kind in rows.schema.items() if kind.is_numeric() or kind == pl.Boolean]
    means = [pl.col(name).cast(pl.Float64).mean() for name in numbers if name not in (*cluster, "seed", "n_agents")]
    by_task = rows.group_by(cluster).agg(means).sort(cluster)
    return by_task.with_columns(task=pl.concat_str(cluster, separator="/"))


def measured(report: Report, label: str, name: str) -> Interval | None:
    """Return one metric of an organisation, None where it is not defined or not known."""
    if name == "cost" and label in report.costs:
        return report.costs[label]
    found = report.metrics.get(label)
    return None if found is None else found.values.get(name)


def _plain_text(report: Report) -> str:
    """Return the scores of a report, a line each; `analysis.comparison.text` has the whole report."""
    return "\n".join(f"{row.organisation}: {row.mean.text()}" for row in report.rows())
