"""What the exchanges of one worker share: the snapshot as live state, the clocks, the counters.

A new snapshot replaces what is decided by and keeps what is under way: targets that are still there
keep their connections, breakers and counts; a request that runs goes on with what it began with.
Nothing here takes a lock, waits, or touches a database.
"""

import asyncio
import json
import math
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from towplane.gateway.admit import ADMISSION_WAIT_S, Account, Denied, Short
from towplane.gateway.connection import Connection
from towplane.gateway.counters import Counters, Edges, RouteCounters, edges_for
from towplane.gateway.exchange import GRANTED, Exchange
from towplane.gateway.line import walk
from towplane.gateway.messages import (
    FromWorker,
    Granted,
    Need,
    PricedFrom,
    Reported,
    Returned,
    RouteInfo,
    RouteReport,
    Snapshot,
    TargetInfo,
    TargetReport,
)
from towplane.gateway.pool import TargetPool
from towplane.gateway.receive import Api
from towplane.monitoring.catalogue import CATALOGUE
from towplane.monitoring.series import Sample
from towplane.parts.clock import Clock
from towplane.parts.errors import Unauthorised
from towplane.parts.ids import RequestIds
from towplane.routing.breaker import Breaker
from towplane.routing.retry_budget import RetryBudget
from towplane.routing.spec import Breaker as BreakerSpec
from towplane.routing.spec import Slo
from towplane.tenants.journal import JournalWriter
from towplane.tenants.keys import KeyRecord, KeyRing
from towplane.tenants.leases import RATE_SHARE_S, RATES, Share

SWEEP_S = 0.05
"""How often the deadlines of running exchanges are looked at; their precision."""
_CONNECTIONS_SWEEP_S = 0.5


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


class Hall:
    """The shared state of one worker."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        ids: RequestIds,
        journal: JournalWriter,
        tell: Callable[[FromWorker], None],
    ) -> None:
        self.loop = loop
        self.now = clock.monotonic
        self.wall = clock.wall
        self.ids = ids
        self.journal = journal
        self.tell = tell
        self.soon = loop.call_soon
        self.swept_at = clock.monotonic()
        """The time of the last sweep: good enough for the deadlines of connections."""
        self.counters = Counters(CATALOGUE["towplane_overhead_seconds"].edges)
        self.connections: set[Connection] = set()
        self.exchanges: set[Exchange] = set()
        self.targets: dict[str, TargetState] = {}
        self.routes: dict[str, RouteState] = {}
        self.draining = False
        self.version = 0
        self.loaded_at = clock.wall()
        self._pools: dict[tuple[str, int, bool, str | None], TargetPool] = {}
        self._accounts: dict[str, Account] = {}
        self._pairs: dict[str, tuple[Account, Account]] = {}
        self._waiting: dict[str, tuple[int, list[Exchange]]] = {}
        self._edges: Edges = {}
        self._connections_swept_at = 0.0

    # What the line asks

    def walk(self, x: Exchange) -> Coroutine[Any, str, None]:
        """The line for one exchange."""
        return walk(x)

    def identify(self, fields: dict[bytes, bytes]) -> KeyRecord:
        """Second station: whose key this is. Raises Unauthorised."""
        token = fields.get(b"authorization")
        key = fields.get(b"x-api-key")
        if token is None:
            token = key or b""
        else:
            if token.startswith(b"Bearer "):
                token = token[7:].strip()
            else:
                scheme, _, token = token.partition(b" ")
                token = token.strip() if scheme.lower() == b"bearer" else b""
            if key is not None and key != token:
                raise Unauthorised(
                    "Two different keys were sent.",
                    next_step="Send one, as `Authorization: Bearer KEY` or `x-api-key: KEY`.",
                    reason="key-unknown",
                )
        return self.keyring.identify(token, self.wall())

    def accounts_of(self, key: KeyRecord) -> tuple[Account, Account]:
        """The accounts of the key's tenant and of the key."""
        pair = self._pairs.get(key.id)
        if pair is None:
            tenant = self.keyring.tenants.get(key.tenant)
            if tenant is None:
                raise Unauthorised("The tenant of this key is gone.", reason="key-unknown")
            pair = self._pairs[key.id] = (
                self._account(f"tenant/{tenant.name}", tenant.limits, tenant.budget),
                self._account(f"key/{key.id}", key.limits, key.budget),
            )
        return pair

    def may_use(self, key: KeyRecord, model: str) -> bool:
        """Whether this key may ask for this model."""
        tenant = self.keyring.tenants[key.tenant].models
        return (tenant is None or model in tenant) and (key.models is None or model in key.models)

    def may_be_unpriced(self, x: Exchange) -> bool:
        """Whether the tenant may spend from a budget on a model without a price."""
        return self.keyring.tenants[x.caller.tenant].unpriced == "allow"

    def need(self, x: Exchange, short: Short) -> None:
        """Ask the coordinator for units; the exchange is told when it has answered."""
        share, amount = short
        x.waits_until = self.now() + ADMISSION_WAIT_S
        waiting = self._waiting.get(share.name)
        if waiting is not None:
            waiting[1].append(x)
            return
        self._return_past(share)
        debt = share.debt()
        if debt:  # a debt is told, not lent: it may be larger than the limit
            self.tell(Returned(share.name, debt))
        self._waiting[share.name] = (amount + debt, [x])
        self.tell(Need(share.name, amount + debt))

    def log_access(self, x: Exchange, outcome: str, seconds: float) -> None:
        """One JSON line about a request: no prompt, no answer, no key."""
        attempt = x.attempt
        line = {
            "at": round(self.wall(), 3),
            "id": x.id,
            "tenant": getattr(getattr(x, "caller", None), "tenant", None),
            "model": x.route.info.model if x.route is not None else None,
            "outcome": outcome,
            "target": attempt.target.info.name if attempt is not None else None,
            "attempts": x.attempts,
            "ms": round(seconds * 1000, 1),
        }
        sys.stderr.write(json.dumps(line) + "\n")

    # What the coordinator says

    def apply(self, snapshot: Snapshot) -> None:
        """Decide by this snapshot from now on."""
        self.limits = snapshot.limits
        self.plane = snapshot.plane
        self.access_log = snapshot.access_log
        self.keyring = KeyRing(snapshot.keys, snapshot.tenants, snapshot.pepper)
        self._pairs.clear()
        for tenant in snapshot.tenants:
            self._update_account(f"tenant/{tenant.name}", tenant.limits, tenant.budget)
        for key in snapshot.keys:
            self._update_account(f"key/{key.id}", key.limits, key.budget)
        breakers = {
            place.target: route.breaker
            for route in snapshot.routes
            for group in route.groups
            for place in group
        }
        self.targets = {
            info.name: self._target(info, breakers[info.name])
            for info in snapshot.targets
            if info.name in breakers
        }
        self._edges = edges_for(snapshot.routes, self._edges)
        routes = {}
        for info in snapshot.routes:
            route = self.routes.get(info.model)
            if route is None:
                route = RouteState(info, self.targets, self._edges)
            else:
                route.update(info, self.targets, self._edges)
            routes[info.model] = route
        self.routes = routes
        self._close_unused_pools()
        self.version = snapshot.version
        self.loaded_at = self.wall()

    def granted(self, message: Granted) -> None:
        """Units came, or there are none; who waited for them looks again."""
        waiting = self._waiting.pop(message.pool, None)
        share = self._share(message.pool)
        if share is not None:
            share.free += message.amount
            if share.fresh_until < math.inf or share.measure in RATES:
                share.fresh_until = self.now() + RATE_SHARE_S
        elif message.amount:
            self.tell(Returned(message.pool, message.amount))  # its window turned meanwhile
        if waiting is None:
            return
        amount, exchanges = waiting
        for x in exchanges:
            x.waits_until = 0.0
            if not message.amount:
                x.denied = Denied(message.pool, amount, message.retry_after_s)
            x.resume(GRANTED)

    def recalled(self, pool: str) -> None:
        """Another worker needs what this one does not use."""
        share = self._share(pool)
        if share is not None:
            self._return_past(share)
        self.tell(Returned(pool, share.unused() if share is not None else 0, recalled=True))

    def report(self, serial: int) -> Reported:
        """How things stand."""
        now = self.now()
        samples = list(self.counters.samples())
        for model, route in self.routes.items():
            samples += route.counters.samples()
            left = route.retries.left(now)
            samples.append(Sample("towplane_retry_budget_retries", (model,), max(0.0, left)))
        for name, target in self.targets.items():
            is_open = target.breaker.state == "open"
            samples += (
                Sample("towplane_target_inflight", (name,), float(target.in_flight)),
                Sample("towplane_breakers_open", (name,), float(is_open)),
                Sample("towplane_breaker_trips_total", (name,), float(target.breaker.trips)),
            )
        waiting = sum(len(exchanges) for _, exchanges in self._waiting.values())
        upstream = sum(pool.open for pool in self._pools.values())
        samples += (
            Sample("towplane_queued_requests", (), float(waiting)),
            Sample("towplane_connections", ("client",), float(len(self.connections))),
            Sample("towplane_connections", ("upstream",), float(upstream)),
        )
        return Reported(
            serial=serial,
            version=self.version,
            in_flight=len(self.exchanges),
            connections=len(self.connections),
            samples=samples,
            targets=[target.report(now) for target in self.targets.values()],
            routes=[
                RouteReport(model, route.turn + 1, route.retries.left(now))
                for model, route in self.routes.items()
            ],
        )

    # What time says

    def sweep(self) -> None:
        """End what is overdue; called every `SWEEP_S`."""
        now = self.swept_at = self.now()
        for x in tuple(self.exchanges):
            x.deadline_passed(now)
        if now - self._connections_swept_at < _CONNECTIONS_SWEEP_S:
            return
        self._connections_swept_at = now
        for connection in tuple(self.connections):
            if connection.deadline and now > connection.deadline:
                connection.overdue()
        for pool in self._pools.values():
            pool.sweep()
        self._return_stale(now)

    def drain(self) -> None:
        """Take no new work; what runs goes on."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()

    def busy(self) -> bool:
        """Whether an answer is still being made or written."""
        return bool(self.exchanges) or any(
            connection.transport.get_write_buffer_size() for connection in self.connections
        )

    def close(self) -> None:
        """The time for draining is over: what still runs is cut off and accounted as it is."""
        for connection in tuple(self.connections):
            connection.abort()
            connection.connection_lost(None)  # the loop may not come round to it any more
        for pool in self._pools.values():
            pool.close()

    # Private, in the order of use

    def _account(self, name: str, limits: Any, budget: Any) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name, limits, budget)
        return account

    def _update_account(self, name: str, limits: Any, budget: Any) -> None:
        account = self._accounts.get(name)
        if account is not None and account.update(limits, budget):
            for share in account.known():
                share.fresh_until = 0.0  # of a lower limit nobody may keep what was lent before
                self._return_unused(share)

    def _target(self, info: TargetInfo, breaker: BreakerSpec) -> TargetState:
        pool = self._pool(info)
        state = self.targets.get(info.name)
        if state is None or state.pool is not pool:
            # A restarted engine has a clean record.
            return TargetState(info, pool, Breaker(breaker))
        state.update(info)
        state.breaker.retune(breaker)
        return state

    def _pool(self, info: TargetInfo) -> TargetPool:
        address = (info.host, info.port, info.tls, info.ca)
        pool = self._pools.get(address)
        if pool is None:
            tls = ssl.create_default_context(cafile=info.ca) if info.tls else None
            pool = self._pools[address] = TargetPool(
                info.host, info.port, tls, loop=self.loop, now=self.now
            )
        return pool

    def _close_unused_pools(self) -> None:
        used = {id(state.pool) for state in self.targets.values()}
        for address, pool in tuple(self._pools.items()):
            if id(pool) not in used:
                pool.close()
                del self._pools[address]

    def _share(self, pool: str) -> Share | None:
        account = self._accounts.get(pool.rsplit("/", 2)[0])
        return account.find(pool) if account is not None else None

    def _return_stale(self, now: float) -> None:
        for account in self._accounts.values():
            for share in account.known():
                self._return_past(share)
                if now > share.fresh_until:
                    self._return_unused(share)

    def _return_unused(self, share: Share) -> None:
        if share.free > 0:
            self.tell(Returned(share.name, share.unused()))

    def _return_past(self, share: Share) -> None:
        for amount, age_s in share.past(self.now()):
            self.tell(Returned(share.name, amount, age_s))
