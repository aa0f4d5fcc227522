"""First station: what the client asks for, read from a request without understanding its prompt.

The body is decoded once, and only its top level: every value stays as the bytes that came. What
routing and accounting need is read; for the upstream the same values are written again, with the
model's name there and, for a stream, with usage asked for. A key that stands twice in the body
cannot mean one thing here and another upstream, because what goes up is made from what was read.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec

from towplane.parts.errors import BadRequest

PROMPT_PREFIX_BYTES = 512
"""How much of a prompt a policy may look at."""


class Api(NamedTuple):
    """One operation of the serving port."""

    path: str
    """Below the API's version path."""
    prompt: str
    """The field that holds the prompt."""
    generates: bool
    """Whether output tokens are made, and may be streamed."""


APIS: dict[bytes, Api] = {
    b"/v1/chat/completions": Api("/chat/completions", "messages", generates=True),
    b"/v1/completions": Api("/completions", "prompt", generates=True),
    b"/v1/embeddings": Api("/embeddings", "input", generates=False),
}

T = TypeVar("T")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)
_flag = msgspec.json.Decoder(bool | None)
_count = msgspec.json.Decoder(int | None)
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")
_TRUE = msgspec.Raw(b"true")
_USAGE_ASKED = msgspec.Raw(b'{"include_usage":true}')


class Ask:
    """What one request asks for."""

    __slots__ = (
        "api",
        "fields",
        "input_estimate",
        "model",
        "output_limit",
        "samples",
        "stream",
        "wants_usage",
    )

    def __init__(self, api: Api, fields: dict[str, msgspec.Raw], model: str) -> None:
        self.api = api
        self.fields = fields
        self.model = model
        self.stream = False
        self.wants_usage = True
        """Whether the client itself asked for the usage of a stream."""
        self.output_limit: int | None = None
        """Output tokens the client allows for each sample; None: not said."""
        self.samples = 1
        self.input_estimate = 0

    def prompt_prefix(self) -> bytes:
        """The first bytes of the prompt as JSON, for policies that look at it."""
        return bytes(self.fields.get(self.api.prompt, b""))[:PROMPT_PREFIX_BYTES]

    def user(self) -> str | None:
        """The end user that the client names, if it does."""
        raw = self.fields.get("user")
        return _read(_text, raw, "user", "a string") if raw is not None else None

    def body_for(self, model: str) -> bytes:
        """The body for an upstream that knows the model as `model`."""
        fields = self.fields
        fields["model"] = msgspec.Raw(_encode(model))
        if not self.wants_usage:
            fields["stream_options"] = self._options_with_usage()
        return _encode(fields)

    def _options_with_usage(self) -> msgspec.Raw:
        raw = self.fields.get("stream_options")
        if raw is None or raw == _NULL:
            return _USAGE_ASKED
        options = _read(_fields, raw, "stream_options", "an object")
        options["include_usage"] = msgspec.Raw(b"true")
        return msgspec.Raw(_encode(options))


def receive(api: Api, body: Sequence[bytes]) -> Ask:
    """Read a request's body. Raises BadRequest, naming the parameter."""
    whole = body[0] if len(body) == 1 else b"".join(body)
    try:
        fields = _fields.decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadRequest(
            f"The body is not a JSON object: {wrong}.", reason="body-invalid"
        ) from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.", reason="body-invalid") from None
    if "model" not in fields:
        raise BadRequest("The body names no model.", param="model", reason="model-missing")
    ask = Ask(api, fields, _read(_text, fields["model"], "model", "a string"))
    prompt = fields.get(api.prompt)
    # About four bytes of JSON a token: the average of English text with its quotes and roles.
    # An estimate for reservations only; what is billed is measured upstream.
    ask.input_estimate = (len(prompt) + 3) // 4 if prompt is not None else 0
    if api.generates:
        _read_generation(ask)
    return ask


def _read_generation(ask: Ask) -> None:
    fields = ask.fields
    stream = fields.get("stream")
    if stream is not None and _is_true(stream):
        ask.stream = True
        options = fields.get("stream_options")
        ask.wants_usage = options is not None and _wants_usage(options)
    limit = fields.get("max_completion_tokens")
    if limit is None or limit == _NULL:
        limit = fields.get("max_tokens")
    if limit is not None:
        # Below 0 some engines read "no limit" (llama.cpp: -1).
        tokens = _read(_count, limit, "max_tokens", "a whole number")
        ask.output_limit = tokens if tokens is not None and tokens >= 0 else None
    samples = fields.get("n")
    if samples is not None:
        ask.samples = min(max(_read(_count, samples, "n", "a whole number") or 1, 1), 128)


def _is_true(stream: msgspec.Raw) -> bool:
    return stream == _TRUE or bool(_read(_flag, stream, "stream", "true or false"))


def _wants_usage(options: msgspec.Raw) -> bool:
    if options == _NULL:
        return False
    raw = _read(_fields, options, "stream_options", "an object").get("include_usage")
    return raw is not None and bool(_read(_flag, raw, "stream_options", "true or false"))


def _read(decoder: "msgspec.json.Decoder[T]", raw: msgspec.Raw, name: str, want: str) -> T:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"`{name}` must be {want}.", param=name, reason="body-invalid") from None
