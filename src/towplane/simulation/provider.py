"""A managed API in virtual time: limits per minute, latencies with a tail, failures.

Time to the first token and between tokens are lognormal. Requests and tokens per minute are token
buckets that hold what `burst_s` bring; above them it answers 429 with the seconds until there is
room. Its load does not slow it: whoever is let in is served. Chance comes from a seeded generator
of its own, so that the same run gives the same answers.
"""

from dataclasses import dataclass
from math import exp
from random import Random
from typing import cast

from towplane.simulation.agenda import Agenda
from towplane.simulation.work import OVER, RUNNING, Sink, Work

__all__ = ["Provider", "ProviderFigures"]


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """What one API is like."""

    ttft_s: float = 0.6
    """Median time to the first token."""
    ttft_sigma: float = 0.4
    """Of its logarithm: 0.4 makes p99 2.5 times the median."""
    itl_s: float = 0.015
    """Median time between two tokens of one answer."""
    itl_sigma: float = 0.3
    rpm: int = 0
    """Requests per minute; 0: without limit."""
    tpm: int = 0
    """Tokens per minute, prompt and reserved answer; 0: without limit."""
    burst_s: float = 10.0
    """Seconds of the limits that may be spent at once."""
    failures: float = 0.0
    """The share of requests answered with 500."""
    fails_after_s: float = 0.1
    """When a failure is heard of."""


class _Bucket:
    __slots__ = ("_at", "_left", "_most", "_per_s")

    def __init__(self, per_minute: int, burst_s: float) -> None:
        self._per_s = per_minute / 60
        self._most = self._left = self._per_s * burst_s
        self._at = 0.0

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until there is so much; a full bucket is always enough."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        return max(0.0, (min(amount, self._most) - self._left) / self._per_s)

    def take(self, amount: float) -> None:
        self._left -= amount


class Provider:
    """One API under one key."""

    __slots__ = ("_agenda", "_open", "_requests", "_rng", "_sink", "_tokens", "figures", "hung_at",
                 "is_down", "is_hung", "refuses_s", "slow")  # fmt: skip

    def __init__(self, figures: ProviderFigures, agenda: Agenda, sink: Sink, rng: Random) -> None:
        self.figures = figures
        self.is_down = False
        self.is_hung = False
        self.slow = 1.0
        self.refuses_s = 0.0
        """Above 0: every request gets 429 with this Retry-After (a fault)."""
        self._agenda = agenda
        self._sink = sink
        self._rng = rng
        self._requests = _Bucket(figures.rpm, figures.burst_s) if figures.rpm else None
        self._tokens = _Bucket(figures.tpm, figures.burst_s) if figures.tpm else None
        self._open: dict[Work, None] = {}

    def offer(self, work: Work, now: float) -> None:
        """Take it in, or say at once why not."""
        if self.is_down:
            self._sink.failed(work, now, "unavailable", None)
            return
        wait_s = self.refuses_s or self._short_s(work, now)
        if wait_s:
            self._sink.failed(work, now, "rate_limited", wait_s)
            return
        work.stage = RUNNING
        self._open[work] = None
        figures, rng = self.figures, self._rng
        # Three numbers whatever comes of it, so that a fault shifts no other request's chance.
        fails, first, gap = rng.random(), rng.gauss(0, 1), rng.gauss(0, 1)
        if self.is_hung:
            return
        if fails < figures.failures:
            self._agenda.at(now + figures.fails_after_s, self._fail, work)
            return
        first_s = figures.ttft_s * exp(figures.ttft_sigma * first) * self.slow
        gap_s = figures.itl_s * exp(figures.itl_sigma * gap) * self.slow
        self._agenda.at(now + first_s, self._begin, (work, gap_s * (work.output - 1)))

    def cancel(self, work: Work) -> None:
        """Nobody waits for it any more."""
        if work.stage != OVER:
            work.is_gone = True
            work.stage = OVER
            self._open.pop(work, None)

    def waiting(self) -> int:
        """It does not say."""
        return 0

    def running(self) -> int:
        """Requests that are worked on."""
        return len(self._open)

    def stop(self, now: float, *, trouble: str = "unavailable") -> None:
        """An outage: what is under way breaks off."""
        self.is_down = True
        lost, self._open = list(self._open), {}
        for work in lost:
            work.stage = OVER
            self._sink.failed(work, now, trouble, None)

    def start(self, now: float) -> None:  # noqa: ARG002 - as an engine has it
        """It is back; what hung stays lost."""
        self.is_down = self.is_hung = False

    def hang(self) -> None:
        """It takes requests and says nothing more."""
        self.is_hung = True

    def _short_s(self, work: Work, now: float) -> float:
        requests, tokens = self._requests, self._tokens
        amount = work.tokens + (work.arrival.limit or work.output)
        wait_s = 0.0
        if requests is not None:
            wait_s = requests.wait_s(1, now)
        if tokens is not None:
            wait_s = max(wait_s, tokens.wait_s(amount, now))
        if not wait_s:
            if requests is not None:
                requests.take(1)
            if tokens is not None:
                tokens.take(amount)
        return wait_s

    def _begin(self, now: float, what: object) -> None:
        work, rest_s = cast("tuple[Work, float]", what)
        if work.stage == OVER or self.is_hung:
            return
        work.first_at = now
        self._sink.began(work, now)
        if work.stage == OVER:
            return
        self._agenda.at(now + rest_s, self._end, work)

    def _end(self, now: float, work: object) -> None:
        assert isinstance(work, Work)
        if work.stage == OVER or self.is_hung:
            return
        work.stage = OVER
        del self._open[work]
        self._sink.answered(work, now)

    def _fail(self, now: float, work: object) -> None:
        assert isinstance(work, Work)
        if work.stage == OVER:
            return
        work.stage = OVER
        del self._open[work]
        self._sink.failed(work, now, "server_error", None)
