"""Who may ask what of the emulator: tokens, express keys, project and location.

As the original: a key has no project in its path, a token has one; another project's models are
forbidden (403), another region's are not there (404).
"""

from typing import Protocol

from towplane.testing.framing import Message
from towplane.testing.vertex.errors import Refusal
from towplane.testing.vertex.grants import Grants
from towplane.testing.vertex.where import Where

__all__ = ["Door", "check_access", "missing"]


class Door(Protocol):
    """What is let in."""

    project: str
    location: str
    api_keys: tuple[str, ...]
    grants: Grants


def check_access(where: Where, message: Message, door: Door) -> None:
    """Who asks, and for what: raises Refusal as the original does."""
    key = message.get(b"x-goog-api-key").decode("latin-1")
    kind, _, token = message.get(b"authorization").decode("latin-1").partition(" ")
    if key:
        if where.project:
            raise Refusal("API keys are not supported by this API. Expected OAuth2 access token or "
                          "other authentication credentials that assert a principal.", 401,
                          reason="CREDENTIALS_MISSING")  # fmt: skip
        if key not in door.api_keys:
            raise Refusal("API key not valid. Please pass a valid API key.",
                          reason="API_KEY_INVALID")  # fmt: skip
        return
    if kind != "Bearer":
        raise Refusal("Request is missing required authentication credential.", 401,
                      reason="CREDENTIALS_MISSING")  # fmt: skip
    trouble = door.grants.trouble_with(token)
    if trouble:
        raise Refusal(code=401, reason=trouble)
    if not where.project:
        raise Refusal(code=404)
    if where.project != door.project:
        raise Refusal("Permission 'aiplatform.endpoints.predict' denied on resource "
                      f"'//aiplatform.googleapis.com/{where.resource}' (or it may not exist).",
                      403, reason="IAM_PERMISSION_DENIED")  # fmt: skip
    if where.location != door.location:
        raise missing(where)


def missing(where: Where) -> Refusal:
    """What the original says of a model that it does not have there."""
    return Refusal(
        f"Publisher Model `{where.resource}` was not found or your project does not have access to "
        "it. Please ensure you are using a valid model version.",
        404,
    )
