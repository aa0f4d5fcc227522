"""What can be done to replicas. An action is a value that says itself; the controller does it."""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AdoptReplica",
    "DrainReplica",
    "EngineAction",
    "Forget",
    "GiveUp",
    "KillReplica",
    "KillStale",
    "StartReplica",
    "StopReplica",
    "Verdict",
]

Verdict = Literal["crash-loop", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfReplica:
    engine: str
    index: int

    @property
    def target(self) -> str:
        return f"{self.engine}/{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReplica(_OfReplica):
    """Start a process."""

    digest: str
    why: str

    def __str__(self) -> str:
        return f"start {self.target}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReplica(_OfReplica):
    """Take it out of routing and let it finish what it has."""

    why: str

    def __str__(self) -> str:
        return f"drain {self.target}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplica(_OfReplica):
    """Ask its process to end, and end it by force when it does not."""

    why: str

    def __str__(self) -> str:
        return f"stop {self.target}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillReplica(_OfReplica):
    """End its process at once; that counts as a crash."""

    why: str

    def __str__(self) -> str:
        return f"kill {self.target}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp(_OfReplica):
    """Leave it down."""

    digest: str
    verdict: Verdict
    why: str

    def __str__(self) -> str:
        return f"give up {self.target}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(_OfReplica):
    """Drop what is known of a replica that has no process and is not wanted."""

    def __str__(self) -> str:
        return f"forget {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptReplica(_OfReplica):
    """Take over a process that an earlier plane has left."""

    digest: str
    pid: int

    def __str__(self) -> str:
        return f"adopt {self.target}: process {self.pid} of an earlier plane is as wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillStale(_OfReplica):
    """End a process that an earlier plane has left."""

    pid: int
    why: str

    def __str__(self) -> str:
        return f"kill stale {self.target}: process {self.pid} of an earlier plane, {self.why}"


EngineAction = (
    StartReplica
    | DrainReplica
    | StopReplica
    | KillReplica
    | GiveUp
    | Forget
    | AdoptReplica
    | KillStale
)
