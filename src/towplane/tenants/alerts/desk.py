"""The plane process's side of alerts: looks at what was used, and tells who wants to hear of it.

Two loops beside serving, which wait for nothing that serves. What is decided is in `watch`, what is
kept in `outbox`. The laws: a message that was noted is sent at least once, also over restarts, or
is listed as failed; looking takes at most a twentieth of one processor, however large the ledger.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import sqlalchemy as sa

from towplane.parts.clock import Clock
from towplane.parts.errors import PlaneError
from towplane.parts.storage import Database
from towplane.tenants.alerts import outbox
from towplane.tenants.alerts.message import GIVE_UP_S, SIGNATURE, body_of, next_try_s, sign
from towplane.tenants.alerts.usage import read_usage
from towplane.tenants.alerts.watch import Watched, crossings, watched
from towplane.tenants.alerts.wire import Undelivered, post
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.measures import mode_of
from towplane.tenants.spec import Alerts

__all__ = ["AlertDesk", "Standing"]

LOOK_S = 2.0
POST_S = 1.0
_SHARE = 20
"""A look is followed by a pause of so many times its length, at least."""
_MOST_AT_ONCE = 16
_PRUNE_EVERY = 1000

_log = logging.getLogger("towplane.alerts")


class Standing(NamedTuple):
    """What holds now: the plane's name, its accounts, and who is told by default."""

    plane: str
    tenants: list[TenantRecord]
    keys: list[KeyRecord]
    default: Alerts


class AlertDesk:
    """Life: construct → run both loops; `standing` is asked each time."""

    def __init__(
        self,
        database: Database,
        *,
        standing: Callable[[], Standing],
        reveal: Callable[[str], str],
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._standing = standing
        self._reveal = reveal
        """Gives the secret of a reference of the document."""
        self._now = clock.wall
        self._random = jitter
        self._sending: dict[int, asyncio.Task[bool]] = {}
        """What is on its way, by its number."""

    async def watching(self) -> None:
        """Note what comes near, without end."""
        looks = 0
        while True:
            began = time.perf_counter()
            with _logged("looking at what tenants used"):
                await asyncio.to_thread(self.look)
            if looks % _PRUNE_EVERY == 0:
                with _logged("forgetting old alerts"):
                    await asyncio.to_thread(self._prune)
            looks += 1
            await asyncio.sleep(max(LOOK_S, _SHARE * (time.perf_counter() - began)))

    async def posting(self) -> None:
        """Send what waits, without end; what hangs holds up nothing else."""
        try:
            while True:
                with _logged("sending alerts"):
                    await self._start_due()
                await asyncio.sleep(POST_S)
        finally:
            for task in self._sending.values():
                task.cancel()

    def look(self) -> int:
        """Note what has been reached; how much is new. Takes as long as the database takes."""
        standing = self._standing()
        found = watched(standing.tenants, standing.keys, standing.default)
        if not found:
            return 0
        now = self._now()
        used = read_usage(self._database, found, now)
        near = [(one, crossing) for one in found for crossing in crossings(one, used, now)]
        if not near:
            return 0
        with self._database.write() as connection:
            rows = [(crossing, one.alerts.webhook is not None) for one, crossing in near]
            return outbox.note(connection, rows, now)

    async def send_due(self) -> int:
        """Try everything that is due once, to the end; how much was taken."""
        await self._start_due()
        return sum(await asyncio.gather(*self._sending.values()))

    async def _start_due(self) -> None:
        # Also one that ends while the database is read: what was read may not know that yet.
        under_way = set(self._sending)
        found = await asyncio.to_thread(self._due)
        standing = self._standing()
        near = watched(standing.tenants, standing.keys, standing.default) if found else []
        by_account = {(one.account.kind, one.account.name): one for one in near}
        for one in found:
            if one.number in under_way or len(self._sending) >= _MOST_AT_ONCE:
                continue
            whose = by_account.get((one.alert.kind, one.alert.name))
            task = asyncio.create_task(self._send(one, whose, standing))
            self._sending[one.number] = task
            task.add_done_callback(partial(self._forget, one.number))

    def _forget(self, number: int, _: "asyncio.Task[bool]") -> None:
        del self._sending[number]

    def _due(self) -> list[outbox.Due]:
        with self._database.read() as connection:
            return outbox.due(connection, self._now(), 2 * _MOST_AT_ONCE)

    async def _send(self, one: outbox.Due, whose: Watched | None, standing: Standing) -> bool:
        """One try. The webhook and its secret are those of now, not those of when it was noted."""
        alert = one.alert
        if whose is None or whose.alerts.webhook is None:
            await self._end(one, "listed", "there is no webhook any more")
            return False
        mode = mode_of(alert.measure, whose.limits, whose.budget)
        body = body_of(alert, plane=standing.plane, mode=mode)
        headers = {
            "content-type": "application/json",
            "user-agent": "towplane",
            "towplane-event-id": alert.id,
        }
        try:
            if whose.alerts.secret is not None:
                secret = self._reveal(whose.alerts.secret)
                headers[SIGNATURE] = sign(body, secret, self._now())
            status = await post(
                whose.alerts.webhook, body, headers, public_only=whose.alerts.public_only
            )
            trouble = "" if 200 <= status < 300 else f"it answered {status}"
        except Undelivered as error:
            trouble = str(error)
        except PlaneError as error:  # the secret cannot be read now
            trouble = error.say
        if trouble:
            await self._fail(one, trouble)
        else:
            await self._end(one, "sent")
        return not trouble

    async def _fail(self, one: outbox.Due, trouble: str) -> None:
        now, alert = self._now(), one.alert
        if now - alert.at.timestamp() >= GIVE_UP_S:
            await self._end(one, "failed", trouble)
            _log.error("alert %s of tenant %s is given up: %s", alert.id, alert.tenant, trouble)
            return
        if alert.tries == 0:
            _log.warning("alert %s of tenant %s waits: %s", alert.id, alert.tenant, trouble)
        due_at = now + next_try_s(alert.tries, self._random())
        await self._write(partial(outbox.try_later, number=one.number, due_at=due_at,
                                  trouble=trouble))  # fmt: skip

    async def _end(self, one: outbox.Due, state: str, trouble: str = "") -> None:
        await self._write(
            partial(outbox.end, number=one.number, state=state, now=self._now(), trouble=trouble)
        )

    async def _write(self, change: Callable[[sa.Connection], None]) -> None:
        def write() -> None:
            with self._database.write() as connection:
                change(connection)

        with _logged("noting what became of an alert"):  # else it is sent again
            await asyncio.to_thread(write)

    def _prune(self) -> None:
        with self._database.write() as connection:
            outbox.prune(connection, self._now())


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    try:
        yield
    except PlaneError as error:
        _log.error("%s failed: %s %s", what, error.say, error.next_step)
