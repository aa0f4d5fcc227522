"""The engines that the plane can run, by the word that `engines.NAME.engine` has for them.

A name leads to an `Adapter` in the form of an entry point, `MODULE:ATTRIBUTE`. Those of other
packages come in by the entry-point group `towplane.engines`, through the same door.
"""

from importlib.metadata import EntryPoint, entry_points

from towplane.engines.adapter import Adapter
from towplane.parts.errors import Unsupported

__all__ = ["ENGINES", "GROUP", "adapters", "load"]

GROUP = "towplane.engines"

ENGINES = {
    "llama.cpp": "towplane.engines.llama_cpp:ADAPTER",
}


def adapters() -> dict[str, EntryPoint]:
    """All doors, by name; a name of the plane's own cannot be taken by an outsider."""
    outsiders = {point.name: point for point in entry_points(group=GROUP)}
    own = {name: EntryPoint(name, value, GROUP) for name, value in ENGINES.items()}
    return outsiders | own


def load(kind: str) -> Adapter:
    """The adapter of this kind; raises `Unsupported` where there is none."""
    doors = adapters()
    if kind not in doors:
        raise Unsupported(
            f"no adapter for the engine {kind!r}",
            next_step=f"known engines: {', '.join(sorted(doors))}; others come as packages",
        )
    adapter: Adapter = doors[kind].load()
    return adapter
