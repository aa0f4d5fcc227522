"""Whether the plane can answer: one worker serves, and each route has somewhere to go.

Pure. A provider counts as somewhere to go whatever its breaker says: taking the whole plane out of
rotation does not make a provider better.
"""

from msgspec import Struct

from towplane.api.views import PlaneStatus, RouteView, TargetView

__all__ = ["Readiness", "RouteReadiness", "readiness"]


class RouteReadiness(Struct, kw_only=True):
    """Whether a model can be answered, and why not."""

    ready: bool
    reason: str = ""


class Readiness(Struct, kw_only=True):
    """The answer of /readyz."""

    ready: bool
    say: str
    routes: dict[str, RouteReadiness] = {}


def readiness(status: PlaneStatus) -> Readiness:
    """Ready, or the first reason why not, in words."""
    targets = {target.name: target for target in status.targets}
    routes = {route.model: route for route in status.routes}
    each = {model: _route(route, routes, targets) for model, route in routes.items()}
    if not any(worker.state == "serving" for worker in status.workers):
        return Readiness(ready=False, say="no gateway worker is serving yet", routes=each)
    waiting = [model for model, route in each.items() if not route.ready]
    if waiting:
        first = waiting[0]
        more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        return Readiness(
            ready=False, say=f"no target for {first}{more}: {each[first].reason}", routes=each
        )
    return Readiness(ready=True, say="every route has a target", routes=each)


def _route(
    route: RouteView, routes: dict[str, RouteView], targets: dict[str, TargetView]
) -> RouteReadiness:
    names = _reachable(route, routes)
    found = [target for target in targets.values() if _stands_for(target, names)]
    if any(_is_somewhere(target) for target in found):
        return RouteReadiness(ready=True)
    said = [f"{t.name} is {t.state}" + (f" ({t.reason})" if t.reason else "") for t in found]
    return RouteReadiness(ready=False, reason="; ".join(said) or "it has no target")


def _reachable(route: RouteView, routes: dict[str, RouteView]) -> list[str]:
    """Targets of the route and of the routes that it falls back to."""
    seen, waiting, names = {route.model}, [route], []
    while waiting:
        here = waiting.pop(0)
        names += here.targets
        for step in here.fallback:
            if step not in routes:
                names.append(step)
            elif step not in seen:
                seen.add(step)
                waiting.append(routes[step])
    return names


def _stands_for(target: TargetView, names: list[str]) -> bool:
    """A route names a provider's model, which may stand for many addresses, or an engine, whose
    replicas are `ENGINE/NUMBER`."""
    if target.kind == "engine":
        return target.name in names or target.name.rpartition("/")[0] in names
    return target.name.removesuffix(f"@{target.address}") in names


def _is_somewhere(target: TargetView) -> bool:
    """Whether a request may go there, whatever a breaker says of a provider."""
    if target.kind == "provider":
        return target.state not in ("starting", "draining")
    return target.state == "ready"
