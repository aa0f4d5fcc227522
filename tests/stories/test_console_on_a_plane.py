"""The console on a real plane: keys made by its forms open the door, and its figures are right."""

import asyncio
import http.client
import re
from urllib.parse import urlencode

from towplane.testing.client import ask, chat
from towplane.testing.plane import PlaneFactory, RunningPlane, wait_until
from towplane.testing.provider import FakeProvider

PATIENCE_S = 30.0


def _call(running: RunningPlane, method: str, path: str, **fields: str) -> tuple[int, str, str]:
    """A page of the real console: status, where it leads, HTML."""
    host, _, port = running.admin.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    body = urlencode(fields) if fields else None
    headers = {"content-type": "application/x-www-form-urlencoded"} if fields else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    html = answer.read().decode()
    connection.close()
    return answer.status, answer.headers.get("location") or "", html


def _seal(html: str, place: int = -1) -> str:
    return str(re.findall(r'name="seal" value="([^"]+)"', html)[place])


def _status_of(running: RunningPlane, key: str) -> int:
    return asyncio.run(ask(running.address, chat(key))).status


def test_keys_of_the_page_open_the_door_of_a_real_plane(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """Made, rotated and revoked by forms; the audit knows who it was, the pages what was used."""
    running = plane(provider)
    status, _, html = _call(running, "GET", "/keys")
    fields = {"tenant": "acme", "name": "by-form", "rpd": "50"}
    status, _, html = _call(running, "POST", "/keys", seal=_seal(html), **fields)
    assert status == 201
    first = _token(html)
    wait_until(lambda: _status_of(running, first) == 200, PATIENCE_S)

    key = first.split("-")[1]
    _, _, html = _call(running, "GET", f"/keys/{key}")
    assert "50 requests per day" in html
    status, _, made = _call(running, "POST", f"/keys/{key}/rotate", seal=_seal(html), overlap="0")
    second = _token(made)
    wait_until(lambda: _status_of(running, second) == 200, PATIENCE_S)
    wait_until(lambda: _status_of(running, first) == 401, PATIENCE_S)

    _, _, html = _call(running, "GET", "/tenants/acme")
    assert "requests per day" in html
    assert "key rotated" in html
    assert key in html
    quotas = {row["measure"]: row for row in running.call("GET", "/tenants/acme")["quotas"]}
    assert quotas["rpd"]["used"] >= 2
    assert quotas["rpd"]["limit"] == 50

    _, _, html = _call(running, "GET", f"/keys/{key}")
    status, there, _ = _call(running, "POST", f"/keys/{key}/revoke", seal=_seal(html), sure="yes")
    assert (status, there) == (303, f"/keys/{key}")
    wait_until(lambda: _status_of(running, second) == 401, PATIENCE_S)
    changes = running.call("GET", "/audit")["changes"]
    assert [(one["action"], one["actor"]) for one in changes if one["subject"] == key] == [
        ("key-revoked", "console"),
        ("key-rotated", "console"),
        ("key-created", "console"),
    ]
    log = running.log.read_text()
    assert first not in log
    assert second not in log


def test_a_real_plane_tells_how_its_providers_do(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    running = plane(provider)
    key = running.key("acme")
    wait_until(lambda: running.call("GET", "/health")["rows"][0]["health"] is not None, PATIENCE_S)
    assert [_status_of(running, key) for _ in range(5)] == [200] * 5

    def attempts() -> int:
        found: int = running.call("GET", "/health?by=model")["rows"][0]["health"]["attempts"]
        return found

    wait_until(lambda: attempts() == 5, PATIENCE_S)
    (name,) = [row["name"] for row in running.call("GET", "/providers")["providers"]]
    found = running.call("GET", f"/providers/{name}")
    assert found["provider"]["health"]["success"] == 1.0
    assert found["provider"]["health"]["seconds_p95"] is not None
    assert found["targets"][0]["health"]["attempts"] == 5
    assert len(found["prices"]) == 1
    status, _, html = _call(running, "GET", f"/providers/{name}")
    assert status == 200
    assert "100 %" in html
    status, _, html = _call(running, "GET", "/usage?by=target")
    assert status == 200
    assert f"{name}/" in html


def _token(html: str) -> str:
    found = re.search(r'value="(tp-[^"]+)"', html)
    assert found is not None
    return found[1]
