"""What is counted while a simulation runs: by client's request, by attempt, by tenant, over time.

A request of a client counts once however often the client itself tries again (`asks`); what the
gateway receives are `requests`, what targets receive `attempts`. Memory does not grow with them.
The law: asks = good and late answers + failures + those given up + those still open.
"""

from towplane.routing.spec import Slo
from towplane.simulation.histogram import Histogram

__all__ = ["Bin", "Share", "Tally"]


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

    __slots__ = ("_after", "_bin", "_bin_s", "_itl_s", "_total_s", "_ttft_s", "_turns_at",
                 "answers", "asks", "attempts", "bins", "cached", "causes",
                 "failed", "gave_up", "good", "input", "itl", "nanousd",
                 "output", "refused", "requests", "since", "tenants", "total", "troubles", "ttft",
                 "until")  # fmt: skip

    def __init__(self, slo: Slo, *, seconds: float, since: float = 0.0, bins: int = 120) -> None:
        self._ttft_s, self._itl_s, self._total_s = slo.ttft_s, slo.itl_s, slo.total_s
        self._bin_s = seconds / bins
        self.since = since
        """What was asked before is not counted in the figures: the plane was filling up."""
        self.until = seconds
        self.asks = self.requests = self.attempts = 0
        self.answers = self.good = self.failed = self.refused = self.gave_up = 0
        self.input = self.cached = self.output = 0
        self.nanousd: float = 0.0
        self.ttft, self.itl, self.total = Histogram(), Histogram(), Histogram()
        self.causes: dict[str, int] = {}
        """Attempts by cause."""
        self.troubles: dict[str, int] = {}
        """Failed attempts by the word for the failure."""
        self.tenants: dict[str, Share] = {}
        self.bins = [Bin() for _ in range(bins)]
        self._after = Bin()
        self._bin = self.bins[0]
        self._turns_at = self._bin_s

    def bin(self, now: float) -> Bin:
        """The stretch that holds `now`, which never goes back; what comes after the end is in
        none."""
        if now >= self._turns_at:
            place = int(now / self._bin_s)
            self._bin = self.bins[place] if place < len(self.bins) else self._after
            self._turns_at = (place + 1) * self._bin_s
        return self._bin

    def asked(self, tenant: str, now: float) -> None:
        """A client wants something."""
        self.asks += 1
        self.bin(now).asks += 1
        share = self.tenants.get(tenant)
        if share is None:
            share = self.tenants[tenant] = Share()
        share.asks += 1

    def answered(
        self, tenant: str, at: float, first_at: float, now: float, tokens: tuple[int, int, int]
    ) -> None:
        """It got it. `at` is when it first asked; tokens are input, cached and output."""
        self.answers += 1
        slot = self.bin(now)
        slot.answers += 1
        read, cached, output = tokens
        slot.output += output
        ttft_s, total_s = first_at - at, now - at
        itl_s = (now - first_at) / (output - 1) if output > 1 else None
        is_good = not (
            (self._ttft_s is not None and ttft_s > self._ttft_s)
            or (self._total_s is not None and total_s > self._total_s)
            or (self._itl_s is not None and itl_s is not None and itl_s > self._itl_s)
        )
        slot.ttft_s += ttft_s
        share = self.tenants[tenant]
        share.answers += 1
        share.output += output
        share.ttft_s += ttft_s
        if is_good:
            self.good += 1
            slot.good += 1
            share.good += 1
        if at < self.since:
            return
        self.input += read
        self.cached += cached
        self.output += output
        self.ttft.add(ttft_s)
        self.total.add(total_s)
        if itl_s is not None:
            self.itl.add(itl_s)

    def lost(self, how: str, now: float) -> None:
        """It did not: `failed`, `refused` or `gave_up`."""
        setattr(self, how, getattr(self, how) + 1)
        self.bin(now).failures += 1
