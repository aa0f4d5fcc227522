"""A circuit breaker: leaves a failing target alone, then lets one attempt probe it.

    closed ──failures──▶ open ──open_s passed──▶ half-open ──success──▶ closed
                          ▲                          │
                          └────────failure───────────┘   (open_s doubled, up to longest_s)

It opens after `failures` consecutive failures; when at least `share` of at least `volume` attempts
within `window_s` failed, or `slow_share` of them were slow; or when it is tripped from outside
(`routing.progress`). A target that is probed by the plane (`is_probed`) gets no client's request
before a probe succeeded. The clock is passed in. Warning: what counts as a failure is the caller's
choice; an answer that blames the client (4xx) must not be reported as one.
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
        "_slow",
        "_spec",
        "_until",
        "is_probed",
        "slow_s",
        "stalled_s",
        "state",
        "trips",
        "why",
    )

    def __init__(self, spec: BreakerSpec, *, is_probed: bool = False) -> None:
        self._spec = spec
        self.slow_s = spec.slow_s
        """An attempt that took longer is to be reported as slow; None: none is."""
        self.stalled_s = spec.stalled_s
        """So long without a token it is to be tripped."""
        self.is_probed = is_probed
        """The plane's own probe decides when it is half-open, and no client's request."""
        self.state: State = "closed"
        self.why = "failing"
        """Why it opened last, in words: failing, slow, or what it was tripped for."""
        self._consecutive = 0
        self._recent = Window(spec.window_s)
        """Attempts that ended while it was closed, and the failures among them."""
        self._slow = Window(spec.window_s)
        """Only the slow ones among them."""
        self._open_s = spec.open_s
        self._until = 0.0
        self._probing = False
        self.trips = 0
        """Times it opened."""

    def admits(self, now: float) -> bool:
        """Whether a client's attempt may start now; does not start it."""
        if self.state == "closed":
            return True
        if self.is_probed:
            return False
        if self.state == "open" and now >= self._until:
            self.state = "half-open"
            self._probing = False
        return self.state == "half-open" and not self._probing

    def half_open(self) -> bool:
        """The plane's own probe starts, whenever it likes; whether it may: one at a time does."""
        if self.state == "open":
            self.state = "half-open"
        return self.state == "closed" or not self._probing

    def standing(self, now: float) -> Standing:
        """How it stands, for those who only look: changes nothing."""
        return Standing(self.state, self.retry_after_s(now), self._probing)

    def retune(self, spec: BreakerSpec, *, is_probed: bool = False) -> None:
        """Other settings hold from now on; what it has seen stays."""
        if spec.window_s != self._spec.window_s:
            self._recent = Window(spec.window_s)
            self._slow = Window(spec.window_s)
        self._spec = spec
        self.slow_s = spec.slow_s
        self.stalled_s = spec.stalled_s
        self.is_probed = is_probed
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

    def was_slow(self, now: float) -> None:
        """An attempt took longer than `slow_s`, well though it may have ended."""
        if self.state == "half-open":
            self._open_longer(now, "slow")
        elif self.state == "closed":
            self._consecutive = 0
            self._recent.add(now)
            self._slow.add_some(now)
            volume = self._recent.sums(now)[0]
            if volume >= self._spec.volume and (
                self._slow.sums(now)[1] >= self._spec.slow_share * volume
            ):
                self._open(now, "slow")

    def failed(self, now: float) -> None:
        """An attempt failed by the target's fault."""
        if self.state == "half-open":
            self._open_longer(now, "failing")
        elif self.state == "closed":
            self._consecutive += 1
            self._recent.add(now)
            self._recent.add_some(now)
            if self._consecutive >= self._spec.failures or self._share_reached(now):
                self._open(now, "failing")

    def trip(self, now: float, why: str) -> None:
        """Open it for another reason than its attempts' ends."""
        if self.state == "half-open":
            self._open_longer(now, why)
        elif self.state == "closed":
            self._open(now, why)

    def abandoned(self) -> None:
        """An attempt ended without a verdict on the target (the client went away)."""
        self._probing = False

    def retry_after_s(self, now: float) -> float:
        """Seconds until the next probe; 0 when attempts are admitted."""
        return max(0.0, self._until - now) if self.state == "open" else 0.0

    def _open(self, now: float, why: str) -> None:
        self.state = "open"
        self.why = why
        self.trips += 1
        self._until = now + self._open_s
        self._probing = False

    def _open_longer(self, now: float, why: str) -> None:
        self._open_s = min(self._open_s * 2, self._spec.longest_s)
        self._open(now, why)

    def _close(self) -> None:
        self.state = "closed"
        self._consecutive = 0
        self._recent = Window(self._spec.window_s)
        self._slow = Window(self._spec.window_s)
        self._open_s = self._spec.open_s
        self._probing = False

    def _share_reached(self, now: float) -> bool:
        volume, failures = self._recent.sums(now)
        return volume >= self._spec.volume and failures >= self._spec.share * volume
