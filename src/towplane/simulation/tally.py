"""What is counted while a simulation runs: by client's request, by attempt, by tenant, over time.

A request of a client counts once however often the client itself tries again (`asks`); what the
gateway receives are `requests`, what targets receive `attempts`. Memory does not grow with them.
The law: asks = good and late answers + failures + those given up + those still open.
"""

from collections import defaultdict

from towplane.routing.spec import Slo
from towplane.simulation.arrival import Arrival
from towplane.simulation.histogram import Histogram

__all__ = ["Bin", "Share", "Tally"]

_MANY = 4096
"""Durations are noted until there are so many, then counted together."""


class Share:
    """What one tenant got."""

    __slots__ = ("answers", "asks", "good", "output", "ttft_s")

    def __init__(self) -> None:
        self.asks = self.answers = self.good = self.output = 0
        self.ttft_s = 0.0


class Bin:
    """What happened in one stretch of time."""

    __slots__ = ("answers", "asks", "attempts", "failures", "good", "output", "requests", "ttft_s")

    def __init__(self) -> None:
        self.asks = self.requests = self.attempts = 0
        self.answers = self.good = self.failures = self.output = 0
        self.ttft_s = 0.0


class Tally:
    """Of one run."""

    __slots__ = ("_after", "_bin", "_bin_s", "_has_slo", "_itl", "_itl_s", "_itls", "_total",
                 "_total_s", "_totals", "_ttft", "_ttft_s", "_ttfts", "_turns_at",
                 "bins", "cached", "causes", "ended_at", "failed", "gave_up", "input", "nanousd",
                 "output", "refused", "requests", "since", "tenants", "troubles",
                 "until")  # fmt: skip

    def __init__(self, slo: Slo, *, seconds: float, since: float = 0.0, bins: int = 120) -> None:
        self._ttft_s, self._itl_s, self._total_s = slo.ttft_s, slo.itl_s, slo.total_s
        self._bin_s = seconds / bins
        self.since = since
        """What was asked before is not counted in the figures: the plane was filling up."""
        self.until = seconds
        self._has_slo = slo != Slo()
        self.requests = self.failed = self.refused = self.gave_up = 0
        self.input = self.cached = self.output = 0
        self.nanousd: float = 0.0
        self.ended_at: float | None = None
        """The last answer's end."""
        self._ttft, self._itl, self._total = Histogram(), Histogram(), Histogram()
        self._ttfts: list[float] = []
        self._itls: list[float] = []
        self._totals: list[float] = []
        """Not in the histograms yet."""
        self.causes: defaultdict[str, int] = defaultdict(int)
        """Attempts by cause."""
        self.troubles: defaultdict[str, int] = defaultdict(int)
        """Failed attempts by the word for the failure."""
        self.tenants: dict[str, Share] = {}
        self.bins = [Bin() for _ in range(bins)]
        self._after = Bin()
        self._bin = self.bins[0]
        self._turns_at = self._bin_s

    @property
    def asks(self) -> int:
        """Things that clients wanted."""
        return sum(one.asks for one in self._all())

    @property
    def attempts(self) -> int:
        """What targets received."""
        return sum(one.attempts for one in self._all())

    @property
    def answers(self) -> int:
        """Good ones and late ones."""
        return sum(one.answers for one in self._all())

    @property
    def good(self) -> int:
        """Answers within the SLO."""
        return sum(one.good for one in self._all())

    @property
    def ttft(self) -> Histogram:
        """Seconds to the first token, from the client's first try."""
        self._settle()
        return self._ttft

    @property
    def itl(self) -> Histogram:
        """Mean seconds between the tokens of one answer."""
        self._settle()
        return self._itl

    @property
    def total(self) -> Histogram:
        """Seconds to the last token."""
        self._settle()
        return self._total

    def asked(self, tenant: str, now: float) -> None:
        """A client wants something."""
        if now >= self._turns_at:
            self._turn(now)
        self._bin.asks += 1
        share = self.tenants.get(tenant)
        if share is None:
            share = self.tenants[tenant] = Share()
        share.asks += 1

    def sent(self, cause: str, now: float) -> None:
        """A target is asked."""
        if now >= self._turns_at:
            self._turn(now)
        self._bin.attempts += 1
        self.causes[cause] += 1

    def answered(
        self, arrival: Arrival, at: float, first_at: float, now: float, cached: int
    ) -> None:
        """A client got it, which asked first at `at`."""
        if now >= self._turns_at:
            self._turn(now)
        self.ended_at = now
        output = arrival.output
        ttft_s, total_s = first_at - at, now - at
        itl_s = (now - first_at) / (output - 1) if output > 1 else None
        slot, share = self._bin, self.tenants[arrival.tenant]
        slot.answers += 1
        slot.output += output
        slot.ttft_s += ttft_s
        share.answers += 1
        share.output += output
        share.ttft_s += ttft_s
        if not self._has_slo or self._is_good(ttft_s, itl_s, total_s):
            slot.good += 1
            share.good += 1
        if at < self.since:
            return
        self.input += arrival.tokens
        self.cached += cached
        self.output += output
        self._ttfts.append(ttft_s)
        self._totals.append(total_s)
        if itl_s is not None:
            self._itls.append(itl_s)
        if len(self._ttfts) >= _MANY:
            self._settle()

    def lost(self, how: str, now: float) -> None:
        """It did not: `failed`, `refused` or `gave_up`."""
        setattr(self, how, getattr(self, how) + 1)
        if now >= self._turns_at:
            self._turn(now)
        self._bin.failures += 1

    def _all(self) -> list[Bin]:
        return [*self.bins, self._after]

    def _turn(self, now: float) -> None:
        """Go on to the stretch that holds `now`, which never goes back; what comes after the end is
        in none."""
        place = int(now / self._bin_s)
        self._bin = self.bins[place] if place < len(self.bins) else self._after
        self._turns_at = (place + 1) * self._bin_s

    def _is_good(self, ttft_s: float, itl_s: float | None, total_s: float) -> bool:
        return not (
            (self._ttft_s is not None and ttft_s > self._ttft_s)
            or (self._total_s is not None and total_s > self._total_s)
            or (self._itl_s is not None and itl_s is not None and itl_s > self._itl_s)
        )

    def _settle(self) -> None:
        """Count the durations that were only noted."""
        for histogram, noted in (
            (self._ttft, self._ttfts), (self._itl, self._itls), (self._total, self._totals)
        ):  # fmt: skip
            histogram.add(noted)
            noted.clear()
