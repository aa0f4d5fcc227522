"""The form of a hostile case: bytes on the wire, how they are cut, and what must come of them.

A case's bytes hold marks: `$KEY` is replaced by a valid key, and so is `KEY`, which is as long as
one; `case-0000` by the case's own tag of the same length. So lengths stay right, and the upstream
can tell cases apart.
A request that only a confused reader would find carries the tag `smuggled` and must never arrive.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "KEY",
    "LIMITS",
    "MAYBE",
    "MODEL",
    "SMUGGLED",
    "TAG",
    "Act",
    "Case",
    "Want",
    "body",
    "chunked",
    "closed",
    "either",
    "get",
    "passed",
    "post",
    "refused",
    "rejected",
    "served",
]

MODEL = "fake"
MAYBE = -1
"""As the number of upstream requests: one or none, nobody minds."""
TAG = b"case-0000"
KEY = b"$KEY".ljust(66, b".")
"""As long as a real key, for requests that stand inside a body whose length is written down."""

LIMITS = {
    "headers": 40,
    "header_bytes": 8 * 1024,
    "body": 64 * 1024,
    "header_timeout": 1.0,
    "body_timeout": 1.0,
    "idle_timeout": 2.0,
}
"""What the plane under test is told; the cases above a limit are made from these."""


class Act(Enum):
    """Something a client does besides sending bytes."""

    PAUSE = "wait 50 ms"
    BITS = "from here on, send every byte by itself"
    WAIT = "read what comes until the plane closes or answers"
    HALF_CLOSE = "say that nothing more comes, and go on reading"
    CLOSE = "close"
    RESET = "close with a TCP reset"


@dataclass(frozen=True, slots=True)
class Want:
    """What must come of a case. Whatever is not here must not happen."""

    answers: tuple[frozenset[int], ...] = ()
    """The statuses allowed for each answer, in order. Interim answers do not count."""
    silence: bool = False
    """The plane may also close without the last answer."""
    more: frozenset[int] = frozenset()
    """Statuses of further answers that may follow."""
    closes: bool | None = None
    """True: the plane closes the connection; False: it stays open; None: either."""
    upstream: int | None = None
    """Requests that reach the upstream; None: one for each answer below 300; or `MAYBE`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the corpus."""

    name: str
    given: tuple[bytes | Act, ...]
    want: Want


def refused(*statuses: int, silence: bool = False) -> Want:
    """The framing cannot be trusted: one error at most, the connection ends, nothing goes on."""
    return Want((frozenset(statuses or (400,)),), silence=silence, closes=True, upstream=0)


def rejected(*statuses: int) -> Want:
    """Good HTTP that asks for something the plane does not do: an error, nothing goes on."""
    return Want((frozenset(statuses or (400,)),), upstream=0)


def closed() -> Want:
    """No answer; the connection ends."""
    return Want((), closes=True, upstream=0)


def served(count: int = 1, *, closes: bool | None = None) -> Want:
    """Answered, once for each request, and seen upstream as often."""
    return Want((frozenset({200}),) * count, closes=closes)


def either(*statuses: int) -> Want:
    """The RFC or the API leaves it open: served once, or an error and nothing goes on."""
    return Want((frozenset({200, *(statuses or (400,))}),))


def passed(*statuses: int) -> Want:
    """The plane may say no, or pass it on and leave the answer to the upstream."""
    return Want((frozenset({200, *(statuses or (400,))}),), upstream=MAYBE)


def body(tag: bytes = TAG, extra: bytes = b"") -> bytes:
    """A good chat request of one token; `extra` stands before the closing brace."""
    return (
        b'{"model":"fake","user":"%s","messages":[{"role":"user","content":"hi"}],"max_tokens":1%s}'
        % (tag, extra)
    )


def post(
    payload: bytes | None = None,
    *headers: bytes,
    path: bytes = b"/v1/chat/completions",
    line: bytes | None = None,
    host: bytes | None = b"Host: plane",
    key: bytes | None = b"Authorization: Bearer $KEY",
    length: bytes | None = b"auto",
) -> bytes:
    """A request with a body; each part can be replaced or left out."""
    payload = body() if payload is None else payload
    lines = [line or b"POST %s HTTP/1.1" % path]
    lines += [part for part in (host, key) if part is not None]
    lines += [b"Content-Type: application/json", *headers]
    if length is not None:
        lines.append(b"Content-Length: " + (b"%d" % len(payload) if length == b"auto" else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + payload


def chunked(
    wire: bytes | None = None,
    *headers: bytes,
    coding: bytes = b"Transfer-Encoding: chunked",
    line: bytes = b"POST /v1/chat/completions HTTP/1.1",
) -> bytes:
    """A request whose body is `wire` as it stands, under a `Transfer-Encoding`."""
    if wire is None:
        wire = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body()), body())
    return post(wire, coding, *headers, line=line, length=None)


def get(
    path: bytes = b"/v1/models",
    *headers: bytes,
    method: bytes = b"GET",
    line: bytes | None = None,
    host: bytes | None = b"Host: plane",
    key: bytes | None = b"Authorization: Bearer $KEY",
) -> bytes:
    """A request without a body."""
    lines = [line or b"%s %s HTTP/1.1" % (method, path)]
    lines += [part for part in (host, key) if part is not None]
    return b"\r\n".join([*lines, *headers]) + b"\r\n\r\n"


SMUGGLED = post(body(b"smuggled!"), key=b"Authorization: Bearer " + KEY)
"""A good request that stands where only a confused reader looks for one."""
