"""Laws of the page Keys: a secret is shown once, a form is ours and done once, a name is text."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx
import pytest
from starlette.requests import Request

from towplane.api.admin import Desk, admin_app
from towplane.api.security import Gate
from towplane.api.tenant_views import KeyRow, WantedKey
from towplane.console.forms import USED, Forms, read_budget, read_limits, read_list, read_until
from towplane.console.pages import pages
from towplane.parts.errors import BadRequest, Conflict
from towplane.tenants.spec import Budget, Limits
from towplane.testing.pages import FakeConsole as Plane
from towplane.testing.pages import Page
from towplane.testing.views import SECRET, START

EVIL = "<script>alert(1)</script>\"'"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def plane() -> Plane:
    return Plane()


def _client(plane: Plane) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(plane.app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def _seals(html: str) -> list[str]:
    return re.findall(r'name="seal" value="([^"]+)"', html)


async def _send(plane: Plane, path: str, page: str, **fields: str) -> httpx.Response:
    """Load a page, fill its form and send it, as a browser does without script."""
    async with _client(plane) as client:
        seals = _seals((await client.get(page)).text)
        return await client.post(path, data={"seal": seals[-1], **fields})


# ---- keys


async def test_a_key_is_made_and_its_token_shown_this_once(plane: Plane) -> None:
    answer = await _send(
        plane,
        "/keys",
        "/keys",
        tenant="globex",
        project="search",
        name="ci",
        label="night",
        expires="2026-12-31",
        models="chat, embed",
        daily="5",
        rpm="1k",
    )
    assert answer.status_code == 201
    assert SECRET in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "location" not in answer.headers
    row = plane.view.made["key0"]
    assert (row.tenant, row.project, row.name, row.label) == ("globex", "search", "ci", "night")
    assert row.models == ["chat", "embed"]
    assert (row.limits, row.budget) == (Limits(rpm=1000), Budget(daily_nanousd=5_000_000_000))
    assert row.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert plane.view.actors == ["console"]
    for path in ("/keys", "/keys/key0", "/tenants/globex", "/"):
        assert SECRET not in await plane.html(path)


async def test_what_cannot_be_read_is_named_and_what_was_written_stays(plane: Plane) -> None:
    answer = await _send(plane, "/keys", "/keys", tenant="globex", name=EVIL, rpm="many")
    assert answer.status_code == 400
    page = Page(answer.text)
    assert "No key was made: rpm:" in page.text
    assert "<script>alert" not in answer.text
    assert 'value="&lt;script&gt;' in answer.text
    assert plane.view.made == {}
    again = await _send(plane, "/keys", "/keys", tenant="nobody")
    assert again.status_code == 404
    assert (await _send(plane, "/keys", "/keys")).status_code == 400


async def test_a_key_is_rotated_with_an_overlap(plane: Plane) -> None:
    await plane.view.create_key("globex", WantedKey())
    answer = await _send(plane, "/keys/key0/rotate", "/keys/key0", overlap="3600")
    assert answer.status_code == 201
    assert SECRET in answer.text
    assert "The secret before works for another 1 hour." in Page(answer.text).text
    assert plane.view.overlaps == [3600.0]
    wrong = await _send(plane, "/keys/key0/rotate", "/keys/key0", overlap="1e99")
    assert wrong.status_code == 400
    assert plane.view.overlaps == [3600.0]


async def test_a_key_is_revoked_only_when_it_is_confirmed(plane: Plane) -> None:
    await plane.view.create_key("globex", WantedKey())
    unsure = await _send(plane, "/keys/key0/revoke", "/keys/key0")
    assert unsure.status_code == 400
    assert "wants to be confirmed" in Page(unsure.text).text
    assert [key.state for key in await plane.view.keys()] == ["active"]
    sure = await _send(plane, "/keys/key0/revoke", "/keys/key0", sure="yes")
    assert (sure.status_code, sure.headers["location"]) == (303, "/keys/key0")
    assert [key.state for key in await plane.view.keys()] == ["revoked"]
    html = await plane.html("/keys/key0")
    assert _seals(html) == []
    assert "rotate" not in await plane.html("/keys?state=revoked&tenant=globex&q=key0")


@pytest.mark.parametrize("path", ["/keys/nobody", "/tenants/nobody", "/providers/nobody"])
async def test_what_is_not_there_is_said_in_words(plane: Plane, path: str) -> None:
    async with _client(plane) as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "Not done there is no " in Page(answer.text).text


async def test_keys_are_found_by_tenant_state_and_words(plane: Plane) -> None:
    for tenant, name in (("globex", "ci"), ("globex", "web"), ("default", "own")):
        await plane.view.create_key(tenant, WantedKey(name=name))
    await plane.view.revoke_key("key1")
    for query, found in (
        ("", 3), ("?tenant=globex", 2), ("?state=active", 2), ("?q=web", 1), ("?q=zzz", 0),
        ("?state=nonsense", 3),
    ):  # fmt: skip
        assert f"{found} shown" in Page(await plane.html(f"/keys{query}")).text, query
    assert "No key is so." in Page(await plane.html("/keys?q=zzz")).text


async def test_without_keys_or_tenants_the_page_says_so(plane: Plane) -> None:
    assert "There is no key yet" in Page(await plane.html("/keys")).text
    plane.view.people = {}
    text = Page(await plane.html("/keys")).text
    assert "There is no tenant yet" in text
    assert "Make the key" not in text


async def test_names_of_keys_are_text_and_never_markup(plane: Plane) -> None:
    plane.view.made[EVIL] = KeyRow(
        id=EVIL, tenant=EVIL, state="active", name=EVIL, label=EVIL, project=EVIL, models=[EVIL]
    )
    for path in ("/keys", "/keys/%3Cscript%3Ealert(1)%3C%2Fscript%3E%22'"):
        async with _client(plane) as client:
            html = (await client.get(path)).text
        assert "<script>alert" not in html
        Page(html)


async def test_limits_and_overlaps_are_said_in_words(plane: Plane) -> None:
    plane.view.made["k"] = KeyRow(
        id="k",
        tenant="globex",
        state="active",
        limits=Limits(rpm=10**12, rpd=5, mode="soft"),
        budget=Budget(total_nanousd=1),
        overlap_until=START + timedelta(hours=20),
        expires_at=START + timedelta(days=90),
    )
    text = Page(await plane.html("/keys/k")).text
    assert "1,000,000,000,000 requests per minute, 5 requests per day (only alerts)" in text
    assert "total budget $0.000000001" in text
    assert "the secret before works, ends in 20.0 h" in text
    assert "2027-02-21T12:00:00Z, in 90 d" in text


# ---- forms


async def test_a_form_is_done_once(plane: Plane) -> None:
    async with _client(plane) as client:
        (seal,) = _seals((await client.get("/keys")).text)
        fields = {"seal": seal, "tenant": "globex"}
        assert (await client.post("/keys", data=fields)).status_code == 201
        again = await client.post("/keys", data=fields)
    assert again.status_code == 409
    assert "is not done twice" in again.text
    assert len(plane.view.made) == 1


@pytest.mark.parametrize("seal", ["", "x", "x.y", ".", "é.é", "a" * 9999])
async def test_a_form_without_our_seal_does_nothing(plane: Plane, seal: str) -> None:
    async with _client(plane) as client:
        answer = await client.post("/keys", data={"seal": seal, "tenant": "globex"})
    assert answer.status_code == 400
    assert plane.view.made == {}


async def test_a_seal_is_of_one_session(plane: Plane) -> None:
    """Who logs in elsewhere cannot use a seal that somebody else was shown."""
    gate = Gate("token", plane.time.monotonic)
    desk = Desk(plane.view, plane.desk.pulse, gate)
    app = admin_app(desk, pages(desk))
    mine, theirs = gate.open_session(), gate.open_session()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://plane.example") as client:
        shown = await client.get("/keys", headers={"cookie": f"towplane-session={theirs}"})
        (seal,) = _seals(shown.text)
        fields = {"seal": seal, "tenant": "globex"}
        stolen = await client.post(
            "/keys", data=fields, headers={"cookie": f"towplane-session={mine}"}
        )
        assert stolen.status_code == 400
        locked = await client.post("/keys", data=fields)
        assert locked.status_code == 303
        own = await client.post(
            "/keys", data=fields, headers={"cookie": f"towplane-session={theirs}"}
        )
    assert own.status_code == 201
    assert len(plane.view.made) == 1


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}],
)
async def test_another_site_changes_nothing_even_with_a_seal(
    plane: Plane, headers: dict[str, str]
) -> None:
    async with _client(plane) as client:
        (seal,) = _seals((await client.get("/keys")).text)
        answer = await client.post(
            "/keys", data={"seal": seal, "tenant": "globex"}, headers=headers
        )
    assert answer.status_code == 403
    assert plane.view.made == {}


@pytest.mark.parametrize("path", ["/keys", "/keys/key0", "/keys/key0/rotate", "/keys/key0/revoke"])
async def test_a_get_changes_nothing(plane: Plane, path: str) -> None:
    await plane.view.create_key("globex", WantedKey())
    before = [plane.view.made["key0"].state, len(plane.view.made), list(plane.view.overlaps)]
    async with _client(plane) as client:
        await client.get(f"{path}?sure=yes&overlap=0&tenant=globex")
    after = [plane.view.made["key0"].state, len(plane.view.made), list(plane.view.overlaps)]
    assert after == before


def _request(body: bytes, kind: str = FORM) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_only_a_small_form_is_read() -> None:
    forms = Forms()
    seal = forms.seal(_request(b""))
    wide = urlencode([("seal", seal), *((f"f{n}", "x") for n in range(100))]).encode()
    with pytest.raises(BadRequest, match="too many fields"):
        await forms.take(_request(wide))
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json", ""):
        with pytest.raises(BadRequest):
            await forms.take(_request(urlencode({"seal": seal}).encode(), kind))
    assert await forms.take(_request(urlencode({"seal": seal, "a": " b "}).encode())) == {"a": "b"}
    with pytest.raises(Conflict):
        await forms.take(_request(urlencode({"seal": seal}).encode()))


async def test_the_memory_for_seals_does_not_grow() -> None:
    forms = Forms()
    for _ in range(USED + 50):
        seal = forms.seal(_request(b""))
        await forms.take(_request(urlencode({"seal": seal}).encode()))
    assert len(forms._used) == USED


@pytest.mark.parametrize(
    ("text", "nanousd"),
    [("5", 5_000_000_000), ("0.5", 500_000_000), ("5 USD", 5_000_000_000), ("0", 0)],
)
def test_money_is_of_usd(text: str, nanousd: int) -> None:
    assert read_budget({"daily": text}) == Budget(daily_nanousd=nanousd)


@pytest.mark.parametrize("text", ["-1", "5 EUR", "1e9", "five", "0.0000000001", "٣", "NaN"])
def test_other_money_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="daily"):
        read_budget({"daily": text})


def test_the_other_fields_are_read_as_in_the_document() -> None:
    assert read_limits({"rpm": "1k", "tokens_per_month": "3M", "tpm": ""}) == Limits(
        rpm=1000, tokens_per_month=3_000_000
    )
    with pytest.raises(BadRequest, match="tokens per month"):
        read_limits({"tokens_per_month": "-3"})
    assert read_list(" a, b\nc ,,") == ["a", "b", "c"]
    assert read_list(" , ") is None
    assert read_until("") is None
    with pytest.raises(BadRequest):
        read_until("tomorrow")
