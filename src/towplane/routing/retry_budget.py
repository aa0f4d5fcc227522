"""A retry budget: retries may be a share of recent requests, plus a small floor.

Over the last `window_s`: retries ≤ share × requests + floor × window. A count per request cannot
stop a retry storm, because it multiplies with the load; a share can (Finagle, "Retry Budgets",
2016-02-08).
"""

from towplane.routing.spec import Retries
from towplane.routing.window import Window


class RetryBudget:
    """The budget of one route in one worker; the clock is passed in."""

    __slots__ = ("_spec", "_window", "request")

    def __init__(self, spec: Retries) -> None:
        self._spec = spec
        self._window = Window(spec.window_s)
        self.request = self._window.add
        """A request came in, at a time."""

    def take(self, now: float) -> bool:
        """Take one retry if the budget has one."""
        if self.left(now) < 1.0:
            return False
        self._window.add_some(now)
        return True

    def left(self, now: float) -> float:
        """Retries that are left at the moment."""
        requests, retries = self._window.sums(now)
        return self._spec.share * requests + self._spec.floor * self._spec.window_s - retries
