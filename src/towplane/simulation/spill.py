"""What managed targets behind own engines may cost in a simulation (`gateway.spill`).

Money is reserved before an attempt by an estimate, and what was not used comes back, so that a
budget is overdrawn by at most one request. A day ends every 86,400 s of virtual time, a month after
thirty of them.
"""

from collections.abc import Sequence

from towplane.routing.hedging import estimate_nanousd
from towplane.routing.overflow import Spill
from towplane.routing.spec import RouteSpec
from towplane.routing.usual import Usual
from towplane.simulation.arrival import Arrival
from towplane.simulation.target import Target

__all__ = ["Purse", "purse_of"]

_DAY_S = 86_400.0
_MONTH_S = 30 * _DAY_S


class Purse:
    """The overflow of one line."""

    __slots__ = ("_managed", "_reserve", "_reserved", "_terms", "rule")

    def __init__(self, spec: RouteSpec, managed: Sequence[Target]) -> None:
        overflow = spec.overflow
        assert overflow is not None
        self.rule = Spill(overflow)
        self._managed = managed
        self._reserve = spec.reserve_output
        self._reserved = 0
        amounts = ((_DAY_S, overflow.daily_nanousd), (_MONTH_S, overflow.monthly_nanousd))
        self._terms = [_Term(each_s, most) for each_s, most in amounts if most is not None]

    def admits(self, target: Target, now: float) -> bool:
        """Whether it may be asked."""
        return target.is_own or self.rule.admits(target.load.price, now)

    def began(self, target: Target, arrival: Arrival, now: float) -> None:
        """An attempt starts: its estimate is set aside."""
        if self._terms and not target.is_own:
            self._reserved += self._estimate(target, arrival)
            self._look(now)

    def ended(self, target: Target, arrival: Arrival, nanousd: float, now: float) -> None:
        """It cost so much."""
        if self._terms and not target.is_own:
            self._reserved -= self._estimate(target, arrival)
            for term in self._terms:
                term.spend(nanousd, now)
            self._look(now)

    def _estimate(self, target: Target, arrival: Arrival) -> int:
        output = arrival.limit or self._reserve
        return estimate_nanousd(target.load.price, arrival.tokens, output, stream=False) or 0

    def _look(self, now: float) -> None:
        empty = [term.ends_s(now) for term in self._terms if term.is_empty(self._reserved, now)]
        self.rule.closed_until = max(empty, default=0.0)
        for target in self._managed if empty else ():
            target.load.suspect()


class _Term:
    """A budget that is full again at the end of each day or month."""

    __slots__ = ("_each_s", "_most", "_number", "_spent")

    def __init__(self, each_s: float, most: int) -> None:
        self._each_s = each_s
        self._most = most
        self._number = 0
        self._spent = 0.0

    def spend(self, nanousd: float, now: float) -> None:
        self._turn(now)
        self._spent += nanousd

    def is_empty(self, reserved: int, now: float) -> bool:
        self._turn(now)
        return self._spent + reserved >= self._most

    def ends_s(self, now: float) -> float:
        return (int(now / self._each_s) + 1) * self._each_s

    def _turn(self, now: float) -> None:
        number = int(now / self._each_s)
        if number != self._number:
            self._number, self._spent = number, 0.0


def purse_of(spec: RouteSpec, targets: Sequence[Target]) -> Purse | None:
    """For the targets of the route's own group; None: the route knows no difference."""
    if spec.overflow is None:
        return None
    if spec.overflow.when == "slow":
        for target in targets:
            if target.is_own:
                target.load.usual = Usual()
    return Purse(spec, [target for target in targets if not target.is_own])
