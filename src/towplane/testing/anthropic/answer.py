"""The answers of the emulator: blocks decided first, then told whole or as events. No HTTP here."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from towplane.testing.anthropic.script import Script
from towplane.testing.provider.tokens import word

__all__ = ["Answer", "Block", "Frame", "decide", "is_signed", "sign"]

_SECRET = b"emulator"


def sign(text: str) -> str:
    """A signature for a thought."""
    return base64.b64encode(hmac.digest(_SECRET, text.encode(), hashlib.sha256)).decode()


def is_signed(text: str, signature: str) -> bool:
    """Whether this signature was made here: for this text, or for a thought that was not shown."""
    if hmac.compare_digest(signature.encode(), sign(text).encode()):
        return True
    return not text and signature.startswith("hidden.") and _opens(signature)


def hide(text: str) -> str:
    """A thought that only we can read."""
    sealed = base64.b64encode(text.encode()).decode()
    return f"hidden.{sealed}.{sign(text)}"


def _opens(sealed: str) -> bool:
    _, _, rest = sealed.partition(".")
    text, _, signature = rest.rpartition(".")
    try:
        return sign(base64.b64decode(text).decode()) == signature
    except ValueError:
        return False


@dataclass(slots=True)
class Block:
    """One block of an answer; `pieces` are its tokens."""

    kind: str
    pieces: list[str] = field(default_factory=list)
    name: str = ""
    id: str = ""
    secret: str = ""
    """The signature or the data of a thought."""
    citations: list[dict[str, Any]] = field(default_factory=list)
    content: Any = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def whole(self) -> dict[str, Any]:
        """As it stands in a whole message."""
        match self.kind:
            case "text":
                block: dict[str, Any] = {"type": "text", "text": self.text}
                return block | ({"citations": self.citations} if self.citations else {})
            case "thinking":
                return {"type": "thinking", "thinking": self.text, "signature": self.secret}
            case "redacted_thinking":
                return {"type": "redacted_thinking", "data": self.secret}
            case "web_search_tool_result":
                return {"type": self.kind, "tool_use_id": self.id, "content": self.content}
        found = {"type": self.kind, "id": self.id, "name": self.name}
        return found | {"input": json.loads(self.text or "{}")}

    def start(self) -> dict[str, Any]:
        """As it begins in a stream."""
        match self.kind:
            case "text":
                return {"type": "text", "text": ""}
            case "thinking":
                return {"type": "thinking", "thinking": "", "signature": ""}
            case "tool_use" | "server_tool_use":
                return {"type": self.kind, "id": self.id, "name": self.name, "input": {}}
        return self.whole()

    def deltas(self) -> Iterator[tuple[dict[str, Any], bool]]:
        """How it grows; the flag tells tokens."""
        match self.kind:
            case "text":
                for piece in self.pieces:
                    yield {"type": "text_delta", "text": piece}, True
                for citation in self.citations:
                    yield {"type": "citations_delta", "citation": citation}, False
            case "thinking":
                for piece in self.pieces:
                    yield {"type": "thinking_delta", "thinking": piece}, True
                yield {"type": "signature_delta", "signature": self.secret}, False
            case "tool_use" | "server_tool_use":
                yield {"type": "input_json_delta", "partial_json": ""}, False
                for piece in self.pieces:
                    yield {"type": "input_json_delta", "partial_json": piece}, True


@dataclass(slots=True)
class Frame:
    """One event of a stream; `tokens` of it are output."""

    event: str
    data: dict[str, Any]
    tokens: int = 0


@dataclass(slots=True)
class Answer:
    """What the API says to a request."""

    id: str
    model: str
    blocks: list[Block]
    stop_reason: str
    stop_sequence: str | None
    input: int
    script: Script

    @property
    def output(self) -> int:
        """Output tokens: pieces, and three for each thought that is not shown."""
        return sum(len(block.pieces) or 3 * bool(block.secret) for block in self.blocks)

    @property
    def thought(self) -> int:
        return sum(
            len(block.pieces) or 3
            for block in self.blocks
            if block.kind in ("thinking", "redacted_thinking")
        )

    def usage(self, output: int) -> dict[str, Any]:
        """The books: cached input stands beside the rest."""
        script = self.script
        found: dict[str, Any] = {
            "input_tokens": self.input - script.cached - script.written - script.written_1h,
            "cache_creation_input_tokens": script.written + script.written_1h,
            "cache_read_input_tokens": script.cached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": script.written,
                "ephemeral_1h_input_tokens": script.written_1h,
            },
            "output_tokens": output,
            "service_tier": script.service_tier,
            "inference_geo": "global",
        }
        if script.speed is not None:
            found["speed"] = script.speed
        if script.searches:
            found["server_tool_use"] = {
                "web_search_requests": script.searches,
                "web_fetch_requests": 0,
            }
        return found

    def whole(self) -> dict[str, Any]:
        """In one piece."""
        found = self._begun() | {
            "content": [block.whole() for block in self.blocks],
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
        }
        if self.script.usage == "missing":
            del found["usage"]
        else:
            found["usage"] = self.usage(self.output) | self._details()
        return found

    def frames(self) -> Iterator[Frame]:
        """As a stream."""
        script = self.script
        begun = self._begun()
        if script.usage == "missing":
            del begun["usage"]
        yield Frame("message_start", {"type": "message_start", "message": begun})
        yield Frame("ping", {"type": "ping"})
        if script.unknown_events:
            yield Frame("message_mood", {"type": "message_mood", "mood": "fine"})
        for index, block in enumerate(self.blocks):
            yield from self._block_frames(index, block)
        if script.end != "no_delta":
            stop = {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence}
            last: dict[str, Any] = {"type": "message_delta", "delta": stop}
            if script.usage == "repeated":
                last["usage"] = self.usage(self.output) | self._details()
            elif script.usage == "right":
                last["usage"] = {"output_tokens": self.output} | self._details()
            yield Frame("message_delta", last)
        if script.end == "good":
            yield Frame("message_stop", {"type": "message_stop"})

    def _block_frames(self, index: int, block: Block) -> Iterator[Frame]:
        hidden = 3 if block.secret and not block.pieces else 0
        start = {"type": "content_block_start", "index": index, "content_block": block.start()}
        yield Frame("content_block_start", start, hidden)
        for delta, is_token in block.deltas():
            data = {"type": "content_block_delta", "index": index, "delta": delta}
            yield Frame("content_block_delta", data, int(is_token))
        if self.script.unknown_events:
            delta = {"type": "mood_delta", "mood": "fine"}
            data = {"type": "content_block_delta", "index": index, "delta": delta}
            yield Frame("content_block_delta", data)
        yield Frame("content_block_stop", {"type": "content_block_stop", "index": index})

    def _begun(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self.usage(1),
        }

    def _details(self) -> dict[str, Any]:
        return {"output_tokens_details": {"thinking_tokens": self.thought}} if self.thought else {}


def decide(body: dict[str, Any], script: Script, number: int, input_tokens: int) -> Answer:
    """The answer to a request that is right."""
    prompt = _last_text(body)
    blocks = _thoughts(body, script, prompt)
    calls = _calls(body, script, prompt)
    stop, sequence = "end_turn", None
    for search in range(script.searches):
        found = f"srvtoolu_{number}_{search}"
        query = ['{"query": ', '"planes"}']
        blocks.append(Block("server_tool_use", query, "web_search", found))
        blocks.append(Block("web_search_tool_result", id=found, content=[]))
    if "[refuse]" in prompt:
        blocks.append(Block("text", ["I ", "cannot. "]))
        stop = "refusal"
    elif calls:
        blocks.append(Block("text", ["Let ", "me ", "look. "]))
        for place, tool in enumerate(calls):
            text = json.dumps(_example(tool.get("input_schema", {})), ensure_ascii=False)
            arguments = [] if text == "{}" else _cut(text)
            blocks.append(Block("tool_use", arguments, tool["name"], f"toolu_{number}_{place}"))
        stop = "tool_use"
    else:
        text_block, sequence = _text(body, script, prompt)
        blocks.append(text_block)
        stop = "stop_sequence" if sequence is not None else stop
    if _limit(blocks, body.get("max_tokens", 4096)):
        stop, sequence = "max_tokens", None
    return Answer(
        f"msg_{number:024d}",
        body["model"],
        blocks,
        script.stop_reason or stop,
        sequence,
        input_tokens,
        script,
    )


def _thoughts(body: dict[str, Any], script: Script, prompt: str) -> list[Block]:
    thinking = body.get("thinking") or {}
    if thinking.get("type") not in ("enabled", "adaptive") and "[think]" not in prompt:
        return []
    pieces = [f"thought{index} " for index in range(script.thinking)]
    text = "".join(pieces)
    if script.redacted:
        return [Block("redacted_thinking", secret=hide(text))]
    if thinking.get("display") == "omitted":
        return [Block("thinking", secret=hide(text))]
    return [Block("thinking", pieces, secret=sign(text))]


def _calls(body: dict[str, Any], script: Script, prompt: str) -> list[dict[str, Any]]:
    """The tools to call."""
    tools = [tool for tool in body.get("tools") or [] if (tool.get("type") or "custom") == "custom"]
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    if not tools or kind == "none":
        return []
    if script.calls:
        chosen = [tool for tool in tools if tool["name"] in script.calls]
    elif kind == "tool":
        chosen = [tool for tool in tools if tool["name"] == choice["name"]]
    elif _ends_with_result(body):
        return []
    elif "[tools]" in prompt:
        chosen = tools
    elif "[tool]" in prompt or kind == "any":
        chosen = tools[:1]
    else:
        return []
    return chosen[:1] if choice.get("disable_parallel_tool_use") else chosen


def _ends_with_result(body: dict[str, Any]) -> bool:
    content = body["messages"][-1]["content"]
    return isinstance(content, list) and any(b["type"] == "tool_result" for b in content)


def _text(body: dict[str, Any], script: Script, prompt: str) -> tuple[Block, str | None]:
    form = (body.get("output_config") or {}).get("format")
    if form is not None:
        text = json.dumps(_example(form["schema"]), ensure_ascii=False)
        return Block("text", _cut(text)), None
    words = 10**9 if "[long]" in prompt else script.tokens
    most = body.get("max_tokens", 4096) + 1  # one more than may be said shows that there was more
    pieces = _cut(script.text) if script.text is not None else []
    if script.text is None:
        pieces = [word(index) for index in range(min(words, most))]
    text = "".join(pieces)
    for stop in body.get("stop_sequences") or []:
        at = text.find(stop)
        if at >= 0:
            return Block("text", _cut(text[:at])), stop
    citations = [
        {
            "type": "char_location",
            "cited_text": f"source {index}",
            "document_index": 0,
            "document_title": None,
            "start_char_index": index,
            "end_char_index": index + 1,
            "file_id": None,
        }
        for index in range(script.citations)
    ]
    return Block("text", pieces, citations=citations), None


def _limit(blocks: list[Block], most: int) -> bool:
    """Cut the blocks to `max_tokens`; whether there was anything to cut."""
    left, was_cut = most, False
    for block in tuple(blocks):
        size = len(block.pieces)
        if size > left:
            block.pieces = block.pieces[:left]
            was_cut = True
            if block.kind.endswith("tool_use"):
                blocks.remove(block)
        left -= min(size, left)
    return was_cut


def _cut(text: str) -> list[str]:
    """Text in tokens of up to four letters."""
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def _example(schema: dict[str, Any]) -> Any:
    """A value that keeps a JSON Schema."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            required = schema.get("required", list(schema.get("properties", {})))
            return {name: _example(schema["properties"][name]) for name in required}
        case "array":
            return [_example(schema.get("items", {}))]
        case "integer":
            return 7
        case "number":
            return 1.5
        case "boolean":
            return True
        case "null":
            return None
    return "höhe"


def _last_text(body: dict[str, Any]) -> str:
    for message in reversed(body["messages"]):
        if message["role"] != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            return content
        texts = [block["text"] for block in content if block["type"] == "text"]
        if texts:
            return str(texts[-1])
    return ""
