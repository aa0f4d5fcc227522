"""Which kind of bill a file is, and its lines: the readers by name.

A file tells by its columns what it is, so nobody needs to say it.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from towplane.parts.errors import BadRequest
from towplane.tenants.reconciliation import aws, azure, google
from towplane.tenants.reconciliation.bill import BillLine
from towplane.tenants.reconciliation.files import Row, read_rows

__all__ = ["FORMATS", "BillFormat", "read_bill"]

BillFormat = Literal["aws-cur", "azure-cost", "google-billing"]

FORMATS: dict[BillFormat, Callable[[Iterable[Row]], Iterator[BillLine]]] = {
    "aws-cur": aws.read_lines,
    "azure-cost": azure.read_lines,
    "google-billing": google.read_lines,
}

_MARKS: dict[BillFormat, tuple[str, ...]] = {
    "aws-cur": ("lineitem/usagetype", "line_item_usage_type"),
    "azure-cost": ("metername", "x_skumetername"),
    "google-billing": ("sku", "sku.description", "sku_description"),
}
"""Columns that no other format has."""


def read_bill(path: Path, form: BillFormat | None = None) -> Iterator[BillLine]:
    """The lines of a file that are about models. Raises BadRequest where it is no bill."""
    rows = read_rows(path)
    first = list(islice(rows, 1))
    if not first:
        return
    found = form or _format_of(first[0])
    if found is None:
        raise BadRequest(
            f"{path} has no columns of a bill that is known here",
            param="format",
            next_step=f"say --format with one of {', '.join(FORMATS)}",
        )
    yield from FORMATS[found](chain(first, rows))


def _format_of(row: Row) -> BillFormat | None:
    columns = {str(name).lower() for name in row}
    return next((form for form, marks in _MARKS.items() if columns & set(marks)), None)
