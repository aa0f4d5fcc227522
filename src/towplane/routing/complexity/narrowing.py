"""The narrowing by complexity: hard prompts to strong targets, the others to weak ones.

A request whose score is at least the route's threshold is kept from weak targets, any other from
strong ones; a target without a role takes both. A score that nobody knows bars nobody. As every
narrowing it is passed over where it would leave no target.
"""

from collections.abc import Collection
from math import isnan

from towplane.routing.demand import Demand, Want
from towplane.routing.roster import Roster
from towplane.routing.spec import Complexity, RouteSpec

__all__ = ["ByComplexity", "complexity_of", "trained_file"]


def complexity_of(spec: RouteSpec) -> Complexity | None:
    """How this route tells strong from weak requests; None: it does not."""
    if spec.complexity is None and spec.choose == "complexity":
        return Complexity()
    return spec.complexity


def trained_file(spec: RouteSpec) -> str:
    """The file of the model that this route scores by, or nothing."""
    found = spec.complexity
    return found.model or "" if found is not None and found.scorer == "trained" else ""


class ByComplexity:
    """Strong or weak, by the score."""

    def __init__(self, spec: Complexity) -> None:
        self.name = "complexity"
        self.wants: frozenset[Want] = frozenset(("score",))
        self._threshold = spec.threshold
        self._known: dict[Roster, dict[str, frozenset[int]]] = {}
        """The places of each role; a narrowing lives as long as its rosters."""

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """The places of the other role."""
        if isnan(demand.score):
            return ()
        other = "weak" if demand.score >= self._threshold else "strong"
        found = self._known.get(roster)
        if found is None:
            found = self._known[roster] = {
                role: frozenset(at for at, seat in enumerate(roster.seats) if seat.role == role)
                for role in ("strong", "weak")
            }
        return found[other]

    def say(self, demand: Demand) -> str:
        """Why, for one demand."""
        score, threshold = f"{demand.score:.4g}", f"{self._threshold:g}"
        if demand.score >= self._threshold:
            return f"weak, and the prompt's score {score} is not below {threshold}"
        return f"strong, and the prompt's score {score} is below {threshold}"
