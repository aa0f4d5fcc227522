"""`vault:PATH#KEY`: HashiCorp Vault (or OpenBao) by its HTTP API.

Where it is and who asks, Vault's own variables say: `VAULT_ADDR`, `VAULT_CACERT`,
`VAULT_NAMESPACE`, and `VAULT_TOKEN`, else the file `VAULT_TOKEN_FILE`, else `~/.vault-token`, as an
agent writes it. PATH is the API's: for the KV engine of version 2 `secret/data/NAME`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from towplane.parts.secrets import SecretMissing
from towplane.parts.stores.answers import get_json

__all__ = ["read_secret"]


def read_secret(name: str, environ: Mapping[str, str]) -> str:
    """Ask for one key; raises SecretMissing."""
    path, _, key = name.partition("#")
    where = f"vault:{path}"
    address = environ.get("VAULT_ADDR")
    if not address:
        raise SecretMissing(
            f"{where}: nobody says where Vault is", next_step="export VAULT_ADDR=https://HOST:8200"
        )
    headers = {"X-Vault-Token": _token(where, environ), "X-Vault-Request": "true"}
    if namespace := environ.get("VAULT_NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    url = f"{address.rstrip('/')}/v1/{quote(path.strip('/'))}"
    data = get_json(where, url, headers, ca=environ.get("VAULT_CACERT")).get("data")
    if isinstance(data, dict) and isinstance(data.get("data"), dict) and "metadata" in data:
        data = data["data"]  # KV version 2
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, str):
        raise SecretMissing(f"{where} has no key {key}")
    return found


def _token(where: str, environ: Mapping[str, str]) -> str:
    if token := environ.get("VAULT_TOKEN"):
        return token.strip()
    file = Path(environ.get("VAULT_TOKEN_FILE") or Path.home() / ".vault-token")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SecretMissing(
            f"{where}: no token for Vault: {file}: {os.strerror(error.errno or 0)}",
            next_step="export VAULT_TOKEN_FILE=PATH, or let Vault's agent write ~/.vault-token",
        ) from None
