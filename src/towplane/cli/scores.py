"""The scores that the workers report of one route, as `api.scores` has them. Pure."""

from collections.abc import Iterable
from math import isfinite

from towplane.api.scores import RouteScores
from towplane.document.problems import find_nearest
from towplane.gateway.messages import Reported, Snapshot
from towplane.parts.errors import NotFound
from towplane.routing.complexity.narrowing import complexity_of

__all__ = ["make_scores"]


def make_scores(snapshot: Snapshot, reports: Iterable[Reported | None], model: str) -> RouteScores:
    """Raises NotFound for a model without a route, and for one whose prompts are not scored."""
    route = next((route for route in snapshot.routes if route.model == model), None)
    if route is None:
        meant = find_nearest(model, [route.model for route in snapshot.routes])
        raise NotFound(
            f"there is no route for the model {model}",
            next_step=f"did you mean {meant}?" if meant else "towplane routing list",
        )
    spec = complexity_of(route.spec)
    if spec is None:
        raise NotFound(
            f"the prompts of {model} are not scored",
            next_step="give its route a section `complexity`",
        )
    return RouteScores(
        model=model,
        scorer=spec.scorer,
        digest=route.scorer.digest if route.scorer is not None else "",
        threshold=spec.threshold,
        scores=[
            score
            for report in reports
            if report is not None
            for seen in report.routes
            if seen.model == model
            for score in seen.scores
            if isfinite(score)
        ],
    )
