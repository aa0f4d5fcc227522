"""The form of every section of `plane.yaml`: a frozen record that refuses unknown keys."""

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typed part of the document. A field's name in the document is its `msgspec` rename."""
