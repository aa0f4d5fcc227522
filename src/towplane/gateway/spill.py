"""Overflow of one route as a worker sees it: what its managed targets may cost, and have cost.

The budget is a pool of the coordinator's over all workers, as a tenant's is: money is reserved
before an attempt and what was not used goes back. When the pool is empty, managed targets of the
route are not asked for a while, and then somebody asks for money again: reservations may have come
back, or a new day begun.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from towplane.gateway.messages import RouteInfo
from towplane.monitoring.series import Sample
from towplane.routing.overflow import Spill
from towplane.routing.spec import Overflow
from towplane.routing.usual import Usual
from towplane.tenants.spec import Budget

if TYPE_CHECKING:
    from towplane.gateway.admit import Account
    from towplane.gateway.target_state import TargetState

__all__ = ["SpillState", "make_spill", "overflow_budget"]

_ASK_AGAIN_S: Final = 5.0
"""An empty budget is looked at again after so long: reservations are seldom used up."""


class SpillState:
    """The overflow of one route."""

    __slots__ = ("_targets", "account", "attempts", "budget", "cost_nanousd", "names", "rule",
                 "spec")  # fmt: skip

    def __init__(self, spec: Overflow, targets: "Sequence[TargetState]", budget: Budget) -> None:
        self.spec = spec
        self.rule = Spill(spec)
        self.budget = budget
        self.account: Account | None = None
        """This worker's shares of the budget; None: there is none."""
        self.attempts = 0
        self.cost_nanousd = 0
        self.hold(targets)

    def hold(self, targets: "Sequence[TargetState]") -> None:
        """The targets of the route's own group, as they are now."""
        self._targets = [target for target in targets if target.info.kind != "engine"]
        self.names = frozenset(target.info.name for target in self._targets)
        """The managed ones."""
        if self.spec.when == "slow":
            for target in targets:
                if target.info.kind == "engine" and target.load.usual is None:
                    target.load.usual = Usual()

    def close(self, now: float, after_s: float | None) -> None:
        """There is no money for it now."""
        wait_s = _ASK_AGAIN_S if after_s is None else min(after_s, _ASK_AGAIN_S)
        self.rule.closed_until = now + wait_s
        for target in self._targets:
            target.load.suspect()

    def count(self, cost_nanousd: int | None) -> None:
        """An attempt at a managed target has ended."""
        self.attempts += 1
        self.cost_nanousd += cost_nanousd or 0

    def samples(self, model: str) -> Iterator[Sample]:
        """All series."""
        yield Sample("towplane_overflow_attempts_total", (model,), float(self.attempts))
        yield Sample("towplane_overflow_cost_nanousd_total", (model,), float(self.cost_nanousd))


def make_spill(
    info: RouteInfo, targets: "Sequence[TargetState]", old: SpillState | None
) -> SpillState | None:
    """The overflow of a route that is described anew; its counts go on."""
    spec = info.spec.overflow
    if spec is None:
        return None
    if old is not None and old.spec == spec:
        old.hold(targets)
        return old
    made = SpillState(spec, targets, overflow_budget(info))
    if old is not None:
        made.attempts, made.cost_nanousd = old.attempts, old.cost_nanousd
    return made


def overflow_budget(info: RouteInfo) -> Budget:
    """What the document allows the overflow of a route to cost."""
    spec = info.spec.overflow
    if spec is None:
        return Budget()
    return Budget(daily_nanousd=spec.daily_nanousd, monthly_nanousd=spec.monthly_nanousd)
