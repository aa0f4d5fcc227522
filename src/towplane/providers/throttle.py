"""What a provider says is left of its limits, and how long to wait for more: before it says no.

A provider's limits refill steadily; headers say how much is left and in how many seconds it will be
full again. What was sent since the last answer is taken off, so a burst does not run into a 429
that every one of its requests could have seen coming. Pure: the clock is passed in.

    wait for n units = (n - left) · seconds to full ÷ (limit - left)
"""

from towplane.providers.adapter import Allowance

__all__ = ["Throttle"]

_MINUTE_S = 60.0
"""A provider that does not say when it is full again counts by the minute (Azure OpenAI)."""
_LONGEST_S = 120.0
"""Nobody's word is trusted for longer than this."""


class Throttle:
    """What is left for one credential at one target."""

    __slots__ = ("_requests", "_tokens")

    def __init__(self) -> None:
        self._requests = _Bucket()
        self._tokens = _Bucket()

    def observe(self, said: Allowance, now: float) -> None:
        """An answer's headers."""
        self._requests.observe(said.requests_limit, said.requests_left, said.requests_reset_s, now)
        self._tokens.observe(said.tokens_limit, said.tokens_left, said.tokens_reset_s, now)

    def take(self, tokens: int, now: float) -> None:
        """An attempt starts that may use so many tokens."""
        self._requests.take(1, now)
        self._tokens.take(tokens, now)

    def wait_s(self, tokens: int, now: float) -> float:
        """Seconds until an attempt that may use so many tokens would be taken; 0: now, as far as
        anybody knows."""
        return max(self._requests.wait_s(1, now), self._tokens.wait_s(tokens, now))

    def left(self, now: float) -> tuple[int | None, int | None]:
        """Requests and tokens that are left; None where the provider does not say."""
        return self._requests.left_at(now), self._tokens.left_at(now)


class _Bucket:
    """One limit."""

    __slots__ = ("_at", "_left", "_limit", "_per_s")

    def __init__(self) -> None:
        self._limit = 0
        self._left: float | None = None
        self._per_s = 0.0
        self._at = 0.0

    def observe(
        self, limit: int | None, left: int | None, reset_s: float | None, now: float
    ) -> None:
        if left is None:
            return
        if limit is None:
            limit = max(left, self._limit, 1)
        full_s = _MINUTE_S if reset_s is None else min(max(reset_s, 0.001), _LONGEST_S)
        missing = limit - left
        self._left = float(left)  # providers count at arrival: what is in flight is off already
        self._limit = limit
        self._per_s = (
            max(missing / full_s, limit / _LONGEST_S) if missing > 0 else limit / _MINUTE_S
        )
        self._at = now

    def take(self, units: int, now: float) -> None:
        if self._left is not None:
            self._left = self._refilled(now) - units
            self._at = now

    def wait_s(self, units: int, now: float) -> float:
        if self._left is None or units > self._limit:
            return 0.0  # more than fits at all: the provider must say so itself
        missing = units - self._refilled(now)
        return max(0.0, min(missing / self._per_s, _LONGEST_S)) if missing > 0 else 0.0

    def left_at(self, now: float) -> int | None:
        return None if self._left is None else max(0, int(self._refilled(now)))

    def _refilled(self, now: float) -> float:
        assert self._left is not None
        return min(float(self._limit), self._left + (now - self._at) * self._per_s)
