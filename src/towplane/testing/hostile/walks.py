"""Hostile walks over one connection: pipelines, odd methods, silence, and early ends.

Sources: RFC 9112 sections 9.3 and 9.6; slowloris and slow-body attacks; the CL.0 desync family.
"""

from towplane.testing.hostile.case import (
    MAYBE,
    SMUGGLED,
    Act,
    Case,
    Want,
    body,
    chunked,
    closed,
    get,
    post,
    refused,
    rejected,
    served,
)

__all__ = ["METHODS", "PIPELINES", "SILENCES"]

_OK = frozenset({200})
_BAD = frozenset({400})
_METHOD = frozenset({400, 404, 405, 501})
_HIDDEN = SMUGGLED
_TE = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
_BROKEN = post(None, b"Content-Length: 1")
_OLD = post(
    None, b"Via: a-proxy HTTP/1.1", line=b"POST /v1/chat/completions HTTP/1.0", host=None
).partition(b"a-")


PIPELINES: tuple[Case, ...] = (
    Case("two requests in one packet are answered in order", (post() + post(),), served(2)),
    Case("ten requests in one packet are answered in order", (post() * 10,), served(10)),
    Case(
        "requests with lengths and with chunks follow one another",
        (post() + chunked() + post() + chunked(),),
        served(4),
    ),
    Case(
        "a good request before a broken one is answered",
        (post() + _BROKEN,),
        Want((_OK, _BAD), closes=True, upstream=1),
    ),
    Case("nothing after a broken request is read", (_BROKEN + SMUGGLED,), refused()),
    Case("nothing after a broken chunk is read", (chunked(b"zz\r\n") + SMUGGLED,), refused()),
    Case(
        "nothing after a request that says close is read",
        (post(None, b"Connection: close") + SMUGGLED,),
        served(closes=True),
    ),
    Case(
        "nothing after a request of HTTP/1.0 is read",
        (post(line=b"POST /v1/chat/completions HTTP/1.0") + SMUGGLED,),
        served(closes=True),
    ),
    Case(
        "the end of a header is not taken for the end of a first line",
        (post() + _OLD[0] + _OLD[1], Act.PAUSE, _OLD[2]),
        served(2, closes=True),
    ),
    Case(
        "a request of HTTP/1.0 needs no host after one of HTTP/1.1 in the same packet",
        (post() + b"".join(_OLD),),
        served(2, closes=True),
    ),
    Case(
        "a request after a rejected one is served",
        (post(key=None) + post(),),
        Want((frozenset({401}), _OK), upstream=1),
    ),
    Case(
        "a request after one for an unknown model is served",
        (post(body().replace(b'"fake"', b'"nope"')) + post(),),
        Want((frozenset({404}), _OK), upstream=1),
    ),
    Case(
        "a request after one that is not JSON is served",
        (post(b"{") + post(),),
        Want((_BAD, _OK), upstream=1),
    ),
    Case(
        "the body of an unknown path is not read as a request",
        (post(_HIDDEN, path=b"/nowhere") + post(),),
        Want((frozenset({404}), _OK), upstream=1, silence=True),
    ),
    Case(
        "the body of a get is not read as a request",
        (get(b"/v1/models", b"Content-Length: %d" % len(_HIDDEN)) + _HIDDEN + post(),),
        Want((frozenset({200, 400}), _OK), upstream=MAYBE, silence=True),
    ),
    Case(
        "the chunks of a get are not read as a request",
        (get(b"/v1/models", b"Transfer-Encoding: chunked") + _TE,),
        Want((frozenset({200, 400}),), upstream=0),
    ),
    Case(
        "the body of a head is not read as a request",
        (get(b"/v1/models", b"Content-Length: %d" % len(_HIDDEN), method=b"HEAD") + _HIDDEN,),
        Want((frozenset({200, 400, 404, 405}),), upstream=0),
    ),
    Case(
        "the body of an options is not read as a request",
        (get(b"/v1/models", b"Content-Length: %d" % len(_HIDDEN), method=b"OPTIONS") + _HIDDEN,),
        Want((frozenset({200, 204, 400, 404, 405}),), upstream=0),
    ),
    Case(
        "the body of a delete is not read as a request",
        (get(b"/v1/models", b"Content-Length: %d" % len(_HIDDEN), method=b"DELETE") + _HIDDEN,),
        Want((_METHOD,), upstream=0),
    ),
    Case(
        "the body of a post to the models is not read as a request",
        (post(_HIDDEN, path=b"/v1/models"),),
        Want((_METHOD,), upstream=0),
    ),
    Case(
        "junk after a served request is refused",
        (post() + b"\x00\xff\x00\xff\r\n\r\n",),
        Want((_OK, _BAD), closes=True, upstream=1),
    ),
    Case(
        "a request cut at every byte is served",
        (Act.BITS, post()),
        served(),
    ),
    Case(
        "two requests cut in the middle of the second head are served",
        ((post() + post())[: len(post()) + 20], Act.PAUSE, (post() + post())[len(post()) + 20 :]),
        served(2),
    ),
    Case(
        "a head cut inside its CRLFs is served",
        (post().partition(b"\r\n\r\n")[0] + b"\r", Act.PAUSE, b"\n\r", Act.PAUSE, b"\n" + body()),
        served(),
    ),
    Case(
        "pipelined requests that wait for 100 are served",
        (post(None, b"Expect: 100-continue") * 2,),
        served(2),
    ),
)


def _method(name: bytes, path: bytes = b"/v1/chat/completions") -> tuple[bytes, ...]:
    return (get(path, method=name),)


METHODS: tuple[Case, ...] = (
    Case("the list of models is answered by the plane", (get(),), Want((_OK,), upstream=0)),
    Case(
        "a head of the models has no body",
        (get(method=b"HEAD") + get(),),
        Want((_OK, _OK), upstream=0),
    ),
    Case(
        "options are answered",
        (get(method=b"OPTIONS") + get(),),
        Want((frozenset({200, 204, 404, 405}), _OK), upstream=0),
    ),
    Case(
        "options of everything are answered",
        (get(line=b"OPTIONS * HTTP/1.1"),),
        Want((frozenset({200, 204, 400, 404, 405}),), upstream=0),
    ),
    Case("a get of chat completions is refused", _method(b"GET"), rejected(400, 404, 405)),
    Case("a head of chat completions is refused", _method(b"HEAD"), rejected(400, 404, 405)),
    Case(
        "a put is refused",
        (post(line=b"PUT /v1/chat/completions HTTP/1.1"),),
        rejected(400, 404, 405, 501),
    ),
    Case(
        "a patch is refused",
        (post(line=b"PATCH /v1/chat/completions HTTP/1.1"),),
        rejected(400, 404, 405, 501),
    ),
    Case("a delete is refused", _method(b"DELETE"), rejected(400, 404, 405, 501)),
    Case(
        "a method of other protocols is refused", _method(b"PROPFIND"), rejected(400, 404, 405, 501)
    ),
    Case("an unknown path is not found", _method(b"GET", b"/etc/passwd"), rejected(404)),
    Case(
        "the root is not found or greets",
        _method(b"GET", b"/"),
        Want((frozenset({200, 404}),), upstream=0),
    ),
    Case("the metrics are not on the serving port", _method(b"GET", b"/metrics"), rejected(404)),
    Case(
        "a path of the administration is not on the serving port",
        _method(b"GET", b"/api/v1/tenants"),
        rejected(404),
    ),
    Case(
        "a path that only begins like another is not found",
        (post(path=b"/v1/chat/completionsx"),),
        rejected(404),
    ),
    Case(
        "a slash behind the path is not found or the same",
        (post(path=b"/v1/chat/completions/"),),
        Want((frozenset({200, 404}),)),
    ),
    Case("an unknown model is not found", (get(b"/v1/models/nope"),), rejected(404)),
)

_HEAD = post().partition(b"\r\n\r\n")[0]
_SLOW = refused(400, 408, silence=True)
_DRIP = tuple(part for index in range(60) for part in (_HEAD[index : index + 1], Act.PAUSE))
_SLOW_BODY = tuple(part for index in range(60) for part in (body()[index : index + 1], Act.PAUSE))

SILENCES: tuple[Case, ...] = (
    Case("a head that comes byte by byte for too long is cut off", (*_DRIP, Act.WAIT), _SLOW),
    Case("a head that stops is cut off", (_HEAD[:40], Act.WAIT), _SLOW),
    Case("a head that stops before its last LF is cut off", (_HEAD + b"\r\n\r", Act.WAIT), _SLOW),
    Case("a body that does not come is cut off", (_HEAD + b"\r\n\r\n", Act.WAIT), _SLOW),
    Case(
        "a body that comes byte by byte for too long is cut off",
        (_HEAD + b"\r\n\r\n", *_SLOW_BODY, Act.WAIT),
        _SLOW,
    ),
    Case("a chunk size that does not come is cut off", (chunked(b""), Act.WAIT), _SLOW),
    Case("a chunk that stops is cut off", (chunked(b"5f\r\n{"), Act.WAIT), _SLOW),
    Case(
        "trailers that do not come are cut off",
        (chunked(b"%x\r\n%s\r\n0\r\nX: a" % (len(body()), body())), Act.WAIT),
        _SLOW,
    ),
    Case(
        "a connection that idles after an answer is closed", (post(), Act.WAIT), served(closes=True)
    ),
    Case(
        "a second head that stops is cut off",
        (post() + _HEAD[:40], Act.WAIT),
        Want((_OK, frozenset({400, 408})), silence=True, closes=True, upstream=1),
    ),
    Case("a client that closes at once harms nothing", (Act.CLOSE,), closed()),
    Case("a client that resets at once harms nothing", (Act.RESET,), closed()),
    Case("a client that closes inside the head never goes on", (_HEAD[:40], Act.CLOSE), closed()),
    Case("a client that resets inside the head never goes on", (_HEAD[:40], Act.RESET), closed()),
    Case(
        "a client that closes after the head never goes on",
        (_HEAD + b"\r\n\r\n", Act.CLOSE),
        closed(),
    ),
    Case("a client that closes inside the body never goes on", (post()[:-5], Act.CLOSE), closed()),
    Case("a client that resets inside the body never goes on", (post()[:-5], Act.RESET), closed()),
    Case(
        "a client that closes inside a chunk never goes on",
        (chunked(b"5f\r\n{"), Act.CLOSE),
        closed(),
    ),
    Case(
        "a client that closes before the last chunk never goes on",
        (chunked(b"%x\r\n%s\r\n" % (len(body()), body())), Act.CLOSE),
        closed(),
    ),
    Case(
        "a client that closes inside the trailers never goes on",
        (chunked(b"%x\r\n%s\r\n0\r\nX: a" % (len(body()), body())), Act.CLOSE),
        closed(),
    ),
    Case(
        "a client that says it sends no more inside the head never goes on",
        (_HEAD[:40], Act.HALF_CLOSE),
        _SLOW,
    ),
    Case(
        "a client that says it sends no more is answered or given up",
        (post(), Act.HALF_CLOSE),
        Want((_OK,), silence=True, closes=True, upstream=MAYBE),
    ),
)
