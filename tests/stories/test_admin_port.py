"""The admin port of a real plane: figures right over workers and their deaths, documents refused
and applied, the token, live pages that end with the plane."""

import asyncio
import http.client
import os
import re
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest
import yaml

from towplane.testing.client import ask, chat
from towplane.testing.plane import PlaneFactory, RunningPlane, wait_until
from towplane.testing.provider import FakeProvider

PATIENCE_S = 30.0
REQUESTS = "towplane_requests_total"


def _ask_many(running: RunningPlane, key: str, count: int) -> None:
    """Streams over a connection each, so that the kernel spreads them over the workers."""

    async def talk() -> list[int]:
        answers = [await ask(running.address, chat(key, stream=True)) for _ in range(count)]
        return [answer.status for answer in answers]

    assert asyncio.run(talk()) == [200] * count


def _get(running: RunningPlane, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(running.admin_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _rewrite(running: RunningPlane, **routes: Any) -> None:
    """A new document with other routes."""
    found = yaml.safe_load(running.file.read_text())
    found["routing"]["fake"].update(routes)
    running.file.write_text(yaml.safe_dump(found))


def test_figures_are_right_over_workers_and_their_deaths(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """Every request is counted once, whoever served it, and no counter ever falls."""
    running = plane(provider, gateway={"workers": 3})
    key = running.key("acme")
    _ask_many(running, key, 60)
    assert running.metric(REQUESTS, model="fake", outcome="ok") == 60
    assert running.metric("towplane_attempts_total", cause="first", outcome="ok") == 60
    assert running.metric("towplane_ttft_seconds_count", model="fake") == 60
    assert running.metric("towplane_tokens_total", direction="output", usage="measured") == 480
    assert running.metric("towplane_worker_up") == 3

    before, victims = running.metrics(), set(running.workers())
    os.kill(min(victims), signal.SIGKILL)
    wait_until(lambda: running.metric("towplane_worker_restarts_total") == 1, PATIENCE_S)
    wait_until(lambda: running.metric("towplane_worker_up") == 3, PATIENCE_S)
    assert len(set(running.workers()) - victims) == 1
    _ask_many(running, key, 30)
    after = running.metrics()
    assert running.metric(REQUESTS, model="fake", outcome="ok") == 90
    assert running.metric("towplane_ttft_seconds_count", model="fake") == 90
    for name, value in before.items():
        counts = re.search(r"_(total|bucket|count|sum)(\{|$)", name)
        if counts and "process" not in name:  # a process that is new begins anew
            assert after[name] >= value, name
    usage = running.call("GET", "/usage?by=model")["rows"]
    assert [(row["requests"], row["output_tokens"]) for row in usage] == [(90, 720)]


def test_a_refused_document_is_said_everywhere_until_one_is_accepted(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    running = plane(provider)
    good = running.file.read_text()
    running.file.write_text(good.replace("targets:", "tagets:"))
    wait_until(lambda: running.metric("towplane_document_valid") == 0, PATIENCE_S)
    errors = running.call("GET", "/document")["errors"]
    assert any("tagets" in error["say"] and error["line"] for error in errors)
    status, page = _get(running, "/")
    assert status == 200
    assert "The new document was refused" in page
    assert "tagets" in page
    _ask_many(running, running.key("acme"), 1)
    running.file.write_text(good)
    wait_until(lambda: running.metric("towplane_document_valid") == 1, PATIENCE_S)
    assert "The new document was refused" not in _get(running, "/")[1]


def test_an_slo_that_is_added_becomes_an_edge_and_disturbs_no_count(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    running = plane(provider, gateway={"workers": 2})
    key = running.key("acme")
    _ask_many(running, key, 10)
    before = running.metrics()
    _rewrite(running, slo={"ttft": "123ms"})
    edge = 'towplane_ttft_seconds_bucket{le="0.123",model="fake"}'
    wait_until(lambda: edge in running.metrics(), PATIENCE_S)
    after = running.metrics()
    buckets = [name for name in before if name.startswith("towplane_ttft_seconds_bucket")]
    assert {name: after[name] for name in buckets} == {name: before[name] for name in buckets}
    _ask_many(running, key, 10)
    assert running.metric(REQUESTS, slo="none") == 10
    assert running.metric(REQUESTS, slo="met") + running.metric(REQUESTS, slo="missed") == 10


def test_a_port_with_a_token_is_shut_to_those_without(
    plane: PlaneFactory, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORY_TOKEN", "a-token-for-the-story")
    admin = {"listen": "127.0.0.1:0", "token": "env:STORY_TOKEN"}
    running = plane(provider, more={"admin": admin})
    assert _get(running, "/metrics")[0] == 401
    assert _get(running, "/api/v1/status", authorization="Bearer wrong")[0] == 401
    status, body = _get(running, "/metrics", authorization="Bearer a-token-for-the-story")
    assert (status, "towplane_build_info" in body) == (200, True)
    assert "Admin token" in _get(running, "/")[1]
    assert "a-token-for-the-story" not in running.log.read_text()


def test_live_pages_end_with_the_plane(plane: PlaneFactory, provider: FakeProvider) -> None:
    """An open page is told, and does not hold the plane up."""
    running = plane(provider)
    host, _, port = running.admin.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
    connection.request("GET", "/live/now")
    stream = connection.getresponse()
    while stream.readline() != b"event: now\n":
        pass
    running.terminate()
    assert b"event: end\n" in stream.read()
    connection.close()
    running.stop(within_s=PATIENCE_S)
