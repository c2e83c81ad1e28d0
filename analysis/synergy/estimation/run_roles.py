"""This module tells from the log of a run which part it can play: leaf, relay, merge, sibling votes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

from agentsoc.log.read import RunLog
from agentsoc.log.record import hash_json
from analysis.synergy.estimation.estimate import Measurements, from_logs
from analysis.synergy.estimation.measured import Nodes
from analysis.synergy.estimation.votes import LoggedVotes, leaf_table, merge_table, trip_table, vote_table

_OWN: Final = ("name", "description", "seed", "budget", "engine")


@dataclass(frozen=True)
class Roles:
    """The object sorts runs by what they tell."""

    leaves: tuple[RunLog, ...] = ()
    """Runs of lone agents."""
    relays: tuple[RunLog, ...] = ()
    """Runs of a planted message and its reader."""
    merges: tuple[RunLog, ...] = ()
    """Runs in which nodes read several messages and merge them."""
    votes: tuple[RunLog, ...] = ()
    """Sibling votes that a rule counted, or nobody: they tell rho of sent votes, and nothing of reading."""
    ignored: tuple[str, ...] = ()
    """Runs that could not be used, with the reason."""

    @property
    def nodes(self) -> Nodes:
        """Whether the nodes of these runs read messages or a rule counts votes."""
        return "read" if self.merges or not self.votes else "tally"

    def measurements(self) -> Measurements:
        """Return the tables to estimate from."""
        return from_logs(
            leaves=self.leaves,
            relays=self.relays,
            merges=self.merges,
            replicates=(*self.merges, *self.votes),
            x=self.compute() if self.leaves else None,
        )

    def compute(self) -> list[float]:
        """Return the tokens of a lone answer for each of `leaves`: one number for all runs of the same settings."""
        groups: dict[str, list[tuple[float, int]]] = {}
        for log in self.leaves:
            pair = LoggedVotes(log, "").compute(), log.manifest.totals.episodes
            groups.setdefault(_settings(log), []).append(pair)
        mean = {key: sum(x * n for x, n in pairs) / sum(n for _, n in pairs) for key, pairs in groups.items()}
        return [mean[_settings(log)] for log in self.leaves]

    def fan_in(self) -> int | None:
        """Return the odd number of votes that stood together most often; None when none did."""
        if self.merges:
            sizes = merge_table(self.merges)["b"]
        elif self.votes:
            sizes = vote_table(self.votes).group_by("task", "run", "node").len()["len"].cast(pl.Int64)
        else:
            return None
        odd = sizes.filter((sizes >= 3) & (sizes % 2 == 1))
        return None if odd.is_empty() else max(int(size) for size in odd.mode().to_list())

    def message(self) -> tuple[int, float]:
        """Return the tokens of a message, and what one costs altogether (written and read)."""
        if self.nodes == "tally":
            return 0, 0.0
        for log in (*self.merges, *self.relays):
            votes = LoggedVotes(log, "")
            if all(model["kind"] == "simulated" for model in votes.models):
                m = round(votes.message())
                return m, 2.0 * m
        return self._read_message()

    def _read_message(self) -> tuple[int, float]:
        """Return the tokens that one more shown claim adds to a reader's prompt: real messages are written in answers.

        From readers of relays or merges, against lone agents with the same question.
        """
        readers, lone = [], []
        for log in (*self.relays, *self.merges):
            acts = LoggedVotes(log, "").claims
            readers.append(acts.filter(pl.col("parents").list.len() > 0))
            lone.append(acts.filter((pl.col("parents").list.len() == 0) & (pl.col("tokens_in") > 0)))
        lone += [LoggedVotes(log, "").claims for log in self.leaves[:1]]
        heard, alone = pl.concat(readers), pl.concat(lone)
        if heard.is_empty() or alone.is_empty():
            return 1, 1.0
        base = alone["tokens_in"].median()
        per = ((heard["tokens_in"] - base) / heard["parents"].list.len()).median()
        tokens = max(float(per) if isinstance(per, int | float) else 1.0, 1.0)
        return round(tokens), tokens

    def trials(self) -> dict[str, int]:
        """Return the trials of each purpose."""
        counts = {
            "leaf": leaf_table(self.leaves).height if self.leaves else 0,
            "relay": trip_table(self.relays).height if self.relays else 0,
            "merge": sum(log.manifest.totals.episodes for log in self.merges[:1] or self.votes[:1]),
            "replicate": sum(log.manifest.totals.episodes for log in self.merges[1:] or self.votes[1:]),
        }
        return {purpose: n for purpose, n in counts.items() if n}

    def tokens(self) -> dict[str, int]:
        """Return what the trials of each purpose cost."""
        groups = {
            "leaf": self.leaves,
            "relay": self.relays,
            "merge": self.merges[:1] or self.votes[:1],
            "replicate": self.merges[1:] or self.votes[1:],
        }
        return {purpose: sum(spent(log) for log in logs) for purpose, logs in groups.items() if logs}


def spent(log: RunLog) -> int:
    """Return all tokens of a run, those that were lost among them."""
    return log.manifest.totals.tokens


def sort_runs(logs: Iterable[RunLog]) -> Roles:
    """Return what each run can tell."""
    found: dict[str, list[RunLog]] = {"leaves": [], "relays": [], "merges": [], "votes": []}
    ignored = []
    for log in logs:
        role, reason = _role(log)
        if role:
            found[role].append(log)
        else:
            ignored.append(f"{log.directory}: {reason}")
    parts = {name: tuple(logs) for name, logs in found.items()}
    return Roles(parts["leaves"], parts["relays"], parts["merges"], parts["votes"], tuple(ignored))


def _settings(log: RunLog) -> str:
    """Return what runs of one level of compute have in common: all but seed, size and budget."""
    scenario = {key: value for key, value in log.manifest.scenario.items() if key not in _OWN}
    scenario["tasks"] = {key: value for key, value in scenario["tasks"].items() if key not in ("seed", "count")}
    return hash_json(scenario)


def _role(log: RunLog) -> tuple[str, str]:
    votes = LoggedVotes(log, "")
    cited = votes.cited.filter(pl.col("sender") != pl.col("agent"))
    if cited.is_empty():
        several = votes.claims.group_by("task").len()["len"].max()
        return ("leaves", "") if several is None or int(several) <= 1 else ("votes", "")  # type: ignore[arg-type]
    heard = cited.group_by("act").len()["len"]
    if int(heard.max()) >= 2:  # type: ignore[arg-type]
        counted = not _noisy(votes) and _by_rule(log)
        return ("votes", "") if counted else ("merges", "")
    if _planted(votes):
        return "relays", ""
    return "", "each agent heard one other that answered by itself: agreement there is no hearing (plant the message)"


def _noisy(votes: LoggedVotes) -> bool:
    return any(model["kind"] == "simulated" for model in votes.models)


def _by_rule(log: RunLog) -> bool:
    protocol = log.manifest.scenario["protocol"]
    return bool(protocol.get("kind") == "aggregate" and protocol.get("by", "majority") == "majority")


def _planted(votes: LoggedVotes) -> bool:
    """Return whether the first agent answers at random, whatever the truth."""
    first = votes.models[0]
    if first["kind"] == "simulated":
        return bool(first.get("signal") == 0.0)
    return first["kind"] == "scripted" and abs(float(first.get("accuracy", 1.0)) - 1 / votes.answers) < 1e-9
