"""What a failed answer of Azure OpenAI means, and what its headers say of who answered.

Pure. Azure's words differ from OpenAI's where the resource speaks and not the model: a deployment
that is not there, an operation that it does not offer, an api-version that is unknown, a network
rule. A 429 of a provisioned deployment means that it is busy for some milliseconds; those stand in
`retry-after-ms` and are taken as they are, for `retry-after` rounds them up to a second.
"""

from towplane.parts.errors import Rejected, ServerError, Unavailable, Upstream
from towplane.providers.adapter import Fields
from towplane.providers.dialects.chat.verdict import Said, read_said
from towplane.providers.openai.errors import judge_words

__all__ = ["is_spilled", "judge", "served_by"]

_MISCONFIGURED = {
    # no caller can do anything about them, and another target may answer
    "deploymentnotfound": "has no deployment of this name",
    "operationnotsupported": "has a model there that does not offer this operation",
    "invalidapiversionparameter": "does not know this api_version",
    "unsupportedapiversion": "does not know this api_version",
    "resourcenotfound": "does not know this path",
}
_NOT_THERE = "Resource not found"
"""The message of a 404 whose code is "404": the path, or an api-version that is unknown there."""
_MEANINGS = {
    # OpenAI's word for what Azure says, in lower case
    "permissiondenied": "permission_error",
    "accessdenied": "permission_error",  # "due to Virtual Network/Firewall rules"
    "publicnetworkaccessdisabled": "permission_error",
    "insufficientquota": "insufficient_quota",
    "nocapacity": "overloaded",
    "serviceunavailable": "overloaded",
}
_BUSY = ("NoCapacity", "currently experiencing high demand", "temporarily unable to process")
"""In the message of a 429 that speaks of Azure's capacity and of nobody's limit."""


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    said = read_said(body)
    error = judge_words(_translated(said, status), status, fields, target)
    wrong = _misconfiguration(said, status)
    if wrong:
        next_step = "The vendor must check this provider in the document."
        say = f"{target} {wrong}."
        error = Unavailable(say, next_step=next_step, reason="upstream-model-missing")
    elif status == 424 and isinstance(error, Rejected):  # something that they depend on failed
        error = ServerError(error.say, reason="upstream-error", after_s=error.after_s)
    error.provider_code = said.words[0] if said.words else ""
    error.status, error.body = status, body
    return error


def _translated(said: Said, status: int) -> Said:
    """With OpenAI's word in front of Azure's."""
    words = (_MEANINGS.get(word.lower()) for word in said.words)
    known = next((word for word in words if word), None)
    if status == 429 and any(sign in said.message for sign in _BUSY):
        known = "overloaded"
    return said if known is None else said._replace(words=(known, *said.words))


def _misconfiguration(said: Said, status: int) -> str:
    """What is wrong in the document; empty if nothing is."""
    if status not in (400, 404):
        return ""
    if status == 404 and said.message.startswith(_NOT_THERE):
        return "does not know this path, or not with this api_version"
    words = (word.lower() for word in said.words)
    return next((_MISCONFIGURED[word] for word in words if word in _MISCONFIGURED), "")


def served_by(fields: Fields) -> tuple[str, str]:
    """The deployment that answered, and the provisioned one from which the request spilled over;
    empty where Azure does not say. What spilled over is billed as the first one's."""
    return (
        fields.get(b"x-ms-deployment-name", b"").decode("latin-1"),
        fields.get(b"x-ms-spillover-from-deployment", b"").decode("latin-1"),
    )


def is_spilled(fields: Fields) -> bool:
    """Whether a provisioned deployment had no room and another one answered."""
    return b"x-ms-spillover-from-deployment" in fields
