"""Laws of the pages: what they say, what they never say, and that the HTML alone says it."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.api.tenant_views import UsageQuery, WantedKey
from towplane.api.views import DocumentError
from towplane.console import words
from towplane.console.charts import HEIGHT, WIDTH, sparkline
from towplane.console.pages import STREAMS
from towplane.console.sheet import Look
from towplane.console.sources import SOURCES
from towplane.console.verdict import verdict
from towplane.monitoring.catalogue import CATALOGUE
from towplane.monitoring.now import Now, Quantile
from towplane.parts.errors import Unavailable
from towplane.tenants.ledger import UsageRow as Row
from towplane.testing.pages import FakeConsole as Plane
from towplane.testing.pages import Page
from towplane.testing.views import SECRET, START, a_status


@pytest.fixture
def plane() -> Plane:
    return Plane()


# ---- the page Now


async def test_the_html_alone_holds_the_content(plane: Plane) -> None:
    await plane.run(60)
    page = Page(await plane.html())
    for said in (
        "All is well.", "first-light", "Requests", "Amplification", "Output tokens", "TTFT p95",
        "ITL p95", "Goodput", "smollm2-135m-instruct", "embedded/0", "spare/gpt-large", "ready",
        "globex", "$1,204.50000025", "unpriced", "serving", "llama.cpp", "Apache-2.0",
        "/etc/towplane/plane.yaml", "over the last 60 s",
    ):  # fmt: skip
        assert said in page.text, said


async def test_what_is_absent_is_a_dash_with_words_and_never_0(plane: Plane) -> None:
    fresh = Page(await plane.html()).text
    assert "measuring: the first figures come within seconds" in fresh
    assert "no route has an SLO" not in fresh
    await plane.rest()
    quiet = Page(await plane.html()).text
    assert "Goodput – no request in this time" in quiet
    assert "TTFT p95 – no streamed token in this time" in quiet
    assert "Requests 0/s" in quiet


async def test_without_an_slo_goodput_says_so(plane: Plane) -> None:
    plane.view.state.routes.pop()
    await plane.rest()
    assert "no route has an SLO in the document" in Page(await plane.html()).text


async def test_a_refused_document_is_shown_loudly_with_its_errors(plane: Plane) -> None:
    document = plane.view.state.document
    document.is_valid = False
    document.errors = [
        DocumentError(say='unknown key "tagets"', line=12, column=5, next_step='write "targets"')
    ]
    page = Page(await plane.html())
    assert "Needs action" in page.text
    assert "The new document was refused (1 error)" in page.text
    assert 'line 12, column 5 unknown key "tagets" write "targets"' in page.text


async def test_a_tier_without_engines_says_that_they_cannot_be_seen(plane: Plane) -> None:
    plane.view.state.tier = "cloud"
    plane.view.state.engines = []
    assert "Not observable in this tier" in Page(await plane.html()).text


async def test_a_ledger_that_cannot_be_read_is_unknown_spend(plane: Plane) -> None:
    async def fail(query: UsageQuery) -> list[Row]:
        raise Unavailable("the database is locked")

    plane.view.usage = fail  # type: ignore[method-assign]  # the fault to inject
    assert "spend is unknown" in Page(await plane.html()).text


async def test_spend_is_of_the_month_and_asked_once_for_many_pages(plane: Plane) -> None:
    for _ in range(5):
        await plane.html()
    assert [str(q.since) for q in plane.view.questions] == ["2026-11-01"]


async def test_what_people_named_is_text_and_never_markup(plane: Plane) -> None:
    evil = "<script>alert(1)</script>\"'"
    plane.view.state.plane = evil
    plane.view.state.targets[0].reason = evil
    plane.view.state.routes[0].model = evil
    html = await plane.html("/?q=%3Cscript%3Ealert(1)%3C/script%3E%22'")
    assert "<script>alert" not in html
    Page(html)


# ---- rules for pages


async def test_the_url_holds_the_whole_view(plane: Plane) -> None:
    await plane.run(200)
    url = "/?window=300&q=embedded&live=off"
    one, other = await plane.html(url), await plane.html(url)
    assert one == other
    page = Page(one)
    assert "over the last 5 min" in page.text
    assert "paused" in page.text
    assert "globex" not in page.text
    assert "Nothing here is named “embedded”" in page.text
    assert "/?q=embedded&window=900&live=off" in page.links


@pytest.mark.parametrize("query", ["?window=7", "?window=x", "?live=maybe", "?nothing=1"])
async def test_a_view_that_makes_no_sense_is_the_default_one(plane: Plane, query: str) -> None:
    assert await plane.html(f"/{query}") == await plane.html("/")


@pytest.mark.parametrize("path", ["/", "/sources", "/login"])
async def test_no_link_leaves_the_plane(plane: Plane, path: str) -> None:
    for link in Page(await plane.html(path)).links:
        assert re.match(r"(/(?!/)|#)", link), link


async def test_every_link_inside_a_page_has_its_place(plane: Plane) -> None:
    plane.view.state.workers = []
    plane.view.state.document.is_valid = False
    plane.view.state.ledger.bad_lines = 1
    plane.view.state.targets[0].state = "down"
    await plane.run(40)
    now, sources = Page(await plane.html()), Page(await plane.html("/sources"))
    for link in now.links:
        path, _, place = link.partition("#")
        if place:
            assert place in (sources if path == "/sources" else now).ids, link
    assert len(now.ids) == len(set(now.ids))


async def test_no_page_has_inline_script_or_style(plane: Plane) -> None:
    for path in ("/", "/sources", "/login"):
        html = await plane.html(path)
        page = Page(html)
        assert not any(name == "style" or name.startswith("on") for name in page.attributes)
        assert "<style" not in html
        assert not re.search(r"<script(?![^>]*\bsrc=)", html)


async def test_no_secret_reaches_a_page(plane: Plane) -> None:
    await plane.run(4)
    await plane.view.create_key("globex", WantedKey())
    for path in ("/", "/sources", "/api/v1/status", "/api/v1/tenants/globex/keys", "/metrics"):
        assert SECRET not in await plane.html(path)


def test_nothing_that_the_console_serves_names_another_host() -> None:
    for file in (files("towplane.console") / "static").iterdir():
        assert not re.search(r"(?<!xmlns=\")https?://", file.read_text()), file.name
    script = (files("towplane.console") / "static" / "console.js").read_text()
    assert len(script.splitlines()) < 150


def test_every_figure_has_a_meaning_a_query_and_a_command() -> None:
    for source in SOURCES.values():
        assert source.meaning.endswith(".")
        assert source.command.startswith("towplane ")
        named = re.findall(r"towplane_\w+", source.promql)
        assert named
        assert {name.removesuffix("_bucket") for name in named} <= set(CATALOGUE)


# ---- live


async def _events(plane: Plane, query: str = "") -> AsyncIterator[str]:
    """Events of the live stream, over plain ASGI (httpx would wait for the end)."""
    sent: asyncio.Queue[str] = asyncio.Queue()
    gone = asyncio.Event()

    async def receive() -> dict[str, object]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            await sent.put(str(message["status"]))
        elif isinstance(body := message.get("body"), bytes) and body:
            await sent.put(body.decode())

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "path": "/live/now", "raw_path": b"/live/now", "scheme": "http",
        "query_string": query.encode(), "headers": [(b"host", b"localhost")], "root_path": "",
    }  # fmt: skip
    task = asyncio.ensure_future(plane.app(scope, receive, send))  # type: ignore[arg-type]  # plain dicts
    try:
        while not (task.done() and sent.empty()):
            yield await asyncio.wait_for(sent.get(), 10)
    finally:
        gone.set()
        await asyncio.wait_for(task, 10)


async def _open(plane: Plane) -> tuple[AsyncIterator[str], str]:
    stream = _events(plane)
    status = await anext(stream)
    if status == "200":
        assert await anext(stream) == "retry: 3000\n\n"
    return stream, status


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_each_look_sends_the_sheet_that_the_page_shows(plane: Plane) -> None:
    await plane.run(40)
    stream, _ = await _open(plane)
    await _settle()
    await plane.desk.pulse.look()
    event = await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert event.startswith("event: now\n")
    sheet = "\n".join(re.findall(r"^data: ?(.*)$", event, re.M))
    assert sheet in await plane.html()


async def test_live_pages_are_few_and_a_closed_one_makes_room(plane: Plane) -> None:
    opened = [await _open(plane) for _ in range(STREAMS)]
    assert {status for _, status in opened} == {"200"}
    surplus, status = await _open(plane)
    assert status == "503"
    assert "live pages are open" in await anext(surplus)
    await opened[0][0].aclose()  # type: ignore[attr-defined]  # it is a generator
    again, status = await _open(plane)
    assert status == "200"
    for stream, _ in (*opened[1:], (again, ""), (surplus, "")):
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_live_pages_end_with_the_plane(plane: Plane) -> None:
    stream, _ = await _open(plane)
    await _settle()
    await plane.desk.pulse.stop()
    assert (await anext(stream)).startswith("event: end\n")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


# ---- the verdict


def test_a_well_plane_raises_no_concern() -> None:
    assert verdict(a_status(), None, START) == []


@pytest.mark.parametrize(
    ("figures", "level"),
    [
        ({"error_share": 0.02}, "look"),
        ({"error_share": 0.06}, "act"),
        ({"amplification": 1.3}, "look"),
        ({"amplification": 1.6}, "act"),
        ({"goodput": 0.95}, "look"),
        ({"goodput": 0.5}, "act"),
        ({"goodput": None, "error_share": None, "amplification": None}, None),
        ({"goodput": 1.0, "error_share": 0.0, "amplification": 1.0}, None),
    ],
)
def test_traffic_that_goes_wrong_is_said(figures: dict[str, float], level: str | None) -> None:
    now = Now(at=START, window_s=60, **figures)  # type: ignore[arg-type]  # floats by name
    found = verdict(a_status(), now, START)
    assert [concern.level for concern in found] == ([level] if level else [])


def test_old_figures_are_said_to_be_old() -> None:
    (concern,) = verdict(a_status(), Now(at=START, window_s=60), START + timedelta(seconds=45))
    assert concern.say.startswith("The figures are 45 s old")


def test_the_worst_stands_first() -> None:
    status = a_status()
    status.workers[0].state = "down"
    status.document.is_valid = False
    status.targets[0].state = "open"
    assert [concern.level for concern in verdict(status, None, START)] == ["act", "look", "look"]


# ---- words


@given(st.integers(-(10**20), 10**20))
def test_money_is_exact(nanousd: int) -> None:
    said = words.money(nanousd)
    assert re.fullmatch(r"-?\$[\d,]+\.\d{2,9}", said)
    whole, _, nano = said.replace("$", "").replace(",", "").partition(".")
    assert abs(nanousd) == abs(int(whole)) * 10**9 + int(nano.ljust(9, "0"))


@pytest.mark.parametrize(
    ("said", "want"),
    [
        (words.rate(None), "–"),
        (words.rate(0.0), "0"),
        (words.rate(0.001), "<0.01"),
        (words.rate(0.416), "0.42"),
        (words.rate(12.34), "12.3"),
        (words.rate(1240.4), "1,240"),
        (words.share(None), "–"),
        (words.share(1.0), "100 %"),
        (words.share(0.99999), "99.9 %"),
        (words.share(0.00001), "0.1 %"),
        (words.share(0.0), "0 %"),
        (words.duration(None), "–"),
        (words.duration(0.0004), "0.40 ms"),
        (words.duration(0.35), "350 ms"),
        (words.duration(1.239), "1.24 s"),
        (words.duration(300), "5 min"),
        (words.quantile(None), "–"),
        (words.quantile(Quantile(120, is_bound=True)), "> 2 min"),
        (words.money(None), "–"),
        (words.money(0), "$0.00"),
        (words.money(1_234), "$0.000001234"),
        (words.money(1_204_500_000_000), "$1,204.50"),
        (words.ago(START, START + timedelta(seconds=40)), "40 s ago"),
        (words.ago(None, START), "–"),
        (words.clock(datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)), "2026-11-23T01:02:03Z"),
    ],
)
def test_figures_read_as_people_say_them(said: str, want: str) -> None:
    assert said == want


def test_a_url_leaves_out_what_is_default() -> None:
    assert Look().url() == "/"
    assert Look(q="a b").url(window=300) == "/?q=a+b&window=300"


# ---- charts


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=90))
def test_a_chart_stays_in_its_box_and_a_gap_is_a_gap(values: list[float | None]) -> None:
    chart = sparkline(values, 90)
    known = [value for value in values if value is not None]
    if not known:
        assert chart is None
        return
    assert chart is not None
    points = [tuple(map(float, p.split(","))) for line in chart.lines for p in line.split()]
    points += [(float(x), float(y)) for x, y in chart.dots]
    assert len(points) == len(known)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert (chart.least, chart.most) == (min(known), max(known))
