"""Fourth station: which target shall answer. Applies the pure policies of `routing`.

A route has groups of targets: its own, then each step of its fallback chain. Of the first group
that has a usable target one is chosen by the route's policy. A target is usable when it is ready,
its breaker admits an attempt, it did not ask to be left alone, and this request has not tried it.
"""

import math
from typing import TYPE_CHECKING, Final

from towplane.gateway.demand import demand_of
from towplane.gateway.exchange import Exchange
from towplane.parts.errors import (
    AtLimit,
    BadRequest,
    Full,
    NoCredential,
    NotAllowed,
    NoTarget,
    NotFound,
)
from towplane.routing.again import is_tried_again, wait_for_same
from towplane.routing.chooser import Pick
from towplane.routing.decisions import Decided
from towplane.routing.demand import NOTHING
from towplane.routing.fallbacks import reason_of
from towplane.routing.shedding import come_back_s, foretell
from towplane.routing.spec import Reason
from towplane.tenants.events import Cause

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.target_state import TargetState


_TIMEOUT: Final = b"x-towplane-timeout"
"""How long the client waits for the whole answer, in seconds."""


class Decision:
    """What was decided, as a value; the attempt makes it an effect."""

    __slots__ = ("cause", "pick", "target", "wait_s")

    def __init__(
        self,
        target: "TargetState",
        cause: Cause,
        wait_s: float = 0.0,
        pick: Pick | None = None,
    ) -> None:
        self.target = target
        self.cause: Cause = cause
        self.wait_s = wait_s
        """Seconds to wait before."""
        self.pick = pick
        """The choice among others; None: the same target again."""


def resolve(x: Exchange) -> None:
    """Find the route of the model that is asked for, if this caller may use it."""
    model = x.ask.model
    route = x.hall.routes.get(model)
    if route is None:
        raise NotFound(
            f"The model `{model[:200]}` does not exist.",
            next_step="GET /v1/models lists the models of this key.",
            reason="model-unknown",
        )
    if not x.hall.may_use(x.caller, model):
        raise NotAllowed(
            f"This key may not use `{model}`.",
            next_step="GET /v1/models lists the models of this key.",
            reason="model-not-allowed",
        )
    x.route = route
    x.ends_at = x.request.received_at + route.total_s
    if _TIMEOUT in x.request.fields:
        x.ends_at = min(x.ends_at, x.request.received_at + _patience_of(x))


def route(x: Exchange, now: float) -> Decision:
    """The first target. Raises NoTarget, saying why each of them cannot answer."""
    assert x.route is not None
    decision = _choose(x, now, tried=(), cause="first")
    if decision is None:
        raise _no_target(x)
    return decision


def route_around(x: Exchange, cause: Cause) -> Decision:
    """Another target instead of one that may not be asked now, for the same cause; none that this
    request has tried. Raises NoTarget."""
    assert x.route is not None
    failed = x.attempt.error if x.attempt is not None else None
    reason = reason_of(failed) if failed is not None else "unavailable"
    decision = _choose(x, x.hall.now(), tried=x.tried, cause=cause, after=reason)
    if decision is None:
        raise _no_target(x)
    return decision


def route_again(x: Exchange, failed: "Attempt") -> Decision | None:
    """Another target after a failure, or None: nothing to try, too late, or no budget left."""
    now = x.hall.now()
    state = x.route
    assert state is not None
    if failed.is_stale:
        return Decision(failed.target, "reconnect")
    if not failed.has_another_credential(now):
        x.tried.append(failed.target.info.name)
    error = failed.error
    if error is None or not is_tried_again(
        error,
        state.info.spec.retries,
        attempts=x.attempts,
        now=now,
        ends_at=x.ends_at,
        names_reasons=state.closed is not None,
    ):
        return None
    decision = _choose(x, now, tried=x.tried, cause="retry", after=reason_of(error))
    if decision is None:
        decision = _wait_for(x, failed, now)
    if decision is not None and not state.retries.take(now):
        state.counters.retries_denied += 1
        return None
    return decision


def choose_rival(x: Exchange, first: "Attempt", now: float) -> Decision | None:
    """A target for a second attempt while the first runs (`gateway.hedge`)."""
    tried = [*x.tried, first.target.info.name]
    return _choose(x, now, tried=tried, cause="hedge", after="timeout")


def no_time(x: Exchange) -> NoTarget:
    """Nobody could say in time whether a provider's limit allows this request."""
    return NoTarget(
        f"The plane could not decide in time about the limits of `{x.ask.model}`.",
        next_step="Try again.",
        reason="admission-timeout",
        after_s=1.0,
    )


def _patience_of(x: Exchange) -> float:
    """Seconds after which the client does not want the answer any more. Raises BadRequest."""
    said = x.request.fields[_TIMEOUT]
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BadRequest(
            "x-towplane-timeout is not a number of seconds above 0.",
            next_step="Send how long you wait for the whole answer, as `30` or `2.5`.",
            reason="header-invalid",
        )
    return seconds


def _wait_for(x: Exchange, failed: "Attempt", now: float) -> Decision | None:
    """No other target is left: the same one again, after a while, if it is a managed API."""
    error, target = failed.error, failed.target
    assert error is not None
    assert x.route is not None
    if target.info.kind != "provider":
        return None
    wait_s = wait_for_same(
        error,
        x.route.info.spec.retries,
        attempts=x.attempts,
        usable_in_s=target.usable_in_s(now),
        left_s=x.ends_at - now,
        random=x.hall.random(),
    )
    return Decision(target, "retry", wait_s) if wait_s is not None else None


def _no_target(x: Exchange) -> NoTarget | NoCredential:
    now = x.hall.now()
    assert x.route is not None
    states = [t for group in x.route.groups for t in group]
    whys = {f"{t.info.name} is {t.why_not(now)}" for t in states}
    waits = [t.usable_in_s(now) for t in states]
    say = f"No target of `{x.ask.model}` can answer now: {'; '.join(sorted(whys))}."
    if any(t.is_full(now) for t in states):
        wait_s = foretell(0, x.route.slots(), x.route.pace.mean_s)
        after_s = come_back_s(wait_s or 0.0)
        return Full(say, next_step="Try again.", reason="at-capacity", after_s=after_s)
    limited = [wait for t in states if (wait := t.limited_s(now)) > 0]
    if limited:
        return AtLimit(say, next_step="Try again.", reason="provider-limit", after_s=min(limited))
    if any(t.is_refused(now) for t in states):
        return NoCredential(
            say,
            next_step="The vendor must check the credentials: `towplane providers status`.",
            reason="no-credential",
            after_s=max(1.0, min(waits, default=1.0)),
        )
    return NoTarget(
        say,
        next_step="Try again shortly.",
        reason="no-target",
        after_s=max(1.0, min(waits, default=1.0)),
    )


def _choose(
    x: Exchange,
    now: float,
    *,
    tried: "tuple[()] | list[str]",
    cause: Cause,
    after: Reason = "unavailable",
) -> Decision | None:
    """`after`: why the attempt before failed, or that there was none."""
    state = x.route
    assert state is not None
    chooser = state.chooser
    if state.reading is not None and x.demand is NOTHING:
        x.demand = demand_of(x, state.reading)
        if state.scoring is not None:
            state.scoring.count(x.demand.score)
    if state.closed is None:
        pick = chooser.pick(x.demand, tried, now)
    else:
        pick = chooser.pick(x.demand, tried, now, state.closed[after])
        if pick is None and after == "unavailable":
            picks = (
                chooser.pick(x.demand, tried, now, state.closed[each])
                for each in state.keeping(now)
            )
            pick = next((each for each in picks if each is not None), None)
    if pick is None:
        return None
    if pick.group and cause != "hedge":
        cause = "fallback"
    if pick.rivals:
        _keep(x, pick, cause, now)
    return Decision(state.groups[pick.group][pick.place], cause, 0.0, pick)


def _keep(x: Exchange, pick: Pick, cause: Cause, now: float) -> None:
    """So that somebody may ask later why (`routing.decisions`)."""
    assert x.route is not None
    chooser = x.route.chooser
    roster = chooser.rosters[pick.group]
    decided = Decided(
        x.id, x.attempts + 1, x.ask.model, cause, x.wall, now, chooser.turn, pick, tuple(x.tried),
        roster.names, roster.barred(now), tuple(roster.in_flight), x.demand,
    )  # fmt: skip
    x.hall.decisions.keep(decided)
