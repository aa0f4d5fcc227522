"""InvokeModel for Claude: the client's own Messages request, and its answer out of the frames.

A stream is frames of one kind, `chunk`, whose payload `{"bytes": base64}` holds an event of
Anthropic's. Each becomes the server-sent event that it would be at Anthropic's, and goes through
that dialect's own relay or parser, which counts tokens and reads usage. The last one carries
`amazon-bedrock-invocationMetrics` as well, which is what Bedrock bills: it is taken out of what the
client gets, and goes before what Anthropic's events say. Source: anthropic 2.12.0
`lib/bedrock/_stream_decoder.py`, `lib/bedrock/_client.py`. Pure.
"""

import msgspec

from towplane.parts.errors import ProtocolError, Upstream
from towplane.parts.usage import Detail, Usage
from towplane.providers.adapter import Losses, Parser, Place, Rendered
from towplane.providers.ask import Ask, read_field
from towplane.providers.bedrock.errors import judge_exception
from towplane.providers.bedrock.eventstream import FrameReader
from towplane.providers.bedrock.families import base_model, path_of
from towplane.providers.bedrock.tiers import service_tier, tier_of
from towplane.providers.bedrock.usage import CLASS_OF_TIER, normal_usage
from towplane.providers.bedrock.wire import TokenUsage
from towplane.providers.conversation.answer import Event, Failed, Used
from towplane.providers.conversation.request import Conversation
from towplane.providers.dialects.messages import (
    MessagesParser,
    MessagesRelay,
    body_for_cloud,
    render_messages,
)
from towplane.providers.reader import Reader

__all__ = [
    "InvokeCountReader",
    "InvokeParser",
    "InvokeRelay",
    "invoke",
    "invoke_count",
    "render_invoke",
]

ANTHROPIC_VERSION = "bedrock-2023-05-31"
"""The version that Bedrock wants in the body (anthropic 2.12.0 `lib/bedrock/_client.py`)."""
_TIER = "x-amzn-bedrock-service-tier"
_METRICS = b'"amazon-bedrock-invocationMetrics"'
_LIMIT = msgspec.Raw(b"1")
"""What CountTokens' body must say and does not count."""
_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str | None)


class _Chunk(msgspec.Struct):
    bytes: bytes


class _Metrics(msgspec.Struct, rename="camel"):
    input_token_count: int
    output_token_count: int
    cache_read_input_token_count: int | None = None
    cache_write_input_token_count: int | None = None


class _Counted(msgspec.Struct, rename="camel"):
    input_tokens: int


class _Typed(msgspec.Struct):
    type: str = ""


_chunk = msgspec.json.Decoder(_Chunk)
_metrics = msgspec.json.Decoder(_Metrics)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_counted = msgspec.json.Decoder(_Counted)
_typed = msgspec.json.Decoder(_Typed)


def invoke(ask: Ask, place: Place) -> Rendered:
    """The client's own request. Bedrock takes the tier as a header and refuses it in the body."""
    wish = _wish(ask)
    twin = ask.with_fields(
        {name: raw for name, raw in ask.fields.items() if name != "service_tier"}
    )
    body = body_for_cloud(twin, ANTHROPIC_VERSION, None)
    action = "invoke-with-response-stream" if ask.stream else "invoke"
    return Rendered(path_of(place.model, action), body, _tier_header(tier_of(wish, place)))


def invoke_count(ask: Ask, place: Place) -> Rendered:
    """The client's own question for a count; CountTokens knows no profiles, only models."""
    twin = ask.with_fields({"max_tokens": _LIMIT, **ask.fields})
    body = body_for_cloud(twin, ANTHROPIC_VERSION, None)
    wanted = _encode({"input": {"invokeModel": {"body": body}}})  # bytes are written in base64
    return Rendered(path_of(base_model(place.model), "count-tokens"), wanted)


class InvokeRelay(Reader):
    """Gives a client of Messages what Claude says, out of its frames."""

    __slots__ = ("_chunks", "_inner", "_tier")

    def __init__(self, ask: Ask, place: Place) -> None:
        super().__init__()
        self._inner = MessagesRelay(place.target)
        self._chunks = _ChunkReader(place.target)
        self._tier = tier_of(_wish(ask), place) or ""

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        chunks, inner = self._chunks, self._inner
        events = chunks.feed(payload) if payload else b""
        is_over = whole or chunks.failure is not None
        if not events and not is_over:
            return b"", 0, False
        out, tokens, ends = inner.read(events, whole=is_over)
        self.finished, self.is_told, self.begun = inner.finished, inner.is_told, inner.begun
        self.failed = chunks.failure or inner.failed
        self.usage = _settle(inner.usage, chunks.metrics, self._tier)
        return out, tokens, ends

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        out, estimate = self._inner.read_whole(body)
        self.usage = _settle(self._inner.usage, None, self._tier)
        return out, estimate

    def read_tail(self, tail: bytes) -> None:
        self._inner.read_tail(tail)
        self.usage = _settle(self._inner.usage, None, self._tier)


class InvokeCountReader(Reader):
    """Makes Anthropic's answer of CountTokens'."""

    __slots__ = ()

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:  # noqa: ARG002  # never called
        raise ProtocolError("A count is not streamed.", reason="upstream-protocol")

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        self.usage = Usage(0)
        return b'{"input_tokens":%d}' % read_count(body), 0

    @property
    def passes_through(self) -> bool:
        return False


def read_count(body: bytes) -> int:
    """The answer of CountTokens. Raises ProtocolError."""
    try:
        return _counted.decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProtocolError(
            f"Bedrock's count is not what it should be: {wrong}.", reason="upstream-protocol"
        ) from None


def render_invoke(conversation: Conversation, place: Place, losses: Losses) -> Rendered:
    """A conversation of another dialect for InvokeModel (`api: invoke`).

    Its answers do not say which tier they had, and who parses them does not know the request: so
    the tier is the document's, or the price would be a guess.
    """
    tier = place.options.get("service", "")
    if service_tier(conversation, place, losses) != tier:
        name = conversation.params.get("service", "service_tier")
        losses.lose(name, where="Bedrock's InvokeModel, whose answers do not tell it")
    body = render_messages(
        msgspec.structs.replace(conversation, service=""),
        None,
        losses,
        "Bedrock's InvokeModel",
        known_as=base_model(place.model),
        version=ANTHROPIC_VERSION,
        says_stream=False,
    )
    action = "invoke-with-response-stream" if conversation.stream else "invoke"
    return Rendered(path_of(place.model, action), body, _tier_header(tier))


class InvokeParser(Parser):
    """Reads an answer of InvokeModel as events, for clients of other dialects."""

    __slots__ = ("_chunks", "_inner", "_said", "_tier")

    def __init__(self, place: Place) -> None:
        self._inner = MessagesParser(place.target)
        self._chunks = _ChunkReader(place.target)
        self._said: Usage | None = None
        self._tier = place.options.get("service", "")

    @property
    def is_done(self) -> bool:  # type: ignore[override]  # here it is found out, not set
        """Whether the message has stopped."""
        return self._inner.is_done or self._chunks.failure is not None

    def feed(self, payload: bytes) -> list[Event]:
        chunks = self._chunks
        had_metrics = chunks.metrics is not None
        events = self._settled(self._inner.feed(chunks.feed(payload)))
        if chunks.metrics is not None and not had_metrics:
            usage = _settle(self._said, chunks.metrics, self._tier)
            assert usage is not None
            events.append(Used(usage))
        if chunks.failure is not None and not self._inner.is_done:
            events.append(Failed(chunks.failure))
        return events

    def close(self) -> list[Event]:
        return [] if self.is_done else self._settled(self._inner.close())

    def whole(self, body: bytes) -> list[Event]:
        return self._settled(self._inner.whole(body))

    def _settled(self, events: list[Event]) -> list[Event]:
        for place, event in enumerate(events):
            if isinstance(event, Used) and event.is_final:
                self._said = event.usage
                usage = _settle(event.usage, None, self._tier)
                assert usage is not None
                events[place] = Used(usage)
        return events


class _ChunkReader:
    """Makes server-sent events of the frames of a stream."""

    __slots__ = ("_frames", "_target", "failure", "metrics")

    def __init__(self, target: str) -> None:
        self._target = target
        self._frames = FrameReader()
        self.failure: Upstream | None = None
        """What an exception in the stream says; nothing is read after it."""
        self.metrics: Usage | None = None
        """What Bedrock bills, once it has said so."""

    def feed(self, payload: bytes) -> bytes:
        """The events that are now complete. Raises ProtocolError."""
        out: list[bytes] = []
        for (kind, name, say), content in self._frames.feed(payload):
            if self.failure is not None:
                break
            if kind != "event":
                said = content if kind == "exception" else _encode({"message": say})
                self.failure = judge_exception(name, said, self._target)
            elif name == "chunk":
                out.append(self._event(content))
        return b"".join(out)

    def _event(self, content: bytes) -> bytes:
        try:
            data = _chunk.decode(content).bytes
            if _METRICS in data:
                data = self._take_metrics(data)
            if data.startswith(b'{"type":"'):
                kind = data[9 : data.find(b'"', 9)]
            else:
                kind = _typed.decode(data).type.encode()
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise ProtocolError(
                f"A chunk of {self._target} is not what it should be: {wrong}.",
                reason="upstream-protocol",
            ) from None
        if b"\n" in data or b"\r" in data:  # outside of strings, where JSON escapes them
            data = data.replace(b"\n", b" ").replace(b"\r", b" ")
        return b"event: %b\ndata: %b\n\n" % (kind, data)

    def _take_metrics(self, data: bytes) -> bytes:
        fields = _fields.decode(data)
        raw = fields.pop("amazon-bedrock-invocationMetrics", None)
        if raw is None:  # the words stand in the answer's text
            return data
        told = _metrics.decode(raw)
        self.metrics = normal_usage(
            TokenUsage(
                told.input_token_count,
                told.output_token_count,
                told.cache_read_input_token_count,
                told.cache_write_input_token_count,
            )
        )
        return _encode(fields)


def _settle(said: Usage | None, billed: Usage | None, tier: str) -> Usage | None:
    """One usage of what Anthropic's events say and what Bedrock's metrics say.

    The metrics decide the totals, the events the detail that the metrics do not have (lifetimes of
    caches, reasoning, searches). The tier stands only in a header of the answer: it is taken to be
    the one that was asked for.
    """
    usage = billed or said
    if said is not None and billed is not None:
        same = (said.input, said.cached) == (billed.input, billed.cached)
        detail = said.detail if same else billed.detail
        usage = Usage(billed.input, billed.output, billed.cached, detail)
    service = CLASS_OF_TIER.get(tier, "standard")
    if usage is None or service == "standard":
        return usage
    detail = msgspec.structs.replace(usage.detail or Detail(), service=service)
    return msgspec.structs.replace(usage, detail=detail)


def _wish(ask: Ask) -> str:
    raw = ask.fields.get("service_tier")
    return "" if raw is None else read_field(_text, raw, "service_tier", "a string") or ""


def _tier_header(tier: str | None) -> tuple[tuple[str, str], ...]:
    return ((_TIER, tier),) if tier else ()
