"""Who a request is for: a client's connection, or nobody, where the plane itself asks."""

from collections.abc import Iterable
from typing import Protocol

from towplane.parts.errors import Platform
from towplane.tenants.keys import KeyRecord

__all__ = ["NOBODY", "Client", "Outlet"]


class Outlet(Protocol):
    """Where an answer goes."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Send pieces, one after the other."""


class Client(Protocol):
    """What an exchange needs of the connection that it belongs to."""

    @property
    def paused(self) -> bool:
        """Whether it takes no more for now."""

    @property
    def transport(self) -> Outlet:
        """Where the answer goes."""

    def identify(self, fields: dict[bytes, bytes]) -> KeyRecord:
        """Whose key the headers hold. Raises Unauthorised."""

    def finished(self, *, keep_alive: bool) -> None:
        """The answer is over."""


class _Nobody:
    """In the place of a client's connection, for probes and mirrored requests."""

    @property
    def paused(self) -> bool:
        return False

    @property
    def transport(self) -> Outlet:
        return self

    def write(self, data: bytes) -> None:
        """Nobody takes it."""

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """Nobody takes them."""

    def identify(self, fields: dict[bytes, bytes]) -> KeyRecord:  # noqa: ARG002  # as of a client
        """The plane's own requests come with their account."""
        raise Platform("nobody has no key", next_step="this is a bug: please report it")

    def finished(self, *, keep_alive: bool) -> None:
        """Nobody asks again."""


NOBODY = _Nobody()
