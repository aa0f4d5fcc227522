"""How a model's route would be decided now, worker by worker, as `api.views` has it.

Pure: what the workers answered in, a value out. Each worker counts and chooses by itself, so each
has its own answer.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from towplane.api.explanations import (
    AttemptRow,
    RequestExplanation,
    RouteExplanation,
    WorkerExplanation,
)
from towplane.document.problems import find_nearest
from towplane.gateway.messages import Explained, Snapshot
from towplane.parts.errors import BadRequest, NotFound
from towplane.tenants.ledger.attempts import Row

__all__ = ["attempt_row", "make_account", "make_explanation"]


def make_explanation(
    snapshot: Snapshot, answers: Mapping[int, Explained], model: str
) -> RouteExplanation:
    """`answers` by the worker's number. Raises NotFound for a model without a route, BadRequest for
    a question that is no request."""
    route = next((route for route in snapshot.routes if route.model == model), None)
    if route is None:
        known = [route.model for route in snapshot.routes]
        meant = find_nearest(model, known)
        raise NotFound(
            f"there is no route for the model {model}",
            next_step=f"did you mean {meant}?" if meant else "towplane routing list",
        )
    for answer in answers.values():
        if answer.refused:
            raise BadRequest(
                f"the request in question is none: {answer.refused}",
                next_step="Give its body as a client would send it.",
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


def make_account(
    request: str, answers: Mapping[int, Explained], attempts: Sequence[AttemptRow]
) -> RequestExplanation:
    """What is known of a past request. Raises NotFound when nobody knows it."""
    knows = next((number for number, answer in answers.items() if answer.recalled), None)
    if knows is None and not attempts:
        raise NotFound(
            f"nobody knows the request {request}",
            next_step="The id is the header x-towplane-request-id of the answer; a request that "
            "was refused before it had a target leaves no trace.",
        )
    return RequestExplanation(
        request=request,
        worker=knows,
        choices=list(answers[knows].recalled) if knows is not None else [],
        attempts=list(attempts),
    )


def attempt_row(row: Row) -> AttemptRow:
    """A row of the ledger, in the units of the outside."""
    return AttemptRow(
        id=row.id,
        at=datetime.fromtimestamp(row.at_us / 1e6, UTC),
        tenant=row.tenant,
        key=row.key,
        model=row.model,
        target=row.target,
        cause=row.cause,
        outcome=row.outcome,
        status=row.status,
        input_tokens=row.input,
        cached_tokens=row.cached_input,
        output_tokens=row.output,
        cost_nanousd=row.cost_nanousd,
        ttft_s=None if row.ttft_us is None else row.ttft_us / 1e6,
        seconds=None if row.duration_us is None else row.duration_us / 1e6,
    )
