"""Error objects as the originals write them: OpenAI "Error codes", Azure by public issues."""

from typing import Any

__all__ = ["error", "usual"]

_USUAL: dict[int, tuple[str, str | None, str]] = {
    # status: type, code, message
    400: ("invalid_request_error", None, "The request is not right."),
    401: (
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided: sk-wrong****1234. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
    ),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Country not supported"),
    404: (
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    408: ("server_error", None, "The request timed out."),
    409: ("invalid_request_error", "conflict", "The resource is locked; try again."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    422: ("invalid_request_error", None, "The request could not be processed."),
    429: (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} in organization org-example on requests per min (RPM): "
        "Limit 3, Used 3, Requested 1. Please try again in 20s.",
    ),
    500: (
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    502: ("server_error", None, "Bad gateway."),
    503: (
        "service_unavailable_error",
        "server_is_overloaded",
        "Our servers are currently overloaded. Please try again later.",
    ),
    504: ("server_error", None, "Gateway timeout."),
}
_BY_CODE = {
    "insufficient_quota": (
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "context_length_exceeded": (
        "invalid_request_error",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "9001 tokens. Please reduce the length of the messages.",
    ),
    "content_policy_violation": (
        "invalid_request_error",
        "Your request was rejected as a result of our safety system.",
    ),
    "slow_down": ("rate_limit_error", "Your traffic has grown too fast. Please slow down."),
}


def error(
    message: str,
    kind: str | None = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An error's body."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code, **more}}


def usual(
    status: int, model: str, code: str | None = None, message: str | None = None
) -> dict[str, Any]:
    """The body that usually comes with a status."""
    kind, known, text = _USUAL.get(status, ("server_error", None, f"Status {status}."))
    if code in _BY_CODE:
        kind, text = _BY_CODE[code]
    return error(message or text.format(model=model), kind, code or known)
