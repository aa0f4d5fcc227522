"""Limits and budgets over several workers: pools at the coordinator, shares in the workers.

Every limit is a pool of units: requests or tokens of the last minute, requests at the same time,
nano-dollars of a day, a month or for good. The coordinator owns the pools; a worker holds a share
of a pool and takes units from it without asking anybody. When its share is too small it asks for
more; when the pool is empty the coordinator first calls back what other workers hold unused. So a
request is refused only when no unit is left anywhere, and no more units are out than the limit:

    out = Σ over workers (held unused + in use or spent) ≤ limit

    worker               coordinator           other workers
      │ Need(pool, n) ────▶│
      │                    │ (too little left) ── Recall(pool) ──▶│
      │                    │◀────────────── Returned(pool, m) ────│
      │◀─ Granted(pool, k) │   or Granted(pool, 0): refused, with when to come back

Units of a rate come back a minute after they were granted; a share of a rate is therefore given
back when it has not been used for `RATE_SHARE_S`. Units in use come back when the request ends
(concurrency) or never within their window (money spent). Pure: the clock is passed in.
"""

import math
from collections import deque
from typing import Literal

Measure = Literal["rpm", "tpm", "concurrency", "daily", "monthly", "total"]

RATE_WINDOW_S = 60.0
RATE_SHARE_S = 1.0
"""How long a worker may keep unused units of a rate; the error of the window is this long."""

RATES: frozenset[Measure] = frozenset(("rpm", "tpm"))


class Pool:
    """All units of one limit in one window."""

    __slots__ = ("_grants", "ends_at", "held", "limit", "measure", "out")

    def __init__(
        self, measure: Measure, limit: int, *, spent: int = 0, ends_at: float = math.inf
    ) -> None:
        self.measure = measure
        self.limit = limit
        self.out = spent
        """Units that nobody can get now: granted and not returned, or spent before."""
        self.ends_at = ends_at
        """Wall clock at which the window is over and the pool can be forgotten."""
        self.held: dict[int, int] = {}
        """By worker: units granted and not returned (for a rate: kept only to know whom to ask)."""
        self._grants: deque[tuple[float, int]] = deque()

    def free(self, now: float) -> int:
        """Units that can be granted now."""
        if self.measure in RATES:
            while self._grants and self._grants[0][0] <= now - RATE_WINDOW_S - RATE_SHARE_S:
                self.out -= self._grants.popleft()[1]
        return self.limit - self.out

    def grant(self, worker: int, need: int, now: float, *, workers: int) -> int:
        """Give `need` units, and some more for the next requests; 0 when there are too few."""
        free = self.free(now)
        if free < need:
            return 0
        amount = max(need, free // (2 * workers) if workers > 1 else free)
        self.out += amount
        self.held[worker] = self.held.get(worker, 0) + amount
        if self.measure in RATES:
            self._grants.append((now, amount))
        return amount

    def give_back(self, worker: int, amount: int) -> None:
        """Unused units come back. For a rate they are taken off the newest grants."""
        self.held[worker] = self.held.get(worker, 0) - amount
        self.out -= amount
        if self.measure not in RATES:
            return
        while amount > 0 and self._grants:
            at, granted = self._grants.pop()
            if granted > amount:
                self._grants.append((at, granted - amount))
            amount -= granted

    def worker_died(self, worker: int, *, spent: int) -> None:
        """A worker is gone; `spent` is the money that its journal says it spent."""
        held = self.held.pop(worker, 0)
        if self.measure not in RATES:
            self.out -= held - spent

    def retry_after_s(self, need: int, now: float, wall: float) -> float | None:
        """When `need` units may be free again; None if never."""
        if need > self.limit:
            return None
        if self.measure == "concurrency":
            return 1.0
        if self.measure not in RATES:
            return self.ends_at - wall if math.isfinite(self.ends_at) else None
        missing = need - self.free(now)
        for at, amount in self._grants:
            missing -= amount
            if missing <= 0:
                return max(0.0, at + RATE_WINDOW_S + RATE_SHARE_S - now)
        return 0.0


class Share:
    """What one worker holds of one pool."""

    __slots__ = ("ends_at", "free", "fresh_until", "measure", "name")

    def __init__(self, name: str, measure: Measure, *, ends_at: float = math.inf) -> None:
        self.name = name
        """The pool's name, the same at both ends."""
        self.measure = measure
        self.ends_at = ends_at
        self.free = 0
        """Units held and not in use; below 0 when an answer cost more than was reserved."""
        self.fresh_until = 0.0

    def take(self, amount: int) -> bool:
        """Take units, or nothing at all."""
        if self.free < amount:
            return False
        self.free -= amount
        return True

    def unused(self) -> int:
        """Hand over all that is not in use, for the coordinator."""
        amount = max(self.free, 0)
        self.free -= amount
        return amount
