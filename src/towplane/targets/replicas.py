"""What the controller may ask of a place where engine replicas run, and what it learns from it.

A target carries out and observes; it decides nothing: when to start again, what to drain and when
to give up is the planner's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from towplane.engines.adapter import Vitals
from towplane.engines.replica import Stale
from towplane.engines.resolve import Startable
from towplane.parts.process import Exit

__all__ = ["Key", "ReplicaTarget", "Seen"]

Key = tuple[str, int]
"""An engine's name and the number of a replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One process as observed last."""

    pid: int
    host: str
    port: int
    api_key: str = field(repr=False)
    log: Path
    log_tail: tuple[str, ...] = ()
    """Only of a process that has ended."""
    exit: Exit | None = None
    final: str = ""
    """Why its end cannot be cured by trying again."""
    is_ready: bool = False
    """A token has come out of it."""
    version: str | None = None
    vitals: Vitals | None = None
    progress_at: float = 0.0
    frozen_probes: int = 0


class ReplicaTarget(Protocol):
    """A place where replicas run."""

    def start(self, key: Key, startable: Startable) -> None:
        """Starts a process; the replica has none."""

    def stop(self, key: Key) -> None:
        """Asks the process to end, and ends it by force a little later."""

    def kill(self, key: Key) -> None:
        """Ends the process at once."""

    def forget(self, key: Key) -> None:
        """Drops what is known of a replica; its process has ended."""

    def observe(self) -> Mapping[Key, Seen]:
        """The latest of every process started or adopted and not forgotten."""

    async def survey(self) -> tuple[Stale, ...]:
        """The living processes that an earlier plane has left; remains of dead ones are removed."""

    def adopt(self, key: Key, startable: Startable) -> None:
        """Takes over a process that `survey` has found."""

    async def kill_stale(self, key: Key) -> None:
        """Ends a process that `survey` has found; returns when it has ended."""

    async def close(self) -> None:
        """Ends every process; returns when none is left."""
