"""Forms that change something: whether one is ours, was sent once, and what its fields say.

Laws: a form is taken only with a seal that this process gave to the same session, and only once, so
that neither another site nor a second click changes anything; what a person wrote is read as in the
document, and what cannot be read is named.
"""

import hmac
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs

from msgspec import Struct
from starlette.requests import Request

from towplane.api.security import session_of
from towplane.parts.errors import BadRequest, Conflict
from towplane.parts.units import PARSERS, UnitError
from towplane.tenants.spec import Budget, Limits

__all__ = ["Forms", "read_budget", "read_limits", "read_list", "read_until"]

USED = 4096
"""Seals of sent forms that are remembered; older ones could be sent twice, by their owner."""
_MOST_FIELDS = 64

S = TypeVar("S", bound=Struct)


class Forms:
    """The seals of one plane process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._used: dict[str, None] = {}

    def seal(self, request: Request) -> str:
        """A fresh seal for a form of this session."""
        nonce = secrets.token_urlsafe(16)
        return f"{nonce}.{self._mac(nonce, request)}"

    async def take(self, request: Request) -> dict[str, str]:
        """The fields of a form that was sent; each at most once. Raises BadRequest, Conflict."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded":
            raise BadRequest("this takes a form", next_step="programs use /api/v1")
        text = (await request.body()).decode("utf-8", "replace")
        try:
            found = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise BadRequest("this form has too many fields") from error
        fields = {name: values[-1].strip() for name, values in found.items()}
        self._use(fields.pop("seal", ""), request)
        return fields

    def _use(self, seal: str, request: Request) -> None:
        nonce, _, mac = seal.partition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(nonce, request).encode()):
            raise BadRequest(
                "this form is not from here, or is older than the plane or your login",
                next_step="go back, load the page again and send it anew",
            )
        if nonce in self._used:
            raise Conflict(
                "this form was sent already, and is not done twice",
                next_step="look at the list: what it asked for is there",
            )
        while len(self._used) >= USED:
            del self._used[next(iter(self._used))]
        self._used[nonce] = None

    def _mac(self, nonce: str, request: Request) -> str:
        said = f"{nonce} {session_of(request.headers)}"
        return hmac.new(self._secret, said.encode(), "sha256").hexdigest()


def read_limits(fields: Mapping[str, str]) -> Limits:
    """The limits that a form says, in fields of their names; empty: none."""
    return Limits(**_read(Limits, fields, "count", ""))


def read_budget(fields: Mapping[str, str]) -> Budget:
    """The budget that a form says; an amount without a unit is of USD."""
    return Budget(**_read(Budget, fields, "money", " USD"))


def read_list(text: str) -> list[str] | None:
    """Words with commas or lines between them; None where there are none."""
    return [word.strip() for word in text.replace("\n", ",").split(",") if word.strip()] or None


def read_until(text: str) -> datetime | None:
    """The end of a day, UTC, which is the last one; None where none is said."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise BadRequest(
            f"`{text[:40]}` is no day", next_step="write it as 2026-11-23, or leave it empty"
        ) from error
    return day + timedelta(days=1)


def _read(kind: type[S], fields: Mapping[str, str], unit: str, usual: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in kind.__struct_fields__:
        text = fields.get(name.removesuffix("_nanousd"), "")
        if name == "mode" or not text:
            continue
        try:
            found[name] = PARSERS[unit](text if text[-1:].isalpha() or not usual else text + usual)
        except UnitError as error:
            raise BadRequest(
                f"{name.removesuffix('_nanousd').replace('_', ' ')}: {error}",
                next_step="correct it, or leave it empty for none",
            ) from error
    return found
