"""Windows of a budget: UTC days and months, named so that no two kinds can be confused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.tenants.windows import Windows, day_of, next_window_s, windows_at


@pytest.mark.parametrize(
    ("at", "want"),
    [
        (0.0, Windows("1970-01-01", "1970-01", "total")),
        (951_782_399.999, Windows("2000-02-28", "2000-02", "total")),
        (951_782_400.0, Windows("2000-02-29", "2000-02", "total")),
        (1_798_761_599.0, Windows("2026-12-31", "2026-12", "total")),
        (1_798_761_600.0, Windows("2027-01-01", "2027-01", "total")),
    ],
)
def test_a_moment_lies_in_its_utc_day_and_month(at: float, want: Windows) -> None:
    assert windows_at(at) == want


@given(st.integers(0, 4_000_000_000))
def test_the_next_windows_begin_when_the_day_ends(at: int) -> None:
    turns_at = at + next_window_s(at)
    assert day_of(turns_at - 1) == day_of(at) != day_of(turns_at)
