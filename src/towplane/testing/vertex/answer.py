"""The answers of the emulator's Gemini: parts decided first, then told whole or in chunks.

A word is a token, and JSON has one for every four characters, so that everybody can count them by
hand. No HTTP here.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from towplane.testing.openai.plan import instance_of
from towplane.testing.provider.tokens import word
from towplane.testing.vertex.check import count
from towplane.testing.vertex.script import Script
from towplane.testing.vertex.signatures import seal, seal_call
from towplane.testing.vertex.where import Model

__all__ = ["Answer", "decide"]

JSON = dict[str, Any]
_LONG = 10_000
_PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\nemulated").decode()
_PICTURE_TOKENS = 1290


@dataclass(slots=True)
class Piece:
    """A part, or as much of one as stands in one chunk; `tokens` of it are billed."""

    part: JSON
    tokens: int
    is_thought: bool = False


@dataclass(slots=True)
class Answer:
    """What the model says to a request."""

    id: str
    model: str
    pieces: list[Piece]
    finish: str
    prompt: int
    pictures: int
    sound: int
    script: Script
    choices: int = 1
    hidden: int = 0
    """Thoughts that are billed and not shown."""
    logprobs: bool = False
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat().replace("+00:00", "Z"))

    @property
    def thoughts(self) -> int:
        return self.hidden + sum(piece.tokens for piece in self.pieces if piece.is_thought)

    @property
    def said(self) -> int:
        """Output tokens that are no thoughts, of all choices."""
        return self.choices * sum(one.tokens for one in self.pieces if not one.is_thought)

    def whole(self) -> JSON:
        """In one piece."""
        found = self._envelope()
        if self.script.block:
            found["promptFeedback"] = {"blockReason": self.script.block}
            found["usageMetadata"] = self.usage(0, 0)
            return found
        found["candidates"] = [self._candidate(self.pieces, index, ends=True)
                               for index in range(self.choices)]  # fmt: skip
        if self.script.usage != "missing":
            found["usageMetadata"] = self.usage(self.said, self.thoughts)
        return found

    def chunks(self) -> Iterator[tuple[JSON, int]]:
        """As a stream: chunks, with the output tokens that each brings."""
        if self.script.block:
            yield self.whole(), 0
            return
        said, thoughts = 0, self.hidden
        last = len(self.pieces) - 1
        for place, piece in enumerate(self.pieces):
            if piece.is_thought:
                thoughts += piece.tokens
            else:
                said += piece.tokens * self.choices
            found = self._envelope()
            found["candidates"] = [self._candidate([piece], index, ends=place == last)
                                   for index in range(self.choices)]  # fmt: skip
            ends = place == last
            if self.script.usage != "missing":
                counts = ends or self.script.usage == "every"
                found["usageMetadata"] = (
                    self.usage(said, thoughts) if counts else {"trafficType": self.script.traffic}
                )
            tokens = piece.tokens * (1 if piece.is_thought else self.choices)
            yield found, tokens + (self.hidden if place == 0 else 0)

    def usage(self, said: int, thoughts: int) -> JSON:
        """The bill."""
        inside = thoughts if self.script.usage == "thoughts_inside" else 0
        found: JSON = {
            "promptTokenCount": self.prompt,
            "candidatesTokenCount": said + inside,
            "totalTokenCount": self.prompt + said + thoughts,
            "trafficType": self.script.traffic,
            "promptTokensDetails": self._details(),
        }
        if thoughts:
            found["thoughtsTokenCount"] = thoughts
        if self.script.cached:
            found["cachedContentTokenCount"] = self.script.cached
        return found

    def _details(self) -> list[JSON]:
        counts = {"TEXT": self.prompt - self.pictures - self.sound, "IMAGE": self.pictures,
                  "AUDIO": self.sound}  # fmt: skip
        return [
            {"modality": name, "tokenCount": tokens} for name, tokens in counts.items() if tokens
        ]

    def _envelope(self) -> JSON:
        return {"modelVersion": self.model, "createTime": self.made, "responseId": self.id}

    def _candidate(self, pieces: list[Piece], index: int, *, ends: bool) -> JSON:
        found: JSON = {"content": {"role": "model", "parts": [piece.part for piece in pieces]}}
        if index:
            found["index"] = index
        if ends and self.finish:
            found["finishReason"] = self.finish
        if self.logprobs:
            words = "".join(piece.part.get("text", "") for piece in pieces).split(" ")
            chosen = [{"token": one, "tokenId": 7, "logProbability": -0.25} for one in words if one]
            found["logprobsResult"] = {
                "chosenCandidates": chosen,
                "topCandidates": [{"candidates": [one]} for one in chosen],
            }
        return found


def decide(body: JSON, model: Model, name: str, script: Script, number: int) -> Answer:
    """The answer to a request that is right."""
    config = body.get("generationConfig", {})
    prompt, pictures, sound = count(body)
    thinking = config.get("thinkingConfig", {})
    thoughts = _thoughts(thinking, script)
    shows = thinking.get("includeThoughts") is True
    pieces = _said(body, config, model, script, thoughts)
    finish, pieces = _limit(
        pieces, config.get("maxOutputTokens"), len(thoughts), "[long]" in _last(body)
    )
    answer = Answer(
        f"emulated-{number:08d}",
        name,
        pieces,
        finish if script.finish is None else script.finish,
        prompt,
        pictures,
        sound,
        script,
        choices=config.get("candidateCount", 1),
        logprobs=config.get("responseLogprobs") is True,
    )
    if shows:
        shown = [Piece({"text": one, "thought": True}, 1, is_thought=True) for one in thoughts]
        answer.pieces = [*shown, *pieces]
    else:
        answer.hidden = len(thoughts)
    return answer


def _thoughts(thinking: JSON, script: Script) -> list[str]:
    if thinking.get("thinkingBudget") == 0:
        return []
    return [f"thought{index} " for index in range(script.thinking)]


def _said(
    body: JSON, config: JSON, model: Model, script: Script, thoughts: list[str]
) -> list[Piece]:
    calls = _calls(body)
    if calls:
        return [_call(one, place, model, thoughts) for place, one in enumerate(calls)]
    if script.text is not None:
        words = [one + " " for one in script.text.split(" ")]
        words[-1] = words[-1][:-1]
    elif config.get("responseMimeType") == "application/json":
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        value = {"answer": "plane"} if schema is None else instance_of(_lower(schema))
        text = json.dumps(value, ensure_ascii=False)
        words = [text[start : start + 4] for start in range(0, len(text), 4)]
    else:
        words = [
            word(index) for index in range(_LONG if "[long]" in _last(body) else script.tokens)
        ]
    words = _stop(words, config.get("stopSequences", []))
    size = max(script.chunk_tokens, 1)
    pieces = [
        Piece({"text": "".join(words[start : start + size])}, len(words[start : start + size]))
        for start in range(0, len(words), size)
    ]
    if script.picture:
        data = {"inlineData": {"mimeType": "image/png", "data": _PICTURE}}
        pieces.append(Piece(data, _PICTURE_TOKENS))
    if model.signs and thoughts:
        pieces.append(Piece({"text": "", "thoughtSignature": seal("".join(words))}, 0))
    return pieces


def _stop(words: list[str], stops: list[str]) -> list[str]:
    """The words before the first stop sequence."""
    text = "".join(words)
    at = min((text.find(stop) for stop in stops if stop in text), default=len(text))
    return words if at == len(text) else [one + " " for one in text[:at].split(" ") if one]


def _call(declared: JSON, place: int, model: Model, thoughts: list[str]) -> Piece:
    schema = declared.get("parametersJsonSchema") or _lower(declared.get("parameters")) or {}
    args = instance_of(schema) or {}
    call: JSON = {"name": declared["name"], "args": args}
    if model.signs:
        call["id"] = f"emu{place}x{len(json.dumps(args))}"
    part: JSON = {"functionCall": call}
    if thoughts and place == 0:  # of parallel calls only the first is signed
        part["thoughtSignature"] = seal_call(declared["name"], args)
    return Piece(part, max(len(json.dumps(args)) // 4, 1))


def _calls(body: JSON) -> list[JSON]:
    """The functions that are called."""
    tools = [one for tool in body.get("tools", []) for one in tool.get("functionDeclarations", [])]
    choice = body.get("toolConfig", {}).get("functionCallingConfig", {})
    allowed = choice.get("allowedFunctionNames")
    if allowed:
        tools = [one for one in tools if one["name"] in allowed]
    last = body["contents"][-1]["parts"]
    if choice.get("mode") == "NONE" or any("functionResponse" in part for part in last):
        return []
    if "[tools]" in _last(body):
        return tools
    return tools[:1] if choice.get("mode") == "ANY" or "[tool]" in _last(body) else []


def _limit(
    pieces: list[Piece], most: int | None, thoughts: int, is_long: bool
) -> tuple[str, list[Piece]]:
    """Cut to `maxOutputTokens`, which thoughts are counted against, too."""
    total = sum(piece.tokens for piece in pieces)
    if most is None or thoughts + total <= most:
        return ("STOP", pieces) if not is_long or most is None else ("MAX_TOKENS", pieces)
    kept: list[Piece] = []
    left = max(most - thoughts, 0)
    for piece in pieces:
        if piece.tokens > left and "text" in piece.part:
            words = piece.part["text"].split(" ")[:left]
            piece = Piece({"text": "".join(one + " " for one in words)}, left)
        if not left or piece.tokens > left:
            break
        kept.append(piece)
        left -= piece.tokens
    return "MAX_TOKENS", kept or [Piece({"text": ""}, 0)]


def _last(body: JSON) -> str:
    """The last words of the user."""
    for content in reversed(body["contents"]):
        texts = [part["text"] for part in content["parts"] if "text" in part]
        if content.get("role", "user") == "user" and texts:
            return str(texts[-1])
    return ""


def _lower(schema: Any) -> Any:
    """Google's own schemas name types in capitals."""
    if isinstance(schema, list):
        return [_lower(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: value.lower() if name == "type" and isinstance(value, str) else _lower(value)
        for name, value in schema.items()
    }
