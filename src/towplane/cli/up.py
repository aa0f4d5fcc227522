"""`towplane up`."""

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.parts.errors import Unsupported

__all__ = ["up"]


def up(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Not built yet."""
    raise Unsupported(f"`towplane up` is not built yet ({file}, {json})")
