"""Carries out actions on replicas, and notes in the table of replicas what was done.

It decides nothing: an action that does not fit what it finds is a fault of the planner.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import assert_never

from towplane.controller.actions import (
    Action,
    AdoptReplica,
    DrainReplica,
    Forget,
    GiveUp,
    KillReplica,
    KillStale,
    StartReplica,
    StopReplica,
)
from towplane.controller.observe import crash
from towplane.controller.want import Wish
from towplane.engines.replica import Replica
from towplane.engines.resolve import Startable
from towplane.targets.replicas import Key, ReplicaTarget

__all__ = ["act"]


async def act(
    action: Action,
    replicas: MutableMapping[Key, Replica],
    wishes: Mapping[str, Wish],
    target: ReplicaTarget,
    now: float,
) -> None:
    """Does one thing."""
    key = (action.engine, action.index)
    match action:
        case StartReplica():
            replicas[key] = _start(action, replicas.get(key), wishes, target, now)
        case AdoptReplica():
            replica = _begin(action, None, wishes, now)
            target.adopt(key, _startable(wishes, action.engine))
            replicas[key] = replica
        case KillStale():
            await target.kill_stale(key)
        case DrainReplica():
            replicas[key] = replace(replicas[key], state="draining", since=now, reason=action.why)
        case StopReplica():
            replicas[key] = replace(
                replicas[key], state="draining", reason=action.why, is_stopping=True
            )
            target.stop(key)
        case KillReplica():
            replicas[key] = replace(replicas[key], reason=action.why, doomed=action.why)
            target.kill(key)
        case GiveUp():
            replicas[key] = _give_up(action, replicas.get(key), wishes, now)
        case Forget():
            target.forget(key)
            del replicas[key]
        case _:
            assert_never(action)


def _start(
    action: StartReplica,
    before: Replica | None,
    wishes: Mapping[str, Wish],
    target: ReplicaTarget,
    now: float,
) -> Replica:
    replica = _begin(action, before, wishes, now)
    try:
        target.start((action.engine, action.index), _startable(wishes, action.engine))
    except OSError as error:  # no process to be had, or no room for its log and record
        return crash(replica, f"cannot start a process: {error}", now)
    return replica


def _begin(
    action: StartReplica | AdoptReplica,
    before: Replica | None,
    wishes: Mapping[str, Wish],
    now: float,
) -> Replica:
    """A replica that has just got a process; it remembers the crashes of the one before."""
    return Replica(
        engine=action.engine,
        index=action.index,
        digest=action.digest,
        state="starting",
        since=now,
        drain_s=wishes[action.engine].wanted.spec.drain_s,
        crashes=before.crashes if before is not None else (),
        starts=before.starts + 1 if before is not None else 1,
    )


def _give_up(
    action: GiveUp, before: Replica | None, wishes: Mapping[str, Wish], now: float
) -> Replica:
    given_up = before or Replica(
        engine=action.engine,
        index=action.index,
        digest=action.digest,
        state="failed",
        since=now,
        drain_s=wishes[action.engine].wanted.spec.drain_s,
    )
    return replace(given_up, state=action.verdict, since=now, reason=action.why)


def _startable(wishes: Mapping[str, Wish], engine: str) -> Startable:
    startable = wishes[engine].startable
    assert startable is not None, "the planner starts nothing that has a problem"
    return startable
