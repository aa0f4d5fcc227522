"""No gateway: the load generator talks to the upstream, for the latency that is not added."""

from adapters.peer import Peer, Running, Site

__all__ = ["PEER"]


def install() -> str:
    return "none"


def start(site: Site) -> Running:
    return Running(None, site.upstream_port)


PEER = Peer("direct", "no gateway between load and upstream", install, start, has_process=False)
