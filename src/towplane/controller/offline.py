"""The engines of a plane that does not run: what its document wants, and what is left of it.

It reads the document's value, installed packages and the records in `data_dir`; it asks no process
and changes nothing.
"""

from pathlib import Path

from towplane.controller.status import ReplicaStatus
from towplane.controller.want import Wish, want
from towplane.document.plane import Plane
from towplane.parts.process import identify
from towplane.targets.local.records import Record, read_all

__all__ = ["list_engines"]

DOWN = "the plane is not running"


def list_engines(plane: Plane, folder: Path = Path()) -> tuple[ReplicaStatus, ...]:
    """Every replica that the document wants, then those that an earlier plane has left running."""
    wishes = want(plane, folder)
    left = {
        (record.engine, record.replica): record
        for record in read_all(Path(plane.data_dir) / "engines", repair=False)
        if identify(record.pid) == record.identity
    }
    wanted = [
        (name, index) for name, wish in wishes.items() for index in range(wish.wanted.spec.replicas)
    ]
    keys = [*wanted, *sorted(left.keys() - set(wanted))]
    return tuple(_show(key, wishes.get(key[0]), left.get(key)) for key in keys)


def _show(key: tuple[str, int], wish: Wish | None, left: Record | None) -> ReplicaStatus:
    startable = wish.startable if wish else None
    reason = DOWN
    if left is not None:
        reason += f"; process {left.pid} of an earlier one is, the next adopts or ends it"
    elif wish is not None and wish.wanted.problem:
        reason = wish.wanted.problem
    return ReplicaStatus(
        engine=key[0],
        replica=key[1],
        target=f"{key[0]}/{key[1]}",
        kind=wish.wanted.spec.engine if wish else left.kind if left else "",
        state="failed" if wish and wish.wanted.problem and left is None else "stopped",
        reason=reason,
        since=None,
        restarts=0,
        model=key[0],
        endpoints=startable.adapter.endpoints if startable else (),
        slots=startable.spec.parallel if startable else None,
        pid=left.pid if left else None,
        port=left.port if left else None,
        engine_version=startable.binary.version if startable else None,
        binary=startable.binary.path if startable else None,
        weights=wish.wanted.spec.weights if wish else "",
        weights_path=startable.weights.path if startable else None,
        weights_version=startable.weights.version if startable else None,
        weights_licence=startable.weights.licence if startable else None,
        weights_bytes=startable.weights.size_bytes if startable else None,
    )
