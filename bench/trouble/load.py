"""Clients: all dialects, streamed and not, with tools, with limits, some of which leave early.

Requests arrive at random at a steady rate, whatever becomes of those before them. Each has a mark
in its prompt; what came back is read at once (`answers`), and only its `Outcome` is kept.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from towplane.testing.client import Answer
from towplane.testing.framing import Malformed, Message, MessageReader
from trouble.answers import Kind, Reading, read_answer
from trouble.moods import MARK
from trouble.scene import MODELS
from trouble.vendors import KEYS

__all__ = ["Load", "Outcome"]

Dialect = Literal["chat", "responses", "messages"]

_PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
_DIALECTS: tuple[Dialect, ...] = ("chat", "chat", "responses", "messages")
_PATIENCE_S = 30.0
"""Far beyond the plane's own total: who waits so long has not been answered."""
_IDLE_S = 20.0
_MOST = 400
"""Requests at the same time; those above are not sent, and counted."""
_WORDS = [
    "how",
    "high",
    "does",
    "the",
    "glider",
    "fly",
    "when",
    "the",
    "rope",
    "is",
    "long",
    "today",
]
_MOST_WRONG = 50


class Outcome(NamedTuple):
    """What became of one request."""

    mark: str
    dialect: str
    streams: bool
    request_id: str
    """Empty: the client left before it knew."""
    status: int
    reason: str
    """`x-towplane-reason` of a refusal."""
    kind: Kind | Literal["left"]
    attempt: str
    """The attempt whose words came; empty: none, or words without one."""


class _Request(NamedTuple):
    mark: str
    dialect: Dialect
    streams: bool
    has_tools: bool
    data: bytes


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    idle_since: float = 0.0


@dataclass
class Load:
    """The clients of one run."""

    address: tuple[str, int]
    keys: tuple[str, ...]
    rate: float
    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What must not be, the first of it in words."""
    wrong_count: int = 0
    not_sent: int = 0
    _idle: list[_Connection] = field(default_factory=list)
    _running: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, seconds: float) -> None:
        """Send for so long, then wait for the last answers."""
        loop = asyncio.get_running_loop()
        self._random = random.Random(f"{self.seed} load")
        ends = loop.time() + seconds
        due = loop.time()
        number = 0
        while due < ends:
            due += self._random.expovariate(self.rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            request = self._make(number)
            leaves_s = self._random.uniform(0.0, 0.5) if self._random.random() < 0.06 else None
            number += 1
            if len(self._running) >= _MOST:
                self.not_sent += 1
                continue
            task = loop.create_task(self._one(request, leaves_s))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.gather(*self._running)
        for connection in self._idle:
            connection.writer.transport.abort()

    def _make(self, number: int) -> _Request:
        rng = self._random
        dialect = rng.choice(_DIALECTS)
        mark = f"mark-{number:08x}"
        streams, has_tools = rng.random() < 0.6, rng.random() < 0.15
        text = " ".join([mark, *_WORDS * rng.randint(1, 4)]) + (" [tool]" if has_tools else "")
        most = rng.randint(16, 40) if rng.random() < 0.15 else None
        body = {"model": rng.choice(MODELS), **_BODIES[dialect](text, most)}
        if has_tools:
            body["tools"] = [_tool(dialect, mark)]
        if dialect == "messages" and rng.random() < 0.3:
            topic = " ".join([*_WORDS * 2, f"topic{rng.randint(0, 20)}"])
            ttl = {"ttl": "1h"} if rng.random() < 0.3 else {}
            cache = {"cache_control": {"type": "ephemeral", **ttl}}
            body["system"] = [{"type": "text", "text": topic, **cache}]
        if streams:
            body["stream"] = True
            if dialect == "chat" and rng.random() < 0.5:
                body["stream_options"] = {"include_usage": True}
        data = json.dumps(body).encode()
        head = (
            f"POST {_PATHS[dialect]} HTTP/1.1\r\nhost: plane\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {rng.choice(self.keys)}\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        return _Request(mark, dialect, streams, has_tools, head.encode() + data)

    async def _one(self, request: _Request, leaves_s: float | None) -> None:
        answer = Answer()
        has_left = False
        try:
            async with asyncio.timeout(_PATIENCE_S if leaves_s is None else leaves_s):
                await self._ask(request.data, answer)
        except TimeoutError:
            has_left = leaves_s is not None
            answer.error = "hangs"
        except (OSError, Malformed, EOFError) as error:
            answer.error = repr(error)
        if has_left:
            self._keep(request, answer, "left", "")
            return
        kind, reading = read_answer(request.dialect, request.streams, answer)
        attempt = _attempt_in(reading)
        wrong = reading.wrong + _check(request, answer, kind, reading)
        self._keep(request, answer, kind, attempt)
        self._complain(request, answer, wrong)

    def _keep(
        self, request: _Request, answer: Answer, kind: Kind | Literal["left"], attempt: str
    ) -> None:
        self.outcomes.append(
            Outcome(
                request.mark,
                request.dialect,
                request.streams,
                answer.request_id,
                answer.status,
                answer.reason,
                kind,
                attempt,
            )
        )

    def _complain(self, request: _Request, answer: Answer, wrong: list[str]) -> None:
        self.wrong_count += len(wrong)
        where = f"{request.mark} {request.dialect}{' stream' if request.streams else ''}"
        for one in wrong[: _MOST_WRONG - len(self.wrong)]:
            target = answer.headers.get("x-towplane-target", "")
            self.wrong.append(f"{where} {answer.request_id} {target} {answer.status}: {one}")

    async def _ask(self, data: bytes, answer: Answer) -> None:
        """Send on a connection that is there or on a new one; read one answer."""
        loop = asyncio.get_running_loop()
        connection = self._take(loop.time())
        if connection is None:
            connection = _Connection(*await asyncio.open_connection(*self.address))
        is_good = False
        try:
            connection.writer.write(data)
            is_good = await _read(connection.reader, answer)
        finally:
            if is_good:
                self._idle.append(connection._replace(idle_since=loop.time()))
            else:
                connection.writer.transport.abort()

    def _take(self, now: float) -> _Connection | None:
        while self._idle:
            found = self._idle.pop()
            if now - found.idle_since < _IDLE_S and not found.reader.at_eof():
                return found
            found.writer.transport.abort()
        return None


async def _read(reader: asyncio.StreamReader, answer: Answer) -> bool:
    """Read one answer; whether the connection may be used again."""
    heads: list[Message] = []
    messages = MessageReader("response", on_head=heads.append)
    is_over = False
    try:
        while not (heads and heads[-1].complete):
            data = await reader.read(65536)
            if not data:
                is_over = True
                messages.end()
                break
            if len(messages.feed(data)) > 1:
                raise Malformed("a second answer to one request")
    finally:
        if heads:
            head = heads[-1]
            answer.status = head.status
            answer.headers = {k.decode(): v.decode("latin-1") for k, v in head.headers}
            answer.body = bytes(head.body)
            answer.whole = head.complete
    if not heads:
        raise EOFError("closed without an answer")
    return not is_over and not heads[-1].close


def _check(request: _Request, answer: Answer, kind: Kind, reading: Reading) -> list[str]:
    """What is wrong with an answer besides its form."""
    wrong = []
    if not answer.request_id:
        wrong.append(f"no request id: {answer.error}")
    if any(secret in answer.body.decode("latin-1") for secret in KEYS.values()):
        wrong.append("a secret in the body")
    if kind != "answered":
        return wrong
    said = (reading.text or reading.arguments)[: len(request.mark)]
    if reading.is_cut and request.mark.startswith(said):
        return wrong
    marks = [MARK.findall(said) for said in (reading.text, reading.arguments)]
    if sorted(marks) not in ([[], [request.mark]], [[request.mark], [request.mark]]):
        wrong.append(f"not its own answer, or not once: {reading}")
    attempt = _attempt_in(reading)
    if attempt and attempt.rpartition(".")[0] != answer.request_id:
        wrong.append(f"the words of {attempt}")
    if not attempt and not request.has_tools and not reading.is_cut:
        wrong.append(f"nobody's words: {reading.text[:120]!r}")
    return wrong


def _attempt_in(reading: Reading) -> str:
    """The attempt that the answer says it is of: the word after the mark."""
    words = reading.text.split(" ", 2)
    if len(words) < 3 or not words[0].startswith("mark-"):
        return ""
    return words[1] if "." in words[1] else ""


def _chat(text: str, most: int | None) -> dict[str, Any]:
    limit = {} if most is None else {"max_completion_tokens": most}
    return {"messages": [{"role": "system", "content": "Be brief."},
                         {"role": "user", "content": text}], **limit}  # fmt: skip


def _responses(text: str, most: int | None) -> dict[str, Any]:
    limit = {} if most is None else {"max_output_tokens": most}
    return {"input": text, "instructions": "Be brief.", "store": False, **limit}


def _messages(text: str, most: int | None) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": most or 1024}


_BODIES = {"chat": _chat, "responses": _responses, "messages": _messages}


def _tool(dialect: Dialect, mark: str) -> dict[str, Any]:
    """A tool whose only argument can only be the mark."""
    schema = {"type": "object", "properties": {"mark": {"type": "string", "enum": [mark]}},
              "required": ["mark"], "additionalProperties": False}  # fmt: skip
    what = {"name": "lookup", "description": "Looks a mark up"}
    if dialect == "messages":
        return {**what, "input_schema": schema}
    if dialect == "responses":
        return {"type": "function", **what, "parameters": schema, "strict": True}
    return {"type": "function", "function": {**what, "parameters": schema}}
