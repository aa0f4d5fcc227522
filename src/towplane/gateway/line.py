"""The line: receive → identify → admit → route → attempt → relay → account.

Each station is a function of its own file that returns a value or raises a `Refused`; none calls
the next. This file composes them and is all there is to know about their order. Where it says
`yield` it waits until something has happened to the exchange (`gateway.exchange`).
"""

from collections.abc import Generator

from towplane.gateway import listing
from towplane.gateway.account import account_attempt, account_refusal, account_request
from towplane.gateway.admit import Short, admit, refusal_of, settle
from towplane.gateway.attempt import Attempt
from towplane.gateway.claim import claim, is_denied, unclaim
from towplane.gateway.exchange import DUE, GONE, GRANTED, LATE, Exchange
from towplane.gateway.hedge import race
from towplane.gateway.lobby import wait_for_room
from towplane.gateway.receive import PATHS, receive
from towplane.gateway.relay import relay_failure
from towplane.gateway.route import Decision, no_time, resolve, route, route_again, route_around
from towplane.parts.errors import AtLimit, Full, NoTarget, PlaneError
from towplane.tenants.events import Cause

__all__ = ["walk"]


def walk(x: Exchange) -> Generator[None]:
    """Take one request from its last byte to the last byte of its answer."""
    try:
        operation = PATHS.get(x.request.url) or PATHS.get(x.request.path())
        if operation is None or x.request.method != b"POST":
            listing.answer(x)
            return
        x.ask = receive(operation, x.request.body, x.request.fields)
        x.caller = x.connection.identify(x.request.fields)
        resolve(x)
        while (short := admit(x)) is not None:
            yield from _units(x, short)
        try:
            decision: Decision | None = route(x, x.begun_at)
        except NoTarget as none:
            decision = yield from _queue(x, none, "first")
        assert x.route is not None
        if decision is not None and (decision.target.has_limits or x.route.spill is not None):
            decision = yield from _claim(x, decision)
        while decision is not None:
            x.attempt = attempt = Attempt(x, decision)
            attempt.start()
            assert x.route is not None
            if x.route.mirror is not None and x.attempts == 1:
                x.route.mirror.reflect(x)
            if x.route.hedging is not None:
                attempt = yield from race(x, attempt, x.route.hedging)
            while not attempt.is_over:
                yield
            decision = None if attempt.is_final else (yield from _again(x, attempt))
            account_attempt(attempt, is_final=decision is None)
        if attempt.error is None or x.answered:
            attempt.finish_answer()
        elif not x.gone:
            relay_failure(x, attempt)
        account_request(x)
    except PlaneError as refusal:
        account_refusal(x, refusal)
        x.refuse(refusal)
    finally:
        if x.claimed:
            unclaim(x)
        settle(x)


def _units(x: Exchange, short: Short) -> Generator[None]:
    """Wait until the coordinator has answered about the units that are missing."""
    if x.denied is not None and x.denied.of(short):
        raise refusal_of(x, short)
    x.hall.need(x, short)
    yield
    if x.moment != GRANTED:
        raise refusal_of(x, short)


def _again(x: Exchange, failed: Attempt) -> Generator[None, None, Decision | None]:
    """What may be tried after a failure, once it may be."""
    decision = route_again(x, failed)
    if decision is None:
        return None
    if decision.wait_s and not (yield from _pause(x, decision.wait_s)):
        return None
    assert x.route is not None
    if not decision.target.has_limits and x.route.spill is None:
        return decision
    try:
        return (yield from _claim(x, decision))
    except PlaneError:  # the client hears of the failure, not of what stood in the way afterwards
        return None


def _claim(x: Exchange, decision: Decision) -> Generator[None, None, Decision]:
    """Take units of the provider's limits; where there are none, choose another target."""
    while True:
        target = decision.target
        outcome = claim(x, target)
        if outcome is True:
            return decision
        if isinstance(outcome, Short) and not is_denied(x, target, outcome):
            x.hall.need(x, outcome)
            yield
            if x.moment != GRANTED:
                raise no_time(x)
            continue
        try:
            decision = route_around(x, decision.cause)
        except NoTarget as none:
            decision = yield from _queue(x, none, decision.cause)


def _queue(x: Exchange, none: NoTarget, cause: Cause) -> Generator[None, None, Decision]:
    """Wait for a target that is only at its limit, as long as the route and the client allow."""
    assert x.route is not None
    if isinstance(none, Full):
        return (yield from wait_for_room(x, none, cause))
    until = x.route.waits_until(x.begun_at, x.ends_at)
    while isinstance(none, AtLimit) and x.hall.now() < until:
        limited = x.route.nearest_limit(x.hall.now())
        x.route.waiting += 1
        if limited is not None and limited.short is not None:
            went_well = yield from _stand_in_line(x, limited.short, until)
            limited.at_limit_until = 0.0
        else:
            wait_s = (none.after_s or 0.0) * (1 + x.hall.random() / 10)
            went_well = x.hall.now() + wait_s <= until
            if went_well:
                went_well = yield from _pause(x, wait_s)
        x.route.waiting -= 1
        if not went_well:
            break
        try:
            return route_around(x, cause)
        except NoTarget as still:
            none = still
    raise none


def _stand_in_line(x: Exchange, short: Short, until: float) -> Generator[None, None, bool]:
    """Wait in the coordinator's queue for units; whether there are some now, and a client."""
    x.take_denied()
    x.hall.stand_in_line(x, short, until)
    yield
    while x.moment not in (GRANTED, GONE, LATE):
        yield
    is_denied = x.take_denied()
    return x.moment == GRANTED and not is_denied and not x.gone


def _pause(x: Exchange, seconds: float) -> Generator[None, None, bool]:
    """Let time pass; False: the client left meanwhile."""
    timer = x.hall.later(seconds, x.resume, DUE)
    yield
    while x.moment not in (DUE, GONE):
        yield
    timer.cancel()
    return not x.gone
