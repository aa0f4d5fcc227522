"""Every policy by its name in `routing.MODEL.choose`; outsiders add theirs by entry point."""

from towplane.routing.policies.least_in_flight import LeastInFlight
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.round_robin import RoundRobin
from towplane.routing.policies.weighted import Weighted

__all__ = ["POLICIES", "Choice", "Policy"]

POLICIES: dict[str, type[Policy]] = {
    "round-robin": RoundRobin,
    "least-in-flight": LeastInFlight,
    "weighted": Weighted,
    "complexity": LeastInFlight,  # among those that the narrowing by complexity leaves
}
