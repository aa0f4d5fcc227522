"""Slow start: a target that comes, or comes back, has less in flight than the others, ever more.

Its caches are cold and its first requests compile and allocate; its empty queue would draw all new
requests at once. Whatever the policy, such a target may have share × the mean in flight of the
others (by weight), at least one, with

    share = 0.1 + 0.9 × time since it came ÷ ramp

(Envoy's slow start, whose `min_weight_percent` is 10 %, as a bound on load instead of a weight, so
that it works for policies without weights). A narrowing: where nobody else is usable it takes all.
"""

from collections.abc import Collection

from towplane.routing.demand import Demand, Want
from towplane.routing.roster import Roster

__all__ = ["SlowStart", "share_at"]

_FIRST = 0.1


def share_at(age_s: float, ramp_s: float) -> float:
    """The share of its full load that a target may have at this age."""
    return min(1.0, _FIRST + (1.0 - _FIRST) * max(0.0, age_s) / ramp_s)


class SlowStart:
    """The narrowing of one route."""

    name = "it has just come back, and has its share for now"
    wants: frozenset[Want] = frozenset()

    def __init__(self, ramp_s: float) -> None:
        self._ramp_s = ramp_s

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """Newcomers that have as much as they may have for now."""
        newcomers = roster.newcomers
        if not newcomers:
            return ()
        for place in [p for p, since in newcomers.items() if now - since >= self._ramp_s]:
            del newcomers[place]
        away = newcomers.keys() | roster.suspects
        in_flight = weight = 0
        for place in range(len(roster)):
            if place not in away:
                in_flight += roster.in_flight[place]
                weight += roster.weights[place]
        if not weight:
            return ()
        barred = []
        for place, since in newcomers.items():
            share = share_at(now - since, self._ramp_s)
            most = max(1.0, share * in_flight / weight * roster.weights[place])
            if roster.in_flight[place] + 1 > most:
                barred.append(place)
        return barred
