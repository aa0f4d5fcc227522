"""The running plane: one process that composes the document, the workers, the engines, the ledger
and the admin port, and is what the admin port shows (`api.views.PlaneView`).

Everything here is wiring. What is decided is decided elsewhere, by the rooms and the gateway; what
changes comes back here and goes out to the workers as a new snapshot.
"""

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import signal
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from towplane.api.tenancy import Tenancy
from towplane.api.views import PlaneStatus, PriceView, RouteExplanation
from towplane.cli import read_model as views
from towplane.cli.credentials import PlaneCredentials
from towplane.cli.explanation import make_explanation
from towplane.cli.front import Front, certificate_files, check_certificates
from towplane.cli.price_view import price_views
from towplane.cli.tenant_costs import price_sources
from towplane.controller.loop import Controller
from towplane.controller.status import ReplicaStatus
from towplane.document.load import Document
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError
from towplane.document.resolve import resolve_secrets
from towplane.document.watch import watch_document
from towplane.gateway.price_lists import questions_of
from towplane.gateway.snapshot import make_snapshot
from towplane.monitoring.series import Sample
from towplane.parts.errors import Conflict, PlaneError
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.alerts.desk import AlertDesk, Standing
from towplane.tenants.consumption import used, used_by_worker
from towplane.tenants.first_key import ensure_first_key
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.ledger import Ledger
from towplane.tenants.pricing.book import NO_BOOK, PriceBook, open_book
from towplane.tenants.windows import Account, Used

if TYPE_CHECKING:
    from towplane.api.server import AdminServer

__all__ = ["RunningPlane"]

FOLD_S = 0.5
"""How often the journal is folded into the ledger."""
BUSY_FOLD_S = 2.0
"""The same when much is going on: an attempt costs less in a large batch."""
_BUSY_EVENTS = 500
POLL_S = 0.1
"""How often the accounts are looked at for changes by other processes."""
REPORT_S = 1.0
_REPORTS_PER_LAG = 5  # measuring the lag reads what it counts
PRUNE_S = 600.0
PRICES_S = 3600.0
"""How often the price book is looked at: somebody may have installed a newer one."""
_PRUNE_STEPS = 1000
_COLLECT_AFTER = 20_000  # objects; a fold makes and frees that many

_log = logging.getLogger("towplane.plane")


class RunningPlane:
    """Life: construct → start → (document changes) → stop."""

    def __init__(self, document: Document, path: Path, front: Front) -> None:
        self._path = path
        self.document = views.DocumentState(document, path)
        self.plane = document.plane
        self.data_dir = front.data_dir
        self.started_at = time.time()
        self.fleet = front.fleet
        self.serving = front.serving
        self.admin = ""
        self.first_key: str | None = None
        self.ledger_state = views.LedgerState()
        self._clock = front.clock
        self._lock = front.lock
        self.credentials = PlaneCredentials(
            self.plane, front.secrets, self._credentials_changed, front.clock
        )
        self._tenants: list[TenantRecord] = []
        self._keys: list[KeyRecord] = []
        self._accounts_version = -1
        self.replicas: tuple[ReplicaStatus, ...] = ()
        self.book = NO_BOOK
        self._snapshots = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = False
        self._lag: int | None = None
        self._admin: AdminServer | None = None
        self.pid = os.getpid()
        self._database: Database | None = None
        self.controller = Controller(
            self.plane,
            self.data_dir,
            self._replicas_changed,
            in_flight=self._in_flight,
            folder=path.parent,
        )

    # Life

    async def start(self) -> None:
        """Open everything; returns when the serving port answers. Raises PlaneError."""
        opening = asyncio.create_task(self._open_price_book(self.plane))  # beside what follows
        self._open_books()
        self.fleet.keep_books(spent=self._spent, recover=self._recover)
        await asyncio.gather(self.controller.start(), self.credentials.start())
        self.book = await opening
        self._push()
        await self.fleet.serving()
        self._is_open = True
        for work in (
            self._folding, self._polling, self._reporting, self._pruning, self._renewing,
            self.credentials.renewing, self.credentials.watching, self._reading_prices,
            self._alerts.watching, self._alerts.posting,
        ):  # fmt: skip
            self._run(work())

    async def open_admin(self) -> None:
        """Open the admin port, and tell other commands where this plane is."""
        from towplane.api.server import AdminServer
        from towplane.console.pages import pages

        token = self.plane.admin.token
        self._admin = AdminServer(
            self,
            listen=self.plane.admin.listen,
            token=self.credentials.reveal(token) if token is not None else None,
            pages=pages,
        )
        self.admin = await self._admin.start()
        self._announce()
        self._run(self._watching())
        # What is here by now stays; the collector need not look at it, nor after each 700 events.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, 10, 10)

    async def stop(self) -> None:
        """Drain the workers, stop the engines, fold what is left; nothing stays behind.

        Also after a start that failed half-way.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.fleet.stop(drain_s=self.plane.gateway.drain_s)
        if self._admin is not None:
            await self._admin.stop()
        await self.controller.stop()
        if self._database is not None:
            await asyncio.to_thread(self._fold_all)
            self._database.close()
        with contextlib.suppress(FileNotFoundError):
            (self.data_dir / "plane.json").unlink()
        os.close(self._lock)

    def kill(self) -> NoReturn:
        """End at once; engines and workers go with this process, by the kernel's hand."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def _announce(self) -> None:
        """Write `plane.json`, by which other commands find this plane."""
        found = {
            "pid": os.getpid(),
            "started_at": datetime.fromtimestamp(self.started_at, UTC).isoformat(),
            "serving": self.serving,
            "admin": self.admin,
        }
        draft = self.data_dir / ".plane.json"
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        draft.rename(self.data_dir / "plane.json")

    async def _apply(self, document: Document) -> None:
        """A valid new document takes effect. Raises PlaneError, changing nothing, if it cannot."""
        new = document.plane
        if _fixed(new) != _fixed(self.plane):
            raise Conflict(
                "data_dir, admin, gateway.listen, gateway.workers, and whether there is a "
                "gateway.tls change only with a restart of the plane.",
                next_step="Restart `towplane up`, or take this change back.",
            )
        secrets = await asyncio.to_thread(resolve_secrets, document, os.environ)
        check_certificates(new)
        self.book = await self._open_price_book(new)
        self.credentials.hold(new, secrets)
        self.plane = new
        self.document.applied(document)
        assert self._database is not None
        self._accounts = Accounts(self._database, self.data_dir, new.tenants)
        self._load_accounts()
        self.controller.apply(new)
        self._push()

    # What the doors see

    def status(self) -> PlaneStatus:
        """The plane as it stands."""
        return views.make_status(self, self.replicas, self._lag, version("towplane"))

    def prices(self) -> list[PriceView]:
        """What each target of a route costs now."""
        return price_views(self.plane, self.book, self._clock.wall())

    async def samples(self) -> list[Sample]:
        """What the workers have counted."""
        await self.fleet.report()
        return self.fleet.tally.merged()

    async def explain(self, model: str) -> RouteExplanation:
        """How the route of a model is decided now, as each worker stands."""
        await self.fleet.report()
        assert self.fleet.snapshot is not None
        return make_explanation(self.fleet.snapshot, self.fleet.workers, model)

    # Private: opening

    def _open_books(self) -> None:
        database = self._database = Database(self.data_dir / "ledger.sqlite")
        self.ledger = Ledger(database, self.data_dir / "journal")
        self._accounts = Accounts(database, self.data_dir, self.plane.tenants)
        self._alerts = AlertDesk(
            database, standing=self._standing, reveal=self.credentials.reveal, clock=self._clock
        )
        self.tenancy = Tenancy(
            lambda: self._accounts,
            self.ledger,
            database,
            changed=self._changed,
            fold=self._fold_all,
            sources=lambda: price_sources(self.plane, self.ledger, self.book),
        )
        for recovered in self.ledger.recover_dead(self._clock.wall()):
            if recovered.attempts:
                _log.warning(
                    "settled %d attempts as estimated that a crash had left open (journal %s)",
                    recovered.attempts,
                    recovered.incarnation,
                )
        self.first_key = ensure_first_key(self._accounts, self.data_dir, now=self._clock.wall())
        self._load_accounts()

    def _standing(self) -> Standing:
        return Standing(self.plane.plane, self._tenants, self._keys, self.plane.tenant_alerts)

    def _load_accounts(self) -> None:
        self._accounts_version = self._accounts.version()
        self._tenants = self._accounts.tenants()
        self._keys = self._accounts.keys()

    # Private: what changes

    def _push(self) -> None:
        self._snapshots += 1
        self.fleet.push(
            make_snapshot(
                self.plane,
                version=self._snapshots,
                pepper=self._accounts.pepper,
                tenants=self._tenants,
                keys=self._keys,
                credentials=self.credentials.current(),
                reveal=self.credentials.reveal,
                replicas=self.replicas,
                book=self.book,
            )
        )

    def _changed(self) -> None:
        self._load_accounts()
        self._push()

    def _credentials_changed(self) -> None:
        if self._is_open:
            self._push()

    def _replicas_changed(self, replicas: tuple[ReplicaStatus, ...]) -> None:
        self.replicas = replicas
        if self._is_open:
            self._push()

    def _in_flight(self, target: str) -> int:
        return sum(
            seen.in_flight
            for worker in self.fleet.workers
            if worker.report is not None
            for seen in worker.report.targets
            if seen.name == target
        )

    # Private: the ledger, always in a thread

    async def _spent(self, account: Account, window: str) -> tuple[Used, dict[str, Used]]:
        living = self.fleet.incarnations()
        return await asyncio.to_thread(self._spent_now, account, window, living)

    def _spent_now(
        self, account: Account, window: str, living: list[str]
    ) -> tuple[Used, dict[str, Used]]:
        self._fold_all()
        assert self._database is not None
        with self._database.read() as connection:  # one snapshot of both
            by_worker = {
                name: used_by_worker(connection, name).get((account, window), Used())
                for name in living
            }
            return used(connection, account, window), by_worker

    async def _recover(self, incarnation: str) -> dict[tuple[Account, str], Used]:
        return await asyncio.to_thread(self._recover_now, incarnation)

    def _recover_now(self, incarnation: str) -> dict[tuple[Account, str], Used]:
        recovered = self.ledger.recover(incarnation, self._clock.wall())
        if recovered.attempts:
            _log.warning("settled %d attempts of the dead worker", recovered.attempts)
        assert self._database is not None
        with self._database.read() as connection:
            return used_by_worker(connection, incarnation)

    def _fold_all(self) -> None:
        self._fold()

    def _fold(self) -> int:
        """Fold all there is; returns how many events it was."""
        events = 0
        is_end = False
        while not is_end:
            result = self.ledger.fold()
            is_end = self.ledger_state.note(result)
            events += result.events
        return events

    # Private: loops

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def _folding(self) -> None:
        pause_s = FOLD_S
        while True:
            await asyncio.sleep(pause_s)
            with _logged("folding the journal"):
                events = await asyncio.to_thread(self._fold)
                pause_s = FOLD_S if events < _BUSY_EVENTS else BUSY_FOLD_S

    async def _polling(self) -> None:
        assert self._database is not None
        seen: int | None = None
        while True:
            await asyncio.sleep(POLL_S)
            self.fleet.coordinator.sweep()
            commit = self._database.last_commit_ns()
            if commit is not None and commit == seen:
                continue
            with _logged("reading the accounts"):
                if self._accounts.version() != self._accounts_version:
                    self._changed()
                seen = commit

    async def _reporting(self) -> None:
        for turn in itertools.count():
            await asyncio.sleep(REPORT_S)
            await self.fleet.report()
            self.credentials.refused(self.fleet.refused_credentials())
            if turn % _REPORTS_PER_LAG == 0:
                with _logged("measuring the ledger's lag"):
                    self._lag = await asyncio.to_thread(self.ledger.lag)

    async def _renewing(self) -> None:
        """A renewed certificate takes effect for new connections, without a new document."""
        known = _certificate_dates(self.plane)
        while True:
            await asyncio.sleep(REPORT_S)
            found = _certificate_dates(self.plane)
            if found in (known, ()):
                continue
            known = found
            with _logged("reading the renewed certificate"):
                check_certificates(self.plane)
                self._push()

    async def _open_price_book(self, plane: Plane) -> PriceBook:
        questions = questions_of(plane, self._clock.wall())
        return await asyncio.to_thread(open_book, self.data_dir, questions)

    async def _reading_prices(self) -> None:
        """A newer price book takes effect, and a broken one is tried again."""
        while True:
            await asyncio.sleep(PRICES_S)
            with _logged("reading the price book"):
                before = self.book
                self.book = await self._open_price_book(self.plane)
                if (before.package, before.trouble) != (self.book.package, self.book.trouble):
                    self._push()

    async def _watching(self) -> None:
        """Every new document takes effect, or is refused with all that is wrong with it."""
        async for found in watch_document(self._path, self.document.current.digest):
            try:
                if isinstance(found, DocumentError):
                    raise found
                await self._apply(found)
                _log.warning("the new document is in force (%s)", found.digest[:12])
            except DocumentError as refusal:
                self.document.refused(views.errors_of(refusal))
                _log.error("the new document is refused, the old one stays: %s", refusal.say)
            except PlaneError as refusal:
                self.document.refused([views.error_of(refusal)])
                _log.error("the new document is refused, the old one stays: %s", refusal.say)

    async def _pruning(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_S)
            before = self._clock.wall() - self.plane.monitoring.keep_attempts_s
            with _logged("pruning the ledger"):
                for _ in range(_PRUNE_STEPS):
                    if not await asyncio.to_thread(self.ledger.prune, before):
                        break
                    await asyncio.sleep(0.1)


def _fixed(plane: Plane) -> tuple[object, ...]:
    """What was opened at the start and cannot be opened anew in a running plane."""
    gateway = plane.gateway
    return plane.data_dir, plane.admin, gateway.listen, gateway.workers, gateway.tls is None


def _certificate_dates(plane: Plane) -> tuple[int, ...]:
    """When the certificates and keys of both sides were written; empty where one is missing."""
    with contextlib.suppress(FileNotFoundError):
        return tuple(os.stat(path).st_mtime_ns for path in certificate_files(plane))
    return ()


@contextlib.contextmanager
def _logged(what: str) -> Iterator[None]:
    """A loop of the plane goes on after an error that may pass, and says what it was."""
    try:
        yield
    except PlaneError as error:
        _log.error("%s failed: %s %s", what, error.say, error.next_step)
