"""The shape of every policy: which of the places of a roster answers a demand.

A policy belongs to one roster. `choose` and `weigh` are functions of the values before them (what
the roster's lists hold, what the policy has learned from `began`, the demand, the turn and the
time): they change nothing, ask no clock and roll no dice, so that the gateway, the simulator and
`explain` come to the same answer. Chance comes from the number of the turn (`policies.chance`).

This module is never compiled, so that a class from another package may name `Policy` as its base;
our own have the shape without naming it.
"""

from collections.abc import Collection
from typing import ClassVar, NamedTuple, Protocol

from towplane.routing.demand import Demand, Want
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Choice", "Policy"]


class Choice(NamedTuple):
    """A choice that explains itself."""

    place: int
    reason: str
    scores: tuple[float | None, ...] = ()
    """Of each place; None: not compared. Empty: the policy compares nothing."""


class Policy(Protocol):
    """How one of several usable targets is chosen."""

    wants: ClassVar[frozenset[Want]]
    """What of a demand it looks at."""

    def __init__(self, roster: Roster, spec: RouteSpec) -> None: ...

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """A place that is not barred; there are at least two."""
        ...

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """The same choice, with its reason and what was compared."""
        ...

    def began(self, place: int, demand: Demand, now: float) -> int:
        """An attempt for this demand starts there (whoever chose it): learn from it, and say how
        many tokens of its prompt the target must compute, as far as is known."""
        ...

    def adopt(self, old: "Policy") -> None:
        """Take over what an older policy of the same kind learned of targets that are still there;
        called once, before anything else."""
        ...
