"""JSON Schema (draft 2020-12) of `plane.yaml`, for editors; made from the types, by nobody's hand.

A schema cannot say what holds between values (a target that exists, a circle of fallbacks): that
is `towplane check`. The law: a document that `check` accepts, the schema accepts.
"""

from msgspec import NODEFAULT, Struct, inspect, to_builtins

from towplane.document.docstrings import class_doc, field_docs
from towplane.document.kinds import describe, tag_of, unit_of
from towplane.document.plane import Plane
from towplane.parts.spelling import SCHEMAS, format_value
from towplane.parts.units import EXPECTED

__all__ = ["make_schema", "write_default"]

Schema = dict[str, object]


def make_schema() -> Schema:
    """The schema of the whole document."""
    definitions: dict[str, Schema] = {}
    root = _schema(describe(Plane), definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "plane.yaml",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def write_default(field: inspect.Field) -> object:
    """What a document would write for the default of a field; None where there is none to write."""
    if field.default is NODEFAULT or field.default is None:
        return None
    unit = unit_of(field.type)
    if unit:
        assert isinstance(field.default, float | int | str)
        text = format_value(unit, field.default)
        return int(text) if text.isdigit() else text
    return None if isinstance(field.default, Struct) else to_builtins(field.default)


def _schema(kind: inspect.Type, definitions: dict[str, Schema]) -> Schema:
    match kind:
        case inspect.Metadata():
            return dict(SCHEMAS[unit_of(kind)])
        case inspect.StructType(cls=cls):
            if cls.__name__ not in definitions:
                definitions[cls.__name__] = {}  # its place, in case it holds itself
                definitions[cls.__name__] = _record(kind, definitions)
            return {"$ref": f"#/$defs/{cls.__name__}"}
        case inspect.DictType(key_type=key, value_type=value):
            is_closed = unit_of(key) or isinstance(key, inspect.LiteralType)
            names = {"propertyNames": _schema(key, definitions)} if is_closed else {}
            return {
                "type": "object",
                **names,
                "additionalProperties": _schema(value, definitions),
            }
        case inspect.ListType(item_type=item):
            return {"type": "array", "items": _schema(item, definitions)}
        case inspect.UnionType(types=types):
            each_schema = [_schema(each, definitions) for each in types]
            tag = tag_of(kind)
            # One of them by its tag: editors offer the keys of the kind that was written.
            return (
                {
                    "type": "object",
                    "required": [tag],
                    "discriminator": {"propertyName": tag},
                    "oneOf": each_schema,
                }
                if tag
                else {"anyOf": each_schema}
            )
        case inspect.LiteralType(values=values):
            return {"enum": list(values)}
    return {"type": _PLAIN[type(kind)]}


_PLAIN: dict[type, str] = {
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
}


def _record(kind: inspect.StructType, definitions: dict[str, Schema]) -> Schema:
    docs = field_docs(kind.cls)
    tag = {kind.tag_field: {"const": kind.tag, "description": class_doc(kind.cls)}}
    properties = (tag if kind.tag else {}) | {
        field.encode_name: {
            **_schema(field.type, definitions),
            **_explain(field, docs.get(field.name, "")),
        }
        for field in kind.fields
    }
    return {
        "type": "object",
        "description": class_doc(kind.cls),
        "properties": properties,
        "required": [
            *([kind.tag_field] if kind.tag else []),
            *(field.encode_name for field in kind.fields if field.required),
        ],
        "additionalProperties": False,
    }


def _explain(field: inspect.Field, doc: str) -> Schema:
    wanted = next((EXPECTED[unit] for unit in _units(field.type)), "")
    sentences = [doc, f"Write {wanted}." if wanted else ""]
    described = " ".join(sentence for sentence in sentences if sentence)
    default = write_default(field)
    return {
        **({"description": described} if described else {}),
        **({} if default is None else {"default": default}),
    }


def _units(kind: inspect.Type) -> list[str]:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [unit for unit in map(unit_of, kinds) if unit]
