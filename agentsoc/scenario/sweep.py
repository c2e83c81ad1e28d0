"""A sweep makes one scenario file stand for a grid of runs.

A scenario may hold a ``sweep`` block next to its other keys. Each entry is an axis; the runs are all combinations::

    sweep:
      topology: [star, chain, {kind: tree, fan_in: 3}]   # a path and the values that it takes in turn
      agents.count: [4, 8]
      size:                                              # or a name, and under it named sets of values that go together
        small: {budget.tokens_per_task: 1000, protocol.rounds: 1}
        large: {budget.tokens_per_task: 9000, protocol.rounds: 3}
      seeds: 10                                          # seed, seed + 1, ..., seed + 9

``--set agents.count=4,8`` on the command line is an axis as well, ``--set agents.count=4`` a fixed value; either takes
the place of an axis of the same path (or below it) in the file, and ``--seeds`` takes the place of ``seeds``. What is
set on the command line is applied last and so always holds. The last axis varies fastest, seeds fastest of all.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentsoc.errors import Problem, ScenarioError
from agentsoc.scenario.draft import ALL, Draft, Setting, split_path
from agentsoc.scenario.explain import show
from agentsoc.scenario.source import printable
from agentsoc.scenario.strict import Document, Path, Position

MAX_RUNS: Final = 10_000
"""Largest number of runs that one scenario may stand for."""

MAX_AXES: Final = 32
"""Largest number of axes in a sweep."""

MAX_SETTINGS: Final = 64
"""Largest number of values that one option of an axis sets together."""

NAME_LENGTH: Final = 80


@dataclass(frozen=True)
class Option:
    """One position on an axis: the values that are set together, and their name."""

    label: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Axis:
    """What is varied, and what it takes in turn. An axis of one option is a fixed value and names nothing."""

    name: str
    options: tuple[Option, ...]

    def labels(self) -> list[str]:
        """Return the options' labels, all different (in any case: they become directories), else their positions."""
        often = Counter(option.label.lower() for option in self.options)
        labels = [o.label if often[o.label.lower()] == 1 else f"{o.label}.{i}" for i, o in enumerate(self.options, 1)]
        distinct = len({label.lower() for label in labels}) == len(labels)
        return labels if distinct else [f"v{i}" for i in range(1, len(labels) + 1)]


@dataclass(frozen=True)
class Sweep:
    """The axes of a grid, and the number of seeds: for each combination, the seeds from its own on."""

    axes: tuple[Axis, ...] = ()
    seeds: int | None = None
    seeds_place: str = ""
    total: Any = None
    """The block ``budget_total``, unchecked: a ceiling over all runs; see `agentsoc.scenario.budget_total`."""

    @property
    def runs(self) -> int:
        """Count the runs in the grid."""
        return math.prod(len(axis.options) for axis in self.axes) * (self.seeds or 1)

    def require_bounded(self, where: str) -> None:
        """Raise `ScenarioError` when the grid has more than `MAX_RUNS` runs; nothing is expanded to find out."""
        if self.runs > MAX_RUNS:
            sizes = [f"{axis.name} {len(axis.options)}" for axis in self.axes if len(axis.options) > 1]
            sizes += [f"seeds {self.seeds}"] if (self.seeds or 1) > 1 else []
            grid = " x ".join(sizes[:6] + ["..."] * (len(sizes) > 6))
            what = f"the sweep has {_count(self.runs)} runs ({grid}), the limit is {MAX_RUNS:,}"
            raise ScenarioError(
                [Problem(where, what, "take fewer values or seeds, or split it into several scenarios")]
            )

    def drafts(self, base: Draft) -> Iterator[tuple[Draft, dict[str, str]]]:
        """Yield each run's draft, its name made, and what distinguishes it: per axis name the label of its option."""
        varied = [axis for axis in self.axes if len(axis.options) > 1]
        shorts = _short_names([axis.name for axis in varied])
        labelled = [list(zip(axis.options, axis.labels(), strict=True)) for axis in self.axes]
        for number, options in enumerate(itertools.product(*labelled)):
            draft, labels, suffix = base, {}, ""
            for axis, (option, label) in zip(self.axes, options, strict=True):
                for setting in option.settings:
                    draft = draft.having(setting)
                if len(axis.options) > 1:
                    labels[axis.name] = label
                    suffix += f"--{shorts[axis.name]}-{label}"
            for step in range(self.seeds or 1):
                run, run_labels, run_suffix = draft, labels, suffix
                first = _seed_of(draft)
                if self.seeds is not None and first is not None:  # a seed that is no number is left to be refused
                    seed = first + step
                    place = Document(self.seeds_place, None, Position(1, 1), lines=False)
                    run = draft.having(Setting(("seed",), seed, place))
                    if self.seeds > 1:
                        run_labels = {**labels, "seed": str(seed)}
                        run_suffix = f"{suffix}--seed-{seed}"
                yield _named(run, run_suffix, number * (self.seeds or 1) + step + 1), run_labels


def read_sweep(block: Any, document: Document, given: Sequence[Sequence[Setting]], seeds: int | None) -> Sweep:
    """Return the grid of a ``sweep`` block and of what the command line gives.

    Args:
        block: the value of ``sweep`` in the file, None when there is none.
        document: the file, for places.
        given: per command-line argument its settings: one for a fixed value, several for an axis.
        seeds: the command line's number of seeds.

    Raises:
        ScenarioError: the block is no sweep, or the grid has more than `MAX_RUNS` runs.
    """
    if block is not None and not isinstance(block, Mapping):
        raise _fault(document, ("sweep",), f"sweep must be a mapping, found {show(block)}", "write path: [values]")
    block = block or {}
    if len(block) > MAX_AXES:
        what = f"sweep has {len(block):,} axes, the limit is {MAX_AXES}"
        raise _fault(document, ("sweep",), what, "set values that go together as named sets on one axis")
    axes: list[Axis] = []
    problems: list[Problem] = []
    taken = {settings[0].words for settings in given}
    count = None
    for key, value in block.items():
        try:
            if key == "seeds":
                count = _seed_count(value, document.place(("sweep", "seeds")))
            else:
                axis = _axis(key, value, document)
                if not _is_replaced(axis, taken):
                    axes.append(axis)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    axes += [_listed(".".join(settings[0].words), settings) for settings in given]
    place = document.place(("sweep", "seeds"))
    if seeds is not None:
        place = f"--seeds {printable(str(seeds), 40)}"
        count = _seed_count(seeds, place)
    sweep = Sweep(tuple(axes), count, place)
    sweep.require_bounded(document.place(("sweep",), of_key=True))
    return sweep


def _axis(key: str, value: Any, document: Document) -> Axis:
    inside: Path = ("sweep", key)
    shown = f"sweep.{printable(key, 60)}"
    if not isinstance(value, list | Mapping):
        what = f"{shown} must be a list of values or a mapping of names, found {show(value)}"
        raise _fault(document, inside, what, "write brackets around the value, or take it out of the sweep")
    if not value:
        raise _fault(document, inside, f"{shown} has no values", "give at least one, or delete the key")
    if isinstance(value, Mapping):
        return Axis(key, tuple(_variant(key, name, settings, document) for name, settings in value.items()))
    words = _words(key, document, inside)
    return _listed(key, [Setting(words, item, document, (*inside, i)) for i, item in enumerate(value)])


def _listed(name: str, settings: Sequence[Setting]) -> Axis:
    """Return the axis of one path's values; none may occur twice, or the same run would be paid for twice."""
    seen: set[str] = set()
    for setting in settings:
        if repr(setting.value) in seen:
            place = setting.document.place(setting.inside)
            what = f"{printable(name, 60)} is to take the value {show(setting.value)} twice"
            raise ScenarioError([Problem(place, what, "keep one of the two; to repeat a run, use seeds")])
        seen.add(repr(setting.value))
    return Axis(name, tuple(Option(_label(setting.value), (setting,)) for setting in settings))


def _variant(key: str, name: str, settings: Any, document: Document) -> Option:
    inside: Path = ("sweep", key, name)
    if not isinstance(settings, Mapping) or not settings:
        raise _fault(
            document,
            inside,
            f"sweep.{printable(f'{key}.{name}', 80)} must be a mapping of paths to values, found {show(settings)}",
            "for example: small: {agents.count: 4, budget.tokens_per_task: 1000}",
        )
    if len(settings) > MAX_SETTINGS:
        what = f"sweep.{printable(f'{key}.{name}', 80)} sets {len(settings):,} values, the limit is {MAX_SETTINGS}"
        raise _fault(document, inside, what, "set a whole block instead of its parts")
    return Option(
        _sanitised(name) or "v",
        tuple(
            Setting(_words(path, document, (*inside, path)), value, document, (*inside, path))
            for path, value in settings.items()
        ),
    )


def _words(path: str, document: Document, inside: Path) -> tuple[str, ...]:
    words = split_path(path, document.place(inside, of_key=True))
    if words[0] == "sweep":
        raise _fault(document, inside, "a sweep cannot vary itself", "name a key of the scenario")
    return words


def _is_replaced(axis: Axis, taken: set[tuple[str, ...]]) -> bool:
    """Tell whether everything that an axis sets is set anew, itself or with what holds it, by the command line."""
    return all(
        any(_covers(words, setting.words) for words in taken) for option in axis.options for setting in option.settings
    )


def _covers(words: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Tell whether what is set at one path holds what is set at another; ``*`` stands for any item, or one group."""
    if not words:
        return True
    if words[0] == ALL:
        return _covers(words[1:], others) or (
            bool(others) and (others[0] == ALL or others[0].isdecimal()) and _covers(words[1:], others[1:])
        )
    return bool(others) and words[0] == others[0] and _covers(words[1:], others[1:])


def _seed_count(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        what = f"seeds must be a whole number, at least 1, found {show(value)}"
        raise ScenarioError([Problem(place, what, "for example: seeds: 10")])
    return value


def _seed_of(draft: Draft) -> int | None:
    seed = draft.data.get("seed", 0)
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _fault(document: Document, inside: Path, what: str, hint: str) -> ScenarioError:
    return ScenarioError([Problem(document.place(inside, of_key=True), what, hint)])


def _count(n: int) -> str:
    return f"{n:,}" if n < 10**18 else "more than 10^18"


def _sanitised(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")[:24].rstrip("-")


def _label(value: Any) -> str:
    """Return a short name for a value: a word or number as it is, a part by its kind and settings."""
    if isinstance(value, Mapping):
        words = [str(value.get("kind", ""))]
        words += [f"{key}-{_label(item)}" for key, item in value.items() if key != "kind"]
        return _sanitised("-".join(word for word in words if word)) or "v"
    if isinstance(value, list):
        return _sanitised("-".join(_label(item) for item in value[:8])) or "v"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, int | float) and value < 0:
        return "minus" + (_sanitised(str(-value)) or "v")
    return _sanitised(str(value)) or "v"


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """Return a word per path: its last part (not ``kind``), or all of it when two would be the same."""
    last = {name: ([w for w in name.split(".") if w != "kind"] or [name])[-1] for name in names}
    return {
        name: _sanitised(word if list(last.values()).count(word) == 1 else name) or "v" for name, word in last.items()
    }


def _named(draft: Draft, suffix: str, number: int) -> Draft:
    """Return a run's draft with a name of its own: the scenario's, and the suffix or, where that is long, a number."""
    name = draft.data.get("name")
    if not suffix or not isinstance(name, str):
        return draft
    if len(name) + len(suffix) > NAME_LENGTH:
        suffix = f"--{number:05d}"
    place = Document(draft.place(("name",)), None, Position(1, 1), lines=False)
    return draft.having(Setting(("name",), name[: NAME_LENGTH - len(suffix)] + suffix, place))
