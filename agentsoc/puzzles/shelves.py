"""Catalogues that lead from one to the next: a question needs several of them, and each can stand on another shelf.

A catalogue pairs every name of one kind with one name of the next kind, at random: a river for every tree, a bird for
every river. Whoever has only one of the catalogues that a question needs knows nothing about its answer: given any one
of them, every name is as likely as every other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "trees": (
        *("Alder", "Beech", "Cedar", "Elm", "Hazel", "Juniper"),
        *("Larch", "Maple", "Poplar", "Rowan", "Spruce", "Willow"),
    ),
    "rivers": (
        *("Danube", "Elbe", "Loire", "Meuse", "Neckar", "Oder"),
        *("Rhine", "Seine", "Tagus", "Thames", "Tiber", "Vistula"),
    ),
    "birds": (
        *("Bunting", "Curlew", "Dunlin", "Finch", "Heron", "Kestrel"),
        *("Lapwing", "Magpie", "Osprey", "Plover", "Sparrow", "Warbler"),
    ),
    "stones": (
        *("Agate", "Basalt", "Chalk", "Flint", "Garnet", "Granite"),
        *("Jasper", "Marble", "Opal", "Quartz", "Slate", "Topaz"),
    ),
    "tools": (
        *("Anvil", "Bellows", "Chisel", "Hammer", "Lathe", "Mallet"),
        *("Pliers", "Rasp", "Sickle", "Spade", "Trowel", "Wrench"),
    ),
    "herbs": (
        *("Anise", "Basil", "Chervil", "Dill", "Fennel", "Lovage"),
        *("Mint", "Oregano", "Parsley", "Rue", "Sorrel", "Thyme"),
    ),
    "ships": (
        *("Barque", "Brig", "Caravel", "Clipper", "Cutter", "Dhow"),
        *("Frigate", "Galleon", "Ketch", "Schooner", "Sloop", "Yawl"),
    ),
    "fabrics": (
        *("Brocade", "Calico", "Damask", "Denim", "Felt", "Gingham"),
        *("Linen", "Muslin", "Satin", "Serge", "Tweed", "Velvet"),
    ),
    "dances": (
        *("Bolero", "Bourree", "Csardas", "Fandango", "Gavotte", "Jig"),
        *("Mazurka", "Minuet", "Polka", "Quadrille", "Reel", "Tango"),
    ),
}
"""Names by kind, in the order in which catalogues lead on."""

SHELVES_MAX: Final = len(KINDS) - 1
NAMES_MAX: Final = 12
NOT_HERE: Final = "not here"
"""What an expert says who has no such entry."""


def subjects(shelves: int) -> list[str]:
    """Return the kinds that are catalogued, one a shelf: what is looked up there."""
    return list(KINDS)[:shelves]


def stock(rng: np.random.Generator, shelves: int, names: int, hops: int) -> dict[str, Any]:
    """Return catalogues and a question, as JSON.

    `catalogues` maps each subject to its pairs, `path` names the subjects that the question goes through, `start` is
    where it begins, `answer` where it ends, and `options` are the names that it can end with, in a drawn order.
    """
    kinds = list(KINDS)[: shelves + 1]
    names_of = {kind: [KINDS[kind][i] for i in rng.permutation(NAMES_MAX)[:names]] for kind in kinds}
    catalogues = {
        kind: {key: names_of[following][i] for key, i in zip(names_of[kind], rng.permutation(names), strict=True)}
        for kind, following in pairwise(kinds)
    }
    first = int(rng.integers(shelves - hops + 1))
    path = kinds[first : first + hops]
    start = names_of[path[0]][int(rng.integers(names))]
    options = names_of[kinds[first + hops]]
    answer = followed(catalogues, path, start)
    return {"catalogues": catalogues, "path": path, "start": start, "answer": answer, "options": options}


def followed(catalogues: Mapping[str, Mapping[str, str]], path: Sequence[str], start: str) -> str | None:
    """Return where a path ends; None where a catalogue is missing."""
    name: str | None = start
    for subject in path:
        name = catalogues.get(subject, {}).get(name) if name is not None else None
    return name


def question(path: Sequence[str], start: str) -> str:
    """Return the question in words."""
    steps = f"Look up {start} in the catalogue of {path[0]}."
    for subject in path[1:]:
        steps += f" Look up what you find there in the catalogue of {subject}."
    return f"{steps} What do you find?"


def look_up(name: str, subject: str) -> str:
    """Return one step of a question in words."""
    return f"Look up {name} in the catalogue of {subject}."


def shelf_text(catalogues: Mapping[str, Mapping[str, str]], held: Sequence[str]) -> str:
    """Return the catalogues that somebody holds, an entry a line."""
    lines: list[str] = []
    for subject in held:
        lines.append(f"Catalogue of {subject}:")
        lines += [f"{key} leads to {value}" for key, value in sorted(catalogues[subject].items())]
    return "\n".join(lines)


_STEP: Final = re.compile(r"Look up (\w+|what you find there) in the catalogue of (\w+)\.")
_ENTRY: Final = re.compile(r"\b([A-Z][a-z]+) leads to ([A-Z][a-z]+)\b")


def steps_asked(text: str) -> tuple[str, list[str]] | None:
    """Return the start and the subjects of the last question in `text`; None when there is none."""
    start, path = "", list[str]()
    for found in _STEP.finditer(text):
        if found[1] != "what you find there":
            start, path = found[1], []
        path.append(found[2])
    return (start, path) if start else None


def entries(text: str) -> dict[str, str]:
    """Return the pairs that stand in `text`: names are of one kind each, so that they cannot be confused."""
    return {found[1]: found[2] for found in _ENTRY.finditer(text)}


def walked(pairs: Mapping[str, str], start: str, path: Sequence[str]) -> tuple[str, int]:
    """Return how far one gets with `pairs`: the name that was reached, and the steps taken."""
    name, taken = start, 0
    for _ in path:
        if name not in pairs:
            break
        name, taken = pairs[name], taken + 1
    return name, taken


def dealt(shelves: int, holders: int) -> list[list[int]]:
    """Return the shelves that each holder has, dealt round: every holder has one as long as there are enough."""
    if shelves < holders:
        return [[holder % shelves] for holder in range(holders)]
    return [list(range(holder, shelves, holders)) for holder in range(holders)]


_HOLDER: Final = re.compile(r"\bagent (\d{1,6}) has the catalogue of (\w+)")


def title(subject: str) -> str:
    """Return what whoever holds a catalogue has, in words."""
    return f"the catalogue of {subject}"


def holders_in(text: str) -> dict[str, int]:
    """Return who has which catalogue, as `text` says."""
    return {found[2]: int(found[1]) for found in _HOLDER.finditer(text)}
