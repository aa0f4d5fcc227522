"""What the emulator says to a request, before it is written: a whole answer, or events."""

from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["Told"]


class Told(NamedTuple):
    """One of the two; each event with the output tokens that it brings."""

    whole: dict[str, Any] | None
    events: Iterator[tuple[bytes, int]] | None = None
    is_sse: bool = True
