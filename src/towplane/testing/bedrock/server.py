"""FakeBedrock: `bedrock-runtime` on a real socket, which checks who asks, answers as its scripts
say, and keeps the books of what it would bill."""

import asyncio
import base64
import binascii
import json
import random
import ssl
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from towplane.testing.bedrock import claude, converse, embeddings, openai
from towplane.testing.bedrock.book import BedrockBook, Bill
from towplane.testing.bedrock.frames import chunk_frame, error_frame, exception_frame
from towplane.testing.bedrock.mind import answer as think
from towplane.testing.bedrock.prompt import Cache, Counted, Prompt, Refusal
from towplane.testing.bedrock.script import ERRORS, GOOD, Script
from towplane.testing.bedrock.signature import Account, AuthError, check_signature
from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message

__all__ = ["ACCOUNT", "BEARER", "FakeBedrock"]

ACCOUNT = Account("AKIDTOWPLANE", "a secret key")
"""Keys that work where a test says nothing else."""
BEARER = "bedrock-api-key-towplane"
_STREAM = "application/vnd.amazon.eventstream"
_ERROR_URL = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
_ACTIONS = ("converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens")

Frames = Iterator[tuple[bytes, int]]
"""Frames of a stream, each with the output tokens that it brings."""


class FakeBedrock(Emulator):
    """A double of Bedrock in one region.

    with FakeBedrock() as bedrock:
        bedrock.queue("anthropic.claude-…", Script(exception="ThrottlingException"))
        ... bedrock.origin ...
        assert bedrock.book.bills()[request_id].output == 8
    """

    book: BedrockBook

    def __init__(
        self,
        *,
        port: int = 0,
        region: str = "us-east-1",
        accounts: tuple[Account, ...] = (ACCOUNT,),
        bearers: tuple[str, ...] = (BEARER,),
        models: tuple[str, ...] = (),
        scripts: dict[str, Script] | None = None,
        choose: Callable[[Bill], Script | None] | None = None,
        now: Callable[[], float] = time.time,
        least_cached: int = 16,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(port=port, tls=tls)
        self.book = BedrockBook()
        self.region = region
        self.accounts = {account.access_key: account for account in accounts}
        """Those that work now; a test may replace them."""
        self.bearers = set(bearers)
        self.models = models
        """Those that exist; empty: all."""
        self.scripts = dict(scripts or {})
        self.cache = Cache(least_cached)
        self.stored: dict[str, int] = {}
        """Responses that were kept, and the tokens of what they know."""
        self._choose = choose
        self._now = now
        self._queues: dict[str, deque[Script]] = {}

    def queue(self, model: str, *scripts: Script) -> None:
        """The next requests for the model take these scripts, one each, before all others."""
        self._queues.setdefault(model, deque()).extend(scripts)

    async def answer(self, message: Message, reply: Reply) -> None:
        """Answer one request and keep its books."""
        bill = _open(message)
        self.book.open(bill)
        script = self._script_of(bill)
        try:
            await self._answer(message, bill, script, reply)
            bill.finished = True
        except asyncio.CancelledError:
            bill.cancelled = True
            raise
        finally:
            bill.ended = time.time()

    def _script_of(self, bill: Bill) -> Script:
        queue = self._queues.get(bill.model)
        if queue:
            return queue.popleft()
        chosen = self._choose(bill) if self._choose is not None else None
        return chosen or self.scripts.get(bill.model, GOOD)

    async def _answer(self, message: Message, bill: Bill, script: Script, reply: Reply) -> None:
        if script.head_delay_s:
            await asyncio.sleep(script.head_delay_s)
        try:
            self._let_in(message, bill)
            if script.exception:
                raise Refusal(script.exception, script.message)
            body = _read_body(message)
            found = self._decide(bill, body, message, script)
        except (Refusal, AuthError) as refusal:
            await _refuse(refusal, bill, script, reply)
            return
        bill.status = 200
        headers = [("x-amzn-requestid", bill.amzn_request_id), *script.headers.items()]
        if bill.service != "default" and bill.operation.startswith("invoke"):
            headers.append(("x-amzn-bedrock-service-tier", bill.service))
        reply.cut_after = script.cut_after
        reply.shred = random.Random(script.shred) if script.shred is not None else None
        if isinstance(found, dict):
            headers.append(("content-type", "application/json"))
            await reply.whole(200, headers, json.dumps(found, ensure_ascii=False).encode())
        else:
            is_openai = bill.path.startswith("/openai/")
            headers.append(("content-type", "text/event-stream" if is_openai else _STREAM))
            await self._stream(found, bill, script, headers, reply)

    def _let_in(self, message: Message, bill: Bill) -> None:
        told = message.get(b"authorization").decode("latin-1")
        if told.startswith("Bearer "):
            if told.removeprefix("Bearer ") not in self.bearers:
                raise AuthError(
                    "AccessDeniedException",
                    "Authentication failed: Please make sure your API Key is valid.",
                )
            bill.account = "bearer"
            return
        if not told:
            raise AuthError("MissingAuthenticationTokenException", "Missing Authentication Token")
        account = check_signature(message, self.accounts, self.region, self._now())
        bill.account = account.access_key

    def _decide(
        self, bill: Bill, body: dict[str, Any], message: Message, script: Script
    ) -> dict[str, Any] | Frames:
        if bill.path.startswith("/openai/"):
            return openai.tell(bill, body, script, self.stored)
        if self.models and bill.model not in self.models:
            raise Refusal("ValidationException", "The provided model identifier is invalid.")
        if bill.operation not in _ACTIONS:
            raise Refusal("UnknownOperationException", "")
        if bill.operation == "count-tokens":
            return _count(body, bill.model)
        if bill.operation.startswith("invoke"):
            bill.service = message.get(b"x-amzn-bedrock-service-tier").decode() or "default"
            if "anthropic." not in bill.model:
                return embeddings.embed(body, bill)
            prompt = claude.read_prompt(body, bill.model, counts=False)
            found, counted = think(prompt, script, bill.number), self._bill(bill, prompt)
            if bill.operation == "invoke":
                bill.output = found.output
                return claude.whole(found, bill.model, bill.number, counted)
            padding = random.Random(7) if script.padding else None
            told = claude.events(found, bill.model, bill.number, script, counted)
            return ((chunk_frame(one, padding=padding), tokens) for one, tokens in told)
        prompt = converse.read_prompt(body, bill.model)
        bill.service = body.get("serviceTier", {}).get("type", "default")
        found, counted = think(prompt, script, bill.number), self._bill(bill, prompt)
        usage = converse.usage(counted, found.output)
        if bill.operation == "converse":
            bill.output = found.output
            return converse.whole(found, body, usage)
        return converse.stream(found, body, script, usage)

    def _bill(self, bill: Bill, prompt: Prompt) -> Counted:
        counted = self.cache.count(bill.model, prompt, self._now())
        bill.input, bill.cache_read = counted.fresh, counted.read
        bill.cache_write, bill.cache_write_1h = counted.written, counted.written_1h
        return counted

    async def _stream(
        self,
        frames: Frames,
        bill: Bill,
        script: Script,
        headers: list[tuple[str, str]],
        reply: Reply,
    ) -> None:
        await reply.begin(200, headers)
        if script.first_token_delay_s:
            await asyncio.sleep(script.first_token_delay_s)
        fails = script.fails
        for number, (frame, tokens) in enumerate(frames):
            if fails is not None and number == fails.after:
                is_openai = bill.path.startswith("/openai/")
                await _fail(script, frame, reply, is_openai=is_openai)
                return
            if number and script.pace_s:
                await asyncio.sleep(script.pace_s)
            bill.output += tokens
            await reply.more(frame)
        await reply.end()


def _open(message: Message) -> Bill:
    path = message.path.decode("latin-1").partition("?")[0]
    parts = path.split("/")
    is_model = len(parts) == 4 and parts[1] == "model"
    return Bill(
        number=0,
        method=message.method.decode(),
        path=path,
        model=unquote(parts[2]) if is_model else "",
        operation=parts[-1],
        request_id=message.get(b"x-towplane-request-id").decode("latin-1"),
        amzn_request_id=str(uuid.uuid4()),
        headers=[(name.decode(), value.decode("latin-1")) for name, value in message.headers],
        body_bytes=len(message.body),
        stream=parts[-1] in ("converse-stream", "invoke-with-response-stream"),
        at=time.time(),
    )


def _read_body(message: Message) -> dict[str, Any]:
    try:
        body = json.loads(bytes(message.body))
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refusal("SerializationException", "The request is not a JSON object.")
    return body


def _count(body: dict[str, Any], model: str) -> dict[str, Any]:
    if "anthropic.claude" not in model or not model.startswith("anthropic."):
        raise Refusal("ValidationException", "The provided model doesn't support counting tokens.")
    told = body.get("input", {})
    if "converse" in told:
        return {"inputTokens": converse.read_prompt(told["converse"], model).tokens}
    try:
        inner = json.loads(base64.b64decode(told["invokeModel"]["body"], validate=True))
    except (KeyError, ValueError, binascii.Error):
        raise Refusal("ValidationException", "The input is not a request.") from None
    return {"inputTokens": claude.read_prompt(inner, model, counts=True).tokens}


async def _refuse(refusal: Refusal | AuthError, bill: Bill, script: Script, reply: Reply) -> None:
    bill.exception = refusal.name
    bill.status = ERRORS.get(refusal.name, 400)
    body: dict[str, Any] = {"message": refusal.message}
    if script.original_status is not None:
        body |= {"originalStatusCode": script.original_status, "resourceName": bill.model}
    headers = [
        ("content-type", "application/json"),
        ("x-amzn-requestid", bill.amzn_request_id),
        ("x-amzn-errortype", refusal.name + _ERROR_URL),
        *script.headers.items(),
    ]
    if refusal.name == "UnknownOperationException":
        body = {"Output": {"__type": "com.amazon.coral.service#" + refusal.name}, "Version": "1.0"}
    await reply.whole(bill.status, headers, json.dumps(body).encode())


async def _fail(script: Script, frame: bytes, reply: Reply, *, is_openai: bool) -> None:
    """What a script wants to go wrong; `frame` is what would have come next."""
    assert script.fails is not None
    fails = script.fails
    if is_openai and fails.how in ("exception", "error"):
        error = {"message": fails.message, "type": "server_error", "param": None, "code": None}
        await reply.more(b"data: %b\n\n" % json.dumps({"error": error}).encode())
        await reply.end()
        return
    match fails.how:
        case "reset":
            await reply.reset()
        case "close":
            await reply.close()
        case "stall":
            await reply.stall()
        case "garbage":
            await reply.more(frame[:-1] + bytes([frame[-1] ^ 0xFF]))
        case "error":
            await reply.more(error_frame(fails.exception, fails.message))
        case "exception":
            value: dict[str, Any] = {"message": fails.message}
            if fails.original_status is not None:
                value |= {
                    "originalStatusCode": fails.original_status,
                    "originalMessage": fails.message,
                }
            await reply.more(exception_frame(fails.exception, value))
    await reply.end()
