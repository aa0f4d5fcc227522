"""A clock that moves only when it is told to; it knows no event loop and sleeps for nobody."""

__all__ = ["FakeClock"]


class FakeClock:
    """Monotonic and wall time that advance together; `step_wall` moves the wall alone (NTP)."""

    __slots__ = ("_monotonic_s", "_wall_s")

    def __init__(self, monotonic_s: float = 1000.0, wall_s: float = 1_800_000_000.0) -> None:
        self._monotonic_s = monotonic_s
        self._wall_s = wall_s

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        return self._monotonic_s

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._wall_s

    def advance(self, seconds: float) -> float:
        """Let `seconds` pass; answer the new monotonic time."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back; use step_wall")
        self._monotonic_s += seconds
        self._wall_s += seconds
        return self._monotonic_s

    def step_wall(self, seconds: float) -> None:
        """Correct the wall clock, as a time daemon does; monotonic time does not notice."""
        self._wall_s += seconds
