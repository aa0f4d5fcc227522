"""What a server of this wire answers, as events: chunks of a stream cut anywhere, or a body.

It takes the wire as servers really speak it: thoughts in `reasoning_content`, in `reasoning` or in
a list of parts; calls without an index or an id; usage in the last chunk, in every chunk, under
`x_groq` or nowhere; an error at any time; a first chunk that has no choices (Azure). What it does
not know it skips. What a chunk should never be (its choices no list, say) breaks the answer.
"""

import secrets
from typing import NoReturn

import msgspec

from towplane.parts.errors import ProtocolError, Upstream
from towplane.parts.sse import WholeEvents, first_event
from towplane.providers.adapter import Parser
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    Finish,
    LogProbs,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.dialects.chat.chunk import (
    Block,
    Call,
    Choice,
    Chunk,
    Delta,
    Function,
    Piece,
)
from towplane.providers.dialects.chat.finish import BROKEN, FINISHES
from towplane.providers.dialects.chat.template import Template, template_of
from towplane.providers.dialects.chat.usage import Usage
from towplane.providers.dialects.chat.verdict import broken, judge_said, read_said
from towplane.providers.dialects.chat.wire import DONE, is_said

__all__ = ["ChatParser", "make_parser"]

_LEARNS = 32
"""How often a template is looked for: for thoughts, text and some calls, and not for ever where no
two chunks are alike."""


class _UrlCited(msgspec.Struct):
    """A citation with a URL in Anthropic's form."""

    url: str
    title: str
    type: str = "web_search_result_location"
    cited_text: str = ""
    encrypted_index: str = ""


class _State:
    """One choice, as far as it has come."""

    __slots__ = ("calls", "ended", "has_refused", "ids", "said", "thinks_in_field")

    def __init__(self) -> None:
        self.thinks_in_field = False
        """Thoughts come in `reasoning_content`; blocks only repeat them."""
        self.calls = 0
        self.ids: dict[int | str, int] = {}
        """Ours by the server's own index, or by its id where it has none."""
        self.said: dict[int, str] = {}
        """By ours, the server's id."""
        self.has_refused = False
        self.ended = False


_chunk = msgspec.json.Decoder(Chunk)
_usage = msgspec.json.Decoder(Usage)
_encode = msgspec.json.Encoder().encode


def make_parser(target: str) -> Parser:
    """The parser for one answer of `target`."""
    return ChatParser(target)


class ChatParser(Parser):
    """Reads one answer."""

    __slots__ = ("_events", "_failed", "_has_started", "_learned", "_service", "_states", "_target",
                 "_template", "is_done")  # fmt: skip

    def __init__(self, target: str) -> None:
        self._target = target
        self._events = WholeEvents()
        self._states: dict[int, _State] = {}
        self._has_started = False
        self._failed = False
        self._service: str | None = None
        self._template: Template | None = None
        self._learned = 0
        self.is_done = False

    def feed(self, payload: bytes) -> list[Event]:
        return self._read(self._events.take(payload))

    def close(self) -> list[Event]:
        events = self._read(self._events.rest())
        if not (self._failed or self.is_done or any(one.ended for one in self._states.values())):
            raise ProtocolError(
                f"{self._target} ended its stream without a finish reason.",
                reason="upstream-truncated",
            )
        return events

    def whole(self, body: bytes) -> list[Event]:
        events: list[Event] = []
        self._read_chunk(body, events)
        if not self._failed and not any(one.ended for one in self._states.values()):
            if not self._states:
                self._break("answered without a choice")
            self._finish(events)
        return events

    # Private

    def _read(self, payload: bytes) -> list[Event]:
        """The events of whole server-sent events; nothing after the end or a failure counts."""
        events: list[Event] = []
        start, end = 0, len(payload)
        while start < end and not (self._failed or self.is_done):
            template = self._template
            found = template.read(payload, start, end) if template is not None else None
            if template is not None and found is not None:
                text, start = found
                if text:
                    events.append(template.make(text))
                continue
            raw, data = first_event(payload, start)
            start += len(raw)
            if data == DONE:
                self._finish(events)
                self.is_done = True
            elif data:
                known = len(events)
                self._read_chunk(data, events)
                if len(events) == known + 1 and self._learned < _LEARNS:
                    self._learned += 1
                    self._template = template_of(raw, events[known]) or template
        return events

    def _finish(self, events: list[Event]) -> None:
        """The server says that it is done: what it has not ended has come to its end."""
        for index, state in self._states.items():
            if not state.ended:
                state.ended = True
                events.append(Ended("tool_calls" if state.calls else "stop", choice=index))

    def _read_chunk(self, data: bytes, events: list[Event]) -> None:
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
            raise ProtocolError(
                f"{self._target} answered with something that is no chat completion: {wrong}.",
                reason="upstream-protocol",
            ) from None
        if chunk.service_tier:
            self._service = chunk.service_tier
        if is_said(chunk.error) or (chunk.object == "error" and is_said(chunk.message)):
            said = read_said(chunk.error if is_said(chunk.error) else data)
            self._fail(judge_said(said, None, self._target), events)
            return
        if chunk.choices:
            if not self._has_started:
                self._has_started = True
                events.append(Started(chunk.id or "", chunk.model or "", int(chunk.created or 0)))
            for choice in chunk.choices:
                self._read_choice(choice, events)
                if self._failed:
                    return
        usage = chunk.usage
        if chunk.x_groq is not None and not is_said(usage):
            usage = chunk.x_groq.usage
        if is_said(usage):
            self._note_usage(usage, events)

    def _read_choice(self, choice: Choice, events: list[Event]) -> None:
        index = choice.index or 0
        state = self._states.get(index)
        if state is None:
            state = self._states[index] = _State()
        delta = choice.delta or choice.message
        if delta is not None:
            self._read_delta(delta, index, state, events)
        elif choice.text:
            events.append(TextGrows(choice.text, index))
        if choice.logprobs is not None and choice.logprobs.content:
            events.append(LogProbs(choice.logprobs.content, index))
        word = choice.finish_reason
        if word is None or word == "" or state.ended:
            return
        if word in BROKEN:
            self._fail(broken(word, self._target), events)
            return
        state.ended = True
        events.append(self._ended(word, choice.stop_reason, state, index))

    def _read_delta(self, delta: Delta, index: int, state: _State, events: list[Event]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            state.thinks_in_field = True
            events.append(ThoughtGrows(thought, index))
        if delta.thinking_blocks:
            _read_blocks(delta.thinking_blocks, index, state, events)
        content = delta.content
        if content:
            if isinstance(content, str):
                events.append(TextGrows(content, index))
            else:
                _read_pieces(content, index, events)
        if delta.refusal:
            state.has_refused = True
            events.append(RefusalGrows(delta.refusal, index))
        for annotation in delta.annotations or ():
            source = annotation.url_citation
            if source is not None and source.url:
                cited = _encode(_UrlCited(source.url, source.title or ""))
                events.append(Cited(msgspec.Raw(cited), index))
        for citation in delta.citations or ():
            if bytes(memoryview(citation)[:1]) == b"{":
                events.append(Cited(citation, index))
        for place, call in enumerate(delta.tool_calls or ()):
            _read_call(call, place, index, state, events)
        if delta.function_call is not None:
            _read_call(Call(0, None, delta.function_call), 0, index, state, events)

    def _ended(self, word: str, stop: str | int | None, state: _State, index: int) -> Ended:
        reason: Finish = FINISHES.get(word, "other")
        if reason == "stop":
            if state.calls:  # a forced call ends so, with OpenAI too
                reason = "tool_calls"
            elif state.has_refused:
                reason = "refusal"
            elif isinstance(stop, str) and stop:
                reason = "stop_sequence"
        sequence = stop if reason == "stop_sequence" and isinstance(stop, str) else ""
        return Ended(reason, sequence, word, index)

    def _note_usage(self, raw: msgspec.Raw, events: list[Event]) -> None:
        try:
            usage = _usage.decode(raw)
        except msgspec.DecodeError:
            return  # unknown is unknown
        events.append(Used(usage.normal(self._service)))

    def _fail(self, error: Upstream, events: list[Event]) -> None:
        self._failed = True
        error.in_stream = True
        events.append(Failed(error))

    def _break(self, what: str) -> NoReturn:
        raise ProtocolError(f"{self._target} {what}.", reason="upstream-protocol")


def _read_call(call: Call, place: int, index: int, state: _State, events: list[Event]) -> None:
    """A call begins where its index, or without one its id, is new; also where an index comes again
    with another id and a name, as some servers count every call from 0. Another id alone begins
    nothing: there are servers that make one up for each delta."""
    function = call.function or Function()
    key: int | str = call.index if call.index is not None else (call.id or place)
    number = state.ids.get(key)
    is_other = bool(call.id and function.name and state.said.get(number or 0, call.id) != call.id)
    if number is None or is_other:
        number = state.ids[key] = state.calls
        state.calls += 1
        signature = ""
        if call.extra_content is not None and call.extra_content.google is not None:
            signature = call.extra_content.google.thought_signature
        name = call.id or f"call_{secrets.token_hex(12)}"
        if call.id:
            state.said[number] = call.id
        events.append(CallBegins(number, name, function.name or "", signature, index))
    arguments = function.arguments
    if arguments:
        if not isinstance(arguments, str):
            arguments = _encode(arguments).decode()
        events.append(CallGrows(number, arguments, index))


def _read_blocks(blocks: list[Block], index: int, state: _State, events: list[Event]) -> None:
    """Signatures, and what was thought where no other field says so (LiteLLM and this plane)."""
    for block in blocks:
        if block.data:
            events.append(RedactedThought(block.data, index))
        if block.thinking and not state.thinks_in_field:
            events.append(ThoughtGrows(block.thinking, index))
        if block.signature:
            events.append(Signed(block.signature, index))


def _read_pieces(pieces: list[Piece], index: int, events: list[Event]) -> None:
    for piece in pieces:
        if piece.text:
            events.append(TextGrows(piece.text, index))
        thought = piece.thinking
        if isinstance(thought, list):
            thought = "".join(one.text or "" for one in thought)
        if thought:
            events.append(ThoughtGrows(thought, index))
