"""Where this worker would send a request now, or sent one, and why: asked over the channel.

It looks at the worker's own state and changes nothing, but that an open breaker whose time has come
is seen to be half-open.
"""

from typing import TYPE_CHECKING, cast

from towplane.gateway.demand import demand_of
from towplane.gateway.messages import Explain, Explained
from towplane.gateway.receive import PATHS, receive
from towplane.gateway.request import Request
from towplane.parts.errors import BadRequest
from towplane.routing.decisions import recall
from towplane.routing.demand import NOTHING, Demand, Want
from towplane.routing.explain import explain
from towplane.tenants.keys import KeyRecord

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange
    from towplane.gateway.hall import Hall
    from towplane.providers.ask import Ask

__all__ = ["answer_question"]


class _Supposed:
    """A request that nobody sent, as far as its demand goes."""

    def __init__(self, hall: "Hall", ask: "Ask", tenant: str) -> None:
        self.hall = hall
        self.ask = ask
        self.caller = KeyRecord(id="", tenant=tenant, digest=b"")
        self.output_limit = ask.output_limit or 0
        self.request = Request()


def answer_question(hall: "Hall", question: Explain) -> Explained:
    """What the plane process wants to know."""
    if question.request:
        return _recall(hall, question)
    route = hall.routes.get(question.model)
    if route is None:
        return Explained(question.serial)
    now = hall.now()
    try:
        demand = _suppose(hall, question, route.chooser.wants)
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
    )
    return Explained(question.serial, found, max(0.0, route.retries.left(now)))


def _suppose(hall: "Hall", question: Explain, wants: frozenset[Want]) -> Demand:
    """The demand of the request in question. Raises BadRequest."""
    if not question.body:
        return NOTHING
    operation = PATHS.get((question.path or "/v1/chat/completions").encode())
    if operation is None:
        raise BadRequest(f"There is no operation at {question.path}.", reason="body-invalid")
    ask = receive(operation, [question.body], {})
    return demand_of(cast("Exchange", _Supposed(hall, ask, question.tenant)), wants)


def _recall(hall: "Hall", question: Explain) -> Explained:
    found = hall.decisions.of(question.request)
    routes = hall.routes
    recalled = tuple(
        recall(one, routes[one.model].chooser if one.model in routes else None) for one in found
    )
    return Explained(question.serial, recalled=recalled)
