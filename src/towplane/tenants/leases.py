"""Limits and budgets over several workers: pools at the coordinator, shares in the workers.

Every limit is a pool of units: requests or tokens of the last minute, requests at the same time,
requests, tokens or nano-dollars of a day, a month or for good. The coordinator owns the pools; a
worker holds a share of a pool and takes units from it without asking anybody. When its share is too
small it asks for more; when the pool is empty the coordinator first calls back what other workers
hold unused. So a request is refused only when no unit is left anywhere, and no more units are out
than the limit:

    out = Σ over workers (held unused + in use or spent) ≤ limit

    worker               coordinator           other workers
      │ Need(pool, n) ────▶│
      │                    │ (too little left) ── Recall(pool) ──▶│
      │                    │◀────────────── Returned(pool, m) ────│
      │◀─ Granted(pool, k) │   or Granted(pool, 0): refused, with when to come back

Units of a rate come back a minute after they were granted; a share of a rate is therefore given
back when it has not been used for `RATE_SHARE_S`. Units in use come back when the request ends
(concurrency) or never within their window (what was used of a day). What a request reserved of a
rate and did not use belongs to the minute in which it was taken: it goes back to the pool with its
age, and is never used again by the worker, because the pool may have lent it anew. What an answer
cost above its reservation is a debt: it is told to the pool before more is asked for, and is the
one thing that can bring more out than the limit. Pure: the clock is passed in.
"""

import math
from collections import deque
from typing import Final

from towplane.tenants.measures import MEASURES, MONEY, REQUESTS, RUNS, TOKENS, Measure

__all__ = [
    "MONEY",
    "RATES",
    "RATE_SHARE_S",
    "RATE_WINDOW_S",
    "REQUESTS",
    "RUNS",
    "TOKENS",
    "Measure",
    "Pool",
    "Share",
]

RATE_WINDOW_S: Final = 60.0
RATE_SHARE_S: Final = 1.0
"""How long a worker may keep unused units of a rate; the error of the window is this long."""

RATES: frozenset[Measure] = frozenset(("rpm", "tpm"))


class _Grant:
    """Units of a rate granted to a worker."""

    __slots__ = ("amount", "at", "worker")

    def __init__(self, at: float, worker: int, amount: int) -> None:
        self.at = at
        self.worker = worker
        self.amount = amount


class Pool:
    """All units of one limit in one window."""

    __slots__ = ("_grants", "ends_at", "held", "is_lent_thin", "limit", "measure", "out",
                 "reserve_ratio")  # fmt: skip

    def __init__(
        self,
        measure: Measure,
        limit: int,
        *,
        spent: int = 0,
        ends_at: float = math.inf,
        reserve_ratio: float = 0.0,
        is_lent_thin: bool = False,
    ) -> None:
        self.measure = measure
        self.limit = limit
        self.out = spent
        """Units that nobody can get now: granted and not returned, or spent before."""
        self.ends_at = ends_at
        """Wall clock at which the window is over and the pool can be forgotten."""
        self.reserve_ratio = reserve_ratio
        """Share of the limit that requests of low priority leave to the others."""
        self.is_lent_thin = is_lent_thin or measure in RATES
        """What a worker holds when it dies is lost, so it never holds much more than it needs."""
        self.held: dict[int, int] = {}
        """By worker: units granted and not returned (of a rate: in the last minute)."""
        self._grants: deque[_Grant] = deque()

    def free(self, now: float) -> int:
        """Units that can be granted now."""
        oldest = now - RATE_WINDOW_S - RATE_SHARE_S
        while self._grants and self._grants[0].at <= oldest:
            grant = self._grants.popleft()
            self._take_back(grant.worker, grant.amount)
        return self.limit - self.out

    def is_enough(self, need: int, now: float, *, is_low: bool = False) -> bool:
        """Whether `need` units can be granted now, to a request of low priority or another.

        The reserve is never so large that a request alone could not have what it needs.
        """
        leave = min(self._reserve(), self.limit - need) if is_low else 0
        return self.free(now) - max(0, leave) >= need

    def grant(
        self, worker: int, need: int, now: float, *, workers: int, is_low: bool = False
    ) -> int:
        """Give `need` units, and some more for the next requests; 0 when there are too few."""
        if not self.is_enough(need, now, is_low=is_low):
            return 0
        free = self.free(now)
        parts = 8 * workers if self.is_lent_thin else 2 * workers if workers > 1 else 1
        # Whoever asks next of this worker may be of low priority: no more out of the reserve.
        amount = max(need, min(free // parts, free - self._reserve()))
        self._give(worker, amount, now)
        return amount

    def give_back(self, worker: int, amount: int, now: float, *, age_s: float = 0.0) -> None:
        """Units come back that were taken `age_s` ago and not used; below 0, a debt is told.

        Units of a rate come back to the grants that they can have come from, the newest first; what
        is found in none of them came back a minute after it was granted.
        """
        if amount < 0:
            self._give(worker, -amount, now)
        elif self.measure not in RATES:
            self._take_back(worker, amount)
        else:
            for grant in reversed(self._grants):
                if amount <= 0:
                    break
                if grant.worker == worker and grant.at <= now - age_s:
                    units = min(grant.amount, amount)
                    grant.amount -= units
                    amount -= units
                    self._take_back(worker, units)

    def worker_died(self, worker: int, *, spent: int) -> None:
        """A worker is gone; `spent` is what its journal says it used of a window.

        Of a rate nobody knows what it used: all that it got comes back with its minute.
        """
        if self.measure not in RATES:
            self.out -= self.held.pop(worker, 0) - spent

    def retry_after_s(self, need: int, now: float, wall: float) -> float | None:
        """When `need` units may be free again; None if never."""
        if need > self.limit:
            return None
        if self.measure == "concurrency":
            return 1.0
        if self.measure not in RATES:
            return self.ends_at - wall if math.isfinite(self.ends_at) else None
        missing = need - self.free(now)
        for grant in self._grants:
            missing -= grant.amount
            if missing <= 0:
                return max(0.0, grant.at + RATE_WINDOW_S + RATE_SHARE_S - now)
        return 0.0

    def _reserve(self) -> int:
        return int(self.limit * self.reserve_ratio) if self.reserve_ratio else 0

    def _give(self, worker: int, amount: int, now: float) -> None:
        self.out += amount
        self.held[worker] = self.held.get(worker, 0) + amount
        if self.measure in RATES:
            self._grants.append(_Grant(now, worker, amount))

    def _take_back(self, worker: int, amount: int) -> None:
        self.out -= amount
        left = self.held.get(worker, 0) - amount
        if left:
            self.held[worker] = left
        else:
            self.held.pop(worker, None)


class Share:
    """What one worker holds of one pool."""

    __slots__ = ("_past", "free", "fresh_until", "measure", "name", "unit")

    def __init__(self, name: str, measure: Measure) -> None:
        self.name = name
        """The pool's name, the same at both ends."""
        self.measure = measure
        self.unit = MEASURES[measure].unit
        self.free = 0
        """Units held and not in use; below 0 when an answer cost more than was reserved."""
        self.fresh_until = math.inf
        """Monotonic time after which what is unused goes back."""
        self._past: dict[int, int] = {}
        """Units of a rate that were taken and not used, by the second in which they were taken."""

    def settle(self, amount: int, taken_at: float) -> None:
        """A request that took units leaves `amount` of them unused, or used more than it took."""
        if amount > 0 and self.measure in RATES:
            second, past = math.ceil(taken_at), self._past
            past[second] = past[second] + amount if second in past else amount
        else:
            self.free += amount

    def unused(self) -> int:
        """Hand over all that is not in use, for the coordinator; a debt is below 0."""
        amount, self.free = self.free, 0
        return amount

    def debt(self) -> int:
        """Hand over what was used and not held: 0 or less."""
        return self.unused() if self.free < 0 else 0

    def past(self, now: float) -> list[tuple[int, float]]:
        """Hand over what of a rate was taken and not used: amounts and their ages."""
        if not self._past:
            return []
        found = [(amount, max(0.0, now - second)) for second, amount in self._past.items()]
        self._past.clear()
        return found
