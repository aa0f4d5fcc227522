"""From a section of the document to what can be started: program, weights and a digest of both.

It looks at files and installed packages, starts nothing and loads nothing. The law: two wishes
with the same digest make the same process, so only a change of the digest replaces a replica.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from towplane.engines.adapter import Adapter, Launch
from towplane.engines.adapters import load
from towplane.engines.binary import Binary
from towplane.engines.spec import EngineSpec
from towplane.engines.weights import Weights, resolve

__all__ = ["Startable", "make_startable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Startable:
    """An engine with all its parts found."""

    name: str
    spec: EngineSpec
    adapter: Adapter
    binary: Binary
    weights: Weights
    digest: str

    def launch(self, *, port: int, api_key: str) -> Launch:
        """One start of it."""
        return Launch(
            name=self.name,
            spec=self.spec,
            binary=self.binary,
            weights=self.weights,
            port=port,
            api_key=api_key,
        )


def make_startable(name: str, spec: EngineSpec, folder: Path) -> Startable:
    """Finds the parts; raises `Unsupported` with the next step for the first that is missing."""
    adapter = load(spec.engine)
    weights = adapter.inspect(resolve(spec.weights, folder))
    binary = adapter.find(spec)
    return Startable(
        name=name,
        spec=spec,
        adapter=adapter,
        binary=binary,
        weights=weights,
        digest=_digest(name, spec, adapter, binary, weights),
    )


def _digest(name: str, spec: EngineSpec, adapter: Adapter, binary: Binary, weights: Weights) -> str:
    launch = Launch(name=name, spec=spec, binary=binary, weights=weights, port=0, api_key="")
    command = adapter.render(launch)
    # A package upgraded in place keeps its path.
    files = [_stamp(binary.path), _stamp(weights.path)]
    text = json.dumps([spec.engine, command.argv, sorted(command.env.items()), files])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns
