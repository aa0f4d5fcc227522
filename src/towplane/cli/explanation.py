"""How a model's route would be decided now, worker by worker, as `api.views` has it.

Pure: what the workers answered in, a value out. Each worker counts and chooses by itself, so each
has its own answer.
"""

from collections.abc import Mapping

from towplane.api.views import RouteExplanation, WorkerExplanation
from towplane.document.problems import find_nearest
from towplane.gateway.messages import Explained, Snapshot
from towplane.parts.errors import NotFound

__all__ = ["make_explanation"]


def make_explanation(
    snapshot: Snapshot, answers: Mapping[int, Explained], model: str
) -> RouteExplanation:
    """`answers` by the worker's number. Raises NotFound for a model without a route."""
    route = next((route for route in snapshot.routes if route.model == model), None)
    if route is None:
        known = [route.model for route in snapshot.routes]
        meant = find_nearest(model, known)
        raise NotFound(
            f"there is no route for the model {model}",
            next_step=f"did you mean {meant}?" if meant else "towplane routing list",
        )
    return RouteExplanation(
        model=model,
        choose=route.spec.choose,
        attempts=route.spec.retries.most,
        workers=[
            WorkerExplanation(
                number=number,
                retries_left=answer.retries_left,
                groups=answer.explanation.groups,
                steps=answer.explanation.steps,
            )
            for number, answer in sorted(answers.items())
            if answer.explanation is not None
        ],
    )
