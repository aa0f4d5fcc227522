"""A part of a cluster as a plane knows it: objects by namespace and name, from lists and events.

Pure; knows no connection. The laws: after a list it holds exactly what the list had; an event
changes one object; a bookmark changes none and moves the version on. Versions are compared for
being the same and nothing else: they are opaque.
"""

from collections.abc import Callable, Iterable
from typing import Generic, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct, field

__all__ = ["Gone", "Listed", "Mirror", "WatchError"]

T = TypeVar("T")

Key = tuple[str, str]


class WatchError(Exception):
    """The server says that a list or a watch went wrong."""

    def __init__(self, status: int, say: str) -> None:
        super().__init__(say)
        self.status = status


class Gone(WatchError):
    """The version is too old (410): only a new list helps."""


class _Meta(Struct):
    name: str = ""
    namespace: str = ""
    version: str = field(name="resourceVersion", default="")


class _Headed(Struct):
    metadata: _Meta


class _ListMeta(Struct):
    version: str = field(name="resourceVersion", default="")
    more: str = field(name="continue", default="")


class Listed(Struct):
    """One page of a list."""

    metadata: _ListMeta
    items: list[Raw] | None = None


class _Event(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: Raw


class _Status(Struct):
    code: int = 0
    reason: str = ""
    message: str = ""


_read_head = msgspec.json.Decoder(_Headed).decode
_read_event = msgspec.json.Decoder(_Event).decode
_read_status = msgspec.json.Decoder(_Status).decode


class Mirror(Generic[T]):
    """The objects of one list, kept up to date."""

    def __init__(self, kind: type[T]) -> None:
        self._read: Callable[[bytes | Raw], T] = msgspec.json.Decoder(kind).decode
        self._objects: dict[Key, tuple[str, T]] = {}
        self.version = ""
        """From where to watch on; empty: nothing is known, a list is needed."""

    def objects(self) -> list[T]:
        """All of them, by namespace and name."""
        return [self._objects[key][1] for key in sorted(self._objects)]

    def replace(self, items: Iterable[bytes | Raw], version: str) -> int:
        """A whole list came; how many objects it shows otherwise than they were known. Raises
        ValueError, and then nothing has changed."""
        found: dict[Key, tuple[str, T]] = {}
        for item in items:
            meta = _read_head(item).metadata
            found[meta.namespace, meta.name] = (meta.version, self._read(item))
        known = {key: each[0] for key, each in self._objects.items()}
        listed = {key: each[0] for key, each in found.items()}
        self._objects, self.version = found, version
        return len({key for key, _ in known.items() ^ listed.items()})

    def apply(self, line: bytes) -> bool:
        """One line of a watch came; whether an object changed. Raises WatchError, ValueError."""
        event = _read_event(line)
        if event.type == "ERROR":
            raise error_of(_read_status(event.object))
        meta = _read_head(event.object).metadata
        if event.type == "BOOKMARK":
            self.version = meta.version or self.version
            return False
        key = (meta.namespace, meta.name)
        if event.type == "DELETED":
            changed = self._objects.pop(key, None) is not None
        else:
            known = self._objects.get(key)
            changed = known is None or known[0] != meta.version
            self._objects[key] = (meta.version, self._read(event.object))
        self.version = meta.version or self.version
        return changed

    def forget(self) -> None:
        """A list is needed before the next watch; the objects stay until then."""
        self.version = ""


def error_of(status: _Status) -> WatchError:
    """The error that a Status object means."""
    say = status.message or status.reason or "no reason given"
    is_gone = status.code == 410 or status.reason in ("Gone", "Expired")
    return (Gone if is_gone else WatchError)(status.code, say)


def read_error(status: int, body: bytes) -> WatchError:
    """The error that an answer means."""
    try:
        found = _read_status(body)
    except ValueError:
        found = _Status()
    return error_of(
        _Status(found.code or status, found.reason, found.message or f"status {status}")
    )
