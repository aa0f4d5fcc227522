"""Watches `plane.yaml` for change and answers with a new document or with what is wrong with it.

It compares contents, not times or inodes, so that a file replaced by rename, a ConfigMap whose
symlink is swapped and an edit in place are all the same. What changes is read again after a short
while and taken only when it has not changed in between: an editor in the middle of writing is
waited for. This module does not decide what to do with an answer.

The law: every settled content is reported once, in order; the first is the one that the caller
has already.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from towplane.document.load import Document, parse_document, read_bytes
from towplane.document.problems import DocumentError

__all__ = ["watch_document"]

INTERVAL_S = 1.0
SETTLE_S = 0.25
"""Longer than an editor takes between truncating a file and writing it."""


async def watch_document(
    path: Path,
    digest: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    interval_s: float = INTERVAL_S,
    settle_s: float = SETTLE_S,
) -> AsyncIterator[Document | DocumentError]:
    """Yields what the file at `path` becomes after the content with `digest`, without end.

    A file that disappears is a `DocumentError` too; one that comes back as it was is reported
    again, so that the caller knows that it is right.
    """
    pending: str | None = None
    while True:
        await sleep(interval_s if pending is None else settle_s)
        found = await asyncio.to_thread(_read, path)
        if found.digest == digest:
            pending = None
        elif found.digest != pending:
            pending = found.digest
        else:
            digest, pending = found.digest, None
            yield await asyncio.to_thread(_judge, path, found)


@dataclass(frozen=True, slots=True)
class _Found:
    digest: str
    content: bytes | DocumentError


def _read(path: Path) -> _Found:
    try:
        data = read_bytes(path)
    except DocumentError as error:
        return _Found(f"unread: {error.say}", error)
    return _Found(hashlib.sha256(data).hexdigest(), data)


def _judge(path: Path, found: _Found) -> Document | DocumentError:
    if isinstance(found.content, DocumentError):
        return found.content
    try:
        return parse_document(found.content, file=str(path), folder=path.parent)
    except DocumentError as error:
        return error
