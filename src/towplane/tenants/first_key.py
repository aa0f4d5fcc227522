"""The first key of a fresh plane, so that `towplane up` alone leads to an answer.

Made only when the document's one tenant is `default`, no other was created and no key exists. Its
token is the only one ever kept: in `data_dir/first-key`, readable by its owner, because a newcomer
needs it again at the second start. Delete the file and nothing but the digest is left.
"""

import contextlib
import os
import secrets
from pathlib import Path

from towplane.parts.errors import Unauthorised
from towplane.tenants.accounts import Accounts

__all__ = ["FIRST_KEY", "ensure_first_key"]

FIRST_KEY = "first-key"
_TENANT = "default"


def ensure_first_key(accounts: Accounts, data_dir: Path, *, now: float) -> str | None:
    """The first key's token while it works; None where there is none to show."""
    path = data_dir / FIRST_KEY
    keys = accounts.keys()
    if not keys and [tenant.name for tenant in accounts.tenants()] == [_TENANT]:
        token = accounts.create_key(_TENANT, now=now).token
        _write(path, token)
        return token
    with contextlib.suppress(FileNotFoundError, Unauthorised):
        token = path.read_text().strip()
        accounts.ring().identify(token.encode(), now)
        return token
    return None


def _write(path: Path, token: str) -> None:
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(token + "\n")
    draft.rename(path)
