"""Events as the bytes that a client of Responses expects: a typed stream, or one object.

A thought becomes a `reasoning` item, text and refusals the parts of a `message`, every call a
`function_call`. Thoughts are written as summaries, which is what clients show, their signatures as
`encrypted_content` (see `items.py`). Answers in one piece go the same way as streams, of which
nobody uses the bytes. Knows no provider; its output grows in `output.py`.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

from towplane.parts.errors import ProtocolError
from towplane.parts.usage import Usage
from towplane.providers.adapter import Writer
from towplane.providers.ask import Ask
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    LogProbs,
    PartEnds,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.dialects.responses.citations import annotation_of
from towplane.providers.dialects.responses.envelope import Envelope, status_of
from towplane.providers.dialects.responses.items import BARE_SIGNATURE, CALL_SIGNATURE
from towplane.providers.dialects.responses.output import Output

__all__ = ["ResponsesWriter", "make_writer"]


def make_writer(ask: Ask) -> Writer:
    """The writer for one answer."""
    return ResponsesWriter(ask)


class ResponsesWriter(Writer):
    """Writes one answer; `wall` is the clock that dates it where the provider does not."""

    __slots__ = ("_ask", "_calls", "_ended", "_envelope", "_has_refusal", "_output", "_probs",
                 "_signature", "_taken", "_usage", "_wall")  # fmt: skip

    def __init__(self, ask: Ask, wall: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._wall = wall
        self._envelope: Envelope | None = None
        self._output = Output("")
        self._probs: list[msgspec.Raw] | None = None
        """Log probabilities that came before their text."""
        self._taken: Event | None = None
        """Log probabilities that came behind their text and are written already."""
        self._signature = ""
        """Of a call that has not begun yet, or of a thought without words."""
        self._calls = 0
        self._has_refusal = False
        self._ended: Ended | None = None
        self._usage: Usage | None = None

    def stream(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        given = events if isinstance(events, list) else list(events)
        if self._envelope is None and given:
            first = given[0]
            self._begin(first if isinstance(first, Started) else Started(), out)
        output = self._output
        for place, event in enumerate(given):
            kind = type(event)
            if kind is TextGrows:
                if output.part != "text":
                    self._open("message", "text", out)
                output.grow(out, event.text, self._probs_of(given, place))
            elif kind is CallGrows:
                if output.part != "arguments":
                    raise ProtocolError("Arguments of a call that is not open.")
                output.grow(out, event.arguments)
            elif kind is ThoughtGrows:
                if output.part != "summary":
                    self._open("reasoning", "summary", out)
                output.grow(out, event.text)
            else:
                self._write(event, out)
        return b"".join(out)

    def end(self) -> bytes:
        out: list[bytes] = []
        whole = self._close(out)
        word = status_of(self._ended, has_refusal=self._has_refusal).word
        self._output.emit(out, word.encode(), b'"response":%b' % whole)
        return b"".join(out)

    def whole(self, events: Iterable[Event]) -> bytes:
        self.stream(events)
        return self._close([])

    def _begin(self, started: Started, out: list[bytes]) -> Envelope:
        if self._envelope is None:
            # Clients tell responses from other objects by the prefix of the id, as OpenAI does.
            name = started.id.removeprefix("resp_") or secrets.token_hex(16)
            created = started.created or int(self._wall())
            self._envelope = Envelope(self._ask, f"resp_{name}", started.model, created)
            self._output = Output(name)
            begun = b'"response":%b' % self._envelope.begun()
            self._output.emit(out, b"created", begun)
            self._output.emit(out, b"in_progress", begun)
        return self._envelope

    def _close(self, out: list[bytes]) -> bytes:
        """The object of the whole answer."""
        envelope = self._begin(Started(), out)
        status = status_of(self._ended, has_refusal=self._has_refusal)
        self._finish(out)
        return envelope.over(status, b"[%b]" % b",".join(self._output.items), self._usage)

    def _finish(self, out: list[bytes]) -> None:
        status = status_of(self._ended, has_refusal=self._has_refusal).word
        self._output.close_item(out, status.encode())
        self._end_signature(out)

    def _write(self, event: Event, out: list[bytes]) -> None:
        """An event that is none of the frequent ones."""
        match event:
            case RefusalGrows():
                self._has_refusal = True
                if self._output.part != "refusal":
                    self._open("message", "refusal", out)
                self._output.grow(out, event.text)
            case CallBegins():
                self._begin_call(event, out)
            case Signed():
                self._sign(event.signature)
            case RedactedThought():
                self._seal(event.data, out)
            case Cited():
                self._cite(event, out)
            case LogProbs():
                if event is not self._taken:
                    self._probs = event.content
            case PartEnds():
                self._end_part(out)
            case Ended():
                self._ended = event
                self._finish(out)
            case Used():
                self._usage = event.usage
            case _:  # the gateway tells of failures; the frequent ones have been written
                pass

    def _open(self, kind: str, part: str, out: list[bytes]) -> None:
        self._end_signature(out)
        output = self._output
        output.close_part(out)
        if output.item is None or output.item.kind != kind:
            output.open_item(out, kind)
        output.open_part(out, part)

    def _begin_call(self, event: CallBegins, out: list[bytes]) -> None:
        signature = event.signature or self._signature
        self._signature = ""
        if signature:
            self._seal(CALL_SIGNATURE + signature, out)
        name = self._envelope.id if self._envelope is not None else ""
        call_id = event.id or f"call_{name.removeprefix('resp_')}_{self._calls}"
        self._calls += 1
        self._output.open_item(out, "function_call", call_id, event.name)
        self._output.open_part(out, "arguments")

    def _sign(self, signature: str) -> None:
        item = self._output.item
        if item is not None and item.kind == "reasoning":
            item.sealed += signature
        else:
            self._signature += signature

    def _seal(self, data: str, out: list[bytes]) -> None:
        """A thought without words."""
        self._output.open_item(out, "reasoning").sealed = data
        self._output.close_item(out)

    def _end_signature(self, out: list[bytes]) -> None:
        """The signature belonged to no call."""
        if self._signature:
            signature, self._signature = self._signature, ""
            self._seal(BARE_SIGNATURE + signature, out)

    def _cite(self, event: Cited, out: list[bytes]) -> None:
        if self._output.part != "text":
            self._open("message", "text", out)
        annotation = annotation_of(event.citation, self._output.written)
        if annotation is not None:
            self._output.annotate(out, annotation)

    def _end_part(self, out: list[bytes]) -> None:
        item = self._output.item
        if item is None or item.kind == "message":
            self._output.close_part(out)
        else:
            self._output.close_item(out)
        self._end_signature(out)

    def _probs_of(self, events: Sequence[Event], place: int) -> list[msgspec.Raw] | None:
        """The log probabilities of a text; parsers give them before it or behind it."""
        if self._probs is not None:
            found, self._probs = self._probs, None
            return found
        behind = events[place + 1] if place + 1 < len(events) else None
        if type(behind) is LogProbs:
            self._taken = behind
            return behind.content
        return None
