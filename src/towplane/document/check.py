"""What can be wrong with a document whose every value is well-formed.

Pure: a `Plane` in, findings out; no file, no environment, no network. Findings name places of the
document; `document.load` turns them into problems with line and column.

The law: a finding follows from the document alone.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from towplane.document.cautions import find_cautions
from towplane.document.check_providers import check_providers
from towplane.document.check_routes import check_cycles, check_route
from towplane.document.finding import Finding, check_known
from towplane.document.plane import Plane
from towplane.document.problems import Place
from towplane.parts.addresses import is_loopback, split_address
from towplane.tenants.force import expand_models, is_pattern
from towplane.tenants.spec import Alerts

__all__ = ["check_plane"]

_LEAST_BYTES = 1024
"""Below this the serving port could take no request at all."""


def check_plane(plane: Plane) -> Iterator[Finding]:
    """Everything that is wrong between the values of a document, and what is likely not meant."""
    yield from _check_names(plane)
    yield from _check_ports(plane)
    yield from check_providers(plane)
    yield from _check_prices(plane)
    yield from _check_engines(plane)
    for name, route in plane.routing.items():
        yield from check_route(plane, name, route)
    yield from check_cycles(plane)
    yield from _check_tenants(plane)
    yield from find_cautions(plane)


def _check_names(plane: Plane) -> Iterator[Finding]:
    for name in plane.engines.keys() & plane.providers.keys():
        # A target is called PROVIDER/MODEL or ENGINE/REPLICA: the first part must tell them apart.
        what = "an engine and a provider have the same name"
        yield Finding(place=("engines", name), what=what, at_key=True)


def _check_ports(plane: Plane) -> Iterator[Finding]:
    serving, admin = plane.gateway.listen, plane.admin.listen
    if not is_loopback(admin) and plane.admin.token is None:
        yield Finding(
            place=("admin", "listen"),
            what="an admin port that is not on loopback needs a token",
            expected="admin.token beside it, such as env:TOWPLANE_ADMIN_TOKEN",
            found=admin,
            needs=("admin", "token"),
        )
    if serving == admin and split_address(admin)[1] != 0:
        what = "the admin port and the serving port are the same"
        yield Finding(place=("admin", "listen"), what=what, found=admin)
    for name, least in (("header_bytes", 1024), ("body", 1024)):
        limits = plane.gateway.limits
        if (limits.header_bytes if name == "header_bytes" else limits.body_bytes) < least:
            yield Finding(
                place=("gateway", "limits", name),
                what="too small for any request",
                expected=f"at least {least} bytes",
            )


class _Price(Protocol):
    @property
    def since(self) -> str: ...


def _check_prices(plane: Plane) -> Iterator[Finding]:
    for name, provider in plane.providers.items():
        for model, prices in provider.prices.items():
            place = ("providers", name, "prices", model)
            yield from _check_days(place, prices)
            for index, price in enumerate(prices):
                steps = [tier.above for tier in price.tiers]
                if steps != sorted(set(steps)):
                    what = "tiers do not ascend"
                    yield Finding(place=(*place, index, "tiers"), what=what)
    for name, engine in plane.engines.items():
        yield from _check_days(("engines", name, "prices"), engine.prices)


def _check_days(place: Place, prices: Sequence[_Price]) -> Iterator[Finding]:
    for index in range(1, len(prices)):
        before, day = prices[index - 1].since, prices[index].since
        if day <= before:
            yield Finding(
                place=(*place, index, "from"),
                what="the same day twice" if day == before else "prices are not ordered by day",
                expected=f"a day after {before}",
                found=day,
            )


def _check_engines(plane: Plane) -> Iterator[Finding]:
    for name, engine in plane.engines.items():
        place = ("engines", name)
        if engine.parallel > engine.context:
            yield Finding(
                place=(*place, "parallel"),
                what="more parallel slots than tokens of context to divide among them",
                expected=f"at most {engine.context}",
                found=str(engine.parallel),
            )
        if engine.restart.longest_s < engine.restart.first_s:
            what = "the longest wait is shorter than the first"
            yield Finding(place=(*place, "restart", "longest"), what=what)


def _check_tenants(plane: Plane) -> Iterator[Finding]:
    yield from _check_alerts(("tenant_alerts",), plane.tenant_alerts)
    for name, tenant in plane.tenants.items():
        yield from _check_alerts(("tenants", name, "alerts"), tenant.alerts)
        yield from _check_models(plane, ("tenants", name, "models"), tenant.models)
        for word, project in tenant.projects.items():
            place = ("tenants", name, "projects", word, "models")
            yield from _check_models(plane, place, project.models)


def _check_alerts(place: Place, alerts: Alerts | None) -> Iterator[Finding]:
    if alerts is None or alerts.webhook is None:
        return
    if alerts.secret is None:
        yield Finding(
            place=(*place, "webhook"),
            what="its receiver could not tell whose messages are true",
            expected="secret beside it, such as env:ALERT_SECRET",
            needs=(*place, "secret"),
        )
    host = urlsplit(alerts.webhook)
    if host.scheme == "http" and not is_loopback(f"{host.hostname}:{host.port or 80}"):
        what = "anybody on the way can read what is posted there"
        yield Finding(place=(*place, "webhook"), what=what, expected="https", severity="warning")


def _check_models(plane: Plane, place: Place, models: Sequence[str] | None) -> Iterator[Finding]:
    for index, model in enumerate(models or []):
        if not is_pattern(model):
            yield from check_known((*place, index), model, plane.routing, "routing", "route")
        elif not expand_models([model], plane.routing):
            what = "matches no route, so it allows nothing"
            yield Finding(place=(*place, index), what=what, found=model, severity="warning")
