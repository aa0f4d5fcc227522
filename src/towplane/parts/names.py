"""Which names are legal: of providers, engines, tenants and models.

Names stand in paths, metric labels, file names and headers, so that they hold letters, digits and
few signs. A model's name is the vendor's public word and may also hold `/` and `:`.
"""

import re

__all__ = ["MODEL_NAME", "NAME", "is_model_name", "is_name"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,126}$"

_NAME = re.compile(NAME, re.ASCII)
_MODEL_NAME = re.compile(MODEL_NAME, re.ASCII)


def is_name(text: str) -> bool:
    """Whether a provider, an engine, a tenant or an installation may be called this."""
    return _NAME.fullmatch(text) is not None


def is_model_name(text: str) -> bool:
    """Whether a route may be called this."""
    return _MODEL_NAME.fullmatch(text) is not None
