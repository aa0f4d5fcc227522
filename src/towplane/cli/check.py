"""`towplane check`."""

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.parts.errors import Unsupported

__all__ = ["check"]


def check(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Not built yet."""
    raise Unsupported(f"`towplane check` is not built yet ({file}, {json})")
