"""A target as the simulated gateway sees it: its health by the gateway's own rules, and its server.

What a gateway knows of a target (load, breaker, whether it is parked) is kept apart from what the
target is (`server`), which only answers.
"""

from typing import Protocol

from towplane.routing.breaker import Breaker
from towplane.routing.concurrency import AdaptiveLimit
from towplane.routing.load import Load, Price
from towplane.routing.outliers import Done
from towplane.routing.spec import Breaker as BreakerSpec
from towplane.simulation.work import Work

__all__ = ["Server", "Target"]


class Server(Protocol):
    """What answers: an engine or a managed API."""

    is_down: bool
    is_hung: bool
    slow: float

    def offer(self, work: Work, now: float) -> None: ...

    def cancel(self, work: Work) -> None: ...

    def stop(self, now: float) -> None: ...

    def start(self, now: float) -> None: ...

    def hang(self) -> None: ...

    def waiting(self) -> int: ...

    def running(self) -> int: ...


class Target:
    """One target."""

    __slots__ = ("adaptive", "answers", "attempts", "breaker", "cached", "concurrency", "failures",
                 "hung_at", "input", "is_own", "is_ready", "load", "name", "nanousd", "output",
                 "parked_until", "server", "waited_s", "waits")  # fmt: skip

    def __init__(
        self, name: str, breaker: BreakerSpec, *, is_own: bool, price: Price | None = None
    ) -> None:
        self.name = name
        self.load = Load(name)
        self.load.price = price
        self.breaker = Breaker(breaker)
        self.is_own = is_own
        self.is_ready = True
        """Whether the controller has it in the route."""
        self.parked_until = 0.0
        self.concurrency: int | None = None
        """Attempts that it takes at once; None: as many as come."""
        self.adaptive: AdaptiveLimit | None = None
        """The same, where it is found out."""
        self.hung_at = 0.0
        self.server: Server
        self.attempts = self.answers = self.failures = 0
        self.input = self.cached = self.output = 0
        """Tokens of its answers."""
        self.nanousd = 0.0
        self.waits, self.waited_s = 0, 0.0
        """First tokens, and what they took together; counted where outliers are looked for."""

    def is_usable(self, now: float) -> bool:
        """Whether an attempt may go there (`gateway.target_state`, less credentials)."""
        return (
            self.is_ready
            and now >= self.parked_until
            and self.breaker.admits(now)
            and self.has_room()
        )

    @property
    def is_bounded(self) -> bool:
        """Whether it takes only so many attempts at once."""
        return self.concurrency is not None or self.adaptive is not None

    def has_room(self) -> bool:
        """Whether it takes one more attempt."""
        in_flight, adaptive = self.load.in_flight, self.adaptive
        return (self.concurrency is None or in_flight < self.concurrency) and (
            adaptive is None or in_flight < adaptive.limit
        )

    def is_full(self, now: float) -> bool:
        """Whether it has as many attempts as it takes, and is well otherwise."""
        return (
            not self.has_room()
            and self.is_ready
            and now >= self.parked_until
            and self.breaker.admits(now)
        )

    def heard_first(self, seconds: float, began_at: float, now: float) -> bool:
        """A first token came after so long; whether it now takes more at once than before."""
        adaptive, in_flight = self.adaptive, self.load.in_flight
        if adaptive is None:
            return False
        grew = adaptive.observe(seconds, began_at=began_at, in_flight=in_flight, now=now)
        if in_flight >= adaptive.limit:
            self.load.suspect()
        return grew

    def usable_in_s(self, now: float) -> float:
        """Seconds until it may be usable again."""
        return max(self.parked_until - now, self.breaker.retry_after_s(now), 0.0)

    def done(self) -> Done:
        """What it did so far, for those who look for outliers."""
        return Done(self.attempts, self.failures, self.waits, self.waited_s)

    def park(self, until: float) -> None:
        """It asked to be left alone."""
        self.parked_until = max(self.parked_until, until)
        self.load.suspect()
