"""The dialects that clients speak, a folder each, listed here and loaded when first spoken.

Every folder has the same files: `ask.py` reads what routing needs, `read.py` a whole request into
the normal form, `write.py` makes its bytes of events, `relay.py` watches bytes that pass through,
`errors.py` says what went wrong. A dialect that providers speak, too, also has `render.py` and
`parse.py`, the same ways in the other direction.
"""

from functools import cache
from importlib import import_module
from typing import cast

from towplane.providers.adapter import Dialect
from towplane.providers.ask import DialectName

__all__ = ["DIALECTS", "dialect_of"]

DIALECTS: dict[DialectName, str] = {
    "chat": "towplane.providers.dialects.chat",
    "responses": "towplane.providers.dialects.responses",
    "messages": "towplane.providers.dialects.messages",
}
"""Each module is a `Dialect`."""


@cache
def dialect_of(name: DialectName) -> Dialect:
    """The dialect of this name."""
    return cast(Dialect, import_module(DIALECTS[name]))
