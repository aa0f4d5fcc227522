"""A plane of two workers before an engine that takes two at once: it is never asked for more,
tenants take turns, and what it has no room for goes to a managed target where the route says so."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from towplane.testing.client import Answer, ask, chat
from towplane.testing.llama_server import write_program
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider

MOST, TOKENS, TOKEN_S = 2, 8, 0.02
OWN = {"engine": "own", "concurrency": MOST}


def a_document(folder: Path, provider: FakeProvider) -> str:
    weights = folder / "model.gguf"
    weights.write_bytes(b"GGUF")
    program = write_program(folder / "llama-server", "--token-s", str(TOKEN_S))
    engine = {"engine": "llama.cpp", "weights": f"file:{weights}", "binary": str(program)}
    routes: dict[str, Any] = {
        "waits": {"targets": [OWN], "queue": {"longest": "30s", "shed": "never"}},
        "sheds": {"targets": [OWN]},
        "spills": {
            "targets": [OWN, {"provider": "fake-0", "model": "fake"}],
            "overflow": {"when": "full"},
            "queue": {"longest": "30s"},
        },
    }
    whole = document(
        folder,
        provider,
        gateway={"workers": 2},
        tenants={"acme": {}, "blue": {}},
        more={"engines": {"own": engine}},
    )
    read = yaml.safe_load(whole)
    read["routing"] |= routes
    return yaml.safe_dump(read)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlane]:
    folder = tmp_path_factory.mktemp("plane")
    with (
        FakeProvider(api_key=UPSTREAM_KEY) as provider,
        RunningPlane(a_document(folder, provider), folder) as plane,
    ):
        yield plane


def send(plane: RunningPlane, model: str, *keys: str) -> list[Answer]:
    async def all_of_them() -> list[Answer]:
        requests = (ask(plane.address, chat(key, model=model, max_tokens=TOKENS)) for key in keys)
        return await asyncio.gather(*requests)

    return asyncio.run(all_of_them())


def wait_ready(plane: RunningPlane, key: str) -> None:
    until = time.monotonic() + 60.0
    while send(plane, "waits", key)[0].status != 200:
        assert time.monotonic() < until, plane.tail()
        time.sleep(0.1)


def test_all_are_answered_in_turn_and_the_engine_never_has_more_than_it_takes(
    plane: RunningPlane,
) -> None:
    acme, blue = plane.key("acme"), plane.key("blue")
    wait_ready(plane, acme)
    ended: list[str] = []

    async def one(key: str) -> int:
        answer = await ask(plane.address, chat(key, model="waits", max_tokens=TOKENS))
        ended.append(key)
        return answer.status

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*map(one, [acme] * 20 + [blue] * 3))

    begun = time.monotonic()
    assert asyncio.run(all_of_them()) == [200] * 23
    # The engine sleeps for each token: more than two at once would be through before.
    assert time.monotonic() - begun >= 23 * TOKENS * TOKEN_S / MOST
    assert max(place for place, who in enumerate(ended) if who == blue) < 18, ended
    assert plane.metric("towplane_queue_depth") == 0
    waited = plane.metric("towplane_queue_wait_seconds_count", priority="standard")
    assert waited >= 23 - 2 * MOST


def test_without_a_queue_the_rest_is_told_when_to_come_back(plane: RunningPlane) -> None:
    key = plane.key("acme")
    wait_ready(plane, key)
    answers = send(plane, "sheds", *[key] * 12)
    refused = [one for one in answers if one.status != 200]
    assert refused
    assert {(one.status, one.reason) for one in refused} == {(503, "at-capacity")}
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert plane.metric("towplane_shed_total", model="sheds") == len(refused)


def test_what_has_no_room_goes_to_the_managed_target_and_back(plane: RunningPlane) -> None:
    key = plane.key("acme")
    wait_ready(plane, key)
    answers = send(plane, "spills", *[key] * 12)
    assert [one.status for one in answers] == [200] * 12
    where = [one.headers["x-towplane-target"] for one in answers]
    assert where.count("own/0") >= 1
    assert where.count("fake-0/fake") >= 1
    spilled = plane.metric("towplane_overflow_attempts_total", model="spills")
    assert spilled == where.count("fake-0/fake")

    def is_back() -> bool:
        (after,) = send(plane, "spills", key)
        return after.headers["x-towplane-target"] == "own/0"

    wait_until(is_back, 30.0)
