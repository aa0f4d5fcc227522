"""The writing end of the journal: an append is two stores into mapped memory, no system call.

Knows no ledger and no meaning of an event. The laws: what `append` has returned from survives a
`kill -9` of the process (the pages are the kernel's); a torn line never looks complete, because its
newline is stored after the rest; a full disk is an error with a name, because a segment is
allocated before it is mapped, and the next one well before it is needed. Not a law: surviving a
power cut, where the kernel may lose what it had not written back (about half a minute on Linux).
"""

import contextlib
import errno
import fcntl
import mmap
import os
import shutil
import time
from pathlib import Path
from typing import Final, Protocol

import msgspec

from towplane.parts.errors import Conflict, OutOfSpace, PlaneError, Platform
from towplane.tenants.events import Event
from towplane.tenants.journal.layout import LOCK, LONGEST_LINE, NEXT, draft_of, segment_name

__all__ = ["Journal", "JournalWriter"]

_NEWLINE: Final = 0x0A
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
_RETRY_S = 1.0


class Journal(Protocol):
    """What the line needs of a journal: to put events where no death of its process reaches."""

    @property
    def is_short(self) -> bool:
        """No further segment could be allocated, when that was tried last; see `trouble`."""

    @property
    def trouble(self) -> PlaneError | None:
        """Why new requests cannot be noted; None if they can. Asking may try again."""

    def append(self, event: Event) -> None:
        """Note `event`."""


class JournalWriter:
    """The journal of one worker incarnation; `directory` must be new and is made here."""

    def __init__(self, directory: Path, segment_bytes: int = _SEGMENT_BYTES) -> None:
        if segment_bytes < 2 * LONGEST_LINE:
            raise ValueError(f"a segment has at least {2 * LONGEST_LINE} bytes")
        self.directory = directory
        self.is_short = False
        """No further segment could be allocated, when that was tried last; see `trouble`."""
        self._trouble: OutOfSpace | None = None
        self._retry_at = 0.0
        self._segment_bytes = segment_bytes
        self._encode = msgspec.json.Encoder().encode
        self._lock = _claim(directory, segment_bytes)
        self._number = 1
        self._map = _map(directory / segment_name(1), segment_bytes)
        self._position = 0
        self._prepare_at = segment_bytes // 2
        self._has_next = False

    @property
    def incarnation(self) -> str:
        """The name of this life of this worker."""
        return self.directory.name

    @property
    def trouble(self) -> OutOfSpace | None:
        """Why no further segment can be allocated. There is room left for what is running, not
        for new requests: admit none until it is None again. Asking tries again, each second."""
        if self._trouble is not None and time.monotonic() >= self._retry_at:
            self.prepare()
        return self._trouble

    def append(self, event: Event) -> None:
        """Put `event` where no death of this process can reach it."""
        encode = self._encode  # quicker than to call it as a method
        line = encode(event)
        length = len(line)
        start = self._position
        end = start + length
        if end >= self._prepare_at or length >= LONGEST_LINE:
            self._make_room(length + 1)
            start = self._position
            end = start + length
        segment = self._map
        segment[start:end] = line
        segment[end] = _NEWLINE  # a second store: without it the line does not exist
        self._position = end + 1

    def prepare(self) -> bool:
        """Allocate the next segment if there is none; False, and in `trouble`, if it cannot be."""
        if not self._has_next:
            try:
                _allocate(self.directory / NEXT, self._segment_bytes)
            except OutOfSpace as error:
                self._trouble = error
                self.is_short = True
                self._retry_at = time.monotonic() + _RETRY_S
                # Not at every append of a full disk, but well before the end of the segment.
                self._prepare_at = min(
                    self._position + self._segment_bytes // 32, self._segment_bytes
                )
                return False
            self._has_next = True
        self._trouble = None
        self.is_short = False
        self._prepare_at = self._segment_bytes
        return True

    def close(self) -> None:
        """Cut the last segment to its length and let the lock go."""
        if self._lock < 0:
            return
        self._finish_segment()
        with contextlib.suppress(FileNotFoundError):
            (self.directory / NEXT).unlink()
        os.close(self._lock)
        self._lock = -1

    def _make_room(self, needed: int) -> None:
        """Called past half of the segment: look ahead, and turn the page when it is full."""
        if self._lock < 0:
            raise Platform("the journal is closed", next_step="this is a bug: please report it")
        if needed > LONGEST_LINE:
            raise Platform(
                f"an event of {needed} bytes does not fit the journal (at most {LONGEST_LINE})",
                next_step="this is a bug: please report it",
            )
        if not self._has_next:
            self.prepare()
        if self._position + needed <= self._segment_bytes:
            return
        if not self._has_next:
            assert self._trouble is not None
            raise self._trouble
        self._finish_segment()
        self._number += 1
        path = self.directory / segment_name(self._number)
        os.rename(self.directory / NEXT, path)  # from here on, readers know the last one as done
        self._map = _map(path, self._segment_bytes)
        self._position = 0
        self._has_next = False
        self._prepare_at = self._segment_bytes // 2

    def _finish_segment(self) -> None:
        self._map.close()
        os.truncate(self.directory / segment_name(self._number), self._position)


def _claim(directory: Path, segment_bytes: int) -> int:
    """Make the folder with its lock and first segment; it appears whole, with its lock held."""
    draft = draft_of(directory)
    draft.mkdir(parents=True)
    lock = os.open(draft / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _allocate(draft / segment_name(1), segment_bytes)
        os.rename(draft, directory)
    except (OSError, OutOfSpace) as error:
        os.close(lock)
        shutil.rmtree(draft)
        if not isinstance(error, OSError) or error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise Conflict(
            f"the journal {directory} exists already; every start of a worker needs its own",
            next_step="this is a bug: please report it",
        ) from error
    return lock


def _allocate(path: Path, size: int) -> None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        path.unlink()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise OutOfSpace(
            f"no room for the next {size // 1024} KiB of the journal in {path.parent}",
            next_step=f"free space on the disk that holds {path.parent}; requests are refused "
            "until then, because what they use could not be accounted",
        ) from error
    finally:
        os.close(handle)


def _map(path: Path, size: int) -> mmap.mmap:
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return mmap.mmap(handle, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(handle)
