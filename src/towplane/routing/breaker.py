"""A circuit breaker: leaves a failing target alone, then lets one attempt probe it.

    closed ──failures──▶ open ──open_s passed──▶ half-open ──success──▶ closed
                          ▲                          │
                          └────────failure───────────┘   (open_s doubled, up to longest_s)

It opens after `failures` consecutive failures, or when at least `share` of at least `volume`
attempts within `window_s` failed. The clock is passed in. Warning: what counts as a failure is the
caller's choice; an answer that blames the client (4xx) must not be reported as one.
"""

from typing import Literal, NamedTuple

from towplane.routing.spec import Breaker as BreakerSpec
from towplane.routing.window import Window

State = Literal["closed", "open", "half-open"]


class Standing(NamedTuple):
    """A breaker at a moment."""

    state: State
    probe_in_s: float
    """Seconds until an open one lets an attempt probe; 0 for the others."""
    is_probing: bool
    """Half-open, and the one attempt that it lets through is under way."""

    @property
    def admits(self) -> bool:
        """Whether an attempt may start."""
        return not self.is_probing and self.probe_in_s <= 0


class Breaker:
    """The breaker of one target."""

    __slots__ = (
        "_consecutive",
        "_open_s",
        "_probing",
        "_recent",
        "_spec",
        "_until",
        "state",
        "trips",
    )

    def __init__(self, spec: BreakerSpec) -> None:
        self._spec = spec
        self.state: State = "closed"
        self._consecutive = 0
        self._recent = Window(spec.window_s)
        """Attempts that ended while it was closed, and the failures among them."""
        self._open_s = spec.open_s
        self._until = 0.0
        self._probing = False
        self.trips = 0
        """Times it opened."""

    def admits(self, now: float) -> bool:
        """Whether an attempt may start now; does not start it."""
        if self.state == "closed":
            return True
        if self.state == "open" and now >= self._until:
            self.state = "half-open"
            self._probing = False
        return self.state == "half-open" and not self._probing

    def standing(self, now: float) -> Standing:
        """How it stands, for those who only look: changes nothing."""
        return Standing(self.state, self.retry_after_s(now), self._probing)

    def retune(self, spec: BreakerSpec) -> None:
        """Other settings hold from now on; what it has seen stays."""
        if spec.window_s != self._spec.window_s:
            self._recent = Window(spec.window_s)
        self._spec = spec
        if self.state == "closed":
            self._open_s = spec.open_s

    def started(self) -> None:
        """An attempt starts; in half-open it is the only probe."""
        if self.state == "half-open":
            self._probing = True

    def succeeded(self, now: float) -> None:
        """An attempt ended well."""
        if self.state == "half-open":
            self._close()
        elif self.state == "closed":
            self._consecutive = 0
            self._recent.add(now)

    def failed(self, now: float) -> None:
        """An attempt failed by the target's fault."""
        if self.state == "half-open":
            self._open_s = min(self._open_s * 2, self._spec.longest_s)
            self._open(now)
        elif self.state == "closed":
            self._consecutive += 1
            self._recent.add(now)
            self._recent.add_some(now)
            if self._consecutive >= self._spec.failures or self._share_reached(now):
                self._open(now)

    def abandoned(self) -> None:
        """An attempt ended without a verdict on the target (the client went away)."""
        self._probing = False

    def retry_after_s(self, now: float) -> float:
        """Seconds until the next probe; 0 when attempts are admitted."""
        return max(0.0, self._until - now) if self.state == "open" else 0.0

    def _open(self, now: float) -> None:
        self.state = "open"
        self.trips += 1
        self._until = now + self._open_s
        self._probing = False

    def _close(self) -> None:
        self.state = "closed"
        self._consecutive = 0
        self._recent = Window(self._spec.window_s)
        self._open_s = self._spec.open_s
        self._probing = False

    def _share_reached(self, now: float) -> bool:
        volume, failures = self._recent.sums(now)
        return volume >= self._spec.volume and failures >= self._spec.share * volume
