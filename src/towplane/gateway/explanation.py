"""Where this worker would send a request now, and why: its own state, asked over the channel."""

from typing import TYPE_CHECKING

from towplane.gateway.messages import Explain, Explained
from towplane.routing.demand import NOTHING
from towplane.routing.explain import explain

if TYPE_CHECKING:
    from towplane.gateway.hall import Hall

__all__ = ["explain_route"]


def explain_route(hall: "Hall", question: Explain) -> Explained:
    """Nothing changes, but that an open breaker whose time has come is seen to be half-open."""
    route = hall.routes.get(question.model)
    if route is None:
        return Explained(question.serial)
    now = hall.now()
    groups = [
        [target.seen(place.weight, now) for target, place in zip(targets, placed, strict=True)]
        for targets, placed in zip(route.groups, route.info.groups, strict=True)
    ]
    found = explain(
        route.chooser,
        groups,
        demand=NOTHING,
        now=now,
        turn=route.chooser.turn + 1,
        most=route.info.spec.retries.most,
    )
    return Explained(question.serial, found, max(0.0, route.retries.left(now)))
