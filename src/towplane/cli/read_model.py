"""The running plane drawn as the structs of `api.views`. Pure: values in, values out."""

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from towplane.api.provider_views import PricesView, UnpricedView
from towplane.api.views import (
    DocumentError,
    DocumentView,
    LedgerView,
    PlaneStatus,
    RouteView,
    Slos,
    TargetState,
    TargetView,
    WorkerView,
)
from towplane.cli.engine_view import engine_view
from towplane.cli.provider_view import discovery_view, provider_views
from towplane.controller.status import ReplicaStatus
from towplane.document.load import Document
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError as Refusal
from towplane.gateway.fleet import Fleet, WorkerStatus
from towplane.gateway.messages import TargetInfo
from towplane.gateway.price_lists import unpriced_targets
from towplane.gateway.snapshot import Discovered, provider_targets
from towplane.parts.errors import PlaneError
from towplane.routing.spec import RouteSpec, TargetSpec
from towplane.tenants.ledger import FoldResult
from towplane.tenants.pricing.book import PriceBook

if TYPE_CHECKING:
    from towplane.cli.plane import RunningPlane

__all__ = [
    "DocumentState",
    "LedgerState",
    "error_of",
    "errors_of",
    "make_status",
    "prices_view",
    "route_view",
]


class DocumentState:
    """The document in force and what became of newer ones."""

    def __init__(self, document: Document, path: Path) -> None:
        self.current = document
        self._path = path.absolute()
        self._loaded_at = datetime.now(UTC)
        self._refused_at: datetime | None = None
        self._errors: list[DocumentError] = []
        self._applied = 1
        self._refused = 0

    def applied(self, document: Document) -> None:
        """A new one took effect."""
        self.current = document
        self._loaded_at = datetime.now(UTC)
        self._refused_at = None
        self._errors = []
        self._applied += 1

    def refused(self, errors: list[DocumentError]) -> None:
        """A new one was refused."""
        self._refused_at = datetime.now(UTC)
        self._errors = errors
        self._refused += 1

    def view(self) -> DocumentView:
        """As the doors show it."""
        return DocumentView(
            path=str(self._path),
            digest=self.current.digest,
            loaded_at=self._loaded_at,
            is_valid=not self._errors,
            refused_at=self._refused_at,
            errors=self._errors,
            applied=self._applied,
            refused=self._refused,
        )


def errors_of(refusal: Refusal) -> list[DocumentError]:
    """What is wrong with a refused document."""
    return [
        DocumentError(
            say=str(problem).removeprefix(f"{problem.where}: "),
            line=problem.line or None,
            column=problem.column or None,
        )
        for problem in refusal.problems
    ]


def error_of(refusal: PlaneError) -> DocumentError:
    """Why a document that is right in itself cannot take effect."""
    return DocumentError(say=refusal.say, next_step=refusal.next_step)


class LedgerState:
    """How far the ledger is."""

    def __init__(self) -> None:
        self._folded = 0
        self._bad = 0
        self._last: datetime | None = None

    def note(self, result: FoldResult) -> bool:
        """One fold was done; returns whether nothing is left for now."""
        self._folded += result.events
        self._bad += result.bad
        self._last = datetime.now(UTC)
        return result.is_end

    def view(self, lag: int | None) -> LedgerView:
        """As the doors show it."""
        return LedgerView(
            lag_events=lag, folded=self._folded, last_fold=self._last, bad_lines=self._bad
        )


def make_status(
    running: "RunningPlane", replicas: tuple[ReplicaStatus, ...], version: str
) -> PlaneStatus:
    """The plane as it stands."""
    plane = running.plane
    standings = running.discovery.standings()
    addresses = {name: standing.addresses for name, (_, standing) in standings.items()}
    targets = _targets(plane, replicas, running.fleet, addresses)
    wall_of = time.time() - time.monotonic()
    return PlaneStatus(
        plane=plane.plane,
        tier=plane.tier,
        version=version,
        started_at=datetime.fromtimestamp(running.started_at, UTC),
        serving=running.serving,
        admin=running.admin,
        document=running.document.view(),
        pid=running.pid,
        workers=[_worker(worker) for worker in running.fleet.workers],
        engines=[engine_view(replica) for replica in replicas],
        providers=provider_views(
            plane,
            targets,
            running.fleet,
            running.credentials.states,
            {
                name: discovery_view(source, standing, wall_of)
                for name, (source, standing) in standings.items()
            },
        ),
        targets=targets,
        routes=[route_view(model, spec) for model, spec in plane.routing.items()],
        ledger=running.books.view(),
        prices=prices_view(plane, running.price_book.current, datetime.now(UTC)),
    )


def prices_view(plane: Plane, book: PriceBook, at: datetime) -> PricesView:
    """What is not known about prices at a moment."""
    return PricesView(
        unpriced=[
            UnpricedView(
                target=priced.target,
                routes=list(priced.routes),
                is_managed=priced.question is not None,
            )
            for priced in unpriced_targets(plane, book, at.timestamp())
        ],
        book=book.package,
        newest=None if book.newest is None else date.fromisoformat(book.newest),
        complaint=book.complaint(at.date().isoformat()),
    )


def route_view(model: str, spec: RouteSpec) -> RouteView:
    """One route, as the document has it."""
    return RouteView(
        model=model,
        choose=spec.choose,
        targets=[_place(target, model) for target in spec.targets],
        fallback=[step if isinstance(step, str) else _place(step, model) for step in spec.fallback],
        slo=Slos(ttft_s=spec.slo.ttft_s, itl_s=spec.slo.itl_s, total_s=spec.slo.total_s),
    )


def _worker(worker: WorkerStatus) -> WorkerView:
    report = worker.report
    return WorkerView(
        number=worker.number,
        pid=worker.pid,
        state=worker.state,
        restarts=worker.restarts,
        in_flight=report.in_flight if report is not None else None,
        connections=report.connections if report is not None else None,
        since=_moment(worker.since),
    )


def _targets(
    plane: Plane, replicas: tuple[ReplicaStatus, ...], fleet: Fleet, addresses: Discovered
) -> list[TargetView]:
    managed = provider_targets(plane, {}, discovered=addresses)
    views = [_provider_target(plane, info) for info in managed]
    views += [_replica_target(plane, replica) for replica in replicas]
    for view in views:
        seen = [
            target
            for worker in fleet.workers
            if worker.report is not None
            for target in worker.report.targets
            if target.name == view.name
        ]
        if not seen:
            continue
        view.in_flight = sum(target.in_flight for target in seen)
        view.attempts = sum(target.attempts for target in seen)
        view.failures = sum(target.failures for target in seen)
        view.parked_s = max(target.parked_s for target in seen) or None
        view.requests_left = _least(target.requests_left for target in seen)
        view.tokens_left = _least(target.tokens_left for target in seen)
        if view.state == "ready" and all(target.breaker == "open" for target in seen):
            view.state, view.reason = "open", "it failed too often; it is tried again shortly"
    return views


def _least(heard: Iterable[int | None]) -> int | None:
    """Each worker heard it of the same account at another moment: the least is the careful one."""
    return min((left for left in heard if left is not None), default=None)


def _provider_target(plane: Plane, info: TargetInfo) -> TargetView:
    states: dict[str, TargetState] = {"starting": "starting", "draining": "draining"}
    name = f"{info.provider}/{info.model}"
    return TargetView(
        name=info.name,
        kind="provider",
        state=states.get(info.state, "ready"),
        reason=info.reason,
        routes=_routes_of(plane, name),
        provider=info.provider,
        model=info.model,
        address=info.name.removeprefix(name).removeprefix("@"),
    )


def _replica_target(plane: Plane, replica: ReplicaStatus) -> TargetView:
    states: dict[str, TargetState] = {
        "ready": "ready",
        "starting": "starting",
        "draining": "draining",
    }
    return TargetView(
        name=replica.target,
        kind="engine",
        state=states.get(replica.state, "down"),
        reason=replica.reason,
        routes=_routes_of(plane, replica.engine),
    )


def _routes_of(plane: Plane, name: str) -> list[str]:
    """The routes that name a provider's model (`PROVIDER/MODEL`) or an engine themselves."""
    return [
        model
        for model, spec in plane.routing.items()
        if any(_place(step, model) == name for step in _steps(spec))
    ]


def _steps(spec: RouteSpec) -> list[TargetSpec]:
    return [*spec.targets, *(step for step in spec.fallback if not isinstance(step, str))]


def _place(target: TargetSpec, model: str) -> str:
    if target.provider is not None:
        return f"{target.provider}/{target.model or model}"
    return target.engine or ""


def _moment(at: float | None) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at else None
