"""This study asks how often verdicts on cascades say "deterministic" or "design bounded" of sizes whose law is known.

Usage: python -m benchmarks.study_verdicts [--seeds 30] (about three minutes of one core). The table is in
docs/verdict-studies.md.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from analysis.observables.audit import design_of
from analysis.observables.sampled import observables, structures
from analysis.tables import EventTable
from analysis.tails import fit_tail
from benchmarks.planted_cascades import LAWS, program, random_cascades, random_routing

ASKED = ("cascade_size", "tce", "claim_descendant_count", "claim_out_degree", "agent_descendant_influence")
WRONG = ("deterministic", "design bounded")


def words(table: EventTable) -> dict[str, str]:
    """Return the verdict on each of `ASKED`, without a goodness-of-fit test."""
    found = observables(structures(table))
    return {
        name: fit_tail(found[name].values, name=name, design=design_of(found[name], table)).verdict.word
        for name in ASKED
        if name in found
    }


def counted(tables: Sequence[EventTable]) -> Counter[str]:
    """Return how often each word is said of all observables of all tables."""
    return Counter(word for table in tables for word in words(table).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    seeds = range(parser.parse_args().seeds)
    print("| sizes | roots of an execution | verdicts | deterministic or design bounded |\n| --- | --- | --- | --- |")
    for law in LAWS:
        for roots in (1, 2, 3, 5, 10):
            for form in ("star", "chain"):
                for one_seed in (False, True):
                    said = counted([random_cascades(law, roots, s, form=form, one_seed=one_seed) for s in seeds])
                    logged = "one seed" if one_seed else "own seeds"
                    print(
                        f"| {law}, {form}, {logged} | {roots} | {said.total()} | {sum(said[w] for w in WRONG)} |",
                        flush=True,
                    )
    said = counted([random_routing(s) for s in seeds])
    print(f"| random routing, fixed schedule | 1 | {said.total()} | {sum(said[w] for w in WRONG)} |")
    for program_form in ("star", "tree"):
        found = counted([program(program_form)])
        print(f"| program: {program_form} | 1 | {found.total()} | {sum(found[w] for w in WRONG)}, {dict(found)} |")


if __name__ == "__main__":
    main()
