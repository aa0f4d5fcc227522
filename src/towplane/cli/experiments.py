"""Arms of a split compared from the ledger, and scores put into it; wiring of two rooms.

Knows no HTTP. The law: a score that no comparison could use is refused, with the reason.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from towplane.api.experiments import ArmsView, KeptScore, PostedScore
from towplane.document.problems import find_nearest
from towplane.parts.errors import BadRequest, NotFound
from towplane.parts.storage import Database
from towplane.routing.experiments.compare import Answered, Comparison, Tally
from towplane.routing.spec import RouteSpec, Split
from towplane.routing.splits import arms_by_target
from towplane.tenants.ledger.requests import RequestRow, keep_score, requests_of

__all__ = ["arms_view", "compare_arms", "post_score", "split_of"]

_REQUEST = re.compile(r"[0-9a-z]{26}", re.ASCII)
"""As `parts.ids` makes them."""
_NOBODYS_MERIT = frozenset({"cancelled", "refused", "crashed"})
"""Outcomes that say nothing of an arm: the client left, it asked wrongly, the plane died."""


def split_of(routes: Mapping[str, RouteSpec], model: str) -> Split:
    """The split of a route. Raises NotFound."""
    spec = routes.get(model)
    if spec is None:
        meant = find_nearest(model, routes)
        raise NotFound(
            f"there is no route for the model {model}",
            next_step=f"did you mean {meant}?" if meant else "towplane routing list",
        )
    if spec.split is None:
        raise NotFound(
            f"the route {model} has no arms",
            next_step="give it a section `split` and its targets arms",
        )
    return spec.split


def compare_arms(
    database: Database, routes: Mapping[str, RouteSpec], model: str, since: datetime | None
) -> Comparison:
    """The arms of a route, by what the ledger has. Raises NotFound."""
    split = split_of(routes, model)
    arms = arms_by_target(model, routes[model])
    tally = Tally(split)
    since_us = round(since.timestamp() * 1_000_000) if since is not None else 0
    with database.read() as connection:
        for row in requests_of(connection, model, since_us=since_us):
            arm = arms.get(row.target) or arms.get(row.target.rpartition("/")[0], "")
            tally.add(_answered(row, arm, split))
    return tally.compare()


def arms_view(
    database: Database, routes: Mapping[str, RouteSpec], model: str, since: datetime | None
) -> ArmsView:
    """The same with its question."""
    found = compare_arms(database, routes, model, since)
    return ArmsView(model=model, since=since, comparison=found)


def post_score(
    database: Database,
    routes: Mapping[str, RouteSpec],
    model: str,
    posted: PostedScore,
    now: float,
) -> KeptScore:
    """Keep a score. Its request may be unknown as yet: the ledger comes a little later. Raises
    NotFound, BadRequest."""
    ends = split_of(routes, model).score
    if _REQUEST.fullmatch(posted.request_id) is None:
        raise BadRequest(
            "request_id is none of this plane's",
            next_step="It is the header x-towplane-request-id of the answer.",
        )
    if not math.isfinite(posted.score) or not ends.least <= posted.score <= ends.most:
        raise BadRequest(
            f"the score {posted.score:g} is not between {ends.least:g} and {ends.most:g}",
            next_step=f"Set routing.{model}.split.score to the ends that scores have.",
        )
    with database.write() as connection:
        keep_score(
            connection,
            request=posted.request_id,
            model=model,
            score=posted.score,
            at_us=round(now * 1_000_000),
        )
    return KeptScore(
        model=model,
        request_id=posted.request_id,
        score=posted.score,
        at=datetime.fromtimestamp(now, UTC),
    )


def _answered(row: RequestRow, arm: str, split: Split) -> Answered:
    is_ok = row.outcome == "ok"
    score = row.score
    if score is not None and not split.score.least <= score <= split.score.most:
        score = None  # posted when the ends were others
    return Answered(
        arm=arm,
        tenant=row.tenant,
        is_failed=None if row.outcome in _NOBODYS_MERIT else not is_ok,
        ttft_us=row.ttft_us,
        total_us=row.duration_us if is_ok else None,
        input=row.input if is_ok else None,
        output=row.output if is_ok else None,
        cost_nanousd=row.cost_nanousd,
        score=score,
    )
