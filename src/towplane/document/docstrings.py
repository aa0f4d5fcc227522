"""What the sections say about themselves: the docstrings of their classes and of their fields.

Python keeps no docstring of an attribute, so the source is read. Needed only for the schema and the
reference, never where a document is loaded.
"""

import ast
import inspect
import sys
from functools import cache
from pathlib import Path

from towplane.parts.section import Section

__all__ = ["class_doc", "field_docs"]


def class_doc(cls: type) -> str:
    """The docstring of a section, as one paragraph."""
    return _join(inspect.cleandoc(cls.__doc__ or ""))


def field_docs(cls: type) -> dict[str, str]:
    """From each documented field, by its Python name, to its docstring as one paragraph; what a
    section has from another one is documented there."""
    docs: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if issubclass(each, Section):
            docs |= _own_docs(each)
    return docs


def _own_docs(cls: type) -> dict[str, str]:
    node = _classes(cls.__module__).get(cls.__name__)
    docs: dict[str, str] = {}
    name = ""
    for statement in node.body if node else ():
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                docs[name] = _join(inspect.cleandoc(text))
                name = ""
            case _:
                name = ""
    return docs


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    source = Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8")
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


def _join(text: str) -> str:
    return " ".join(text.split())
