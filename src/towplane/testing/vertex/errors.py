"""Google's error objects as the emulator writes them: `google.rpc.Status` and its details.

Texts as seen in public issues; where none was found, the plain word of `code.proto`.
"""

from typing import Any

__all__ = ["Refusal", "status"]

_TYPE = "type.googleapis.com/google.rpc."
_USUAL: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 "
          "access token, login cookie or other valid authentication credential."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    409: ("ABORTED", "The operation was aborted."),
    429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    499: ("CANCELLED", "The operation was cancelled."),
    500: ("INTERNAL", "Internal error encountered."),
    501: ("UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}  # fmt: skip


class Refusal(Exception):
    """The original answers with an error."""

    def __init__(
        self, message: str | None = None, code: int = 400, *, reason: str = "", field: str = ""
    ) -> None:
        super().__init__(message or "")
        self.code = code
        self.body = status(code, message, reason=reason, field=field)


def status(
    code: int,
    message: str | None = None,
    word: str | None = None,
    *,
    reason: str = "",
    field: str = "",
    retry_delay: str = "",
    quota_id: str = "",
) -> dict[str, Any]:
    """An error object; `reason` is of ErrorInfo, `field` of BadRequest."""
    usual, text = _USUAL.get(code, ("UNKNOWN", "Unknown error."))
    error: dict[str, Any] = {"code": code, "message": message or text, "status": word or usual}
    details: list[dict[str, Any]] = []
    if reason:
        details.append(
            {"@type": _TYPE + "ErrorInfo", "reason": reason, "domain": "googleapis.com",
             "metadata": {"service": "aiplatform.googleapis.com"}}
        )  # fmt: skip
    if field:
        violation = {"description": error["message"]}
        details.append({"@type": _TYPE + "BadRequest", "fieldViolations": [violation]})
    if quota_id:
        violation = {"quotaId": quota_id, "quotaMetric": "aiplatform.googleapis.com/requests"}
        details.append({"@type": _TYPE + "QuotaFailure", "violations": [violation]})
    if retry_delay:
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": retry_delay})
    return {"error": error | ({"details": details} if details else {})}
