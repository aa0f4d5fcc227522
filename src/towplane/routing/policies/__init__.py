"""Every policy by its name in `routing.MODEL.choose`, loaded when a route first needs it.

Outsiders add theirs by the entry point group `towplane.policies`, whose names are what `choose`
says and whose values are classes of the shape `Policy`; they cannot take a name of a built-in one.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import cast

from towplane.parts.errors import Unsupported
from towplane.routing.policies.policy import Choice, Policy

__all__ = ["GROUP", "POLICIES", "Choice", "Policy", "known_policies"]

GROUP = "towplane.policies"

_BUILT_IN = {
    "round-robin": "round_robin:RoundRobin",
    "random": "random:Random",
    "weighted": "weighted:Weighted",
    "least-in-flight": "least_in_flight:LeastInFlight",
    "power-of-two": "power_of_two:PowerOfTwo",
    "peak-ewma": "peak_ewma:PeakEwmaPolicy",
    "least-cost": "least_cost:LeastCost",
    "cheapest-in-slo": "cheapest_in_slo:CheapestInSlo",
    "chwbl": "chwbl:Chwbl",
    "affinity": "affinity:Affinity",
    "prefix": "prefix:PrefixPolicy",
    "least-work": "least_work:LeastWork",
    "scored": "scored:Scored",
    "complexity": "least_in_flight:LeastInFlight",  # of those left by the narrowing
}
"""Module in this package, and the class there."""


class _Policies(Mapping[str, type[Policy]]):
    """The built-in ones by name; others are found too, but not counted."""

    def __getitem__(self, name: str) -> type[Policy]:
        return _load(name)

    def __contains__(self, name: object) -> bool:
        return name in _BUILT_IN

    def __iter__(self) -> Iterator[str]:
        return iter(_BUILT_IN)

    def __len__(self) -> int:
        return len(_BUILT_IN)


POLICIES: Mapping[str, type[Policy]] = _Policies()


def known_policies() -> list[str]:
    """All names that `choose` may have here."""
    from importlib.metadata import entry_points  # 10 ms that few workers need

    return [*_BUILT_IN, *sorted(point.name for point in entry_points(group=GROUP))]


@cache
def _load(name: str) -> type[Policy]:
    """The policy of this name. Raises Unsupported."""
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        found: type[Policy] = getattr(import_module(f"{__name__}.{module}"), attribute)
        return found
    from importlib.metadata import entry_points

    outside = list(entry_points(group=GROUP, name=name))
    if not outside:
        raise Unsupported(
            f"no policy {name} is known here",
            next_step=f"use one of {', '.join(_BUILT_IN)}, or install the package for it",
        )
    try:
        return cast("type[Policy]", outside[0].load())
    except Exception as error:  # whatever somebody else's module raises
        raise Unsupported(
            f"the policy {name} cannot be loaded: {type(error).__name__}: {error}",
            next_step=f"mend {outside[0].value}; a policy has the shape of {__name__}.Policy, and "
            "built-in ones cannot be the base of another",
        ) from error
