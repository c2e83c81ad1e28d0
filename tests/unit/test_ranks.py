"""Ranks by counting and by sorting are those of NumPy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.ranks import SPREAD_MAX, ranked

CLOSE = st.lists(st.integers(-20, 20), max_size=40)
FAR = st.lists(st.integers(-(2**62), 2**62), max_size=40)


@given(CLOSE | FAR)
def test_ranks_are_those_of_numpy(numbers: list[int]) -> None:
    given_ = np.array(numbers, dtype=np.int64)
    values, rank = ranked(given_)
    expected, inverse = np.unique(given_, return_inverse=True)
    assert values.tolist() == expected.tolist()
    assert rank.tolist() == inverse.tolist()


def test_numbers_that_lie_far_apart_are_not_counted() -> None:
    far = np.array([0, 2**60, 0, SPREAD_MAX], dtype=np.int64)  # a table of 2**60 places would not fit anywhere
    values, rank = ranked(far)
    assert values.tolist() == [0, SPREAD_MAX, 2**60]
    assert rank.tolist() == [0, 2, 0, 1]
