"""Rows of the files in which bills come: CSV, JSON lines, JSON and Parquet, packed or not.

Knows no provider. A row is a mapping from the file's own column names; nested values stay nested.
"""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from towplane.parts.errors import BadRequest
from towplane.parts.extras import load_extra

__all__ = ["Row", "read_rows"]

Row = dict[str, Any]

_LONGEST_FIELD = 16 * 1024 * 1024  # tags and additional information of a line may be long


def read_rows(path: Path) -> Iterator[Row]:
    """Every row of a file. Raises BadRequest where it cannot be read."""
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            yield from _parquet(path)
        elif name.endswith(".zip"):
            yield from _zip(path)
        else:
            with gzip.open(path) if name.endswith(".gz") else path.open("rb") as raw:
                text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
                yield from _text(name.removesuffix(".gz"), text)
    except (OSError, EOFError, UnicodeError, zipfile.BadZipFile, csv.Error, ValueError) as error:
        raise BadRequest(
            f"{path} cannot be read: {error}",
            param="bill",
            next_step="give .csv, .json, .jsonl or .parquet, or one of them with .gz or .zip",
        ) from error


def _text(name: str, text: TextIO) -> Iterator[Row]:
    if name.endswith((".jsonl", ".ndjson")):
        yield from (json.loads(line) for line in text if line.strip())
    elif name.endswith(".json"):
        yield from _json(text)
    else:
        csv.field_size_limit(_LONGEST_FIELD)
        yield from csv.DictReader(text)


def _json(text: TextIO) -> Iterator[Row]:
    """A list of rows; or, under the name that exports give them, a row on each line."""
    first = text.read(1)
    while first.isspace():
        first = text.read(1)
    rest = first + text.read()
    if first == "[":
        yield from json.loads(rest)
    else:
        yield from (json.loads(line) for line in rest.splitlines() if line.strip())


def _zip(path: Path) -> Iterator[Row]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if not member.endswith("/"):
                with archive.open(member) as raw:
                    text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
                    yield from _text(member.lower(), text)


def _parquet(path: Path) -> Iterator[Row]:
    file = load_extra("pyarrow.parquet", "parquet").ParquetFile(path)
    for batch in file.iter_batches(batch_size=4096):
        yield from batch.to_pylist()
