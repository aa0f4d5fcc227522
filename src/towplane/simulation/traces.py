"""Arrivals from traces of real traffic: lengths and times, and hashes of prompts where there are.

Three forms, told apart by what stands in the file: the Azure LLM inference trace (CSV with
`TIMESTAMP,ContextTokens,GeneratedTokens`), the Mooncake trace (JSON lines with `hash_ids` of blocks
of 512 tokens, plain or gzip), and our own (JSON lines in the fields of `Arrival`). Read as a
stream. What a line does not say stays unknown; a line that cannot be read is an error with its
number.
"""

import gzip
import io
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO

import msgspec

from towplane.parts.errors import BadRequest
from towplane.simulation.arrival import Arrival
from towplane.simulation.workloads import mixed

__all__ = ["MOONCAKE_BLOCK", "read_trace"]

MOONCAKE_BLOCK = 512
"""FAST25-release/README: ids of successive blocks of 512 tokens."""


class _Mooncake(msgspec.Struct):
    timestamp: float
    """Milliseconds."""
    input_length: int
    output_length: int
    hash_ids: list[int]


class _Own(msgspec.Struct):
    at: float
    tokens: int
    output: int
    tenant: str = ""
    session: int = 0
    prefix: int = 0
    blocks: tuple[int, ...] = ()
    adapter: str = ""


def read_trace(
    path: Path, *, speed: float = 1.0, most: int = 0, key_tokens: int = 1024
) -> Iterator[Arrival]:
    """The requests of a file, `speed` times as fast as they were, at most `most` (0: all).

    Where a trace names blocks and no prefix, the prefix is that of the first `key_tokens`.
    """
    start: float | None = None
    last = 0.0
    for number, arrival in enumerate(_read(path, key_tokens)):
        if most and number >= most:
            return
        if start is None:
            start = arrival.at
        last = max(last, (arrival.at - start) / speed)  # a clock that was set back is held
        yield arrival._replace(at=last)


def _read(path: Path, key_tokens: int) -> Iterator[Arrival]:
    with _open(path) as file:
        first = file.readline()
        if first.startswith("TIMESTAMP,"):
            yield from _azure(file, path)
            return
        read = _mooncake if '"hash_ids"' in first else _own
        for number, line in enumerate(chain((first,), file), start=1):
            if not line.strip():
                continue
            try:
                yield read(line, key_tokens)
            except (msgspec.DecodeError, ValueError) as error:
                raise _unread(path, number, str(error)) from error


def _azure(file: "IO[str]", path: Path) -> Iterator[Arrival]:
    for number, line in enumerate(file, start=2):
        if not line.strip():
            continue
        try:
            time, context, generated = line.rstrip("\n").split(",")[:3]
            # Seven decimals; a `datetime` has six.
            at = datetime.fromisoformat(time[:26] + "+00:00").timestamp()
            yield Arrival(at, max(1, int(context)), max(1, int(generated)))
        except ValueError as error:
            raise _unread(path, number, str(error)) from error


def _mooncake(line: str, key_tokens: int) -> Arrival:
    row = msgspec.json.decode(line, type=_Mooncake)
    # The last block is seldom full, and an engine keeps full ones only.
    ids = row.hash_ids[: row.input_length // MOONCAKE_BLOCK]
    key = ids[min(len(ids), max(1, key_tokens // MOONCAKE_BLOCK)) - 1] if ids else None
    return Arrival(
        row.timestamp / 1000,
        max(1, row.input_length),
        max(1, row.output_length),
        prefix=mixed(key) if key is not None else 0,
        blocks=tuple(ids),
    )


def _own(line: str, _key_tokens: int) -> Arrival:
    row = msgspec.json.decode(line, type=_Own)
    return Arrival(
        row.at, max(1, row.tokens), max(1, row.output), row.tenant, row.session, row.prefix,
        row.blocks, (), row.adapter,
    )  # fmt: skip


def _open(path: Path) -> "IO[str]":
    try:
        raw = path.open("rb")
    except OSError as error:
        raise BadRequest(
            f"the trace {path} cannot be read: {error.strerror}", next_step="check the path"
        ) from error
    is_packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if is_packed else raw, encoding="utf-8")


def _unread(path: Path, number: int, why: str) -> BadRequest:
    return BadRequest(
        f"{path}, line {number}: {why}",
        next_step="a trace is the Azure CSV, Mooncake's JSON lines, or JSON lines with `at`, "
        "`tokens` and `output`",
    )
