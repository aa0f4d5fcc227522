"""Bifrost, which no package registry holds: named with the reason, never measured.

Its npm package is a script that downloads the program at every first start from a host of its
vendor's (`bin.js` of 1.6.3, 2026-11). What the benchmark runs comes from registries, with its sums.
"""

from adapters.peer import CannotRun, Peer, Running, Site

__all__ = ["PEER"]


def install() -> str:
    raise CannotRun(
        "its npm package (@maximhq/bifrost 1.6.3) holds no program, only a script that downloads "
        "one from its vendor's own host"
    )


def start(site: Site) -> Running:
    raise CannotRun(f"not installed, so nothing serves port {site.port}")


PEER = Peer("bifrost", "not installed", install, start, translates=True)
