"""What is wanted of an engine and what is known of its replicas: the values that planning is about.

A replica is a numbered place of an engine (`embedded/0`) with at most one process. Times are
monotonic seconds. Nothing here acts.
"""

from dataclasses import dataclass
from typing import Literal

from towplane.engines.spec import EngineSpec

__all__ = ["Crash", "Replica", "Stale", "State", "Wanted"]

State = Literal[
    "starting",  # its process runs, no token has come out yet
    "ready",
    "draining",  # takes no new request; ends when those it has are done
    "backing-off",  # crashed; starts again after a while
    "crash-loop",  # crashed too often; stays down until the document changes or somebody says so
    "failed",  # cannot start; trying again would not help
    "stopped",  # was asked to end and has ended
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An engine of the document; two with the same digest run the same process."""

    engine: str
    spec: EngineSpec
    digest: str
    problem: str = ""
    """Why it cannot be started at all; empty: nothing speaks against it."""


@dataclass(frozen=True, slots=True)
class Crash:
    """An end that nobody asked for."""

    at: float
    was_ready: bool
    words: str
    log: tuple[str, ...] = ()
    """The last lines of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One replica as last observed."""

    engine: str
    index: int
    digest: str
    """Of the wish that it was started from."""
    state: State
    since: float
    """When it got into this state."""
    drain_s: float
    reason: str = ""
    """For people: why it is in this state."""
    crashes: tuple[Crash, ...] = ()
    final: str = ""
    """Why its last crash cannot be cured by trying again; empty: it may be."""
    doomed: str = ""
    """Why it is being killed; its end is a crash."""
    is_stopping: bool = False
    """It was asked to end."""
    in_flight: int = 0
    progress_at: float = 0.0
    """When it last made progress or had nothing to do."""
    frozen_probes: int = 0
    """Questions since then that showed no progress or got no answer."""
    starts: int = 0

    @property
    def target(self) -> str:
        """The name that routing has for it."""
        return f"{self.engine}/{self.index}"

    @property
    def is_live(self) -> bool:
        """It has a process."""
        return self.state in ("starting", "ready", "draining")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A process that an earlier plane has left running."""

    engine: str
    index: int
    digest: str
    pid: int
    is_healthy: bool
