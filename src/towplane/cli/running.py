"""The running plane, as another command finds it: by `plane.json`, through its admin port.

`data_dir/plane.json` says where a plane is, or was when it was killed. The law: a plane that does
not answer at its address is not running, whatever is written down.
"""

import http.client
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import msgspec

from towplane.parts.errors import (
    NotAllowed,
    NotFound,
    NotReady,
    NotRunning,
    PlaneError,
    Unavailable,
)
from towplane.parts.secrets import Sealed, resolve_secret

if TYPE_CHECKING:
    from towplane.document.load import Document
    from towplane.document.problems import DocumentError

__all__ = [
    "Running",
    "Whereabouts",
    "ask",
    "ask_running",
    "fetch",
    "find_running",
    "locate",
    "locate_document",
]

T = TypeVar("T")

ANSWER_WITHIN_S = 10.0

_DATA_DIR = re.compile(r"""^data_dir:[ ]*["']?([^"'#\s]+)""", re.MULTILINE)
_TOKEN = re.compile(r"""\btoken:[ ]*["']?((?:env|file):[^"'#,}\s]+)""")


class Running(msgspec.Struct, frozen=True):
    """Where a plane says that it is."""

    pid: int
    serving: str
    admin: str


class _Said(msgspec.Struct):
    """An error of the admin API, as `api.errors` writes it."""

    code: str
    message: str
    next: str = ""


class _Refusal(msgspec.Struct):
    error: _Said


_KINDS: dict[str, type[PlaneError]] = {kind.code: kind for kind in (NotFound, NotReady)}
"""Errors that a command can do something with; others are just said."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a document says of where its plane is to be found."""

    file: Path
    data_dir: Path
    token: str | None
    """A reference, as the document has it."""
    refusal: "DocumentError | None" = None
    """Why the document as it is now would not run."""


def locate(file: Path) -> Whereabouts:
    """Where the plane of a document is. A document that is wrong must not hide the plane that still
    runs on an older one, so its lines are looked at when it cannot be read as a whole.
    """
    from towplane.document.load import load_file
    from towplane.document.problems import DocumentError

    try:
        return locate_document(load_file(file))
    except DocumentError as refusal:
        if not file.is_file():
            raise
        text = file.read_bytes().decode(errors="replace")
        folder = _DATA_DIR.search(text)
        token = _TOKEN.search(text)
        data_dir = file.parent / (folder[1] if folder else ".towplane")
        return Whereabouts(file, data_dir, token[1] if token else None, refusal)


def locate_document(document: "Document") -> Whereabouts:
    """Where the plane of a document is that is right."""
    plane = document.plane
    return Whereabouts(Path(document.file), Path(plane.data_dir), plane.admin.token)


def ask(where: Whereabouts, path: str, answer: type[T], *, body: object | None = None) -> T | None:
    """GET of the admin API, or POST of a body; None: no plane runs there."""
    running = find_running(where.data_dir)
    if running is None:
        return None
    token = resolve_secret(where.token, os.environ) if where.token is not None else None
    return fetch(running, path, answer, token, body=body)


def ask_running(where: Whereabouts, path: str, answer: type[T], *, body: object | None = None) -> T:
    """As `ask`, for what only a running plane can say. Raises NotRunning."""
    found = ask(where, path, answer, body=body)
    if found is not None:
        return found
    if where.refusal is not None:
        raise where.refusal
    raise NotRunning(
        f"no plane runs with the data_dir {where.data_dir}",
        next_step=f"start one with `towplane up -f {where.file}`; one that is starting is found as "
        "soon as its admin port answers",
    )


def find_running(data_dir: Path) -> Running | None:
    """What `plane.json` says; None: there is none."""
    try:
        return msgspec.json.decode((data_dir / "plane.json").read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def fetch(
    running: Running,
    path: str,
    answer: type[T],
    token: Sealed | None = None,
    *,
    body: object | None = None,
) -> T | None:
    """GET of the admin API, or POST of `body`, as a value; None: nobody answers there, so the plane
    is down."""
    headers = {"authorization": f"Bearer {token.reveal()}"} if token is not None else {}
    address = urlsplit(running.admin)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=ANSWER_WITHIN_S
    )
    try:
        if body is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["content-type"] = "application/json"
            connection.request("POST", path, body=msgspec.json.encode(body), headers=headers)
        reply = connection.getresponse()
        said = reply.read()
    except ConnectionError:
        return None
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"the plane at {running.admin} does not answer: {error or type(error).__name__}",
            next_step=f"look at its log, or end process {running.pid}",
        ) from error
    finally:
        connection.close()
    if reply.status in (401, 403):
        raise NotAllowed(
            f"the plane at {running.admin} does not take this document's admin token",
            next_step="use the document that the plane runs with, and the same token",
        )
    if reply.status != 200:
        raise _error_of(running, path, reply.status, said)
    try:
        return msgspec.json.decode(said, type=answer)
    except msgspec.DecodeError as error:
        raise PlaneError(
            f"the plane at {running.admin} speaks another version: {error}",
            next_step="use the towplane that the plane was started with",
        ) from error


def _error_of(running: Running, path: str, status: int, body: bytes) -> PlaneError:
    try:
        said = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.DecodeError:
        return PlaneError(f"the plane at {running.admin} answered {status} to {path}")
    return _KINDS.get(said.code, PlaneError)(said.message, next_step=said.next)
