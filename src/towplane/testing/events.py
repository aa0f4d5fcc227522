"""Events of a journal with everything filled in, for tests that care about one or two fields."""

from typing import Any

from towplane.tenants.events import Opened, Settled

__all__ = ["NOON", "opened", "settled"]

NOON = 1_795_435_200.0
"""2026-11-23T12:00:00Z."""


def opened(attempt: str, **changes: Any) -> Opened:  # any field of Opened
    """An attempt that begins."""
    fields: dict[str, Any] = {
        "id": attempt,
        "at": NOON,
        "tenant": "acme",
        "key": "k1",
        "model": "small",
        "target": "embedded/0",
        "upstream_model": "small-q4",
        "cause": "first",
        "input_estimate": 100,
        "output_limit": 1024,
        "price": (1_000_000, 500_000, 2_000_000),
    }
    return Opened(**{**fields, **changes})


def settled(attempt: str, **changes: Any) -> Settled:  # any field of Settled
    """An attempt that ends well."""
    fields: dict[str, Any] = {
        "id": attempt,
        "at": NOON + 1.5,
        "outcome": "ok",
        "usage": "measured",
        "final": True,
        "status": 200,
        "input": 90,
        "cached_input": 10,
        "output": 20,
        "cost_nanousd": 125,
        "ttft_ms": 12.5,
        "duration_ms": 1500.0,
    }
    return Settled(**{**fields, **changes})
