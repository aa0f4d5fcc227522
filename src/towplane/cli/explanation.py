"""How a model's route would be decided now, worker by worker, as `api.views` has it.

Pure: the snapshot that the workers decide by and their reports in, a value out. Each worker counts
and chooses by itself, so each has its own answer.
"""

from collections.abc import Iterable

from towplane.api.views import RouteExplanation, WorkerExplanation
from towplane.document.problems import find_nearest
from towplane.gateway.fleet import WorkerStatus
from towplane.gateway.messages import Reported, RouteInfo, Snapshot, TargetInfo
from towplane.parts.errors import NotFound
from towplane.routing.explain import Seen, explain

__all__ = ["make_explanation"]


def make_explanation(
    snapshot: Snapshot, workers: Iterable[WorkerStatus], model: str
) -> RouteExplanation:
    """Raises NotFound for a model without a route."""
    route = next((route for route in snapshot.routes if route.model == model), None)
    if route is None:
        known = [route.model for route in snapshot.routes]
        meant = find_nearest(model, known)
        raise NotFound(
            f"there is no route for the model {model}",
            next_step=f"did you mean {meant}?" if meant else "towplane routing list",
        )
    targets = {target.name: target for target in snapshot.targets}
    return RouteExplanation(
        model=model,
        choose=route.choose,
        attempts=route.retries.most,
        workers=[
            found
            for worker in workers
            if worker.report is not None
            and (found := _worker(worker.number, worker.report, route, targets)) is not None
        ],
    )


def _worker(
    number: int, report: Reported, route: RouteInfo, targets: dict[str, TargetInfo]
) -> WorkerExplanation | None:
    """None: this worker does not know the route yet."""
    stands = next((one for one in report.routes if one.model == route.model), None)
    if stands is None:
        return None
    groups = [
        [_seen(targets[place.target], place.weight, report) for place in group]
        for group in route.groups
    ]
    found = explain(route.choose, groups, turn=stands.turn, most=route.retries.most)
    return WorkerExplanation(
        number=number,
        retries_left=max(0.0, stands.retries_left),
        groups=found.groups,
        steps=found.steps,
    )


def _seen(info: TargetInfo, weight: int, report: Reported) -> Seen:
    for target in report.targets:
        if target.name == info.name:
            return Seen(
                name=info.name,
                weight=weight,
                state=info.state,
                reason=info.reason,
                in_flight=target.in_flight,
                breaker=target.breaker,
                is_probing=target.is_probing,
                probe_in_s=target.probe_in_s,
                parked_s=target.parked_s,
            )
    return Seen(name=info.name, weight=weight, state=info.state, reason=info.reason)
