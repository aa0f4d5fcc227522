"""One request as it came: the line, the headers that matter, the pieces of the body."""

import re
from functools import lru_cache

from towplane.parts.errors import BadRequest

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
"""RFC 9110 7.2: uri-host [":" port]."""


class Request:
    """Filled by the connection while it is parsed."""

    __slots__ = ("body", "fields", "keep_alive", "method", "received_at", "url", "version")

    def __init__(self) -> None:
        self.method = b""
        self.url = b""
        self.version = "1.1"
        self.fields: dict[bytes, bytes] = {}
        """By lower-case name; only the headers that the plane uses."""
        self.body: list[bytes] = []
        self.keep_alive = True
        self.received_at = 0.0
        """Monotonic time of the last byte: where TTFT starts."""

    def path(self) -> bytes:
        """The path, without query, also of a request in absolute form."""
        url = self.url
        if not url.startswith(b"/") and b"://" in url:
            _, slash, rest = url.partition(b"://")[2].partition(b"/")
            url = slash + rest or b"/"
        return url.partition(b"?")[0]


def check_head(request: Request) -> None:
    """What llhttp lets pass and we do not. Raises BadRequest."""
    fields = request.fields
    if request.version != "1.1":
        _check_version(request)
    if b"transfer-encoding" in fields and fields[b"transfer-encoding"].lower() != b"chunked":
        raise BadRequest("Only the transfer coding chunked is known here.", reason="http-invalid")
    if b"host" not in fields:
        if request.version == "1.1":
            raise BadRequest("The Host header is missing.", reason="http-invalid")
    elif not _is_host(fields[b"host"]):
        raise BadRequest("The Host header is not a host.", reason="http-invalid")
    if b"content-encoding" in fields and fields[b"content-encoding"] != b"identity":
        raise BadRequest("Send the body without Content-Encoding.", reason="content-encoding")


def _check_version(request: Request) -> None:
    if request.version != "1.0":
        raise BadRequest("Only HTTP/1.1 and HTTP/1.0 are spoken here.", reason="http-invalid")
    if b"transfer-encoding" in request.fields:
        raise BadRequest("HTTP/1.0 knows no Transfer-Encoding.", reason="http-invalid")


@lru_cache(maxsize=256)
def _is_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None
