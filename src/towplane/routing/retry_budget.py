"""A retry budget: retries may be a share of recent requests, plus a small floor.

Over the last `window_s`: retries ≤ share × requests + floor × window. A count per request cannot
stop a retry storm, because it multiplies with the load; a share can (Finagle, "Retry Budgets",
2016-02-08). Time is cut into ten slots, so both sums cost nothing per request.
"""

from towplane.routing.spec import Retries

_SLOTS = 10


class RetryBudget:
    """The budget of one route in one worker; the clock is passed in."""

    __slots__ = ("_requests", "_retries", "_slot", "_slot_s", "_spec")

    def __init__(self, spec: Retries) -> None:
        self._spec = spec
        self._slot_s = max(spec.window_s, 0.001) / _SLOTS
        self._slot = 0
        self._requests = [0] * _SLOTS
        self._retries = [0] * _SLOTS

    def request(self, now: float) -> None:
        """A request came in."""
        self._turn(now)
        self._requests[self._slot % _SLOTS] += 1

    def take(self, now: float) -> bool:
        """Take one retry if the budget has one."""
        if self.left(now) < 1.0:
            return False
        self._retries[self._slot % _SLOTS] += 1
        return True

    def left(self, now: float) -> float:
        """Retries that are left at the moment."""
        self._turn(now)
        spec = self._spec
        allowed = spec.share * sum(self._requests) + spec.floor * spec.window_s
        return allowed - sum(self._retries)

    def _turn(self, now: float) -> None:
        slot = int(now / self._slot_s)
        if slot == self._slot:
            return
        for passed in range(min(slot - self._slot, _SLOTS)):
            self._requests[(slot - passed) % _SLOTS] = 0
            self._retries[(slot - passed) % _SLOTS] = 0
        self._slot = max(slot, self._slot)
