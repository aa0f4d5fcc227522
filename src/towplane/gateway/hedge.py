"""A race of two attempts before the first token: who commits first answers, the other is cut off.

Only routes with `hedge` come here. The exchange has one attempt that speaks to the client and at
most one rival. An attempt commits when it is about to write to the client, with its first token, or
by the head of a good answer in one piece (`Exchange.commit`); then the other is cancelled, and is
accounted as any cancelled attempt, in a row of its own. While one runs, the failure of the other is
no failure of the request, unless it says that the request itself is wrong.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

from towplane.gateway.account import account_attempt
from towplane.gateway.attempt import Attempt
from towplane.gateway.claim import claim, unclaim
from towplane.gateway.exchange import DUE
from towplane.gateway.route import choose_rival
from towplane.parts.errors import PlaneError
from towplane.routing.hedging import Hedging, estimate_nanousd

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange

__all__ = ["race"]


def race(x: "Exchange", first: Attempt, hedging: Hedging) -> Generator[None, None, Attempt]:
    """Wait until an attempt has decided; it is over, and every other one is accounted."""
    stream = x.ask.stream
    if x.attempts == 1:
        hedging.request(first.started_at)
    x.moment = ""
    timer = x.hall.later(hedging.wait_s(stream=stream), x.resume, DUE)
    while not first.is_over and x.moment != DUE:
        yield
    timer.cancel()
    rival = None if _is_settled(first) else _start_rival(x, first, hedging)
    if rival is None:
        while not first.is_over:
            yield
        _remember(first, hedging)
        return first
    while not (first.is_over or rival.is_over):
        yield
    ended, other = (first, rival) if first.is_over else (rival, first)
    if _decides(ended):
        x.attempt, x.rival = ended, None
        if not other.is_over:
            other.cancel()
            yield  # it says that it is over
        ended, other = other, ended
    else:  # it failed, or was overtaken: the other goes on
        x.attempt, x.rival = other, None
        if ended.error is not None and not ended.is_stale:
            x.tried.append(ended.target.info.name)
    account_attempt(ended, is_final=False)
    while not other.is_over:
        yield
    _remember(first, hedging)
    ended.relay = None  # no cycle is left for the collector
    return other


def _is_settled(first: Attempt) -> bool:
    """Whether a second attempt would come too late."""
    is_head_good = first.status is not None and first.status < 400 and not first.x.ask.stream
    return first.is_over or first.x.answered or is_head_good


def _decides(ended: Attempt) -> bool:
    """Whether the end of one attempt of two is the request's: a good answer, or a fault that the
    other would find as well."""
    if ended.error is None:
        return not ended.was_cancelled
    return ended.error.retry == "never"


def _start_rival(x: "Exchange", first: Attempt, hedging: Hedging) -> Attempt | None:
    """A second attempt, if there is a target for it that may be asked at once, and money."""
    route = x.route
    assert route is not None
    now = x.hall.now()
    if x.attempts >= route.info.spec.retries.most or now >= x.ends_at:
        return None
    decision = choose_rival(x, first, now)
    if decision is None:
        return None
    target = decision.target
    price = target.price_at(x.wall).for_input(x.ask.input_estimate)
    cost = estimate_nanousd(price, x.ask.input_estimate, x.output_limit, stream=x.ask.stream)
    if (target.has_limits or route.spill is not None) and claim(x, target) is not True:
        unclaim(x)
        return None
    try:
        rival = Attempt(x, decision) if hedging.take(x.caller.tenant, cost, now) else None
    except PlaneError:  # it cannot be asked this, or has no credential: the first runs on
        rival = None
    if rival is None:
        unclaim(x)
        return None
    x.rival = rival
    rival.start()
    return rival


def _remember(first: Attempt, hedging: Hedging) -> None:
    """How long the first attempt made the request wait; a failure says nothing of that."""
    if first.error is not None or not first.sent_at:
        return
    relay = first.relay
    came_at = relay.first_at if relay is not None and relay.first_at else first.ended_at
    hedging.saw((came_at or first.x.hall.now()) - first.sent_at, stream=first.x.ask.stream)
