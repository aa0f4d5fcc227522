"""What a failed answer of Azure OpenAI means, and what its headers say of who answered.

Pure. Azure's words differ from OpenAI's where the resource speaks and not the model: a deployment
that is not there, an operation that it does not offer, an api-version that is unknown, a network
rule. A 429 of a provisioned deployment means that it is busy for some milliseconds; those stand in
`retry-after-ms` and are taken as they are, for `retry-after` rounds them up to a second.
"""

from towplane.parts.errors import (
    Denied,
    Overloaded,
    QuotaExhausted,
    Rejected,
    ServerError,
    Unavailable,
    Upstream,
)
from towplane.providers.adapter import Fields
from towplane.providers.dialects.chat.verdict import Said, read_said
from towplane.providers.openai.errors import judge as judge_openai

__all__ = ["judge", "served_by"]

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
_CLASSES: dict[str, type[Upstream]] = {
    # by a word in lower case
    "permissiondenied": Denied,
    "accessdenied": Denied,  # "due to Virtual Network/Firewall rules"
    "publicnetworkaccessdisabled": Denied,
    "insufficientquota": QuotaExhausted,
    "nocapacity": Overloaded,
    "serviceunavailable": Overloaded,
    "modelerror": ServerError,
}
_REASONS: dict[type[Upstream], str] = {
    Denied: "upstream-denied",
    QuotaExhausted: "upstream-quota-exhausted",
    Overloaded: "upstream-overloaded",
    ServerError: "upstream-error",
}
_BUSY = ("NoCapacity", "currently experiencing high demand", "temporarily unable to process")
"""In the message of a 429 that speaks of Azure's capacity and of nobody's limit."""


def judge(status: int, fields: Fields, body: bytes, target: str) -> Upstream:
    """The error of an answer with a status from 400 on."""
    error = judge_openai(status, fields, body, target)
    said = read_said(body)
    wrong = _misconfiguration(said, status)
    if wrong:
        better = Unavailable(
            f"{target} {wrong}.",
            next_step="The vendor must check this provider in the document.",
            reason="upstream-model-missing",
        )
        return _instead(error, better)
    words = [word.lower() for word in said.words]
    kind = next((_CLASSES[word] for word in words if word in _CLASSES), None)
    if status == 429 and any(sign in said.message for sign in _BUSY):
        kind = Overloaded
    elif kind is None and status == 424 and isinstance(error, Rejected):
        kind = ServerError  # something that they depend on failed
    if kind is None or isinstance(error, kind):
        return error
    return _instead(error, kind(error.say, next_step=error.next_step, reason=_REASONS[kind]))


def _misconfiguration(said: Said, status: int) -> str:
    """What is wrong in the document; empty if nothing is."""
    if status not in (400, 404):
        return ""
    if status == 404 and said.message.startswith(_NOT_THERE):
        return "does not know this path, or not with this api_version"
    return next(
        (_MISCONFIGURED[word.lower()] for word in said.words if word.lower() in _MISCONFIGURED), ""
    )


def _instead(error: Upstream, better: Upstream) -> Upstream:
    better.status, better.body, better.after_s = error.status, error.body, error.after_s
    better.provider_code = error.provider_code
    return better


def served_by(fields: Fields) -> tuple[str, str]:
    """The deployment that answered, and the provisioned one from which the request spilled over;
    empty where Azure does not say. What spilled over is billed as the first one's."""
    return (
        fields.get(b"x-ms-deployment-name", b"").decode("latin-1"),
        fields.get(b"x-ms-spillover-from-deployment", b"").decode("latin-1"),
    )
