"""What can be wrong with how a route chooses: its policy's name, and what that policy needs.

Pure, as `document.check`, but for the names of the policies that packages bring.
"""

from collections.abc import Iterator

from towplane.document.finding import Finding, say_name
from towplane.document.problems import Place, find_nearest
from towplane.routing.policies import POLICIES, known_policies
from towplane.routing.spec import RouteSpec

__all__ = ["check_policy"]


def check_policy(place: Place, route: RouteSpec) -> Iterator[Finding]:
    """Findings about `choose` and its options."""
    if route.choose not in POLICIES:
        yield from _check_name((*place, "choose"), route.choose)
    if route.choose == "cheapest-in-slo" and route.slo.ttft_s is None:
        yield Finding(
            place=(*place, "choose"),
            what="cheapest-in-slo without `slo.ttft`, so that everything is quick enough",
            expected="slo.ttft, or least-cost",
        )
    factors = {
        ("hashing", "load_factor"): route.hashing.load_factor,
        ("affinity", "load_factor"): route.affinity.load_factor,
    }
    for where, factor in factors.items():
        if factor < 1:
            yield Finding(
                place=(*place, *where),
                what="a bound below the share that each target must take",
                expected="1 or more, such as 1.25",
            )


def _check_name(place: Place, name: str) -> Iterator[Finding]:
    known = known_policies()
    if name in known:
        return
    nearest = find_nearest(name, known)
    yield Finding(
        place=place,
        what="no such policy",
        expected="" if nearest else f"one of {', '.join(known)}",
        found=say_name(name),
        nearest=say_name(nearest) if nearest else "",
    )
