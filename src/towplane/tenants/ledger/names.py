"""What attempts have in common: who asked whom for what, and how it went, each stored once.

An attempt's row then holds the number of its names instead of its texts, which halves its size
and what it costs to write. Numbers are given inside a transaction that somebody else owns; what
has been rolled back must be forgotten. The law: a number, once committed, means the same for good.
"""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

__all__ = ["Names", "NamesBook"]

_FIND = (
    "SELECT names FROM attempt_names WHERE tenant = ? AND key = ? AND model = ? AND target = ? "
    "AND upstream_model = ? AND cause = ? AND outcome = ? AND usage = ? AND service = ? "
    "AND credential = ?"
)
_INSERT = "INSERT INTO attempt_names VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOST_KNOWN = 100_000


class Names(NamedTuple):
    """The texts of an attempt, in the order of the table."""

    tenant: str
    key: str
    model: str
    target: str
    upstream_model: str
    cause: str
    outcome: str
    usage: str
    service: str
    credential: str


class NamesBook:
    """The numbers of names, remembered so that few are asked for."""

    def __init__(self) -> None:
        self._known: dict[Names, int] = {}

    def numbers(self, connection: sa.Connection, wanted: Iterable[Names]) -> dict[Names, int]:
        """The number of each of `wanted`; a new one where there is none."""
        return {names: self._number(connection, names) for names in wanted}

    def forget(self) -> None:
        """The transaction in which some were given was rolled back."""
        self._known.clear()

    def _number(self, connection: sa.Connection, names: Names) -> int:
        number = self._known.get(names)
        if number is None:
            number = connection.exec_driver_sql(_FIND, tuple(names)).scalar()
            if number is None:
                connection.exec_driver_sql(_INSERT, tuple(names))
                number = connection.exec_driver_sql(_FIND, tuple(names)).scalar_one()
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[names] = number
        return number
