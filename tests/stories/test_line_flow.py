"""Streams that do not flow as they should: slow readers, clients that leave, planes that end."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from towplane.testing.client import Answer, ask, chat
from towplane.testing.plane import (
    UPSTREAM_KEY,
    PlaneFactory,
    RunningPlane,
    document,
    read_attempts,
    wait_until,
)
from towplane.testing.provider import FakeProvider

MIB = 1024 * 1024
ENDLESS = {"tokens": 1_000_000}
"""About 200 MiB of events, as fast as they are taken."""
PACED = {"tokens": 40, "pace_s": 0.02}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningPlane, FakeProvider]]:
    """A plane that gives a client up when it takes nothing for two seconds."""
    folder = tmp_path_factory.mktemp("plane")
    with FakeProvider(api_key=UPSTREAM_KEY) as provider:
        text = document(folder, provider, gateway={"limits": {"write_timeout": "2s"}})
        with RunningPlane(text, folder) as plane:
            yield plane, provider


def test_a_slow_reader_grows_nobodys_memory(flow: tuple[RunningPlane, FakeProvider]) -> None:
    """The plane stops taking from the provider, and the provider stops producing."""
    plane, provider = flow
    key = plane.key("acme")

    async def read_slowly() -> None:
        streams = [await asyncio.open_connection(*plane.address, limit=1024) for _ in range(10)]
        for number, (_, writer) in enumerate(streams):
            writer.write(chat(key, stream=True, user=f"slow-{number}", fake=ENDLESS))
        for _ in range(15):
            for reader, _ in streams:
                await reader.read(1024)
            await asyncio.sleep(0.1)
        for _, writer in streams:
            writer.transport.abort()

    before = plane.resident_bytes()
    asyncio.run(read_slowly())
    grown = plane.resident_bytes() - before
    assert grown < 16 * MIB, f"{grown / MIB:.1f} MiB for ten clients that read slowly"
    slow = [row for row in provider.book.rows() if row.tag.startswith("slow-")]
    assert len(slow) == 10
    assert max(row.output for row in slow) < 200_000, "the provider was not held back"
    assert provider.book.wait(lambda book: all(row.cancelled for row in slow))


def test_a_reader_that_takes_nothing_is_given_up(flow: tuple[RunningPlane, FakeProvider]) -> None:
    """After the write timeout its connection is closed and the provider's work stopped."""
    plane, provider = flow

    async def read_nothing() -> bool:
        _, writer = await asyncio.open_connection(*plane.address, limit=1024)
        writer.write(chat(plane.key("acme"), stream=True, user="stuck", fake=ENDLESS))
        try:
            return await asyncio.to_thread(
                provider.book.wait,
                lambda book: bool(rows := book.rows(tag="stuck")) and rows[0].cancelled,
                20.0,
            )
        finally:
            writer.transport.abort()

    assert asyncio.run(read_nothing())
    (seen,) = provider.book.rows(tag="stuck")
    row = plane.attempts()[seen.request_id]
    assert (row["outcome"], row["usage"]) == ("cancelled", "estimated")
    assert 0 < row["output"] <= seen.output


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_client_that_goes_away_stops_the_provider(
    flow: tuple[RunningPlane, FakeProvider], stream: bool
) -> None:
    """At once; what was produced is billed as estimated, for it was never measured."""
    plane, provider = flow
    key, tag = plane.key("acme"), f"gone-{stream}"

    async def leave() -> None:
        reader, writer = await asyncio.open_connection(*plane.address)
        script = {"tokens": 100_000, "pace_s": 0.005} if stream else {"head_delay_s": 60.0}
        writer.write(chat(key, stream=stream, user=tag, fake=script))
        if stream:
            await reader.readuntil(b"wing")
        else:
            await asyncio.to_thread(provider.book.wait, lambda book: bool(book.rows(tag=tag)))
        writer.transport.abort()

    asyncio.run(leave())
    left_at = time.time()
    assert provider.book.wait(lambda book: book.rows(tag=tag)[0].cancelled)
    (seen,) = provider.book.rows(tag=tag)
    assert seen.ended - left_at < 5  # generous; it is a millisecond on an idle machine
    row = plane.attempts()[seen.request_id]
    assert (row["outcome"], row["usage"]) == ("cancelled", "estimated")
    assert row["input"] > 0
    assert (2 if stream else 0) <= row["output"] <= seen.output


def test_a_plane_that_is_told_to_end_finishes_its_streams(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """SIGTERM: what runs goes on to its last token, nobody new is let in, nothing is lost."""
    running = plane(provider)
    key = running.key("acme")

    async def end_meanwhile() -> tuple[list[Answer], Answer]:
        streams = [
            asyncio.create_task(ask(running.address, chat(key, stream=True, fake=PACED)))
            for _ in range(10)
        ]
        await asyncio.to_thread(
            provider.book.wait,
            lambda book: len(book.rows()) == 10 and all(row.output > 2 for row in book.rows()),
        )
        running.terminate()
        await asyncio.sleep(0.3)
        late = await ask(running.address, chat(key))
        return list(await asyncio.gather(*streams)), late

    answers, late = asyncio.run(end_meanwhile())
    assert [(answer.whole, answer.tokens) for answer in answers] == [(True, 40)] * 10
    assert late.status in (0, 503), "a request after SIGTERM is refused"
    running.stop()
    rows = read_attempts(running.data_dir)
    assert {row.request_id for row in provider.book.rows()} == set(rows)
    assert {(row["usage"], row["output"]) for row in rows.values()} == {("measured", 40)}


def test_a_drain_has_an_end(plane: PlaneFactory, provider: FakeProvider) -> None:
    """A stream that goes on for ever is cut at the deadline, and billed as far as it went."""
    running = plane(provider, gateway={"drain": "500ms"})
    key = running.key("acme")

    async def end_meanwhile() -> Answer:
        endless = {"tokens": 1_000_000, "pace_s": 0.01}
        stream = asyncio.create_task(ask(running.address, chat(key, stream=True, fake=endless)))
        await asyncio.to_thread(
            provider.book.wait, lambda book: any(row.output > 5 for row in book.rows())
        )
        running.terminate()
        return await stream

    answer = asyncio.run(end_meanwhile())
    assert not answer.whole
    running.stop()
    (seen,) = provider.book.rows()
    row = read_attempts(running.data_dir)[seen.request_id]
    assert row["usage"] == "estimated"
    assert 5 <= row["output"] <= seen.output


def test_a_plane_that_is_killed_takes_its_workers_along(
    plane: PlaneFactory, provider: FakeProvider, tmp_path: Path
) -> None:
    """SIGKILL to the plane process: the workers end by themselves, and the next plane settles
    what was in flight as estimated."""
    running = plane(provider, gateway={"drain": "1s"})
    key = running.key("acme")

    async def kill_meanwhile() -> Answer:
        script = {"tokens": 1_000_000, "pace_s": 0.01}
        stream = asyncio.create_task(ask(running.address, chat(key, stream=True, fake=script)))
        await asyncio.to_thread(
            provider.book.wait, lambda book: any(row.output > 5 for row in book.rows())
        )
        running.kill()
        return await stream

    assert not asyncio.run(kill_meanwhile()).whole
    wait_until(lambda: running.workers() == [], 20, lambda: "a worker outlives its plane")
    running.start()
    (seen,) = provider.book.rows()
    row = running.attempts()[seen.request_id]
    assert row["usage"] == "estimated"
    assert 0 < row["output"] <= seen.output
