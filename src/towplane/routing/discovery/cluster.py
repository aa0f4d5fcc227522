"""Objects of a Kubernetes cluster as addresses: EndpointSlices, and the pods of an InferencePool.

Pure. Shapes: `discovery.k8s.io/v1`, core `v1`, `inference.networking.k8s.io/v1`. Only what is
looked at is typed; null is as good as absent, as in Go's JSON.
"""

from collections.abc import Iterable

from msgspec import UNSET, Struct, UnsetType, field

from towplane.routing.discovery.address import Address, Readiness

__all__ = [
    "EndpointSlice",
    "InferencePool",
    "Meta",
    "Pod",
    "addresses_of_pods",
    "addresses_of_slices",
]


class Meta(Struct):
    """What every object has."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    version: str = field(name="resourceVersion", default="")
    deleted_at: str | None = field(name="deletionTimestamp", default=None)


class _Conditions(Struct):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Reference(Struct):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Endpoint(Struct):
    addresses: list[str] | None = None
    conditions: _Conditions | None = None
    target: _Reference | None = field(name="targetRef", default=None)


class _Port(Struct):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class EndpointSlice(Struct):
    """Some of the endpoints of a Service."""

    metadata: Meta
    family: str = field(name="addressType", default="IPv4")
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


def addresses_of_slices(slices: Iterable[EndpointSlice], port: str | None) -> list[Address]:
    """The endpoints of all slices of one Service, at the port of this name or number; None: at the
    only port. A pod that has an address of each family is one place: IPv4 is taken."""
    first, others = [], []
    pods: set[str] = set()
    for each in slices:
        number = _pick_port(each.ports or [], port)
        if number is None:
            continue
        for endpoint in each.endpoints or []:
            address = _address_of(endpoint, number)
            if address is None:
                continue
            pod = endpoint.target.uid if endpoint.target is not None else ""
            if each.family == "IPv6":
                others.append((pod, address))
            else:
                pods.add(pod)
                first.append(address)
    return first + [address for pod, address in others if not pod or pod not in pods]


def _pick_port(ports: list[_Port], wanted: str | None) -> int | None:
    tcp = [each for each in ports if each.protocol in (None, "TCP")]
    if wanted is None:
        return tcp[0].port if len(tcp) == 1 else None
    for each in tcp:
        if wanted in (each.name, str(each.port)):
            return each.port
    return None


def _address_of(endpoint: _Endpoint, port: int) -> Address | None:
    """Only the first address counts: consumers of the API may ignore the others."""
    if not endpoint.addresses:
        return None
    conditions = endpoint.conditions or _Conditions()
    state: Readiness = "ready"
    reason = ""
    if conditions.terminating:
        state, reason = "draining", "its pod is terminating"
    elif conditions.ready is False:  # null is to be taken as true
        state, reason = "starting", "its pod is not ready"
    label = endpoint.target.name if endpoint.target is not None else ""
    return Address(endpoint.addresses[0], port, state, reason=reason, label=label)


class _PodCondition(Struct):
    type: str = ""
    status: str = ""


class _PodStatus(Struct):
    phase: str = ""
    ip: str = field(name="podIP", default="")
    conditions: list[_PodCondition] | None = None


class Pod(Struct):
    """One pod."""

    metadata: Meta
    status: _PodStatus | None = None


class _Labels(Struct):
    match: dict[str, str] | None = field(name="matchLabels", default=None)


class _TargetPort(Struct):
    number: int


class _PoolSpec(Struct):
    selector: _Labels | None = None
    ports: list[_TargetPort] | None = field(name="targetPorts", default=None)


class InferencePool(Struct):
    """Pods that serve one model, by their labels, and the ports that they serve it at."""

    metadata: Meta
    spec: _PoolSpec | UnsetType = UNSET

    @property
    def selector(self) -> dict[str, str]:
        """The labels of its pods; none selects none."""
        if not isinstance(self.spec, _PoolSpec) or self.spec.selector is None:
            return {}
        return self.spec.selector.match or {}

    @property
    def ports(self) -> tuple[int, ...]:
        """Each is a target of its own, as a rank of a data-parallel server is."""
        if not isinstance(self.spec, _PoolSpec):
            return ()
        return tuple(each.number for each in self.spec.ports or ())


def addresses_of_pods(pods: Iterable[Pod], ports: Iterable[int]) -> list[Address]:
    """The pods of a pool, at each of its ports. One that has ended is none."""
    numbers = tuple(ports)
    found = []
    for pod in pods:
        status = pod.status
        if status is None or not status.ip or status.phase in ("Succeeded", "Failed"):
            continue
        state, reason = _readiness(pod, status)
        found += [
            Address(status.ip, number, state, reason=reason, label=pod.metadata.name)
            for number in numbers
        ]
    return found


def _readiness(pod: Pod, status: _PodStatus) -> tuple[Readiness, str]:
    if pod.metadata.deleted_at:
        return "draining", "its pod is terminating"
    is_ready = any(
        each.type == "Ready" and each.status == "True" for each in status.conditions or ()
    )
    return ("ready", "") if is_ready else ("starting", "its pod is not ready")
