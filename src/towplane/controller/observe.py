"""From what a target has seen of a process to what is known of its replica. Pure."""

from dataclasses import replace

from towplane.engines.replica import Crash, Replica
from towplane.targets.replicas import Seen

__all__ = ["crash", "fold"]

_CRASHES_KEPT = 100
"""Of one replica; more than any `give_up_after` that makes sense."""


def fold(replica: Replica, seen: Seen, now: float, in_flight: int = 0) -> Replica:
    """The replica after a look at its process."""
    if not replica.is_live:
        return replica
    if seen.exit is not None:
        return _fold_end(replica, seen, now)
    looked = replace(
        replica,
        in_flight=in_flight,
        progress_at=seen.progress_at,
        frozen_probes=seen.frozen_probes,
    )
    if replica.state == "starting" and seen.is_ready:
        return replace(looked, state="ready", since=now, reason="")
    return looked


def crash(
    replica: Replica, words: str, now: float, *, final: str = "", log: tuple[str, ...] = ()
) -> Replica:
    """The replica after an end that nobody asked for."""
    happened = Crash(now, replica.state == "ready", words, log)
    return replace(
        replica,
        state="backing-off",
        since=now,
        reason=words,
        crashes=(*replica.crashes, happened)[-_CRASHES_KEPT:],
        final=final,
        doomed="",
        in_flight=0,
    )


def _fold_end(replica: Replica, seen: Seen, now: float) -> Replica:
    assert seen.exit is not None
    if replica.state == "draining":
        return replace(replica, state="stopped", since=now, in_flight=0)
    words = replica.doomed or seen.exit.words
    return crash(replica, words, now, final=seen.final, log=seen.log_tail)
