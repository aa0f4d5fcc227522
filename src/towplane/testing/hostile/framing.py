"""Hostile framing: lengths, transfer codings and chunks on which two readers could disagree.

Sources: RFC 9112 sections 6 and 7; the CL.TE, TE.CL, TE.TE, CL.0 and chunk-extension families of
published request-smuggling research.
"""

from towplane.testing.hostile.case import (
    LIMITS,
    SMUGGLED,
    TAG,
    Act,
    Case,
    Want,
    body,
    chunked,
    either,
    get,
    post,
    refused,
    rejected,
    served,
)

__all__ = ["CHUNKS", "CODINGS", "LENGTHS"]

_GOOD = body()
_SIZE = b"%d" % len(_GOOD)
_HEX = b"%x" % len(_GOOD)
_WHOLE = _HEX + b"\r\n" + _GOOD + b"\r\n0\r\n\r\n"
_BODY_LIMIT = int(LIMITS["body"])
_HEAD_LIMIT = int(LIMITS["header_bytes"])


def _length(value: bytes) -> tuple[bytes, ...]:
    return (post(length=value),)


LENGTHS: tuple[Case, ...] = (
    Case(
        "a length beside a chunked coding is refused",
        (chunked(_WHOLE + SMUGGLED, b"Content-Length: %d" % len(_WHOLE)),),
        refused(),
    ),
    Case(
        "a length that covers a smuggled request, beside a chunked coding, is refused",
        (chunked(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: %d" % (5 + len(SMUGGLED))),),
        refused(),
    ),
    Case(
        "a length before a chunked coding is refused",
        (post(_WHOLE, b"Content-Length: 4", b"Transfer-Encoding: chunked", length=None),),
        refused(),
    ),
    Case(
        "a length of nothing beside a chunked coding is refused",
        (chunked(_WHOLE, b"Content-Length: 0"),),
        refused(),
    ),
    Case("two different lengths are refused", (post(None, b"Content-Length: 3"),), refused()),
    Case(
        "the same length twice is refused",
        (post(None, b"Content-Length: " + _SIZE),),
        refused(),
    ),
    Case("a list of equal lengths is refused", _length(_SIZE + b", " + _SIZE), refused()),
    Case("a list of different lengths is refused", _length(_SIZE + b", 6"), refused()),
    Case("a length with a plus sign is refused", _length(b"+" + _SIZE), refused()),
    Case("a length with a minus sign is refused", _length(b"-" + _SIZE), refused()),
    Case("a negative zero as a length is refused", _length(b"-0"), refused()),
    Case("a hexadecimal length is refused", _length(b"0x5f"), refused()),
    Case("a length with a space inside is refused", _length(b"9 5"), refused()),
    Case("a length with an underscore is refused", _length(b"9_5"), refused()),
    Case("a length without digits is refused", _length(b""), refused()),
    Case("a length with a fraction is refused", _length(_SIZE + b".0"), refused()),
    Case("a length with an exponent is refused", _length(b"1e2"), refused()),
    Case("a length with a semicolon is refused", _length(_SIZE + b";"), refused()),
    Case("a quoted length is refused", _length(b'"' + _SIZE + b'"'), refused()),
    Case("a length in Arabic digits is refused", _length("\u0669\u0665".encode()), refused()),
    Case("a length with a NUL is refused", _length(_SIZE + b"\x00"), refused()),
    Case("a length after a vertical tab is refused", _length(b"\x0b" + _SIZE), refused()),
    Case("a length after a form feed is refused", _length(b"\x0c" + _SIZE), refused()),
    Case("a length of 2^63 is refused", _length(b"9223372036854775808"), refused(400, 413)),
    Case("a length of 2^64 is refused", _length(b"18446744073709551616"), refused(400, 413)),
    Case(
        "a length that wraps around 2^64 to the right one is refused",
        _length(b"%d" % (2**64 + len(_GOOD))),
        refused(400, 413),
    ),
    Case("a length of a thousand digits is refused", _length(b"9" * 1000), refused(400, 413)),
    Case(
        "a length with leading zeros means one thing or is refused",
        _length(b"00" + _SIZE),
        either(),
    ),
    Case("white space around a length is allowed", _length(b" \t" + _SIZE + b"\t "), served()),
    Case(
        "the name of the length is read in any case",
        (post(None, b"cOnTeNt-LeNgTh: " + _SIZE, length=None),),
        served(),
    ),
    Case(
        "a space before the colon of the length is refused",
        (post(None, b"Content-Length : " + _SIZE, length=None),),
        refused(),
    ),
    Case(
        "a length with an underscore in its name is no length",
        (post(_GOOD, b"Content_Length: " + _SIZE, length=None),),
        Want((frozenset({400, 411}),), more=frozenset({400}), upstream=0),
    ),
    Case(
        "bytes beyond the length are not part of the request",
        (post(_GOOD + b"\x00\x01junk\r\n\r\n", length=_SIZE),),
        Want((frozenset({200}), frozenset({400})), closes=True, upstream=1),
    ),
    Case(
        "a body that ends before its length never goes on",
        (post(_GOOD[:-5], length=_SIZE), Act.HALF_CLOSE),
        refused(400, 408, silence=True),
    ),
    Case("a post without framing has no body", (post(b"", length=None),), rejected(400, 411)),
    Case("a post with a length of nothing is rejected", (post(b""),), rejected()),
    Case(
        "a body of exactly the limit is served",
        (post(_GOOD + b" " * (_BODY_LIMIT - len(_GOOD))),),
        served(),
    ),
    Case(
        "a body of one byte above the limit is refused",
        (post(_GOOD + b" " * (_BODY_LIMIT - len(_GOOD) + 1)),),
        refused(413),
    ),
    Case(
        "a length above the limit is refused before the body comes",
        (post(b"", length=b"%d" % (10 * _BODY_LIMIT)),),
        refused(413),
    ),
    Case(
        "a get with a body does not leave its body for the next request",
        (get(b"/v1/models", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED,),
        Want((frozenset({200, 400}),), upstream=0),
    ),
)


def _coding(value: bytes, *, name: bytes = b"Transfer-Encoding: ") -> tuple[bytes, ...]:
    return (chunked(_WHOLE, coding=name + value),)


CODINGS: tuple[Case, ...] = (
    Case("a chunked body is served", (chunked(),), served()),
    Case("the name of the coding is read in any case", _coding(b"ChUnKeD"), served()),
    Case("an unknown coding is refused", _coding(b"cow"), refused(400, 501)),
    Case("a coding that ends with chunked is refused", _coding(b"xchunked"), refused(400, 501)),
    Case("a coding that begins with chunked is refused", _coding(b"chunkedx"), refused(400, 501)),
    Case("chunked twice in one line is refused", _coding(b"chunked, chunked"), refused(400, 501)),
    Case(
        "chunked twice in two lines is refused",
        (chunked(_WHOLE, b"Transfer-Encoding: chunked"),),
        refused(400, 501),
    ),
    Case(
        "chunked and then identity in two lines is refused",
        (chunked(_WHOLE, b"Transfer-Encoding: identity"),),
        refused(400, 501),
    ),
    Case(
        "an unknown coding and then chunked in two lines are refused",
        (chunked(_WHOLE, b"Transfer-Encoding: chunked", coding=b"Transfer-Encoding: cow"),),
        refused(400, 501),
    ),
    Case("the coding identity is refused", _coding(b"identity"), refused(400, 501)),
    Case("identity before chunked is refused", _coding(b"identity, chunked"), refused(400, 501)),
    Case("chunked before identity is refused", _coding(b"chunked, identity"), refused(400, 501)),
    Case("the coding gzip is refused", _coding(b"gzip"), refused(400, 501)),
    Case("gzip before chunked is refused", _coding(b"gzip, chunked"), refused(400, 501)),
    Case("a coding with a parameter is refused", _coding(b"chunked;q=1"), refused(400, 501)),
    Case("an empty coding is refused", _coding(b""), refused(400, 501)),
    Case("a coding of a comma is refused", _coding(b","), refused(400, 501)),
    Case("an empty element before chunked is refused", _coding(b", chunked"), refused(400, 501)),
    Case("a quoted coding is refused", _coding(b'"chunked"'), refused(400, 501)),
    Case("a coding with a space inside is refused", _coding(b"chun ked"), refused(400, 501)),
    Case("a vertical tab before the coding is refused", _coding(b"\x0bchunked"), refused(400, 501)),
    Case("a vertical tab after the coding is refused", _coding(b"chunked\x0b"), refused(400, 501)),
    Case("a NUL after the coding is refused", _coding(b"chunked\x00"), refused(400, 501)),
    Case(
        "a Kelvin sign is not the letter k",
        _coding("chun\u212aed".encode()),
        refused(400, 501),
    ),
    Case("a folded coding is refused", _coding(b"\r\n chunked"), refused(400, 501)),
    Case("a tab before the coding is allowed or refused", _coding(b"\tchunked"), either()),
    Case(
        "a space before the colon of the coding is refused",
        _coding(b"chunked", name=b"Transfer-Encoding : "),
        refused(),
    ),
    Case(
        "a tab before the colon of the coding is refused",
        _coding(b"chunked", name=b"Transfer-Encoding\t: "),
        refused(),
    ),
    Case(
        "a NUL in the name of the coding is refused",
        _coding(b"chunked", name=b"Transfer-Encoding\x00: "),
        refused(),
    ),
    Case(
        "a coding behind a bare LF is refused",
        (post(_WHOLE, b"X: y\nTransfer-Encoding: chunked"),),
        refused(),
    ),
    Case(
        "a coding behind a bare CR is refused",
        (post(_WHOLE, b"X: y\rTransfer-Encoding: chunked"),),
        refused(),
    ),
    Case(
        "a coding with an underscore in its name does not frame",
        (post(_GOOD, b"Transfer_Encoding: chunked"),),
        either(),
    ),
    Case(
        "a coding in HTTP/1.0 is refused",
        (chunked(_WHOLE, line=b"POST /v1/chat/completions HTTP/1.0"),),
        refused(400, 501),
    ),
    Case(
        "a chunked get does not leave its chunks for the next request",
        (
            get(b"/v1/models", b"Transfer-Encoding: chunked")
            + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        ),
        Want((frozenset({200, 400}),), upstream=0),
    ),
)


def _chunks(wire: bytes) -> tuple[bytes, ...]:
    return (chunked(wire),)


def _first(size: bytes) -> tuple[bytes, ...]:
    return _chunks(size + b"\r\n" + _GOOD + b"\r\n0\r\n\r\n")


def _trailer(lines: bytes) -> tuple[bytes, ...]:
    return _chunks(_HEX + b"\r\n" + _GOOD + b"\r\n0\r\n" + lines + b"\r\n")


_BIG = 8 * 1024
_PARTS = [b"".join(b"1\r\n%c\r\n" % byte for byte in part) for part in _GOOD.split(TAG)]
_STALLED = refused(400, 408, silence=True)

CHUNKS: tuple[Case, ...] = (
    Case("a chunk size that is not hexadecimal is refused", _first(b"zz"), refused()),
    Case("an empty chunk size is refused", _first(b""), refused()),
    Case("a chunk size with a minus sign is refused", _first(b"-" + _HEX), refused()),
    Case("a chunk size with a plus sign is refused", _first(b"+" + _HEX), refused()),
    Case("a chunk size with 0x is refused", _first(b"0x" + _HEX), refused()),
    Case("a chunk size with an underscore is refused", _first(b"5_f"), refused()),
    Case("a space before a chunk size is refused", _first(b" " + _HEX), refused()),
    Case("a tab before a chunk size is refused", _first(b"\t" + _HEX), refused()),
    Case("a space after a chunk size is ignored or refused", _first(_HEX + b" "), either()),
    Case("a NUL after a chunk size is refused", _first(_HEX + b"\x00"), refused()),
    Case("a chunk size of 2^64 is refused", _first(b"1" + b"0" * 16), refused(400, 413)),
    Case(
        "a chunk size that wraps around 2^64 to the right one is refused",
        _first(b"1" + b"0" * (16 - len(_HEX)) + _HEX),
        refused(400, 413),
    ),
    Case("a chunk size above the limit is refused", _first(b"ffffffff"), refused(400, 408, 413)),
    Case(
        "a chunk size with a thousand leading zeros is refused or right",
        _first(b"0" * 1000 + _HEX),
        either(400, 413, 431),
    ),
    Case("a chunk extension is ignored", _first(_HEX + b";name=value"), served()),
    Case("a quoted chunk extension is ignored", _first(_HEX + b';name="a b"'), either()),
    Case(
        "a bare LF in a chunk extension is refused",
        _first(_HEX + b";a\nb"),
        refused(),
    ),
    Case(
        "a chunk extension that hides a chunk behind a bare LF is refused",
        _chunks(b"2;\n" + _HEX + b"\r\n" + _GOOD + b"\r\n0\r\n\r\n" + SMUGGLED),
        refused(),
    ),
    Case("a bare CR in a chunk extension is refused", _first(_HEX + b";a\rb"), refused()),
    Case("a NUL in a chunk extension is refused", _first(_HEX + b";a\x00b"), refused()),
    Case(
        "a long chunk extension is ignored or refused",
        _first(_HEX + b";" + b"a" * (4 * _HEAD_LIMIT)),
        either(400, 413, 431),
    ),
    Case(
        "a chunk extension without end is refused",
        _first(_HEX + b";" + b"a" * (64 * _HEAD_LIMIT)),
        refused(400, 408, 413, 431),
    ),
    Case(
        "many chunk extensions of a kilobyte are refused",
        _chunks(
            b"".join(b"1;%s\r\n \r\n" % (b"a" * 1024) for _ in range(100))
            + _HEX
            + b"\r\n"
            + _GOOD
            + b"\r\n0\r\n\r\n"
        ),
        either(400, 413, 431),
    ),
    Case(
        "a chunk without its CRLF is refused",
        _chunks(_HEX + b"\r\n" + _GOOD + b"0\r\n\r\n"),
        refused(),
    ),
    Case(
        "a chunk that is longer than its size is refused",
        _chunks(b"10\r\n" + _GOOD + b"\r\n0\r\n\r\n"),
        refused(),
    ),
    Case(
        "a chunk that is shorter than its size never goes on",
        (*_chunks(b"%x\r\n" % (len(_GOOD) + 50) + _GOOD + b"\r\n0\r\n\r\n"), Act.WAIT),
        _STALLED,
    ),
    Case(
        "a bare LF after a chunk size is refused",
        _chunks(_HEX + b"\n" + _GOOD + b"\r\n0\r\n\r\n"),
        refused(),
    ),
    Case(
        "a bare LF after a chunk is refused",
        _chunks(_HEX + b"\r\n" + _GOOD + b"\n0\r\n\r\n"),
        refused(),
    ),
    Case(
        "a bare CR after a chunk size is refused",
        _chunks(_HEX + b"\r" + _GOOD + b"\r\n0\r\n\r\n"),
        refused(),
    ),
    Case(
        "bare LFs after the last chunk are refused",
        _chunks(_HEX + b"\r\n" + _GOOD + b"\r\n0\n\n"),
        refused(),
    ),
    Case(
        "a bare LF at the end of the trailers is refused",
        _chunks(_HEX + b"\r\n" + _GOOD + b"\r\n0\r\n\n"),
        refused(),
    ),
    Case(
        "a last chunk without its empty line never goes on",
        (*_chunks(_HEX + b"\r\n" + _GOOD + b"\r\n0\r\n"), Act.WAIT),
        _STALLED,
    ),
    Case(
        "a last chunk of many zeros means the end",
        _chunks(_WHOLE.replace(b"\r\n0\r\n", b"\r\n000\r\n")),
        either(),
    ),
    Case(
        "junk after the last chunk is not part of the request",
        _chunks(_WHOLE + b"\x01\x02 junk\r\n\r\n"),
        Want((frozenset({200}), frozenset({400})), closes=True, upstream=1),
    ),
    Case("a plain trailer is dropped", _trailer(b"X-Checksum: 1\r\n"), either()),
    Case(
        "a length in the trailers changes nothing",
        (*_trailer(b"Content-Length: 5\r\n"),),
        either(),
    ),
    Case(
        "a coding in the trailers changes nothing",
        _trailer(b"Transfer-Encoding: gzip\r\n"),
        either(),
    ),
    Case("a host in the trailers changes nothing", _trailer(b"Host: evil\r\n"), either()),
    Case(
        "a key in the trailers changes nothing",
        _trailer(b"Authorization: Bearer other\r\n"),
        either(),
    ),
    Case("a bare LF in a trailer is refused", _trailer(b"X: a\nY: b\r\n"), refused()),
    Case("a trailer without a colon is refused", _trailer(b"junk\r\n"), refused()),
    Case("a space before the colon of a trailer is refused", _trailer(b"X : a\r\n"), refused()),
    Case("a folded trailer is refused", _trailer(b"X: a\r\n b\r\n"), refused()),
    Case(
        "trailers above the limit of a head are refused",
        _trailer(b"X: " + b"a" * (2 * _HEAD_LIMIT) + b"\r\n"),
        refused(400, 413, 431),
    ),
    Case(
        "a thousand trailers are refused",
        _trailer(b"X: a\r\n" * 1000),
        refused(400, 413, 431),
    ),
    Case(
        "a chunked body above the limit is refused",
        _chunks((b"%x\r\n" % _BIG + b" " * _BIG + b"\r\n") * 12 + _WHOLE),
        refused(413),
    ),
    Case(
        "a body in chunks of one byte is served",
        _chunks(_PARTS[0] + b"%x\r\n%s\r\n" % (len(TAG), TAG) + _PARTS[1] + b"0\r\n\r\n"),
        served(),
    ),
    Case(
        "a chunked body that comes byte by byte is served",
        (Act.BITS, chunked()),
        served(),
    ),
)
