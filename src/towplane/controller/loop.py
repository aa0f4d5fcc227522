"""The loop: observe, plan, act; again when something happened or time has passed.

It runs the engines of the document. `apply` changes what is wanted; the way there is planned so
that what answers goes only after its replacement answers. It does not know routing: it announces
every change of a replica with `on_change`, and asks `in_flight` how much a draining one still does.

The law: after `stop` no process of any replica is left.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from towplane.controller.act import act
from towplane.controller.actions import Action, AdoptReplica, GiveUp, StartReplica
from towplane.controller.observe import fold
from towplane.controller.status import ReplicaStatus, make_status
from towplane.controller.want import Wish, want, want_engine
from towplane.document.plane import Plane
from towplane.engines.plan import plan, plan_stale
from towplane.engines.replica import Replica, Wanted
from towplane.engines.resolve import Startable
from towplane.parts.clock import Clock
from towplane.targets.local.processes import LocalTarget
from towplane.targets.replicas import Key, ReplicaTarget

__all__ = ["LOOK_AGAIN_S", "Controller", "Sleep"]

Sleep = Callable[[float], Awaitable[None]]

_log = logging.getLogger("towplane.controller")

QUIET_S, BUSY_S = 1.0, 0.1
"""Between two rounds without an event: when all is as wanted, and when something is on its way."""


LOOK_AGAIN_S = 5.0
"""How often the parts of an engine that was given up are looked for again."""


class Controller:
    """The engines of one plane; used on a running loop, in a thread that stays."""

    def __init__(
        self,
        plane: Plane,
        data_dir: Path,
        on_change: Callable[[tuple[ReplicaStatus, ...]], None],
        *,
        in_flight: Callable[[str], int] = lambda _target: 0,
        folder: Path = Path(),
        target: ReplicaTarget | None = None,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._clock = clock or Clock()
        self._sleep = sleep
        self._wake = asyncio.Event()
        self._on_change = on_change
        self._in_flight = in_flight
        self._folder = folder
        self._target = target or LocalTarget(
            data_dir / "engines", self._wake.set, clock=self._clock, sleep=sleep
        )
        self._plane = plane
        self._wishes: dict[str, Wish] = {}
        self._replicas: dict[Key, Replica] = {}
        self._startables: dict[Key, Startable] = {}
        self._ready_in_s: dict[Key, float] = {}
        self._looked_at = self._clock.monotonic()
        self._announced: tuple[object, ...] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Deals with what an earlier plane has left, then begins; does not wait for readiness."""
        self.apply(self._plane)
        stale = await self._target.survey()
        await self._act(plan_stale(self._wanted(), stale))
        await self.step()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(_report)

    def apply(self, plane: Plane) -> None:
        """Another document is wanted from now on."""
        self._plane = plane
        self._wishes = want(plane, self._folder)
        self._wake.set()

    def retry(self, engine: str | None = None) -> None:
        """Forgets verdicts, so that what was given up is tried again."""
        for key, replica in list(self._replicas.items()):
            if replica.state in ("crash-loop", "failed") and engine in (None, replica.engine):
                self._target.forget(key)
                del self._replicas[key]
        self.apply(self._plane)

    async def settled(self) -> tuple[ReplicaStatus, ...]:
        """Returns when every wanted replica is ready or given up."""
        while not self._is_settled():
            await self._sleep(BUSY_S)
        return self.status()

    async def stop(self) -> None:
        """Ends the loop and then every replica; returns when none is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        now = self._clock.monotonic()
        for key, replica in self._replicas.items():
            if replica.is_live:
                self._replicas[key] = replace(
                    replica, state="draining", since=now, reason="the plane ends", is_stopping=True
                )
        self._announce()
        await self._target.close()
        self._observe()
        self._announce()

    def status(self) -> tuple[ReplicaStatus, ...]:
        """Every replica, in order."""
        seen = self._target.observe()
        wall_of = self._clock.wall() - self._clock.monotonic()
        return tuple(
            make_status(
                replica,
                kind=self._kind(key),
                weights=self._weights(key),
                startable=self._startables.get(key),
                seen=seen.get(key),
                ready_in_s=self._ready_in_s.get(key),
                wall_of=wall_of,
            )
            for key, replica in sorted(self._replicas.items())
        )

    async def step(self) -> tuple[Action, ...]:
        """One round; returns what was done."""
        self._look_again()
        self._observe()
        self._announce()
        actions = plan(self._wanted(), tuple(self._replicas.values()), self._clock.monotonic())
        await self._act(actions)
        self._announce()
        return actions

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            actions = await self.step()
            is_busy = actions or any(
                replica.state in ("starting", "draining", "backing-off")
                for replica in self._replicas.values()
            )
            await self._rest(BUSY_S if is_busy else QUIET_S)

    async def _rest(self, longest_s: float) -> None:
        happened = asyncio.ensure_future(self._wake.wait())
        passed = asyncio.ensure_future(self._sleep(longest_s))
        try:
            await asyncio.wait((happened, passed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            happened.cancel()
            passed.cancel()

    def _look_again(self) -> None:
        """Weights that have come, a program that was exchanged: then a verdict is out of date."""
        now = self._clock.monotonic()
        if now - self._looked_at < LOOK_AGAIN_S:
            return
        self._looked_at = now
        for name in {
            replica.engine
            for replica in self._replicas.values()
            if replica.state in ("crash-loop", "failed") and replica.engine in self._wishes
        }:
            self._wishes[name] = want_engine(name, self._plane.engines[name], self._folder)

    def _observe(self) -> None:
        now = self._clock.monotonic()
        for key, seen in self._target.observe().items():
            before = self._replicas.get(key)
            if before is None:
                continue
            in_flight = self._in_flight(before.target) if before.state == "draining" else 0
            after = fold(before, seen, now, in_flight)
            self._replicas[key] = after
            if after.state != before.state:
                self._note(before, after)

    def _note(self, before: Replica, after: Replica) -> None:
        key = (after.engine, after.index)
        if after.state == "ready":
            self._ready_in_s[key] = after.since - before.since
            _log.info("%s is ready after %.1f s", after.target, self._ready_in_s[key])
        elif after.state == "backing-off":
            _log.warning("%s crashed: %s", after.target, after.reason)

    async def _act(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            key = (action.engine, action.index)
            wish = self._wishes.get(action.engine)
            await act(action, self._replicas, self._wishes, self._target, self._clock.monotonic())
            if key not in self._replicas:
                self._startables.pop(key, None)
                self._ready_in_s.pop(key, None)
            elif isinstance(action, StartReplica | AdoptReplica) and wish and wish.startable:
                self._startables[key] = wish.startable
                self._ready_in_s.pop(key, None)
            _log.log(logging.ERROR if isinstance(action, GiveUp) else logging.INFO, "%s", action)

    def _announce(self) -> None:
        status = self.status()
        news = tuple(
            (one.target, one.state, one.reason, one.pid, one.port, one.restarts) for one in status
        )
        if news != self._announced:
            self._announced = news
            self._on_change(status)

    def _wanted(self) -> tuple[Wanted, ...]:
        return tuple(wish.wanted for wish in self._wishes.values())

    def _is_settled(self) -> bool:
        counts = dict.fromkeys(self._wishes, 0)
        for replica in self._replicas.values():
            wish = self._wishes.get(replica.engine)
            if wish is None or replica.digest != wish.wanted.digest:
                return False
            counts[replica.engine] += replica.state in ("ready", "crash-loop", "failed")
        return all(counts[name] == wish.wanted.spec.replicas for name, wish in self._wishes.items())

    def _kind(self, key: Key) -> str:
        startable, wish = self._startables.get(key), self._wishes.get(key[0])
        if startable is not None:
            return startable.adapter.kind
        return wish.wanted.spec.engine if wish is not None else ""

    def _weights(self, key: Key) -> str:
        wish = self._wishes.get(key[0])
        return wish.wanted.spec.weights if wish is not None else ""


def _report(task: asyncio.Task[None]) -> None:
    # Without the loop the engines run on, but nobody restarts them: that has to be seen.
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("the loop of the engines has ended", exc_info=error)
