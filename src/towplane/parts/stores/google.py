"""`gcp-secretmanager:projects/P/secrets/S/versions/V`: Google Secret Manager.

Who asks is the application default of this machine, by google-auth.
"""

import base64
import binascii
from collections.abc import Mapping

from towplane.parts.extras import load_extra
from towplane.parts.secrets import SecretMissing
from towplane.parts.stores.answers import get_json

__all__ = ["read_secret"]

ENDPOINT = "https://secretmanager.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def read_secret(name: str, environ: Mapping[str, str]) -> str:  # noqa: ARG001  # google-auth does
    """Ask for it; raises SecretMissing or Unsupported."""
    where = f"gcp-secretmanager:{name}"
    auth = load_extra("google.auth", "vertex")
    transport = load_extra("google.auth.transport.requests", "vertex")
    errors = load_extra("google.auth.exceptions", "vertex")
    try:
        credentials, _ = auth.default(scopes=[_SCOPE])
        credentials.refresh(transport.Request())
    except errors.GoogleAuthError as error:
        say = str(error.args[0] if error.args else error).partition("\n")[0][:200]
        raise SecretMissing(f"{where}: no application default credentials: {say}") from None
    headers = {"authorization": f"Bearer {credentials.token}"}
    payload = get_json(where, f"{ENDPOINT}/v1/{name}:access", headers).get("payload")
    data = payload.get("data") if isinstance(payload, dict) else None
    try:
        return base64.b64decode(str(data), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise SecretMissing(f"{where} is not text") from None
