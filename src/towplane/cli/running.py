"""The running plane, as another command finds it: by `plane.json`, through its admin port.

`data_dir/plane.json` says where a plane is, or was when it was killed. The law: a plane that does
not answer at its address is not running, whatever is written down.
"""

import http.client
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from towplane.parts.errors import NotAllowed, PlaneError, Unavailable
from towplane.parts.secrets import Sealed

__all__ = ["Running", "fetch", "find_running"]

T = TypeVar("T")

ANSWER_WITHIN_S = 10.0


class Running(msgspec.Struct, frozen=True):
    """Where a plane says that it is."""

    pid: int
    serving: str
    admin: str


def find_running(data_dir: Path) -> Running | None:
    """What `plane.json` says; None: there is none."""
    try:
        return msgspec.json.decode((data_dir / "plane.json").read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def fetch(running: Running, path: str, answer: type[T], token: Sealed | None = None) -> T | None:
    """GET of the admin API, as a value; None: nobody answers there, so the plane is down."""
    headers = {"authorization": f"Bearer {token.reveal()}"} if token is not None else {}
    address = urlsplit(running.admin)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=ANSWER_WITHIN_S
    )
    try:
        connection.request("GET", path, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
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
        raise PlaneError(f"the plane at {running.admin} answered {reply.status} to {path}")
    try:
        return msgspec.json.decode(body, type=answer)
    except msgspec.DecodeError as error:
        raise PlaneError(
            f"the plane at {running.admin} speaks another version: {error}",
            next_step="use the towplane that the plane was started with",
        ) from error
