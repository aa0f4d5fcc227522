"""What the exchanges of one worker share: the snapshot as live state, the clocks, the counters.

A new snapshot replaces what is decided by and keeps what is under way: targets that are still there
keep their connections, breakers and counts; a request that runs goes on with what it began with.
Nothing here takes a lock, waits, or touches a database.
"""

import asyncio
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from towplane.gateway.admit import ADMISSION_WAIT_S, Account, Denied, Short
from towplane.gateway.caches import Caches
from towplane.gateway.connection import KEPT, Connection
from towplane.gateway.counters import Counters, Edges, edges_for
from towplane.gateway.dial import Dialer
from towplane.gateway.exchange import GRANTED, Exchange
from towplane.gateway.health import Health
from towplane.gateway.line import walk
from towplane.gateway.lobby import Lobby
from towplane.gateway.messages import (
    CredentialReport,
    EgressInfo,
    FromWorker,
    Granted,
    Kept,
    Need,
    Observed,
    ProviderInfo,
    Reported,
    Returned,
    RouteReport,
    Snapshot,
    TargetInfo,
)
from towplane.gateway.mirror import Mirrors, mirrored_breakers
from towplane.gateway.pool import TargetPool
from towplane.gateway.route_state import RouteState
from towplane.gateway.target_state import ProviderState, TargetState
from towplane.gateway.turn import Turn
from towplane.monitoring.catalogue import CATALOGUE
from towplane.monitoring.series import Sample
from towplane.parts.clock import Clock
from towplane.parts.errors import Unauthorised
from towplane.parts.ids import RequestIds
from towplane.routing.breaker import Breaker
from towplane.routing.decisions import Decisions
from towplane.routing.marks import Marker
from towplane.routing.spec import Breaker as BreakerSpec
from towplane.tenants.journal import Journal
from towplane.tenants.keys import KeyRecord, KeyRing
from towplane.tenants.leases import RATE_SHARE_S, RATES, RUNS, Share
from towplane.tenants.priorities import rank_of
from towplane.tenants.spec import Budget, Limits

SWEEP_S: Final = 0.05
"""How often the deadlines of running exchanges are looked at; their precision."""
_CONNECTIONS_SWEEP_S: Final = 0.5
_WANTED_S: Final = 1.0
"""After another worker needed places that this one held: as long as a refusal at the coordinator
lasts (`claim`), and twice its sweep."""
REMEMBERED_S: Final = 300.0
"""How long the record of a target that is gone is kept, for its return, once nothing runs there."""


class Hall:
    """The shared state of one worker."""

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        ids: RequestIds,
        journal: Journal,
        tell: Callable[[FromWorker], None],
    ) -> None:
        self.loop = loop
        self.now = clock.monotonic
        self.wall = clock.wall
        self.ids = ids
        self.journal = journal
        self.tell = tell
        self.soon = loop.call_soon
        self.later = loop.call_later
        self.random = random.random
        self.walk = walk
        self.turn = Turn(loop)
        self.swept_at = clock.monotonic()
        """The time of the last sweep: good enough for the deadlines of connections."""
        self.counters = Counters(CATALOGUE["towplane_overhead_seconds"].edges)
        self.kept = KEPT
        """Headers of requests that are looked at, by their lower-case names."""
        self.connections: dict[Connection, None] = {}
        self.exchanges: dict[Exchange, None] = {}
        """Both in the order in which they came, so that a sweep is the same each time."""
        self.targets: dict[str, TargetState] = {}
        self._gone: dict[str, tuple[TargetState, float]] = {}
        """Targets that no snapshot names any more, and when they went."""
        self.routes: dict[str, RouteState] = {}
        self.decisions = Decisions()
        self.caches = Caches()
        """What engines say that they keep of prompts."""
        self.marker = Marker(b"")
        self.mirrors = Mirrors(self)
        self.health = Health(self)
        self.draining = False
        self.version = 0
        self.loaded_at = clock.wall()
        self._pools: dict[tuple[str, int, bool, EgressInfo], TargetPool] = {}
        self.providers: dict[str, ProviderState] = {}
        self._accounts: dict[str, Account] = {}
        self._limited: dict[str, tuple[Account, ...]] = {}
        self._waiting: dict[str, tuple[int, list[Exchange]]] = {}
        self._standing: dict[int, Exchange] = {}
        self._serial = 0
        self._wanted: dict[str, float] = {}
        """By pool: until when places that come back go to the coordinator, as others need them."""
        self.lobby = Lobby(self)
        """Where requests wait for targets that are full."""
        self.lines: Counter[str] = Counter()
        """By pool: exchanges that stand in the coordinator's queue."""
        self._edges: Edges = {}
        self._connections_swept_at = 0.0

    # What the line asks

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

    def accounts_of(self, key: KeyRecord) -> tuple[Account, ...]:
        """Of the accounts of the key's tenant, of its project and of itself, those with limits."""
        found = self._limited.get(key.id)
        if found is None:
            tenant = self.keyring.tenants.get(key.tenant)
            if tenant is None:
                raise Unauthorised("The tenant of this key is gone.", reason="key-unknown")
            accounts = [self._account(f"tenant/{tenant.name}", tenant.limits, tenant.budget)]
            project = tenant.projects.get(key.project)
            if project is not None:
                name = f"project/{tenant.name}/{key.project}"
                accounts.append(self._account(name, project.limits, project.budget))
            accounts.append(self._account(f"key/{key.id}", key.limits, key.budget))
            found = tuple(account for account in accounts if account.is_limited)
            self._limited[key.id] = found
        return found

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
        amount += self._tell_settled(share)  # a debt is told, not lent: it may exceed the limit
        self._waiting[share.name] = (amount, [x])
        caller = x.caller
        self.tell(Need(share.name, amount, rank_of(caller.priority), caller.tenant))

    def stand_in_line(self, x: Exchange, short: Short, until: float) -> None:
        """Wait in the coordinator's queue for units of a provider's limit, in the order of
        priorities; the exchange is told when it has them, or when its patience ends."""
        share, amount = short
        serial = self.next_serial()
        self._standing[serial] = x
        self.lines[share.name] += 1
        x.waits_until = until + ADMISSION_WAIT_S
        amount += self._tell_settled(share)
        self._return_unused(share)
        caller, wait_s = x.caller, max(0.0, until - self.now())
        rank = rank_of(caller.priority)
        self.tell(Need(share.name, amount, rank, caller.tenant, wait_s, serial))

    def next_serial(self) -> int:
        """A number for a need that stands in the coordinator's queue."""
        self._serial += 1
        return self._serial

    def came_back(self, share: Share) -> None:
        """Units are unused again; where others stand in line for them, the queue decides."""
        if self.lines[share.name] or self._wanted.get(share.name, 0.0) > self.now():
            self._return_unused(share)

    def has_waiting(self, but: str) -> bool:
        """Whether requests of others than this tenant wait for units of some limit."""
        waiting = (x for _, exchanges in self._waiting.values() for x in exchanges)
        some = self._standing or self.lobby.queue
        return bool(some) or any(x.caller.tenant != but for x in waiting)

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
        if snapshot.pepper != self.marker.pepper:
            self.marker = Marker(snapshot.pepper)
        self._limited.clear()
        for tenant in snapshot.tenants:
            self._update_account(f"tenant/{tenant.name}", tenant.limits, tenant.budget)
            for name, project in tenant.projects.items():
                self._update_account(
                    f"project/{tenant.name}/{name}", project.limits, project.budget
                )
        for key in snapshot.keys:
            self._update_account(f"key/{key.id}", key.limits, key.budget)
        self._limit_providers(snapshot.providers)
        breakers = mirrored_breakers(snapshot.routes) | {
            place.target: route.spec.breaker
            for route in snapshot.routes
            for group in route.groups
            for place in group
        }
        before = self.targets
        self.targets = {
            info.name: self._target(info, breakers[info.name])
            for info in snapshot.targets
            if info.name in breakers
        }
        now = self.now()
        self._gone |= {name: (before[name], now) for name in before.keys() - self.targets.keys()}
        self.kept = KEPT.union(
            info.spec.affinity.header.lower().encode() for info in snapshot.routes
        )
        self._edges = edges_for(snapshot.routes, self._edges)
        self.caches.hold(snapshot.routes, self.targets)
        routes = {}
        for info in snapshot.routes:
            route = self.routes.get(info.model)
            if route is None:
                route = RouteState(info, self.targets, self._edges)
            else:
                route.update(info, self.targets, self._edges)
            routes[info.model] = route
        self.routes = routes
        for model, route in routes.items():
            if route.spill is not None and (budget := route.spill.budget) != Budget():
                route.spill.account = self._account(f"overflow/{model}", Limits(), budget)
                self._update_account(f"overflow/{model}", Limits(), budget)
        self.mirrors.hold(routes, self.targets, self._edges)
        self.health.hold(self._edges)
        self._look_at_prices()
        self._close_unused_pools()
        self.lobby.room()
        self.version = snapshot.version
        self.loaded_at = self.wall()

    def granted(self, message: Granted) -> None:
        """Units came, or there are none; who waited for them looks again."""
        waiting = None if message.serial else self._waiting.pop(message.pool, None)
        share = self._share(message.pool)
        if share is not None:
            share.free += message.amount
            if share.fresh_until < math.inf or share.measure in RATES:
                share.fresh_until = self.now() + RATE_SHARE_S
        elif message.amount:
            self.tell(Returned(message.pool, message.amount))  # its window turned meanwhile
        if message.serial:
            self._serve(message, share)
        if waiting is None:
            return
        amount, exchanges = waiting
        for x in sorted(exchanges, key=lambda x: rank_of(x.caller.priority)):
            x.waits_until = 0.0
            if not message.amount:
                x.denied = Denied(message.pool, amount, message.retry_after_s)
            x.resume(GRANTED)

    def _serve(self, message: Granted, share: Share | None) -> None:
        """Who stood in line is told; what it does not take goes back to the queue."""
        if self.lobby.granted(message):
            return
        x = self._standing.pop(message.serial)
        self.lines[message.pool] -= 1
        x.waits_until = 0.0
        if not message.amount:
            x.denied = Denied(message.pool, 0, message.retry_after_s)
        x.resume(GRANTED)
        if share is not None:
            self.came_back(share)

    def observed(self, message: Observed) -> None:
        """Engines have said something of themselves."""
        now = self.now()
        for name, signals, age_s in message.targets:
            target = self.targets.get(name)
            if target is not None:
                target.load.told(signals.since(now - age_s))

    def cached(self, message: Kept) -> None:
        """An engine has said what its cache keeps."""
        self.caches.hear(message, self.targets)

    def recalled(self, pool: str) -> None:
        """Another worker needs what this one does not use."""
        share = self._share(pool)
        if share is not None:
            self._tell_settled(share)
            if share.unit == RUNS:
                self._wanted[pool] = self.now() + _WANTED_S
        self.tell(Returned(pool, share.unused() if share is not None else 0, recalled=True))

    def report(self, serial: int) -> Reported:
        """How things stand."""
        now = self.now()
        samples = list(self.counters.samples())
        samples += self.mirrors.samples()
        for model, route in self.routes.items():
            samples += route.counters.samples()
            if route.spill is not None:
                samples += route.spill.samples(model)
            left = route.retries.left(now)
            if route.scoring is not None:
                samples.append(route.scoring.sample(model))
            samples.append(Sample("towplane_retry_budget_retries", (model,), max(0.0, left)))
        for name, target in self.targets.items():
            is_open = target.breaker.state == "open"
            samples += (
                Sample("towplane_target_inflight", (name,), float(target.in_flight)),
                target.ttft.sample("towplane_target_ttft_seconds", (name,)),
                target.seconds.sample("towplane_target_seconds", (name,)),
                Sample("towplane_breakers_open", (name,), float(is_open)),
                Sample("towplane_breaker_trips_total", (name,), float(target.breaker.trips)),
            )
        waiting = sum(len(exchanges) for _, exchanges in self._waiting.values())
        waiting += sum(route.waiting for route in self.routes.values())
        samples += self.lobby.samples()
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
                RouteReport(
                    model,
                    route.chooser.turn + 1,
                    route.retries.left(now),
                    list(route.scoring.recent) if route.scoring is not None else [],
                )
                for model, route in self.routes.items()
            ],
            credentials=[
                CredentialReport(*standing)
                for provider in self.providers.values()
                for standing in provider.credentials.standings(now)
                if standing.state != "ready"
            ],
        )

    # What time says

    def sweep(self) -> None:
        """End what is overdue; called every `SWEEP_S`."""
        now = self.swept_at = self.now()
        for x in tuple(self.exchanges):
            x.deadline_passed(now)
        self.mirrors.sweep(now)
        self.health.sweep(now)
        if now - self._connections_swept_at < _CONNECTIONS_SWEEP_S:
            return
        self._connections_swept_at = now
        for connection in tuple(self.connections):
            if connection.deadline and now > connection.deadline:
                connection.overdue()
        for pool in self._pools.values():
            pool.sweep()
        self._look_at_prices()
        self._return_stale(now)
        self._forget_gone(now)

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
        self.mirrors.close()
        self.turn.end()
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

    def _limit_providers(self, limited: Iterable[ProviderInfo]) -> None:
        limited = tuple(limited)
        limits = {provider.name: provider.limits for provider in limited}
        engines = {provider.name for provider in limited if provider.is_engine}
        for name in limits.keys() - self.providers.keys():
            self.providers[name] = ProviderState()
        for name, provider in self.providers.items():
            found = limits.get(name)
            if found is None:
                provider.account = provider.capacity = None
                continue
            account = provider.account = self._account(f"provider/{name}", found, Budget())
            self._update_account(f"provider/{name}", found, Budget())
            shares = account.shares_at(self.wall()) if name in engines else ()
            provider.capacity = next((one for one in shares if one.unit == RUNS), None)

    def _look_at_prices(self) -> None:
        """Policies that choose by price see the one in force, also of targets that nobody asks."""
        wall = self.wall()
        for target in self.targets.values():
            target.price_at(wall)

    def _target(self, info: TargetInfo, breaker: BreakerSpec) -> TargetState:
        pool = self._pool(info)
        provider = self.providers.setdefault(info.provider or info.name, ProviderState())
        provider.credentials.update(info.credentials)
        state = self.targets.get(info.name) or self._returned(info, pool)
        if state is None or state.pool is not pool:
            # A restarted engine has a clean record.
            state = TargetState(info, pool, Breaker(breaker), provider)
            if self.version:
                state.load.returned(self.now())  # others have served for a while
            return state
        if info.state == "ready" and state.info.state != "ready":
            state.load.returned(self.now())
        state.update(info)
        state.breaker.retune(breaker)
        return state

    def _returned(self, info: TargetInfo, pool: TargetPool) -> TargetState | None:
        """A target that was gone for a while and is there again, where it was: with its record, and
        with what still runs there from before."""
        state, _ = self._gone.pop(info.name, (None, 0.0))
        if state is None or _address(state.info) != _address(info) or info.kind == "engine":
            return None  # an engine that returns is another process
        state.pool = pool
        return state

    def _forget_gone(self, now: float) -> None:
        for name, (state, since) in tuple(self._gone.items()):
            if now - since > REMEMBERED_S and not state.in_flight:
                del self._gone[name]
                state.provider.forget(state)
                self.counters.forget_target(name)

    def _pool(self, info: TargetInfo) -> TargetPool:
        address = _address(info)
        pool = self._pools.get(address)
        if pool is None:
            dialer = Dialer(info.host, info.port, info.tls, info.egress)
            pool = self._pools[address] = TargetPool(
                dialer, loop=self.loop, turn=self.turn, now=self.now
            )
        else:
            pool.dialer.renew()
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
                self._tell_settled(share)
                if now > share.fresh_until:
                    self._return_unused(share)

    def _return_unused(self, share: Share) -> None:
        if share.free > 0:
            self.tell(Returned(share.name, share.unused()))

    def _tell_settled(self, share: Share) -> int:
        """Tell what settled requests left of their minute, and the debt, which is answered."""
        for amount, age_s in share.past(self.now()):
            self.tell(Returned(share.name, amount, age_s))
        debt = share.debt()
        if debt:
            self.tell(Returned(share.name, debt))
        return debt


def _address(info: TargetInfo) -> tuple[str, int, bool, EgressInfo]:
    """What targets share connections by."""
    return info.host, info.port, info.tls, info.egress
