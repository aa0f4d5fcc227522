"""A Kubernetes API on a real socket: lists in pages, watches with bookmarks, and all that goes
wrong with them.

Objects and versions are those of `testing.cluster`; this is HTTP: paths, selectors, bearer tokens,
410 Gone as a status or as an event, events that are lost on the way, connections that are cut or
fall silent, lists that take long. Reads only; whoever tests changes the cluster by `put` and
`delete`.

    with FakeKubernetes() as api:
        api.put(SLICES, slice_of("vllm", "vllm-1", "10.0.0.1"))
        kubeconfig = api.kubeconfig(folder)
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

import yaml

from towplane.testing.cluster import (
    PODS,
    POOLS,
    SLICES,
    Object,
    Resource,
    Selection,
    Store,
    encode,
)
from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message

__all__ = ["PODS", "POOLS", "SLICES", "FakeKubernetes"]

T = TypeVar("T")

_JSON = [("content-type", "application/json")]
_KINDS = {"endpointslices": "EndpointSlice", "pods": "Pod", "inferencepools": "InferencePool"}


class FakeKubernetes(Emulator):
    """The API of one cluster."""

    resets = True

    def __init__(self, *, token: str = "", page: int = 500, seed: int = 0, **more: Any) -> None:
        super().__init__(**more)
        self.store = Store()
        self.token = token
        """What a client must show; empty: anybody may ask."""
        self.page = page
        """Objects in a page of a list at most, whatever was asked for."""
        self.gone_as: Literal["status", "event"] = "event"
        """How a watch from a version that is compacted is refused."""
        self.loses = 0.0
        """The share of events that never arrive."""
        self.list_s = 0.0
        """How long a list takes."""
        self.longest_watch_s = 3600.0
        """A watch ends after this, or after what was asked for."""
        self.is_silent = False
        """Watches send nothing, and do not end."""
        self.refusals: list[int] = []
        """The next requests get these statuses; 0: the connection is reset."""
        self.asked: list[str] = []
        """Each request's path and query, in order."""
        self._random = random.Random(seed)
        self._watches: dict[asyncio.Task[Any] | None, Reply] = {}
        self._news = asyncio.Event()

    # What a test does, from its own thread

    def put(self, resource: Resource, found: Object) -> None:
        """Create or replace an object."""
        self.do(lambda: self.store.put(resource, found))

    def delete(self, resource: Resource, name: str, namespace: str = "default") -> None:
        """Delete an object."""
        self.do(lambda: self.store.delete(resource, namespace, name))

    def compact(self) -> None:
        """Make the versions of before gone."""
        self.do(self.store.compact)

    def cut(self) -> None:
        """Reset the connection of every watch."""
        self._call(self._cut())

    def bookmark(self) -> None:
        """Tell every watch that wants it how far it is."""
        self.do(lambda: setattr(self, "_bookmarks", self._bookmarks + 1))

    _bookmarks = 0

    def watches(self) -> int:
        """Watches that are open."""
        return len(self._watches)

    def do(self, work: Callable[[], T]) -> T:
        """Something with the store, in the server's own thread; watches look again."""
        found: list[T] = []

        async def run() -> None:
            found.append(work())
            self._news.set()
            self._news = asyncio.Event()

        self._call(run())
        return found[0]

    def kubeconfig(self, folder: Path, namespace: str = "default", name: str = "config") -> Path:
        """A file by which a client finds this server."""
        path = folder / name
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{"name": "fake", "cluster": {"server": self.origin}}],
                    "users": [{"name": "fake", "user": {"token": self.token or "any"}}],
                    "contexts": [
                        {
                            "name": "fake",
                            "context": {"cluster": "fake", "user": "fake", "namespace": namespace},
                        }
                    ],
                }
            )
        )
        return path

    # What a client gets

    async def answer(self, message: Message, reply: Reply) -> None:
        """One request."""
        target = urlsplit(message.path.decode())
        query = {name: values[-1] for name, values in parse_qs(target.query).items()}
        self.asked.append(message.path.decode())
        if self.refusals:
            status = self.refusals.pop(0)
            if not status:
                await reply.reset()
            await _say(reply, status, "InternalError", "as the test wants it")
            return
        if self.token and message.get(b"authorization") != f"Bearer {self.token}".encode():
            await _say(reply, 401, "Unauthorized", "Unauthorized")
            return
        found = _read_path(target.path)
        if found is None:
            await _say(reply, 404, "NotFound", "the server could not find the requested resource")
            return
        resource, namespace, name = found
        selection = Selection(resource, namespace, *_read_selectors(query))
        if name:
            await self._one(reply, resource, namespace, name)
        elif query.get("watch") in ("true", "1"):
            await self._watch(reply, selection, query)
        else:
            await self._list(reply, selection, query)

    async def _one(self, reply: Reply, resource: Resource, namespace: str, name: str) -> None:
        found = self.store.get(resource, namespace, name)
        if found is None:
            await _say(reply, 404, "NotFound", f'{resource.plural} "{name}" not found')
        else:
            await reply.whole(200, _JSON, encode(found))

    async def _list(self, reply: Reply, selection: Selection, query: dict[str, str]) -> None:
        """A page: later ones show the state of the first, as long as its version is not gone."""
        if self.list_s:
            await asyncio.sleep(self.list_s)
        token = query.get("continue", "")
        version, start = map(int, token.split(":")) if token else (self.store.version, 0)
        if token and self.store.is_gone(version):
            await _say(reply, 410, "Expired", "The provided continue parameter is too old")
            return
        items = _as_of(self.store, version, selection)
        size = min(self.page, int(query.get("limit", "0")) or self.page)
        page, rest = items[start : start + size], items[start + size :]
        meta: Object = {"resourceVersion": str(version)}
        if rest:
            meta |= {"continue": f"{version}:{start + size}", "remainingItemCount": len(rest)}
        kind = _KINDS[selection.resource.plural]
        found = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": meta, "items": page or None}
        await reply.whole(200, _JSON, encode(found))

    async def _watch(self, reply: Reply, selection: Selection, query: dict[str, str]) -> None:
        version = int(query.get("resourceVersion") or 0) or self.store.version
        gone = _status(410, "Expired", f"too old resource version: {version}")
        is_gone = self.store.is_gone(version)
        if is_gone and self.gone_as == "status":
            await reply.whole(410, _JSON, encode(gone))
            return
        await reply.begin(200, _JSON)
        if is_gone:
            await reply.more(_line("ERROR", gone))
            await reply.end()
            return
        lasts_s = min(self.longest_watch_s, float(query.get("timeoutSeconds", "3600")))
        task = asyncio.current_task()
        self._watches[task] = reply
        try:
            async with asyncio.timeout(lasts_s):
                await self._follow(reply, selection, version, "allowWatchBookmarks" in query)
        except TimeoutError:
            await reply.end()
        finally:
            self._watches.pop(task, None)

    async def _follow(
        self, reply: Reply, selection: Selection, version: int, wants_bookmarks: bool
    ) -> None:
        bookmarks = self._bookmarks
        while True:
            news = self._news
            if not self.is_silent:
                lines = [
                    _line(kind, found)
                    for kind, found in self.store.since(version, selection)
                    if not self.loses or self._random.random() >= self.loses
                ]
                version = self.store.version
                if wants_bookmarks and bookmarks != self._bookmarks:
                    lines.append(_line("BOOKMARK", _bookmark(selection.resource, version)))
                bookmarks = self._bookmarks
                for line in lines:
                    await reply.more(line)
            await news.wait()

    async def _cut(self) -> None:
        for task, reply in tuple(self._watches.items()):
            if task is not None:
                self._watches.pop(task)
                task.cancel()
                reply.abort()


def _as_of(store: Store, version: int, selection: Selection) -> list[Object]:
    """The list at a version: changes since then are taken back, the newest first."""
    found = {_key(each): each for each in store.select(selection)}
    for change in reversed(store.history):
        if change.version <= version:
            break
        for after in filter(None, [change.after]):
            if selection.takes(change.resource, after):
                found.pop(_key(after), None)
        if change.before is not None and selection.takes(change.resource, change.before):
            found[_key(change.before)] = change.before
    return [found[key] for key in sorted(found)]


def _key(found: Object) -> tuple[str, str]:
    return found["metadata"]["namespace"], found["metadata"]["name"]


def _read_path(path: str) -> tuple[Resource, str, str] | None:
    """`/api/v1/namespaces/NS/PLURAL[/NAME]`, `/apis/GROUP/VERSION/…`; without a namespace: all."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    if rest[0] not in _KINDS or len(rest) > 2:
        return None
    return Resource(group, version, rest[0]), namespace, rest[1] if len(rest) == 2 else ""


def _read_selectors(query: dict[str, str]) -> tuple[tuple[tuple[str, str], ...], str]:
    labels = query.get("labelSelector", "")
    pairs = [each.partition("=")[::2] for each in labels.split(",") if each]
    fields = dict(each.partition("=")[::2] for each in query.get("fieldSelector", "").split(","))
    return tuple(pairs), fields.get("metadata.name", "")


def _bookmark(resource: Resource, version: int) -> Object:
    """As Go writes an object of which only the version is set."""
    empty: Object = {"metadata": {"resourceVersion": str(version), "creationTimestamp": None}}
    if resource == SLICES:
        empty |= {"addressType": "", "endpoints": None, "ports": None}
    return {"kind": _KINDS[resource.plural], **empty}


def _line(kind: str, found: Object) -> bytes:
    return encode({"type": kind, "object": found}) + b"\n"


def _status(code: int, reason: str, say: str) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": say, "reason": reason, "code": code,
    }  # fmt: skip


async def _say(reply: Reply, code: int, reason: str, say: str) -> None:
    await reply.whole(code, _JSON, encode(_status(code, reason, say)))
