"""What to ask a provider to learn whether a credential works, and what its answer says. Pure.

Nothing here spends tokens:

    openai, openai-compatible,  GET the list of models: it is free, and a wrong key is refused
    anthropic, azure-openai
    bedrock                     Converse with no message in it. Who asks and whether they may is
                                looked at first, then the request is refused for its form before
                                any model runs: ValidationException says that the credential works.
                                (STS GetCallerIdentity would not say that it may call Bedrock.)
    vertex                      countTokens, which is free; in a project that does not know the
                                model the answer is 404, after the credential was taken

The law: an answer that proves nothing is not called a success.
"""

from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec

from towplane.providers.adapter import Adapter, Losses, Place, Rendered
from towplane.providers.conversation.request import Conversation, Message, Text

__all__ = ["Probe", "Verdict", "judge_probe", "probe_of"]

_VERSION = ("anthropic-version", "2023-06-01")  # the newest that every account may send


class Probe(NamedTuple):
    """One request."""

    method: Literal["GET", "POST"]
    rendered: Rendered


class Verdict(NamedTuple):
    """What an answer says of the credential."""

    state: Literal["works", "refused", "unclear"]
    say: str = ""


def probe_of(kind: str, place: Place, adapter: Adapter) -> Probe:
    """What to ask a provider of this kind at this place. Raises BadRequest."""
    match kind:
        case "anthropic":
            return Probe("GET", Rendered("/v1/models?limit=1", b"", (_VERSION,)))
        case "azure-openai":
            version = place.options.get("api_version")
            path = f"/openai/models?api-version={version}" if version else "/openai/v1/models"
            return Probe("GET", Rendered(path, b""))
        case "bedrock":
            path = f"/model/{quote(place.model, safe='')}/converse"
            return Probe("POST", Rendered(path, b'{"messages":[]}'))
        case "vertex":
            asked = Conversation(messages=[Message("user", [Text("hi")])])
            assert adapter.render_count is not None
            return Probe("POST", adapter.render_count(asked, place, Losses(may_drop=True)))
        case "openai":
            names = (("organization", "openai-organization"), ("project", "openai-project"))
            given = ((header, place.options.get(name, "")) for name, header in names)
            return Probe("GET", Rendered("/models", b"", tuple(one for one in given if one[1])))
    return Probe("GET", Rendered("/models", b""))


def judge_probe(kind: str, status: int, error_type: str, body: bytes) -> Verdict:
    """What the answer to `probe_of` says; `error_type` is `x-amzn-errortype`."""
    if status == 200:
        return Verdict("works")
    if status == 429:
        return Verdict("works", "and is at its limit now (429)")
    said = _say(body)
    if kind == "bedrock":
        word = error_type.partition(":")[0] or _word(body)
        if word in ("ValidationException", "ResourceNotFoundException"):
            is_unknown = word == "ResourceNotFoundException"
            return Verdict("works", f"but: {said}" if is_unknown else "")
        if word:
            said = f"{word}: {said}" if said else word
    if status in (401, 402, 403) or b"API_KEY_INVALID" in body:  # Google says 400 to a wrong key
        return Verdict("refused", f"{status}: {said}" if said else str(status))
    if kind == "vertex" and status == 404:
        return Verdict("works", f"but: {said}" if said else "but the model is not known there")
    if status in (404, 405, 501) and kind == "openai-compatible":
        return Verdict("unclear", f"it has no list of models ({status}), so nothing asked the key")
    return Verdict("unclear", f"{status}: {said}" if said else f"it answered {status}")


class _Inner(msgspec.Struct):
    message: str = ""


class _Said(msgspec.Struct):
    """Where the providers put their words."""

    error: _Inner | str | None = None
    message: str = ""
    message_: str = msgspec.field(name="Message", default="")
    type_: str = msgspec.field(name="__type", default="")


def _read(body: bytes) -> _Said:
    try:
        if body.lstrip()[:1] == b"[":  # Google wraps some errors in an array
            return msgspec.json.decode(body, type=list[_Said])[0]
        return msgspec.json.decode(body, type=_Said)
    except (msgspec.DecodeError, IndexError):
        return _Said()


def _say(body: bytes) -> str:
    said = _read(body)
    inner = said.error
    text = inner.message if isinstance(inner, _Inner) else inner or said.message or said.message_
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:199] + "…"


def _word(body: bytes) -> str:
    return _read(body).type_.rpartition("#")[2]
