"""What an error's head says of coming back."""

import pytest

from towplane.gateway.answers import error_headers
from towplane.parts.errors import RateLimited


@pytest.mark.parametrize(
    ("after_s", "seconds", "milliseconds"),
    [(0.0, 1, 1), (0.06, 1, 60), (0.0601, 1, 61), (1.0, 1, 1000), (1.5, 2, 1500), (20, 20, 20_000)],
)
def test_a_wait_is_told_to_the_millisecond_and_never_too_short(
    after_s: float, seconds: int, milliseconds: int
) -> None:
    """`retry-after` knows whole seconds; official clients take `retry-after-ms` first."""
    head = error_headers(RateLimited("Too fast.", after_s=after_s))
    assert b"\r\nretry-after: %d\r\n" % seconds in head
    assert b"\r\nretry-after-ms: %d\r\n" % milliseconds in head


def test_nobody_is_told_a_wait_that_nobody_knows() -> None:
    assert b"retry-after" not in error_headers(RateLimited("Too fast."))
