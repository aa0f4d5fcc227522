"""One choice of an answer that is written: its chunks, and what it has to remember for them.

A thought is kept until it is known whether it is signed; a citation until the text it belongs to is
over, because its place in the text is told. Everything else is remembered only for an answer in one
piece. Knows no usage and no head of a chunk.
"""

from typing import Literal

import msgspec

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
    TextGrows,
    ThoughtGrows,
)
from towplane.providers.dialects.chat.finish import is_lossy, word_of
from towplane.providers.dialects.chat.message import (
    Annotation,
    Call,
    Extra,
    Function,
    Google,
    Message,
    Redacted,
    Source,
    Thinking,
    ToldLogProbs,
    UrlCitation,
    WholeChoice,
)

__all__ = ["Choice"]

_encode = msgspec.json.Encoder().encode
_UNSET = msgspec.UNSET


_source = msgspec.json.Decoder(Source)


class Choice:
    """Writes and, for an answer in one piece (`keeps`), remembers."""

    __slots__ = (
        "_annotations",
        "_blocks",
        "_calls",
        "_citations",
        "_cited",
        "_head",
        "_index",
        "_keeps",
        "_logprobs",
        "_refusal",
        "_signature",
        "_tail",
        "_text",
        "_text_start",
        "_thought",
        "_thoughts",
        "ended",
        "length",
        "part",
        "text_head",
        "text_tail",
    )  # fmt: skip

    def __init__(self, index: int, head: bytes, tail: bytes, *, keeps: bool) -> None:
        self._index = index
        self._keeps = keeps
        self._head = b'%b"choices":[{"index":%d,"delta":' % (head, index)
        self._tail = tail
        self.text_head = self._head + b'{"content":'
        self.text_tail = b'},"logprobs":null,"finish_reason":null}]%b' % tail
        self.part: Literal["", "text", "thought"] = ""
        """Which part runs."""
        self.length = 0
        """Characters of text so far."""
        self.ended: Ended | None = None
        self._text_start = 0
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._thoughts: list[str] = []
        self._thought: list[str] = []
        """Of the thought that runs."""
        self._signature = ""
        """Belongs to the call that begins next."""
        self._blocks: list[Thinking | Redacted] = []
        self._cited: list[msgspec.Raw] = []
        """Sources of the text that runs."""
        self._annotations: list[Annotation] = []
        self._citations: list[msgspec.Raw] = []
        self._calls: list[Call] = []
        self._logprobs: list[msgspec.Raw] = []

    def begin(self) -> bytes:
        """The first chunk: the role alone."""
        return self.chunk(b'{"role":"assistant","content":"","refusal":null}')

    def chunk(self, delta: bytes) -> bytes:
        """A chunk with this delta."""
        return b'%b%b,"logprobs":null,"finish_reason":null}]%b' % (self._head, delta, self._tail)

    def turn_to(self, part: Literal["", "text", "thought"], out: list[bytes]) -> None:
        """Another part begins: what waited for the end of this one is written."""
        if self._cited and (self.part == "text" or not part):
            self._write_citations(out)
        self._thought.clear()
        self._text_start = self.length
        self.part = part

    def write(self, event: Event, out: list[bytes]) -> None:
        """One event of this choice."""
        match event:
            case TextGrows(text):
                if self.part != "text":
                    self.turn_to("text", out)
                self.length += len(text)
                if self._keeps:
                    self._text.append(text)
                out += (self.text_head, _encode(text), self.text_tail)
            case ThoughtGrows(text):
                if self.part != "thought":
                    self.turn_to("thought", out)
                self._thought.append(text)
                if self._keeps:
                    self._thoughts.append(text)
                out.append(self.chunk(b'{"reasoning_content":%b}' % _encode(text)))
            case CallGrows(call, arguments):
                self._grow_call(call, arguments, out)
            case CallBegins():
                self._begin_call(event, out)
            case Signed(signature):
                self._sign(signature, out)
            case RedactedThought(data):
                self._add_block(Redacted(_UNSET, "redacted_thinking", data), out)
            case RefusalGrows(text):
                self._refusal.append(text)
                out.append(self.chunk(b'{"refusal":%b}' % _encode(text)))
            case Cited(citation):
                self._cited.append(citation)
            case LogProbs(content):
                if self._keeps:
                    self._logprobs += content
                told = _encode(ToldLogProbs(content))
                end = b'{},"logprobs":%b,"finish_reason":null}]%b' % (told, self._tail)
                out.append(self._head + end)
            case PartEnds():
                self.turn_to("", out)
            case Ended():
                self._end(event, out)
            case _:
                pass

    def whole(self) -> bytes:
        """The choice in one piece."""
        text, refusal = "".join(self._text), "".join(self._refusal)
        is_silent = not text and bool(self._calls or refusal)
        message = Message(
            role="assistant",
            content=None if is_silent else text,
            refusal=refusal or None,
            reasoning_content="".join(self._thoughts) or _UNSET,
            thinking_blocks=self._blocks or _UNSET,
            annotations=self._annotations or _UNSET,
            citations=self._citations or _UNSET,
            tool_calls=self._calls or _UNSET,
        )
        ended = self.ended or Ended("stop")
        return _encode(
            WholeChoice(
                index=self._index,
                message=message,
                logprobs=ToldLogProbs(self._logprobs) if self._logprobs else None,
                finish_reason=word_of(ended, refused=bool(refusal)),
                stop_reason=ended.stop_sequence or _UNSET,
                native_finish_reason=ended.said if is_lossy(ended) else _UNSET,
            )
        )

    # Private

    def _begin_call(self, event: CallBegins, out: list[bytes]) -> None:
        self.turn_to("", out)
        signature = event.signature or self._signature
        self._signature = ""
        extra = Extra(Google(signature)) if signature else _UNSET
        call = Call(event.call, event.id, "function", Function(event.name, ""), extra)
        out.append(self.chunk(b'{"tool_calls":[%b]}' % _encode(call)))
        if self._keeps:
            call.index = _UNSET
            self._calls.append(call)

    def _grow_call(self, call: int, arguments: str, out: list[bytes]) -> None:
        if self._keeps:
            self._calls[call].function.arguments += arguments
        piece = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
        out.append(self.chunk(piece % (call, _encode(arguments))))

    def _sign(self, signature: str, out: list[bytes]) -> None:
        if not self._thought:
            self._signature = signature
            return
        self._add_block(Thinking(_UNSET, "thinking", "".join(self._thought), signature), out)
        self._thought.clear()

    def _add_block(self, block: Thinking | Redacted, out: list[bytes]) -> None:
        block.index = len(self._blocks)
        out.append(self.chunk(b'{"thinking_blocks":[%b]}' % _encode(block)))
        if self._keeps:
            block.index = _UNSET
        self._blocks.append(block)

    def _write_citations(self, out: list[bytes]) -> None:
        """Those of the text that runs: all of it is what they are sources of."""
        for raw in self._cited:
            source = _read_source(raw)
            if not source.url:
                self._citations.append(raw)
                out.append(self.chunk(b'{"citations":[%b]}' % _numbered(raw, self._citations)))
                continue
            place = UrlCitation(self._text_start, self.length, source.url, source.title or "")
            note = Annotation(len(self._annotations), "url_citation", place)
            out.append(self.chunk(b'{"annotations":[%b]}' % _encode(note)))
            if self._keeps:
                note.index = _UNSET
            self._annotations.append(note)
        self._cited.clear()

    def _end(self, ended: Ended, out: list[bytes]) -> None:
        self.turn_to("", out)
        if self._signature:  # of no call: it goes back as a thought without words
            signature, self._signature = self._signature, ""
            self._add_block(Thinking(_UNSET, "thinking", "", signature), out)
        self.ended = ended
        word = word_of(ended, refused=bool(self._refusal))
        more = b""
        if ended.stop_sequence:
            more += b',"stop_reason":%b' % _encode(ended.stop_sequence)
        if is_lossy(ended):
            more += b',"native_finish_reason":%b' % _encode(ended.said)
        end = b'{},"logprobs":null,"finish_reason":"%b"%b}]%b' % (word.encode(), more, self._tail)
        out.append(self._head + end)


def _read_source(raw: msgspec.Raw) -> Source:
    try:
        return _source.decode(raw)
    except msgspec.DecodeError:
        return Source()


def _numbered(raw: msgspec.Raw, listed: list[msgspec.Raw]) -> bytes:
    """The object with the `index` that it has in the list."""
    return b'{"index":%d,%b' % (len(listed) - 1, bytes(raw).lstrip()[1:])
