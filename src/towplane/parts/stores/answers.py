"""What the stores that speak HTTP and JSON have in common: one GET, and one key of an object.

The law: a body, which may hold a secret, stands in no error.
"""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping

import msgspec

from towplane.parts.secrets import SecretMissing

__all__ = ["get_json", "pick_key"]

WITHIN_S = 10.0


def get_json(
    where: str, url: str, headers: Mapping[str, str], *, ca: str | None = None
) -> dict[str, object]:
    """The object at a URL; `where` is the reference, for messages. Raises SecretMissing."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  # https by its makers
    try:
        context = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
        with urllib.request.urlopen(request, timeout=WITHIN_S, context=context) as answer:  # noqa: S310
            return msgspec.json.decode(answer.read(), type=dict[str, object])
    except urllib.error.HTTPError as error:
        with error:
            raise SecretMissing(
                f"{where}: the store answered {error.code}", next_step=_NEXT.get(error.code, "")
            ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "reason", None) or type(error).__name__
        raise SecretMissing(
            f"{where}: the store cannot be asked: {why}",
            next_step="check its address and that this machine reaches it",
        ) from None


def pick_key(where: str, text: str, key: str) -> str:
    """One value of a JSON object. Raises SecretMissing."""
    try:
        found = msgspec.json.decode(text, type=dict[str, object]).get(key)
    except msgspec.DecodeError:
        raise SecretMissing(f"{where} holds no JSON object, so it has no key {key}") from None
    if found is None:
        raise SecretMissing(f"{where} has no key {key}")
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


_NEXT = {
    401: "the store does not know who asks: check the login of this machine",
    403: "who asks may not read it: grant reading of this one secret",
    404: "check the name, the version and, for Vault's KV 2, that the path holds `data/`",
}
