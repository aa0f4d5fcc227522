"""The pulse: looks at the plane every other second and keeps the last quarter of an hour.

It feeds `/api/v1/now` and the console, and wakes their live streams. It knows no HTTP. Law: it
keeps every snapshot of the last minute and one in ten seconds before that, so its memory does not
grow with time.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from towplane.api.views import PlaneView
from towplane.monitoring.health import Health, look_at_targets, sum_up
from towplane.monitoring.now import Now, look
from towplane.monitoring.snapshot import Snapshot, snap
from towplane.parts.clock import Clock

__all__ = ["Point", "Pulse"]

EVERY_S = 2.0
FINE_S = 60.0
COARSE_S = 10.0
KEEP_S = 900.0

_log = logging.getLogger("towplane.api")


class Point(Struct, kw_only=True):
    """One step of the charts: what was measured in ten seconds. None: nothing was."""

    at: datetime
    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    amplification: float | None = None
    goodput: float | None = None
    ttft_p95_s: float | None = None
    itl_p95_s: float | None = None


class Pulse:
    """What the plane has counted, over time."""

    def __init__(self, view: PlaneView, clock: Clock | None = None) -> None:
        self._view = view
        self.clock = clock or Clock()
        self._snapshots: deque[Snapshot] = deque()
        self._beat = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self.trend: deque[Point] = deque(maxlen=int(KEEP_S / COARSE_S))
        """The charts' points, oldest first."""

    def now(self, window_s: float = FINE_S) -> Now | None:
        """The plane over the last `window_s`, at most a quarter of an hour; None before a look."""
        return look(self._snapshots, window_s=window_s)

    def targets(self, window_s: float) -> dict[str, Health]:
        """How each target has done over the last `window_s`; empty before a look."""
        return look_at_targets(self._snapshots, window_s=window_s)

    def groups(self, names: Mapping[str, Sequence[str]], window_s: float) -> dict[str, Health]:
        """The same for targets together; empty before a look."""
        return sum_up(self._snapshots, names, window_s=window_s)

    @property
    def kept(self) -> int:
        """How many snapshots are in memory."""
        return len(self._snapshots)

    async def look(self) -> None:
        """Take one snapshot and wake those who wait for it."""
        samples = await self._view.samples()
        snapshot = snap(self.clock.monotonic(), self.clock.wall(), samples)
        self._snapshots.append(snapshot)
        self._thin(snapshot.at)
        self._chart()
        async with self._beat:
            self._beat.notify_all()

    async def beats(self) -> AsyncIterator[None]:
        """Yields after each look; ends when the pulse ends."""
        while not self._ended:
            async with self._beat:
                await self._beat.wait()
            if not self._ended:
                yield

    def start(self) -> None:
        """Begin to look, in a task of the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Look no more; every stream ends."""
        self._ended = True
        async with self._beat:
            self._beat.notify_all()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - a door
                # The page shows the age of what it knows, and the next look may succeed.
                _log.exception("could not look at the plane")
            await asyncio.sleep(EVERY_S)

    def _thin(self, at: float) -> None:
        while self._snapshots[0].at < at - KEEP_S:
            self._snapshots.popleft()
        kept: deque[Snapshot] = deque()
        for snapshot in self._snapshots:
            is_old = snapshot.at < at - FINE_S - EVERY_S
            if is_old and kept and snapshot.at - kept[-1].at < COARSE_S:
                continue
            kept.append(snapshot)
        self._snapshots = kept

    def _chart(self) -> None:
        now = look(self._snapshots, window_s=COARSE_S)
        if now is None or now.window_s is None or now.window_s < COARSE_S - EVERY_S:
            return
        if self.trend and (now.at - self.trend[-1].at).total_seconds() < COARSE_S - EVERY_S / 2:
            return
        self.trend.append(
            Point(
                at=now.at,
                requests_per_s=now.requests_per_s,
                output_tokens_per_s=now.output_tokens_per_s,
                amplification=now.amplification,
                goodput=now.goodput,
                ttft_p95_s=now.ttft_p95.value_s if now.ttft_p95 else None,
                itl_p95_s=now.itl_p95.value_s if now.itl_p95 else None,
            )
        )
