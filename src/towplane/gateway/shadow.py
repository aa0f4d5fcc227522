"""A mirrored request: it walks a short line of its own, without a client, and is heard by nobody.

A shadow is made of what a client asked, rewritten as the route's `mirror` says, and belongs to the
plane's own account. It makes one attempt and never another. What it meets says nothing about its
target to others: it opens no breaker and parks no credential, and where a breaker is not closed it
does not go. The law: nothing that becomes of a shadow changes anything for a client's request.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, cast

import msgspec

from towplane.gateway.account import account_attempt
from towplane.gateway.admit import Short, admit, refusal_of, settle
from towplane.gateway.attempt import Attempt
from towplane.gateway.claim import claim, unclaim
from towplane.gateway.client import NOBODY
from towplane.gateway.exchange import GRANTED, Exchange
from towplane.gateway.request import Request
from towplane.gateway.route import Decision, no_time, route
from towplane.parts.errors import PlaneError, Rejected
from towplane.providers.ask import Ask
from towplane.providers.dialects import dialect_of
from towplane.routing.spec import Rewrite

if TYPE_CHECKING:
    from towplane.gateway.mirror import Mirror

__all__ = ["Shadow", "rewritten"]

_encode = msgspec.json.Encoder().encode
_COMPLETION_LIMIT = "max_completion_tokens"


class Shadow(Exchange):
    """One mirrored request."""

    __slots__ = ("mirror",)

    def __init__(self, mirror: "Mirror", of: Exchange) -> None:
        request = Request()
        request.method, request.url, request.version = b"POST", of.request.url, "1.0"
        request.keep_alive = False
        request.received_at = mirror.hall.now()
        super().__init__(mirror.hall, NOBODY, request)
        self.id = f"{of.id}m"  # says which it is the shadow of: the ledger needs nothing else
        self.mirror = mirror
        self.caller = mirror.caller
        self.route = mirror.route
        self.ask = rewritten(of.ask, mirror.spec.rewrite)
        self.ends_at = self.begun_at + mirror.route.total_s

    def begin(self) -> None:
        """Walk until it waits or ends; unlike a client's request it is waited for by nobody."""
        self.mirror.running[self] = None
        self._walk = _walk(self)
        self._step("")

    def deadline_passed(self, now: float) -> None:
        """Called by the sweep: end what is overdue, and what says more than it was allowed to."""
        super().deadline_passed(now)
        attempt, limit = self.attempt, self.ask.output_limit
        if attempt is None or attempt.relay is None or limit is None:
            return
        if attempt.relay.tokens > limit * self.ask.samples:
            attempt.cancel()

    def cut(self) -> None:
        """The time for it is over."""
        self.client_gone()

    def _end(self) -> None:
        self.mirror.ended(self)
        super()._end()


class ShadowAttempt(Attempt):
    """The one attempt of a shadow."""

    __slots__ = ()

    def _tell_target(self) -> None:
        """What it says of the target is for other shadows alone."""
        breaker = cast(Shadow, self.x).mirror.breaker
        if self.error is None and self.was_cancelled:
            breaker.abandoned()
        elif self.error is None or isinstance(self.error, Rejected):
            breaker.succeeded(self.ended_at)
        else:
            breaker.failed(self.ended_at)


def rewritten(ask: Ask, rewrite: Rewrite) -> Ask:
    """What the shadow asks for. Raises BadRequest if it makes no sense any more."""
    fields = {name: raw for name, raw in ask.fields.items() if name not in rewrite.drop}
    if rewrite.temperature is not None:
        fields["temperature"] = msgspec.Raw(_encode(rewrite.temperature))
    most, limit = rewrite.max_tokens, ask.output_limit
    if most is not None:
        name = {"responses": "max_output_tokens"}.get(ask.operation.dialect, "max_tokens")
        if _COMPLETION_LIMIT in fields:
            name = _COMPLETION_LIMIT
        fields[name] = msgspec.Raw(_encode(most if limit is None else min(most, limit)))
    found = Ask(ask.operation, fields, ask.model)
    found.input_estimate = ask.input_estimate
    found.version_headers = ask.version_headers
    dialect_of(ask.operation.dialect).note(found)
    return found


def _walk(x: Shadow) -> Generator[None]:
    """admit → route → attempt → account, and nothing twice."""
    mirror = x.mirror
    try:
        while (short := admit(x)) is not None:
            yield from _units(x, short)
        decision = route(x, x.hall.now())
        if decision.target.has_limits:
            yield from _claim(x, decision)
        if decision.target.breaker.state != "closed" or not mirror.breaker.admits(x.hall.now()):
            mirror.dropped += 1
            return
        decision = Decision(decision.target, "mirror", decision.wait_s, decision.pick)
        x.attempt = attempt = ShadowAttempt(x, decision)
        x.attempts += 1  # not the first of a client's request: its overhead is nobody's
        if mirror.breaker.state != "closed":
            mirror.breaker.started()
        mirror.pairs.began(x, attempt)
        attempt.start()
        mirror.sent += 1
        while not attempt.is_over:
            yield
        mirror.pairs.heard(x)
        account_attempt(attempt, is_final=True)
    except PlaneError:  # no money, no target, no units: it is left out
        mirror.dropped += 1
    finally:
        if x.claimed:
            unclaim(x)
        settle(x)


def _units(x: Shadow, short: Short) -> Generator[None]:
    if x.denied is not None and x.denied.of(short):
        raise refusal_of(x, short)
    x.hall.need(x, short)
    yield
    if x.moment != GRANTED:
        raise refusal_of(x, short)


def _claim(x: Shadow, decision: Decision) -> Generator[None]:
    """Units of the provider's limits; where there are none, nobody else is told so."""
    while True:
        outcome = claim(x, decision.target)
        if outcome is True:
            return
        if not isinstance(outcome, Short):
            raise no_time(x)
        unclaim(x)
        yield from _units(x, outcome)
