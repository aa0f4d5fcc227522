"""Everything that the loop may do to the world, as values that can be printed and reviewed.

Each room has its own kinds; this is their union. What carries them out is `controller.act`.
"""

from towplane.engines.actions import (
    AdoptReplica,
    DrainReplica,
    EngineAction,
    Forget,
    GiveUp,
    KillReplica,
    KillStale,
    StartReplica,
    StopReplica,
)

__all__ = [
    "Action",
    "AdoptReplica",
    "DrainReplica",
    "Forget",
    "GiveUp",
    "KillReplica",
    "KillStale",
    "StartReplica",
    "StopReplica",
]

Action = EngineAction
