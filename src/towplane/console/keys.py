"""The page Keys: who can open the door, and how is a key made, renewed or shut out?

Laws: a token is shown by the answer that made it and nowhere else; nothing is changed but by a
sealed form; what cannot be undone asks to be confirmed; all of it works without script.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from towplane.api.tenant_views import KeyRow, NewKey, TenantRow, WantedKey
from towplane.console import words
from towplane.console.account_words import say_budget, say_limits, say_models
from towplane.console.forms import Forms, read_budget, read_limits, read_list, read_until
from towplane.console.frame import Frame
from towplane.console.look import View, read_view
from towplane.parts.errors import CODES, BadRequest, NotFound, PlaneError

__all__ = ["KeyLine", "KeyLook", "key_line", "key_pages"]

OVERLAPS = {"0": "no time: it ends at once", "3600": "1 hour", "86400": "24 hours",
            "604800": "7 days"}  # fmt: skip
"""How long the secret before may still work, in seconds."""


class KeyLook(View, frozen=True, kw_only=True):
    """The view's whole state, as the URL holds it."""

    tenant: str = ""
    state: Literal["", "active", "revoked", "expired"] = ""


class KeyLine(NamedTuple):
    """One key in words."""

    id: str
    url: str
    tenant: str
    tenant_url: str
    project: str
    state: str
    name: str
    label: str
    limits: str
    budget: str
    models: str
    created: str
    ends: str
    overlap: str
    """Until when the secret before works; empty: it does not."""
    is_active: bool


def key_line(row: KeyRow, at: datetime) -> KeyLine:
    """A key at a moment."""
    if row.revoked_at is not None:
        ends = f"revoked {words.ago(row.revoked_at, at)}"
    elif row.expires_at is None:
        ends = "never by itself"
    else:
        ends = f"{words.clock(row.expires_at)}, {words.until(row.expires_at, at)}"
    return KeyLine(
        id=row.id,
        url=f"/keys/{quote(row.id, safe='')}",
        tenant=row.tenant,
        tenant_url=f"/tenants/{quote(row.tenant, safe='')}",
        project=row.project,
        state=row.state,
        name=row.name,
        label=row.label,
        limits=say_limits(row.limits),
        budget=say_budget(row.budget),
        models=say_models(row.models, "all of its tenant"),
        created=words.clock(row.created_at),
        ends=ends,
        overlap="" if row.overlap_until is None else words.until(row.overlap_until, at),
        is_active=row.state == "active",
    )


def key_pages(frame: Frame, forms: Forms) -> Sequence[BaseRoute]:
    """The list with the form for a new one at `/keys`; one key at `/keys/ID`."""
    pages = _Keys(frame, forms)
    return [
        frame.route("/keys", pages.all),
        frame.route("/keys", pages.create, method="POST"),
        frame.route("/keys/{key}", pages.one),
        frame.route("/keys/{key}/rotate", pages.rotate, method="POST"),
        frame.route("/keys/{key}/revoke", pages.revoke, method="POST"),
    ]


class _Keys:
    def __init__(self, frame: Frame, forms: Forms) -> None:
        self._frame = frame
        self._forms = forms
        self._tenancy = frame.desk.view.tenancy

    async def all(self, request: Request) -> Response:
        look = read_view(KeyLook, request.query_params)
        return await self._list(request, look, {"tenant": look.tenant}, None)

    async def create(self, request: Request) -> Response:
        fields = await self._forms.take(request)
        try:
            tenant = fields.get("tenant", "")
            if not tenant:
                raise BadRequest("a key belongs to a tenant", next_step="choose one")
            wanted = WantedKey(
                name=fields.get("name", ""),
                label=fields.get("label", ""),
                project=fields.get("project", ""),
                limits=read_limits(fields),
                budget=read_budget(fields),
                models=read_list(fields.get("models", "")),
                expires_at=read_until(fields.get("expires", "")),
            )
            made = await self._tenancy.acting_as("console").create_key(tenant, wanted)
        except PlaneError as error:
            return await self._list(
                request, KeyLook(tenant=fields.get("tenant", "")), fields, error
            )
        return self._made(made, "The key is made and opens the door now.", "")

    async def one(self, request: Request) -> Response:
        row = await self._find(request)
        return self._frame.page(
            "key.html",
            key=key_line(row, self._frame.at()),
            rotate_seal=self._forms.seal(request),
            revoke_seal=self._forms.seal(request),
            overlaps=OVERLAPS,
        )

    async def rotate(self, request: Request) -> Response:
        fields = await self._forms.take(request)
        overlap = fields.get("overlap", "86400")
        if overlap not in OVERLAPS:
            raise BadRequest("this is no overlap", next_step="choose one of the list")
        key = request.path_params["key"]
        acting = self._tenancy.acting_as("console")
        made = await acting.rotate_key(key, overlap_s=float(overlap))
        before = (
            "The secret before opens nothing any more."
            if overlap == "0"
            else f"The secret before works for another {OVERLAPS[overlap]}."
        )
        return self._made(made, "The key has a new secret.", before)

    async def revoke(self, request: Request) -> Response:
        fields = await self._forms.take(request)
        key = request.path_params["key"]
        if fields.get("sure") != "yes":
            raise BadRequest(
                "the key is as it was: to revoke it cannot be undone and wants to be confirmed",
                next_step="tick the box beside the button",
            )
        await self._tenancy.acting_as("console").revoke_key(key)
        return RedirectResponse(f"/keys/{quote(key, safe='')}", status_code=303)

    async def _find(self, request: Request) -> KeyRow:
        wanted = request.path_params["key"]
        for row in await self._tenancy.keys():
            if row.id == wanted:
                return row
        raise NotFound(f"there is no key `{wanted[:80]}`", next_step="look at the list of keys")

    async def _list(
        self,
        request: Request,
        look: KeyLook,
        fields: Mapping[str, str],
        error: PlaneError | None,
    ) -> Response:
        at = self._frame.at()
        rows = await self._tenancy.keys()
        tenants: list[TenantRow] = await self._tenancy.tenants()
        shown = [
            key_line(row, at)
            for row in rows
            if look.tenant in ("", row.tenant)
            and look.state in ("", row.state)
            and look.shows(row.id, row.name, row.label, row.project, row.tenant)
        ]
        return self._frame.page(
            "keys.html",
            status=200 if error is None else CODES[error.code][0],
            look=look,
            keys=shown,
            tenants=tenants,
            fields=fields,
            error=error,
            seal=self._forms.seal(request),
        )

    def _made(self, made: NewKey, say: str, before: str) -> Response:
        return self._frame.page("key_made.html", status=201, made=made, say=say, before=before)
