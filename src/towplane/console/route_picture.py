"""A route as a picture: what is asked for on the left, a column for each group, lines to targets.

Pure: an explanation in, coordinates out; `routing.html` draws them as SVG. Law: every target of the
explanation is in the picture once, and the line to the target that would be taken is the thick one.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from towplane.routing.explain import Group, Step

__all__ = ["Box", "Curve", "Picture", "draw_route"]

BOX, GAP, HEIGHT, SPACE, TOP = 190, 90, 44, 12, 22
_LONGEST = 26
"""Characters of a name that fit into a box."""
_MOST = 24
"""Targets of a group that are drawn; the table below has all."""


class Box(NamedTuple):
    """A target, or several that are not drawn."""

    x: int
    y: int
    name: str
    whole_name: str
    says: str
    look: Literal["taken", "usable", "barred"]


class Curve(NamedTuple):
    """The line to a box, as an SVG path."""

    path: str
    look: Literal["taken", "usable", "barred"]


class Picture(NamedTuple):
    """All of it."""

    width: int
    height: int
    model: str
    y: int
    """Of the box of the model."""
    titles: list[tuple[int, str]]
    boxes: list[Box]
    curves: list[Curve]


def draw_route(model: str, groups: Sequence[Group], steps: Sequence[Step]) -> Picture:
    """The route of a model as it is decided now."""
    taken = steps[0].target if steps else ""
    order = {step.target: number for number, step in enumerate(steps, start=1)}
    rows = max([min(len(group.places), _MOST + 1) for group in groups], default=1)
    height = TOP + rows * (HEIGHT + SPACE)
    middle = TOP + (height - TOP - SPACE) // 2
    boxes: list[Box] = []
    for column, group in enumerate(groups):
        boxes += _column(column, group, taken, order, height)
    curves = [_curve(box, middle) for box in boxes]
    return Picture(
        width=(len(groups) + 1) * BOX + len(groups) * GAP,
        height=height,
        model=_short(model),
        y=middle - HEIGHT // 2,
        titles=[
            (_left(number), f"fallback {number}" if number else "targets")
            for number, _ in enumerate(groups)
        ],
        boxes=boxes,
        curves=sorted(curves, key=lambda curve: curve.look == "taken"),  # the thick one on top
    )


def _column(column: int, group: Group, taken: str, order: dict[str, int], height: int) -> list[Box]:
    shown = group.places[:_MOST]
    more = len(group.places) - len(shown)
    count = len(shown) + bool(more)
    first = TOP + (height - TOP - count * (HEIGHT + SPACE)) // 2
    boxes = []
    for row, place in enumerate(shown):
        says = f"{place.in_flight} in flight"
        if place.score is not None:
            says += f" · score {place.score:.3g}"
        if place.target in order:
            says += f" · {order[place.target]}."
        look: Literal["taken", "usable", "barred"] = "barred" if place.why_not else "usable"
        if place.target == taken:
            look = "taken"
        y = first + row * (HEIGHT + SPACE)
        says = place.why_not or says
        boxes.append(Box(_left(column), y, _short(place.target), place.target, _short(says), look))
    if more:
        y = first + len(shown) * (HEIGHT + SPACE)
        name = f"and {more} more"
        boxes.append(Box(_left(column), y, name, name, "all in the table", "usable"))
    return boxes


def _left(column: int) -> int:
    return (column + 1) * (BOX + GAP)


def _curve(box: Box, middle: int) -> Curve:
    """From the model's box, out and in horizontally."""
    y = box.y + HEIGHT // 2
    bend = BOX + GAP // 2
    into = box.x - GAP // 2
    path = f"M{BOX} {middle} C{bend} {middle} {into} {y} {box.x} {y}"
    return Curve(path, box.look)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
