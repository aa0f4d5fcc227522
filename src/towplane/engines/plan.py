"""What to do next about the replicas of engines: a function of what is wanted, what is, and now.

The laws: a replica never has two processes. What answers is only taken away when enough others
answer, so a change of the document costs no request. Restarts wait longer each time and end in a
verdict. What cannot help is not tried again. A rolling change starts a process only while there
are no more than wanted, those that drain counted in.
"""

from collections.abc import Sequence

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
    Verdict,
)
from towplane.engines.replica import Crash, Replica, Stale, Wanted
from towplane.engines.spec import RestartSpec

__all__ = ["SETTLE_S", "backoff", "due", "plan", "plan_stale", "strikes"]

SETTLE_S = 2.5
"""Least time of a drain: the gateway's workers hear of it a moment after it was announced, and
report once a second what they still have in flight."""

FROZEN_PROBES = 3
"""So many questions without progress make a stall: one slow answer, or a plane that was itself
held up for a while, does not."""

_SHOWN = 200
"""Of each line of a log in a reason; the log itself has the rest."""


def plan(
    wanted: Sequence[Wanted], observed: Sequence[Replica], now: float
) -> tuple[EngineAction, ...]:
    """All that is to be done now."""
    actions: list[EngineAction] = []
    by_name = {wish.engine: wish for wish in wanted}
    for name in sorted({replica.engine for replica in observed} | set(by_name)):
        replicas = sorted((r for r in observed if r.engine == name), key=lambda r: r.index)
        actions += _plan_engine(by_name.get(name), name, replicas, now)
    return tuple(actions)


def plan_stale(wanted: Sequence[Wanted], stale: Sequence[Stale]) -> tuple[EngineAction, ...]:
    """What to do about processes of an earlier plane: those just as wanted are adopted."""
    actions: list[EngineAction] = []
    by_name = {wish.engine: wish for wish in wanted}
    for one in sorted(stale, key=lambda one: (one.engine, one.index)):
        wish = by_name.get(one.engine)
        if wish is None:
            why = "which the document no longer has"
        elif wish.digest != one.digest:
            why = "which is not as the document says"
        elif not one.is_healthy:
            why = "which does not answer"
        else:
            actions.append(
                AdoptReplica(engine=one.engine, index=one.index, digest=one.digest, pid=one.pid)
            )
            continue
        actions.append(KillStale(engine=one.engine, index=one.index, pid=one.pid, why=why))
    return tuple(actions)


def backoff(restart: RestartSpec, strike: int) -> float:
    """How long to wait after this many strikes, from 1."""
    # The exponent is bounded only to keep the power a float.
    return float(min(restart.longest_s, restart.first_s * 2.0 ** min(strike - 1, 60)))


def strikes(restart: RestartSpec, crashes: Sequence[Crash]) -> int:
    """How many crashes count now: those within the window before the last one, or the starts in a
    row that never became ready, whichever are more."""
    if not crashes:
        return 0
    opened = crashes[-1].at - restart.window_s
    within = sum(crash.at >= opened for crash in crashes)
    in_a_row = 0
    for crash in reversed(crashes):
        if crash.was_ready:
            break
        in_a_row += 1
    return max(within, in_a_row)


def due(restart: RestartSpec, crashes: Sequence[Crash]) -> float:
    """When a crashed replica may start again."""
    return crashes[-1].at + backoff(restart, strikes(restart, crashes))


def _plan_engine(
    wish: Wanted | None, name: str, replicas: Sequence[Replica], now: float
) -> list[EngineAction]:
    actions: list[EngineAction] = []
    current: list[Replica] = []
    old: list[Replica] = []
    for replica in replicas:
        if replica.state == "stopped":
            actions.append(Forget(engine=name, index=replica.index))
        elif replica.state == "draining":
            actions += _finish_drain(replica, now)
        elif wish is not None and replica.digest == wish.digest:
            current.append(replica)
        else:
            old.append(replica)
    count = wish.spec.replicas if wish is not None else 0
    why = "the document has changed" if wish is not None else "the document no longer has it"
    old_ready = [replica for replica in old if replica.state == "ready"]
    actions += [_remove(replica, why) for replica in old if replica.state != "ready"]
    kept = sorted(current, key=_usefulness)[:count]
    surplus = [replica for replica in current if replica not in kept]
    actions += [_remove(replica, f"{count} wanted") for replica in surplus]
    ready = sum(replica.state == "ready" and not replica.doomed for replica in kept)
    spare = max(0, ready + len(old_ready) - count)
    actions += [_remove(replica, why) for replica in old_ready[:spare]]
    if wish is not None:
        for replica in sorted(kept, key=lambda replica: replica.index):
            actions += _tend(wish, replica, now)
        actions += _fill(wish, replicas, count - len(kept), is_rolling=bool(old_ready))
    return actions


def _usefulness(replica: Replica) -> tuple[int, int]:
    order = ("ready", "starting", "backing-off", "crash-loop", "failed")
    return order.index(replica.state), replica.index


def _remove(replica: Replica, why: str) -> EngineAction:
    if replica.state == "ready":
        return DrainReplica(engine=replica.engine, index=replica.index, why=why)
    if replica.state == "starting":
        return StopReplica(engine=replica.engine, index=replica.index, why=why)
    return Forget(engine=replica.engine, index=replica.index)


def _finish_drain(replica: Replica, now: float) -> list[EngineAction]:
    if replica.is_stopping:
        return []
    drained_s = now - replica.since
    if replica.in_flight == 0 and drained_s >= SETTLE_S:
        why = "its requests are done"
    elif drained_s >= max(replica.drain_s, SETTLE_S):
        why = f"its drain of {replica.drain_s:g} s is over, {replica.in_flight} requests are cut"
    else:
        return []
    return [StopReplica(engine=replica.engine, index=replica.index, why=why)]


def _tend(wish: Wanted, replica: Replica, now: float) -> list[EngineAction]:
    spec = wish.spec
    if replica.state == "backing-off":
        return _plan_restart(wish, replica, now)
    if replica.doomed:
        return []
    if replica.state == "starting" and now - replica.since >= spec.ready_within_s:
        why = f"it was not ready within {spec.ready_within_s:g} s"
    elif (
        replica.state == "ready"
        and now - replica.progress_at >= spec.stalled_s
        and replica.frozen_probes >= FROZEN_PROBES
    ):
        why = f"it made no progress for {spec.stalled_s:g} s"
    else:
        return []
    return [KillReplica(engine=replica.engine, index=replica.index, why=why)]


def _plan_restart(wish: Wanted, replica: Replica, now: float) -> list[EngineAction]:
    restart, last = wish.spec.restart, replica.crashes[-1]
    strike = strikes(restart, replica.crashes)
    if replica.final:
        return [_give_up(wish, replica.index, "failed", f"{replica.final}; {_say(last)}")]
    if strike >= restart.give_up_after:
        why = f"{strike} crashes, the last: {_say(last)}"
        return [_give_up(wish, replica.index, "crash-loop", why)]
    if now < due(restart, replica.crashes):
        return []
    why = f"again after crash {strike}"
    return [StartReplica(engine=wish.engine, index=replica.index, digest=wish.digest, why=why)]


def _say(crash: Crash) -> str:
    end = " | ".join(line[-_SHOWN:] for line in crash.log[-3:])
    return f"{crash.words}; its log ends: {end}" if end else crash.words


def _give_up(wish: Wanted, index: int, verdict: Verdict, why: str) -> GiveUp:
    return GiveUp(engine=wish.engine, index=index, digest=wish.digest, verdict=verdict, why=why)


def _fill(
    wish: Wanted, replicas: Sequence[Replica], missing: int, *, is_rolling: bool
) -> list[EngineAction]:
    """New replicas for the missing ones, at the lowest free numbers."""
    if missing and is_rolling and not wish.problem:
        # One that backs off will have a process again.
        live = sum(replica.is_live or replica.state == "backing-off" for replica in replicas)
        missing = min(missing, max(0, wish.spec.replicas + 1 - live))
    taken = {replica.index for replica in replicas}
    free = (index for index in range(len(taken) + missing) if index not in taken)
    actions: list[EngineAction] = []
    for index in [next(free) for _ in range(missing)]:
        if wish.problem:
            actions.append(_give_up(wish, index, "failed", wish.problem))
        else:
            why = "the document has changed" if is_rolling else "wanted"
            actions.append(
                StartReplica(engine=wish.engine, index=index, digest=wish.digest, why=why)
            )
    return actions
