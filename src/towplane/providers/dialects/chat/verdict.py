"""What a server of this wire says went wrong, and which error of ours that is.

Servers that speak chat agree on the status at most. This reads all the shapes that are in use and
decides in one order: the error's own word, then the words of its message, then the status. The same
for the body of an answer and for an error inside a stream, which has no status. Pure.
"""

import re
from typing import NamedTuple

import msgspec

from towplane.parts.errors import (
    ContextTooLong,
    Denied,
    Filtered,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    ServerError,
    Unavailable,
    Upstream,
)
from towplane.providers.dialects.chat.finish import BROKEN

__all__ = ["Said", "broken", "judge_said", "read_said"]

_LONGEST = 500
"""Characters of a provider's message that are passed on."""

_CLASSES: dict[str, type[Upstream]] = {
    # by `code`, or else by `type`, in lower case
    "context_length_exceeded": ContextTooLong,  # OpenAI, Groq, Azure
    "exceed_context_size_error": ContextTooLong,  # llama.cpp
    "context_exceeded": ContextTooLong,
    "string_above_max_length": ContextTooLong,  # OpenAI
    "insufficient_quota": QuotaExhausted,  # OpenAI, as 429
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "billing_error": QuotaExhausted,
    "exceeded_current_quota_error": QuotaExhausted,  # Moonshot
    "payment_required": QuotaExhausted,
    "insufficient_balance": QuotaExhausted,
    "content_filter": Filtered,  # Azure
    "content_policy_violation": Filtered,  # OpenAI
    "responsibleaipolicyviolation": Filtered,  # Azure, in `innererror`
    "moderation_blocked": Filtered,
    "data_inspection_failed": Filtered,  # Alibaba
    "invalid_api_key": Denied,  # OpenAI, Groq; Alibaba as 400
    "authentication_error": Denied,
    "permission_error": Denied,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "rate_limited": RateLimited,
    "overloaded": Overloaded,  # TGI, as 429
    "overloaded_error": Overloaded,
    "engine_overloaded_error": Overloaded,  # Moonshot
    "unavailable_error": Overloaded,  # llama.cpp while it loads
    "capacity_exceeded": Overloaded,
    "model_not_found": Unavailable,  # the document names a model that is not there
    "deploymentnotfound": Unavailable,  # Azure
    "server_error": ServerError,
    "internal_server_error": ServerError,
    "internalservererror": ServerError,  # vLLM
    "generation": ServerError,  # TGI
}

_WORDINGS: tuple[tuple[re.Pattern[str], type[Upstream]], ...] = (
    (
        re.compile(
            r"maximum context length"  # OpenAI, vLLM to 0.15, Mistral, DeepSeek
            r"|model's context length"  # vLLM from 0.16, SGLang
            r"|maximum model length|too long to fit into the model"  # vLLM
            r"|available context size"  # llama.cpp
            r"|inputs` tokens \+ `max_new_tokens|inputs` must have less than"  # TGI
            r"|prompt is too long|exceed context limit"  # Anthropic behind this wire
            r"|maximum number of tokens allowed"  # Gemini behind this wire
            r"|exceeds? (the )?context (window|length)|input is too long"
        ),
        ContextTooLong,
    ),
    (
        re.compile(
            r"exceeded your current quota|insufficient balance|insufficient credits"
            r"|credit balance is too low|requires more credits"
        ),
        QuotaExhausted,
    ),
    (re.compile(r"api key not valid|incorrect api key|invalid api key"), Denied),
    (re.compile(r"input was flagged|content management policy"), Filtered),
)
"""By the message in lower case, where the word says nothing; only for errors that blame the caller,
and those of streams."""

_NO_MODEL = re.compile(r"\bmodel\b.*(does not exist|not found)")
"""Of a 404: vLLM, SGLang, Ollama."""

_REASONS: dict[type[Upstream], str] = {
    ContextTooLong: "upstream-context-too-long",
    QuotaExhausted: "upstream-quota-exhausted",
    Filtered: "upstream-filtered",
    Denied: "upstream-denied",
    RateLimited: "upstream-rate-limited",
    Overloaded: "upstream-overloaded",
    Unavailable: "upstream-model-missing",
    ServerError: "upstream-error",
    Rejected: "upstream-rejected",
}
_NEXT_STEPS: dict[type[Upstream], str] = {
    ContextTooLong: "Shorten the request, or ask a model with a larger window.",
    QuotaExhausted: "The vendor must raise its quota or balance at this provider.",
    Denied: "The vendor must check the credentials of this provider.",
    Unavailable: "The vendor must check the model's name at this provider.",
}
_SECRETS = re.compile(r"\b(?:sk|gsk|xai|pplx|hf|key|org|proj)[-_][\w*.-]{6,}")
"""Keys, shortened or not, and the vendor's own accounts, which some repeat in their messages."""


class Said(NamedTuple):
    """What an error says, whatever its shape; empty where it does not say."""

    message: str = ""
    words: tuple[str, ...] = ()
    """Its code, the code inside it, its type, without empty ones and numbers."""
    status: int | None = None
    """A status that the error itself names."""


class _Inner(msgspec.Struct):
    code: str | int | None = None


class _Error(msgspec.Struct):
    """An error's object, or the body of those who put everything at its top."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    status: str | int | None = None
    error_type: str | None = None  # TGI
    innererror: _Inner | None = None  # Azure
    error: msgspec.Raw = msgspec.Raw(b"")
    detail: msgspec.Raw = msgspec.Raw(b"")  # FastAPI


_error = msgspec.json.Decoder(_Error)
_text = msgspec.json.Decoder(str)
_several = msgspec.json.Decoder(list[msgspec.Raw])


def read_said(body: bytes | msgspec.Raw) -> Said:
    """What an error's body or object says; a body that is no JSON says nothing."""
    first = bytes(memoryview(body)[:64]).lstrip()[:1]
    try:
        if first == b'"':
            return Said(_text.decode(body))
        if first == b"[":  # Google wraps its errors so
            listed = _several.decode(body)
            return read_said(listed[0]) if listed else Said()
        outer = _error.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Said()
    inner = outer
    if len(memoryview(outer.error)) > 2:
        within = read_said(outer.error)
        if outer.error_type or within.words or within.message:
            own = (outer.error_type,) if outer.error_type else ()
            return within._replace(words=within.words + own)
    message = inner.message or _detail(inner.detail)
    told = (inner.code, inner.innererror and inner.innererror.code, inner.type, inner.status)
    words = tuple(word for word in told if isinstance(word, str) and word and not word.isdigit())
    return Said(message, words, _number(inner.code) or _number(inner.status))


def judge_said(said: Said, status: int | None, target: str) -> Upstream:
    """The error that this is; without its body. `status` is None inside a stream."""
    kind = _class_of(said, status if status is not None else said.status)
    if kind is Denied:
        number = f" ({status})" if status else ""
        say = f"{target} refused the plane's credentials{number}."
    elif said.message:
        message = _SECRETS.sub("…", " ".join(said.message.split()))
        say = f"{target}: {message if len(message) <= _LONGEST else message[:_LONGEST] + '…'}"
    else:
        say = f"{target} answered {status}." if status else f"{target} reported an error."
    error = kind(say, next_step=_NEXT_STEPS.get(kind, ""), reason=_REASONS[kind])
    error.provider_code = said.words[0] if said.words else ""
    error.status = status
    return error


def broken(word: str, target: str) -> Upstream:
    """The error of an answer that ended with one of `BROKEN`."""
    kind = Overloaded if word.startswith("insufficient") else ServerError
    reason = "upstream-abort" if word == "abort" else _REASONS[kind]
    error = kind(f"{target} {BROKEN[word]}.", reason=reason)
    error.provider_code = word
    return error


def _class_of(said: Said, status: int | None) -> type[Upstream]:
    for word in said.words:
        kind = _CLASSES.get(word.lower())
        if kind is not None and (kind is not ServerError or status is None):
            return kind  # of a failed server the status says more than its word
    if status is None or 400 <= status < 500:
        message = said.message.lower()
        if status == 404 and _NO_MODEL.search(message):
            return Unavailable
        for wording, kind in _WORDINGS:
            if wording.search(message):
                return kind
    return _by_status(status)


def _by_status(status: int | None) -> type[Upstream]:
    """408 is the server's impatience and 409 a lock of its own; 501 says that the operation is not
    offered, so elsewhere is no better."""
    if status is None:
        return ServerError
    if status in (401, 403):
        return Denied
    if status == 402:
        return QuotaExhausted
    if status == 429:
        return RateLimited
    if status in (498, 503, 529):  # 498: Groq's flex tier has no room
        return Overloaded
    if status in (408, 409, 424) or (status >= 500 and status != 501):
        return ServerError
    return Rejected


def _detail(raw: msgspec.Raw) -> str:
    """FastAPI's `detail`: a text, or a list of what is wrong with which field."""
    data = memoryview(raw)
    if not len(data):
        return ""
    if bytes(data[:1]) == b'"':
        return _text.decode(raw)
    return bytes(data).decode(errors="replace")


def _number(code: str | int | None) -> int | None:
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else None
