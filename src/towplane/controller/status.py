"""One replica as the doors and the gateway see it. The law: its key is never printed."""

from dataclasses import dataclass, field
from pathlib import Path

from towplane.engines.adapter import Endpoint
from towplane.engines.replica import Replica, State
from towplane.engines.resolve import Startable
from towplane.targets.replicas import Seen

__all__ = ["ReplicaStatus", "make_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """What is known of one replica; what is not known is None."""

    engine: str
    replica: int
    target: str
    """Its name in routing: `embedded/0`."""
    kind: str
    state: State
    reason: str
    since: float | None
    """When it got into this state; seconds since the epoch."""
    restarts: int
    model: str
    """The name that its API serves the model under."""
    endpoints: tuple[Endpoint, ...] = ()
    slots: int | None = None
    """Requests that it works on at the same time; others wait inside."""
    host: str | None = None
    port: int | None = None
    api_key: str | None = field(default=None, repr=False)
    pid: int | None = None
    ready_in_s: float | None = None
    """From the start of its process to its first token."""
    running: int | None = None
    waiting: int | None = None
    engine_version: str | None = None
    engine_build: str | None = None
    """As the running program says."""
    binary: Path | None = None
    weights: str
    """As the document says."""
    weights_path: Path | None = None
    weights_version: str | None = None
    weights_licence: str | None = None
    """None: nobody said."""
    weights_bytes: int | None = None
    log: Path | None = None
    log_tail: tuple[str, ...] = ()
    """The last lines of a process that has ended."""

    @property
    def version(self) -> str | None:
        """The package's version, else the build that the program names."""
        return self.engine_version or self.engine_build


def make_status(
    replica: Replica,
    *,
    kind: str,
    weights: str,
    startable: Startable | None,
    seen: Seen | None,
    ready_in_s: float | None,
    wall_of: float,
) -> ReplicaStatus:
    """`wall_of` is to be added to a monotonic time to date it."""
    alive = seen if seen is not None and seen.exit is None else None
    vitals = alive.vitals if alive else None
    return ReplicaStatus(
        engine=replica.engine,
        replica=replica.index,
        target=replica.target,
        kind=kind,
        state=replica.state,
        reason=replica.reason,
        since=replica.since + wall_of,
        restarts=max(0, replica.starts - 1),
        model=replica.engine,
        endpoints=startable.adapter.endpoints if startable else (),
        slots=startable.spec.parallel if startable else None,
        host=alive.host if alive else None,
        port=alive.port if alive else None,
        api_key=alive.api_key if alive else None,
        pid=alive.pid if alive else None,
        ready_in_s=ready_in_s,
        running=vitals.running if vitals else None,
        waiting=vitals.waiting if vitals else None,
        engine_version=startable.binary.version if startable else None,
        engine_build=alive.version if alive else None,
        binary=startable.binary.path if startable else None,
        weights=startable.weights.source if startable else weights,
        weights_path=startable.weights.path if startable else None,
        weights_version=startable.weights.version if startable else None,
        weights_licence=startable.weights.licence if startable else None,
        weights_bytes=startable.weights.size_bytes if startable else None,
        log=seen.log if seen else None,
        log_tail=seen.log_tail if seen else (),
    )
