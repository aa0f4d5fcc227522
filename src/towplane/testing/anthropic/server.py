"""The emulator of `api.anthropic.com` on a real socket: what it asks of a request, and its books.

    with AnthropicEmulator() as anthropic:
        anthropic.queue("claude-opus-4-8", Script(status=529))
        ... anthropic.origin, anthropic.api_key ...
        assert anthropic.billed()[0].output == 8

It refuses what the original refuses (`check.py`), says what its scripts say (`script.py`), and
counts for each request what it would bill.
"""

import asyncio
import json
import random
import ssl
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from towplane.testing.anthropic.answer import Answer, decide, is_signed
from towplane.testing.anthropic.cache import Cache, told_by
from towplane.testing.anthropic.check import VERSIONS, Refusal, check
from towplane.testing.anthropic.models import MODELS
from towplane.testing.anthropic.script import GOOD, Script
from towplane.testing.anthropic.tokens import count_request
from towplane.testing.book import Seen
from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message

__all__ = ["KEY", "AnthropicEmulator", "Billed"]

KEY = "sk-ant-emulator-0001"
_LARGEST = 32 * 1024 * 1024
_RPM = 1_000
_TPM = 1_000_000

_STATUS_TYPES = {
    400: ("invalid_request_error", "The request is not right."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use this resource."),
    404: ("not_found_error", "Not found"),
    409: ("conflict_error", "The request conflicts with another one."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out while processing."),
    529: ("overloaded_error", "Overloaded"),
}
_TYPE_STATUS = {kind: status for status, (kind, _) in _STATUS_TYPES.items()}


class Billed(Seen, kw_only=True):
    """One request; `input` is all of it, cached included."""

    cached: int = 0
    written: int = 0
    written_1h: int = 0
    searches: int = 0
    thought: int = 0
    images: int = 0
    version: str = ""
    betas: str = ""
    key: str = ""


class AnthropicEmulator(Emulator):
    """A double of `api.anthropic.com`."""

    def __init__(
        self,
        *,
        port: int = 0,
        api_keys: tuple[str, ...] = (KEY,),
        scripts: dict[str, Script] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(port=port, tls=tls)
        self.api_keys = api_keys
        """Those that work now; a test may replace them."""
        self.scripts = dict(scripts or {})
        """By model; for requests that bring no script of their own."""
        self.cache = Cache()
        self._queues: dict[str, deque[Script]] = {}

    @property
    def api_key(self) -> str:
        """A key that works."""
        return self.api_keys[0]

    def queue(self, model: str, *scripts: Script) -> None:
        """The next requests for the model take these scripts, one each, before all others."""
        self._queues.setdefault(model, deque()).extend(scripts)

    def billed(self, *, model: str | None = None) -> list[Billed]:
        """The requests so far, in the order of arrival."""
        return cast("list[Billed]", self.book.rows(model=model))

    async def answer(self, message: Message, reply: Reply) -> None:
        """Answer one request and keep the books of it."""
        path = message.path.decode("latin-1").partition("?")[0]
        body = _body_of(message)
        seen = Billed(
            number=0,
            method=message.method.decode(),
            path=path,
            model=str(body.get("model", "")) if body else "",
            request_id=message.get(b"x-towplane-request-id").decode("latin-1"),
            headers=[(name.decode(), value.decode("latin-1")) for name, value in message.headers],
            body_bytes=len(message.body),
            stream=body is not None and body.get("stream") is True,
            version=message.get(b"anthropic-version").decode("latin-1"),
            betas=message.get(b"anthropic-beta").decode("latin-1"),
            key=_key_of(message),
            at=time.time(),
        )
        self.book.open(seen)
        script = self._script_of(seen.model, message)
        if script.head_delay_s:
            await asyncio.sleep(script.head_delay_s)
        try:
            await self._answer(seen, body, script, reply)
            seen.finished = True
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.ended = time.time()

    async def _answer(
        self, seen: Billed, body: dict[str, Any] | None, script: Script, reply: Reply
    ) -> None:
        if script.status >= 400:
            await self._fail(seen, script, reply)
            return
        try:
            found = self._decide(seen, body, script)
        except Refusal as refusal:
            seen.status = _TYPE_STATUS[refusal.kind]
            await reply.whole(
                seen.status,
                self._headers(seen, script),
                _error(refusal.kind, refusal.message, seen),
            )
            return
        seen.status = 200
        if isinstance(found, Answer):
            self._bill_input(seen, found, body or {})
            if seen.stream:
                await self._stream(seen, found, reply)
                return
            seen.output, seen.thought = found.output, found.thought
            found = found.whole()
        _arm(reply, script)
        await reply.whole(200, self._headers(seen, script), json.dumps(found).encode())

    def _decide(
        self, seen: Billed, body: dict[str, Any] | None, script: Script
    ) -> dict[str, Any] | Answer:
        self._check_headers(seen)
        if seen.path == "/v1/models" and seen.method == "GET":
            return _models()
        if seen.path not in ("/v1/messages", "/v1/messages/count_tokens"):
            raise Refusal(f"Not found: {seen.path}", "not_found_error")
        if seen.body_bytes > _LARGEST:
            raise Refusal("Request exceeds the maximum size", "request_too_large")
        if body is None:
            raise Refusal("The request body is not valid JSON")
        counts = seen.path.endswith("/count_tokens")
        check(body, seen.version, counts=counts, is_signed=is_signed)
        tokens = count_request(body)
        if counts:
            return {"input_tokens": tokens}
        told = told_by(self.cache, body, script, time.time())
        return decide(body, told, seen.number, tokens)

    def _check_headers(self, seen: Billed) -> None:
        if not seen.key:
            raise Refusal("x-api-key header is required", "authentication_error")
        if seen.key not in self.api_keys:
            raise Refusal("invalid x-api-key", "authentication_error")
        if not seen.version:
            raise Refusal("anthropic-version: header is required")
        if seen.version not in VERSIONS:
            raise Refusal(f'anthropic-version: "{seen.version}" is not a valid version')

    def _bill_input(self, seen: Billed, answer: Answer, body: dict[str, Any]) -> None:
        script = answer.script
        seen.input, seen.cached = answer.input, script.cached
        seen.written, seen.written_1h = script.written, script.written_1h
        seen.searches = script.searches
        seen.images = json.dumps(body).count('"type": "image"')

    async def _stream(self, seen: Billed, answer: Answer, reply: Reply) -> None:
        script = answer.script
        headers = self._headers(seen, script)
        headers[0] = ("content-type", "text/event-stream; charset=utf-8")
        await reply.begin(200, [*headers, ("cache-control", "no-cache")])
        _arm(reply, script)
        for frame in answer.frames():
            if frame.tokens:
                if script.trouble is not None and seen.output >= script.trouble.after_tokens:
                    await self._trouble(seen, script, reply)
                pause_s = script.pace_s if seen.output else script.first_token_delay_s
                if pause_s:
                    await asyncio.sleep(pause_s)
                if script.pings:
                    await reply.more(_event("ping", {"type": "ping"}))
            await reply.more(_event(frame.event, frame.data))
            seen.output += frame.tokens
        if script.trouble is not None:
            await self._trouble(seen, script, reply)
        seen.thought = answer.thought
        await reply.end()

    async def _trouble(self, seen: Billed, script: Script, reply: Reply) -> None:
        trouble = script.trouble
        assert trouble is not None
        match trouble.how:
            case "error":
                data = _error(trouble.error_type, trouble.error_message, seen)
                await reply.more(b"event: error\ndata: %b\n\n" % data)
                await reply.end()
                await reply.close()
            case "garbage":
                await reply.more(b"event: content_block_delta\ndata: {broken\n\n")
                await reply.close()
            case "reset":
                await reply.reset()
            case "close":
                await reply.close()
            case "stall":
                await reply.stall()

    async def _fail(self, seen: Billed, script: Script, reply: Reply) -> None:
        seen.status = script.status
        kind, message = _STATUS_TYPES.get(script.status, ("api_error", "Internal server error"))
        headers = self._headers(seen, script)
        if script.error_body is not None:
            headers[0] = ("content-type", "text/html")
            await reply.whole(script.status, headers, script.error_body.encode())
            return
        should = script.status in (408, 409, 429) or script.status >= 500
        headers.append(("x-should-retry", "true" if should else "false"))
        body = _error(
            script.error_type or kind, script.error_message or message, seen, script.error_code
        )
        await reply.whole(script.status, headers, body)

    def _headers(self, seen: Billed, script: Script) -> list[tuple[str, str]]:
        """Of every answer; the limits count the requests of this emulator."""
        reset = datetime.fromtimestamp(int(time.time()) + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        left = max(_RPM - seen.number - 1, 0)
        found = {
            "content-type": "application/json",
            "request-id": f"req_{seen.number:024d}",
            "anthropic-organization-id": "00000000-0000-0000-0000-000000000000",
            "anthropic-ratelimit-requests-limit": str(_RPM),
            "anthropic-ratelimit-requests-remaining": str(left),
            "anthropic-ratelimit-requests-reset": reset,
            "anthropic-ratelimit-tokens-limit": str(_TPM),
            "anthropic-ratelimit-tokens-remaining": str(_TPM - _TPM // 10),
            "anthropic-ratelimit-tokens-reset": reset,
        } | script.headers
        return list(found.items())

    def _script_of(self, model: str, message: Message) -> Script:
        queue = self._queues.get(model)
        if queue:
            return queue.popleft()
        header = message.get(b"x-emulator-script")
        if header:
            return msgspec.json.decode(header, type=Script)
        return self.scripts.get(model, GOOD)


def _arm(reply: Reply, script: Script) -> None:
    """From here on bodies are cut as the script wants it."""
    reply.shred = random.Random(script.shred) if script.shred is not None else None
    reply.cut_after = script.cut_after_bytes


def _body_of(message: Message) -> dict[str, Any] | None:
    try:
        body = json.loads(message.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _key_of(message: Message) -> str:
    """`x-api-key`, which goes before `Authorization: Bearer`."""
    key = message.get(b"x-api-key")
    if not key:
        kind, _, key = message.get(b"authorization").partition(b" ")
        key = key if kind.lower() == b"bearer" else b""
    return key.decode("latin-1")


def _event(name: str, data: dict[str, Any]) -> bytes:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


def _error(kind: str, message: str, seen: Billed, code: str | None = None) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    found = {"type": "error", "error": error, "request_id": f"req_{seen.number:024d}"}
    return json.dumps(found).encode()


def _models() -> dict[str, Any]:
    data = [
        {
            "type": "model",
            "id": model.name,
            "display_name": model.name,
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_tokens": model.max_tokens,
            "max_input_tokens": model.context,
        }
        for model in MODELS.values()
    ]
    last = data[-1]["id"]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": last}
