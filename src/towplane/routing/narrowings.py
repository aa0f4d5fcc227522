"""Preferences among the targets of a group, for one request: roles, arms, adapters, own first.

A narrowing bars places before the policy chooses among the rest (filter, then score, then pick).
One that would leave nobody is passed over by the chooser, so that a preference never turns into a
refusal. `narrowings_of` is the whole list, in the order in which they narrow.
"""

from collections.abc import Collection
from typing import Protocol

from towplane.routing.adapters import ByAdapter
from towplane.routing.complexity.narrowing import ByComplexity, complexity_of
from towplane.routing.demand import Demand, Want
from towplane.routing.outliers import LeaveOutliers
from towplane.routing.overflow import LeaveSlow, OwnFirst
from towplane.routing.roster import Roster
from towplane.routing.slow_start import SlowStart
from towplane.routing.spec import RouteSpec
from towplane.routing.splits import SplitNarrowing

__all__ = ["Narrowing", "narrowings_of"]


class Narrowing(Protocol):
    """A preference among the targets of a group, for one request. Pure, as policies are."""

    name: str
    """In words, for those who ask why a target was not taken."""
    wants: frozenset[Want]

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """The places that this request should not go to."""
        ...


def narrowings_of(spec: RouteSpec) -> tuple[Narrowing, ...]:
    """Those that the document asks for in this route."""
    found: list[Narrowing] = []
    complexity = complexity_of(spec)
    if complexity is not None:
        found.append(ByComplexity(complexity))
    if spec.split is not None:
        found.append(SplitNarrowing(spec.split))
    if spec.adapter is not None:
        found.append(ByAdapter(spec.adapter))
    if spec.slow_start_s is not None:
        found.append(SlowStart(spec.slow_start_s))
    if spec.outliers is not None:
        found.append(LeaveOutliers())
    if spec.overflow is not None:
        slow = LeaveSlow(spec.overflow, spec.slo) if spec.overflow.when == "slow" else None
        found += [OwnFirst(slow)] if slow is None else [slow, OwnFirst(slow)]
    return tuple(found)
