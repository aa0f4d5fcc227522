"""Packages that only some planes need: loaded when they are, and missed in words.

The law: an import of this module, or of one that uses it, loads none of them.
"""

from importlib import import_module
from typing import Any

from towplane.parts.errors import Unsupported

__all__ = ["load_extra"]


def load_extra(module: str, extra: str) -> Any:
    """A module of an optional package, untyped. Raises Unsupported, naming the extra."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0] if not module.startswith("azure") else "azure-identity"
        raise Unsupported(
            f"the package {'google-auth' if package == 'google' else package} is not installed "
            f"({error.name or module} is missing)",
            next_step=f"pip install 'towplane[{extra}]'",
        ) from None
