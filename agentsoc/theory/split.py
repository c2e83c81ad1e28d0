"""This module says how often a question is answered right whose facts stand on several shelves, without asking.

A question goes through `hops` catalogues, each on a shelf of its own, and ends with one of `names` names. Catalogues
are drawn as permutations, so whoever lacks one of those that a question needs can only guess among the names: the
answer is uniform given everything else.
"""

from __future__ import annotations

from math import comb


def one_shelf(hops: int, shelves: int, names: int) -> float:
    """Return the best score of agents who all read one shelf, drawn at random: the ceiling of self-consistency.

    With one hop it is 1/s + (1 - 1/s)/m, since the shelf may be the right one; with more it is 1/m, whatever is made of
    the shelf, and however many samples are taken of it: they all know the same.
    """
    return 1 / shelves + (1 - 1 / shelves) / names if hops == 1 else 1 / names


def votes_of_shelves(hops: int, shelves: int, names: int) -> float:
    """Return the score of a plurality of `shelves` voters, one at each shelf, who guess evenly where they do not know.

    With two hops or more nobody knows, all names are alike, and it is 1/m. With one hop one voter knows: it is the
    probability that the truth, with that vote and a ~ Bin(s - 1, 1/m) more, has the most votes, ties broken by lot.
    """
    if hops > 1:
        return 1 / names
    others, share = shelves - 1, 1 / names
    total = 0.0
    for lucky in range(others + 1):
        chance = comb(others, lucky) * share**lucky * (1 - share) ** (others - lucky)
        total += chance * _leads(1 + lucky, others - lucky, names - 1)
    return total


def _leads(most: int, votes: int, rivals: int) -> float:
    """Return the probability that a name with `most` votes wins, while `votes` fall evenly on its `rivals`.

    A tie with t of them counts 1/(1 + t).
    """
    if not rivals:
        return 1.0
    # ways[t][v]: ways for v labelled votes to fall on the rivals so far, t of whom have exactly `most`.
    ways: list[dict[int, float]] = [{0: 1.0}]
    for _ in range(rivals):
        after: list[dict[int, float]] = [{} for _ in range(len(ways) + 1)]
        for tied, by_votes in enumerate(ways):
            for used, count in by_votes.items():
                for new in range(min(most, votes - used) + 1):
                    where = after[tied + (new == most)]
                    where[used + new] = where.get(used + new, 0.0) + count * comb(votes - used, new)
        ways = after
    won = sum([by_votes.get(votes, 0.0) / (1 + tied) for tied, by_votes in enumerate(ways)])
    return float(won / rivals**votes)
