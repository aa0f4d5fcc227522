"""Tries a provider from this machine: name, connection, TLS, and each credential.

It goes the way that workers go (`gateway.dial`) and gets credentials as the plane does, without a
plane. What is asked is `providers.probes`: nothing that spends tokens.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeVar

import httptools
from msgspec import Struct

from towplane.gateway.dial import Dialer, forwarding
from towplane.gateway.egress import egress_of
from towplane.gateway.messages import EgressInfo
from towplane.parts.errors import PlaneError
from towplane.parts.threads import run_aside
from towplane.providers.adapter import Credential, Place
from towplane.providers.adapters import adapter_of
from towplane.providers.credential_pool import conceal
from towplane.providers.credentials import Source, open_credentials
from towplane.providers.endpoints import Endpoint, endpoint_of, kind_of
from towplane.providers.probes import Probe, judge_probe, probe_of
from towplane.providers.spec import ProviderSpec

__all__ = ["Checked", "check_provider"]

T = TypeVar("T")

STEP_S = 10.0
"""For each step: a name, a connection, an answer."""
CREDENTIAL_S = 30.0
_SOON_DAYS = 14
"""A certificate that ends so soon is told, not counted as wrong."""
_MODELS = {"bedrock": "amazon.nova-micro-v1:0", "vertex": "gemini-2.5-flash"}
"""Asked for where no route names a model; whether it is known there matters little."""


class Checked(Struct, kw_only=True):
    """What came of one credential, or of the provider where it asks for none."""

    provider: str
    kind: str
    credential: str | None = None
    dns_ms: float | None = None
    tcp_ms: float | None = None
    tls_ms: float | None = None
    """TLS included in opening a connection as workers do; None for http, or where it failed."""
    certificate_until: datetime | None = None
    """When the provider's certificate ends."""
    auth: Literal["works", "refused", "unclear", "missing"] | None = None
    """None: it was not come to."""
    ok: bool = False
    say: str = ""


async def check_provider(
    name: str, spec: ProviderSpec, reveal: Callable[[str], str], models: Sequence[str]
) -> list[Checked]:
    """One line for each credential; `models` are those that routes use there."""
    reached = Checked(provider=name, kind=kind_of(spec))
    place = endpoint_of(spec)
    try:
        egress = egress_of(spec, reveal)
    except PlaneError as error:
        reached.say = _words(error)
        return [reached]
    try:
        await _reach(reached, place, egress)
    except (PlaneError, OSError, TimeoutError) as error:
        reached.say = f"{_step(reached, place)}: {_words(error)}"
        return [reached]
    sources: list[Source | None] = [*open_credentials(name, spec, reveal)]
    model = _choose(kind_of(spec), models)
    return [
        await _check_credential(reached, source, spec, place, egress, model)
        for source in sources or [None]
    ]


async def _reach(checked: Checked, place: Endpoint, egress: EgressInfo) -> None:
    """Name, connection, TLS: each is timed, the first that fails ends it."""
    loop = asyncio.get_running_loop()
    host, port = egress.proxy or egress.address or (place.host, place.port)
    checked.dns_ms, _ = await _timed(loop.getaddrinfo(host, port))
    checked.tcp_ms, (_, writer) = await _timed(asyncio.open_connection(host, port))
    writer.close()
    dialer = Dialer(place.host, place.port, place.is_tls, egress)
    taken_ms, answer = await _timed(dialer.dial(loop, _Answer))
    shown = answer.transport.get_extra_info("peercert")
    answer.transport.abort()
    if place.is_tls:
        checked.tls_ms = taken_ms
        if shown:
            ends = ssl.cert_time_to_seconds(shown["notAfter"])
            checked.certificate_until = datetime.fromtimestamp(ends, UTC)


async def _check_credential(
    reached: Checked,
    source: Source | None,
    spec: ProviderSpec,
    place: Endpoint,
    egress: EgressInfo,
    model: str,
) -> Checked:
    fields = {name: getattr(reached, name) for name in reached.__struct_fields__}
    checked = Checked(**fields)
    credential: Credential | None = None
    try:
        if source is not None:
            checked.credential = source.name
            checked.auth = "missing"
            issued = await asyncio.wait_for(run_aside(source.issue), CREDENTIAL_S)
            credential = Credential(source.name, issued.headers, issued.aws)
            checked.auth = None
        target = Place(f"{reached.provider}/{model}", model, place.path, place.options)
        probe = probe_of(reached.kind, target, adapter_of(reached.kind))
        head = _head(probe, spec, target, place, egress, credential)
        dialer = Dialer(place.host, place.port, place.is_tls, egress)
        _, answer = await _timed(_ask(dialer, head + probe.rendered.body))
    except (PlaneError, OSError, TimeoutError) as error:
        checked.say = _conceal(credential, _words(error))
        return checked
    verdict = judge_probe(reached.kind, answer.status, answer.error_type, bytes(answer.body))
    checked.auth = verdict.state
    checked.ok = verdict.state == "works"
    checked.say = _conceal(credential, verdict.say) or _warn(checked)
    return checked


def _head(
    probe: Probe,
    spec: ProviderSpec,
    target: Place,
    place: Endpoint,
    egress: EgressInfo,
    credential: Credential | None,
) -> bytes:
    rendered = probe.rendered
    default = 443 if place.is_tls else 80
    host = f"[{place.host}]" if ":" in place.host else place.host
    host = host if place.port == default else f"{host}:{place.port}"
    headers = rendered.headers
    if credential is not None:
        headers += credential.headers
        sign = adapter_of(kind_of(spec)).sign
        if credential.aws is not None and sign is not None:
            method = probe.method.encode()
            headers += sign(credential, method, host, rendered, target, time.time())
    proxy = forwarding(host, place.is_tls, egress)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    if rendered.body:
        lines += f"content-type: application/json\r\ncontent-length: {len(rendered.body)}\r\n"
    return (
        f"{probe.method} {proxy.prefix}{place.path}{rendered.path} HTTP/1.1\r\nhost: {host}\r\n"
        f"{lines}{proxy.header}accept-encoding: identity\r\nuser-agent: towplane\r\n"
        "connection: close\r\n\r\n"
    ).encode("latin-1")


async def _ask(dialer: Dialer, request: bytes) -> "_Answer":
    answer = await dialer.dial(asyncio.get_running_loop(), _Answer)
    answer.transport.write(request)
    try:
        await answer.ended.wait()
    finally:
        answer.transport.abort()
    if not answer.status:
        raise OSError("the connection ended before an answer")
    return answer


class _Answer(asyncio.Protocol):
    """Reads one answer to its end."""

    transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self.status = 0
        self.error_type = ""
        self.body = bytearray()
        self.ended = asyncio.Event()
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop has classes of its own

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.status = 0
            self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self.ended.set()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Bedrock says the kind of an error in a header."""
        if name.lower() == b"x-amzn-errortype":
            self.error_type = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        if len(self.body) < 1 << 20:  # a list of models may be long
            self.body += data

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.ended.set()


async def _timed(work: Awaitable[T]) -> tuple[float, T]:
    started = time.perf_counter()
    found = await asyncio.wait_for(work, STEP_S)
    return round((time.perf_counter() - started) * 1000, 1), found


def _step(reached: Checked, place: Endpoint) -> str:
    """What was tried when it failed."""
    if reached.dns_ms is None:
        return "name"
    return "connection" if reached.tcp_ms is None or not place.is_tls else "TLS"


def _choose(kind: str, models: Sequence[str]) -> str:
    """A model to name in the probe; Vertex counts tokens of its own models and of Claude."""
    known = [one for one in models if kind != "vertex" or one.startswith(("gemini-", "claude-"))]
    return known[0] if known else _MODELS.get(kind, "none")


def _warn(checked: Checked) -> str:
    until = checked.certificate_until
    if until is None:
        return ""
    days = (until - datetime.now(UTC)).days
    return f"its certificate ends in {days} days" if days < _SOON_DAYS else ""


def _words(error: PlaneError | OSError | TimeoutError) -> str:
    if isinstance(error, PlaneError):
        return f"{error.say} {error.next_step}".strip()
    if isinstance(error, TimeoutError) and not error.args:
        return f"no answer within {STEP_S:.0f} s"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _conceal(credential: Credential | None, text: str) -> str:
    return text if credential is None else conceal(credential, text)
