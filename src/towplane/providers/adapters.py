"""The kinds of providers, in one place; an adapter is loaded when a document first needs it.

Outsiders add theirs by the entry point group `towplane.providers`, whose names are kinds and whose
values are `Adapter`s; the built-in ones are found through the same function.
"""

from functools import cache
from importlib import import_module

from towplane.parts.errors import Unsupported
from towplane.providers.adapter import Adapter

__all__ = ["PROVIDERS", "adapter_of"]

PROVIDERS: dict[str, str] = {
    "openai-compatible": "towplane.providers.openai_compatible",
    "openai": "towplane.providers.openai",
    "azure-openai": "towplane.providers.azure_openai",
    "anthropic": "towplane.providers.anthropic",
    "bedrock": "towplane.providers.bedrock",
    "vertex": "towplane.providers.vertex",
}
"""By kind: the package that holds the `ADAPTER`."""


@cache
def adapter_of(kind: str) -> Adapter:
    """The adapter of this kind. Raises Unsupported."""
    if kind in PROVIDERS:
        found = import_module(PROVIDERS[kind]).ADAPTER
    else:
        from importlib.metadata import entry_points  # 10 ms that few workers need

        outside = list(entry_points(group="towplane.providers", name=kind))
        if not outside:
            raise Unsupported(
                f"no provider of kind {kind} is known here",
                next_step=f"use one of {', '.join(PROVIDERS)}, or install the package for it",
            )
        found = outside[0].load()
    assert isinstance(found, Adapter)
    return found
