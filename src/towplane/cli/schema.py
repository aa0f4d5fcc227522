"""`towplane schema`."""

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.parts.errors import Unsupported

__all__ = ["schema"]


def schema(file: File = DEFAULT_FILE, json: Json = False) -> None:
    """Not built yet."""
    raise Unsupported(f"`towplane schema` is not built yet ({file}, {json})")
