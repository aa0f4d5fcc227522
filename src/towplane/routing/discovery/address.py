"""One address behind a provider, and what several answers about the same one come to.

Pure values; knows no DNS, Consul or Kubernetes. The law: a host and a port are one address,
however often and by whomever they are named.
"""

from collections.abc import Iterable
from math import gcd
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from towplane.parts.addresses import join_address

__all__ = ["Address", "Readiness", "by_priority", "merge", "target_name"]

Readiness = Literal["ready", "starting", "draining"]
"""`starting`: it is there and does not want requests yet; `draining`: it wants no new ones."""

_RANK: dict[Readiness, int] = {"ready": 0, "starting": 1, "draining": 2}


class Address(Struct, frozen=True):
    """One place behind a provider."""

    host: str
    port: int
    state: Readiness = "ready"
    weight: int = 1
    """Its share beside its siblings; 0: only taken when no other is usable."""
    reason: str = ""
    """Why it is in this state, where it is not ready."""
    label: str = ""
    """What its source calls it, such as a pod's name."""
    left_at: float | None = None
    """When its source stopped naming it, monotonic; None: it is named."""

    @property
    def place(self) -> tuple[str, int]:
        """What makes it this address and no other."""
        return self.host, self.port

    @property
    def name(self) -> str:
        """`HOST:PORT`."""
        return join_address(self.host, self.port)


def target_name(provider: str, model: str, address: Address) -> str:
    """What the target at this address is called: `PROVIDER/MODEL@HOST:PORT`."""
    return f"{provider}/{model}@{address.name}"


def merge(found: Iterable[Address]) -> tuple[Address, ...]:
    """Each address once, in the order of hosts and ports: the same answer in another order is the
    same value. Of two sayings about one the readier wins: an object that is out of date still
    knows a pod as it was, and traffic finds out by itself what does not answer."""
    best: dict[tuple[str, int], Address] = {}
    for address in found:
        known = best.get(address.place)
        if known is None or _rank(address) < _rank(known):
            best[address.place] = address
    return tuple(best[place] for place in sorted(best))


def by_priority(found: Iterable[tuple[int, int, Address]]) -> list[Address]:
    """Addresses with their priority and weight, as SRV records have them (RFC 2782): those of the
    lowest number share the traffic by weight, the others stand by with weight 0."""
    records = list(found)
    first = min((priority for priority, _, _ in records), default=0)
    # A weight of 0 is a very small chance there, and means parked here.
    weights = [max(1, weight) for priority, weight, _ in records if priority == first]
    unit = gcd(*weights) if weights else 1
    return [
        replace(address, weight=max(1, weight) // unit if priority == first else 0)
        for priority, weight, address in records
    ]


def _rank(address: Address) -> tuple[int, int]:
    return _RANK[address.state], -address.weight
