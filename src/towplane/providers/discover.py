"""The section `discover` of a provider: where the addresses behind it come from."""

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import Address, AtLeastOne, Duration, Path, Secret, Timeout, Url

__all__ = ["ConsulSource", "Discover", "KubernetesSource"]


class ConsulSource(Section, frozen=True, kw_only=True):
    """Instances of a service in Consul whose health checks pass."""

    service: str
    """The service's name."""
    address: Url = "http://127.0.0.1:8500"
    """The agent that is asked."""
    tag: str | None = None
    """Only instances with this tag."""
    datacenter: str | None = None
    """Absent: the agent's own."""
    namespace: str | None = None
    """Of Consul Enterprise."""
    token: Secret | None = None
    """Sent as `X-Consul-Token`; it needs `service:read` and `node:read`."""
    ca: Path | None = None
    """A PEM file of the authorities to trust instead of the system's."""
    stale: bool = True
    """Whether any server of Consul may answer, not only the leader; an answer from one that has
    lost its leader is not believed."""


class KubernetesSource(Section, frozen=True, kw_only=True):
    """Endpoints of a Service, or pods of an InferencePool: exactly one of the two."""

    service: str | None = None
    """The Service; its EndpointSlices are watched."""
    inference_pool: str | None = None
    """The InferencePool (`inference.networking.k8s.io/v1`); it and its pods are watched."""
    namespace: str | None = None
    """Absent: the plane's own, as its service account or its kubeconfig says."""
    port: str | None = None
    """Of a service, the port by its name, or by its number in quotes; absent: its only one."""
    kubeconfig: Path | None = None
    """Absent: the pod's service account, else `KUBECONFIG`, else `~/.kube/config`."""
    context: str | None = None
    """Of the kubeconfig; absent: its current one."""


class Discover(Section, frozen=True, kw_only=True):
    """Many addresses behind one provider, each a target: exactly one of `dns`, `srv`, `consul` and
    `kubernetes`."""

    dns: str | None = None
    """A name with A records, or AAAA where it has no A: each address is a target."""
    srv: str | None = None
    """A name with SRV records, such as `_http._tcp.vllm.example`: each is a target, with its port
    and weight; those of a higher priority number stand by."""
    consul: ConsulSource | None = None
    """A service in Consul."""
    kubernetes: KubernetesSource | None = None
    """A Service or an InferencePool in Kubernetes."""
    port: AtLeastOne | None = None
    """With `dns`; absent: the endpoint's."""
    server: Address | None = None
    """With `dns` and `srv`: the DNS server to ask, by its IP address, such as `127.0.0.1:8600`;
    absent: the system's."""
    every_s: Timeout = field(name="every", default=10.0)
    """With `dns` and `srv`: how often it is asked; sooner when a record's time to live ends before,
    but not more often than once a second."""
    keep_s: Duration = field(name="keep", default=600.0)
    """How long the last known addresses stay while the source does not answer, or DNS answers that
    there is none."""
