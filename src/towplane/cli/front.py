"""What a plane opens first: its folder, its secrets, the serving port, the workers' processes.

Kept apart from `cli.plane` because of time: while the workers' interpreters start, the plane
process imports its database and opens the ledger. So this module imports as little as it can.
"""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from towplane.cli.certificates import check_certificates
from towplane.document.load import Document
from towplane.document.resolve import resolve_secrets
from towplane.gateway.fleet import Fleet
from towplane.parts.clock import Clock
from towplane.parts.errors import Conflict
from towplane.parts.secrets import Sealed

__all__ = ["Front", "open_front"]


@dataclass(slots=True)
class Front:
    """What is open."""

    clock: Clock
    data_dir: Path
    lock: int
    """A descriptor; while it is held no other plane uses the folder."""
    secrets: dict[str, Sealed]
    fleet: Fleet
    serving: str
    """Base URL of the serving port."""


async def open_front(document: Document) -> Front:
    """Open it; workers wait for their first snapshot. Raises PlaneError, leaving nothing open."""
    plane = document.plane
    secrets = resolve_secrets(document, os.environ)
    check_certificates(plane)
    data_dir = Path(plane.data_dir)
    lock = _take_lock(data_dir)
    clock = Clock()
    fleet = Fleet(journal_root=data_dir / "journal", clock=clock)
    host, _, port = plane.gateway.listen.rpartition(":")
    host = host.strip("[]")
    try:
        fleet.open(host, int(port), plane.gateway.workers)
    except BaseException:
        os.close(lock)
        raise
    await fleet.start()
    scheme = "https" if plane.gateway.tls is not None else "http"
    shown = f"[{host}]" if ":" in host else host
    return Front(
        clock=clock,
        data_dir=data_dir,
        lock=lock,
        secrets=secrets,
        fleet=fleet,
        serving=f"{scheme}://{shown}:{fleet.address[1]}",
    )


def _take_lock(data_dir: Path) -> int:
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(data_dir / "plane.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Conflict(
            f"Another plane is running with {data_dir}.",
            next_step="`towplane status` shows it; stop it, or set another data_dir.",
        ) from None
    return lock
