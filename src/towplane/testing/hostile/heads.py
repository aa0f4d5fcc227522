"""Hostile heads: header lines, hosts, keys and expectations.

Sources: RFC 9112 sections 2 to 5, RFC 9110 sections 5, 7.2, 10.1.1 and 11.6.2.
"""

from towplane.testing.hostile.case import (
    LIMITS,
    SMUGGLED,
    Act,
    Case,
    Want,
    body,
    closed,
    either,
    get,
    post,
    refused,
    rejected,
    served,
)

__all__ = ["HEADERS", "KEYS"]

_HEAD_LIMIT = int(LIMITS["header_bytes"])
_COUNT_LIMIT = int(LIMITS["headers"])
_LARGE = (400, 413, 414, 431)


def _header(*lines: bytes) -> tuple[bytes, ...]:
    return (post(None, *lines),)


def _host(*lines: bytes) -> tuple[bytes, ...]:
    return (post(None, *lines, host=None),)


HEADERS: tuple[Case, ...] = (
    Case("lines that end with bare LFs are refused", (post().replace(b"\r\n", b"\n"),), refused()),
    Case(
        "lines that end with bare CRs are refused",
        (post().replace(b"\r\n", b"\r"), Act.WAIT),
        refused(400, 408, silence=True),
    ),
    Case(
        "a head that ends with bare LFs is refused",
        (post().replace(b"\r\n\r\n", b"\r\n\n", 1),),
        refused(400, 408),
    ),
    Case(
        "a head that ends with LF, LF is refused",
        (post().replace(b"\r\n\r\n", b"\n\n", 1),),
        refused(400, 408),
    ),
    Case(
        "one line that ends with a bare LF is refused",
        (post().replace(b"Host: plane\r\n", b"Host: plane\n"),),
        refused(),
    ),
    Case("a CR before the CRLF is refused", _header(b"X: a\r"), refused()),
    Case("a line without a colon is refused", _header(b"junk"), refused()),
    Case("an empty name is refused", _header(b": a"), refused()),
    Case("a space in a name is refused", _header(b"X Y: a"), refused()),
    Case("a space before a colon is refused", _header(b"X : a"), refused()),
    Case("a tab in a name is refused", _header(b"X\tY: a"), refused()),
    Case("a NUL in a name is refused", _header(b"X\x00: a"), refused()),
    Case("a control in a name is refused", _header(b"X\x01: a"), refused()),
    Case("a byte above ASCII in a name is refused", _header(b"X\xe9: a"), refused()),
    Case("a parenthesis in a name is refused", _header(b"X(: a"), refused()),
    Case("a quote in a name is refused", _header(b'X": a'), refused()),
    Case("a NUL in a value is refused", _header(b"X: a\x00b"), refused()),
    Case("a bare CR in a value is refused", _header(b"X: a\rb"), refused()),
    Case("a bare LF in a value is refused", _header(b"X: a\nb"), refused()),
    Case("a bare LF that hides a header is refused", _header(b"X: a\nY: b"), refused()),
    Case("a control in a value is refused", _header(b"X: a\x01b"), refused()),
    Case("a vertical tab in a value is refused", _header(b"X: a\x0bb"), refused()),
    Case("a DEL in a value is refused", _header(b"X: a\x7fb"), refused()),
    Case("a tab in a value is allowed", _header(b"X: a\tb"), served()),
    Case("a byte above ASCII in a value is allowed", _header("X: fjällräven".encode()), served()),
    Case("an empty value is allowed", _header(b"X:"), served()),
    Case("a value folded with a space is refused", _header(b"X: a\r\n b"), refused()),
    Case("a value folded with a tab is refused", _header(b"X: a\r\n\tb"), refused()),
    Case("a first header that begins with a space is refused", _host(b" Host: plane"), refused()),
    Case("an empty folded line is refused", _header(b"X: a\r\n "), refused()),
    Case(
        "headers up to their limit are served",
        (post(None, *(b"X-%d: a" % index for index in range(_COUNT_LIMIT - 4))),),
        served(),
    ),
    Case(
        "more headers than the limit are refused",
        (post(None, *(b"X-%d: a" % index for index in range(_COUNT_LIMIT + 1))),),
        refused(*_LARGE),
    ),
    Case(
        "ten thousand headers are refused",
        (post(None, *(b"X: a" for _ in range(10_000))),),
        refused(*_LARGE),
    ),
    Case(
        "a header above the limit is refused",
        _header(b"X: " + b"a" * (_HEAD_LIMIT + 1)),
        refused(*_LARGE),
    ),
    Case(
        "a name above the limit is refused",
        _header(b"X" * (_HEAD_LIMIT + 1) + b": a"),
        refused(*_LARGE),
    ),
    Case(
        "many headers that are together above the limit are refused",
        (post(None, *(b"X-%d: " % index + b"a" * 1024 for index in range(12))),),
        refused(*_LARGE),
    ),
    Case(
        "a head without end is refused",
        (post().partition(b"\r\n\r\n")[0] + b"\r\nX: " + b"a" * (64 * _HEAD_LIMIT),),
        refused(*_LARGE, silence=True),
    ),
    Case("no host is refused", _host(), refused()),
    Case("two hosts are refused", _host(b"Host: plane", b"Host: evil"), refused()),
    Case("the same host twice is refused", _host(b"Host: plane", b"Host: plane"), refused()),
    Case("an empty host is allowed or refused", _host(b"Host:"), either()),
    Case("a host with a space is refused", _host(b"Host: plane evil"), refused()),
    Case("a host with a slash is refused", _host(b"Host: plane/evil"), refused()),
    Case("a host with a user is refused", _host(b"Host: evil@plane"), refused()),
    Case("a list of hosts is refused", _host(b"Host: plane, evil"), refused()),
    Case("a host with a NUL is refused", _host(b"Host: plane\x00"), refused()),
    Case("a host with a port is served", _host(b"Host: plane:8080"), served()),
    Case("a host that is an address of IPv6 is served", _host(b"Host: [::1]:8080"), served()),
    Case(
        "a request of HTTP/1.0 is served and the connection closed",
        (post(line=b"POST /v1/chat/completions HTTP/1.0"),),
        served(closes=True),
    ),
    Case(
        "a request of HTTP/1.0 needs no host",
        (post(line=b"POST /v1/chat/completions HTTP/1.0", host=None),),
        served(closes=True),
    ),
    Case(
        "a client that says close is served and the connection closed",
        _header(b"Connection: close"),
        served(closes=True),
    ),
    Case(
        "a client that says close in capitals is believed",
        _header(b"Connection: foo, CLOSE"),
        served(closes=True),
    ),
    Case(
        "a connection header that names the key does not take it away",
        _header(b"Connection: authorization, host, content-length"),
        served(),
    ),
    Case(
        "headers between two hops stay on this side",
        _header(
            b"Keep-Alive: timeout=1",
            b"TE: trailers",
            b"Proxy-Connection: close",
            b"Proxy-Authorization: Basic eDp5",
            b"Trailer: x",
        ),
        served(),
    ),
    Case(
        "an upgrade to HTTP/2 is ignored",
        _header(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ),
        either(400, 426),
    ),
    Case(
        "an upgrade to a web socket is ignored",
        (
            get(
                b"/v1/models",
                b"Connection: Upgrade",
                b"Upgrade: websocket",
                b"Sec-WebSocket-Version: 13",
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            ),
        ),
        Want((frozenset({200, 400, 426}),), upstream=0),
    ),
    Case(
        "a script for the fake upstream does not pass",
        _header(b'X-Fake-Script: {"status": 418}'),
        either(),
    ),
    Case(
        "a request id of the client is not taken over",
        _header(
            b"X-Towplane-Request-Id: smuggled",
            b"X-Towplane-Target: evil",
            b"X-Towplane-Attempts: 9",
        ),
        served(),
    ),
    Case(
        "a client that waits for 100 gets it",
        (post(b"", b"Expect: 100-continue", length=b"%d" % len(body())), Act.PAUSE, body()),
        served(),
    ),
    Case(
        "a client that does not wait for 100 is served", _header(b"Expect: 100-continue"), served()
    ),
    Case("100-continue is read in any case", _header(b"Expect: 100-Continue"), served()),
    Case(
        "another expectation is refused",
        _header(b"Expect: 200-ok"),
        Want((frozenset({400, 417}),), upstream=0),
    ),
    Case(
        "an expectation of HTTP/1.0 is ignored",
        (post(None, b"Expect: 100-continue", line=b"POST /v1/chat/completions HTTP/1.0"),),
        served(closes=True),
    ),
    Case(
        "a body that is not accepted is not waited for",
        (post(b"", b"Expect: 100-continue", length=b"100000000"),),
        refused(413),
    ),
    Case(
        "an unknown content coding is not decoded",
        _header(b"Content-Encoding: br"),
        either(400, 415),
    ),
)


def _key(*lines: bytes) -> tuple[bytes, ...]:
    return (post(None, *lines, key=None),)


_BEARER = b"Authorization: Bearer $KEY"

KEYS: tuple[Case, ...] = (
    Case("no key is refused", _key(), rejected(401)),
    Case("an empty authorization is refused", _key(b"Authorization:"), rejected(401)),
    Case("a scheme without a key is refused", _key(b"Authorization: Bearer"), rejected(401)),
    Case("a key without a scheme is refused", _key(b"Authorization: $KEY"), rejected(401)),
    Case("a wrong key is refused", _key(b"Authorization: Bearer nobody"), rejected(401)),
    Case("another scheme is refused", _key(b"Authorization: Basic $KEY"), rejected(401)),
    Case(
        "a scheme in lower case is the same scheme", _key(b"authorization: bearer $KEY"), served()
    ),
    Case("a scheme in capitals is the same scheme", _key(b"AUTHORIZATION: BEARER $KEY"), served()),
    Case(
        "two spaces before a key are allowed or refused",
        _key(b"Authorization: Bearer  $KEY"),
        either(400, 401),
    ),
    Case("a key with a tail is refused", _key(b"Authorization: Bearer $KEYx"), rejected(401)),
    Case(
        "a key with a second key is refused",
        _key(b"Authorization: Bearer $KEY, Bearer x"),
        rejected(400, 401),
    ),
    Case(
        "two authorizations are refused",
        _key(_BEARER, b"Authorization: Bearer nobody"),
        rejected(400, 401),
    ),
    Case(
        "a wrong and a right authorization are refused",
        _key(b"Authorization: Bearer nobody", _BEARER),
        rejected(400, 401),
    ),
    Case("a key as x-api-key is served", _key(b"x-api-key: $KEY"), served()),
    Case(
        "the same key in both places is served or refused",
        _key(_BEARER, b"x-api-key: $KEY"),
        either(400, 401),
    ),
    Case(
        "two different keys mean one thing or are refused",
        _key(_BEARER, b"x-api-key: nobody"),
        either(400, 401),
    ),
    Case(
        "a wrong key beside a right one means one thing or is refused",
        _key(b"Authorization: Bearer nobody", b"x-api-key: $KEY"),
        either(400, 401),
    ),
    Case(
        "a key above ASCII is refused",
        _key("Authorization: Bearer schlüssel".encode()),
        rejected(401),
    ),
    Case("a key of 7 KiB is refused", _key(b"Authorization: Bearer " + b"a" * 7168), rejected(401)),
    Case(
        "a key in the query is no key",
        (post(key=None, path=b"/v1/chat/completions?api_key=$KEY"),),
        rejected(401),
    ),
    Case("a key in a cookie is no key", _key(b"Cookie: authorization=$KEY"), rejected(401)),
    Case("a key for a proxy is no key", _key(b"Proxy-Authorization: Bearer $KEY"), rejected(401)),
    Case(
        "the body of a request without a key is not read as a request",
        (post(SMUGGLED, key=None),),
        rejected(400, 401),
    ),
    Case("nothing at all is closed in time", (Act.WAIT,), closed()),
)
