"""Laws of the page Usage: sums, what is not known, exports, and the chart by day."""

import csv
import io
import re
from datetime import date

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.api.tenant_views import UsageQuery
from towplane.console.charts import HIGH, WIDE, columns
from towplane.console.usage import GROUPS, UsageLook, as_csv, usage_sheet
from towplane.parts.errors import Unavailable
from towplane.tenants.ledger import UsageRow
from towplane.testing.pages import FakeConsole as Plane
from towplane.testing.pages import Page

EVIL = "<script>alert(1)</script>\"'"
TODAY = date(2026, 11, 23)
NOTHING = UsageRow(
    name="m",
    requests=0,
    attempts=0,
    measured=0,
    estimated=0,
    absent=0,
    input_tokens=0,
    cached_input_tokens=0,
    output_tokens=0,
    cost_nanousd=None,
    unpriced=0,
)


def a_row(name: str = "m", **fields: int | None) -> UsageRow:
    return msgspec.structs.replace(NOTHING, name=name, **fields)


@pytest.fixture
def plane() -> Plane:
    return Plane()


async def get(plane: Plane, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(plane.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path)


async def test_measured_estimated_absent_and_unpriced_stand_apart(plane: Plane) -> None:
    text = Page(await plane.html("/usage")).text
    for said in (
        "globex $1,204.50000025 none 18,002 18,500 18,496 4 0",
        "default unpriced 214 212 214 213 0 1",
        "all together $1,204.50000025 214 18,214 18,714 18,709 4 1 9,843,400",
        "without 214 attempts that have no price",
        "1 absent: nobody knows what they used",
        "2026-11-01 to 2026-11-23, UTC",
        "Known cost by day, UTC; the highest column is $106.00",
    ):
        assert said in text, said


async def test_the_url_says_which_usage(plane: Plane) -> None:
    url = "/usage?by=model&since=2026-10-01&until=2026-10-31&tenant=globex&project=search&key=k1"
    html = await plane.html(url)
    asked = plane.view.questions[-2]
    assert (asked.by, asked.tenant, asked.project, asked.key) == (
        "model", "globex", "search", "k1",
    )  # fmt: skip
    assert (asked.since, asked.until) == (date(2026, 10, 1), date(2026, 10, 31))
    assert plane.view.questions[-1] == msgspec.structs.replace(asked, by="day")
    page = Page(html)
    assert "tenant globex, project search, key k1" in page.text
    assert (
        "towplane tenants usage --by model --since 2026-10-01 --until 2026-10-31 --tenant globex "
        "--project search --key k1" in page.text
    )
    assert html == await plane.html(url)


@pytest.mark.parametrize("by", GROUPS)
async def test_every_group_has_a_page(plane: Plane, by: str) -> None:
    assert f"By {GROUPS[by].lower()}" in Page(await plane.html(f"/usage?by={by}")).text  # type: ignore[index]  # its own keys


@pytest.mark.parametrize(
    "query",
    ["?since=0001-01-01&until=9999-12-31", "?since=2026-11-23&until=2026-11-01",
     "?until=0001-01-01", "?since=9999-12-31"],
)  # fmt: skip
async def test_any_span_of_days_is_answered(plane: Plane, query: str) -> None:
    html = await plane.html(f"/usage{query}")
    assert html.count("<rect") <= 400


@pytest.mark.parametrize("query", ["?by=colour", "?since=yesterday", "?until=2026-13-01", "?x=1"])
async def test_what_makes_no_sense_is_the_default(plane: Plane, query: str) -> None:
    assert await plane.html(f"/usage{query}") == await plane.html("/usage")


async def test_an_empty_ledger_says_so_and_shows_no_chart(plane: Plane) -> None:
    plane.view.rows, plane.view.days = [], []
    html = await plane.html("/usage")
    assert "Nothing was used in these days." in Page(html).text
    assert 'class="columns"' not in html


async def test_a_ledger_that_cannot_be_read_is_unknown_usage(plane: Plane) -> None:
    async def fail(query: UsageQuery) -> list[UsageRow]:
        raise Unavailable("the database is locked")

    plane.view.usage = fail  # type: ignore[method-assign]  # the fault to inject
    answer = await get(plane, "/usage")
    assert answer.status_code == 503
    assert "What was used is unknown." in Page(answer.text).text


async def test_a_cost_that_nobody_knows_is_never_0(plane: Plane) -> None:
    plane.view.rows = [a_row(attempts=3, absent=3), a_row("n", attempts=1, unpriced=1)]
    plane.view.days = [a_row("2026-11-23", attempts=4)]
    text = Page(await plane.html("/usage")).text
    assert "m unknown none" in text
    assert "n unpriced 1" in text
    assert "Attempts by day, UTC, for no cost is known" in text
    assert "$0" not in text


async def test_names_from_others_are_text_and_never_markup(plane: Plane) -> None:
    plane.view.rows = [a_row(EVIL, cost_nanousd=1)]
    html = await plane.html("/usage?by=label&label=%3Cscript%3Ealert(1)%3C/script%3E%22'&q=%3Cscr")
    assert "<script>alert" not in html
    Page(html)


async def test_huge_sums_stay_exact(plane: Plane) -> None:
    plane.view.rows = [a_row("a", cost_nanousd=10**27 + 1, attempts=10**15) for _ in range(3)]
    text = Page(await plane.html("/usage")).text
    assert "$3,000,000,000,000,000,000.000000003" in text
    assert "3,000,000,000,000,000" in text


async def test_the_table_leaves_as_csv_and_json(plane: Plane) -> None:
    page = Page(await plane.html("/usage?by=model&tenant=globex"))
    (link,) = [link for link in page.links if link.startswith("/usage.csv")]
    answer = await get(plane, link)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["model"] == "globex"
    assert rows[0]["cost_nanousd"] == "1204500000250"
    assert rows[1]["cost_nanousd"] == ""
    (link,) = [link for link in page.links if link.startswith("/api/v1/usage?")]
    assert (await get(plane, link)).json()["query"]["tenant"] == "globex"
    (link,) = [link for link in page.links if link.startswith("/api/v1/export?")]
    assert link.endswith("since=2026-11-01&until=2026-11-23&tenant=globex")
    assert (await get(plane, link)).status_code == 200


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_spreadsheet_runs_nothing_that_a_label_says(name: str) -> None:
    text = as_csv(UsageQuery(by="label"), [a_row(name)])
    assert list(csv.reader(io.StringIO(text)))[1][0] == f"'{name}"


@given(
    st.lists(
        st.builds(
            a_row,
            st.text(max_size=5),
            cost_nanousd=st.none() | st.integers(0, 10**15),
            attempts=st.integers(0, 10**9),
            unpriced=st.integers(0, 5),
        ),
        max_size=8,
    )
)
def test_the_sum_is_that_of_its_rows(rows: list[UsageRow]) -> None:
    sheet = usage_sheet(UsageLook(), rows, [], TODAY)
    known = [row.cost_nanousd for row in rows if row.cost_nanousd is not None]
    if known:
        said = sheet.total.cost.replace("$", "").replace(",", "")
        whole, _, nano = said.partition(".")
        assert int(whole) * 10**9 + int(nano.ljust(9, "0")) == sum(known)
    assert sheet.total.attempts.replace(",", "") == str(sum(row.attempts for row in rows))


@given(st.lists(st.lists(st.none() | st.floats(0, 1e12), min_size=1, max_size=9), max_size=4))
def test_columns_stay_in_their_box_and_a_gap_is_a_gap(series: list[list[float | None]]) -> None:
    chart = columns(series)
    known = [value for values in series for value in values if value is not None]
    if not known:
        assert chart is None
        return
    assert chart is not None
    assert len(chart.blocks) <= sum(1 for value in known if value)
    for block in chart.blocks:
        assert 0 <= float(block.x) <= WIDE
        assert float(block.y) >= 0
        assert float(block.y) + float(block.height) <= HIGH + 0.02
        assert re.fullmatch(r"\d+\.\d\d", block.width)


async def test_every_link_has_its_place(plane: Plane) -> None:
    page, sources = Page(await plane.html("/usage")), Page(await plane.html("/sources"))
    for link in page.links:
        assert re.match(r"(/(?!/)|#)", link), link
        path, _, place = link.partition("#")
        if place:
            assert place in (sources if path == "/sources" else page).ids, link
    assert len(page.ids) == len(set(page.ids))
