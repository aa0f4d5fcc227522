"""The rows of single attempts, for those who ask about one request."""

import msgspec
import sqlalchemy as sa

__all__ = ["Row", "attempts_of"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One settled attempt."""

    id: str
    at_us: int
    tenant: str
    key: str
    model: str
    target: str
    cause: str
    outcome: str
    status: int | None = None
    input: int | None = None
    cached_input: int | None = None
    output: int | None = None
    cost_nanousd: int | None = None
    ttft_us: int | None = None
    duration_us: int | None = None


_COLUMNS = ", ".join(Row.__struct_fields__)
_QUERY = sa.text(
    f"SELECT {_COLUMNS} FROM attempts "  # noqa: S608  # the names come from this file
    "WHERE id > :first AND id < :last ORDER BY length(id), id"
)


def attempts_of(connection: sa.Connection, request: str) -> list[Row]:
    """Those of one request, in their order; an attempt's id is the request's, a dot, its number."""
    between = {"first": f"{request}.", "last": f"{request}/"}  # "/" follows "." in ASCII
    return [Row(**row) for row in connection.execute(_QUERY, between).mappings()]
