"""The reference page of `plane.yaml`, made from the types: `make docs` writes it.

Run as `python -m towplane.document.reference docs/plane-yaml.md`. A test holds the page to what
this module makes.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import inspect

from towplane.document.docstrings import class_doc, field_docs
from towplane.document.kinds import describe, expectation, is_optional, unit_of
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
`yes`, `on` or `08` must be put in quotes where text is meant. Secrets are references, `env:NAME`
or `file:PATH`, never values; relative paths are taken from the document's folder.
"""


def make_reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections(describe(Plane), "the document", set())])


def _sections(kind: inspect.Type, title: str, seen: set[type]) -> Iterator[str]:
    if not isinstance(kind, inspect.StructType) or kind.cls in seen:
        return
    seen.add(kind.cls)
    docs = field_docs(kind.cls)
    yield f"## {title}\n\n{class_doc(kind.cls)}\n"
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for field in kind.fields:
        cells = (f"`{field.encode_name}`", _value(field.type), _default(field))
        meaning = docs.get(field.name, "")
        yield "| " + " | ".join(_escape(cell) for cell in (*cells, meaning)) + " |"
    yield ""
    for field in kind.fields:
        for inner, step in _inner(field.type):
            above = "" if title == "the document" else title.strip("`") + "."
            yield from _sections(inner, f"`{above}{field.encode_name}{step}`", seen)


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
        case inspect.UnionType(types=types):
            for each in types:
                yield from _inner(each)


def _value(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.DictType(key_type=key, value_type=value):
            names = "names" if unit_of(key) else "text"
            return f"a mapping from {names} to {_value(value)}"
        case inspect.ListType(item_type=item):
            return f"a list of: {_value(item)}"
        case inspect.UnionType(types=types):
            known = [each for each in types if not isinstance(each, inspect.NoneType)]
            return " or ".join(map(_value, known)) + (", or null" if is_optional(kind) else "")
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
