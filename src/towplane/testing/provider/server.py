"""The fake provider: an `Emulator` that finds the script of each request and plays it.

It knows what an OpenAI-compatible server says to whom; how an answer goes out is the play's.
"""

import asyncio
import ssl
import time
from collections import deque
from typing import Any, ClassVar

import msgspec

from towplane.testing.book import Seen
from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message
from towplane.testing.provider import dialect
from towplane.testing.provider.dialect import Ask
from towplane.testing.provider.play import Play
from towplane.testing.provider.script import GOOD, Script

__all__ = ["FakeProvider"]


class FakeProvider(Emulator):
    """An OpenAI-compatible server on loopback that does what its scripts say.

    with FakeProvider() as provider:
        provider.queue("some-model", Script(status=429, headers={"retry-after": "1"}))
        ... provider.base_url ...
        assert provider.book.rows()[0].output == 8
    """

    resets: ClassVar[bool] = True

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str | None = None,
        models: tuple[str, ...] = ("fake",),
        scripts: dict[str, Script] | None = None,
        tls: ssl.SSLContext | None = None,
        read_pause_s: float = 0.0,
        backlog: int = 4096,
    ) -> None:
        super().__init__(port=port, tls=tls, read_pause_s=read_pause_s, backlog=backlog)
        self.api_key = api_key
        self.models = models
        self.scripts: dict[str, Script] = dict(scripts or {})
        """By model; for requests that bring no script of their own."""
        self._queues: dict[str, deque[Script]] = {}

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's API takes as its base URL."""
        return f"{self.origin}/v1"

    def queue(self, model: str, *scripts: Script) -> None:
        """The next requests for the model take these scripts, one each, before all others."""
        self._queues.setdefault(model, deque()).extend(scripts)

    def choose(self, ask: Ask, message: Message, before: int) -> Script:
        """The script of a request; `before` counts the earlier requests of the same tag."""
        queue = self._queues.get(ask.model)
        if queue:
            return queue.popleft()
        header = message.get(b"x-fake-script")
        if header:
            return msgspec.json.decode(header, type=Script)
        given = (ask.body or {}).get("fake")
        if isinstance(given, list) and given:
            given = given[min(before, len(given) - 1)]
        if given:
            return msgspec.convert(given, Script)
        return self.scripts.get(ask.model, GOOD)

    async def answer(self, message: Message, reply: Reply) -> None:
        path = message.path.decode("latin-1").partition("?")[0]
        ask = dialect.read_ask(path, bytes(message.body))
        seen = Seen(
            number=0,
            method=message.method.decode(),
            path=path,
            model=ask.model,
            tag=ask.tag,
            request_id=message.get(b"x-towplane-request-id").decode("latin-1"),
            attempt=message.get(b"x-towplane-attempt").decode("latin-1"),
            headers=[(key.decode(), value.decode("latin-1")) for key, value in message.headers],
            body_bytes=len(message.body),
            stream=ask.stream,
            include_usage=ask.include_usage,
            input=ask.prompt_tokens,
            at=time.time(),
        )
        before = self.book.open(seen)
        play = Play(self.choose(ask, message, before), ask, seen, reply)
        try:
            await self._play(play, message)
            seen.finished = True
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.ended = time.time()

    async def _play(self, play: Play, message: Message) -> None:
        await play.begin()
        if play.script.raw is not None:
            await play.raw(play.script.raw)
            return
        status, value = self._decide(play.ask, play.script, message, play.seen)
        play.seen.status = status
        if value is None:
            await play.stream()
        else:
            if status < 400 and "choices" in value:
                play.seen.output = dialect.count_output(play.ask, play.script)
            await play.plain(status, value)
        await play.end()

    def _decide(
        self, ask: Ask, script: Script, message: Message, seen: Seen
    ) -> tuple[int, dict[str, Any] | None]:
        """The status and the body; no body means a stream."""
        key = self.api_key
        if key is not None and message.get(b"authorization") != f"Bearer {key}".encode():
            return 401, dialect.error(401)
        if script.status >= 400:
            return script.status, dialect.error(script.status, script.error_code)
        if ask.path.endswith("/models") and seen.method in ("GET", "HEAD"):
            return 200, dialect.models(self.models)
        if ask.body is None:
            return 400, dialect.error(400, message="We could not parse the JSON body.")
        if ask.path.endswith("/embeddings"):
            return script.status, dialect.embed(ask)
        if not ask.path.endswith("/completions"):
            return 404, dialect.error(404, "unknown_url", f"Unknown request URL: {ask.path}")
        if ask.path.endswith("/chat/completions") and not isinstance(
            ask.body.get("messages"), list
        ):
            return 400, dialect.error(400, message="'messages' must be a list.")
        if ask.stream:
            return script.status, None
        return script.status, dialect.answer(ask, script, seen.number)
