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
        top = module.partition(".")[0]
        raise Unsupported(
            f"the package {_PACKAGES.get(top, top)} is not installed "
            f"({error.name or module} is missing)",
            next_step=f"pip install 'towplane[{extra}]'",
        ) from None


_PACKAGES = {"azure": "azure-identity", "dns": "dnspython", "google": "google-auth"}
"""What is to be installed, where a module is called otherwise."""
