"""Where this worker would send a request now, or sent one, and why: asked over the channel.

It looks at the worker's own state and changes nothing, but that an open breaker whose time has come
is seen to be half-open.
"""

from math import nan
from typing import TYPE_CHECKING

from towplane.gateway.caches import Caches
from towplane.gateway.demand import make_demand
from towplane.gateway.messages import Explain, Explained
from towplane.gateway.receive import PATHS, receive
from towplane.parts.errors import BadRequest
from towplane.routing.decisions import recall
from towplane.routing.demand import Demand
from towplane.routing.explain import explain

if TYPE_CHECKING:
    from towplane.gateway.hall import Hall
    from towplane.gateway.route_state import RouteState

__all__ = ["answer_question"]


def answer_question(hall: "Hall", question: Explain) -> Explained:
    """What the plane process wants to know."""
    if question.request:
        return _recall(hall, question)
    route = hall.routes.get(question.model)
    if route is None:
        return Explained(question.serial)
    now = hall.now()
    try:
        demand = _suppose(question, route, now, hall.caches)
    except BadRequest as refusal:
        return Explained(question.serial, refused=refusal.say)
    groups = [
        [target.seen(place.weight, now) for target, place in zip(targets, placed, strict=True)]
        for targets, placed in zip(route.groups, route.info.groups, strict=True)
    ]
    found = explain(
        route.chooser,
        groups,
        demand=demand,
        now=now,
        turn=route.chooser.turn + 1,
        most=route.info.spec.retries.most,
        closed=route.closed,
        keeping=tuple(route.keeping(now)) if route.closed is not None else (),
    )
    return Explained(question.serial, found, max(0.0, route.retries.left(now)))


def _suppose(question: Explain, route: "RouteState", now: float, caches: Caches) -> Demand:
    """The demand of the request in question. Raises BadRequest."""
    if not question.body:
        return Demand(score=nan)
    operation = PATHS.get((question.path or "/v1/chat/completions").encode())
    if operation is None:
        raise BadRequest(f"There is no operation at {question.path}.", reason="body-invalid")
    ask = receive(operation, [question.body], {})
    spec, wants = route.info.spec, route.chooser.wants
    score = route.score(ask, now) if "score" in wants else nan
    output = ask.output_limit or 0
    cached = caches.look_up(ask, spec, now) if "blocks" in wants else None
    return make_demand(ask, spec, wants, question.tenant, output=output, score=score, cached=cached)


def _recall(hall: "Hall", question: Explain) -> Explained:
    found = hall.decisions.of(question.request)
    routes = hall.routes
    recalled = tuple(
        recall(one, routes[one.model].chooser if one.model in routes else None) for one in found
    )
    return Explained(question.serial, recalled=recalled)
