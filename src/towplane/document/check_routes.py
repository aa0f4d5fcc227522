"""What can be wrong with routes: their targets, their fallbacks, and circles among these.

Pure, as `document.check`, which composes it.
"""

from collections.abc import Iterable, Iterator

from towplane.document.check_capacity import check_capacity
from towplane.document.check_complexity import check_complexity
from towplane.document.check_policies import check_policy
from towplane.document.check_signals import check_tokenizer
from towplane.document.check_splits import check_mirror, check_split
from towplane.document.finding import Finding, check_known, say_name
from towplane.document.plane import Plane
from towplane.document.problems import Place
from towplane.routing.spec import Fallback, RouteSpec, TargetSpec

__all__ = ["check_cycles", "check_route"]


def check_route(plane: Plane, name: str, route: RouteSpec) -> Iterator[Finding]:
    """Findings within one route, and of the names that it uses."""
    place = ("routing", name)
    if not route.targets:
        yield Finding(place=(*place, "targets"), what="no target", expected="at least one")
    elif not any(target.weight for target in route.targets):
        what = "every target has weight 0, so none can be chosen"
        yield Finding(place=(*place, "targets"), what=what)
    inline = [
        ((*place, "fallback", index), target)
        for index, target in enumerate(route.fallback)
        if isinstance(target, Fallback) and target.route is None
    ]
    direct = [((*place, "targets", index), target) for index, target in enumerate(route.targets)]
    for where, target in [*direct, *inline]:
        yield from _check_target(plane, where, target)
    yield from _check_twins([*direct, *inline])
    for index, fallback in enumerate(route.fallback):
        if isinstance(fallback, str):
            yield from check_known(
                (*place, "fallback", index), fallback, plane.routing, "routing", "route"
            )
        elif fallback.route is not None:
            at: Place = (*place, "fallback", index, "route")
            yield from check_known(at, fallback.route, plane.routing, "routing", "route")
            if fallback.provider is not None or fallback.engine is not None:
                what = "a step is a route or a target, not both"
                yield Finding(place=(*place, "fallback", index), what=what)
    if route.breaker.longest_s < route.breaker.open_s:
        what = "a breaker stays open longer than its longest"
        yield Finding(place=(*place, "breaker", "longest"), what=what)
    yield from _check_resilience(place, route)
    yield from check_capacity(place, route)
    yield from check_complexity(place, route)
    yield from check_policy(place, route)
    yield from check_tokenizer(plane, place, route)
    yield from check_split(place, route)
    if route.mirror is not None:
        yield from check_mirror(plane, name, place, route.mirror)
        if isinstance(route.mirror.to, TargetSpec):
            yield from _check_target(plane, (*place, "mirror", "to"), route.mirror.to)


def _check_resilience(place: Place, route: RouteSpec) -> Iterator[Finding]:
    """Settings that contradict each other, or that nothing would ever come of."""
    outliers, hedge, slow_s = route.outliers, route.hedge, route.breaker.slow_s
    if outliers is not None and outliers.longest_s < outliers.base_s:
        what = "an outlier is left out longer than its longest"
        yield Finding(place=(*place, "outliers", "longest"), what=what)
    if hedge is not None and hedge.after_s >= route.timeouts.total_s:
        what = "a hedge would begin when the request has already timed out"
        yield Finding(place=(*place, "hedge", "after"), what=what, severity="warning")
    if hedge is not None and route.retries.most < 2:  # a hedge is the second
        what = "no hedge can begin: `retries.most` allows one attempt"
        yield Finding(place=(*place, "hedge"), what=what, severity="warning")
    if slow_s is not None and slow_s > route.timeouts.first_token_s:
        what = "nothing of a stream can be so slow: `timeouts.first_token` ends it before"
        yield Finding(place=(*place, "breaker", "slow"), what=what, severity="warning")


def _check_target(plane: Plane, place: Place, target: TargetSpec) -> Iterator[Finding]:
    if (target.provider is None) == (target.engine is None):
        found = "neither" if target.provider is None else "both"
        expected = "exactly one of provider and engine"
        yield Finding(place=place, what="not a target", expected=expected, found=found)
    if target.provider is not None:
        where = (*place, "provider")
        yield from check_known(where, target.provider, plane.providers, "providers", "provider")
    if target.engine is not None:
        where = (*place, "engine")
        yield from check_known(where, target.engine, plane.engines, "engines", "engine")
    if target.model == "":
        yield Finding(place=(*place, "model"), what="an empty name")


def _check_twins(targets: Iterable[tuple[Place, TargetSpec]]) -> Iterator[Finding]:
    seen: set[tuple[str | None, str | None, str | None]] = set()
    for place, target in targets:
        key = (target.provider, target.engine, target.model)
        if key in seen:
            what = "the same target twice in one route"
            yield Finding(
                place=place, what=what, expected="one entry, with a weight if it counts more"
            )
        seen.add(key)


def check_cycles(plane: Plane) -> Iterator[Finding]:
    """Walks depth first, each route once; a step back onto the walk closes a circle."""
    done: set[str] = set()
    for start in plane.routing:
        # The walk is a dict for its order and its look-up; it holds what each route has left.
        # No recursion: a chain may be longer than Python's stack.
        walk: dict[str, Iterator[tuple[int, str]]] = {}
        if start not in done:
            walk[start] = _fallback_routes(plane, start)
        while walk:
            name = next(reversed(walk))
            index, follower = next(walk[name], (0, ""))
            if not follower:
                walk.popitem()
                done.add(name)
            elif follower in walk:
                yield _circle(name, index, list(walk), follower)
            elif follower not in done:
                walk[follower] = _fallback_routes(plane, follower)


def _circle(name: str, index: int, walk: list[str], follower: str) -> Finding:
    names = [*walk[walk.index(follower) :], follower]
    return Finding(
        place=("routing", name, "fallback", index),
        what=f"fallback goes in a circle: {' → '.join(map(say_name, names))}",
    )


def _fallback_routes(plane: Plane, name: str) -> Iterator[tuple[int, str]]:
    for index, fallback in enumerate(plane.routing[name].fallback):
        step = fallback if isinstance(fallback, str) else fallback.route
        if step and step in plane.routing:
            yield index, step
