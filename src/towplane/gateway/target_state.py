"""A target, and its provider, as one worker sees them: the snapshot's facts, and what has happened
since. Described anew, a target keeps its connections, breaker and counts. Knows no route, no
request and no client.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from towplane.gateway.admit import Account, Short
from towplane.gateway.counters import Histogram
from towplane.gateway.dial import forwarding
from towplane.gateway.messages import TargetInfo, TargetReport
from towplane.gateway.pool import TargetPool
from towplane.gateway.tariff import DatedPrice, find_price
from towplane.monitoring.catalogue import CATALOGUE
from towplane.parts.clock import Now
from towplane.parts.errors import NoCredential
from towplane.providers.adapter import Call, Credential, Place, Rendered
from towplane.providers.adapters import adapter_of
from towplane.providers.ask import Ask
from towplane.providers.credential_pool import CredentialPool
from towplane.providers.dialects import dialect_of
from towplane.providers.reader import Reader
from towplane.providers.throttle import Throttle
from towplane.providers.translation import prepare
from towplane.routing.breaker import Breaker
from towplane.routing.concurrency import AdaptiveLimit
from towplane.routing.explain import Seen
from towplane.routing.load import Load
from towplane.tenants.leases import Share

__all__ = ["ProviderState", "TargetState"]


_MOST_HEADS: Final = 64
"""Heads that a target keeps; clients choose some of what stands in them (`anthropic-beta`)."""


class TargetState:
    """One target as this worker sees it."""

    __slots__ = ("_dated", "_heads", "_heads_for", "_limited", "_parked_until", "_relays",
                 "_throttles",
                 "adapter", "adaptive", "attempts", "breaker", "credentials", "failures",
                 "has_limits", "header_name", "host", "info", "is_awaited", "load", "place", "pool",
                 "provider", "seconds", "ttft")  # fmt: skip

    def __init__(
        self, info: TargetInfo, pool: TargetPool, breaker: Breaker, provider: "ProviderState"
    ) -> None:
        self.pool = pool
        self.provider = provider
        self.credentials = provider.credentials
        self._throttles: dict[str, Throttle] = {}
        """What the provider says is left for each credential, by its name."""
        self._limited: dict[str, float] = {}
        """Until when a credential must not be used here, by its name."""
        self.breaker = breaker
        self.load = provider.loads[info.name] = Load(info.name)
        self.ttft = Histogram(CATALOGUE["towplane_target_ttft_seconds"].edges)
        self.seconds = Histogram(CATALOGUE["towplane_target_seconds"].edges)
        self.attempts = 0
        self.failures = 0
        self._parked_until = 0.0
        self.adaptive: AdaptiveLimit | None = None
        """How many attempts it takes at once, where that is found out."""
        self.is_awaited = False
        """Somebody waits for it in the lobby: it is full for those who come later."""
        self.update(info)

    def update(self, info: TargetInfo) -> None:
        """The same target, described anew."""
        self.info = info
        self._adapt(info)
        self.header_name = info.name.encode("ascii", "replace")
        self.adapter = adapter_of(info.adapter)
        self.place = Place(info.name, info.model, info.path, info.options)
        default = 443 if info.tls else 80
        host = f"[{info.host}]" if ":" in info.host else info.host
        self.host = host if info.port == default else f"{host}:{info.port}"
        self._heads: dict[object, bytes] = {}
        self._relays: dict[str, Callable[[Ask, str], Reader]] = {}
        """By operation: what reads the answer, where bytes pass through."""
        self._heads_for: Credential | None = None
        self._dated = DatedPrice(None, math.inf, -math.inf)
        self.has_limits = self.provider.account is not None or bool(self._throttles)
        """Whether there is something to look at before an attempt (`gateway.claim`)."""

    def _adapt(self, info: TargetInfo) -> None:
        adaptive = self.adaptive
        if info.adapts_to_s is None:
            self.adaptive = None
        elif adaptive is None:
            self.adaptive = AdaptiveLimit(info.adapts_to_s)
        else:
            adaptive.ttft_s = info.adapts_to_s

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return self.load.in_flight

    def is_usable(self, now: float) -> bool:
        """Whether an attempt may go there."""
        return (
            self.info.state == "ready"
            and now >= self._parked_until
            and now >= self.provider.at_limit_until
            and self.breaker.admits(now)
            and not self.is_awaited
            and (self.adaptive is None or self.load.in_flight < self.adaptive.limit)
            and (self.credentials.only is not None or self._has_credential(now))
        )

    @property
    def capacity(self) -> Share | None:
        """This worker's share of what it takes at once; None: it takes what comes, or finds out."""
        return self.provider.capacity

    @property
    def is_bounded(self) -> bool:
        """Whether it takes only so many attempts at once."""
        return self.adaptive is not None or self.provider.capacity is not None

    def is_full(self, now: float) -> bool:
        """Whether it has as many attempts as it takes, and is well otherwise."""
        capacity, adaptive = self.provider.capacity, self.adaptive
        has_room = (capacity is None or capacity.free > 0) and (
            adaptive is None or self.load.in_flight < adaptive.limit
        )
        return (
            not has_room
            and self.info.state == "ready"
            and now >= self._parked_until
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

    def may_be_probed(self, now: float) -> bool:
        """Whether there is a point in asking it for a token: only its breaker may be against it."""
        return (
            self.info.state == "ready"
            and now >= self._parked_until
            and now >= self.provider.at_limit_until
            and self._has_credential(now)
        )

    def throttled_s(self, tokens: int, now: float) -> float:
        """Seconds until the provider would take an attempt of so many tokens; 0 as far as is known.
        The attempt is taken off what is left."""
        credential = self.pick_credential(now)
        throttle = self._throttles.get(credential.name if credential is not None else "")
        if throttle is None:
            return 0.0
        wait_s = throttle.wait_s(tokens, now)
        if not wait_s:
            throttle.take(tokens, now)
        return wait_s

    def heard_limits(
        self, credential: Credential | None, fields: Mapping[bytes, bytes], now: float
    ) -> None:
        """An answer's headers speak of the provider's limits."""
        said = self.adapter.read_allowance(fields)
        if said is not None:
            name = credential.name if credential is not None else ""
            self._throttles.setdefault(name, Throttle()).observe(said, now)
            self.has_limits = True

    def is_refused(self, now: float) -> bool:
        """Whether it wants credentials, and every one is parked or missing."""
        return bool(self.info.credentials) and self.credentials.is_refused(self.info.name, now)

    def limited_s(self, now: float) -> float:
        """Seconds for which it is only its limits that keep it from answering; else 0."""
        if self.info.state != "ready" or not self.breaker.admits(now) or self.is_refused(now):
            return 0.0
        return self.usable_in_s(now) if not self.is_usable(now) else 0.0

    def why_not(self, now: float) -> str:
        """The words for a target that is not usable."""
        if self.info.state != "ready":
            return (
                f"{self.info.state} ({self.info.reason})" if self.info.reason else self.info.state
            )
        if now < self._parked_until:
            return "asking to be left alone"
        if self.is_full(now) or self.is_awaited:
            return "as busy as it may be"
        if now < self.provider.at_limit_until:
            return "at its provider's limit"
        if not self._has_credential(now) and self.is_refused(now):
            return "refusing every credential"
        if not self._has_credential(now):
            return "at the limit of every credential"
        return self.breaker.why if not self.breaker.admits(now) else "already tried"

    def usable_in_s(self, now: float) -> float:
        """Seconds until it may be usable again."""
        waits = [
            self._parked_until - now,
            self.provider.at_limit_until - now,
            self.breaker.retry_after_s(now),
            0.0,
        ]
        if self.info.credentials:
            waits.append(self.credentials.usable_in_s(self.info.name, now, self._limited))
        return max(waits)

    def pick_credential(self, now: float) -> Credential | None:
        """The credential to send; None where none is asked for. Raises NoCredential."""
        if self.credentials.only is not None or not self.info.credentials:
            return self.credentials.only
        found = self.credentials.pick(self.info.name, now, self._limited)
        if found is None:
            raise NoCredential(
                f"Every credential of {self.info.provider} is parked.",
                next_step="The vendor must check them: `towplane providers status` says why.",
                reason="no-credential",
                after_s=self.credentials.usable_in_s(self.info.name, now, self._limited),
            )
        return found

    def limit(self, credential: Credential | None, until: float) -> None:
        """The provider is asked too much with this credential: use another one here till then."""
        if credential is None or len(self.credentials) < 2:
            self.park(until)
        else:
            self._limited[credential.name] = max(until, self._limited.get(credential.name, 0.0))
            self.load.suspect()

    def park(self, until: float) -> None:
        """It asked to be left alone."""
        self._parked_until = max(self._parked_until, until)
        self.load.suspect()

    def seen(self, weight: int, now: float) -> Seen:
        """How it stands, for `explain`."""
        breaker = self.breaker.standing(now)
        return Seen(
            name=self.info.name,
            weight=weight,
            state=self.info.state,
            reason=self.info.reason,
            in_flight=self.in_flight,
            breaker=breaker.state,
            is_probing=breaker.is_probing,
            probe_in_s=breaker.probe_in_s,
            parked_s=max(0.0, self._parked_until - now),
            trouble="" if self.is_usable(now) else self.why_not(now),
        )

    def report(self, now: float) -> TargetReport:
        """How it stands."""
        breaker = self.breaker.standing(now)
        requests_left, tokens_left = self._left(now)
        return TargetReport(
            name=self.info.name,
            in_flight=self.in_flight,
            breaker=breaker.state,
            attempts=self.attempts,
            failures=self.failures,
            is_probing=breaker.is_probing,
            probe_in_s=breaker.probe_in_s,
            parked_s=max(0.0, self._parked_until - now),
            requests_left=requests_left,
            tokens_left=tokens_left,
        )

    def price_at(self, wall: float) -> DatedPrice:
        """The price of a moment and how long it holds."""
        if not self._dated.since <= wall < self._dated.until:
            self._dated = find_price(self.info.prices, wall)
            self.load.costs(self._dated.price)
        return self._dated

    def call_for(self, ask: Ask, may_drop: bool) -> Call:  # called for each attempt
        """What goes up for `ask`, and the reader of its answer. Raises BadRequest."""
        make_relay = self._relays.get(ask.operation.name)
        if make_relay is not None:  # known to pass through: `prepare` would find the same
            place = self.place
            relay = make_relay(ask, place.target)
            return Call(self.adapter.passthrough(ask, place), relay, True)
        call = prepare(ask, self.place, self.adapter, may_drop=may_drop)
        if call.is_native:
            self._relays[ask.operation.name] = dialect_of(ask.operation.dialect).make_relay
        return call

    def head_for(self, rendered: Rendered, credential: Credential | None, wall: Now) -> bytes:
        """A request's head up to what is different in each: made once where it can be."""
        if credential is not self._heads_for:
            self._heads.clear()
            self._heads_for = credential
        known = (rendered.path, rendered.headers) if rendered.headers else rendered.path
        head = self._heads.get(known)
        if head is None:
            head = self._make_head(rendered, credential, wall())
            if (credential is None or credential.aws is None) and len(self._heads) < _MOST_HEADS:
                self._heads[known] = head
        return head

    def _left(self, now: float) -> tuple[int | None, int | None]:
        said = [throttle.left(now) for throttle in self._throttles.values()]
        requests = [requests for requests, _ in said if requests is not None]
        tokens = [tokens for _, tokens in said if tokens is not None]
        return sum(requests) if requests else None, sum(tokens) if tokens else None

    def _has_credential(self, now: float) -> bool:
        if not self.info.credentials:
            return True
        return self.credentials.usable_in_s(self.info.name, now, self._limited) <= 0

    def _make_head(self, rendered: Rendered, credential: Credential | None, wall: float) -> bytes:
        info, sign = self.info, self.adapter.sign
        headers = rendered.headers
        if credential is not None:
            headers += credential.headers
            if sign is not None and credential.aws is not None:
                headers += sign(credential, b"POST", self.host, rendered, self.place, wall)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        proxy = forwarding(self.host, info.tls, info.egress)
        return (
            f"POST {proxy.prefix}{info.path}{rendered.path} HTTP/1.1\r\nhost: {self.host}\r\n"
            f"{lines}content-type: application/json\r\naccept-encoding: identity\r\n"
            f"{proxy.header}user-agent: towplane\r\n"
        ).encode("latin-1")


class ProviderState:
    """What the targets of one provider share in this worker."""

    __slots__ = ("account", "at_limit_until", "capacity", "credentials", "loads", "short")

    def __init__(self) -> None:
        self.credentials = CredentialPool()
        self.account: Account | None = None
        """This worker's shares of the limits that the document sets; None: it sets none."""
        self.at_limit_until = 0.0
        """Until when there are no units of those limits."""
        self.capacity: Share | None = None
        """Of an engine's replica: the share of what it takes at once."""
        self.short: Short | None = None
        """Which ones were missing last."""
        self.loads: dict[str, Load] = {}
        """Of its targets, by name."""

    def forget(self, target: TargetState) -> None:
        """One of its targets is gone for good."""
        if self.loads.get(target.info.name) is target.load:
            del self.loads[target.info.name]

    def suspect(self) -> None:
        """Something happened that may keep its targets from being chosen."""
        for load in self.loads.values():
            load.suspect()
