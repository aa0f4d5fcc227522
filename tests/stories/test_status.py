"""`towplane status` and `towplane routing explain` beside a real plane."""

import asyncio
import json
from typing import Any

import pytest
import yaml

from towplane.cli.main import run
from towplane.testing.client import ask, chat
from towplane.testing.plane import PlaneFactory, RunningPlane, wait_until
from towplane.testing.provider import FakeProvider

PATIENCE_S = 30.0


class Shell:
    """Runs commands on the document of a running plane."""

    def __init__(self, running: RunningPlane, capsys: pytest.CaptureFixture[str]) -> None:
        self._file = str(running.file)
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, Any]:
        code = run([*words, "--file", self._file, "--json"])
        return code, json.loads(self._capsys.readouterr().out)


def test_status_follows_a_document_that_is_refused_and_mended(
    plane: PlaneFactory, provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    running = plane(provider, gateway={"workers": 2})
    shell = Shell(running, capsys)
    code, found = shell("status")
    assert (code, found["well"]) == (0, True)
    assert [worker["state"] for worker in found["status"]["workers"]] == ["serving"] * 2
    right = running.file.read_text()

    running.file.write_text(right + "enginez: {}\n")
    wait_until(lambda: shell("status")[0] == 1, PATIENCE_S)
    document = shell("status")[1]["status"]["document"]
    assert (document["is_valid"], document["refused"]) == (False, 1)
    assert "enginez" in document["errors"][0]["say"]

    running.file.write_text(right)
    wait_until(lambda: shell("status")[0] == 0, PATIENCE_S)


def test_status_of_a_plane_that_ended_is_3(
    plane: PlaneFactory, provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    running = plane(provider)
    shell = Shell(running, capsys)
    assert shell("status")[0] == 0
    running.stop()
    code, found = shell("status")
    assert (code, found["error"]["code"]) == (3, "not_running")


def test_explain_sees_what_the_workers_see(
    plane: PlaneFactory,
    provider: FakeProvider,
    second_provider: FakeProvider,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A target whose breaker opened is named with the reason, and the other one is chosen."""
    provider.stop()  # nobody answers there any more
    breaker = {"failures": 1, "open": "60s", "longest": "60s"}
    route = {"breaker": breaker, "choose": "round-robin"}
    running = plane(provider, second_provider, route=route)
    shell = Shell(running, capsys)
    code, found = shell("routing", "explain", "fake")
    assert (code, len(found["workers"]), len(found["workers"][0]["steps"])) == (0, 1, 2)

    key = running.key("acme")
    for _ in range(2):
        assert asyncio.run(ask(running.address, chat(key))).status == 200
    places = shell("routing", "explain", "fake")[1]["workers"][0]["groups"][0]["places"]
    assert [place["usable"] for place in places] == [False, True]
    assert places[0]["why_not"].startswith("its breaker is open; one attempt may probe it in ")
    steps = shell("routing", "explain", "fake")[1]["workers"][0]["steps"]
    assert [(step["target"], step["reason"]) for step in steps] == [
        ("fake-1/fake", "the only usable target")
    ]
    wait_until(  # what `status` says is a second old
        lambda: any(
            "fake-0/fake is open" in concern["say"] for concern in shell("status")[1]["concerns"]
        ),
        20,
        lambda: f"it does not say that the target is open: {shell('status')}",
    )
    assert shell("routing", "explain", "fakee")[1]["error"]["next"] == "did you mean fake?"


def test_explain_follows_a_change_of_the_document(
    plane: PlaneFactory, provider: FakeProvider, capsys: pytest.CaptureFixture[str]
) -> None:
    running = plane(provider)
    shell = Shell(running, capsys)
    changed = yaml.safe_load(running.file.read_text())
    changed["routing"]["fake"]["retries"] = {"most": 7}
    running.file.write_text(yaml.safe_dump(changed))
    wait_until(lambda: shell("routing", "explain", "fake")[1]["attempts"] == 7, PATIENCE_S)
