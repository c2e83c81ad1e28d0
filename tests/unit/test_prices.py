"""Money is exact, whatever others in the process have done to decimals."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsoc.scenario.prices import UNIT, Price, money, units


@given(amount=st.integers(0, 10**24), digits=st.integers(1, 40))
def test_money_does_not_depend_on_the_precision_of_decimals(amount: int, digits: int) -> None:
    with localcontext() as context:
        context.prec = digits
        rounded = money(amount)
    with localcontext() as context:
        context.prec = 60
        assert rounded == float(Decimal(amount) / UNIT)


@pytest.mark.parametrize("digits", [1, 6, 28])
def test_nor_does_a_price(digits: int) -> None:
    with localcontext() as context:
        context.prec = digits
        assert units(1234567.654321) == 1234567654321 * 10**6
        assert Price(input=1234.123456, output=0.000001).rate[:3] == (1234123456, 1234123456, 1)
        with pytest.raises(ValueError, match="at most 6 decimals"):
            Price(input=1234567.1234567, output=1)
