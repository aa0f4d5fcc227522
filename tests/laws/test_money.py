"""Money for people: exact, never through a float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.money import format_nanousd, format_token_price
from towplane.parts.units import PARSERS


@pytest.mark.parametrize(
    ("amount", "want"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (123_000, "$0.000123"),
        (1_500_000_000, "$1.50"),
        (2_000_000_000_000, "$2,000.00"),
        (-1_500_000_000, "-$1.50"),
        (9_007_199_254_740_993, "$9,007,199.254740993"),
    ],
)
def test_an_amount_shows_every_digit_that_counts(amount: int, want: str) -> None:
    assert format_nanousd(amount) == want


@given(st.integers(-(10**18), 10**18))
def test_what_is_shown_is_what_is_kept(amount: int) -> None:
    shown = format_nanousd(amount).replace("$", "").replace(",", "")
    assert Decimal(shown).scaleb(9) == amount


@given(st.integers(0, 10**18))
def test_a_price_is_shown_as_the_document_writes_it(price: int) -> None:
    assert PARSERS["token_price"](format_token_price(price)) == price
