"""The document's types as values: what msgspec says of them, and how to speak of each.

Knows no section, no file and no YAML; the walk, the schema and the reference read types through it.
"""

from collections.abc import Mapping

from msgspec import inspect

from towplane.parts.units import EXPECTED

__all__ = ["describe", "expectation", "is_optional", "placeholder", "tag_of", "unit_of"]


def describe(root: type) -> inspect.Type:
    """The type as msgspec sees it."""
    return inspect.type_info(root)


def unit_of(kind: inspect.Type) -> str:
    """The unit of a type, or nothing."""
    match kind:
        case inspect.Metadata(extra={"unit": str(unit)}):
            return unit
    return ""


def is_optional(kind: inspect.Type) -> bool:
    """Whether nothing may stand there."""
    return isinstance(kind, inspect.UnionType) and any(
        isinstance(each, inspect.NoneType) for each in kind.types
    )


def tag_of(kind: inspect.Type) -> str:
    """The key that tells the members of a union apart, or nothing where none does."""
    match kind:
        case inspect.UnionType(types=[inspect.StructType(tag_field=str(tag)), *_]):
            return tag
    return ""


def expectation(kind: inspect.Type) -> str:
    """What a type wants, as the rest of a sentence that begins with `expected`."""
    match kind:
        case inspect.Metadata(extra={"unit": str(unit)}):
            return EXPECTED[unit]
        case inspect.LiteralType(values=values):
            known = [str(value) for value in values]
            return known[0] if len(known) == 1 else f"one of {', '.join(known)}"
        case inspect.UnionType(types=types):
            wanted = [expectation(each) for each in types if not isinstance(each, inspect.NoneType)]
            return " or ".join(dict.fromkeys(wanted))
        case inspect.StructType() | inspect.DictType():
            return "a mapping"
        case inspect.ListType():
            return "a list"
        case inspect.BoolType():
            return "true or false"
    return "text"


def placeholder(kind: inspect.Type) -> object:
    """A value of the type, to go on with where the document has none."""
    match kind:
        case inspect.Metadata(extra={"unit": "address"}):
            return "localhost:0"  # whoever takes it apart finds its two parts
        case inspect.Metadata(type=inner):
            return placeholder(inner)
        case inspect.UnionType(types=types):
            return None if is_optional(kind) else placeholder(types[0])
        case inspect.StructType(cls=cls, fields=fields):
            needed = {each.name: placeholder(each.type) for each in fields if each.required}
            return cls(**needed)
        case inspect.LiteralType(values=values):
            return values[0]
    return _EMPTY[type(kind)]()


_EMPTY: Mapping[type, type] = {
    inspect.StrType: str,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.BoolType: bool,
    inspect.ListType: list,
    inspect.DictType: dict,
}
