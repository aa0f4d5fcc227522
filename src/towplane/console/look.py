"""The state of a view, as the URL holds it: whoever opens the same URL sees the same.

Pure. Laws: what is default is left out; what makes no sense falls back to the default.
"""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

__all__ = ["View", "read_view"]

V = TypeVar("V", bound="View")


class View(Struct, frozen=True, kw_only=True):
    """What every view has; a subclass has a default for each of its fields."""

    q: str = ""
    """Show only what is named so."""

    def url(self, path: str = "/", **changes: object) -> str:
        """The URL of this view, or of it with changes."""
        state = {**msgspec.structs.asdict(self), **changes}
        plain = type(self)()
        fields = {
            name: value
            for name, value in state.items()
            if value is not None and value != getattr(plain, name)
        }
        return f"{path}?{urlencode(fields)}" if fields else path

    def hidden(self) -> list[tuple[str, str]]:
        """All of it but the search, for the form that asks for the search."""
        plain = type(self)()
        return [
            (name, str(value))
            for name, value in msgspec.structs.asdict(self).items()
            if name != "q" and value is not None and value != getattr(plain, name)
        ]

    def shows(self, *names: str) -> bool:
        """Whether the search finds something with these names."""
        return not self.q or any(self.q.lower() in name.lower() for name in names)


def read_view(kind: type[V], given: Mapping[str, str]) -> V:
    """The view that a URL asks for: each field that makes sense."""
    fields = {}
    for name in kind.__struct_fields__:
        if not given.get(name):
            continue
        try:
            one = msgspec.convert({name: given[name]}, kind, strict=False)
        except msgspec.ValidationError:
            continue
        fields[name] = getattr(one, name)
    return kind(**fields)
