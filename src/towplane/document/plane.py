"""`plane.yaml` as a value: what the vendor wants, composed from the rooms' sections."""

from typing import Literal

from msgspec import field

from towplane.engines.spec import EngineSpec
from towplane.monitoring.spec import MonitoringSpec
from towplane.parts.section import Section
from towplane.parts.units import (
    Address,
    AtLeastOne,
    Duration,
    ModelName,
    Name,
    Path,
    Secret,
    Size,
    Timeout,
)
from towplane.providers.spec import ProviderSpec
from towplane.routing.spec import RouteSpec
from towplane.tenants.spec import Alerts, TenantSpec


class TlsSpec(Section, frozen=True, kw_only=True):
    """A certificate chain and its key, PEM files; read again when they change."""

    certificate: Path
    """The server's certificate and the chain up to its authority."""
    key: Path
    """The private key of the certificate."""


class HttpLimits(Section, frozen=True, kw_only=True):
    """What a stranger may ask of the serving port."""

    headers: AtLeastOne = 100
    """Header lines of one request."""
    header_bytes: Size = 32 * 1024
    """The request line and all headers together."""
    body_bytes: Size = field(name="body", default=32 * 1024 * 1024)
    """The body of one request."""
    connections: AtLeastOne = 10_000
    """Open connections per worker."""
    header_timeout_s: Timeout = field(name="header_timeout", default=10.0)
    """From the first byte of a request (or the accept) to the end of its head."""
    body_timeout_s: Timeout = field(name="body_timeout", default=60.0)
    """From the end of the head to the end of the body."""
    idle_timeout_s: Timeout = field(name="idle_timeout", default=75.0)
    """Between requests on one connection."""
    write_timeout_s: Timeout = field(name="write_timeout", default=60.0)
    """A client that takes nothing for so long is gone."""


class GatewaySpec(Section, frozen=True, kw_only=True):
    """The serving port."""

    listen: Address = "127.0.0.1:8080"
    """Where clients find it."""
    workers: AtLeastOne = 1
    """Processes that share the port."""
    tls: TlsSpec | None = None
    """Absent: plain HTTP, for loopback or behind a proxy that ends TLS."""
    limits: HttpLimits = HttpLimits()
    """What a stranger may ask; `tenants` limits those who are known."""
    drain_s: Duration = field(name="drain", default=30.0)
    """How long running requests may finish after SIGTERM."""


class AdminSpec(Section, frozen=True, kw_only=True):
    """The admin port: metrics, health, API, console."""

    listen: Address = "127.0.0.1:9090"
    """Where the console, `/metrics` and the API are found."""
    token: Secret | None = None
    """Asked for when the port is not on loopback; there it is required."""


class Plane(Section, frozen=True, kw_only=True):
    """The whole document."""

    plane: Name
    """A name for this installation."""
    tier: Literal["cloud", "kubernetes", "onprem"] = "onprem"
    """Where it runs: on managed APIs, on Kubernetes, or on machines of one's own."""
    data_dir: Path = ".towplane"
    """Where the plane keeps its ledger, journal and logs."""
    gateway: GatewaySpec = GatewaySpec()
    """The serving port."""
    admin: AdminSpec = AdminSpec()
    """The admin port."""
    providers: dict[Name, ProviderSpec] = {}
    """Managed APIs and servers that run elsewhere."""
    engines: dict[Name, EngineSpec] = {}
    """Inference engines that the plane runs itself."""
    routing: dict[ModelName, RouteSpec] = {}
    """The models that clients may ask for, and who answers."""
    tenants: dict[Name, TenantSpec] = {}
    """Customers, their limits and budgets."""
    tenant_alerts: Alerts = Alerts()
    """Who is told before limits are reached of tenants that do not say so themselves."""
    monitoring: MonitoringSpec = MonitoringSpec()
    """What is measured and kept."""
