"""Targets and routes as one worker sees them: the snapshot's facts, and what has happened since.

A target keeps its connections, breaker and counts when it is described anew; a route keeps its
counts and its retry budget. Knows no request and no client.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from towplane.gateway.counters import Edges, RouteCounters
from towplane.gateway.messages import PricedFrom, RouteInfo, TargetInfo, TargetReport
from towplane.gateway.pool import TargetPool
from towplane.gateway.receive import Api
from towplane.routing.breaker import Breaker
from towplane.routing.retry_budget import RetryBudget
from towplane.routing.spec import Slo

__all__ = ["DatedPrice", "RouteState", "TargetState"]


class DatedPrice(NamedTuple):
    """A price, None for an unknown one, and the wall clock from and until which it holds."""

    price: tuple[int, int, int] | None
    since: float
    until: float


class TargetState:
    """One target as this worker sees it."""

    __slots__ = ("_dated", "_heads", "_parked_until", "attempts", "breaker", "failures",
                 "header_name", "in_flight", "info", "pool")  # fmt: skip

    def __init__(self, info: TargetInfo, pool: TargetPool, breaker: Breaker) -> None:
        self.pool = pool
        self.breaker = breaker
        self.in_flight = 0
        self.attempts = 0
        self.failures = 0
        self._parked_until = 0.0
        self.update(info)

    def update(self, info: TargetInfo) -> None:
        """The same target, described anew."""
        self.info = info
        self.header_name = info.name.encode("ascii", "replace")
        self._heads: dict[Api, bytes] = {}
        self._dated = DatedPrice(None, math.inf, -math.inf)

    def is_usable(self, now: float) -> bool:
        """Whether an attempt may go there."""
        return self.info.state == "ready" and now >= self._parked_until and self.breaker.admits(now)

    def why_not(self, now: float) -> str:
        """The words for a target that is not usable."""
        if self.info.state != "ready":
            return (
                f"{self.info.state} ({self.info.reason})" if self.info.reason else self.info.state
            )
        if now < self._parked_until:
            return "asking to be left alone"
        return "failing" if not self.breaker.admits(now) else "already tried"

    def usable_in_s(self, now: float) -> float:
        """Seconds until it may be usable again."""
        return max(self._parked_until - now, self.breaker.retry_after_s(now), 0.0)

    def park(self, until: float) -> None:
        """It asked to be left alone."""
        self._parked_until = max(self._parked_until, until)

    def report(self, now: float) -> TargetReport:
        """How it stands."""
        breaker = self.breaker.standing(now)
        return TargetReport(
            name=self.info.name,
            in_flight=self.in_flight,
            breaker=breaker.state,
            attempts=self.attempts,
            failures=self.failures,
            is_probing=breaker.is_probing,
            probe_in_s=breaker.probe_in_s,
            parked_s=max(0.0, self._parked_until - now),
        )

    def price_at(self, wall: float) -> DatedPrice:
        """The price of a moment and how long it holds."""
        if not self._dated.since <= wall < self._dated.until:
            self._dated = _find_price(self.info.prices, wall)
        return self._dated

    def head_for(self, api: Api) -> bytes:
        """Everything of a request's head that is the same for each request."""
        head = self._heads.get(api)
        if head is None:
            info = self.info
            default = 443 if info.tls else 80
            host = f"[{info.host}]" if ":" in info.host else info.host
            at = host if info.port == default else f"{host}:{info.port}"
            key = f"authorization: Bearer {info.api_key}\r\n" if info.api_key else ""
            head = self._heads[api] = (
                f"POST {info.path}{api.path} HTTP/1.1\r\nhost: {at}\r\n{key}"
                "content-type: application/json\r\naccept-encoding: identity\r\n"
                "user-agent: towplane\r\n"
            ).encode("latin-1")
        return head


class RouteState:
    """One route as this worker sees it."""

    __slots__ = ("_dearest", "counters", "groups", "has_slo", "info", "retries", "turn")

    def __init__(self, info: RouteInfo, targets: dict[str, TargetState], edges: Edges) -> None:
        self.retries = RetryBudget(info.retries)
        self.turn = -1
        self.counters = RouteCounters(info.model, edges)
        self.info = info
        self.update(info, targets, edges)

    def update(self, info: RouteInfo, targets: dict[str, TargetState], edges: Edges) -> None:
        """The same route, described anew; its counts go on."""
        if info.retries != self.info.retries:
            self.retries = RetryBudget(info.retries)
        self.counters.rebucket(edges)
        self.info = info
        self.has_slo = info.slo != Slo()
        self._dearest = DatedPrice(None, math.inf, -math.inf)
        self.groups = [
            [(targets[place.target], place.weight) for place in group] for group in info.groups
        ]

    def dearest_price(self, wall: float) -> tuple[int, int, int] | None:
        """The highest price in each dimension over all its targets; None if one is unknown."""
        if not self._dearest.since <= wall < self._dearest.until:
            dated = [target.price_at(wall) for group in self.groups for target, _ in group]
            prices = [one.price for one in dated]
            known = [price for price in prices if price is not None]
            dearest = None
            if len(known) == len(prices):
                dearest = tuple(max(p[i] for p in known) for i in range(3)) if known else (0, 0, 0)
            self._dearest = DatedPrice(
                dearest,  # type: ignore[arg-type]  # three numbers, counted above
                max((one.since for one in dated), default=-math.inf),
                min((one.until for one in dated), default=math.inf),
            )
        return self._dearest.price


def _find_price(prices: Sequence[PricedFrom], wall: float) -> DatedPrice:
    dated = DatedPrice(None, -math.inf, math.inf)
    for entry in prices:
        if entry.since > wall:
            return dated._replace(until=entry.since)
        dated = DatedPrice(entry.price, entry.since, math.inf)
    return dated
