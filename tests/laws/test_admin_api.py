"""Laws of the admin port: what it answers, whom it answers, and how it says no."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from openapi_spec_validator import validate
from starlette.datastructures import Headers

from towplane.api.admin import Desk, admin_app
from towplane.api.endpoints import ENDPOINTS
from towplane.api.pulse import Pulse
from towplane.api.readiness import readiness
from towplane.api.security import BODY_BYTES, COOKIE, SESSION_S, SESSIONS, Gate
from towplane.api.server import AdminServer
from towplane.api.views import PlaneStatus
from towplane.console.pages import pages
from towplane.parts.errors import BadDocument
from towplane.testing.clock import FakeClock
from towplane.testing.views import SECRET, FakePlaneView, a_status

TOKEN = "an-admin-token"
BEARER = {"authorization": f"Bearer {TOKEN}"}


def _desk(view: FakePlaneView, token: str | None = None, clock: FakeClock | None = None) -> Desk:
    return Desk(view, Pulse(view), Gate(token, (clock or FakeClock()).monotonic))


def _client(desk: Desk, base: str = "http://localhost:9090") -> httpx.AsyncClient:
    app = admin_app(desk, pages(desk))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=base
    )


@pytest.fixture
def view() -> FakePlaneView:
    return FakePlaneView()


@pytest.fixture
async def open_port(view: FakePlaneView) -> AsyncIterator[httpx.AsyncClient]:
    """On loopback, without a token."""
    async with _client(_desk(view)) as client:
        yield client


@pytest.fixture
async def locked_port(view: FakePlaneView) -> AsyncIterator[httpx.AsyncClient]:
    """Anywhere, with a token."""
    async with _client(_desk(view, TOKEN), "http://plane.example:9090") as client:
        yield client


# ---- health


async def test_alive_is_alive_and_ready_says_every_route(open_port: httpx.AsyncClient) -> None:
    assert (await open_port.get("/livez")).json() == {"live": True}
    answer = await open_port.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["routes"] == {
        "chat": {"ready": True, "reason": ""},
        "smollm2-135m-instruct": {"ready": True, "reason": ""},
    }


async def test_not_ready_is_503_with_words(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    view.state.routes[1].fallback = []
    view.state.targets[0].state = "starting"
    view.state.targets[0].reason = "loading weights"
    answer = await open_port.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["say"] == (
        "no target for smollm2-135m-instruct: embedded/0 is starting (loading weights)"
    )


def _changed(**fields: Any) -> PlaneStatus:
    return msgspec.structs.replace(a_status(), **fields)


def test_without_a_worker_nothing_is_ready() -> None:
    assert not readiness(_changed(workers=[])).ready


def test_a_provider_is_somewhere_to_go_even_with_an_open_breaker() -> None:
    status = a_status()
    status.targets[1].state = "open"
    assert readiness(status).ready


def test_a_fallback_to_another_route_counts_and_may_go_in_circles() -> None:
    status = a_status()
    status.targets[0].state = "down"
    status.routes[1].fallback = ["chat"]
    status.routes[0].fallback = ["smollm2-135m-instruct"]
    assert readiness(status).ready


# ---- /api/v1


async def test_openapi_describes_every_endpoint(open_port: httpx.AsyncClient) -> None:
    described = (await open_port.get("/api/v1/openapi.json")).json()
    validate(described)
    operations = [
        (method.upper(), path) for path, ways in described["paths"].items() for method in ways
    ]
    assert operations == [(e.method, f"/api/v1{e.path}") for e in ENDPOINTS]
    names = [op["operationId"] for ways in described["paths"].values() for op in ways.values()]
    assert len(names) == len(set(names))


def test_the_documentation_lists_every_endpoint() -> None:
    page = (Path(__file__).parents[2] / "docs" / "admin-api.md").read_text()
    rows = [f"| `{e.method} /api/v1{e.path}` | {e.summary} |" for e in ENDPOINTS]
    assert [line for line in page.splitlines() if "/api/v1/" in line and line in rows] == rows


async def test_every_get_answers_and_fits_its_declared_type(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.method != "GET" or endpoint.path in ("/now", "/export"):
            continue
        path = endpoint.path.format(tenant="default", model="chat", provider="spare", request="r")
        answer = await open_port.get("/api/v1" + path)
        assert answer.status_code == 200, endpoint.path
        assert msgspec.json.decode(answer.content, type=endpoint.answer)


async def test_status_is_the_read_model_with_moments_as_iso_8601(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    answer = await open_port.get("/api/v1/status")
    assert msgspec.json.decode(answer.content, type=PlaneStatus) == view.state
    assert answer.json()["started_at"] == "2026-11-23T09:00:00Z"


async def test_now_is_not_ready_before_the_first_look(view: FakePlaneView) -> None:
    desk = _desk(view)
    async with _client(desk) as client:
        early = await client.get("/api/v1/now")
        assert early.status_code == 503
        assert early.json()["error"]["code"] == "not_ready"
        await desk.pulse.look()
        assert (await client.get("/api/v1/now")).json()["requests_per_s"] is None


async def test_metrics_hold_the_workers_and_the_plane(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    view.serve_traffic(100)
    answer = await open_port.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "towplane_requests_total{" in answer.text
    assert 'towplane_target_state{state="ready",target="embedded/0"} 1.0' in answer.text


async def test_usage_is_asked_with_days(open_port: httpx.AsyncClient, view: FakePlaneView) -> None:
    answer = await open_port.get("/api/v1/usage?by=model&since=2026-11-01&tenant=globex")
    assert answer.json()["query"]["since"] == "2026-11-01"
    assert view.questions[-1].tenant == "globex"
    assert answer.json()["rows"][0]["cost_nanousd"] == 1_204_500_000_250
    assert answer.json()["rows"][1]["cost_nanousd"] is None


async def test_keys_are_made_rotated_listed_and_revoked(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    made = await open_port.post("/api/v1/tenants/globex/keys", json={"label": "ci"})
    assert (made.status_code, made.json()["token"]) == (201, SECRET)
    key = made.json()["id"]
    rotated = await open_port.post(f"/api/v1/keys/{key}/rotate", json={"overlap_s": 60})
    assert rotated.status_code == 201
    assert view.overlaps == [60]
    assert (await open_port.delete(f"/api/v1/keys/{key}")).json()["state"] == "revoked"
    listed = await open_port.get("/api/v1/tenants/globex/keys")
    assert [(k["id"], k["state"]) for k in listed.json()["keys"]] == [(key, "revoked")]
    assert SECRET not in listed.text


async def test_a_model_whose_name_holds_a_slash_is_explained(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    view.state.routes[0].model = "vendor/chat"
    answer = await open_port.get("/api/v1/routing/vendor%2Fchat/explain")
    assert answer.json()["model"] == "vendor/chat"
    assert (await open_port.get("/api/v1/routing/vendor/chat/explain")).json() == answer.json()


async def test_tenants_are_made_once(open_port: httpx.AsyncClient) -> None:
    wanted = {"name": "acme", "budget": {"monthly": 5}}
    assert (await open_port.post("/api/v1/tenants", json=wanted)).status_code == 201
    again = await open_port.post("/api/v1/tenants", json=wanted)
    assert again.status_code == 409
    assert again.json()["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/api/v1/tenants", 405, "bad_request"),
        ("GET", "/api/v1/tenants/nobody/keys", 404, "not_found"),
        ("DELETE", "/api/v1/keys/none", 404, "not_found"),
        ("GET", "/api/v1/routing/nothing/explain", 404, "not_found"),
        ("GET", "/api/v1/usage?by=colour", 400, "bad_request"),
        ("GET", "/api/v1/usage?bye=tenant", 400, "bad_request"),
        ("GET", "/api/v1/status?verbose=1", 400, "bad_request"),
        ("POST", "/api/v1/tenants", 400, "bad_request"),
    ],
)
async def test_every_no_has_a_code_words_and_a_status(
    open_port: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await open_port.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": 3}', b'{"nam": "x"}', b"\xff"])
async def test_a_wrong_body_is_refused_with_the_place(
    open_port: httpx.AsyncClient, body: bytes
) -> None:
    headers = {"content-type": "application/json"}
    answer = await open_port.post("/api/v1/tenants", content=body, headers=headers)
    assert answer.status_code == 400
    assert "openapi.json" in answer.json()["error"]["next"]


async def test_a_bug_of_ours_shows_nothing_of_its_insides(
    open_port: httpx.AsyncClient, view: FakePlaneView, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> PlaneStatus:
        raise RuntimeError("a-secret-inside")

    view.status = fail  # type: ignore[method-assign]  # the fault to inject
    answer = await open_port.get("/api/v1/status")
    assert answer.status_code == 500
    assert "a-secret-inside" not in answer.text
    assert "a-secret-inside" in caplog.text


# ---- who may come in


@pytest.mark.parametrize("path", ["/metrics", "/api/v1/status", "/api/v1/openapi.json"])
async def test_a_locked_port_asks_for_the_token(locked_port: httpx.AsyncClient, path: str) -> None:
    closed = await locked_port.get(path)
    assert closed.status_code == 401
    assert closed.headers["www-authenticate"].startswith("Bearer")
    wrong = await locked_port.get(path, headers={"authorization": f"Bearer {TOKEN}x"})
    assert wrong.status_code == 401
    assert (await locked_port.get(path, headers=BEARER)).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/static/console.css", "/login"])
async def test_probes_and_the_login_are_open(locked_port: httpx.AsyncClient, path: str) -> None:
    assert (await locked_port.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/livez/../metrics", "/loginx", "/static/../api/v1/status"])
async def test_nothing_gets_in_by_beginning_like_an_open_path(
    locked_port: httpx.AsyncClient, path: str
) -> None:
    answer = await locked_port.send(locked_port.build_request("GET", f"http://h{path}"))
    assert answer.status_code in (303, 401, 404)


@pytest.mark.parametrize("host", ["plane.example/livez?", "plane.example/static/#", "h/login"])
async def test_a_forged_host_opens_no_door(locked_port: httpx.AsyncClient, host: str) -> None:
    """Starlette's `request.url` would believe it; the guard looks at the path itself."""
    answer = await locked_port.get("/api/v1/status", headers={"host": host})
    assert answer.status_code == 401


async def test_a_person_logs_in_and_out(locked_port: httpx.AsyncClient) -> None:
    away = await locked_port.get("/?window=300")
    assert away.status_code == 303
    assert away.headers["location"] == "/login?next=/%3Fwindow%3D300"
    wrong = await locked_port.post("/login", data={"token": "guess", "next": "/"})
    assert wrong.status_code == 401
    assert "not the admin token" in wrong.text
    right = await locked_port.post("/login", data={"token": TOKEN, "next": "/?window=300"})
    assert (right.status_code, right.headers["location"]) == (303, "/?window=300")
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert (await locked_port.get("/")).status_code == 200
    await locked_port.post("/logout")
    assert (await locked_port.get("/")).status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
async def test_the_login_leads_to_no_other_site(
    locked_port: httpx.AsyncClient, target: str
) -> None:
    right = await locked_port.post("/login", data={"token": TOKEN, "next": target})
    assert right.headers["location"] == "/"


def _lets_in(gate: Gate, session: str) -> bool:
    return gate.lets_in(Headers({"cookie": f"{COOKIE}={session}"}))


def test_a_session_ends_and_there_are_few() -> None:
    clock = FakeClock()
    gate = Gate(TOKEN, clock.monotonic)
    first = gate.open_session()
    assert _lets_in(gate, first)
    clock.advance(SESSION_S + 1)
    assert not _lets_in(gate, first)
    sessions = [gate.open_session() for _ in range(SESSIONS + 1)]
    assert not _lets_in(gate, sessions[0])
    assert _lets_in(gate, sessions[-1])


def test_without_a_token_the_port_stays_on_loopback(view: FakePlaneView) -> None:
    for listen in ("0.0.0.0:9090", "[::]:9090", "plane.example:9090"):
        with pytest.raises(BadDocument):
            AdminServer(view, listen=listen)
    AdminServer(view, listen="0.0.0.0:9090", token=TOKEN)
    AdminServer(view, listen="[::1]:9090")


# ---- what a browser may be made to do


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:9090",
        "",
        "127.0.0.1.evil.example",
        "localhost/@x",
        "localhost:",
    ],
)
async def test_no_foreign_name_can_be_rebound_to_us(
    open_port: httpx.AsyncClient, host: str
) -> None:
    answer = await open_port.get("/api/v1/status", headers={"host": host})
    assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9090", "[::1]:9090", "LOCALHOST:1"])
async def test_loopback_names_are_ours(open_port: httpx.AsyncClient, host: str) -> None:
    assert (await open_port.get("/livez", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_another_origin_changes_nothing(
    open_port: httpx.AsyncClient, view: FakePlaneView, headers: dict[str, str]
) -> None:
    answer = await open_port.post("/api/v1/tenants", json={"name": "evil"}, headers=headers)
    assert answer.status_code == 403
    assert "evil" not in view.people


async def test_a_form_cannot_pass_for_json(
    open_port: httpx.AsyncClient, view: FakePlaneView
) -> None:
    """The types that a page may send without asking first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; x"):
        answer = await open_port.post(
            "/api/v1/tenants", content=b'{"name": "evil"}', headers={"content-type": kind}
        )
        assert answer.status_code == 400
    assert "evil" not in view.people


def test_no_get_changes_anything() -> None:
    """By name: what an endpoint of GET does begins with no verb of change."""
    verbs = ("create", "change_", "rotate", "revoke", "delete", "set")
    for endpoint in ENDPOINTS:
        changes = endpoint.handle.__name__.strip("_").startswith(verbs)
        is_question = endpoint.handle.__name__ == "_explain_question"  # too long for a URL
        assert (changes or is_question) == (endpoint.method != "GET")


async def test_bodies_are_bounded(open_port: httpx.AsyncClient) -> None:
    answer = await open_port.post(
        "/api/v1/tenants",
        content=b" " * (BODY_BYTES + 1),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/", "/sources", "/login", "/metrics", "/nothing", "/livez"])
async def test_every_answer_carries_the_headers_for_browsers(
    open_port: httpx.AsyncClient, path: str
) -> None:
    headers = (await open_port.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


async def test_an_export_is_a_file_for_the_browser_to_keep(open_port: httpx.AsyncClient) -> None:
    answer = await open_port.get("/api/v1/export?since=2026-11-01&until=2026-11-30")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    assert answer.text == "tenant,amount\r\n"
    assert (await open_port.get("/api/v1/export?since=2026-11-01")).status_code == 400


async def test_tenants_are_changed_in_part(open_port: httpx.AsyncClient) -> None:
    answer = await open_port.patch("/api/v1/tenants/globex", json={"limits": {"rpd": 5}})
    assert answer.status_code == 200
    assert answer.json()["limits"]["rpd"] == 5
    refused = await open_port.patch("/api/v1/tenants/globex", json={"name": "other"})
    assert refused.status_code == 400
