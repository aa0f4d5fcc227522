"""Consul's answer about the health of a service, as addresses; and the rules of its index.

Pure. Shapes and rules: Consul's HTTP API, `/v1/health/service/:service` and "Blocking Queries".
"""

import msgspec
from msgspec import Struct, field

from towplane.routing.discovery.address import Address

__all__ = ["next_index", "read_health"]


class _Weights(Struct):
    passing: int = field(name="Passing", default=1)


class _Service(Struct):
    port: int = field(name="Port", default=0)
    address: str = field(name="Address", default="")
    id: str = field(name="ID", default="")
    weights: _Weights | None = field(name="Weights", default=None)


class _Node(Struct):
    address: str = field(name="Address", default="")


class _Entry(Struct):
    node: _Node = field(name="Node")
    service: _Service = field(name="Service")


_decode = msgspec.json.Decoder(list[_Entry]).decode


def read_health(body: bytes) -> list[Address]:
    """The instances of an answer; an instance without an address of its own has its node's.
    Raises ValueError."""
    found = []
    for entry in _decode(body):
        service = entry.service
        host = service.address or entry.node.address
        if host and 0 < service.port < 65536:
            weight = service.weights.passing if service.weights is not None else 1
            # Consul's own DNS treats a weight below 1 as 1.
            found.append(Address(host, service.port, weight=max(1, weight), label=service.id))
    return found


def next_index(old: int, said: str) -> int:
    """The index to wait for next, from the header `X-Consul-Index`.

    It starts again at 0, which does not wait, when it went backwards (a restored snapshot) or is
    not there; one below 1 is taken as 1, or a query would return at once without end.
    """
    if not said.isascii() or not said.isdigit():
        return 0
    index = int(said)
    return 0 if index < old else max(1, index)
