"""The books of a running plane: ledger, accounts and alerts, and what is done with them in threads.

Wiring of `tenants`; it decides nothing itself.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from towplane.api.explanations import AttemptRow
from towplane.api.tenancy import Tenancy
from towplane.api.views import LedgerView
from towplane.cli.explanation import attempt_row
from towplane.cli.loops import logged
from towplane.cli.read_model import LedgerState
from towplane.cli.tenant_costs import price_sources
from towplane.document.plane import Plane
from towplane.gateway.capacities import overflow_providers
from towplane.parts.clock import Clock
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.alerts.desk import AlertDesk, Standing
from towplane.tenants.consumption import overflow_used, used, used_by_worker
from towplane.tenants.first_key import ensure_first_key
from towplane.tenants.ledger import Ledger
from towplane.tenants.pricing.book import PriceBook
from towplane.tenants.windows import Account, Used

__all__ = ["PlaneBooks"]

FOLD_S = 0.5
"""How often the journal is folded into the ledger."""
BUSY_FOLD_S = 2.0
"""The same when much is going on: an attempt costs less in a large batch."""
_BUSY_EVENTS = 500
PRUNE_S = 600.0
_PRUNE_STEPS = 1000

_log = logging.getLogger("towplane.plane")

T = TypeVar("T")


class PlaneBooks:
    """Life: construct, which opens them → run the loops → close; `hold` with each new document."""

    def __init__(
        self,
        plane: Plane,
        data_dir: Path,
        *,
        changed: Callable[[], None],
        reveal: Callable[[str], str],
        prices: Callable[[], PriceBook],
        clock: Clock,
    ) -> None:
        self._plane = plane
        self._data_dir = data_dir
        self._tell = changed
        self._clock = clock
        self._state = LedgerState()
        self._lag: int | None = None
        self._seen_commit: int | None = None
        database = self._database = Database(data_dir / "ledger.sqlite")
        self._ledger = Ledger(database, data_dir / "journal")
        self._accounts = Accounts(database, data_dir, plane.tenants)
        self.alerts = AlertDesk(database, standing=self._standing, reveal=reveal, clock=clock)
        self.tenancy = Tenancy(
            lambda: self._accounts,
            self._ledger,
            database,
            changed=self._changed,
            fold=self._fold_all,
            sources=lambda: price_sources(self._plane, self._ledger, prices()),
        )
        self._recover_dead()
        self.first_key = ensure_first_key(self._accounts, data_dir, now=clock.wall())
        self._load()

    def hold(self, plane: Plane) -> None:
        """The accounts of this document."""
        self._plane = plane
        self._accounts = Accounts(self._database, self._data_dir, plane.tenants)
        self._load()

    @property
    def pepper(self) -> bytes:
        """What the digests of keys are made with."""
        return self._accounts.pepper

    def view(self) -> LedgerView:
        """As the doors show it."""
        return self._state.view(self._lag)

    def look(self) -> None:
        """Tell of changes to the accounts by other processes; cheap while nobody commits."""
        commit = self._database.last_commit_ns()
        if commit is not None and commit == self._seen_commit:
            return
        with logged("reading the accounts"):
            if self._accounts.version() != self._version:
                self._changed()
            self._seen_commit = commit

    async def attempts_of(self, request: str) -> list[AttemptRow]:
        """What the ledger says of one request; what the journal has is folded first."""
        await asyncio.to_thread(self._fold_all)
        return [
            attempt_row(row) for row in await asyncio.to_thread(self._ledger.attempts_of, request)
        ]

    async def asked(self, question: Callable[[Database], T], *, fold: bool = True) -> T:
        """Ask the database in a thread; what the journal has is folded first."""

        def ask() -> T:
            if fold:
                self._fold_all()
            return question(self._database)

        return await asyncio.to_thread(ask)

    async def measure(self) -> None:
        """How far the ledger is behind; this reads what it counts."""
        with logged("measuring the ledger's lag"):
            self._lag = await asyncio.to_thread(self._ledger.lag)

    async def spent(
        self, account: Account, window: str, living: list[str]
    ) -> tuple[Used, dict[str, Used]]:
        """What an account has used in a window, and of it each living worker, by its journal."""
        return await asyncio.to_thread(self._spent_now, account, window, living)

    async def recover(self, incarnation: str) -> dict[tuple[Account, str], Used]:
        """Settle what a dead worker left open; returns what it has used."""
        return await asyncio.to_thread(self._recover_now, incarnation)

    async def folding(self) -> None:
        """Fold the journal into the ledger, without end."""
        pause_s = FOLD_S
        while True:
            await asyncio.sleep(pause_s)
            with logged("folding the journal"):
                events = await asyncio.to_thread(self._fold)
                pause_s = FOLD_S if events < _BUSY_EVENTS else BUSY_FOLD_S

    async def pruning(self) -> None:
        """Drop attempts that are older than they are kept, without end."""
        while True:
            await asyncio.sleep(PRUNE_S)
            before = self._clock.wall() - self._plane.monitoring.keep_attempts_s
            with logged("pruning the ledger"):
                for _ in range(_PRUNE_STEPS):
                    if not await asyncio.to_thread(self._ledger.prune, before):
                        break
                    await asyncio.sleep(0.1)

    async def close(self) -> None:
        """Fold what is left."""
        await asyncio.to_thread(self._fold_all)
        self._database.close()

    # Private: the accounts

    def _standing(self) -> Standing:
        plane = self._plane
        return Standing(plane.plane, self.tenants, self.keys, plane.tenant_alerts)

    def _load(self) -> None:
        self._version = self._accounts.version()
        self.tenants = self._accounts.tenants()
        self.keys = self._accounts.keys()

    def _changed(self) -> None:
        self._load()
        self._tell()

    # Private: the ledger, but for its opening always in a thread

    def _recover_dead(self) -> None:
        for recovered in self._ledger.recover_dead(self._clock.wall()):
            if recovered.attempts:
                _log.warning(
                    "settled %d attempts as estimated that a crash had left open (journal %s)",
                    recovered.attempts,
                    recovered.incarnation,
                )

    def _spent_now(
        self, account: Account, window: str, living: list[str]
    ) -> tuple[Used, dict[str, Used]]:
        self._fold_all()
        if account.kind == "overflow":
            with self._database.read() as connection:
                providers = overflow_providers(self._plane.routing, account.name)
                return overflow_used(connection, account.name, providers, window), {}
        with self._database.read() as connection:  # one snapshot of both
            by_worker = {
                name: used_by_worker(connection, name).get((account, window), Used())
                for name in living
            }
            return used(connection, account, window), by_worker

    def _recover_now(self, incarnation: str) -> dict[tuple[Account, str], Used]:
        recovered = self._ledger.recover(incarnation, self._clock.wall())
        if recovered.attempts:
            _log.warning("settled %d attempts of the dead worker", recovered.attempts)
        with self._database.read() as connection:
            return used_by_worker(connection, incarnation)

    def _fold_all(self) -> None:
        self._fold()

    def _fold(self) -> int:
        """Fold all there is; returns how many events it was."""
        events = 0
        is_end = False
        while not is_end:
            result = self._ledger.fold()
            is_end = self._state.note(result)
            events += result.events
        return events
