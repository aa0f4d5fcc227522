"""Reads what a GGUF file says about itself, from its first bytes; loads nothing.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 2 and 3 (little
endian). The file comes from strangers: whatever is not as described is "nobody said", never an
error of ours.
"""

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["MAGIC", "is_gguf", "read_licence"]

MAGIC = b"GGUF"

_MOST_PAIRS = 64
"""Files put `general.*` first; what comes later (the vocabulary) is large."""

_MOST_TEXT = 1 << 16
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Size in bytes by type of value."""
_STRING, _ARRAY = 8, 9


def is_gguf(path: Path) -> bool:
    """Whether the file begins as one."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_licence(path: Path) -> str | None:
    """`general.license`; None: it is not said where it would be."""
    try:
        with path.open("rb") as file:
            return _find_licence(file)
    except (struct.error, UnicodeDecodeError, ValueError):
        return None


def _find_licence(file: BinaryIO) -> str | None:
    magic, version, _tensors, pairs = struct.unpack("<4sIQQ", file.read(24))
    if magic != MAGIC or version not in (2, 3):
        return None
    for _ in range(min(pairs, _MOST_PAIRS)):
        key = _read_text(file)
        kind = _read_int(file, "<I")
        if key == "general.license" and kind == _STRING:
            said = _read_text(file).strip()
            return said if said.isprintable() and said else None
        _skip(file, kind)
    return None


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _read_text(file)
    elif kind == _ARRAY:
        inner, length = struct.unpack("<IQ", file.read(12))
        if length > _MOST_TEXT:
            raise ValueError("the vocabulary has begun")
        for _ in range(length):
            _skip(file, inner)
    elif kind in _SCALARS:
        file.read(_SCALARS[kind])
    else:
        raise ValueError(f"no type {kind}")


def _read_text(file: BinaryIO) -> str:
    length = _read_int(file, "<Q")
    if length > _MOST_TEXT:
        raise ValueError("too long")
    data = file.read(length)
    if len(data) < length:
        raise ValueError("cut short")
    return data.decode()


def _read_int(file: BinaryIO, form: str) -> int:
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    return int(value)
