"""HTTP/1.1 and SSE bytes of the fake provider's answers. No socket here."""

from collections.abc import Iterator
from http import HTTPStatus

from towplane.testing.provider.script import Script

__all__ = ["chunk", "event", "head", "last_chunk", "pack"]


def head(
    status: int,
    headers: list[tuple[str, str]],
    *,
    script: Script,
    length: int | None = None,
) -> bytes:
    """A head; `length` None means a chunked body, or one that ends with the connection."""
    version = "1.0" if script.framing == "http10" else "1.1"
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Overloaded" if status == 529 else "Unknown"
    lines = [f"HTTP/{version} {status} {reason}", "server: fake-provider"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"{name}: {value}" for name, value in script.headers.items()]
    if script.head_padding_bytes:
        lines.append("x-padding: " + "p" * script.head_padding_bytes)
    if length is not None:
        lines.append(f"content-length: {length}")
    elif script.framing in ("until_close", "http10"):
        lines.append("connection: close")
    else:
        lines.append("transfer-encoding: chunked")
    if not script.keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes, extension: str = "") -> bytes:
    """One HTTP chunk."""
    return b"%x%s\r\n%s\r\n" % (len(data), extension.encode("latin-1"), data)


def last_chunk(trailers: dict[str, str]) -> bytes:
    """The end of a chunked body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
    return b"0\r\n" + lines.encode("latin-1") + b"\r\n"


def event(data: str, *, crlf: bool = False) -> bytes:
    """One SSE event."""
    end = "\r\n" if crlf else "\n"
    return f"data: {data}{end}{end}".encode()


def pack(piece: bytes, how: str) -> Iterator[bytes]:
    """Cut one event into the pieces that become HTTP chunks of their own."""
    if how == "bytes":
        for index in range(len(piece)):
            yield piece[index : index + 1]
    elif how == "halved":
        middle = len(piece) // 2
        yield piece[:middle]
        yield piece[middle:]
    else:
        yield piece
