"""The emulator of Vertex AI on a real socket: what it asks of a request, and its books.

    with VertexEmulator() as vertex:
        vertex.queue("gemini-2.5-flash", Script(status=429, retry_delay="2s"))
        ... vertex.origin, vertex.token, vertex.project, vertex.location ...
        assert vertex.billed()[0].output == 11

It checks tokens, keys, project, location and body as the original does (`check.py`), says what its
scripts say (`script.py`), and counts for each request what it would bill. Claude is answered by the
emulator of Anthropic, the compatible endpoint by that of OpenAI.
"""

import asyncio
import json
import random
import ssl
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec

from towplane.testing.anthropic.cache import Cache
from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message
from towplane.testing.vertex import chat, claude
from towplane.testing.vertex.access import check_access, missing
from towplane.testing.vertex.answer import decide
from towplane.testing.vertex.book import Billed
from towplane.testing.vertex.check import check, count, plain
from towplane.testing.vertex.embeddings import embed, predict
from towplane.testing.vertex.errors import Refusal, status
from towplane.testing.vertex.grants import Grants
from towplane.testing.vertex.script import GOOD, Script
from towplane.testing.vertex.told import Told
from towplane.testing.vertex.where import MODELS, Model, Where, claude_of, parse

__all__ = ["VertexEmulator"]

JSON = dict[str, Any]


class VertexEmulator(Emulator):
    """A double of `LOCATION-aiplatform.googleapis.com` and of `oauth2.googleapis.com/token`."""

    def __init__(
        self,
        *,
        port: int = 0,
        project: str = "acme",
        location: str = "europe-west4",
        api_keys: tuple[str, ...] = ("AIzaSyEmulator-0001",),
        endpoints: dict[str, str] | None = None,
        scripts: dict[str, Script] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(port=port, tls=tls)
        self.project = project
        self.location = location
        self.api_keys = api_keys
        """Express keys that work now; a test may replace them."""
        self.grants = Grants()
        self.token = self.grants.issue(life_s=86_400.0)
        """A token that works, for tests that need no grant."""
        self.endpoints = endpoints or {"7001": "gemini-2.5-flash"}
        """Tuned models: by id, what they were tuned from."""
        self.scripts = dict(scripts or {})
        self.cache = Cache()
        """Of Claude."""
        """By model; for requests that bring no script of their own."""
        self._queues: dict[str, deque[Script]] = {}

    def queue(self, model: str, *scripts: Script) -> None:
        """The next requests for the model take these scripts, one each, before all others."""
        self._queues.setdefault(model, deque()).extend(scripts)

    def billed(self, *, model: str | None = None) -> list[Billed]:
        """The requests so far, in the order of arrival."""
        return cast("list[Billed]", self.book.rows(model=model))

    async def answer(self, message: Message, reply: Reply) -> None:
        """Answer one request and keep the books of it."""
        target = message.path.decode("latin-1")
        if target == "/token":
            await self._grant(message, reply)
            return
        where = parse(target)
        body = _body_of(message)
        model = _model_of(where, body)
        seen = Billed(
            number=0,
            method=message.method.decode(),
            path=target,
            model=model,
            request_id=message.get(b"x-towplane-request-id").decode("latin-1"),
            headers=[(name.decode(), value.decode("latin-1")) for name, value in message.headers],
            body_bytes=len(message.body),
            service=message.get(b"x-vertex-ai-llm-shared-request-type").decode("latin-1"),
            at=time.time(),
        )
        self.book.open(seen)
        script = self._script_of(model, message)
        if script.head_delay_s:
            await asyncio.sleep(script.head_delay_s)
        try:
            await self._answer(seen, where, body, script, message, reply)
            seen.finished = True
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.ended = time.time()

    async def _grant(self, message: Message, reply: Reply) -> None:
        form = dict(parse_qsl(bytes(message.body).decode("latin-1")))
        code, found = self.grants.exchange(form, f"{self.origin}/token")
        headers = [("content-type", "application/json; charset=utf-8")]
        await reply.whole(code, headers, json.dumps(found).encode())

    async def _answer(
        self,
        seen: Billed,
        where: Where | None,
        body: JSON | None,
        script: Script,
        message: Message,
        reply: Reply,
    ) -> None:
        headers = [("content-type", "application/json; charset=UTF-8"), ("vary", "Origin"),
                   *script.headers.items()]  # fmt: skip
        try:
            if where is None:
                raise Refusal(code=404)
            check_access(where, message, self)
            if script.status >= 400:
                seen.status = script.status
                await reply.whole(script.status, headers, _scripted(script))
                return
            if body is None:
                raise Refusal("Invalid JSON payload received. Unexpected token.")
            told = self._decide(seen, where, body, script)
        except Refusal as refusal:
            seen.status = refusal.code
            await reply.whole(refusal.code, headers, json.dumps(refusal.body).encode())
            return
        except claude.Refused as refused:
            seen.status = refused.status
            await reply.whole(refused.status, headers, json.dumps(refused.body).encode())
            return
        seen.status, seen.traffic = 200, script.traffic
        await self._tell(seen, told, script, headers, reply)

    def _decide(self, seen: Billed, where: Where, body: JSON, script: Script) -> Told:
        """What is answered to a request that may be made. Raises Refusal."""
        seen.stream = where.method.startswith("stream") or body.get("stream") is True
        if where.method == "chat":
            return chat.tell(seen, body, script)
        if where.publisher == "anthropic":
            return claude.tell(seen, where, body, script, self.cache, time.time())
        body = plain(body)
        model = self._model(where)
        match where.method:
            case "generateContent" | "streamGenerateContent":
                return self._generate(seen, where, body, model, script)
            case "countTokens":
                check(body, model, counts=True)
                total, _, _ = count(body)
                return Told({"totalTokens": total, "totalBillableCharacters": 4 * total})
            case "predict" if model.embeds > 1:
                return Told(predict(seen, body, model))
            case "embedContent" if model.embeds == 1:
                return Told(embed(seen, body))
        raise Refusal(f"Method {where.method} is not supported for {where.resource}.")

    def _generate(
        self, seen: Billed, where: Where, body: JSON, model: Model, script: Script
    ) -> Told:
        if model.embeds:
            raise Refusal(f"{where.model} does not support generateContent.")
        check(body, model)
        total, _, _ = count(body)
        if total > model.context:
            raise Refusal(f"The input token count ({total}) exceeds the maximum number of tokens "
                          f"allowed ({model.context}).")  # fmt: skip
        if "[blocked]" in json.dumps(body["contents"][-1]) and not script.block:
            script = msgspec.structs.replace(script, block="PROHIBITED_CONTENT")
        answer = decide(body, model, where.model, script, seen.number)
        seen.input, seen.cached, seen.pictures = answer.prompt, script.cached, answer.pictures
        if where.method == "generateContent":
            if not script.block:
                seen.output, seen.thought = answer.said + answer.thoughts, answer.thoughts
            return Told(answer.whole())
        seen.thought = 0 if script.block else answer.thoughts
        chunks = ((json.dumps(chunk).encode(), tokens) for chunk, tokens in answer.chunks())
        return Told(None, _sse(chunks) if where.is_sse else _array(chunks), is_sse=where.is_sse)

    def _model(self, where: Where) -> Model:
        name = self.endpoints.get(where.model, "") if where.is_endpoint else where.model
        if name not in MODELS or where.publisher not in ("", "google"):
            raise missing(where)
        return MODELS[name]

    async def _tell(
        self, seen: Billed, told: Told, script: Script, headers: list[tuple[str, str]], reply: Reply
    ) -> None:
        if told.events is None:
            _arm(reply, script)
            await reply.whole(200, headers, json.dumps(told.whole, indent=2).encode())
            return
        if told.is_sse:
            headers[0] = ("content-type", "text/event-stream")
        await reply.begin(200, headers)
        _arm(reply, script)
        for data, tokens in told.events:
            if script.trouble is not None and seen.output >= script.trouble.after_tokens:
                await self._trouble(script, reply)
            pause_s = script.pace_s if seen.output else script.first_token_delay_s
            if pause_s:
                await asyncio.sleep(pause_s)
            await reply.more(data)
            seen.output += tokens
        if script.trouble is not None:
            await self._trouble(script, reply)
        await reply.end()

    async def _trouble(self, script: Script, reply: Reply) -> None:
        trouble = script.trouble
        assert trouble is not None
        error = status(trouble.code, trouble.message, trouble.status)
        match trouble.how:
            case "error":
                await reply.more(json.dumps(error, indent=2).encode() + b"\n")
            case "error_array":
                await reply.more(json.dumps([error], indent=2).encode() + b"\n")
            case "error_event":
                await reply.more(b"data: %b\r\n\r\n" % json.dumps(error).encode())
            case "garbage":
                await reply.more(b"data: {broken\r\n\r\n")
                await reply.close()
            case "reset":
                await reply.reset()
            case "close":
                await reply.close()
            case "stall":
                await reply.stall()
        await reply.end()
        await reply.close()

    def _script_of(self, model: str, message: Message) -> Script:
        queue = self._queues.get(model)
        if queue:
            return queue.popleft()
        header = message.get(b"x-emulator-script")
        if header:
            return msgspec.json.decode(header, type=Script)
        return self.scripts.get(model, GOOD)


def _scripted(script: Script) -> bytes:
    if script.error_body is not None:
        return script.error_body.encode()
    error = status(
        script.status,
        script.error_message,
        script.error_status,
        retry_delay=script.retry_delay,
        quota_id=script.quota_id,
    )
    return json.dumps([error] if script.in_array else error, indent=2).encode()


def _sse(chunks: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    for data, tokens in chunks:
        yield b"data: %b\r\n\r\n" % data, tokens


def _array(chunks: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    before = b"["
    for data, tokens in chunks:
        yield before + data + b"\n", tokens
        before = b",\r\n"
    yield b"]", 0


def _arm(reply: Reply, script: Script) -> None:
    """From here on bodies are cut as the script wants it."""
    reply.shred = random.Random(script.shred) if script.shred is not None else None
    reply.cut_after = script.cut_after_bytes


def _body_of(message: Message) -> JSON | None:
    try:
        body = json.loads(message.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _model_of(where: Where | None, body: JSON | None) -> str:
    if where is None:
        return ""
    if where.method == "chat" or claude_of(where.model) is None:
        named = (body or {}).get("model") if where.method == "chat" else None
        return str(named or where.model)
    return where.model
