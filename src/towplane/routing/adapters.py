"""A request for a LoRA adapter goes where the adapter is: the narrowing of routes with `adapter`.

vLLM serves an adapter as a model of its own name, so a route that names it is a model that clients
ask for, with keys, prices and limits of its own. A server holds a few adapters at once; one that is
not among them costs a swap, for which other requests wait. So places are preferred in this order:

1. those that run the adapter and have nothing waiting,
2. those that run it, or have room for one more, or say nothing of their adapters,
3. the others.

The law: nobody is barred for want of news, and the first two together are never worse than the
second alone, so that an adapter in demand spreads to where there is room.
"""

from collections.abc import Collection

from towplane.routing.demand import Demand, Want
from towplane.routing.roster import Roster

__all__ = ["ByAdapter"]


class ByAdapter:
    """Leaves out those that would have to swap."""

    name = "does not run the adapter"
    wants: frozenset[Want] = frozenset()

    def __init__(self, adapter: str) -> None:
        self._adapter = adapter

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """All but the best of the three kinds."""
        adapter = self._adapter
        at_once: list[int] = []
        swapping: list[int] = []
        for place, load in enumerate(roster.loads):
            said = load.signals
            if said is None or said.adapters is None or not said.is_fresh(now):
                continue
            if adapter in said.adapters:
                if not said.waiting and not load.sent_since():
                    at_once.append(place)
            elif said.adapters_most is not None and len(said.adapters) >= said.adapters_most:
                swapping.append(place)
        usable = set(at_once) - set(roster.barred(now)) if at_once else at_once
        if usable:
            return [place for place in range(len(roster)) if place not in usable]
        return swapping
