"""The own books of a double: what it saw and what it would bill, to compare with the ledger."""

import threading
import time
from collections.abc import Callable

import msgspec

__all__ = ["Book", "Seen"]


class Seen(msgspec.Struct, kw_only=True):
    """One request, in the order of arrival."""

    number: int
    method: str
    path: str
    model: str = ""
    tag: str = ""
    """The `user` of the request."""
    request_id: str = ""
    """`x-towplane-request-id`, if the plane sends it."""
    attempt: str = ""
    """`x-towplane-attempt`, if the plane sends it."""
    headers: list[tuple[str, str]] = []
    body_bytes: int = 0
    stream: bool = False
    include_usage: bool = False
    status: int = 0
    input: int = 0
    """Input tokens; billed when the status is below 400."""
    output: int = 0
    """Output tokens put on the wire so far: what a provider bills when the client goes away."""
    finished: bool = False
    """The answer was written to its end, as the script wanted it."""
    cancelled: bool = False
    """The client went away before that."""
    at: float = 0.0
    ended: float = 0.0

    def header(self, name: str) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)


class Book:
    """Every request seen since the start or the last `clear`; safe to read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[Seen] = []
        self._count = 0
        self.malformed: list[str] = []
        """What arrived that no careful client sends."""
        self.connections_open = 0
        self.connections_total = 0

    def open(self, seen: Seen) -> int:
        """Note a request; answer how many with the same tag came before it."""
        with self._lock:
            before = sum(1 for row in self._rows if row.tag == seen.tag) if seen.tag else 0
            seen.number = self._count
            self._count += 1
            self._rows.append(seen)
            return before

    def rows(self, *, tag: str | None = None, model: str | None = None) -> list[Seen]:
        """The requests, all or those of a tag or a model."""
        with self._lock:
            return [
                row
                for row in self._rows
                if (tag is None or row.tag == tag) and (model is None or row.model == model)
            ]

    def take(self) -> list[Seen]:
        """The requests since the last `take`, which are then forgotten here; those under way go on
        being written in their own row."""
        with self._lock:
            rows, self._rows = self._rows, []
            return rows

    def clear(self) -> None:
        """Forget the requests; numbers go on."""
        with self._lock:
            self._rows.clear()
            self.malformed.clear()

    def wait(self, claim: Callable[["Book"], bool], within_s: float = 10.0) -> bool:
        """Wait until the claim holds; the one place where a story waits for a double."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if claim(self):
                return True
            time.sleep(0.005)
        return claim(self)
