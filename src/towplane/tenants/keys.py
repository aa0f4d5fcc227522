"""Keys: how they are made, what is stored of them, and how one is recognised.

Knows no database. A key reads `tp-<public id>-<secret>`; only the public id and a keyed digest of
the whole token are kept. The laws: no secret and no digest opens anything by itself (a digest shown
as a key is refused); the whole token is digested, never a part; digests are compared in constant
time, also for an id that nobody has; why a key is dead is told only to whoever holds its secret.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable
from hmac import compare_digest
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from towplane.parts.errors import Platform, Unauthorised
from towplane.tenants.spec import Alerts, Budget, Limits, Priority, ProjectSpec

__all__ = [
    "PLANE_ACCOUNT",
    "KeyReason",
    "KeyRecord",
    "KeyRing",
    "Minted",
    "ProjectRecord",
    "RetiredSecret",
    "TenantRecord",
    "digest_of",
    "load_pepper",
    "mint",
]

KeyReason = Literal["key-missing", "key-unknown", "key-revoked", "key-expired"]
"""Why a caller is not let in; the values of `Unauthorised.reason`."""

PLANE_ACCOUNT = "_plane"
"""The plane's own account in the ledger, which probes and shadows belong to; no tenant can be
called so (`parts.names`)."""

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without 0 o 1 i l: keys are read aloud, too
_ID_CHARS = 10
_SECRET_CHARS = 52  # 52 of 31 letters: 257 bits
_LONGEST_TOKEN = 256  # ours have 66 bytes; a stranger's megabyte is not worth a digest
_PEPPER_BYTES = 32


class TenantRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant as it holds now, declared in the document or created by command."""

    name: str
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    """None: all of the document."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    priority: Priority = "standard"
    projects: dict[str, ProjectSpec] = {}
    """All of them, declared or created."""
    alerts: Alerts | None = None
    """Its own; None: those of all tenants."""
    source: Literal["document", "created"] = "created"
    created_at: float | None = None
    """None for one that the document declares."""


class ProjectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A project of a tenant as it holds now, declared in the document or created by command."""

    tenant: str
    name: str
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    """None: all that its tenant may ask for."""
    priority: Priority | None = None
    """None: that of its tenant."""
    source: Literal["document", "created"] = "created"
    created_at: float | None = None
    """None for one that the document declares."""


class RetiredSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that rotation has replaced and that still works until `expires_at`."""

    digest: bytes
    expires_at: float


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of a key. Rotation gives it a new secret and leaves its id, limits, budget
    and spend as they are: a budget cannot be refilled by rotating."""

    id: str
    """The public id: safe in logs, reports and the ledger."""
    tenant: str
    digest: bytes
    retired: list[RetiredSecret] = []
    name: str = ""
    label: str = ""
    project: str = ""
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    """None: all that its project and its tenant may ask for."""
    priority: Priority | None = None
    """None: that of its project, or of its tenant."""
    created_at: float = 0.0
    expires_at: float | None = None
    revoked_at: float | None = None

    def __repr__(self) -> str:
        return f"KeyRecord({self.id}, {self.tenant})"

    @property
    def is_lasting(self) -> bool:
        """Whether its secret opens the door for as long as this record holds."""
        return self.expires_at is None and self.revoked_at is None and not self.retired

    def state(self, now: float) -> Literal["active", "revoked", "expired"]:
        """Whether the key opens the door at `now`."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"


class Minted(NamedTuple):
    """A fresh key. `token` is shown once and kept nowhere."""

    id: str
    token: str


def mint(public_id: str | None = None) -> Minted:
    """A new key of 257 random bits; with a public id, a new secret for that key."""
    if public_id is None:
        public_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_CHARS))
    return Minted(public_id, f"tp-{public_id}-{secret}")


def digest_of(token: bytes, pepper: bytes) -> bytes:
    """The keyed digest of a whole token: what is stored instead of it."""
    return hashlib.blake2b(token, key=pepper, digest_size=32).digest()


class KeyRing:
    """An immutable snapshot of all keys; a change makes a new ring.

    A key whose tenant is not among `tenants` is unknown: removing a tenant from the document shuts
    its keys out.
    """

    __slots__ = ("_by_id", "_hasher", "tenants")

    def __init__(
        self, keys: Iterable[KeyRecord], tenants: Iterable[TenantRecord], pepper: bytes
    ) -> None:
        self.tenants = {tenant.name: tenant for tenant in tenants}
        self._by_id = {key.id.encode(): key for key in keys if key.tenant in self.tenants}
        self._hasher = hashlib.blake2b(key=pepper, digest_size=32)

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, public_id: str) -> KeyRecord | None:
        """The key with this public id, dead or alive."""
        return self._by_id.get(public_id.encode())

    def identify(self, token: bytes, now: float) -> KeyRecord:
        """The key that `token` is; raises `Unauthorised` with a `KeyReason`."""
        if not token:
            raise _refusal("key-missing")
        if len(token) > _LONGEST_TOKEN:
            raise _refusal("key-unknown")
        key = self._by_id.get(token[3 : 3 + _ID_CHARS], _NOBODY)
        hasher = self._hasher.copy()
        hasher.update(token)
        digest = hasher.digest()
        if not compare_digest(digest, key.digest) or key is _NOBODY:
            _allow_retired(digest, key, now)
        if key.revoked_at is not None or key.expires_at is not None:
            state = key.state(now)
            if state != "active":
                raise _refusal("key-revoked" if state == "revoked" else "key-expired")
        return key


def load_pepper(path: Path, *, create: bool = True) -> bytes:
    """The secret that every digest is keyed with; made on first use, readable by its owner only."""
    try:
        pepper = path.read_bytes()
    except FileNotFoundError:
        if not create:
            raise Platform(
                f"{path} is missing, and without it no stored key can be recognised",
                next_step=f"restore {path} from a backup, or remove the keys and make new ones",
            ) from None
        _create_pepper(path)
        pepper = path.read_bytes()
    if len(pepper) != _PEPPER_BYTES:
        raise Platform(
            f"{path} is damaged: {len(pepper)} bytes instead of {_PEPPER_BYTES}",
            next_step=f"restore {path} from a backup",
        )
    return pepper


def _allow_retired(digest: bytes, key: KeyRecord, now: float) -> None:
    """Return if `digest` is a secret of this key that still works after a rotation."""
    for secret in key.retired:
        if compare_digest(digest, secret.digest):
            if secret.expires_at > now:
                return
            raise _refusal("key-expired")
    raise _refusal("key-unknown")


def _create_pepper(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(_PEPPER_BYTES))
        os.fsync(handle)
        os.link(draft, path)  # whole or not at all, and the first of two processes wins
    except FileExistsError:
        pass
    finally:
        os.close(handle)
        draft.unlink()


_NOBODY = KeyRecord(id="", tenant="", digest=secrets.token_bytes(32))
"""Compared against when the id is unknown, so that both answers take the same time."""

_SAY: dict[KeyReason, tuple[str, str]] = {
    "key-missing": (
        "no API key was sent",
        "send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
    ),
    "key-unknown": ("this API key is not known here", "check it, or ask your vendor for a key"),
    "key-revoked": ("this API key has been revoked", "ask your vendor for a new key"),
    "key-expired": ("this API key has expired", "ask your vendor for a new key"),
}


def _refusal(reason: KeyReason) -> Unauthorised:
    say, next_step = _SAY[reason]
    return Unauthorised(say, next_step=next_step, reason=reason)
