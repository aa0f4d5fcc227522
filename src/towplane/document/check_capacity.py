"""What can be wrong with capacities, waiting and overflow of a route. Pure, as `check_routes`."""

from collections.abc import Iterator

from towplane.document.finding import Finding
from towplane.document.problems import Place
from towplane.routing.spec import RouteSpec, TargetSpec

__all__ = ["check_capacity"]


def check_capacity(place: Place, route: RouteSpec) -> Iterator[Finding]:
    """Settings that contradict each other, or that nothing would ever come of."""
    steps: list[tuple[Place, TargetSpec]] = [
        *(((*place, "targets", number), target) for number, target in enumerate(route.targets)),
        *(
            ((*place, "fallback", number), step)
            for number, step in enumerate(route.fallback)
            if not isinstance(step, str)
        ),
    ]
    for where, target in steps:
        if target.engine is None and (target.concurrency is not None or target.adapts):
            key = "concurrency" if target.concurrency is not None else "adapts"
            what = "only an engine's capacity is said here"
            expected = "`limits.concurrency` of the provider"
            yield Finding(place=(*where, key), what=what, expected=expected)
        if target.adapts and route.slo.ttft_s is None:
            what = "a limit can be found out only against `slo.ttft`, which the route does not have"
            yield Finding(place=(*where, "adapts"), what=what)
    if route.queue.shed == "slo" and route.slo.ttft_s is None:
        what = "nobody can miss `slo.ttft`, which the route does not have"
        yield Finding(place=(*place, "queue", "shed"), what=what, severity="warning")
    yield from _check_overflow(place, route)


def _check_overflow(place: Place, route: RouteSpec) -> Iterator[Finding]:
    overflow = route.overflow
    if overflow is None:
        return
    if not any(target.engine is not None for target in route.targets):
        what = "nothing overflows: the route has no engine among its targets"
        yield Finding(place=(*place, "overflow"), what=what)
    if not any(target.provider is not None for target in route.targets):
        what = "overflow goes nowhere: the route has no managed target among its targets"
        yield Finding(place=(*place, "overflow"), what=what)
    if overflow.when == "slow" and route.slo.ttft_s is None:
        what = "slow is held against `slo.ttft`, which the route does not have"
        yield Finding(place=(*place, "overflow", "when"), what=what)
    if not any(target.concurrency is not None or target.adapts for target in route.targets):
        what = "no engine of the route is ever full: none has `concurrency` or `adapts`"
        if overflow.when == "full":
            yield Finding(place=(*place, "overflow", "when"), what=what, severity="warning")
