"""The synthetic question: columns equal tasks, truths are uniform, a million are cheap."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentsoc.contracts.part import Part
from agentsoc.tasks.signal import LETTERS, MixtureComponent, Signal

MIXTURE = (MixtureComponent(weight=0.8, signal=0.4), MixtureComponent(weight=0.2, signal=-0.03))


@given(
    seed=st.integers(0, 2**63 - 1),
    count=st.integers(1, 60),
    choices=st.integers(2, 26),
    weights=st.lists(st.floats(1e-6, 1e6), max_size=5),
)
def test_columns_are_the_tasks(seed: int, count: int, choices: int, weights: list[float]) -> None:
    mixture = tuple(MixtureComponent(weight=w, signal=i / 10) for i, w in enumerate(weights))
    family = Signal(count=count, choices=choices, mixture=mixture)
    truth, signal = family.columns(seed)
    tasks = list(family.tasks(seed))
    assert truth.dtype == np.int64
    assert [task.truth for task in tasks] == [LETTERS[i] for i in truth]
    if mixture:
        assert signal is not None
        assert [task.difficulty for task in tasks] == signal.tolist()
    else:
        assert signal is None
        assert all(task.difficulty is None for task in tasks)


def test_columns_do_not_depend_on_the_count() -> None:
    truth, signal = Signal(count=1000, choices=5, mixture=MIXTURE).columns(3)
    few, few_signals = Signal(count=10, choices=5, mixture=MIXTURE).columns(3)
    assert truth[:10].tolist() == few.tolist()
    assert signal is not None
    assert few_signals is not None
    assert signal[:10].tolist() == few_signals.tolist()


@pytest.mark.parametrize("choices", [2, 3, 26])
def test_truths_are_uniform_and_components_have_their_shares(choices: int) -> None:
    # |z| < 4.5 for at most 28 counts: false-alarm rate 2e-4 over fresh seeds.
    n = 100_000
    truth, signal = Signal(count=n, choices=choices, mixture=MIXTURE).columns(17)
    p = 1 / choices
    for count in np.bincount(truth, minlength=choices):
        assert abs(count - n * p) < 4.5 * (n * p * (1 - p)) ** 0.5
    assert signal is not None
    assert abs((signal == 0.4).sum() - 0.8 * n) < 4.5 * (n * 0.8 * 0.2) ** 0.5
    # truth and difficulty are independent: the correlation has standard error 1/sqrt(n)
    assert abs(np.corrcoef(truth, signal)[0, 1]) < 4.5 / n**0.5


def test_a_million_tasks_are_columns_within_a_second_of_work_and_a_sequence_without_objects() -> None:
    family = Signal(count=1_000_000, mixture=MIXTURE)
    start = time.process_time()
    truth, _ = family.columns(0)
    tasks = family.tasks(0)
    assert time.process_time() - start < 2.0  # 0.2 s when nothing else runs
    assert len(truth) == len(tasks) == 1_000_000
    assert tasks[999_999].truth == LETTERS[truth[-1]]
    assert tasks[-1] == tasks[999_999]
    assert [task.index for task in tasks[5:9]] == [5, 6, 7, 8]
    with pytest.raises(IndexError):
        tasks[1_000_000]


def test_a_signal_that_would_be_a_negative_probability_is_refused() -> None:
    Signal(choices=3, mixture=(MixtureComponent(weight=1.0, signal=-0.5),))
    with pytest.raises(ValidationError, match=r"at least -0\.3333"):
        Signal(choices=4, mixture=(MixtureComponent(weight=1.0, signal=-0.5),))
    with pytest.raises(ValidationError):
        MixtureComponent(weight=0.0, signal=0.1)


def test_a_signal_family_survives_being_written_down() -> None:
    family: Part = Signal(choices=3, mixture=MIXTURE)
    assert Signal.model_validate(family.model_dump(mode="json")) == family


def test_different_seeds_give_different_truths() -> None:
    seen = Counter(tuple(Signal(count=64).columns(seed)[0].tolist()) for seed in range(50))
    assert len(seen) == 50
