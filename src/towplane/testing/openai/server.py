"""The emulator of OpenAI and of Azure OpenAI: what a request meets on its way to an answer.

    path → key → model → the limits → what the original checks → the answer, as scripted

It verifies what the original verifies and counts what it bills, for each request.
"""

import asyncio
import json
import math
import random
import ssl
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from towplane.testing.book import Seen
from towplane.testing.emulator import Emulator, Reply
from towplane.testing.framing import Message
from towplane.testing.openai import azure as azures
from towplane.testing.openai import chat, responses
from towplane.testing.openai.azure import Azure
from towplane.testing.openai.chat import Frame
from towplane.testing.openai.errors import error, usual
from towplane.testing.openai.limits import Limit, Provisioned
from towplane.testing.openai.plan import Plan, Wish, make_plan
from towplane.testing.openai.script import GOOD, Script
from towplane.testing.provider import dialect

__all__ = ["Billed", "OpenAIEmulator"]

_UNSAID_OUTPUT = 16
"""Tokens by which a request without a limit is counted before its answer is known."""


class Billed(Seen, kw_only=True):
    """One request, and what is billed for it besides input and output."""

    cached: int = 0
    reasoning: int = 0
    served_by: str = ""
    """The model or the deployment that answered."""
    spilled_from: str = ""
    failed: bool = False
    """It said inside its 200 that it failed: nothing is billed."""

    @property
    def is_billed(self) -> bool:
        """Whether its tokens are on the bill: also those of a stream that nobody waited for."""
        return self.status == 200 and not self.failed


class _Request(NamedTuple):
    """A request that is understood."""

    operation: str
    body: dict[str, Any]
    model: str
    script: Script
    seen: Billed


class Refused(Exception):
    """The answer is an error."""

    def __init__(self, status: int, body: dict[str, Any], *headers: tuple[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


class OpenAIEmulator(Emulator):
    """api.openai.com on loopback, or with `azure` a resource of Azure OpenAI.

    with OpenAIEmulator() as openai:
        openai.queue("gpt-test", Script(status=429, headers={"retry-after-ms": "40"}))
        ... openai.base_url ...
        assert openai.bills()[0].output == 8
    """

    def __init__(
        self,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        keys: tuple[str, ...] = ("sk-test",),
        models: tuple[str, ...] = ("gpt-test",),
        scripts: dict[str, Script] | None = None,
        limits: dict[str, Limit] | None = None,
        provisioned: dict[str, Provisioned] | None = None,
        azure: Azure | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(port=port, tls=tls)
        self.keys = keys
        self.models = models
        """By name; on Azure the deployments."""
        self.scripts = dict(scripts or {})
        self.limits = dict(limits or {})
        self.provisioned = dict(provisioned or {})
        """Deployments with capacity of their own; they have no limits by the minute."""
        self.azure = azure
        self.shred = None if seed is None else random.Random(seed)
        """Cuts every body at random bytes."""
        self.stored: dict[str, int] = {}
        """Responses that were kept, and the tokens of what they know."""
        self._queues: dict[str, deque[Script]] = {}

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's API takes as its base URL."""
        return f"{self.origin}{'/openai/v1' if self.azure else '/v1'}"

    def queue(self, model: str, *scripts: Script) -> None:
        """The next requests for the model take these scripts, one each, before all others."""
        self._queues.setdefault(model, deque()).extend(scripts)

    def bills(self) -> list[Billed]:
        """Every request, with what is billed for it."""
        return [row for row in self.book.rows() if isinstance(row, Billed)]

    async def answer(self, message: Message, reply: Reply) -> None:
        reply.shred = self.shred
        seen = Billed(
            number=0,
            method=message.method.decode(),
            path=message.path.decode("latin-1"),
            request_id=message.get(b"x-towplane-request-id").decode("latin-1"),
            attempt=message.get(b"x-towplane-attempt").decode("latin-1"),
            headers=[(key.decode(), value.decode("latin-1")) for key, value in message.headers],
            body_bytes=len(message.body),
            at=time.time(),
        )
        self.book.open(seen)
        try:
            await self._answer(message, reply, seen)
            seen.finished = True
        except asyncio.CancelledError:
            seen.cancelled = True
            raise
        finally:
            seen.ended = time.time()

    async def _answer(self, message: Message, reply: Reply, seen: Billed) -> None:
        try:
            where = self._enter(message)
            if where.operation.startswith("models"):
                seen.status = 200
                await self._whole(reply, 200, [], self._models(where.operation), seen)
                return
            request = self._understand(message, where, seen)
            if request.script.head_delay_s:
                await asyncio.sleep(request.script.head_delay_s)
            headers = self._admit(request, message)
            await self._play(request, reply, headers)
        except Refused as refused:
            seen.status = refused.status
            await self._whole(reply, refused.status, list(refused.headers), refused.body, seen)

    # On the way

    def _enter(self, message: Message) -> azures.Where:
        """Path and key."""
        path = message.path.decode("latin-1")
        resource = self.azure
        if resource is None:
            if not path.startswith("/v1/"):
                say = f"Invalid URL ({message.method.decode()} {path})"
                raise Refused(404, error(say, code="unknown_url"))
            token = message.get(b"authorization").decode("latin-1")
            if token.removeprefix("Bearer ") not in self.keys:
                raise Refused(401, usual(401, ""))
            return azures.Where(path.removeprefix("/v1/").partition("?")[0])
        where = azures.parse(path)
        if where is None:
            raise Refused(404, azures.not_found())
        if not where.is_v1 and where.version not in resource.versions:
            raise Refused(404, azures.not_found())
        if where.is_v1 and where.version not in (None, "preview", "latest", "v1"):
            raise Refused(400, error("API version not supported", None, "BadRequest"))
        bearer = message.get(b"authorization").decode("latin-1").removeprefix("Bearer ")
        if bearer:
            if resource.tokens.get(bearer, 0.0) < time.time():
                raise Refused(401, azures.denied(token=True))
        elif message.get(b"api-key").decode("latin-1") not in resource.keys:
            raise Refused(401, azures.denied(token=False))
        return where

    def _understand(self, message: Message, where: azures.Where, seen: Billed) -> _Request:
        """Body, model and script."""
        try:
            body = json.loads(bytes(message.body))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Refused(400, error("We could not parse the JSON body of your request."))
        model = where.deployment or str(body.get("model", ""))
        seen.model, seen.stream = model, body.get("stream") is True
        seen.tag = str(body.get("user") or "")
        seen.include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        if model not in self.models:
            if self.azure is not None:
                raise Refused(404, azures.no_deployment())
            raise Refused(404, usual(404, model))
        script = self._choose(model, message)
        if script.status >= 400:
            more = tuple(script.headers.items())
            said = usual(script.status, model, script.error_code, script.error_message)
            raise Refused(script.status, said if script.error_body is None else
                          {"": script.error_body}, *more)  # fmt: skip
        return _Request(where.operation, {**body, "model": model}, model, script, seen)

    def _choose(self, model: str, message: Message) -> Script:
        queue = self._queues.get(model)
        if queue:
            return queue.popleft()
        header = message.get(b"x-emulator-script")
        if header:
            return msgspec.json.decode(header, type=Script)
        return self.scripts.get(model, GOOD)

    def _admit(self, request: _Request, message: Message) -> list[tuple[str, str]]:
        """The checks, then the limits; the headers of the answer."""
        wrong = self._wrong(request)
        if wrong is not None:
            raise Refused(400, wrong)
        wish = self._wish(request)
        request.seen.input = wish.prompt_tokens
        tokens = wish.prompt_tokens + (_UNSAID_OUTPUT if wish.most is None else wish.most)
        now = time.monotonic()
        served_by, found = request.model, [] if self.azure is None else self._azure_headers()
        share = self.provisioned.get(request.model)
        if share is not None:
            wait_s = share.take(tokens, now)
            found.append(("azure-openai-deployment-utilization", share.utilisation))
            if wait_s:
                served_by = self._spill(request, message, wait_s, found)
                found.append(("x-ms-spillover-from-deployment", request.model))
                request.seen.spilled_from = request.model
        limit = self.limits.get(served_by)
        if limit is not None:
            self._take(limit, tokens, now, served_by, found)
        if self.azure is not None:
            found.append(("x-ms-deployment-name", served_by))
            if "[filter]" in wish.prompt:
                raise Refused(400, azures.filtered(), *found)
        request.seen.served_by = served_by
        return found + list(request.script.headers.items())

    def _spill(
        self, request: _Request, message: Message, wait_s: float, found: list[tuple[str, str]]
    ) -> str:
        """The deployment that takes over. Raises Refused where none does."""
        assert self.azure is not None
        asked = message.get(b"x-ms-spillover-deployment").decode("latin-1")
        other = self.azure.spillover.get(request.model) or asked
        if request.operation == "responses" or other not in self.models:
            milliseconds = math.ceil(wait_s * 1000)
            found.append(("retry-after-ms", str(milliseconds)))
            found.append(("retry-after", str(math.ceil(wait_s))))
            body = azures.limited(math.ceil(wait_s), None)
            raise Refused(429, body, *found)
        return other

    def _take(
        self, limit: Limit, tokens: int, now: float, model: str, found: list[tuple[str, str]]
    ) -> None:
        short, wait_s = limit.take(tokens, now)
        found += limit.headers(with_reset=self.azure is None)
        if not short:
            return
        seconds = math.ceil(wait_s)
        found.append(("retry-after-ms", str(math.ceil(wait_s * 1000))))
        found.append(("retry-after", str(seconds)))
        if self.azure is not None:
            raise Refused(429, azures.limited(seconds, None), *found)
        say = f"Rate limit reached for {model} on {short}. Please try again in {wait_s:.3f}s."
        raise Refused(429, error(say, short, "rate_limit_exceeded"), *found)

    def _wrong(self, request: _Request) -> dict[str, Any] | None:
        if request.operation == "responses":
            return responses.check(request.body, self.stored)
        if request.operation == "chat/completions":
            return chat.check(request.body)
        return None

    def _wish(self, request: _Request) -> Wish:
        match request.operation:
            case "responses":
                return responses.wish(request.body, self.stored)
            case "chat/completions":
                return chat.wish(request.body)
            case "completions":
                return chat.completion_wish(request.body)
            case "embeddings":
                ask = dialect.read_ask("/embeddings", json.dumps(request.body).encode())
                return Wish("", ask.prompt_tokens, 0)
        say = f"Invalid URL (POST /v1/{request.operation})"
        raise Refused(404, error(say, code="unknown_url"))

    # The answer

    async def _play(self, request: _Request, reply: Reply, headers: list[tuple[str, str]]) -> None:
        seen, script = request.seen, request.script
        seen.status, seen.cached = script.status, script.cached
        reply.cut_after = script.cut_after_bytes
        if request.operation == "embeddings":
            ask = dialect.read_ask("/embeddings", json.dumps(request.body).encode())
            await self._whole(reply, 200, headers, dialect.embed(ask), seen)
            return
        plan = make_plan(self._wish(request), script)
        self._keep(request, plan)
        if request.body.get("stream") is True:
            await self._stream(request, plan, reply, headers)
            return
        seen.output, seen.reasoning = plan.output, plan.thoughts
        body = self._body(request, plan)
        await self._whole(reply, script.status, headers, body, seen)

    def _keep(self, request: _Request, plan: Plan) -> None:
        """What a later response may refer to."""
        if request.operation == "responses" and request.body.get("store") is not False:
            self.stored[responses.response_id(request.seen.number)] = plan.input + plan.output

    def _body(self, request: _Request, plan: Plan) -> dict[str, Any]:
        body, number = request.body, request.seen.number
        if request.operation == "responses":
            return responses.answer(plan, body, number)
        if request.operation == "completions":
            return chat.completion(plan, body, number)
        found = chat.answer(plan, body, number)
        return found if self.azure is None else azures.filter_body(found)

    def _frames(self, request: _Request, plan: Plan) -> Iterator[Frame]:
        body, number = request.body, request.seen.number
        if request.operation == "responses":
            return responses.frames(plan, body, number)
        if request.operation == "completions":
            return chat.completion_frames(plan, body, number)
        found = chat.frames(plan, body, number)
        return found if self.azure is None else azures.filter_frames(found)

    async def _stream(
        self, request: _Request, plan: Plan, reply: Reply, headers: list[tuple[str, str]]
    ) -> None:
        script, seen = request.script, request.seen
        content = ("content-type", "text/event-stream; charset=utf-8")
        await reply.begin(script.status, [content, *self._own_headers(seen), *headers])
        if script.first_token_delay_s:
            await asyncio.sleep(script.first_token_delay_s)
        frames = list(self._frames(request, plan))
        for place, frame in enumerate(frames):
            trouble = script.trouble
            is_last = place >= len(frames) - (2 if frames[-1].data == "[DONE]" else 1)
            if trouble is not None and (
                (frame.tokens and seen.output >= trouble.after_tokens) or is_last
            ):
                await self._fail(request, plan, reply, place)
                return
            if is_last and script.end == "none":
                break
            if frame.tokens and script.pace_s and seen.output:
                await asyncio.sleep(script.pace_s)
            await reply.more(_event(frame))
            seen.output += frame.tokens
            seen.reasoning = min(plan.thoughts, seen.output)
        await reply.end()

    async def _fail(self, request: _Request, plan: Plan, reply: Reply, place: int) -> None:
        """The trouble that the script wants."""
        trouble = request.script.trouble
        assert trouble is not None
        if trouble.how == "stall":
            await reply.stall()
        elif trouble.how == "reset":
            await reply.reset()
        elif trouble.how == "close":
            await reply.close()
        request.seen.failed = True
        if trouble.how == "garbage":
            await reply.more(b"data: {not json\n\n")
        else:
            for frame in self._failure(request, plan, place):
                await reply.more(_event(frame))
        await reply.end()

    def _failure(self, request: _Request, plan: Plan, place: int) -> list[Frame]:
        """An error inside the 200."""
        trouble = request.script.trouble
        assert trouble is not None
        if request.operation != "responses":
            return [Frame(error(trouble.message, "server_error", trouble.code))]
        number, is_azure = request.seen.number, self.azure is not None
        return responses.failure_frames(plan, request.body, number, place, azure=is_azure)

    async def _whole(
        self,
        reply: Reply,
        status: int,
        headers: list[tuple[str, str]],
        body: dict[str, Any],
        seen: Billed,
    ) -> None:
        kind, text = "application/json", json.dumps(body)
        if list(body) == [""]:
            kind, text = "text/html", body[""]
        found = [("content-type", kind), *self._own_headers(seen), *headers]
        await reply.whole(status, found, text.encode())

    def _own_headers(self, seen: Billed) -> list[tuple[str, str]]:
        found = [("x-request-id", f"req_{seen.number:032x}")]
        if self.azure is None:
            found += [("openai-processing-ms", "12"), ("openai-version", "2020-10-01")]
        return found

    def _azure_headers(self) -> list[tuple[str, str]]:
        assert self.azure is not None
        return [
            ("apim-request-id", f"{random.getrandbits(128):032x}"),
            ("x-ms-region", self.azure.region),
            ("x-ms-rai-invoked", "true"),
            ("azureml-model-session", "d001-emulator"),
        ]

    def _models(self, path: str) -> dict[str, Any]:
        listed = dialect.models(self.models)
        _, _, name = path.partition("/")
        if not name:
            return listed
        found = next((one for one in listed["data"] if one["id"] == name), None)
        if found is None:
            raise Refused(404, usual(404, name))
        return dict(found)


def _event(frame: Frame) -> bytes:
    data = frame.data if isinstance(frame.data, str) else _dump(frame.data)
    head = f"event: {frame.name}\n" if frame.name else ""
    return f"{head}data: {data}\n\n".encode()


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
