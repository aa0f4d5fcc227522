"""Keeps the credentials of all providers fresh, in the plane process.

`Holding` is one credential and what is known of it: pure, its clock passed in. `Refresher` runs
those that are due, each in a thread, and tells when what workers should use is another than before.

The law: a credential is used until it really ends, whatever its renewal says; then it says why
there is none.
"""

import asyncio
import gc
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from towplane.parts.clock import Clock
from towplane.parts.errors import PlaneError
from towplane.parts.threads import run_aside
from towplane.providers.adapter import Credential
from towplane.providers.credentials.schedule import next_refresh, next_try
from towplane.providers.credentials.source import Issued, NotIssued, Source

__all__ = ["CredentialState", "Holding", "Refresher"]

_log = logging.getLogger("towplane.credentials")

WITHIN_S = 60.0
"""An SDK that takes longer is left to itself; its thread ends when it does."""
_HURRY_S = 30.0
"""A credential that a provider refused is renewed at most as often."""
_ASLEEP_S = 3600.0

Pools = Mapping[str, Sequence[Source]]
Run = Callable[[Callable[[], Issued]], Awaitable[Issued]]


class CredentialState(NamedTuple):
    """One credential at a moment, without its secret."""

    name: str
    how: str
    state: Literal["ready", "missing"]
    trouble: str
    """Why there is none, or why the last renewal failed."""
    expires_at: float | None
    refresh_at: float | None
    """When it is renewed next; None: only when its secret changes."""


@dataclass(slots=True)
class Holding:
    """One credential: where it comes from, and what came."""

    source: Source
    issued: Issued | None = None
    due_at: float = 0.0
    """When it is to be got (again); infinite: never by itself."""
    issued_at: float = float("-inf")
    failures: int = 0
    trouble: str = "not asked for yet"
    is_running: bool = False

    def obtained(self, issued: Issued, now: float) -> None:
        """It came."""
        self.issued, self.issued_at = issued, now
        self.failures, self.trouble = 0, ""
        if issued.expires_at is not None:
            self.due_at = next_refresh(issued.expires_at, now)
        elif self.source.recheck_s is not None:
            self.due_at = now + self.source.recheck_s
        else:
            self.due_at = float("inf")

    def failed(self, say: str, now: float, chance: float) -> None:
        """It did not come; what there is goes on."""
        self.failures += 1
        self.trouble = say
        self.due_at = next_try(self.failures, now, chance)

    def hurry(self, now: float) -> None:
        """The provider refused it, or its secret is another one."""
        if now - self.issued_at >= _HURRY_S and not self.failures:
            self.due_at = now

    def is_over(self, now: float) -> bool:
        """Whether what there is has ended."""
        ends_at = self.issued.expires_at if self.issued is not None else None
        return ends_at is not None and ends_at <= now

    def wakes_at(self, now: float) -> float:
        """When something happens to it next."""
        ends_at = self.issued.expires_at if self.issued is not None else None
        due_at = float("inf") if self.is_running else self.due_at
        return min(due_at, ends_at) if ends_at is not None and ends_at > now else due_at

    def credential(self, now: float) -> Credential:
        """What workers should use."""
        name = self.source.name
        if self.issued is None:
            return Credential(name, trouble=self.trouble or "not there yet")
        if self.is_over(now):
            return Credential(name, trouble=f"it ended and was not renewed: {self.trouble}")
        return Credential(name, self.issued.headers, self.issued.aws)

    def state(self, now: float) -> CredentialState:
        """For people."""
        is_ready = self.issued is not None and not self.is_over(now)
        return CredentialState(
            name=self.source.name,
            how=self.source.how,
            state="ready" if is_ready else "missing",
            trouble=self.trouble,
            expires_at=self.issued.expires_at if self.issued is not None else None,
            refresh_at=self.due_at if self.due_at < float("inf") else None,
        )


class Refresher:
    """Life: construct → hold → obtain → run; `hold` again with each new document."""

    def __init__(
        self,
        changed: Callable[[], None],
        clock: Clock,
        *,
        run: Run | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._changed = changed
        self._now = clock.wall
        self._run_blocking = run or _in_thread
        self._chance = chance
        self._pools: dict[str, list[Holding]] = {}
        self._told: dict[str, tuple[Credential, ...]] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, pools: Pools) -> None:
        """Keep these from now on; one that is made of the same as before is the same."""
        known = {
            (one.source.name, one.source.made_of): one
            for pool in self._pools.values()
            for one in pool
        }
        self._pools = {
            name: [known.get((one.name, one.made_of)) or Holding(one) for one in sources]
            for name, sources in pools.items()
        }
        for one in self._all():
            if one.source.is_instant:
                self._obtain_now(one)  # costs nothing, and its secret may be another one
        self._wake.set()

    async def obtain(self, within_s: float) -> None:
        """Get what is missing, all at once; what takes longer comes when it comes."""
        self._start_due()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)

    async def run(self) -> None:
        """Renew what is due, without end."""
        while True:
            self._start_due()
            self._tell()
            now = self._now()
            wakes = min((one.wakes_at(now) for one in self._all()), default=float("inf"))
            self._wake.clear()
            try:
                async with asyncio.timeout(max(0.0, min(wakes - now, _ASLEEP_S))):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def credentials(self) -> dict[str, tuple[Credential, ...]]:
        """What workers should use, by provider."""
        now = self._now()
        self._told = {
            name: tuple(one.credential(now) for one in pool)
            for name, pool in self._pools.items()
            if pool
        }
        return self._told

    def states(self, provider: str) -> list[CredentialState]:
        """The credentials of a provider, for people."""
        now = self._now()
        return [one.state(now) for one in self._pools.get(provider, ())]

    def references(self, names: Collection[str]) -> set[str]:
        """The secrets that these credentials read."""
        found = (one.source.references for one in self._all() if one.source.name in names)
        return {reference for each in found for reference in each}

    def secrets_changed(self, references: Collection[str]) -> None:
        """Secrets have new values: what is made of them is got anew, at once."""
        for one in self._all():
            if one.source.references.intersection(references):
                if one.source.is_instant:
                    self._obtain_now(one)
                else:
                    one.due_at = self._now()
        self._wake.set()

    def refused(self, names: Collection[str]) -> None:
        """A provider refused these: a new one may be better."""
        now = self._now()
        for one in self._all():
            if one.source.name in names and not one.source.is_instant:
                one.hurry(now)
        self._wake.set()

    # Private

    def _all(self) -> list[Holding]:
        return [one for pool in self._pools.values() for one in pool]

    def _start_due(self) -> None:
        now = self._now()
        for one in self._all():
            if one.due_at <= now and not one.is_running:
                one.is_running = True
                task = asyncio.get_running_loop().create_task(self._obtain(one))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _obtain(self, one: Holding) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                issued = await self._run_blocking(one.source.issue)
        except (PlaneError, TimeoutError) as error:
            self._failed(one, error)
        else:
            self._obtained(one, issued)
        finally:
            one.is_running = False
            self._wake.set()

    def _obtain_now(self, one: Holding) -> None:
        try:
            self._obtained(one, one.source.issue())
        except PlaneError as error:
            self._failed(one, error)

    def _obtained(self, one: Holding, issued: Issued) -> None:
        if one.failures:
            _log.warning("the credential %s is there again", one.source.name)
        one.obtained(issued, self._now())

    def _failed(self, one: Holding, error: PlaneError | TimeoutError) -> None:
        if isinstance(error, PlaneError):
            say = f"{error.say} {error.next_step}".strip()
        else:
            say = f"no answer within {WITHIN_S:.0f} s"
        if say != one.trouble:  # once for each reason, not once for each try
            _log.warning("the credential %s cannot be got: %s", one.source.name, say)
        one.failed(say, self._now(), self._chance())

    def _tell(self) -> None:
        told = self._told
        if self.credentials() != told:
            self._changed()


async def _in_thread(issue: Callable[[], Issued]) -> Issued:
    def work() -> Issued:
        try:
            return issue()
        finally:
            # An SDK leaves rings of objects (botocore 1.44: 3,800, 1.5 MiB), and the plane process
            # looks for rings so rarely that they would be its largest part within days.
            gc.collect(1)

    try:
        return await run_aside(work)
    except PlaneError:
        raise
    except Exception as error:
        # A door to packages of others: what they raise unforeseen must not end the refreshing, and
        # may hold a secret.
        raise NotIssued(f"its package failed with {type(error).__name__}") from error
