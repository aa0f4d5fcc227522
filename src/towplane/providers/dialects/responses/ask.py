"""What routing and accounting need of a Responses request, and the same request for an upstream.

What goes up is made of what was read, so that a key that stands twice in a body cannot mean one
thing here and another upstream. The law: what could be answered but not accounted is refused.
"""

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.ask import Ask, read_field

__all__ = ["body_for", "note"]

_flag = msgspec.json.Decoder(bool | None)
_count = msgspec.json.Decoder(int | None)
_encode = msgspec.json.Encoder().encode


def note(ask: Ask) -> None:
    """Stream and limit, into `ask`. Raises BadRequest, naming the parameter."""
    fields = ask.fields
    if (stream := fields.get("stream")) is not None:
        ask.stream = bool(read_field(_flag, stream, "stream", "true or false"))
    if (limit := fields.get("max_output_tokens")) is not None:
        tokens = read_field(_count, limit, "max_output_tokens", "a whole number")
        ask.output_limit = tokens if tokens is not None and tokens >= 0 else None
    background = fields.get("background")
    if background is not None and read_field(_flag, background, "background", "true or false"):
        # Its answer, and with it its usage, is fetched later from the vendor's account, and goes on
        # when the client is gone: it could not be settled.
        raise BadRequest(
            "`background` is not offered: its usage could not be accounted.",
            param="background",
            next_step="Leave it out; a long answer may be streamed.",
            reason="unsupported-parameter",
        )


def body_for(ask: Ask, model: str) -> bytes:
    """The body for an upstream that speaks this dialect and knows the model as `model`."""
    fields = ask.fields
    fields["model"] = msgspec.Raw(_encode(model))
    return _encode(fields)
