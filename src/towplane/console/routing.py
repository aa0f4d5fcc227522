"""The page Routing: where requests for a model go, why, and why not elsewhere; with a picture.

A past request is found by its id. Laws: what is shown is what the workers answer, not what the
document wants; a request in question is explained and never sent.
"""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from towplane.api.explanations import (
    Question,
    RequestExplanation,
    RouteExplanation,
    WorkerExplanation,
)
from towplane.api.views import RouteView
from towplane.console import words
from towplane.console.frame import Frame
from towplane.console.look import View, read_view
from towplane.console.route_picture import Picture, draw_route
from towplane.routing.explain import Group, Place, Step

__all__ = ["RoutingLook", "routing_pages"]


class RoutingLook(View, frozen=True, kw_only=True):
    """The view's whole state, as the URL holds it."""

    worker: int = 0
    tenant: str = ""
    """Whose request it would be."""


class RouteLine(NamedTuple):
    """One model in the list."""

    model: str
    url: str
    choose: str
    targets: str
    fallback: str
    slo: str


class PlaceLine(NamedTuple):
    """One target of a group."""

    target: str
    weight: str
    in_flight: str
    score: str
    why_not: str
    is_taken: bool


class RoutePage(NamedTuple):
    """One route, as one worker decides it."""

    model: str
    choose: str
    attempts: int
    workers: list[int]
    worker: int
    retries_left: str
    picture: Picture | None
    groups: list[tuple[str, list[PlaceLine]]]
    steps: list[Step]


def routing_pages(frame: Frame) -> Sequence[BaseRoute]:
    """All routes, one of them at `/routing/models/MODEL`, a past request at
    `/routing/requests/ID`."""
    view = frame.desk.view

    async def page(request: Request) -> Response:
        asked = request.query_params.get("request", "").strip()
        if asked:
            return RedirectResponse(f"/routing/requests/{quote(asked, safe='')}", 303)
        look = read_view(View, request.query_params)
        lines = [_line(one) for one in view.status().routes if look.shows(one.model, *one.targets)]
        return frame.page("routing.html", look=look, lines=lines)

    async def route(request: Request) -> Response:
        look = read_view(RoutingLook, request.query_params)
        question = Question(tenant=look.tenant)
        found = await view.explain(request.path_params["model"], question)
        path = f"/routing/models/{quote(found.model)}"
        return frame.page("route.html", look=look, path=path, route=route_page(found, look.worker))

    async def past(request: Request) -> Response:
        found = await view.explain_request(request.path_params["request"])
        return frame.page("request.html", past=found, choices=_choices(found))

    return [
        frame.route("/routing", page),
        frame.route("/routing/models/{model:path}", route),
        frame.route("/routing/requests/{request}", past),
    ]


def route_page(found: RouteExplanation, worker: int) -> RoutePage:
    """What one worker says; the first where there is no such worker."""
    numbers = [one.number for one in found.workers]
    one = next((each for each in found.workers if each.number == worker), None)
    one = one or (found.workers[0] if found.workers else None)
    return RoutePage(
        model=found.model,
        choose=found.choose,
        attempts=found.attempts,
        workers=numbers,
        worker=one.number if one is not None else 0,
        retries_left=words.ABSENT if one is None else f"{one.retries_left:.0f}",
        picture=draw_route(found.model, one.groups, one.steps) if one is not None else None,
        groups=_groups(one) if one is not None else [],
        steps=one.steps if one is not None else [],
    )


def _groups(one: WorkerExplanation) -> list[tuple[str, list[PlaceLine]]]:
    taken = one.steps[0].target if one.steps else ""
    return [
        (_title(group), [_place(place, taken) for place in group.places]) for group in one.groups
    ]


def _title(group: Group) -> str:
    return f"Fallback {group.number}" if group.number else "Targets"


def _place(place: Place, taken: str) -> PlaceLine:
    return PlaceLine(
        target=place.target,
        weight=str(place.weight),
        in_flight=str(place.in_flight),
        score=words.ABSENT if place.score is None else f"{place.score:.3g}",
        why_not=place.why_not,
        is_taken=place.target == taken,
    )


def _choices(found: RequestExplanation) -> list[tuple[str, str, Picture, list[PlaceLine]]]:
    return [
        (
            f"Attempt {choice.attempt}: {choice.target}",
            f"{choice.cause}; {choice.reason}{f'; {choice.note}' if choice.note else ''}",
            draw_route(
                choice.model,
                [Group(number=choice.group, places=choice.places)],
                [Step(target=choice.target, group=choice.group, cause="first", reason="")],
            ),
            [_place(place, choice.target) for place in choice.places],
        )
        for choice in found.choices
    ]


def _line(one: RouteView) -> RouteLine:
    slo = [
        f"{name} {words.duration(value)}"
        for name, value in (
            ("TTFT", one.slo.ttft_s),
            ("ITL", one.slo.itl_s),
            ("all", one.slo.total_s),
        )
        if value is not None
    ]
    return RouteLine(
        model=one.model,
        url=f"/routing/models/{quote(one.model)}",
        choose=one.choose,
        targets=", ".join(one.targets),
        fallback=", ".join(one.fallback) or words.ABSENT,
        slo=", ".join(slo) or words.ABSENT,
    )
