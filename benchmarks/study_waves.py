"""Does a budget by waves refuse nobody whom it could pay, and what does a crash change? Counted over random cases.

Run: ``python -m benchmarks.study_waves [--schedules 5000] [--kills 300] [--ray 50]`` (a few minutes, an hour with
``--ray``; prints tables in Markdown, exits with 1 when a promise was broken).

Schedules: rounds of agents of known usage under random ceilings of tokens, calls and money, with and without shares.
Who is refused, and what is charged in every purse, is compared with plain sums kept in turn order, and with asking one
after the other. Kills: societies with failing and malformed replies die at random writes of their journal, are resumed
and replayed. The end has to be that of the run that nobody disturbed wherever every attempt with an outcome was granted
the same, and no ceiling may be passed. On Ray two hosts carry out the society, and hosts or the driver are killed by
SIGKILL, three times a run, when the journal has come to a random row; the promise is the same.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentsoc.log.read import RunLog
from agentsoc.scenario.model import Scenario
from tests.interrupted import Ended, to_the_end, with_kills
from tests.interrupted_on_ray import with_drivers_killed, with_hosts_killed
from tests.property.test_waves import ByHand, by_waves, case, look, one_by_one
from tests.strategies import scenario


@dataclass
class Schedules:
    """What random rounds came to."""

    cases: int = 0
    turns: int = 0
    refused: int = 0
    several: int = 0
    """Rounds of several waves."""
    broken: int = 0


def schedules(n: int) -> Schedules:
    """Compare `n` random cases with sums by hand, and with asking one after the other."""
    found = Schedules()
    for seed in range(n):
        one = case(random.Random(f"study {seed}"))
        alone = one._replace(carry=False)
        ledger, by_hand = alone.ledger(), ByHand(alone)
        together, in_turn = one.ledger(), one.ledger()
        found.cases += 1
        for turns in one.rounds:
            outcome, expected = by_waves(together, turns, one.attempts), one_by_one(in_turn, turns, one.attempts)
            look(together)
            found.broken += outcome.grants != expected
            found.turns += len(turns.needs)
            found.several += outcome.waves > 1
            refused = [caps[0] is None for caps in by_waves(ledger, turns, one.attempts).grants]
            found.refused += sum(refused)
            charged = [[purse.charged for purse in scope] for scope in [ledger.team, *ledger.shares]]
            found.broken += refused != by_hand.refused(turns) or charged != by_hand.charged
    return found


@dataclass
class Kills:
    """What kills under one ceiling came to."""

    ceiling: str
    kills: int = 0
    """Processes that were killed by SIGKILL; on Ray alone."""
    lives: int = 0
    lost: int = 0
    same_grants: int = 0
    same_digest: int = 0
    broken: int = 0

    def row(self) -> str:
        cells = (
            self.ceiling,
            self.kills or "-",
            self.lives,
            self.lost,
            self.same_grants,
            self.same_digest,
            self.broken,
        )
        return f"| {' | '.join(map(str, cells))} |"


BUDGETS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "1,200 tokens": {"tokens_per_task": 1_200},
    "2,600 tokens": {"tokens_per_task": 2_600},
    "20,000 tokens": {"tokens_per_task": 20_000},
    "14 calls": {"calls_per_task": 14},
    "shares of 4,000 tokens": {"tokens_per_task": 4_000, "policy": {"kind": "uniform", "carry": True}},
}


def society(seed: int, budget: dict[str, Any] | None, latency_s: float = 0.0, family: str = "coin") -> Scenario:
    """Return the society that dies: some of its calls fail, some of its replies are malformed."""
    model = {"kind": "scripted", "accuracy": 0.7, "fail_rate": 0.2, "malformed_rate": 0.2, "latency_s": latency_s}
    return scenario(
        seed=seed,
        tasks={"kind": family, "count": 3},
        agents={"count": 6, "model": model, "max_tokens": 60},
        topology="hybrid",
        protocol={"kind": "debate", "rounds": 3},
        budget=budget,
        calls={"backoff_s": 0.0},
    )


def look_at(found: Kills, ended: Ended, whole: Ended, where: Path, budget: dict[str, Any] | None) -> None:
    """Count what became of one run that was killed."""
    same, granted = ended.digest == whole.digest, ended.steps == whole.steps
    found.lives += 1
    found.lost += ended.lost
    found.same_digest += same
    found.same_grants += granted
    found.broken += (granted and not same) or (budget is None and not same)
    found.broken += not granted and not ended.lost
    rows = RunLog(where).episodes()
    assert rows is not None
    limit = (budget or {}).get("tokens_per_task")
    found.broken += limit is not None and bool((rows["charged"] > limit).any())


def kills(name: str, n: int, home: Path) -> Kills:
    """Let a society die `n` times under one ceiling, once or twice a life."""
    found, budget = Kills(name), BUDGETS[name]
    rng = random.Random(name)
    for seed in range((n + 19) // 20):
        one = society(seed, budget)
        whole = to_the_end(one, home / f"whole-{seed}")
        for life in range(min(20, n - 20 * seed)):
            where = home / f"{seed}-{life}"
            ended = with_kills(one, where, rng, 2 * len(whole.rows), kills=1 + life % 2)
            look_at(found, ended, whole, where, budget)
    return found


ON_RAY: dict[str, tuple[dict[str, Any] | None, float]] = {
    "none": (None, 0.5),
    "4,000 tokens": ({"tokens_per_task": 4_000}, 0.2),
    "20,000 tokens": ({"tokens_per_task": 20_000}, 0.3),
}
"""Ceilings of the kills on Ray, and the share of all kills that each has."""
KILLS_A_RUN = 3


def kills_on_ray(who: str, name: str, n: int, home: Path) -> Kills:
    """Kill hosts or drivers under one ceiling `n` times or a few more, three times a run."""
    budget, _ = ON_RAY[name]
    found = Kills(f"{name}, {who} killed")
    for life in range(2 * n):
        if found.kills >= n:
            break
        rng = random.Random(f"{who} {name} {life}")
        one = society(life % 4, budget, latency_s=0.02, family="sentiment")
        quick = society(life % 4, budget, family="sentiment")
        whole = to_the_end(quick, home / f"whole-{who}-{life}")
        at_rows = [rng.randrange(1, len(whole.rows)) for _ in range(KILLS_A_RUN)]
        where = home / f"{who}-{life}"
        if who == "hosts":
            ended, hit = with_hosts_killed(one, where, rng, at_rows)
        else:
            ended, hit = with_drivers_killed(one, where, at_rows)
        if hit:
            found.kills += hit
            look_at(found, ended, whole, where, budget)
            print(f"  {found.row()}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Carry out what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--schedules", type=int, default=5_000)
    parser.add_argument("--kills", type=int, default=300, help="lives with a budget in all, and as many without")
    parser.add_argument("--ray", type=int, default=0, help="kills of hosts on Ray in all, and as many of drivers")
    told = parser.parse_args()
    drawn = schedules(told.schedules)
    print("| schedules | turns | refused | rounds of several waves | broken |\n|---|---|---|---|---|")
    print(
        f"| {drawn.cases:,} | {drawn.turns:,} | {drawn.refused:,} | {drawn.several:,} | {drawn.broken} |\n", flush=True
    )
    lines = []
    with tempfile.TemporaryDirectory(prefix="waves") as scratch:
        for name, budget in BUDGETS.items():
            home = Path(scratch) / name.replace(" ", "-")
            home.mkdir()
            each = told.kills if budget is None else -(-told.kills // (len(BUDGETS) - 1))
            lines.append(kills(name, each, home))
        for name, (_, share) in ON_RAY.items() if told.ray else ():
            home = Path(scratch) / f"ray {name}".replace(" ", "-")
            home.mkdir()
            each = round(share * told.ray)
            lines += [kills_on_ray(who, name, each, home) for who in ("hosts", "drivers")]
    print(
        "| ceiling a task | kills | lives | calls lost | granted the same | same digest | broken |\n" + "|---" * 7 + "|"
    )
    print("\n".join(line.row() for line in lines))
    return 1 if drawn.broken or any(line.broken for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
