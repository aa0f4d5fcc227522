"""What a route's policy may know of a request, found out only where the policy looks at it."""

from typing import TYPE_CHECKING

from towplane.routing.demand import Demand, Want

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange

__all__ = ["demand_of"]


def demand_of(x: "Exchange", wants: frozenset[Want]) -> Demand:
    """The demand of this request, as far as it is wanted."""
    return Demand(tokens=x.ask.input_estimate, output=x.output_limit, tenant=x.caller.tenant)
