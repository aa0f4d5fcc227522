"""What can be wrong with a route that tells strong from weak requests.

Pure, as `document.check_routes`, which composes it. Whether a file is a model and a function of the
vendor's own is there, only a plane that starts can say.
"""

from collections.abc import Iterator

from towplane.document.finding import Finding
from towplane.document.problems import Place
from towplane.routing.complexity.narrowing import complexity_of
from towplane.routing.spec import Complexity, RouteSpec

__all__ = ["check_complexity"]


def check_complexity(place: Place, route: RouteSpec) -> Iterator[Finding]:
    """Roles, scorer, model and threshold of one route."""
    roles = {target.role for target in route.targets}
    spec = complexity_of(route)
    if spec is None:
        if roles - {None}:
            yield Finding(
                place=(*place, "targets"),
                what="roles that nothing looks at",
                expected="`complexity` beside them, or no roles",
                severity="warning",
            )
        return
    missing = [role for role in ("strong", "weak") if role not in roles]
    if missing:
        yield Finding(
            place=(*place, "targets"),
            what=f"no target is {' or '.join(missing)}, so there is nothing to tell apart",
            expected="at least one target with `role: strong` and one with `role: weak`",
        )
    if route.complexity is None:
        yield Finding(
            place=(*place, "choose"),
            what=f"prompts of {spec.threshold:g} characters and more go to strong targets",
            expected="`complexity` with a scorer and a threshold of your own traffic",
            severity="warning",
        )
        return
    yield from _check_scorer((*place, "complexity"), spec)


def _check_scorer(place: Place, spec: Complexity) -> Iterator[Finding]:
    is_trained = spec.scorer == "trained"
    if is_trained and spec.model is None:
        yield Finding(
            place=place,
            what="`scorer: trained` needs a model",
            expected="`model: FILE`, which `towplane routing train` writes",
        )
    if not is_trained and spec.model is not None:
        yield Finding(
            place=(*place, "model"),
            what="a model that nothing reads",
            expected="`scorer: trained`, or no model",
            found=f"scorer: {spec.scorer}",
        )
    if is_trained and spec.threshold > 1:
        yield Finding(
            place=(*place, "threshold"),
            what="no prompt is strong: trained scores lie between 0 and 1",
            found=f"{spec.threshold:g}",
            severity="warning",
        )
