"""The running plane: one process that composes the document, the workers, the engines, the books,
credentials and prices, and the admin port, and is what that shows (`api.views.PlaneView`).

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
from collections.abc import Coroutine
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from towplane.api.experiments import ArmsView, KeptScore, PostedScore
from towplane.api.explanations import Question, RequestExplanation, RouteExplanation
from towplane.api.provider_views import PriceView
from towplane.api.scores import RouteScores
from towplane.api.views import PlaneStatus
from towplane.cli import read_model as views
from towplane.cli.books import PlaneBooks
from towplane.cli.certificates import check_certificates, watch_certificates
from towplane.cli.credentials import PlaneCredentials
from towplane.cli.experiments import arms_view, post_score
from towplane.cli.explanation import make_account, make_explanation
from towplane.cli.front import Front
from towplane.cli.price_book import PlanePriceBook
from towplane.cli.price_view import price_views
from towplane.cli.scorers import load_scorers
from towplane.cli.scores import make_scores
from towplane.controller.discovery import Discovery
from towplane.controller.loop import Controller
from towplane.controller.status import ReplicaStatus
from towplane.document.load import Document
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError
from towplane.document.resolve import resolve_secrets
from towplane.document.watch import watch_document
from towplane.gateway.kv_following import KvFollowing
from towplane.gateway.messages import Explain
from towplane.gateway.scrape import Scraper
from towplane.gateway.snapshot import make_snapshot
from towplane.monitoring.series import Sample
from towplane.parts.errors import Conflict, PlaneError
from towplane.routing.discovery.address import Address
from towplane.tenants.windows import Account, Used

if TYPE_CHECKING:
    from towplane.api.server import AdminServer
    from towplane.api.tenancy import Tenancy

__all__ = ["RunningPlane"]

POLL_S = 0.1
"""How often the accounts are looked at for changes by other processes."""
REPORT_S = 1.0
_REPORTS_PER_LAG = 5
_MOMENT_S = 0.05
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
        self._scraper = Scraper(self.fleet.observed, now=front.clock.monotonic)
        self._caches = KvFollowing(self.fleet.kept)
        self.fleet.tell_newcomer = self._caches.everything
        self.serving = front.serving
        self.admin = ""
        self._clock = front.clock
        self._lock = front.lock
        self.credentials = PlaneCredentials(
            self.plane, front.secrets, self._credentials_changed, front.clock
        )
        self._scorers = load_scorers(self.plane)
        self.price_book = PlanePriceBook(self.data_dir, self._push, front.clock)
        self._books: PlaneBooks | None = None
        self.replicas: tuple[ReplicaStatus, ...] = ()
        self._snapshots = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._is_open = False
        self._admin: AdminServer | None = None
        self.pid = os.getpid()
        self.controller = Controller(
            self.plane,
            self.data_dir,
            self._replicas_changed,
            in_flight=self._in_flight,
            folder=path.parent,
        )
        self.discovery = Discovery(
            self.plane,
            self._addresses_changed,
            self.credentials.reveal,
            in_flight=self._in_flight_at,
            clock=front.clock,
        )
        self._is_pushing = False

    # Life

    async def start(self) -> None:
        """Open everything; returns when the serving port answers. Raises PlaneError."""
        opening = asyncio.create_task(self.price_book.hold(self.plane))  # beside what follows
        self._books = PlaneBooks(
            self.plane,
            self.data_dir,
            changed=self._push,
            reveal=self.credentials.reveal,
            prices=lambda: self.price_book.current,
            clock=self._clock,
        )
        self.fleet.keep_books(spent=self._spent, recover=self._books.recover)
        await asyncio.gather(
            self.controller.start(), self.credentials.start(), self.discovery.start()
        )
        await opening
        self._push()
        await self.fleet.serving()
        self._is_open = True
        for work in (
            self._polling, self._reporting, self._books.folding, self._books.pruning,
            self._books.alerts.watching, self._books.alerts.posting,
            self.credentials.renewing, self.credentials.watching, self.price_book.reading,
        ):  # fmt: skip
            self._run(work())
        self._run(watch_certificates(lambda: self.plane, self._push))

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
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._scraper.stop()
        await self._caches.stop()
        await self.fleet.stop(drain_s=self.plane.gateway.drain_s)
        if self._admin is not None:
            await self._admin.stop()
        await self.discovery.stop()
        await self.controller.stop()
        if self._books is not None:
            await self._books.close()
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
        scorers = load_scorers(new)
        await self.price_book.hold(new)
        self.credentials.hold(new, secrets)
        await self.discovery.hold(new)
        self.plane = new
        self._scorers = scorers
        self.document.applied(document)
        self.books.hold(new)
        self.controller.apply(new)
        self._push()

    # What the doors see

    @property
    def books(self) -> PlaneBooks:
        """Its ledger, accounts and alerts, once it has started."""
        assert self._books is not None
        return self._books

    @property
    def tenancy(self) -> "Tenancy":
        """Its tenants, keys and usage."""
        return self.books.tenancy

    @property
    def first_key(self) -> str | None:
        """The key of a fresh plane, while it works."""
        return self.books.first_key

    def status(self) -> PlaneStatus:
        """The plane as it stands."""
        return views.make_status(self, self.replicas, version("towplane"))

    def prices(self) -> list[PriceView]:
        """What each target of a route costs now."""
        return price_views(self.plane, self.price_book.current, self._clock.wall())

    async def samples(self) -> list[Sample]:
        """What the workers have counted."""
        await self.fleet.report()
        return self.fleet.tally.merged()

    async def explain(self, model: str, question: Question) -> RouteExplanation:
        """How the route of a model is decided now, as each worker stands."""
        assert self.fleet.snapshot is not None
        asked = Explain(0, model, question.body.encode(), question.path, question.tenant)
        return make_explanation(self.fleet.snapshot, await self.fleet.explain(asked), model)

    async def scores(self, model: str) -> RouteScores:
        """What a model's prompts scored lately, in all workers."""
        assert self.fleet.snapshot is not None
        await self.fleet.report()
        reports = [worker.report for worker in self.fleet.workers]
        return make_scores(self.fleet.snapshot, reports, model)

    async def arms(self, model: str, since: datetime | None) -> ArmsView:
        """The arms of a route, compared by the ledger."""
        routes = self.plane.routing
        return await self.books.asked(lambda books: arms_view(books, routes, model, since))

    async def post_score(self, model: str, posted: PostedScore) -> KeptScore:
        """Keep what the vendor thinks of an answer."""
        routes, now = self.plane.routing, self._clock.wall()
        return await self.books.asked(
            lambda books: post_score(books, routes, model, posted, now), fold=False
        )

    async def explain_request(self, request: str) -> RequestExplanation:
        """Where a past request went: what a worker remembers, and what the ledger knows."""
        answers = await self.fleet.explain(Explain(0, request=request))
        return make_account(request, answers, await self.books.attempts_of(request))

    # Private: what changes

    def _push(self) -> None:
        self._snapshots += 1
        snapshot = make_snapshot(
            self.plane,
            version=self._snapshots,
            pepper=self.books.pepper,
            tenants=self.books.tenants,
            keys=self.books.keys,
            credentials=self.credentials.current(),
            reveal=self.credentials.reveal,
            replicas=self.replicas,
            book=self.price_book.current,
            discovered=self.discovery.addresses(),
            scorers=self._scorers,
        )
        self.fleet.push(snapshot)
        self._scraper.hold(snapshot.targets)
        self._caches.hold(snapshot.targets)

    def _credentials_changed(self) -> None:
        if self._is_open:
            self._push()

    def _replicas_changed(self, replicas: tuple[ReplicaStatus, ...]) -> None:
        self.replicas = replicas
        if self._is_open:
            self._push()

    def _addresses_changed(self) -> None:
        """A rollout changes many, one after the other: those of a moment share a snapshot."""
        if self._is_open and not self._is_pushing:
            self._is_pushing = True
            asyncio.get_running_loop().call_later(_MOMENT_S, self._push_addresses)

    def _push_addresses(self) -> None:
        self._is_pushing = False
        self._push()

    def _in_flight_at(self, provider: str, address: Address) -> int:
        return sum(
            seen.in_flight
            for worker in self.fleet.workers
            if worker.report is not None
            for seen in worker.report.targets
            if seen.name.startswith(f"{provider}/") and seen.name.endswith(f"@{address.name}")
        )

    def _in_flight(self, target: str) -> int:
        return sum(
            seen.in_flight
            for worker in self.fleet.workers
            if worker.report is not None
            for seen in worker.report.targets
            if seen.name == target
        )

    async def _spent(self, account: Account, window: str) -> tuple[Used, dict[str, Used]]:
        return await self.books.spent(account, window, self.fleet.incarnations())

    # Private: loops

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def _polling(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            self.fleet.coordinator.sweep()
            self.books.look()

    async def _reporting(self) -> None:
        for turn in itertools.count():
            await asyncio.sleep(REPORT_S)
            await self.fleet.report()
            self.credentials.refused(self.fleet.refused_credentials())
            if turn % _REPORTS_PER_LAG == 0:
                await self.books.measure()

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


def _fixed(plane: Plane) -> tuple[object, ...]:
    """What was opened at the start and cannot be opened anew in a running plane."""
    gateway = plane.gateway
    return plane.data_dir, plane.admin, gateway.listen, gateway.workers, gateway.tls is None
