"""Hostile requests against a real plane: each row of the corpus comes to its end, and no other."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from towplane.testing.hostile import LIMITS, REQUESTS, Act, Case
from towplane.testing.hostile.case import post, served
from towplane.testing.hostile.play import Outcome, judge, play, tag_of
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider, Seen

TIMEOUTS = ("header_timeout", "body_timeout", "idle_timeout")
AT_ONCE = 32
HOPS = {"te", "upgrade", "keep-alive", "proxy-connection", "proxy-authorization", "trailer",
        "expect", "http2-settings", "x-fake-script", "x-towplane-target"}  # fmt: skip


@dataclass(frozen=True)
class Siege:
    """The plane after the whole corpus was played against it."""

    plane: RunningPlane
    provider: FakeProvider
    key: str
    outcomes: dict[str, Outcome]
    seen: list[Seen]


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """Play every case, many at once; the judging is done by the tests."""
    folder: Path = tmp_path_factory.mktemp("siege")
    limits = {name: f"{value}s" if name in TIMEOUTS else value for name, value in LIMITS.items()}
    with FakeProvider(api_key=UPSTREAM_KEY) as provider:
        text = document(
            folder, provider, gateway={"limits": limits}, route={"retries": {"most": 1}}
        )
        with RunningPlane(text, folder) as plane:
            key = plane.key("acme")
            outcomes = asyncio.run(_besiege(plane, key))
            yield Siege(plane, provider, key, outcomes, provider.book.rows())


@pytest.mark.parametrize("number", range(len(REQUESTS)), ids=[case.name for case in REQUESTS])
def test_a_hostile_request_comes_to_its_end(siege: Siege, number: int) -> None:
    """Refused with the right status or closed; upstream sees it exactly once, or not at all."""
    case = REQUESTS[number]
    reached = sum(row.tag == tag_of(number).decode() for row in siege.seen)
    assert judge(case, siege.outcomes[case.name], reached) == []


def test_nothing_smuggled_arrives_upstream(siege: Siege) -> None:
    """A request that only a confused reader finds is found by nobody."""
    assert [row for row in siege.seen if "smuggled" in row.tag] == []
    assert siege.provider.book.malformed == []


def test_the_upstream_sees_only_what_the_plane_made(siege: Siege) -> None:
    """The model decided on, the plane's own credential, no header between two hops."""
    for row in siege.seen:
        assert row.model in ("fake", "")  # "": JSON that the provider could not read
        assert row.header("authorization") == f"Bearer {UPSTREAM_KEY}"
        assert row.header("host") == f"127.0.0.1:{siege.provider.port}"
        assert not any(siege.key in value for _, value in row.headers)
        assert not {name for name, _ in row.headers} & HOPS, row.headers
        assert not any("evil" in name or "evil" in value for name, value in row.headers)


def test_the_plane_serves_after_the_siege(siege: Siege) -> None:
    """It still answers; no connection, no exchange and no upstream work is left behind."""
    workers = siege.plane.workers()
    good = Case("a good request is served", (post(),), served())
    outcome = asyncio.run(play(good, *siege.plane.address, key=siege.key, tag=b"after-000"))
    assert outcome.statuses == [200]
    wait_until(
        lambda: (
            siege.plane.metric("towplane_inflight_requests") == 0
            and siege.plane.metric("towplane_open_connections") == 0
        ),
        20,
        lambda: f"left behind: {siege.plane.metrics()}",
    )
    assert siege.plane.workers() == workers
    assert "Traceback" not in siege.plane.tail(100_000)


async def _besiege(plane: RunningPlane, key: str) -> dict[str, Outcome]:
    host, port = plane.address
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, case: Case) -> tuple[str, Outcome]:
        if Act.WAIT in case.given:  # it costs nothing but time
            return case.name, await play(case, host, port, key=key, tag=tag_of(number))
        async with gate:
            return case.name, await play(case, host, port, key=key, tag=tag_of(number))

    return dict(await asyncio.gather(*(one(*pair) for pair in enumerate(REQUESTS))))
