"""Errors in the shape that clients of Responses expect: the body is the one of chat completions."""

import msgspec

from towplane.parts.errors import PlaneError
from towplane.providers.dialects.chat.errors import error_body

__all__ = ["error_body", "error_event"]


class _Error(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class _Envelope(msgspec.Struct):
    error: _Error


class _Event(msgspec.Struct):
    code: str | None
    message: str
    param: str | None
    error: _Error
    sequence_number: int = 0
    type: str = "error"


_envelope = msgspec.json.Decoder(_Envelope)


def error_event(error: PlaneError) -> bytes:
    """The error inside a stream.

    The documented event is flat; OpenAI itself sends the details in `error` (maximhq/bifrost
    #5040), and its own client raises only then (openai 3.54.0 `_streaming.py`). Both are here.
    """
    found = _envelope.decode(error_body(error)).error
    event = _Event(found.code, found.message, found.param, found)
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event)
