"""What a document may say but most likely does not mean: findings that are warnings.

Pure, as `document.check`, which composes it.
"""

from collections.abc import Iterator

from towplane.document.finding import Finding
from towplane.document.plane import Plane
from towplane.parts.addresses import is_loopback
from towplane.providers.endpoints import endpoint_of
from towplane.routing.spec import RouteSpec, TargetSpec
from towplane.tenants.force import expand_models

__all__ = ["find_cautions"]


def find_cautions(plane: Plane) -> Iterator[Finding]:
    """Warnings, section by section."""
    if not plane.routing:
        what = "no route: clients can ask for no model"
        yield Finding(place=("routing",), what=what, severity="warning")
    used = {
        (target.provider, target.engine)
        for route in plane.routing.values()
        for target in [*route.targets, *route.fallback]
        if isinstance(target, TargetSpec)
    }
    for name in plane.providers.keys() - {provider for provider, _ in used}:
        yield _unused("providers", name)
    for name in plane.engines.keys() - {engine for _, engine in used}:
        yield _unused("engines", name)
    for name, route in plane.routing.items():
        if route.timeouts.total_s < route.timeouts.first_token_s:
            yield Finding(
                place=("routing", name, "timeouts", "first_token"),
                what="longer than the total, which ends the request before",
                severity="warning",
            )
    yield from _warn_unencrypted(plane)
    yield from _warn_unpriced(plane)


def _unused(section: str, name: str) -> Finding:
    what = "no route uses it"
    return Finding(place=(section, name), what=what, at_key=True, severity="warning")


def _warn_unencrypted(plane: Plane) -> Iterator[Finding]:
    for name, provider in plane.providers.items():
        endpoint = endpoint_of(provider)
        is_open = not endpoint.is_tls and not is_loopback(f"{endpoint.host}:0")
        if provider.credentials and is_open:
            yield Finding(
                place=("providers", name, "endpoint"),
                what="the credential would travel unencrypted",
                expected="https",
                severity="warning",
            )


def _warn_unpriced(plane: Plane) -> Iterator[Finding]:
    """A tenant with a budget is refused what has no price, unless it says otherwise."""
    unpriced = {name for name, route in plane.routing.items() if not _has_price(plane, name, route)}
    for name, tenant in plane.tenants.items():
        budget = tenant.budget
        limits = (budget.daily_nanousd, budget.monthly_nanousd, budget.total_nanousd)
        if tenant.unpriced == "allow" or all(limit is None for limit in limits):
            continue
        models = expand_models(tenant.models, plane.routing)
        asked = sorted(unpriced & set(plane.routing if models is None else models))
        if asked:
            yield Finding(
                place=("tenants", name, "budget"),
                what=f"refused to this tenant, as no target has a price: {', '.join(asked[:5])}",
                expected="prices for its targets, or unpriced: allow",
                severity="warning",
            )


def _has_price(plane: Plane, name: str, route: RouteSpec) -> bool:
    for target in route.targets:
        if target.engine in plane.engines and plane.engines[target.engine].prices:
            return True
        if target.provider in plane.providers:
            provider = plane.providers[target.provider]
            if provider.prices.get(target.model or name):
                return True
            if provider.endpoint is None or provider.endpoint.startswith("https://"):
                return True  # the price book may know it, and `tenants prices check` says whether
    return False
