"""How moods change: each vendor by itself, calm and trouble in turn, for random times."""

import asyncio
import random
from collections import Counter

from trouble.moods import FAULTS
from trouble.vendors import Vendor, Vendors

__all__ = ["upset"]

_CALM_S = (5.0, 60.0)
_TROUBLE_S = (5.0, 40.0)
_SHARES = (0.3, 0.6, 1.0, 1.0)
"""Of the requests of an episode that meet its fault."""


async def upset(vendors: Vendors, seed: int, *, hurry: float = 1.0) -> Counter[str]:
    """Until it is cancelled; then all are calm again. Answers how often each fault came.

    `hurry` makes all times shorter, for a run of seconds."""
    seen: Counter[str] = Counter()
    tasks = [asyncio.ensure_future(_one(vendor, seed, hurry, seen)) for vendor in vendors.all]
    try:
        await asyncio.gather(*tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for vendor in vendors.all:
            vendor.turn("calm", 1.0)
    return seen


async def _one(vendor: Vendor, seed: int, hurry: float, seen: Counter[str]) -> None:
    rng = random.Random(f"{seed} {vendor.name} episodes")
    names, weights = list(FAULTS), list(FAULTS.values())
    while True:
        await asyncio.sleep(rng.uniform(*_CALM_S) / hurry)
        fault = rng.choices(names, weights)[0]
        seen[fault] += 1
        vendor.turn(fault, rng.choice(_SHARES))
        await asyncio.sleep(rng.uniform(*_TROUBLE_S) / hurry)
        vendor.turn("calm", 1.0)
