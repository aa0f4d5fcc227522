"""Ways to a provider: through a proxy, to a pinned address, with certificates of one's own."""

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop
import yaml

from towplane.gateway.dial import Dialer
from towplane.gateway.messages import EgressInfo
from towplane.parts.errors import Unavailable
from towplane.testing.plane import UPSTREAM_KEY, RunningPlane
from towplane.testing.provider import FakeProvider
from towplane.testing.proxy import FakeProxy
from towplane.testing.tls import Certificate, make_certificate

WORD = "proxy-user:proxy-password"


@pytest.fixture
def server(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "server", "provider.test")


@pytest.fixture
def client(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "client")


class Secured:
    """A provider that shows `server`, wants `client`, and remembers which names were asked for."""

    def __init__(self, server: Certificate, client: Certificate) -> None:
        self.names: list[str | None] = []
        context = server.server_context(asks_for=client)
        context.sni_callback = lambda _sock, name, _context: self.names.append(name)
        self.fake = FakeProvider(api_key=UPSTREAM_KEY, tls=context)


@pytest.fixture
def secured(server: Certificate, client: Certificate) -> Iterator[Secured]:
    found = Secured(server, client)
    with found.fake:
        yield found


def egress(server: Certificate, client: Certificate, **more: Any) -> EgressInfo:
    return EgressInfo(
        ca=str(server.certificate),
        certificate=str(client.certificate),
        certificate_key=str(client.key),
        **more,
    )


def dial(host: str, port: int, info: EgressInfo, *, within_s: float = 20) -> bytes:
    """Open one connection as a worker does, ask, and give the first line of the answer."""
    return uvloop.run(ask(Dialer(host, port, True, info), within_s))


async def ask(dialer: Dialer, within_s: float = 20) -> bytes:
    """TLS 1.3 refuses a client only after its first words."""
    loop = asyncio.get_running_loop()
    protocol = await asyncio.wait_for(dialer.dial(loop, _Asking), within_s)
    await asyncio.wait_for(protocol.ended.wait(), 20)
    return protocol.received.partition(b"\r\n")[0]


class _Asking(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        words = b"GET /none HTTP/1.1\r\nhost: provider.test\r\nconnection: close\r\n\r\n"
        transport.write(words)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


def test_a_plane_reaches_each_provider_its_own_way(
    tmp_path: Path, secured: Secured, server: Certificate, client: Certificate
) -> None:
    """By CONNECT with mutual TLS, at a pinned address, and forwarded in the clear; nothing of what
    is secret shows in the log."""
    at = ("127.0.0.1", secured.fake.port)
    files = {
        "ca": str(server.certificate),
        "certificate": str(client.certificate),
        "certificate_key": str(client.key),
    }
    with (
        FakeProvider(api_key=UPSTREAM_KEY) as plain,
        FakeProxy(user=WORD, names={"provider.test:443": at}) as proxy,
    ):
        through = {
            "proxy": f"http://127.0.0.1:{proxy.address[1]}",
            "proxy_authorization": "env:PROXY_WORD",
        }
        ways = {
            "tunnelled": ("https://provider.test/v1", {**files, **through}),
            "pinned": ("https://provider.test/v1", {**files, "address": f"127.0.0.1:{at[1]}"}),
            "forwarded": (plain.base_url, through),
        }
        text = yaml.safe_dump(
            {
                "plane": "story",
                "data_dir": str(tmp_path / "data"),
                "gateway": {"listen": "127.0.0.1:0"},
                "admin": {"listen": "127.0.0.1:0"},
                "providers": {
                    name: {
                        "kind": "openai-compatible",
                        "endpoint": endpoint,
                        "credentials": [{"api_key": "env:UPSTREAM_KEY"}],
                        "egress": way,
                    }
                    for name, (endpoint, way) in ways.items()
                },
                "routing": {
                    name: {"targets": [{"provider": name, "model": "fake"}]} for name in ways
                },
                "tenants": {"acme": {}},
            }
        )
        with RunningPlane(text, tmp_path, env={"PROXY_WORD": WORD}) as plane:
            key = plane.key("acme")
            for name in ways:
                answer = httpx.post(
                    f"{plane.base_url}/chat/completions",
                    headers={"authorization": f"Bearer {key}"},
                    json={"model": name, "messages": [{"role": "user", "content": "hi"}]},
                    timeout=30,
                )
                assert (name, answer.status_code) == (name, 200), answer.text
            log = plane.tail(100_000)
        assert proxy.asked == [
            "CONNECT provider.test:443",
            f"POST {plain.base_url}/chat/completions",
        ]
        assert secured.names == ["provider.test", "provider.test"]
        for secret in (WORD, "proxy-password", UPSTREAM_KEY, "cHJveHktdXNlcj"):
            assert secret not in log


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", r"wants to know who asks \(407\)"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nno", r"did not connect to provider.test:443 \(403\)"),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", r"did not connect .* \(504\)"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "sent more than its answer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "did not answer CONNECT"),
        (b"HTTP/1.1 two OK\r\n\r\n", "did not answer CONNECT"),
        (b"x" * 20_000, "did not answer CONNECT"),
    ],
)
def test_a_proxy_that_does_not_connect_is_named(answer: bytes, says: str) -> None:
    with FakeProxy(answer=answer) as proxy, pytest.raises(Unavailable, match=says) as caught:
        dial("provider.test", 443, EgressInfo(proxy=proxy.address, proxy_authorization=WORD))
    assert "proxy-password" not in f"{caught.value}{caught.value.next_step}"


def test_a_proxy_that_is_not_there_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = free.getsockname()
        with pytest.raises(Unavailable, match=f"provider.test:443 through the proxy {at[0]}:"):
            dial("provider.test", 443, EgressInfo(proxy=at))


def test_a_dial_that_is_cancelled_leaves_the_silent_proxy(tmp_path: Path) -> None:
    """The attempt's connect deadline cancels a dial; its socket must not stay behind."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        started = time.monotonic()
        info = EgressInfo(proxy=silent.getsockname())
        with pytest.raises(TimeoutError):
            dial("provider.test", 443, info, within_s=0.3)
        assert time.monotonic() - started < 10
        accepted, _ = silent.accept()
        with accepted:
            accepted.settimeout(20)
            while accepted.recv(65536):  # CONNECT, then the end
                pass


def test_a_pinned_http_endpoint_is_reached_through_a_tunnel() -> None:
    """A proxy that forwards would look the name up by itself."""
    with FakeProvider() as plain, FakeProxy() as proxy:
        info = EgressInfo(proxy=proxy.address, address=("127.0.0.1", plain.port))
        dialer = Dialer("provider.test", 80, False, info)
        assert uvloop.run(ask(dialer)) == b"HTTP/1.1 404 Not Found"
        assert proxy.asked == [f"CONNECT 127.0.0.1:{plain.port}"]


def test_a_name_that_is_none_is_an_error_of_the_dial() -> None:
    with pytest.raises(Unavailable, match=r"No connection to \.provider\.test:443"):
        dial(".provider.test", 443, EgressInfo(address=("127.0.0.1", 1)))


def test_a_server_that_wants_a_certificate_gets_it(
    secured: Secured, server: Certificate, client: Certificate
) -> None:
    at = ("127.0.0.1", secured.fake.port)
    answer = dial("provider.test", 443, egress(server, client, address=at))
    assert answer == b"HTTP/1.1 401 Unauthorized"  # the key is not the certificate's matter
    assert dial("provider.test", 443, EgressInfo(ca=str(server.certificate), address=at)) == b""


def test_the_certificate_is_checked_for_the_endpoints_name(
    secured: Secured, server: Certificate, client: Certificate
) -> None:
    at = ("127.0.0.1", secured.fake.port)
    with pytest.raises(Unavailable, match=r"other.test:443 at 127.0.0.1.*(?i:hostname mismatch)"):
        dial("other.test", 443, egress(server, client, address=at))
    with pytest.raises(Unavailable, match=r"(?i)self.signed"):
        dial("provider.test", 443, EgressInfo(address=at))


def test_a_renewed_client_certificate_is_shown_to_new_connections(
    tmp_path: Path, server: Certificate
) -> None:
    """No new document is needed: the files are the same, what is in them is not."""
    old, new = make_certificate(tmp_path, "old"), make_certificate(tmp_path, "new")
    shown = Certificate(tmp_path / "shown.pem", tmp_path / "shown.key")
    copy(old, shown)
    with FakeProvider(tls=server.server_context(asks_for=new)) as fake:
        dialer = Dialer(
            "provider.test", 443, True, egress(server, shown, address=("127.0.0.1", fake.port))
        )
        before = dialer._context
        copy(new, shown)
        dialer.renew()
        assert dialer._context is not before
        (tmp_path / "shown.pem").write_text("not a certificate")
        dialer.renew()  # half written: the one before stays
        assert uvloop.run(ask(dialer)) == b"HTTP/1.1 404 Not Found"


def copy(source: Certificate, target: Certificate) -> None:
    for old, new in zip(source, target, strict=True):
        new.write_bytes(old.read_bytes())


def test_certificates_that_cannot_be_read_are_an_error_of_the_dial(tmp_path: Path) -> None:
    """A worker must not die of a file that went away after the plane looked at it."""
    with pytest.raises(Unavailable, match=r"provider.test:443: its certificates cannot be used"):
        dial("provider.test", 443, EgressInfo(ca=str(tmp_path / "none.pem")))
