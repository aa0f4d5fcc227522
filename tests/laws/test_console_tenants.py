"""Laws of the page Tenants: spend against budgets, quotas in words, and one tenant whole."""

import re
from datetime import timedelta

import msgspec
import pytest

from towplane.api.tenant_views import AuditRow, KeyRow, QuotaRow, TenantRow
from towplane.console.account_words import quota_line
from towplane.parts.errors import Unavailable
from towplane.tenants.spec import Budget, Limits
from towplane.testing.pages import FakeConsole as Plane
from towplane.testing.pages import Page
from towplane.testing.views import START

EVIL = "<script>alert(1)</script>\"'"


@pytest.fixture
def plane() -> Plane:
    return Plane()


def a_quota(used: int, limit: int, **fields: str) -> QuotaRow:
    row = QuotaRow(
        kind="tenant",
        name="globex",
        measure="rpd",
        unit="requests",
        window="2026-11-23",
        limit=limit,
        used=used,
        mode="hard",
    )
    return msgspec.structs.replace(row, **fields)


async def test_the_list_says_spend_budget_quota_and_state(plane: Plane) -> None:
    text = Page(await plane.html("/tenants")).text
    assert "spend of November 2026, UTC" in text
    assert "globex near a limit $1,204.50000025 80.3 % of $1,500.00, refuses above it" in text
    assert "4.6 % of 20,000 requests per day, 2026-11-23" in text
    assert "default no key unpriced none none 0" in text
    assert [str(query.since) for query in plane.view.questions] == ["2026-11-01"]


@pytest.mark.parametrize(
    ("used", "limit", "share", "state"),
    [
        (0, 100, "0.0 %", "well"),
        (79, 100, "79.0 %", "well"),
        (80, 100, "80.0 %", "near"),
        (100, 100, "100.0 %", "over"),
        (10**15, 100, "1,000,000,000,000,000.0 %", "over"),
        (0, 0, "0.0 %", "well"),
        (1, 0, "100.0 %", "over"),
    ],
)
def test_the_state_of_a_quota_is_a_word(used: int, limit: int, share: str, state: str) -> None:
    line = quota_line(a_quota(used, limit))
    assert (line.share, line.state) == (share, state)
    assert 0 <= float(line.fill) <= 100


async def test_one_tenant_is_shown_whole(plane: Plane) -> None:
    plane.view.made["k1"] = KeyRow(id="k1", tenant="globex", state="active", project="search")
    text = Page(await plane.html("/tenants/globex")).text
    for said in (
        "$1,204.50000025", "4 attempts estimated, 0 absent",
        "600 requests per minute, 20,000 requests per day", "monthly budget $1,500.00",
        "project globex/search daily budget 2026-11-23 $51.00 $50.00 102.0 % over only alerts",
        "search none daily budget $50.00 (only alerts)", "k1 active", "high",
        "given up after 24 tries: it answered 500", "80 % $1,200.10 of $1,500.00",
        "cli:ann project created globex/search", "the document, which changes it",
        "Known cost by day and model, UTC",
    ):  # fmt: skip
        assert said in text, said


async def test_a_change_says_what_was_before_and_after(plane: Plane) -> None:
    plane.view.audit = [
        AuditRow(
            number=2,
            at=START,
            actor="api",
            action="tenant-changed",
            subject="globex",
            before={"limits": {"rpm": 5}, "models": None, "name": "globex"},
            after={"limits": {"rpm": 9}, "models": ["chat"], "name": "globex"},
        )
    ]
    text = Page(await plane.html("/tenants/globex")).text
    assert 'limits: {"rpm":5} → {"rpm":9}, models: none → ["chat"]' in text


async def test_what_is_not_there_is_said(plane: Plane) -> None:
    text = Page(await plane.html("/tenants/default")).text
    for said in (
        "It has no quota of a day or a month, and no budget.", "It has no projects.",
        "It has no key, so it cannot open the door.", "No limit has come near yet.",
        "Nothing was changed by command, API or console",
    ):  # fmt: skip
        assert said in text, said
    plane.view.rows, plane.view.days = [], []
    text = Page(await plane.html("/tenants/default")).text
    assert "It used nothing in these days." in text
    plane.view.people = {}
    assert "There is no tenant yet." in Page(await plane.html("/tenants")).text


async def test_the_chart_holds_every_model_and_the_rest(plane: Plane) -> None:
    plane.view.rows = [
        msgspec.structs.replace(plane.view.rows[0], name=f"m{n}", cost_nanousd=100 - n)
        for n in range(8)
    ]
    questions = len(plane.view.questions)
    text = Page(await plane.html("/tenants/globex")).text
    assert "m0m1m2m3m4" in text.replace(" ", "")
    asked = plane.view.questions[questions:]
    assert [query.model for query in asked if query.by == "day"] == [
        "m0", "m1", "m2", "m3", "m4", None,
    ]  # fmt: skip
    assert all(query.tenant == "globex" for query in asked)
    days = {query.since for query in asked if query.by == "day"}
    assert days == {START.date() - timedelta(days=29)}


async def test_names_are_text_and_never_markup(plane: Plane) -> None:
    plane.view.people["x"] = TenantRow(
        name="x",
        source="created",
        limits=Limits(),
        budget=Budget(),
        models=[EVIL],
        projects=[EVIL],
        created_at=START,
    )
    plane.view.audit = [
        AuditRow(number=1, at=START, actor=EVIL, action=EVIL, subject="x", before={EVIL: 1},
                 after={EVIL: EVIL})
    ]  # fmt: skip
    plane.view.noted = [
        msgspec.structs.replace(plane.view.noted[0], tenant="x", name=EVIL, trouble=EVIL)
    ]
    plane.view.rows = [msgspec.structs.replace(plane.view.rows[0], name=EVIL)]
    for path in ("/tenants", "/tenants/x", "/tenants?q=%3Cscript%3Ealert(1)"):
        html = await plane.html(path)
        assert "<script>alert" not in html
        Page(html)


async def test_a_ledger_that_cannot_be_read_is_said_on_a_page(plane: Plane) -> None:
    async def fail(tenant: str | None = None) -> list[QuotaRow]:
        raise Unavailable("the database is locked")

    plane.view.quotas = fail  # type: ignore[method-assign]  # the fault to inject
    answer = await plane.get("/tenants")
    assert answer.status_code == 502
    assert "the database is locked" in Page(answer.text).text


@pytest.mark.parametrize("path", ["/tenants", "/tenants/globex", "/keys", "/keys/k1"])
async def test_every_link_has_its_place(plane: Plane, path: str) -> None:
    plane.view.made["k1"] = KeyRow(id="k1", tenant="globex", state="active")
    page, sources = Page(await plane.html(path)), Page(await plane.html("/sources"))
    for link in page.links:
        assert re.match(r"(/(?!/)|#)", link), link
        there, _, place = link.partition("#")
        if place and there in ("", "/sources"):
            assert place in (sources if there == "/sources" else page).ids, link
    assert len(page.ids) == len(set(page.ids))
