"""What can be wrong with splits and mirrors. Pure, as `document.check`, which composes it."""

from collections.abc import Iterator

from towplane.document.finding import Finding, check_known
from towplane.document.plane import Plane
from towplane.document.problems import Place
from towplane.routing.spec import Mirror, RouteSpec, Split, TargetSpec

__all__ = ["check_mirror", "check_split"]


def check_split(place: Place, route: RouteSpec) -> Iterator[Finding]:
    """Arms and targets that do not fit together."""
    split = route.split
    steps = [((*place, "targets", index), target) for index, target in enumerate(route.targets)]
    steps += [
        ((*place, "fallback", index), step)
        for index, step in enumerate(route.fallback)
        if isinstance(step, TargetSpec)
    ]
    for where, target in steps:
        if target.arm is None:
            continue
        if split is None:
            what = "the route has no `split`, so nothing falls into an arm"
            yield Finding(place=(*where, "arm"), what=what)
        else:
            yield from check_known((*where, "arm"), target.arm, split.arms, "split.arms", "arm")
    if split is not None:
        yield from _check_arms((*place, "split"), split, route)


def _check_arms(place: Place, split: Split, route: RouteSpec) -> Iterator[Finding]:
    if len(split.arms) < 2:
        yield Finding(place=(*place, "arms"), what="nothing to divide", expected="two arms or more")
    elif not any(split.arms.values()):
        yield Finding(place=(*place, "arms"), what="no arm weighs anything")
    if split.control is not None:
        where: Place = (*place, "control")
        yield from check_known(where, split.control, split.arms, "split.arms", "arm")
    served = {target.arm for target in route.targets}
    for arm, weight in split.arms.items():
        if weight and arm not in served and None not in served:
            what = "no target of the route belongs to this arm"
            yield Finding(place=(*place, "arms", arm), what=what)
    if None in served:
        what = "a target without an arm serves all of them, and what it answers counts for none"
        yield Finding(place=place, what=what, severity="warning")
    if split.score.least >= split.score.most:
        what = "the lowest score is not below the highest"
        yield Finding(place=(*place, "score"), what=what)
    if not 0.0 < split.alpha < 0.5:
        found = f"{split.alpha:g}"
        yield Finding(
            place=(*place, "alpha"), what="no use", expected="between 0% and 50%", found=found
        )


def check_mirror(plane: Plane, name: str, place: Place, mirror: Mirror) -> Iterator[Finding]:
    """Where mirrored requests go. They must not go where the route's own do: else they would be
    load, limits and failures to clients."""
    where: Place = (*place, "mirror", "to")
    if isinstance(mirror.to, str):
        yield from check_known(where, mirror.to, plane.routing, "routing", "route")
        other = plane.routing.get(mirror.to)
        theirs = _names(mirror.to, other.targets) if other is not None else {}
    else:
        theirs = _names(name, [mirror.to])
    own = _names(name, plane.routing[name].targets)
    for shared in theirs.keys() & own.keys():
        what = f"clients' requests go to {shared} too: a mirror needs a target of its own"
        yield Finding(place=where, what=what)
    if mirror.text and mirror.keep is None:
        what = "texts are kept nowhere: `keep` names no file"
        yield Finding(place=(*place, "mirror", "text"), what=what, severity="warning")


def _names(model: str, targets: list[TargetSpec]) -> dict[str, None]:
    """In the order of the document."""
    return {
        (f"{t.provider}/{t.model or model}" if t.provider is not None else t.engine or ""): None
        for t in targets
    }
