"""Hostile upstreams against a real plane: a broken answer is never relayed as a good one."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from towplane.testing.framing import Malformed, Message, MessageReader
from towplane.testing.hostile import ANSWERS, Answer
from towplane.testing.hostile.answers import TIMEOUTS
from towplane.testing.plane import RunningPlane, document, wait_until
from towplane.testing.provider import FakeProvider, Script, Seen

PATIENCE_S = 20.0
AT_ONCE = 32
BEHIND_S = 0.3
"""By then an upstream that says more than it was asked has said it."""


@dataclass
class Saw:
    """What the client saw of one answer."""

    status: int = 0
    body: bytes = b""
    whole: bool = False
    """The framing came to its end."""
    trouble: str = ""
    head: Message | None = None

    @property
    def is_clean(self) -> bool:
        """Complete, and without an error event."""
        return self.whole and b'data: {"error"' not in self.body


@dataclass(frozen=True)
class Siege:
    """The plane after every upstream had its turn."""

    plane: RunningPlane
    provider: FakeProvider
    saw: dict[str, Saw]
    seen: list[Seen]
    key: str


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """Ask once for every answer, many at once."""
    folder: Path = tmp_path_factory.mktemp("siege")
    timeouts = {name: f"{value}s" for name, value in TIMEOUTS.items()}
    with FakeProvider(api_key="upstream-key") as provider:
        route = {"retries": {"most": 1}, "timeouts": timeouts}
        with RunningPlane(document(folder, provider, route=route), folder) as plane:
            key = plane.key("acme")
            saw = asyncio.run(_besiege(plane, key))
            yield Siege(plane, provider, saw, provider.book.rows(), key)


@pytest.mark.parametrize("answer", ANSWERS, ids=[answer.name for answer in ANSWERS])
def test_a_hostile_answer_is_told_from_a_good_one(siege: Siege, answer: Answer) -> None:
    """The client gets an error of the plane, or sees that the stream is cut."""
    saw = siege.saw[answer.name]
    assert saw.trouble == ""
    assert saw.status in answer.want.statuses, saw
    if saw.status == 200 and answer.want.ending != "any":
        assert saw.is_clean == (answer.want.ending == "clean"), saw
    if saw.status >= 500:
        assert json.loads(saw.body)["error"]["message"]


def test_nobody_gets_what_was_not_theirs(siege: Siege) -> None:
    """No header of the upstream's hop, no second answer, no word of one client for another."""
    for name, saw in siege.saw.items():
        assert saw.head is not None, name
        names = {header for header, _ in saw.head.headers}
        assert not names & {b"x-hop", b"x-evil", b"server", b"proxy-authenticate", b"set-cookie"}
        assert b"x-towplane-request-id" in names, name
        assert saw.body.count(b'"chat.completion"') <= 1, name


def test_every_request_is_asked_once(siege: Siege) -> None:
    """Each of the rows reached the upstream once: nothing is tried again unasked.

    But for a kept connection that breaks before its answer begins: nobody can know whether the
    upstream had read the request, and it is sent once more, as an attempt with its own cause.
    """
    tags = [row.tag for row in siege.seen]
    assert set(tags) == {str(number) for number in range(len(ANSWERS))}
    causes = [row["cause"] for row in siege.plane.attempts().values()]
    assert len(tags) - len(ANSWERS) <= causes.count("reconnect")


def test_the_plane_serves_after_the_siege(siege: Siege) -> None:
    """Fifty good requests get fifty good answers of their own; no attempt is left in flight."""
    saw = asyncio.run(_many(siege.plane, siege.key))
    assert {(one.status, b"plane " in one.body, one.is_clean) for one in saw} == {(200, True, True)}
    wait_until(
        lambda: (
            siege.plane.metric("towplane_inflight_requests") == 0
            and siege.plane.metric("towplane_target_inflight") == 0
        ),
        20,
        lambda: f"left behind: {siege.plane.metrics()}",
    )
    assert "Traceback" not in siege.plane.tail(100_000)


def test_no_bill_is_negative(siege: Siege) -> None:
    """What an upstream says of its usage is believed only where it makes sense."""
    (row,) = siege.plane.call("GET", "/usage?by=tenant")["rows"]
    assert row["input_tokens"] >= 0
    assert row["output_tokens"] >= 0


async def _besiege(plane: RunningPlane, key: str) -> dict[str, Saw]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, answer: Answer) -> tuple[str, Saw]:
        async with gate:
            script = msgspec.to_builtins(answer.given)
            return answer.name, await _ask(plane, key, str(number), script, answer.stream)

    numbered = list(enumerate(ANSWERS))
    at_once = [pair for pair in numbered if not pair[1].given.raw_stay]
    saw = dict(await asyncio.gather(*(one(*pair) for pair in at_once)))
    for number, answer in numbered:
        if answer.given.raw_stay:  # what comes behind an answer may come late: nobody may wait then
            _, saw[answer.name] = await one(number, answer)
            await asyncio.sleep(BEHIND_S)
    return saw


async def _many(plane: RunningPlane, key: str) -> list[Saw]:
    good = msgspec.to_builtins(Script())
    asked = (_ask(plane, key, f"after-{n}", good, n % 2 == 1) for n in range(50))
    return list(await asyncio.gather(*asked))


async def _ask(plane: RunningPlane, key: str, tag: str, script: object, stream: bool) -> Saw:
    body = json.dumps(
        {
            "model": "fake",
            "messages": [{"role": "user", "content": "hi"}],
            "user": tag,
            "stream": stream,
            "fake": script,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: plane\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(*plane.address)
    writer.write(head.encode() + body)
    saw = Saw()
    messages = MessageReader("response", on_head=lambda message: _begin(saw, message))
    try:
        while not saw.whole:
            data = await asyncio.wait_for(reader.read(65536), PATIENCE_S)
            saw.whole = any(message.status >= 200 for message in messages.feed(data))
            if not data:
                saw.whole = any(message.status >= 200 for message in messages.end())
                break
    except TimeoutError:
        saw.trouble = "hangs"
    except (Malformed, ConnectionError) as problem:
        saw.whole = False
        if saw.head is None:
            saw.trouble = f"no answer: {problem}"
    finally:
        writer.transport.abort()
    if saw.head is not None:
        saw.body = bytes(saw.head.body)
    return saw


def _begin(saw: Saw, message: Message) -> None:
    if message.status >= 200:
        saw.status, saw.head = message.status, message
