"""Own engines first, managed targets when these are full or slow, and back as soon as they are not.

Three parts, all pure. `OwnFirst` bars the managed targets of a group while one of its engines has
room. `LeaveSlow` (where the document says `when: slow`) takes an engine for full whose first tokens
come too late: their mean over the last seconds (`Usual`) is above a share of the SLO, or the engine
itself says that requests wait in it or that its KV cache is nearly full. `Spill` keeps out managed
targets that are too dear, of unknown price where money is counted, or beyond the budget: these are
not usable at all for the route, since a preference that leaves nobody would be passed over.

No switch is thrown: each request asks anew, so that the next one after a place comes back goes to
the engine again. What keeps it from swinging to and fro with single answers is the mean, which
forgets by time: an engine of which nothing was heard for `FORGETS_S` is tried again.
"""

from collections.abc import Collection

from towplane.routing.demand import Demand, Want
from towplane.routing.load import Load, Price
from towplane.routing.roster import Roster
from towplane.routing.spec import Overflow, Slo
from towplane.routing.usual import FORGETS_S, Usual

__all__ = ["FORGETS_S", "LeaveSlow", "OwnFirst", "Spill", "Usual"]

_MOST_WAITING = 5
_MOST_KV = 0.8
"""An engine that says so of itself is saturated by llm-d-router's defaults (saturation detector:
queue 5, KV .8)."""


class OwnFirst:
    """Bars managed targets while an engine of the group has room."""

    name = "left for when the own engines are full"
    wants: frozenset[Want] = frozenset()

    def __init__(self, slow: "LeaveSlow | None" = None) -> None:
        self._slow = slow

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """All that are not engines, or nobody."""
        own, managed = roster.own, roster.managed
        if not own or not managed:
            return ()
        left = own.difference(roster.barred(now)) - roster.parked
        if left and self._slow is not None:
            left -= self._slow.slow(roster, now)
        return managed if left else ()


class LeaveSlow:
    """Bars engines that are too slow to their first token, while there is another target."""

    name = "too slow to its first token lately"
    wants: frozenset[Want] = frozenset()

    def __init__(self, spec: Overflow, slo: Slo) -> None:
        self._limit_s = None if slo.ttft_s is None else spec.share * slo.ttft_s

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """The slow ones."""
        return self.slow(roster, now)

    def slow(self, roster: Roster, now: float) -> set[int]:
        """The engines that are slow now."""
        return {place for place in roster.own if self._is_slow(roster.loads[place], now)}

    def _is_slow(self, load: Load, now: float) -> bool:
        said = load.known(now)
        if said is not None and (
            (said.waiting or 0) >= _MOST_WAITING or (said.kv_used or 0.0) >= _MOST_KV
        ):
            return True
        usual_s = load.usual.estimate_s(now) if load.usual is not None else None
        return usual_s is not None and self._limit_s is not None and usual_s > self._limit_s


class Spill:
    """What managed targets may be asked for overflow."""

    __slots__ = ("_counts_money", "_most", "closed_until")

    def __init__(self, spec: Overflow) -> None:
        self._most = spec.price
        self._counts_money = spec.daily_nanousd is not None or spec.monthly_nanousd is not None
        self.closed_until = 0.0
        """Until when there is no money for it."""

    def admits(self, price: Price | None, now: float) -> bool:
        """Whether a managed target of this price may be asked."""
        if now < self.closed_until:
            return False
        if self._most is None and not self._counts_money:
            return True
        return price is not None and (self._most is None or price[2] <= self._most)
