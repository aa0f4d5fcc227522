"""The fuzzer of the serving port, for as long as the suite allows."""

import pytest

from towplane.testing.fuzz import fuzz


@pytest.mark.parametrize("seed", [1, 10_000_000])
def test_no_bytes_break_the_line(seed: int) -> None:
    """See the laws at the head of `towplane.testing.fuzz`; `make fuzz` runs it for minutes."""
    report = fuzz(4.0, seed=seed)
    assert report.findings == []
    assert report.served
    assert report.refused
