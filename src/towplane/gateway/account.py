"""Last station: what an attempt used is written down before the answer ends; then all is counted.

Usage is what the target says (measured); else what was seen go by (estimated); else unknown
(absent), never 0. Cost is usage by the price of the attempt's target at its start.
"""

from typing import TYPE_CHECKING, Final

from towplane.gateway.claim import give_back
from towplane.gateway.tariff import cost_in_detail
from towplane.parts.errors import (
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    PlaneError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
)
from towplane.parts.usage import Detail, Usage
from towplane.tenants.cost import cost_nanousd
from towplane.tenants.events import Outcome, Settled, UsageKind

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.exchange import Exchange

_BITS: Final = 31
"""Of a number of tokens that can be true, and that the journal takes."""

_OUTCOMES: dict[type[PlaneError], Outcome] = {
    Rejected: "refused",
    ContextTooLong: "refused",
    Filtered: "refused",
    QuotaExhausted: "rate_limited",
    Denied: "denied",
    RateLimited: "rate_limited",
    Overloaded: "overloaded",
    Unavailable: "unavailable",
    ProtocolError: "protocol",
    TimedOut: "timeout",
}


def account_attempt(attempt: "Attempt", *, is_final: bool) -> None:
    """Settle one attempt: its row in the journal, its tokens, its cost."""
    x = attempt.x
    hall, relay = x.hall, attempt.relay
    kind, tokens_in, cached, tokens_out, detail = _usage_of(attempt)
    credential = attempt.credential
    is_known = kind != "absent"
    cost, price = None, attempt.price
    if is_known:
        if attempt.is_spilled:
            cost = None  # provisioned capacity was full, and what answered has a price of its own
        elif detail is not None or tokens_in > price.plain_to:
            usage = Usage(tokens_in, tokens_out, cached, detail)
            cost, detail = cost_in_detail(price, usage)
        elif price.price is not None:
            cost = cost_nanousd(price.price, tokens_in, cached, tokens_out)
    was_ok = attempt.error is None and not attempt.was_cancelled
    outcome: Outcome = "ok" if was_ok else _outcome_of(attempt)
    first_at = relay.first_at if relay is not None else 0.0
    ended_at = attempt.ended_at
    hall.journal.append(
        Settled(  # by position, as in `Attempt.start`
            attempt.id,
            x.wall + (ended_at - x.begun_at),
            outcome,
            kind,
            is_final,
            attempt.status,
            tokens_in if is_known else None,
            cached if is_known else None,
            tokens_out if is_known else None,
            cost,
            (first_at - x.request.received_at) * 1000.0 if first_at else None,
            (ended_at - attempt.started_at) * 1000.0,
            detail,
            credential.name if credential is not None else None,
        )
    )
    counters, ticket, model, target = hall.counters, x.ticket, x.ask.model, attempt.target
    counts = counters.models[model]
    if is_known:
        tokens = counts.tokens[kind]
        tokens.input += tokens_in
        tokens.cached_input += cached
        tokens.output += tokens_out
        if ticket is not None:
            ticket.used_tokens += tokens_in + tokens_out
    else:
        counts.absent += 1
    if cost is not None:
        counts.priced += 1
        counts.cost_nanousd += cost
        if ticket is not None:
            ticket.used_nanousd += cost
    elif is_known:
        counts.unpriced += 1
    if attempt.claimed:
        give_back(attempt, tokens_in + tokens_out, cost or 0)
    spill = x.route.spill if x.route is not None else None
    if spill is not None and target.info.name in spill.names:
        spill.count(cost)
    lobby = hall.lobby
    if lobby.is_busy:
        lobby.room()
    target.attempts += 1
    if was_ok:
        target.seconds.observe(ended_at - attempt.sent_at)
        if x.route is not None and target.is_bounded:
            x.route.pace.observe(ended_at - attempt.started_at)
    if first_at:
        target.ttft.observe(first_at - attempt.sent_at)
    counters.attempts[(model, target.info.name, attempt.decision.cause, outcome)] += 1


def account_request(x: "Exchange") -> None:
    """Count a request that got as far as an attempt."""
    attempt, route, hall = x.attempt, x.route, x.hall
    assert attempt is not None
    assert route is not None
    error = attempt.error
    if attempt.was_cancelled:
        outcome = "cancelled"
    elif error is None:
        outcome = "ok"
    else:
        outcome = "rejected" if isinstance(error, Rejected) else "failed"
    seconds = attempt.ended_at - x.request.received_at
    route.counters.request.observe(seconds)
    slo = _slo_of(x, outcome, seconds) if route.has_slo else "none"
    hall.counters.requests[(x.ask.model, outcome, slo)] += 1
    if hall.access_log:
        hall.log_access(x, outcome, seconds)


def account_refusal(x: "Exchange", refusal: PlaneError) -> None:
    """Count a request that the plane did not take."""
    hall = x.hall
    model = x.route.info.model if x.route is not None else "other"
    if x.gone:  # its client left while it waited for units: nobody was refused
        hall.counters.requests[(model, "cancelled", "none")] += 1
        return
    hall.counters.refused(refusal.reason)
    outcome = "failed" if refusal.code == "no_target" else "refused"
    slo = "missed" if outcome == "failed" and x.route is not None and x.route.has_slo else "none"
    hall.counters.requests[(model, outcome, slo)] += 1
    if hall.access_log:
        hall.log_access(x, refusal.reason, hall.now() - x.request.received_at)


def _usage_of(attempt: "Attempt") -> tuple[UsageKind, int, int, int, Detail | None]:
    """Kind, input, cached input, output, and what was special."""
    relay = attempt.relay
    usage = attempt.call.reader.usage
    if usage is not None:
        tokens_in, cached, tokens_out = usage.input, usage.cached, usage.output
        if not (tokens_in | cached | tokens_out) >> _BITS:  # none is below 0 or too large
            detail = usage.detail
            if detail is None or _can_be_true(detail):
                return "measured", tokens_in, cached, tokens_out, detail
    worked = attempt.was_cancelled or isinstance(attempt.error, TimedOut)
    status = attempt.status
    answered = status is not None and (
        attempt.error is None
        # An answer in one piece that broke off: it was made before its first byte, and is billed.
        or (status < 300 and not attempt.x.ask.stream and isinstance(attempt.error, Unavailable))
    )
    if (relay is not None and relay.tokens) or (attempt.sent_at and (worked or answered)):
        output = relay.tokens if relay is not None else 0
        begun = attempt.call.reader.begun
        if begun is not None and not (begun.input | begun.cached) >> _BITS:
            detail = begun.detail
            if detail is None or _can_be_true(detail):
                return "estimated", begun.input, begun.cached, output, detail
        return "estimated", attempt.x.ask.input_estimate, 0, output, None
    return "absent", 0, 0, 0, None


def _can_be_true(detail: Detail) -> bool:
    counts = (
        detail.cache_write | detail.cache_write_1h | detail.reasoning | detail.audio_input
        | detail.image_input | detail.audio_output | detail.image_output | detail.tool_input
        | detail.searches
    )  # fmt: skip
    return not counts >> _BITS


def _outcome_of(attempt: "Attempt") -> Outcome:
    error = attempt.error
    if error is None:
        return "cancelled" if attempt.was_cancelled else "ok"
    return _OUTCOMES.get(type(error), "server_error")  # one kind for each: no tree to climb


def _slo_of(x: "Exchange", outcome: str, seconds: float) -> str:
    """met, missed, or none: no SLO holds for this request."""
    route, attempt = x.route, x.attempt
    assert route is not None
    assert attempt is not None
    if outcome in ("cancelled", "rejected"):
        return "none"
    if outcome != "ok":
        return "missed"
    slo, relay = route.info.spec.slo, attempt.relay
    if slo.total_s is not None and seconds > slo.total_s:
        return "missed"
    if relay is None or not relay.first_at:
        return "met"
    if slo.ttft_s is not None and relay.first_at - x.request.received_at > slo.ttft_s:
        return "missed"
    gaps = relay.tokens - 1
    if slo.itl_s is not None and gaps > 0:
        return "missed" if (relay.last_at - relay.first_at) / gaps > slo.itl_s else "met"
    return "met"
