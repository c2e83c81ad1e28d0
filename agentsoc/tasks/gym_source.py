"""This module gives the data sets of reasoning_gym by family, configuration and seed, the same in every process.

reasoning_gym makes item i of a data set from seed + i, so neighbouring seeds share all items but one, and a few
families look at the size of the set. Here the items of a run come from blocks of a fixed size, each with a seed of its
own, drawn from the run's seed: item i is the same whatever the count, and different seeds share nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, Final

from agentsoc.contracts.part import nearest
from agentsoc.errors import MissingExtraError, TaskError
from agentsoc.streams import seed_for

BLOCK: Final = 50
"""Items of one data set (items)."""
CHILD_TIMEOUT_S: Final = 600.0

UNSEEDED: Final = frozenset(
    {
        "codeio",
        "isomorphic_strings",
        "knight_swap",
        "list_functions",
        "polynomial_multiplication",
        "ransom_note",
        "word_ladder",
    }
)
"""Families whose items depend on the hash seed of the process or on global generators: made in a child process."""

_WHERE: Final = "tasks"


def families() -> dict[str, tuple[type[Any], type[Any]]]:
    """Return the data set class and the configuration class of every family.

    Raises:
        MissingExtraError: reasoning_gym is not installed.
    """
    try:
        from reasoning_gym.factory import DATASETS
    except ModuleNotFoundError as error:
        raise MissingExtraError("tasks of kind reasoning-gym", error.name or "reasoning-gym", "gym") from None
    return DATASETS  # type: ignore[no-any-return]


def check_config(family: str, config: dict[str, Any]) -> None:
    """Raise `TaskError` when there is no such family, or when its configuration has unknown keys or bad values."""
    known = families()
    if family not in known:
        raise TaskError(
            f"reasoning_gym has no family {family!r}",
            f"{_WHERE}.family",
            f"{nearest(family, list(known))}\n    all: {', '.join(sorted(known))}",
        )
    config_class = known[family][1]
    names = [field.name for field in dataclasses.fields(config_class) if field.name not in ("seed", "size")]
    for key in config:
        if key in ("seed", "size"):
            raise TaskError(
                f"{key} of a reasoning_gym family is not configured",
                f"{_WHERE}.config.{key}",
                "the seed of the scenario and the count of the tasks decide it",
            )
        if key not in names:
            raise TaskError(
                f"the family {family} has no setting {key!r}",
                f"{_WHERE}.config.{key}",
                f"{nearest(key, names)}" if names else "it has no settings",
            )
    try:
        made = config_class(**_converted(family, config))
        if hasattr(made, "validate"):
            made.validate()
    except TaskError:
        raise
    except Exception as error:  # families check by assertion and by comparison: any type of error may come
        what = str(error) or "it is not accepted"
        raise TaskError(f"the configuration of {family} does not hold: {what}", f"{_WHERE}.config") from error


@lru_cache(maxsize=4096)
def entry(family: str, config_text: str, seed: int, index: int, count: int) -> dict[str, Any]:
    """Return item `index` of a run with `seed`: a dict with question, answer and metadata.

    Args:
        family: name of the family.
        config_text: its configuration as JSON text (a key of the caches).
        seed: the run's seed.
        index: which item.
        count: items that will be wanted; decides only how many are made at once.

    Raises:
        TaskError: unknown family, bad configuration, or the family failed to make the item.
        MissingExtraError: reasoning_gym is not installed.
    """
    block, place = divmod(index, BLOCK)
    if _needs_child(family, config_text):
        return _from_child(family, config_text, seed, block, max(place + 1, min(BLOCK, count - block * BLOCK)))[place]
    data = dataset(family, config_text, seed, block)
    try:
        with quiet():
            return data[place]  # type: ignore[no-any-return]
    except Exception as error:
        raise _failed(family, f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=64)
def dataset(family: str, config_text: str, seed: int, block: int) -> Any:
    """Return the data set of one block; it also scores answers to its items, and those of any other block."""
    config = json.loads(config_text)
    check_config(family, config)
    from reasoning_gym import create_dataset

    try:
        with quiet():
            data = create_dataset(family, seed=_seed(family, seed, block), size=BLOCK, **_converted(family, config))
    except Exception as error:
        raise _failed(family, f"{type(error).__name__}: {error}") from error
    return data


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the package's prints and warnings (files left open, for one) away from the commands' own output."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield


@lru_cache(maxsize=64)
def _from_child(family: str, config_text: str, seed: int, block: int, n: int) -> list[dict[str, Any]]:
    """Return the first `n` items of a block, made in an interpreter with a fixed hash seed."""
    config = json.loads(config_text)
    check_config(family, config)
    order = {
        "family": family,
        "config": config,
        "seed": _seed(family, seed, block),
        "size": BLOCK,
        "indices": list(range(n)),
    }
    script = Path(__file__).with_name("gym_child.py")
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(script)],  # -P: beside the script lies a module called signal
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            timeout=CHILD_TIMEOUT_S,
            check=True,
        )
        state, result = pickle.loads(done.stdout)  # written by our own child just now
    except subprocess.TimeoutExpired:
        raise _failed(family, f"{n} items took more than {CHILD_TIMEOUT_S:.0f} s") from None
    except (subprocess.CalledProcessError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise _failed(family, f"its process ended without a result ({type(error).__name__})") from error
    if state != "items":
        raise _failed(family, str(result))
    return result  # type: ignore[no-any-return]


def _needs_child(family: str, config_text: str) -> bool:
    if family != "composite":
        return family in UNSEEDED
    config = json.loads(config_text)
    check_config(family, config)
    return any(spec["name"] in UNSEEDED for spec in config["datasets"])


def _seed(family: str, seed: int, block: int) -> int:
    return seed_for(seed, "task", "reasoning-gym", family, block)


def _converted(family: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration as the family's class takes it: a composite wants objects, not mappings."""
    if family != "composite":
        return config
    from reasoning_gym.composite import DatasetSpec

    specs = config.get("datasets")
    if not isinstance(specs, list) or not all(isinstance(spec, dict) and set(spec) == _SPEC_KEYS for spec in specs):
        raise TaskError(
            "a composite needs datasets: a list of mappings with name, weight and config", f"{_WHERE}.config.datasets"
        )
    for spec in specs:
        if spec["name"] == "composite" or not isinstance(spec["config"], dict):
            raise TaskError(
                "a composite holds plain families, each with a mapping as config", f"{_WHERE}.config.datasets"
            )
        check_config(spec["name"], spec["config"])
    return {**config, "datasets": [DatasetSpec(**spec) for spec in specs]}


_SPEC_KEYS: Final = {"name", "weight", "config"}


def _failed(family: str, why: str) -> TaskError:
    return TaskError(
        f"the family {family} of reasoning_gym failed to make its tasks: {why[:400]}",
        f"{_WHERE}.config",
        "change its configuration or the seed",
    )
