"""Rows of an invoice as CSV, JSON or Parquet, written while they are read.

The laws: what a spreadsheet could take for a formula is text in CSV; amounts leave as decimals and
never as floats; a file is whole or not there.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from towplane.parts.extras import load_extra
from towplane.tenants.export.rows import CURRENCY, ExportRow, Wanted

__all__ = ["MEDIA_TYPES", "Format", "as_csv", "as_json", "as_parquet", "write_file", "write_rows"]

Format = Literal["csv", "json", "parquet"]

MEDIA_TYPES: dict[Format, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets run when a cell begins with it (OWASP, CSV Injection)."""
_ROWS_PER_GROUP = 10_000
_NUMBERS = frozenset(
    field.name for field in msgspec.structs.fields(ExportRow) if field.type in (int, int | None)
)


def as_csv(rows: Iterable[ExportRow], wanted: Wanted) -> Iterator[bytes]:
    """RFC 4180, with a head."""
    fields = _fields(wanted)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow("amount" if field == "amount_cents" else field for field in fields)
    for row in rows:
        writer.writerow([_cell(row, field) for field in fields])
        if out.tell() > 65536:
            yield _take(out)
    yield _take(out)


def as_json(rows: Iterable[ExportRow], wanted: Wanted) -> Iterator[bytes]:
    """One object with all rows and the sum of each tenant."""
    encode = msgspec.json.Encoder().encode
    fields = _fields(wanted)
    head = {"from": wanted.since, "to": wanted.until, "by": wanted.dimensions(),
            "currency": CURRENCY}  # fmt: skip
    yield encode(head)[:-1] + b',"rows":['
    sums: dict[str, list[int]] = {}
    lead = b"\n"
    for row in rows:
        yield lead + encode(_object(row, fields))
        lead = b",\n"
        total = sums.setdefault(row.tenant, [0, 0])
        total[0] += row.cost_nanousd or 0
        total[1] += row.amount_cents or 0
    totals = [
        {"tenant": tenant, "cost_nanousd": cost, "amount": _decimal(cents)}
        for tenant, (cost, cents) in sums.items()
    ]
    yield b'\n],"totals":' + encode(totals) + b"}\n"


def as_parquet(rows: Iterable[ExportRow], wanted: Wanted, out: BinaryIO) -> None:
    """A table with a decimal amount. Needs `towplane[parquet]`; raises Unsupported without it."""
    arrow = load_extra("pyarrow", "parquet")
    parquet = load_extra("pyarrow.parquet", "parquet")
    fields = _fields(wanted)
    schema = arrow.schema(
        [
            ("amount", arrow.decimal128(18, 2))
            if field == "amount_cents"
            else (field, arrow.int64() if field in _NUMBERS else arrow.string())
            for field in fields
        ]
    )
    with parquet.ParquetWriter(out, schema) as writer:
        columns: list[list[Any]] = [[] for _ in fields]
        for row in rows:
            for column, field in zip(columns, fields, strict=True):
                value = getattr(row, field)
                if field == "amount_cents" and value is not None:
                    value = Decimal(value).scaleb(-2)
                column.append(value)
            if len(columns[0]) >= _ROWS_PER_GROUP:
                writer.write_table(arrow.table(columns, schema=schema))
                columns = [[] for _ in fields]
        writer.write_table(arrow.table(columns, schema=schema))


def write_rows(rows: Iterable[ExportRow], wanted: Wanted, form: Format, out: BinaryIO) -> None:
    """All rows, to where bytes can be written."""
    if form == "parquet":
        as_parquet(rows, wanted, out)
    else:
        out.writelines((as_csv if form == "csv" else as_json)(rows, wanted))


def write_file(rows: Iterable[ExportRow], wanted: Wanted, form: Format, path: Path) -> None:
    """A file, whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as out:
            write_rows(rows, wanted, form, out)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _fields(wanted: Wanted) -> list[str]:
    """The columns: of the dimensions only those that were asked for."""
    left_out = {"project", "key", "label", "model", "target", "service", "day"}
    left_out -= set(wanted.dimensions())
    return [name for name in ExportRow.__struct_fields__ if name not in left_out]


def _cell(row: ExportRow, field: str) -> str:
    value = getattr(row, field)
    if value is None:
        return ""
    if field == "amount_cents":
        return _decimal(value)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULAS) else text


def _object(row: ExportRow, fields: list[str]) -> dict[str, Any]:
    found = {field: getattr(row, field) for field in fields if field != "amount_cents"}
    found["amount"] = None if row.amount_cents is None else _decimal(row.amount_cents)
    return found


def _decimal(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _take(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode()
