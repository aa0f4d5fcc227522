"""What a document refers to outside itself: secrets, files, weights, trained models.

This is where the document meets the world, and only when asked: at the start of a plane, after a
change of the document, and for `towplane check --resolve`. Every missing thing is reported at once.

The law: secret values leave here sealed, and no problem repeats one.
"""

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from msgspec import inspect

from towplane.document.kinds import describe, unit_of
from towplane.document.load import Document, find_mark
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError, Place, Problem, show_place
from towplane.parts.errors import PlaneError
from towplane.parts.secrets import Sealed, resolve_secret
from towplane.routing.complexity.narrowing import trained_file

__all__ = ["find_missing", "resolve_secrets"]

_MADE_BY_US: frozenset[Place] = frozenset({("data_dir",)})
"""Paths that the plane makes itself."""


def resolve_secrets(document: Document, environ: Mapping[str, str]) -> dict[str, Sealed]:
    """Each reference of the document with its value; raises `DocumentError` with all missing."""
    sealed, problems = _try_secrets(document, environ)
    if problems:
        raise DocumentError(problems, next_step="set what is missing, then start again")
    return sealed


def find_missing(document: Document, environ: Mapping[str, str]) -> list[Problem]:
    """Every secret, file, weight and package that the document names and this machine has not."""
    _, problems = _try_secrets(document, environ)
    for place, unit, value in _references(document.plane):
        what = ""
        if unit == "path" and place not in _MADE_BY_US and not os.access(value, os.R_OK):
            what = f"{value} is not there or not readable"
        elif unit == "weights":
            what = _miss_weights(value, document)
        if what:
            problems.append(_problem(document, place, what))
    for place, model in _models(document.plane):
        what = _miss_model(model)
        if what:
            problems.append(_problem(document, place, what))
    for place, package in _packages(document.plane):
        if find_spec(package) is None:
            name = "pyzmq" if package == "zmq" else package
            what = f"the package {name} is not installed: pip install 'towplane[kv-events]'"
            problems.append(_problem(document, place, what))
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _packages(plane: Plane) -> Iterator[tuple[Place, str]]:
    """The modules of optional packages without which a section does nothing."""
    for name, provider in plane.providers.items():
        signals = getattr(provider, "signals", None)
        if signals is not None and signals.events is not None:
            yield ("providers", name, "signals", "events"), "zmq"
    for name, route in plane.routing.items():
        if route.prefix.tokenizer is not None:
            yield ("routing", name, "prefix", "tokenizer"), "tokenizers"


def _models(plane: Plane) -> Iterator[tuple[Place, str]]:
    """Trained models that prompts are scored by."""
    for name, route in plane.routing.items():
        if trained_file(route):
            yield ("routing", name, "complexity", "model"), trained_file(route)


def _try_secrets(
    document: Document, environ: Mapping[str, str]
) -> tuple[dict[str, Sealed], list[Problem]]:
    sealed: dict[str, Sealed] = {}
    problems: list[Problem] = []
    for place, unit, value in _references(document.plane):
        if unit == "secret":
            try:
                sealed[value] = resolve_secret(value, environ)
            except PlaneError as error:
                problems.append(_problem(document, place, error.say))
    return sealed, problems


def _miss_weights(source: str, document: Document) -> str:
    from pathlib import Path

    from towplane.engines.weights import resolve

    try:
        resolve(source, Path(document.file).parent)
    except PlaneError as error:
        return f"{error.say} ({error.next_step})"
    return ""


def _miss_model(file: str) -> str:
    from pathlib import Path

    from towplane.routing.complexity.scorer import load_model

    if not os.access(file, os.R_OK):
        return ""  # which was said of every path
    try:
        load_model(Path(file))
    except PlaneError as error:
        return f"{error.say} ({error.next_step})"
    return ""


def _problem(document: Document, place: Place, what: str) -> Problem:
    line, column = find_mark(place, document.marks)
    return Problem(file=document.file, line=line, column=column, path=show_place(place), what=what)


def _references(plane: Plane) -> Iterator[tuple[Place, str, str]]:
    return _walk(plane, describe(Plane), ())


def _walk(value: object, kind: inspect.Type, place: Place) -> Iterator[tuple[Place, str, str]]:
    match kind:
        case inspect.StructType(fields=fields):
            for field in fields:
                here = (*place, field.encode_name)
                yield from _walk(getattr(value, field.name), field.type, here)
        case inspect.DictType(value_type=inner):
            assert isinstance(value, dict)
            for name, each in value.items():
                yield from _walk(each, inner, (*place, name))
        case inspect.ListType(item_type=inner):
            assert isinstance(value, list)
            for index, each in enumerate(value):
                yield from _walk(each, inner, (*place, index))
        case inspect.UnionType(types=types):
            for each_kind in types:
                if _fits(value, each_kind):
                    yield from _walk(value, each_kind, place)
        case inspect.Metadata() if isinstance(value, str):
            yield place, unit_of(kind), value


def _fits(value: object, kind: inspect.Type) -> bool:
    match kind:
        case inspect.NoneType():
            return False
        case inspect.StructType(cls=cls):
            return isinstance(value, cls)
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.DictType():
            return isinstance(value, dict)
    return value is not None and not isinstance(value, list | dict)
