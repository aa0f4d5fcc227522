"""A probe: the plane asks a target for one token, so that no client's request has to find out.

It is a real request through the target's own adapter, walks a short line without a client, and has
its row in the journal under the plane's own account, with the cause `probe`; no tenant pays for it.
What becomes of it goes to the target's breaker as any attempt's end. The law: a token that came in
time is a success, however the answer goes on.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

import msgspec

from towplane.gateway.account import account_attempt
from towplane.gateway.attempt import Attempt
from towplane.gateway.claim import claim, unclaim
from towplane.gateway.client import NOBODY
from towplane.gateway.counters import Edges
from towplane.gateway.exchange import Exchange
from towplane.gateway.messages import RouteInfo
from towplane.gateway.receive import receive
from towplane.gateway.request import Request
from towplane.gateway.route import Decision
from towplane.gateway.route_state import RouteState
from towplane.gateway.target_state import TargetState
from towplane.parts.errors import PlaneError
from towplane.providers.ask import OPERATIONS
from towplane.routing.spec import Probe as ProbeSpec
from towplane.routing.spec import RouteSpec, Timeouts
from towplane.tenants.keys import PLANE_ACCOUNT, KeyRecord

if TYPE_CHECKING:
    from towplane.gateway.hall import Hall

__all__ = ["KEY", "Probe", "probe_route"]

KEY = "_probe"
_CALLER = KeyRecord(id=KEY, tenant=PLANE_ACCOUNT, digest=b"")
_NEWER = frozenset(("openai", "azure-openai"))
"""Kinds whose newest models refuse `max_tokens`."""


def probe_route(model: str, spec: ProbeSpec, edges: Edges) -> RouteState:
    """The route of the probes for a model: no targets, only clocks, and counts of its own."""
    limit = spec.timeout_s
    timeouts = Timeouts(connect_s=limit, first_token_s=limit, between_tokens_s=limit, total_s=limit)
    info = RouteInfo(
        model, (), spec=RouteSpec(targets=[], drop_unsupported=True, timeouts=timeouts)
    )
    return RouteState(info, {}, edges)


class Probe(Exchange):
    """One probe of one target. Raises BadRequest if the target cannot be asked so."""

    __slots__ = ("probed",)

    def __init__(self, hall: "Hall", target: TargetState, route: RouteState) -> None:
        request = Request()
        request.method, request.url, request.version = b"POST", b"/v1/chat/completions", "1.0"
        request.keep_alive = False
        request.received_at = hall.now()
        super().__init__(hall, NOBODY, request)
        limit = "max_completion_tokens" if target.info.adapter in _NEWER else "max_tokens"
        body = msgspec.json.encode(
            {
                "model": route.info.model,
                "messages": [{"role": "user", "content": "Say OK."}],
                "stream": True,
                limit: 1,
            }
        )
        self.probed = target
        self.ask = receive(OPERATIONS["chat"], [body], {})
        self.caller = _CALLER
        self.route = route
        self.output_limit = 1
        self.ends_at = self.begun_at + route.total_s

    def begin(self) -> None:
        """Ask."""
        self.hall.exchanges[self] = None
        self._walk = _walk(self)
        self._step("")

    def deadline_passed(self, now: float) -> None:
        """Called by the sweep: one token is enough."""
        attempt = self.attempt
        if attempt is not None and attempt.relay is not None and attempt.relay.tokens:
            attempt.cancel()
        else:
            super().deadline_passed(now)


class _ProbeAttempt(Attempt):
    """The one attempt of a probe."""

    __slots__ = ()

    def _tell_target(self) -> None:
        if self.was_cancelled and self.relay is not None and self.relay.tokens:
            self._went_well(self.ended_at)
        else:
            super()._tell_target()


def _walk(x: Probe) -> Generator[None]:
    """attempt → account."""
    target = x.probed
    try:
        if target.has_limits and claim(x, target) is not True:
            return  # at its limit: that it is well enough to be asked too much, is known
        x.attempt = attempt = _ProbeAttempt(x, Decision(target, "probe"))
        attempt.start()
        while not attempt.is_over:
            yield
        account_attempt(attempt, is_final=True)
    except PlaneError:
        return  # it has no credential, or cannot be asked this
    finally:
        if x.claimed:
            unclaim(x)
