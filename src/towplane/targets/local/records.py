"""What a plane writes down about each engine process, so that the next one finds what it left.

`NAME-REPLICA.json`, readable by the owner alone because it holds the replica's key. A record names
its process for good: the same pid with another start is another process.
"""

import os
from pathlib import Path

import msgspec

from towplane.parts.process import Identity

__all__ = ["Record", "log_path", "read_all", "record_path", "remove", "write"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One process of one replica."""

    engine: str
    replica: int
    kind: str
    pid: int
    ticks: int
    boot: str
    port: int
    digest: str
    """Of the wish that it was started from."""
    api_key: str
    started_at: float
    """Wall clock, seconds since the epoch."""

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.ticks, self.boot)

    def __repr__(self) -> str:
        return f"Record({self.engine}/{self.replica}, pid={self.pid}, port={self.port})"


def record_path(folder: Path, engine: str, replica: int) -> Path:
    """Where the record of a replica lies."""
    return folder / f"{engine}-{replica}.json"


def log_path(folder: Path, engine: str, replica: int) -> Path:
    """Where the log of a replica lies."""
    return folder / f"{engine}-{replica}.log"


def write(folder: Path, record: Record) -> None:
    """Writes it whole or not at all."""
    path = record_path(folder, record.engine, record.replica)
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record)))
    partial.replace(path)


def read_all(folder: Path, *, repair: bool = True) -> list[Record]:
    """Every record. To repair is to remove a file that is none: nobody could act on it."""
    records: list[Record] = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(msgspec.json.decode(path.read_bytes(), type=Record))
        except FileNotFoundError:
            continue
        except msgspec.DecodeError:
            if repair:
                path.unlink(missing_ok=True)
    return records


def remove(folder: Path, engine: str, replica: int) -> None:
    """Removes a record, if it is there."""
    record_path(folder, engine, replica).unlink(missing_ok=True)
