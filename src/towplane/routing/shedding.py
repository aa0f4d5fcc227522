"""Saying no at once to a request that would come too late, and when to come back. Pure.

The wait that lies before a request follows from Little's law: `ahead` others and itself need a
place, `slots` places come free once in the mean time that an answer takes, so

    wait = (ahead + 1) · mean seconds of an answer ÷ slots

What is refused at once costs nothing; what waits and is then refused has cost its client the wait,
and what is answered after its client gave up has cost the engine the work. The laws: as long as too
few answers were seen nothing is foretold and nobody is refused for it; a request that is refused
would, by the same figures, have been in time if it had come `after_s` later to a queue that took in
nobody else.
"""

from typing import Final, Literal, NamedTuple

__all__ = ["FEWEST", "Pace", "Refusal", "come_back_s", "foretell", "shed"]

FEWEST: Final = 8
"""Answers that must have been seen before a wait is foretold from them."""
_NEWEST: Final = 0.1
"""Weight of the newest answer in the mean: the last twenty or so count."""
_SOONEST_S: Final = 1.0
_LATEST_S: Final = 60.0
"""Nobody is told to come back before, as clients round to seconds; nor later, as no backlog of
requests that wait for seconds is foretold for so long."""


class Pace:
    """How long the attempts of a route take."""

    __slots__ = ("_seconds", "_seen")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._seen = 0

    @property
    def mean_s(self) -> float | None:
        """Seconds of an attempt, from its start to its end; None: too few have ended."""
        return self._seconds if self._seen >= FEWEST else None

    def observe(self, seconds: float) -> None:
        """One attempt has ended."""
        self._seen += 1
        # The first ones count alike, so that no single one of them is the mean.
        self._seconds += (seconds - self._seconds) * max(_NEWEST, 1.0 / self._seen)


class Refusal(NamedTuple):
    """A request that had better come back later."""

    reason: Literal["late", "slo"]
    wait_s: float
    """What lies before it."""
    after_s: float
    """When to come back."""


def foretell(ahead: int, slots: int, mean_s: float | None) -> float | None:
    """Seconds until a request is served that has so many ahead of it; None: unknown."""
    if mean_s is None or slots < 1:
        return None
    return (ahead + 1) * mean_s / slots


def shed(wait_s: float | None, *, left_s: float, slo_s: float | None = None) -> Refusal | None:
    """Whether a request is refused: it has `left_s` to wait, and `slo_s` until its SLO is missed
    (None: that is no reason)."""
    if wait_s is None:
        return None
    if wait_s > left_s:
        return Refusal("late", wait_s, come_back_s(wait_s - left_s))
    if slo_s is not None and wait_s > slo_s:
        return Refusal("slo", wait_s, come_back_s(wait_s - max(0.0, slo_s)))
    return None


def come_back_s(seconds: float) -> float:
    """A time to come back that is worth telling."""
    return min(max(seconds, _SOONEST_S), _LATEST_S)
