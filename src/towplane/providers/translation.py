"""From a request and a target to the call that goes up: as it came, or translated.

    same dialect       ask ──passthrough──▶ provider ──bytes──▶ Relay ──the same bytes──▶ client
    another dialect    ask ──read─▶ Conversation ──render─▶ provider
                       client ◀─write── Events ◀──parse── provider

Pure. This is the only file in which dialects and providers meet.
"""

from collections.abc import Iterable

from towplane.parts.errors import ProtocolError
from towplane.providers.adapter import Adapter, Call, Losses, Parser, Place, Writer
from towplane.providers.ask import Ask
from towplane.providers.conversation.answer import Ended, Event, Failed, Used, is_token
from towplane.providers.dialects import dialect_of
from towplane.providers.reader import Reader

__all__ = ["Translated", "prepare"]

_JSON = b"application/json"


def prepare(ask: Ask, place: Place, adapter: Adapter, *, may_drop: bool) -> Call:
    """The call that answers `ask` at `place`. Raises BadRequest where there is no way."""
    operation = ask.operation
    dialect = dialect_of(operation.dialect)
    if adapter.is_native(operation.name, place):
        relay = adapter.relay(ask, place) if adapter.relay is not None else None
        if relay is not None:  # the client's dialect, but framed otherwise, as are its errors
            content_type = b"text/event-stream" if ask.stream else _JSON
            return Call(adapter.passthrough(ask, place), relay, False, content_type)
        reader = dialect.make_relay(ask, place.target)
        return Call(adapter.passthrough(ask, place), reader, True)
    losses = Losses(may_drop=may_drop)
    if operation.name == "embeddings":
        from towplane.providers.embeddings import prepare_embeddings  # rarely asked for

        return prepare_embeddings(ask, place, adapter, losses)
    if operation.name == "count_tokens":
        from towplane.providers.counting import prepare_count

        return prepare_count(ask, place, adapter, losses)
    conversation = ask.conversation(dialect.read)
    rendered = adapter.render(conversation, place, losses)
    reader = Translated(adapter.make_parser(place, ask.stream), dialect.make_writer(ask))
    return Call(
        rendered,
        reader,
        is_native=False,
        content_type=b"text/event-stream" if ask.stream else _JSON,
        dropped=tuple(losses.dropped),
    )


class Translated(Reader):
    """Parses a provider's answer and writes it in the client's dialect."""

    __slots__ = ("_parser", "_writer")

    def __init__(self, parser: Parser, writer: Writer) -> None:
        super().__init__()
        self._parser = parser
        self._writer = writer

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        parser = self._parser
        events = parser.feed(payload) if payload else []
        ends = parser.is_done
        if whole and not ends:
            events += parser.close()
            ends = True
        tokens = self._note(events)
        if self.failed is not None:
            events.pop()  # the client hears of it in the words of its own dialect
            return self._writer.stream(events), tokens, True
        out = self._writer.stream(events) if events else b""
        if ends:
            if not self.finished:
                raise ProtocolError(
                    "The target ended its stream without a finish reason.",
                    reason="upstream-truncated",
                )
            out += self._writer.end()
        return out, tokens, ends

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        events = self._parser.whole(body)
        self._note(events)
        if self.failed is not None:
            raise self.failed
        letters = sum(len(getattr(event, "text", "")) for event in events)
        estimate = 0 if self.usage is not None else (letters + 3) // 4
        return self._writer.whole(events), estimate

    @property
    def passes_through(self) -> bool:
        return False

    def _note(self, events: Iterable[Event]) -> int:
        """Keep usage, end and failure; how many events are tokens."""
        tokens = 0
        for event in events:
            if is_token(event):
                tokens += 1
            elif type(event) is Used:
                if event.is_final:
                    self.usage = event.usage
                else:
                    self.begun = event.usage
            elif type(event) is Ended:
                self.finished = True
            elif type(event) is Failed:
                self.failed = event.error
        return tokens
