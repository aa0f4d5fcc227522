"""The object of a response around its output: what it echoes of the request, and how it ended.

A client's own values stand in it as the bytes that came. Knows no event.
"""

import msgspec

from towplane.parts.usage import Usage
from towplane.providers.ask import Ask
from towplane.providers.conversation.answer import Ended
from towplane.providers.dialects.responses.usage import render_usage, service_word

__all__ = ["Envelope", "Status", "status_of"]

_encode = msgspec.json.Encoder().encode
_ECHOED = (  # in the order of the vendor's own answers, and what stands there if it was not said
    ("instructions", b"null"),
    ("max_output_tokens", b"null"),
    ("parallel_tool_calls", b"true"),
    ("reasoning", b'{"effort":null,"summary":null}'),
    ("safety_identifier", b"null"),
    ("temperature", b"null"),
    ("text", b'{"format":{"type":"text"}}'),
    ("tool_choice", b'"auto"'),
    ("tools", b"[]"),
    ("top_logprobs", b"null"),
    ("top_p", b"null"),
    ("truncation", b'"disabled"'),
    ("user", b"null"),
    ("metadata", b"{}"),
)
_NULL = msgspec.Raw(b"null")


class Status(msgspec.Struct, frozen=True):
    """How a response ended."""

    word: str = "completed"
    """Of `status`, and of the event that ends a stream."""
    reason: str | None = None
    """Of what is incomplete; None where the vendor's words have none."""


def status_of(ended: Ended | None, *, has_refusal: bool) -> Status:
    """What Responses says of this end; `has_refusal`: the model declined in so many words.

    Its words know only two reasons for an answer that is not whole; the others stand without one.
    """
    reason = ended.reason if ended is not None else "stop"
    if reason in ("stop", "stop_sequence", "tool_calls") or (reason == "refusal" and has_refusal):
        return Status()
    if reason in ("length", "context_full"):
        return Status("incomplete", "max_output_tokens")
    if reason in ("content_filter", "refusal"):
        return Status("incomplete", "content_filter")
    return Status("incomplete")


class Envelope:
    """What stands around the output of one answer."""

    __slots__ = ("_fields", "_model", "created", "id")

    def __init__(self, ask: Ask, response_id: str, model: str, created: int) -> None:
        self.id = response_id
        self.created = created
        self._fields = ask.fields
        self._model = model or ask.model

    def begun(self) -> bytes:
        """The object while the answer is made."""
        return self._json(Status("in_progress"), b"[]", None, is_over=False)

    def over(self, status: Status, output: bytes, usage: Usage | None) -> bytes:
        """The object of the whole answer; `output` is its list of items."""
        return self._json(status, output, usage, is_over=True)

    def _json(self, status: Status, output: bytes, usage: Usage | None, *, is_over: bool) -> bytes:
        details = b"null"
        if status.word == "incomplete":
            details = b'{"reason":%b}' % _encode(status.reason)
        pieces = [
            b'{"id":%b,"object":"response","created_at":%d,"status":%b,"background":false,'
            b'"error":null,"incomplete_details":%b,"model":%b,"output":%b,'
            b'"previous_response_id":null,"store":false'
            % (
                _encode(self.id),
                self.created,
                _encode(status.word),
                details,
                _encode(self._model),
                output,
            )
        ]
        for name, unsaid in _ECHOED:
            raw = self._fields.get(name)
            said = unsaid if raw is None or raw == _NULL else bytes(raw)
            pieces.append(b',"%b":%b' % (name.encode(), said))
        if is_over and "service_tier" in self._fields:
            pieces.append(b',"service_tier":%b' % _encode(service_word(usage)))
        pieces.append(b',"usage":%b}' % render_usage(usage))
        return b"".join(pieces)
