"""HTTP of the serving port as good clients use it: connections kept, 100-continue, TLS."""

import asyncio
from pathlib import Path

import pytest

from towplane.testing.client import ask, chat
from towplane.testing.framing import Message, MessageReader
from towplane.testing.plane import UPSTREAM_KEY, PlaneFactory, PlaneFailed, wait_until
from towplane.testing.provider import FakeProvider
from towplane.testing.tls import make_certificate


def test_connections_are_kept_on_both_sides(plane: PlaneFactory, provider: FakeProvider) -> None:
    """A hundred requests over one client connection use one upstream connection, and pipelined
    ones are answered in order."""
    running = plane(provider)
    key = running.key("acme")

    async def talk() -> list[Message]:
        reader, writer = await asyncio.open_connection(*running.address)
        messages = MessageReader("response")
        answers: list[Message] = []
        for _ in range(20):
            due = len(answers) + 5
            writer.write(b"".join(chat(key, max_tokens=n + 1) for n in range(5)))
            while len(answers) < due:
                data = await reader.read(65536)
                assert data
                answers += messages.feed(data)
        writer.transport.abort()
        return answers

    answers = asyncio.run(talk())
    assert [answer.body.count(b'"completion_tokens":') for answer in answers] == [1] * 100
    lengths = [int(answer.body.split(b'"completion_tokens": ')[1][:1]) for answer in answers]
    assert lengths == [1, 2, 3, 4, 5] * 20
    assert provider.book.connections_total == 1


def test_streams_reuse_their_upstream_connection(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """The end of a stream is read to its last chunk, also when that comes a moment after
    `[DONE]`, so that the connection serves again and the provider sees no reset."""
    running = plane(provider)
    key = running.key("acme")
    for _ in range(20):
        script = {"end_delay_s": 0.005}
        answer = asyncio.run(ask(running.address, chat(key, stream=True, fake=script)))
        assert (answer.status, answer.whole, answer.tokens) == (200, True, 8)
        assert provider.book.wait(lambda book: all(row.finished for row in book.rows()))
    assert provider.book.connections_total < 5


def test_a_connection_that_the_provider_closed_meanwhile_costs_nobody_an_error(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """An idle connection can be closed just as it is used; that request goes out again."""
    running = plane(provider, route={"retries": {"most": 1}})
    key = running.key("acme")
    for _ in range(30):
        answer = asyncio.run(ask(running.address, chat(key)))
        assert (answer.status, answer.error) == (200, "")
        provider.drop_idle()


def test_a_client_that_waits_for_100_gets_it_first(
    plane: PlaneFactory, provider: FakeProvider
) -> None:
    """And only when its key is good and its body not too large."""
    running = plane(provider)
    key = running.key("acme")
    head, _, body = chat(key).partition(b"\r\n\r\n")

    async def talk(lines: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*running.address)
        writer.write(lines + b"\r\nExpect: 100-continue\r\n\r\n")
        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        final = await reader.readuntil(b"\r\n\r\n") if b" 100 " in interim else b""
        writer.transport.abort()
        return interim + final

    good = asyncio.run(talk(head))
    assert good.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    stranger = asyncio.run(talk(head.replace(key.encode(), b"nobody")))
    assert stranger.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in stranger


def test_tls_on_both_sides(plane: PlaneFactory, tmp_path: Path) -> None:
    """Client to plane and plane to provider, each verified against its own authority."""
    front, back = make_certificate(tmp_path, "front"), make_certificate(tmp_path, "back")
    with FakeProvider(api_key=UPSTREAM_KEY, tls=back.server_context()) as provider:
        tls = {"certificate": str(front.certificate), "key": str(front.key)}
        running = plane(provider, gateway={"tls": tls}, ca=back.certificate)
        assert running.base_url.startswith("https://")
        key = running.key("acme")
        context = front.client_context()
        answers = [
            asyncio.run(ask(running.address, chat(key, stream=stream), tls=context))
            for stream in (False, True, False)
        ]
        assert [(answer.status, answer.whole) for answer in answers] == [(200, True)] * 3
        plain = asyncio.run(ask(running.address, chat(key)))
        assert plain.status == 0


def test_a_provider_with_a_stranger_s_certificate_is_not_trusted(
    plane: PlaneFactory, tmp_path: Path
) -> None:
    """No key is shown to whoever cannot prove who it is."""
    back, other = make_certificate(tmp_path, "back"), make_certificate(tmp_path, "other")
    with FakeProvider(api_key=UPSTREAM_KEY, tls=back.server_context()) as provider:
        running = plane(provider, ca=other.certificate)
        answer = asyncio.run(ask(running.address, chat(running.key("acme"))))
    assert answer.status == 502
    assert provider.book.rows() == []


def test_a_renewed_certificate_takes_effect_and_a_broken_one_does_not(
    plane: PlaneFactory, provider: FakeProvider, tmp_path: Path
) -> None:
    """The files are read again when they change; what cannot be read leaves the old in force."""
    first = make_certificate(tmp_path, "front")
    trusts_first = first.client_context()
    tls = {"certificate": str(first.certificate), "key": str(first.key)}
    running = plane(provider, gateway={"tls": tls})
    key = running.key("acme")
    assert asyncio.run(ask(running.address, chat(key), tls=trusts_first)).status == 200

    first.certificate.write_text("nonsense")
    wait_until(lambda: "cannot be used" in running.tail(), 10.0)
    assert asyncio.run(ask(running.address, chat(key), tls=trusts_first)).status == 200

    second = make_certificate(tmp_path, "front")
    trusts_second = second.client_context()

    def is_renewed() -> bool:
        return asyncio.run(ask(running.address, chat(key), tls=trusts_second)).status == 200

    wait_until(is_renewed, 10.0)


def test_an_authority_that_cannot_be_read_stops_the_start(
    provider: FakeProvider, plane: PlaneFactory, tmp_path: Path
) -> None:
    with pytest.raises(PlaneFailed, match=r"missing\.pem cannot be used"):
        plane(provider, ca=tmp_path / "missing.pem")
