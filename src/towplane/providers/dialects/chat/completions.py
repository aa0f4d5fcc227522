"""Events as the bytes of the older completions: text alone, with no channel for anything else.

A prompt has no tools, so there are no calls; what the model thinks is billed and not shown.
"""

import secrets
from collections.abc import Iterable

import msgspec

from towplane.parts.usage import Usage
from towplane.providers.adapter import Writer
from towplane.providers.conversation.answer import (
    Ended,
    Event,
    LogProbs,
    RefusalGrows,
    Started,
    TextGrows,
    Used,
)
from towplane.providers.dialects.chat.finish import word_of
from towplane.providers.dialects.chat.usage import render_usage

__all__ = ["CompletionsWriter"]

_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    top_logprobs: list[_Alternative] = []


class _LogProbs(msgspec.Struct):
    tokens: list[str] = []
    token_logprobs: list[float] = []
    top_logprobs: list[dict[str, float]] = []
    text_offset: list[int] = []


class _Sample:
    """One choice, as far as it has come."""

    __slots__ = ("finish", "length", "logprobs", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.length = 0
        """Characters of the tokens whose probabilities were told."""
        self.logprobs = _LogProbs()
        self.finish = "stop"


_token = msgspec.json.Decoder(_Token)


class CompletionsWriter(Writer):
    """Writes one answer. `model` and `created` are what is said where the provider does not."""

    __slots__ = ("_created", "_head", "_keeps", "_model", "_samples", "_tail", "_tells_usage",
                 "_usage")  # fmt: skip

    def __init__(self, model: str, created: int, *, tells_usage: bool) -> None:
        self._model = model
        self._created = created
        self._tells_usage = tells_usage
        self._tail = b',"usage":null}\n\n' if tells_usage else b"}\n\n"
        self._head = b""
        self._keeps = False
        self._samples: dict[int, _Sample] = {}
        self._usage: Usage | None = None

    def stream(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, TextGrows | RefusalGrows):
                if self._keeps:
                    self._sample(event.choice).text.append(event.text)
                out.append(self._chunk(event.choice, event.text))
            elif isinstance(event, Ended):
                word = word_of(event, refused=False)
                sample = self._sample(event.choice)
                sample.finish = "stop" if word == "tool_calls" else word
                out.append(self._chunk(event.choice, "", finish=sample.finish))
            elif isinstance(event, LogProbs):
                out.append(self._chunk(event.choice, "", logprobs=self._told(event)))
            elif isinstance(event, Started):
                self._begin(event)
            elif isinstance(event, Used):
                self._usage = event.usage
        return b"".join(out)

    def end(self) -> bytes:
        if not self._tells_usage or self._usage is None:
            return _DONE
        self._begin(_UNSAID)
        return b'%b"choices":[],"usage":%b}\n\n%b' % (
            self._head,
            render_usage(self._usage),
            _DONE,
        )

    def whole(self, events: Iterable[Event]) -> bytes:
        self._keeps = True
        self.stream(events)
        self._begin(_UNSAID)
        choices = b",".join(self._whole(index) for index in sorted(self._samples))
        usage = b',"usage":' + render_usage(self._usage) if self._usage is not None else b""
        return b'%b"choices":[%b]%b}' % (self._head.removeprefix(b"data: "), choices, usage)

    # Private

    def _begin(self, started: Started) -> None:
        if self._head:
            return
        self._head = b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,' % (
            _encode(started.id or f"cmpl-{secrets.token_hex(12)}"),
            started.created or self._created,
            _encode(started.model or self._model),
        )

    def _sample(self, index: int) -> _Sample:
        return self._samples.setdefault(index, _Sample())

    def _chunk(
        self, index: int, text: str, *, finish: str | None = None, logprobs: bytes = b"null"
    ) -> bytes:
        self._begin(_UNSAID)
        return b'%b"choices":[{"index":%d,"text":%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._head,
            index,
            _encode(text),
            logprobs,
            _encode(finish),
            self._tail,
        )

    def _told(self, event: LogProbs) -> bytes:
        """The probabilities in the older form, which says where in the text each token is."""
        sample, told = self._sample(event.choice), _LogProbs([], [], [], [])
        for raw in event.content:
            token = _token.decode(raw)
            told.tokens.append(token.token)
            told.token_logprobs.append(token.logprob)
            told.top_logprobs.append({one.token: one.logprob for one in token.top_logprobs})
            told.text_offset.append(sample.length)
            sample.length += len(token.token)
        if self._keeps:
            sample.logprobs = _LogProbs(
                sample.logprobs.tokens + told.tokens,
                sample.logprobs.token_logprobs + told.token_logprobs,
                sample.logprobs.top_logprobs + told.top_logprobs,
                sample.logprobs.text_offset + told.text_offset,
            )
        return _encode(told)

    def _whole(self, index: int) -> bytes:
        sample = self._samples[index]
        logprobs = sample.logprobs if sample.logprobs.tokens else None
        return b'{"index":%d,"text":%b,"logprobs":%b,"finish_reason":"%b"}' % (
            index,
            _encode("".join(sample.text)),
            _encode(logprobs),
            sample.finish.encode(),
        )


_UNSAID = Started()
