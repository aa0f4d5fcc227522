"""From a section `discover` to the source that it means. Nothing is asked before it is followed."""

from collections.abc import Callable

from towplane.parts.errors import Unsupported
from towplane.providers.discover import Discover
from towplane.targets.discovery.consul import Health
from towplane.targets.discovery.dns import AddressRecords, ServiceRecords
from towplane.targets.discovery.kubernetes import source_of
from towplane.targets.discovery.source import Source

__all__ = ["open_source"]


def open_source(spec: Discover, port: int, reveal: Callable[[str], str]) -> Source:
    """The source; `port` is the endpoint's, `reveal` gives the newest value of a secret."""
    if spec.dns is not None:
        return AddressRecords(spec.dns, spec.port or port, spec.every_s, spec.server)
    if spec.srv is not None:
        return ServiceRecords(spec.srv, spec.every_s, spec.server)
    if spec.consul is not None:
        return Health(spec.consul, reveal)
    if spec.kubernetes is not None:
        return source_of(spec.kubernetes)
    raise Unsupported("no source of addresses")  # the document's check lets none through
