"""Hostile request lines: methods, targets, versions, and where a line ends.

Sources: RFC 9112 sections 2 and 3, RFC 9110 section 5.
"""

from towplane.testing.hostile.case import (
    LIMITS,
    Act,
    Case,
    Want,
    either,
    get,
    post,
    refused,
    rejected,
    served,
)

__all__ = ["LINES"]

_HEAD_LIMIT = int(LIMITS["header_bytes"])
_COUNT_LIMIT = int(LIMITS["headers"])
_LARGE = (400, 413, 414, 431)


def _line(line: bytes) -> tuple[bytes, ...]:
    return (post(line=line),)


LINES: tuple[Case, ...] = (
    Case(
        "a request of HTTP/0.9 is refused",
        (b"GET /v1/models\r\n\r\n", Act.WAIT),
        refused(400, 505, silence=True),
    ),
    Case(
        "the preface of HTTP/2 is refused",
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",),
        refused(400, 505, silence=True),
    ),
    Case(
        "the hello of TLS is refused",
        (bytes.fromhex("16030100c8010000c40303") + b"\x00" * 194,),
        refused(400, silence=True),
    ),
    Case(
        "a version of 2.0 is refused",
        _line(b"POST /v1/chat/completions HTTP/2.0"),
        refused(400, 505),
    ),
    Case(
        "a version of 3.1 is refused",
        _line(b"POST /v1/chat/completions HTTP/3.1"),
        refused(400, 505),
    ),
    Case(
        "a version of 1.2 is refused or read as 1.1",
        _line(b"POST /v1/chat/completions HTTP/1.2"),
        either(400, 505),
    ),
    Case(
        "a version of three numbers is refused",
        _line(b"POST /v1/chat/completions HTTP/1.1.1"),
        refused(400, 505),
    ),
    Case(
        "a version in lower case is refused",
        _line(b"POST /v1/chat/completions http/1.1"),
        refused(400, 505),
    ),
    Case(
        "a version with a comma is refused",
        _line(b"POST /v1/chat/completions HTTP/1,1"),
        refused(400, 505),
    ),
    Case(
        "a version without a dot is refused",
        _line(b"POST /v1/chat/completions HTTP/11"),
        refused(400, 505),
    ),
    Case(
        "a version with a space is refused",
        _line(b"POST /v1/chat/completions HTTP/ 1.1"),
        refused(400, 505),
    ),
    Case(
        "a version with a letter behind it is refused",
        _line(b"POST /v1/chat/completions HTTP/1.1x"),
        refused(400, 505),
    ),
    Case(
        "a version of two digits is refused",
        _line(b"POST /v1/chat/completions HTTP/1.10"),
        refused(400, 505),
    ),
    Case(
        "another protocol is refused or read as HTTP/1.0",
        _line(b"POST /v1/chat/completions RTSP/1.0"),
        Want((frozenset({200, 400, 505}),), closes=True),
    ),
    Case(
        "a request line without version is refused",
        _line(b"POST /v1/chat/completions"),
        refused(400, 505),
    ),
    Case(
        "two spaces after the method are one or refused",
        _line(b"POST  /v1/chat/completions HTTP/1.1"),
        either(),
    ),
    Case(
        "two spaces before the version are one or refused",
        _line(b"POST /v1/chat/completions  HTTP/1.1"),
        either(),
    ),
    Case(
        "a tab after the method is refused",
        _line(b"POST\t/v1/chat/completions HTTP/1.1"),
        refused(),
    ),
    Case(
        "a tab before the version is refused",
        _line(b"POST /v1/chat/completions\tHTTP/1.1"),
        refused(),
    ),
    Case(
        "a space before the method is refused",
        _line(b" POST /v1/chat/completions HTTP/1.1"),
        refused(),
    ),
    Case(
        "a space after the version is refused",
        _line(b"POST /v1/chat/completions HTTP/1.1 "),
        refused(),
    ),
    Case("an empty line before the request is ignored or refused", (b"\r\n" + post(),), either()),
    Case(
        "ten thousand empty lines before the request do not tire the plane",
        (b"\r\n" * 10_000 + post(),),
        either(*_LARGE),
    ),
    Case("a bare LF before the request is ignored or refused", (b"\n" + post(),), either()),
    Case(
        "a method in lower case is refused",
        _line(b"post /v1/chat/completions HTTP/1.1"),
        rejected(400, 404, 405, 501),
    ),
    Case(
        "a method with a control is refused",
        _line(b"PO\x01ST /v1/chat/completions HTTP/1.1"),
        refused(),
    ),
    Case(
        "a method with a slash is refused", _line(b"PO/ST /v1/chat/completions HTTP/1.1"), refused()
    ),
    Case(
        "a method with a colon is refused", _line(b"POST: /v1/chat/completions HTTP/1.1"), refused()
    ),
    Case(
        "an invented method is refused",
        _line(b"TOW /v1/chat/completions HTTP/1.1"),
        rejected(400, 405, 501),
    ),
    Case("a method of 20 KiB is refused", _line(b"A" * 20_480 + b" / HTTP/1.1"), refused(*_LARGE)),
    Case("no method is refused", _line(b"/v1/chat/completions HTTP/1.1"), refused()),
    Case("no target is refused", _line(b"POST HTTP/1.1"), refused(400, 505)),
    Case(
        "a target with a space is refused",
        _line(b"POST /v1/chat /completions HTTP/1.1"),
        refused(400, 505),
    ),
    Case(
        "a target with a NUL is refused",
        _line(b"POST /v1/chat/completions\x00 HTTP/1.1"),
        refused(),
    ),
    Case(
        "a target with a bare CR is refused",
        _line(b"POST /v1/chat\r/completions HTTP/1.1"),
        refused(400, 505),
    ),
    Case(
        "a target with a DEL is refused",
        _line(b"POST /v1/chat/completions\x7f HTTP/1.1"),
        refused(400, 404),
    ),
    Case(
        "a target with raw bytes above ASCII is refused",
        _line("POST /v1/chät/completions HTTP/1.1".encode()),
        rejected(400, 404),
    ),
    Case(
        "a target with a backslash is not found",
        _line(b"POST \\v1\\chat\\completions HTTP/1.1"),
        rejected(400, 404),
    ),
    Case(
        "a target with a fragment is refused or means the path",
        _line(b"POST /v1/chat/completions#x HTTP/1.1"),
        either(400, 404),
    ),
    Case(
        "a target with a query is served",
        _line(b"POST /v1/chat/completions?a=b HTTP/1.1"),
        served(),
    ),
    Case(
        "a target with two slashes is not found",
        _line(b"POST //v1/chat/completions HTTP/1.1"),
        rejected(400, 404),
    ),
    Case(
        "a target with dots is not found",
        _line(b"POST /v1/../v1/chat/completions HTTP/1.1"),
        rejected(400, 404),
    ),
    Case(
        "a target with encoded dots is not found",
        _line(b"POST /v1/%2e%2e/v1/chat/completions HTTP/1.1"),
        rejected(400, 404),
    ),
    Case(
        "a target with an encoded letter is not found or means the path",
        _line(b"POST /v1/ch%61t/completions HTTP/1.1"),
        either(400, 404),
    ),
    Case(
        "a target above the limit is refused",
        _line(b"POST /v1/chat/completions?" + b"a" * (2 * _HEAD_LIMIT) + b" HTTP/1.1"),
        refused(*_LARGE),
    ),
    Case(
        "an absolute target of the plane is served or refused",
        _line(b"POST http://plane/v1/chat/completions HTTP/1.1"),
        either(400, 404),
    ),
    Case(
        "an absolute target whose host is broken is served or refused",
        _line(b"POST http://[/v1/chat/completions HTTP/1.1"),
        either(400, 404),
    ),
    Case(
        "the plane is no open proxy",
        _line(b"POST http://evil.example/v1/chat/completions HTTP/1.1"),
        either(400, 404, 421),
    ),
    Case(
        "a target of a host and port is refused",
        _line(b"POST plane:80 HTTP/1.1"),
        rejected(400, 404),
    ),
    Case("a post to the asterisk is refused", _line(b"POST * HTTP/1.1"), rejected(400, 404, 405)),
    Case(
        "a tunnel is refused",
        (get(line=b"CONNECT evil.example:443 HTTP/1.1"),),
        rejected(400, 404, 405, 501),
    ),
    Case("a trace is refused", (get(method=b"TRACE"),), rejected(400, 404, 405, 501)),
)
