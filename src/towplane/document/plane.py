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
from towplane.tenants.spec import TenantSpec


class TlsSpec(Section, frozen=True, kw_only=True):
    """A certificate chain and its key, PEM files; read again when they change."""

    certificate: Path
    key: Path


class HttpLimits(Section, frozen=True, kw_only=True):
    """What a stranger may ask of the serving port."""

    headers: AtLeastOne = 100
    header_bytes: Size = 32 * 1024
    body_bytes: Size = field(name="body", default=32 * 1024 * 1024)
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
    workers: AtLeastOne = 1
    """Processes that share the port."""
    tls: TlsSpec | None = None
    limits: HttpLimits = HttpLimits()
    drain_s: Duration = field(name="drain", default=30.0)
    """How long running requests may finish after SIGTERM."""


class AdminSpec(Section, frozen=True, kw_only=True):
    """The admin port: metrics, health, API, console."""

    listen: Address = "127.0.0.1:9090"
    token: Secret | None = None
    """Asked for when the port is not on loopback; there it is required."""


class Plane(Section, frozen=True, kw_only=True):
    """The whole document."""

    plane: Name
    """A name for this installation."""
    tier: Literal["cloud", "kubernetes", "onprem"] = "onprem"
    data_dir: Path = ".towplane"
    gateway: GatewaySpec = GatewaySpec()
    admin: AdminSpec = AdminSpec()
    providers: dict[Name, ProviderSpec] = {}
    engines: dict[Name, EngineSpec] = {}
    routing: dict[ModelName, RouteSpec] = {}
    tenants: dict[Name, TenantSpec] = {}
    monitoring: MonitoringSpec = MonitoringSpec()
