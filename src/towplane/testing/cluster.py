"""The state behind a Kubernetes API, in memory: objects of any resource, one version for all of
them, and the history of changes as far as it was not compacted.

Pure: no socket, no clock. The laws are etcd's as the API shows them: every write has a version of
its own, higher than all before; a list is a state at one version; a watch from a version shows
every later change of the objects that it selects, in order, or says that the version is gone. An
object that begins or stops to be selected by its labels is added or deleted to whoever watches.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = [
    "Change",
    "Resource",
    "Selection",
    "Store",
    "inference_pool",
    "pod",
    "slice_of",
]

Object = dict[str, Any]


class Resource(NamedTuple):
    """What a path names: the core group is empty."""

    group: str
    version: str
    plural: str


SLICES = Resource("discovery.k8s.io", "v1", "endpointslices")
PODS = Resource("", "v1", "pods")
POOLS = Resource("inference.networking.k8s.io", "v1", "inferencepools")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a resource are meant; empty: all."""

    resource: Resource
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    name: str = ""

    def takes(self, resource: Resource, found: Object | None) -> bool:
        """Whether an object is one of them."""
        if found is None or resource != self.resource:
            return False
        meta = found["metadata"]
        own = meta.get("labels", {})
        return (
            self.namespace in ("", meta["namespace"])
            and self.name in ("", meta["name"])
            and all(own.get(key) == value for key, value in self.labels)
        )


class Change(NamedTuple):
    """One write."""

    version: int
    resource: Resource
    before: Object | None
    after: Object | None

    def seen_by(self, selection: Selection) -> tuple[str, Object] | None:
        """The event that it is to whoever watches a selection; None: none."""
        was = selection.takes(self.resource, self.before)
        is_now = selection.takes(self.resource, self.after)
        if is_now:
            assert self.after is not None
            return ("MODIFIED" if was else "ADDED"), self.after
        if was:
            assert self.before is not None
            gone = copy.deepcopy(self.after or self.before)
            gone["metadata"]["resourceVersion"] = str(self.version)
            return "DELETED", gone
        return None


class Store:
    """All objects, and what became of them."""

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        """Changes up to this version are compacted."""
        self.history: list[Change] = []
        self._objects: dict[tuple[Resource, str, str], Object] = {}
        self._born = 0

    def put(self, resource: Resource, found: Object) -> Object:
        """Create or replace."""
        meta = found["metadata"]
        key = (resource, meta["namespace"], meta["name"])
        before = self._objects.get(key)
        after = copy.deepcopy(found)
        if before is None:
            self._born += 1
        uid = before["metadata"]["uid"] if before is not None else f"uid-{self._born}"
        self._change(key, before, after, uid)
        return after

    def delete(self, resource: Resource, namespace: str, name: str) -> bool:
        """Whether it was there."""
        key = (resource, namespace, name)
        before = self._objects.get(key)
        if before is not None:
            self._change(key, before, None, "")
        return before is not None

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """One object."""
        return self._objects.get((resource, namespace, name))

    def select(self, selection: Selection) -> list[Object]:
        """Those that are selected, as they are now, by namespace and name."""
        return [
            found
            for key, found in sorted(self._objects.items(), key=lambda each: each[0][1:])
            if selection.takes(key[0], found)
        ]

    def since(self, version: int, selection: Selection) -> list[tuple[str, Object]]:
        """What a watch that has seen a version shows next."""
        later = [change for change in self.history if change.version > version]
        return [event for change in later if (event := change.seen_by(selection))]

    def is_gone(self, version: int) -> bool:
        """Whether nobody can begin to watch or to list from a version any more. Watches that are
        open go on: their server has read what they have yet to send."""
        return version < self.oldest

    def compact(self) -> None:
        """Make all versions before this one gone; what is there stays."""
        self.oldest = self.version

    def _change(
        self, key: tuple[Resource, str, str], before: Object | None, after: Object | None, uid: str
    ) -> None:
        self.version += 1
        if after is None:
            del self._objects[key]
        else:
            after["metadata"] |= {"uid": uid, "resourceVersion": str(self.version)}
            after.setdefault("apiVersion", "/".join(filter(None, key[0][:2])))
            self._objects[key] = after
        self.history.append(Change(self.version, key[0], before, after))


def slice_of(
    service: str,
    name: str,
    *addresses: str | tuple[str, str],
    port: int = 8000,
    port_name: str | None = "http",
    family: str = "IPv4",
    namespace: str = "default",
    pods: dict[str, str] | None = None,
) -> Object:
    """An EndpointSlice. An address is ready, or comes with a word: `starting`, `draining`; `pods`
    names the pod of an address."""
    endpoints = []
    for each in addresses:
        address, word = (each, "ready") if isinstance(each, str) else each
        endpoint: Object = {
            "addresses": [address],
            "conditions": {
                "ready": word == "ready",
                "serving": word != "starting",
                "terminating": word == "draining",
            },
        }
        pod = (pods or {}).get(address)
        if pod is not None:
            reference = {"kind": "Pod", "namespace": namespace, "name": pod, "uid": f"uid-{pod}"}
            endpoint["targetRef"] = reference
        endpoints.append(endpoint)
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": family,
        "endpoints": endpoints or None,  # Go writes null for an empty list
        "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
    }


def pod(
    name: str,
    ip: str,
    *,
    is_ready: bool = True,
    is_terminating: bool = False,
    phase: str = "Running",
    labels: dict[str, str] | None = None,
    namespace: str = "default",
) -> Object:
    """A pod."""
    meta: Object = {"name": name, "namespace": namespace, "labels": labels or {"app": "vllm"}}
    if is_terminating:
        meta["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    ready = {"type": "Ready", "status": "True" if is_ready else "False"}
    return {
        "kind": "Pod",
        "metadata": meta,
        "status": {"phase": phase, "podIP": ip, "conditions": [ready]},
    }


def inference_pool(
    name: str,
    *ports: int,
    labels: dict[str, str] | None = None,
    namespace: str = "default",
) -> Object:
    """An InferencePool."""
    return {
        "kind": "InferencePool",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels or {"app": "vllm"}},
            "targetPorts": [{"number": port} for port in ports],
            "endpointPickerRef": {"name": "picker", "port": {"number": 9002}},
        },
    }


def encode(value: Object) -> bytes:
    """As Go writes it: compact, and characters beyond ASCII as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
