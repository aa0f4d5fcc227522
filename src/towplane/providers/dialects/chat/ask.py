"""What routing and accounting need of a chat request, and the same request for an upstream.

What goes up is made of what was read, so that a key that stands twice in a body cannot mean one
thing here and another upstream. Usage is asked for in every stream: a bill needs it.
"""

import msgspec

from towplane.providers.ask import Ask, read_field

__all__ = ["body_for", "note"]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_flag = msgspec.json.Decoder(bool | None)
_count = msgspec.json.Decoder(int | None)
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")
_TRUE = msgspec.Raw(b"true")
_USAGE_ASKED = msgspec.Raw(b'{"include_usage":true}')


def note(ask: Ask) -> None:
    """Stream, limits and samples, into `ask`. Raises BadRequest, naming the parameter."""
    if not ask.operation.generates:
        return
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
        tokens = read_field(_count, limit, "max_tokens", "a whole number")
        ask.output_limit = tokens if tokens is not None and tokens >= 0 else None
    samples = fields.get("n")
    if samples is not None:
        ask.samples = min(max(read_field(_count, samples, "n", "a whole number") or 1, 1), 128)


def body_for(ask: Ask, model: str) -> bytes:
    """The body for an upstream that speaks this dialect and knows the model as `model`."""
    fields = ask.fields
    fields["model"] = msgspec.Raw(_encode(model))
    if not ask.wants_usage:
        fields["stream_options"] = _options_with_usage(fields)
    return _encode(fields)


def _options_with_usage(fields: dict[str, msgspec.Raw]) -> msgspec.Raw:
    raw = fields.get("stream_options")
    if raw is None or raw == _NULL:
        return _USAGE_ASKED
    options = read_field(_fields, raw, "stream_options", "an object")
    options["include_usage"] = msgspec.Raw(b"true")
    return msgspec.Raw(_encode(options))


def _is_true(stream: msgspec.Raw) -> bool:
    return stream == _TRUE or bool(read_field(_flag, stream, "stream", "true or false"))


def _wants_usage(options: msgspec.Raw) -> bool:
    if options == _NULL:
        return False
    raw = read_field(_fields, options, "stream_options", "an object").get("include_usage")
    return raw is not None and bool(read_field(_flag, raw, "stream_options", "true or false"))
