"""What the document wants of the engines, with all parts found on this machine or the reason why
one is missing. It looks at files and packages and changes nothing.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from towplane.document.plane import Plane
from towplane.engines.replica import Wanted
from towplane.engines.resolve import Startable, make_startable
from towplane.engines.spec import EngineSpec
from towplane.parts.errors import PlaneError

__all__ = ["Wish", "want", "want_engine"]


@dataclass(frozen=True, slots=True)
class Wish:
    """One engine of the document."""

    wanted: Wanted
    startable: Startable | None
    """None: a part is missing; `wanted.problem` says which."""


def want(plane: Plane, folder: Path) -> dict[str, Wish]:
    """By engine; a relative path in the document is taken from `folder`."""
    return {name: want_engine(name, spec, folder) for name, spec in plane.engines.items()}


def want_engine(name: str, spec: EngineSpec, folder: Path) -> Wish:
    """One engine."""
    try:
        startable = make_startable(name, spec, folder)
    except PlaneError as error:
        problem = f"{error.say}; next: {error.next_step}" if error.next_step else error.say
        digest = hashlib.sha256(f"{name}: {problem}".encode()).hexdigest()[:16]
        return Wish(Wanted(engine=name, spec=spec, digest=digest, problem=problem), None)
    return Wish(Wanted(engine=name, spec=spec, digest=startable.digest), startable)
