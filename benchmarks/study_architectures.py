"""Which of five architectures pays on work of many tool calls: calls that do not need each other, and calls that do?

Run: ``python -m benchmarks.study_architectures`` prints the tables and sentences of
docs/experiments/tool-heavy-or-sequential.md from the committed results; ``--gather NAME=DIRECTORY ...`` first takes
finished comparisons (`agentsoc compare`) into them: ``benchmarks/results/architectures.parquet`` has one row for each
organisation, task and seed, ``architectures.json`` the digests of the runs that the rows are of.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from statistics import fmean, variance
from typing import Any, Final

import polars as pl

from analysis.stats.paired import MeanRow, PairedComparison, PairedRow, compare_paired

RESULTS: Final = Path(__file__).parent / "results" / "architectures.parquet"
DIGESTS: Final = RESULTS.with_suffix(".json")
BASELINE: Final = "single"
COLUMNS: Final = (
    *("organisation", "tasks", "task", "seed", "score", "answered", "stop", "turns", "calls", "tool_calls"),
    *("broadcasts", "tokens", "budget"),
)
BUDGETS: Final = (6_000, 40_000)
"""Ceilings of the simulated part (tokens a task)."""
Z95: Final = 1.96
DECIDED: Final = 0.05
"""Largest corrected p of a difference that is said to be told (probability)."""


def gather(found: dict[str, Path]) -> None:
    """Take finished comparisons into the committed results, each under its name.

    Args:
        found: directory of each comparison by the name of its setting.
    """
    digests: dict[str, Any] = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    tables = [] if not RESULTS.exists() else [pl.read_parquet(RESULTS).filter(~pl.col("setting").is_in(list(found)))]
    for name, directory in found.items():
        report = json.loads((directory / "report.json").read_text())
        if report["missing"] or any(cell["status"] != "finished" for cell in report["cells"]):
            raise SystemExit(f"{directory}: not all of its runs are finished")
        rows = pl.read_parquet(directory / "results.parquet").select(pl.lit(name).alias("setting"), *COLUMNS)
        tables.append(rows)
        cells = {cell["organisation"]: cell["digest"] for cell in report["cells"]}
        digests[name] = {"comparison": report["hash"], "runs": cells}
    table = pl.concat(tables).sort("setting", "organisation", "seed", "task", maintain_order=True)
    table.write_parquet(RESULTS, compression="zstd", compression_level=19)
    DIGESTS.write_text(json.dumps(dict(sorted(digests.items())), indent=1) + "\n")


@lru_cache(maxsize=16)
def compared(setting: str) -> PairedComparison:
    """Return the comparison of all organisations with the single agent in one setting."""
    return compare_paired(of(setting), baseline=BASELINE)


def of(setting: str) -> pl.DataFrame:
    """Return the rows of one setting, from committed results."""
    return pl.read_parquet(RESULTS).filter(pl.col("setting") == setting)


def table(setting: str) -> list[str]:
    """Return the table of a setting in Markdown."""
    found, spent = compared(setting), _spent(of(setting))
    lines = [
        "| | score [95 %] | minus single [95 %] | p (Holm) | could find | tokens a task | calls of the tool | "
        "stopped by the budget | without an answer |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in (found.baseline, *found.rows):
        own = spent[row.organisation]
        mean = f"{row.mean.value:.3f} [{row.mean.low:.3f}, {row.mean.high:.3f}]"
        versus = " | ".join(_versus(row))
        stops = f"{own['stopped']:.0%} | {own['silent']:.0%}"
        lines.append(
            f"| {row.organisation} | {mean} | {versus} | {own['tokens']:,.0f} | {own['tool_calls']:.1f} | {stops} |"
        )
    return lines


def _versus(row: MeanRow) -> tuple[str, str, str]:
    if not isinstance(row, PairedRow):
        return "", "", ""
    one = row.difference
    p = "<0.001" if row.p_holm < 0.001 else f"{row.p_holm:.3f}"
    least = "nothing" if row.detectable is None else f"{row.detectable:.3f}"
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]", p, least


def _spent(rows: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Return by organisation what a task took and how it ended, on average."""
    means = rows.group_by("organisation").agg(
        pl.col("tokens").mean(),
        pl.col("tool_calls").mean(),
        (pl.col("stop") == "budget_exhausted").mean().alias("stopped"),
        (~pl.col("answered")).mean().alias("silent"),
    )
    return {row["organisation"]: row for row in means.iter_rows(named=True)}


def told(setting: str) -> str:
    """Return in a sentence who can be told from the single agent in a setting, and who cannot."""
    rows = compared(setting).rows
    parts = []
    for word, sign in (("above", 1), ("below", -1)):
        names = [r.organisation for r in rows if r.p_holm <= DECIDED and sign * (r.difference.value or 0.0) > 0]
        if names:
            parts.append(f"{word} the single agent: {', '.join(names)}")
    rest = [r.organisation for r in rows if r.p_holm > DECIDED]
    if rest:
        parts.append(f"not told from it: {', '.join(rest)}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def contrast(organisation: str, one: str, other: str) -> str:
    """Return the lead of an organisation in one setting minus that in another, with its normal 95 % interval."""
    leads = [_leads(organisation, setting) for setting in (one, other)]
    value = fmean(leads[0]) - fmean(leads[1])
    reach = Z95 * sum(variance(lead) / len(lead) for lead in leads) ** 0.5
    return f"{value:+.3f} [{value - reach:+.3f}, {value + reach:+.3f}]"


def _leads(organisation: str, setting: str) -> list[float]:
    """Return by task how much better an organisation is than the single agent."""
    rows = of(setting)
    own, base = (rows.filter(pl.col("organisation") == name).sort("seed", "task") for name in (organisation, BASELINE))
    if not own.select("seed", "task").equals(base.select("seed", "task")):
        raise SystemExit(f"{setting}: {organisation} and {BASELINE} have other tasks")
    return (own["score"] - base["score"]).to_list()


def contrasts(budget: int) -> list[str]:
    """Return the table of leads in divisible work minus leads in sequential work, at one ceiling, in Markdown."""
    settings = f"tool-heavy-{budget}", f"sequential-{budget}"
    names = [row.organisation for row in compared(settings[0]).rows]
    cells = [contrast(name, *settings) for name in names]
    return [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}", f"| {budget:,} | {' | '.join(cells)} |"]


def page() -> Iterator[str]:
    """Yield what stands on the page: the table and the sentence of each setting, then the contrasts."""
    for name in sorted(json.loads(DIGESTS.read_text()), reverse=True):
        yield from (f"<!-- {name} -->", *table(name), "", told(name), "")
    tables = [contrasts(budget) for budget in BUDGETS]
    yield from (*tables[0][:2], *(table[2] for table in tables))


def main() -> int:
    """Take in what is named, then print the tables and sentences."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gather", nargs="*", default=[], metavar="NAME=DIRECTORY")
    pairs = [text.partition("=") for text in parser.parse_args().gather]
    if pairs:
        gather({name: Path(directory) for name, _, directory in pairs})
    print("\n".join(page()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
