"""Server-sent events as bytes: cut a stream at event borders, read the data of an event.

Knows no JSON and no socket. An event ends with a blank line; lines end with LF or CRLF (a lone CR,
which the standard allows too, is not used by any engine or provider and is not cut at).
"""

import re

_BORDER = re.compile(rb"\r?\n\r?\n")


def cut(buffer: bytes) -> int:
    """How many bytes of `buffer` are whole events; 0 if none is complete."""
    end = buffer.rfind(b"\n\n") + 2
    crlf = buffer.rfind(b"\n\r\n") + 3
    return max(end if end > 1 else 0, crlf if crlf > 2 else 0)


def first_event(block: bytes, start: int = 0) -> tuple[bytes, bytes]:
    """The event that begins at `start`: its bytes as they came, and its data.

    Data is empty for comments and for events without a `data` line; several lines are joined by LF.
    """
    border = _BORDER.search(block, start)
    raw = block[start : border.end() if border is not None else len(block)]
    return raw, _data(raw)


def _data(raw: bytes) -> bytes:
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and raw[-3] != 0x0D:
        return raw[6:-2]  # one line ended by LF: nearly all there are
    lines = [
        line[5:].removeprefix(b" ")
        for line in raw.replace(b"\r\n", b"\n").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines)
