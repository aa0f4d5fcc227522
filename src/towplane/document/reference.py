"""The reference page of `plane.yaml`, made from the types: `make docs` writes it.

Run as `python -m towplane.document.reference docs/plane-yaml.md`. A test holds the page to what
this module makes.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import inspect

from towplane.document.docstrings import class_doc, field_docs
from towplane.document.kinds import describe, expectation, is_optional, tag_of, unit_of
from towplane.document.plane import Plane
from towplane.document.schema import write_default

__all__ = ["make_reference"]

_HEAD = """\
# plane.yaml

One document says what the plane should be; nothing else configures it. This page is made from the
types by `make docs`. `towplane check` finds every error of a document at once, `towplane schema`
prints the JSON Schema for editors, and a running plane takes a changed document when it is right
and keeps the old one when it is not.

Durations, sizes, shares, rates and money are written as people write them. A key that is not on
this page is an error. YAML is read strictly: no tags, no merge keys, no second document, and
`yes`, `on` or `08` must be put in quotes where text is meant. Secrets are references such as
`env:NAME` or `file:PATH`, never values: [providers.md](providers.md) lists all forms. Relative
paths are taken from the document's folder.
"""


def make_reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections(describe(Plane), "the document", set())])


def _sections(kind: inspect.Type, title: str, seen: set[type]) -> Iterator[str]:
    match kind:
        case inspect.StructType(cls=cls) if cls not in seen:
            seen.add(cls)
            yield f"## {title}\n\n{class_doc(cls)}\n"
            yield from _table(kind.fields, field_docs(cls))
            yield from _below([(field, "") for field in kind.fields], title, seen)
        case inspect.UnionType() if tag_of(kind):
            yield from _kinds(kind, title, seen)


def _kinds(union: inspect.UnionType, title: str, seen: set[type]) -> Iterator[str]:
    """First what all kinds have, then what each has besides; then what hangs on their keys."""
    kinds = [each for each in union.types if isinstance(each, inspect.StructType)]
    tag = tag_of(union)
    shared = [
        field for field in kinds[0].fields if all(field in other.fields for other in kinds[1:])
    ]
    words = ", ".join(f"`{kind.tag}`" for kind in kinds)
    yield f"## {title}\n\n`{tag}` is one of {words}; it says which other keys there are.\n"
    yield from _table(shared, field_docs(kinds[0].cls))
    yield from _below([(field, "") for field in shared], title, seen)
    below = []
    for kind in kinds:
        own = [field for field in kind.fields if field not in shared]
        yield f"## {title}, `{tag}: {kind.tag}`\n\n{class_doc(kind.cls)}\n"
        yield from _table(own, field_docs(kind.cls))
        below += [(field, str(kind.tag)) for field in own]
    yield from _below(below, title, seen)


def _table(fields: Iterable[inspect.Field], docs: dict[str, str]) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for field in fields:
        cells = (f"`{field.encode_name}`", _value(field.type), _default(field))
        meaning = docs.get(field.name, "")
        yield "| " + " | ".join(_escape(cell) for cell in (*cells, meaning)) + " |"
    yield ""


def _below(
    fields: Sequence[tuple[inspect.Field, str]], title: str, seen: set[type]
) -> Iterator[str]:
    """The sections that hang on fields; of a field that only some kinds have, their names too."""
    above = "" if title == "the document" else title.strip("`") + "."
    found: dict[tuple[str, type], tuple[inspect.Type, list[str]]] = {}
    for field, tag in fields:
        for inner, step in _inner(field.type):
            key = (f"{above}{field.encode_name}{step}", getattr(inner, "cls", type(inner)))
            found.setdefault(key, (inner, []))[1].append(tag)
    for (path, _), (inner, tags) in found.items():
        of = ", ".join(f"`{tag}`" for tag in tags if tag)
        yield from _sections(inner, f"`{path}` of {of}" if of else f"`{path}`", seen)


def _inner(kind: inspect.Type) -> Iterator[tuple[inspect.Type, str]]:
    match kind:
        case inspect.StructType():
            yield kind, ""
        case inspect.DictType(value_type=value):
            for inner, step in _inner(value):
                yield inner, f".NAME{step}"
        case inspect.ListType(item_type=item):
            for inner, step in _inner(item):
                yield inner, f"[]{step}"
        case inspect.UnionType() if tag_of(kind):
            yield kind, ""
        case inspect.UnionType(types=types):
            for each in types:
                yield from _inner(each)


def _value(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.DictType(key_type=key, value_type=value):
            names = "names" if unit_of(key) else "text"
            if isinstance(key, inspect.LiteralType):
                names = _value(key)
            return f"a mapping from {names} to {_value(value)}"
        case inspect.ListType(item_type=item):
            return f"a list of: {_value(item)}"
        case inspect.UnionType(types=types):
            known = [each for each in types if not isinstance(each, inspect.NoneType)]
            words = dict.fromkeys(map(_value, known))
            return " or ".join(words) + (", or null" if is_optional(kind) else "")
    return expectation(kind)


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    default = write_default(field)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "" if default in (None, "") else f"`{default}`"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(make_reference(), encoding="utf-8")
