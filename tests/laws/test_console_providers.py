"""Laws of the page Providers: health, credentials, limits and prices, and what nobody knows."""

import re

import httpx
import pytest

from towplane.testing.pages import FakeConsole as Plane
from towplane.testing.pages import Page

EVIL = "<script>alert(1)</script>\"'"


@pytest.fixture
def plane() -> Plane:
    return Plane()


async def test_the_html_alone_says_how_each_provider_does(plane: Plane) -> None:
    await plane.run(200)
    page = Page(await plane.html("/providers"))
    for said in (
        "spare openai ready", "eu bedrock, eu-central-1 ready", "last 5 min", "rate limited",
        "key env:SPARE_KEY", "in 43 min", "in 31 min", "5,000", "2,000,000", "4,812", "1,904,211",
        "$1.25", "$0.125", "a search $0.01", "contract 4711", "2026-10-14", "by the hour",
        "$40.00", "towplane providers check --dry-run chat",
    ):  # fmt: skip
        assert said in page.text, said


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("region", "openai, region unknown"),
        ("model", "gpt-large spare/gpt-large"),
        ("target", "spare/gpt-large chat, smollm2-135m-instruct"),
    ],
)
async def test_health_is_shown_by(plane: Plane, by: str, said: str) -> None:
    await plane.run(40)
    assert said in Page(await plane.html(f"/providers?by={by}")).text


async def test_what_nobody_measured_or_said_is_a_dash_with_words(plane: Plane) -> None:
    text = Page(await plane.html("/providers")).text
    assert "not measured yet" in text
    assert "– not measured" in text
    assert "– the provider does not say" in text
    assert "– no limit in the document" in text
    assert "– nobody says that it ends" in text


async def test_an_unknown_price_is_marked_and_says_why(plane: Plane) -> None:
    plane.view.priced[0].origin = None
    plane.view.priced[0].why_unknown = "neither the document nor the price book says one"
    text = Page(await plane.html("/providers")).text
    assert "unknown neither the document nor the price book says one" in text
    assert "$1.25" not in text


async def test_a_parked_credential_says_why_and_for_how_long(plane: Plane) -> None:
    one = plane.view.state.providers[0].credentials[1]
    one.state, one.reason, one.parked_s = "parked", "Incorrect API key provided: ….", 64.0
    text = Page(await plane.html("/providers")).text
    assert "parked Incorrect API key provided: …. key env:OTHER_KEY 64.0 s" in text


async def test_a_target_that_asked_to_wait_is_shown(plane: Plane) -> None:
    plane.view.state.targets[1].parked_s = 12.0
    assert "left alone for 12.0 s" in Page(await plane.html("/providers")).text


async def test_one_provider_has_a_page_of_its_own(plane: Plane) -> None:
    text = Page(await plane.html("/providers/eu")).text
    assert "https://bedrock-runtime.eu-central-1.amazonaws.com" in text
    assert "proxy http://proxy.corp:3128" in text
    assert "SPARE_KEY" not in text
    transport = httpx.ASGITransport(plane.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/providers/nobody")).status_code == 404


async def test_a_document_without_providers_says_so(plane: Plane) -> None:
    plane.view.state.providers = []
    plane.view.state.targets = []
    text = Page(await plane.html("/providers")).text
    assert "The document has no providers." in text
    assert "No route uses a model of a provider here." in text


async def test_what_others_named_is_text_and_never_markup(plane: Plane) -> None:
    provider = plane.view.state.providers[0]
    provider.reason = provider.via = provider.credentials[0].reason = EVIL
    provider.credentials[0].state = "missing"
    plane.view.state.targets[1].reason = EVIL
    plane.view.state.targets[1].routes = [EVIL]
    plane.view.priced[0].source = EVIL
    html = await plane.html("/providers?by=target&q=spare")
    assert "<script>alert" not in html
    Page(html)
    assert "<script>alert" not in await plane.html("/providers/spare")


async def test_huge_numbers_stay_exact(plane: Plane) -> None:
    plane.view.state.targets[1].tokens_left = 10**18
    plane.view.priced[0].rates[0].input = 2**47
    text = Page(await plane.html("/providers")).text
    assert "1,000,000,000,000,000,000" in text
    assert "$140,737.488355328" in text


async def test_every_figure_leads_to_a_source_that_is_there(plane: Plane) -> None:
    await plane.run(4)
    page, sources = Page(await plane.html("/providers")), Page(await plane.html("/sources"))
    for link in page.links:
        assert re.match(r"(/(?!/)|#)", link), link
        path, _, place = link.partition("#")
        if place:
            assert place in (sources if path == "/sources" else page).ids, link
    assert len(page.ids) == len(set(page.ids))
