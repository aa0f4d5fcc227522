"""Prices: exact, dated, and unknown where nobody said."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.providers.spec import PriceSpec
from towplane.tenants.prices import Price, cost_nanousd, price_at

PRICES = [
    PriceSpec(since="2026-01-01", input=150, output=600),
    PriceSpec(since="2026-06-01", input=100, output=400, cached_input=10),
]
tokens = st.integers(0, 2**31)
per_mtok = st.integers(0, 2**47)


@pytest.mark.parametrize(
    ("day", "want"),
    [
        ("2025-12-31", None),
        ("2026-01-01", Price(150, 150, 600)),
        ("2026-05-31", Price(150, 150, 600)),
        ("2026-06-01", Price(100, 10, 400)),
        ("2031-01-01", Price(100, 10, 400)),
    ],
)
def test_a_price_holds_from_its_day_on(day: str, want: Price | None) -> None:
    assert price_at(PRICES, day) == want
    assert price_at(reversed(PRICES), day) == want


def test_a_model_without_prices_is_unknown_and_not_free() -> None:
    assert price_at([], "2026-11-23") is None


@given(per_mtok, per_mtok, per_mtok, tokens, tokens, tokens)
def test_a_cost_is_exact_and_rounded_once(
    per_input: int, per_cached: int, per_output: int, fresh: int, cached: int, output: int
) -> None:
    cost = cost_nanousd((per_input, per_cached, per_output), fresh + cached, cached, output)
    exact = Fraction(fresh * per_input + cached * per_cached + output * per_output, 1_000_000)
    assert Fraction(-1, 2) < cost - exact <= Fraction(1, 2)


def test_half_a_nano_dollar_is_rounded_up() -> None:
    assert cost_nanousd((500_000, 0, 0), 1, 0, 0) == 1
    assert cost_nanousd((499_999, 0, 0), 1, 0, 0) == 0


def test_more_cached_tokens_than_input_make_no_negative_cost() -> None:
    assert cost_nanousd((1_000_000, 100_000, 0), 10, 50, 0) == 1
