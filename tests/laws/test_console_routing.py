"""Laws of the page Routing: the picture says what the explanation says, and nothing is sent."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.api.explanations import RequestExplanation
from towplane.console.route_picture import draw_route
from towplane.routing.decisions import Recalled
from towplane.routing.explain import Group, Place, Seen, Step
from towplane.testing.pages import FakeConsole as Plane
from towplane.testing.pages import Page
from towplane.testing.rosters import explained

EVIL = "<script>alert(1)</script>\"'"


@pytest.fixture
def plane() -> Plane:
    return Plane()


async def test_every_route_is_listed_and_leads_to_its_picture(plane: Plane) -> None:
    html = await plane.html("/routing")
    links = re.findall(r'href="(/routing/models/[^"]+)"', html)
    assert len(links) == len(plane.view.state.routes)
    for link in links:
        text = Page(await plane.html(link)).text
        assert "where would a request go now?" in text
        assert "taken" in text


async def test_a_list_is_searched(plane: Plane) -> None:
    assert "Nothing here is named" in Page(await plane.html("/routing?q=zzz")).text


async def test_an_unknown_model_is_said_in_words(plane: Plane) -> None:
    answer = await plane.get("/routing/models/zzz")
    assert answer.status_code == 404
    assert "no route for the model" in Page(answer.text).text


async def test_a_past_request_is_found_by_its_id(plane: Plane) -> None:
    places = [Place(target=n, weight=1, in_flight=2, usable=True, score=2.0) for n in ("a/m", EVIL)]
    choice = Recalled(
        attempt=1, at=0.0, model="m", target="a/m", group=0, cause="first",
        reason="2 in flight, the fewest", places=places,
    )  # fmt: skip

    async def explain_request(request: str) -> RequestExplanation:
        return RequestExplanation(request=request, worker=1, choices=[choice], attempts=[])

    plane.view.explain_request = explain_request  # type: ignore[method-assign]
    html = await plane.html("/routing/requests/r-1")
    text = Page(html).text
    assert "as worker 1 remembers them" in text
    assert "2 in flight, the fewest" in text
    assert "<script>alert" not in html


async def test_a_request_without_choices_says_why(plane: Plane) -> None:
    text = Page(await plane.html("/routing/requests/r-1")).text
    assert "The ledger has no attempt of it" in text
    assert "had no rivals, or it is older than" in text


_SEEN = st.builds(
    Seen,
    name=st.text(min_size=1, max_size=40),
    weight=st.integers(0, 3),
    in_flight=st.integers(0, 9),
    parked_s=st.sampled_from([0.0, 0.0, 5.0]),
)


@given(st.lists(st.lists(_SEEN, min_size=1, max_size=5, unique_by=lambda one: one.name),
                min_size=1, max_size=3))  # fmt: skip
def test_the_picture_has_every_target_once_and_marks_the_one_that_is_taken(
    groups: list[list[Seen]],
) -> None:
    found = explained("least-in-flight", groups, most=3)
    picture = draw_route("m", found.groups, found.steps)
    wanted = [place.target for group in found.groups for place in group.places]
    assert [box.whole_name for box in picture.boxes] == wanted
    assert len(picture.curves) == len(wanted)
    taken = {box.whole_name for box in picture.boxes if box.look == "taken"}
    assert taken == ({found.steps[0].target} if found.steps else set())
    assert all(0 <= box.y < picture.height for box in picture.boxes)
    assert all(box.x < picture.width for box in picture.boxes)


def test_a_thousand_targets_are_not_all_drawn() -> None:
    places = [Place(target=f"t{n}", weight=1, in_flight=0, usable=True) for n in range(1000)]
    steps = [Step(target="t0", group=0, cause="first", reason="")]
    picture = draw_route("m", [Group(number=0, places=places)], steps)
    assert picture.boxes[-1].name == "and 976 more"
    assert len(picture.boxes) == 25
