"""This script makes tasks of reasoning_gym in an interpreter of its own; it imports nothing of agentsoc.

Some families walk through sets of texts or draw from the global generator, so that the same seed gives other tasks in
every process. Here the hash seed is fixed by the caller's environment and the global generators are seeded for each
item. In: one JSON object on standard input. Out: one pickle on standard output, which whatever a family prints cannot
reach.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import sys
from typing import Any


def make_items(family: str, config: dict[str, Any], seed: int, size: int, indices: list[int]) -> list[Any]:
    """Return the entries of a data set at `indices`."""
    import numpy
    import reasoning_gym

    if family == "composite":
        from reasoning_gym.composite import DatasetSpec

        config = {**config, "datasets": [DatasetSpec(**spec) for spec in config["datasets"]]}
    data = reasoning_gym.create_dataset(family, seed=seed, size=size, **config)
    items = []
    for index in indices:
        random.seed(f"{seed}/{index}")
        numpy.random.seed((seed + index) % 2**32)  # noqa: NPY002  what the families use is the global generator
        items.append(data[index])
    return items


if __name__ == "__main__":
    result = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        answer: tuple[str, Any] = ("items", make_items(**json.load(sys.stdin)))
    except Exception as error:
        answer = ("error", f"{type(error).__name__}: {error}")
    with result:
        pickle.dump(answer, result)
