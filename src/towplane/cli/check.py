"""`towplane check`: everything that is wrong with the document, without touching the world."""

import os
from typing import Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output

__all__ = ["check"]


def check(
    file: File = DEFAULT_FILE,
    resolve: Annotated[
        bool,
        typer.Option("--resolve", help="Also look for the secrets, files and weights it names."),
    ] = False,
    json: Json = False,
) -> None:
    """Find every error in plane.yaml at once."""
    from towplane.document.load import load_file
    from towplane.document.problems import DocumentError
    from towplane.document.resolve import find_missing

    document = load_file(file)
    missing = find_missing(document, os.environ) if resolve else []
    if missing:
        raise DocumentError(missing, next_step="provide what is missing, then check again")
    plane = document.plane
    output = Output(json=json)
    output.object(
        {
            "file": document.file,
            "ok": True,
            "digest": document.digest,
            "warnings": document.warnings,
            "providers": sorted(plane.providers),
            "engines": sorted(plane.engines),
            "models": sorted(plane.routing),
            "tenants": sorted(plane.tenants),
        }
    )
    for warning in document.warnings:
        output.lines(str(warning), style="yellow")
    counts = (
        _count(len(plane.routing), "model"),
        _count(len(plane.providers), "provider"),
        _count(len(plane.engines), "engine"),
        _count(len(plane.tenants), "tenant"),
    )
    output.lines(f"{file}: good ({', '.join(counts)})")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
