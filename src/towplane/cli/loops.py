"""How a loop of the running plane goes on after an error that may pass."""

import contextlib
import logging
from collections.abc import Iterator

from towplane.parts.errors import PlaneError

__all__ = ["logged"]

_log = logging.getLogger("towplane.plane")


@contextlib.contextmanager
def logged(what: str) -> Iterator[None]:
    """Say what failed, and go on."""
    try:
        yield
    except PlaneError as error:
        _log.error("%s failed: %s %s", what, error.say, error.next_step)
