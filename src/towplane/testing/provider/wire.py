"""Heads and events of the fake provider's answers. No socket here."""

from collections.abc import Iterator

from towplane.testing.framing import status_line
from towplane.testing.provider.script import Script

__all__ = ["event", "head", "pack"]


def head(
    status: int,
    headers: list[tuple[str, str]],
    *,
    script: Script,
    length: int | None = None,
) -> bytes:
    """A head; `length` None means a chunked body, or one that ends with the connection."""
    version = "1.0" if script.framing == "http10" else "1.1"
    lines = [status_line(status, version), "server: fake-provider"]
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
