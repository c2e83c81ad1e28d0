"""This module finds out whether one option takes nearly all first answers of a group, whatever is asked.

A model that always says "A" scores at chance, and whatever is done with its answers tells nothing of an organisation.
The rule: of T tasks, the commonest first answer of a group is one and the same option in c, at least nine tenths; and
as many or more would come with a probability of at most 1 in 2,000 if each had this option with probability
max(1/2, share of right ones among them). Where the right answers are spread evenly over two options or more, a group
whose answers have nothing to do with the option's name is warned of by mistake at most once in a thousand times: twice
1 in 2,000, as either option may be the one. Where one option is right nearly always, that it is given nearly always is
no fault, and the share of right ones allows for it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from agentsoc.log.stored import StoredRun

NEARLY: Final = 0.9
"""Share of the tasks from which on an option takes nearly all."""
ALARMS: Final = 0.0005
"""Largest probability of as many by chance, for one option."""
EVENTS_READ: Final = 500_000
"""Events of a run up to which it is looked at."""
_LABEL: Final = 40
"""Characters of an answer that are told."""
_VOTERS: Final = frozenset({"simulated", "solver", "policy"})
"""Models that are computed, and have no words to prefer."""
_COLUMNS: Final = ("task", "agent", "kind", "parents", "answer", "correct")


@dataclass(frozen=True)
class OneOption:
    """An option that takes nearly all first answers of a group."""

    group: int
    """Place of the group in the scenario, from 0."""
    model: str
    """What its model is called."""
    option: str
    """The option, cut to what can be told."""
    count: int
    """Tasks of which it is the commonest first answer."""
    n: int
    """Tasks with a first answer."""
    right: int
    """Tasks of `count` in which it is right."""

    def text(self) -> str:
        """Return it in words."""
        return (
            f'"{self.option}" is the first answer of {self.model} in {self.count:,} of {self.n:,} tasks, whatever is '
            f"asked, and right in {self.right:,} of them: scores then tell how often that option is right (chance of "
            "this warning without such a preference: at most 1 in 1,000)"
        )


def one_option(first: list[tuple[str, bool]], *, group: int = 0, model: str = "") -> OneOption | None:
    """Return the option that takes nearly all first answers, or None.

    Args:
        first: for each task the commonest first answer of the group, and whether it is right.
        group: place of the group.
        model: what the group's model is called.
    """
    if not first:
        return None
    counts = Counter(answer for answer, _ in first)
    option = min(counts, key=lambda answer: (-counts[answer], answer))
    count, n = counts[option], len(first)
    right = sum(ok for answer, ok in first if answer == option)
    if count < NEARLY * n or binomial_tail(n, count, max(0.5, right / count)) > ALARMS:
        return None
    return OneOption(group, model, option[:_LABEL], count, n, right)


def binomial_tail(n: int, count: int, p: float) -> float:
    """Return the probability of `count` or more of `n`, each with probability `p`."""
    if p >= 1.0:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
        for k in range(count, n + 1)
    ]
    return min(math.fsum(math.exp(one) for one in logs), 1.0)


def one_options(log: StoredRun) -> list[OneOption]:
    """Return for each group of agents of a run the option that takes nearly all its first answers, where one does.

    Simulated groups and runs of very many events are not looked at.

    Raises:
        LogDamagedError: the log is not what was written.
    """
    groups = list(_groups(log.manifest.scenario))
    if not any(kept for _, _, kept in groups) or log.manifest.totals.events > EVENTS_READ:
        return []
    of_agent = [at for at, (count, _, _) in enumerate(groups) for _ in range(count)] if len(groups) > 1 else []
    firsts: dict[int, dict[int, dict[int, tuple[str, bool]]]] = defaultdict(lambda: defaultdict(dict))
    for table in log.tables(_COLUMNS):
        columns = [table[name].to_pylist() for name in _COLUMNS]
        for task, agent, kind, parents, answer, correct in zip(*columns, strict=True):
            if agent < 0 or answer is None or parents or kind != "propose_claim":
                continue
            group = of_agent[agent] if agent < len(of_agent) else len(groups) - 1
            firsts[group][task].setdefault(agent, (answer, (correct or 0.0) > 0.5))
    found = []
    for group in sorted(firsts):
        _, model, kept = groups[group]
        one = one_option([_commonest(said) for said in firsts[group].values()], group=group, model=model)
        if kept and one is not None:
            found.append(one)
    return found


def _commonest(said: dict[int, tuple[str, bool]]) -> tuple[str, bool]:
    """Return the commonest answer of some agents to a task; of equally common ones that of the first agent."""
    counts = Counter(answer for answer, _ in said.values())
    most = max(counts.values())
    return next(one for _, one in sorted(said.items()) if counts[one[0]] == most)


def _groups(scenario: dict[str, Any]) -> Iterator[tuple[int, str, bool]]:
    """Yield the number of agents of each group, what its model is called, and whether it is looked at."""
    agents = scenario.get("agents")
    for group in agents if isinstance(agents, list) else []:
        model = group.get("model") or {}
        kind = str(model.get("kind", ""))
        name = str(model.get("model") or model.get("name") or kind)[:_LABEL]
        yield int(group.get("count") or 0), name, kind not in _VOTERS
