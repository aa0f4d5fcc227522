"""Events as the bytes that a client of chat completions expects: chunks of a stream, or a body.

A stream's chunks are cut from templates of bytes, made once for each choice; only the text between
is encoded. Thoughts stand in `reasoning_content`, and once they are signed again in
`thinking_blocks` (see `turns.py`); citations with a URL in `annotations`, others in `citations` in
Anthropic's form. Entries of lists carry an `index` in streams, by which OpenAI's own client puts
deltas together. Finish reasons are in `finish.py`.
"""

import secrets
import time
from collections.abc import Iterable

import msgspec

from towplane.parts.usage import Usage
from towplane.providers.adapter import Writer
from towplane.providers.ask import Ask
from towplane.providers.conversation.answer import Event, Failed, Started, TextGrows, Used
from towplane.providers.dialects.chat.choice import Choice
from towplane.providers.dialects.chat.completions import CompletionsWriter
from towplane.providers.dialects.chat.usage import render_usage, service_word

__all__ = ["ChatWriter", "make_writer"]

_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"


def make_writer(ask: Ask) -> Writer:
    """The writer for one answer; it says when it was made, which no other dialect asks for."""
    kind = CompletionsWriter if ask.operation.name == "completions" else ChatWriter
    return kind(ask.model, int(time.time()), tells_usage=ask.wants_usage)


class ChatWriter(Writer):
    """Writes one answer. `model` and `created` are what is said where the provider does not."""

    __slots__ = ("_choices", "_created", "_head", "_keeps", "_model", "_tail", "_tells_usage",
                 "_usage")  # fmt: skip

    def __init__(self, model: str, created: int, *, tells_usage: bool) -> None:
        self._model = model
        self._created = created
        self._tells_usage = tells_usage
        self._tail = b',"usage":null}\n\n' if tells_usage else b"}\n\n"
        self._head = b""
        """How every chunk begins; empty until the first."""
        self._keeps = False
        self._choices: dict[int, Choice] = {}
        self._usage: Usage | None = None

    def stream(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is TextGrows:  # nearly all there are
                choice = self._choices.get(event.choice)
                if choice is not None and choice.part == "text" and not self._keeps:
                    text = event.text
                    choice.length += len(text)
                    out += (choice.text_head, _encode(text), choice.text_tail)
                    continue
            self._write(event, out)
        return b"".join(out)

    def end(self) -> bytes:
        if not self._tells_usage or self._usage is None:
            return _DONE
        self._begin(_UNSAID)
        return b'%b"choices":[]%b,"usage":%b}\n\n%b' % (
            self._head,
            self._service(),
            render_usage(self._usage),
            _DONE,
        )

    def whole(self, events: Iterable[Event]) -> bytes:
        self._keeps = True
        self.stream(events)
        self._begin(_UNSAID)
        head = self._head.removeprefix(b"data: ").replace(b".chunk", b"", 1)
        choices = b",".join(self._choices[index].whole() for index in sorted(self._choices))
        usage = b',"usage":' + render_usage(self._usage) if self._usage is not None else b""
        return b'%b"choices":[%b]%b%b}' % (head, choices, self._service(), usage)

    # Private

    def _write(self, event: Event, out: list[bytes]) -> None:
        if isinstance(event, Used):
            self._usage = event.usage
        elif isinstance(event, Started):
            self._begin(event)
            self._open(0, out)
        elif not isinstance(event, Failed):
            (self._choices.get(event.choice) or self._open(event.choice, out)).write(event, out)

    def _begin(self, started: Started) -> None:
        """How chunks begin is known with the first of them."""
        if self._head:
            return
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,' % (
            _encode(started.id or f"chatcmpl-{secrets.token_hex(12)}"),
            started.created or self._created,
            _encode(started.model or self._model),
        )

    def _open(self, index: int, out: list[bytes]) -> Choice:
        self._begin(_UNSAID)
        choice = self._choices.get(index)
        if choice is None:
            choice = Choice(index, self._head, self._tail, keeps=self._keeps)
            self._choices[index] = choice
            out.append(choice.begin())
        return choice

    def _service(self) -> bytes:
        word = service_word(self._usage)
        return b',"service_tier":"%b"' % word.encode() if word else b""


_UNSAID = Started()
