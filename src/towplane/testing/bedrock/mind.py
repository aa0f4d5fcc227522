"""The fake model: what it answers to a prompt. The same prompt and script, the same answer.

Without a script the words of the user decide, as with the emulator of Anthropic: `[tool]` calls the
first tool, `[tools]` all of them, `[think]` thinks unasked, `[refuse]` refuses, `[long]` writes to
its limit. Its thoughts are signed, and it knows its own signatures again; a wrong one is refused.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from towplane.testing.bedrock.prompt import Prompt, Refusal
from towplane.testing.bedrock.script import Call, Script
from towplane.testing.provider.tokens import word

__all__ = [
    "Answer",
    "Redacted",
    "Thought",
    "ToolUse",
    "Words",
    "answer",
    "check_redacted",
    "check_thought",
    "is_redacted",
    "sign_thought",
]

_SECRET = b"the fake model's own"


@dataclass(slots=True)
class Thought:
    """What it thinks, by tokens, signed."""

    tokens: list[str]
    signature: str


@dataclass(slots=True)
class Redacted:
    """What it thinks and does not show."""

    data: str


@dataclass(slots=True)
class Words:
    """What it says, by tokens."""

    tokens: list[str]
    cites: str = ""
    """The document that it cites."""


@dataclass(slots=True)
class ToolUse:
    """A call, its arguments in pieces of JSON."""

    id: str
    name: str
    pieces: list[str]

    @property
    def input(self) -> Any:
        """The arguments."""
        return json.loads("".join(self.pieces) or "{}")


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    parts: list[Thought | Redacted | Words | ToolUse] = field(default_factory=list)
    stop_reason: str = "end_turn"
    stop_sequence: str = ""
    output: int = 0
    """Tokens."""


def answer(prompt: Prompt, script: Script, number: int) -> Answer:
    """What the model says; `number` is the request's, for the ids of calls."""
    found = Answer()
    if prompt.thinks or script.thoughts or "[think]" in prompt.last_text:
        tokens = [word(index) for index in range(script.thoughts or 4)]
        found.parts.append(Thought(tokens, sign_thought("".join(tokens))))
    if script.redacted:
        found.parts.append(Redacted(_token("redacted")))
    calls = _calls(prompt, script)
    if calls and script.text:
        found.parts.append(_words(prompt, script))
    for index, call in enumerate(calls):
        text = json.dumps(call.arguments) if call.arguments else ""
        half = len(text) // 2
        pieces = [piece for piece in (text[:half], text[half:]) if piece]
        found.parts.append(ToolUse(f"tooluse_{number}_{index}", call.name, pieces))
    if calls:
        found.stop_reason = "tool_use"
    else:
        found.parts.append(_words(prompt, script))
    _stop(found, prompt.stops)
    _limit(found, prompt.most)
    if script.stop_reason:
        found.stop_reason = script.stop_reason
    return found


def sign_thought(text: str) -> str:
    """The signature of a thought."""
    return _token(text)


def check_thought(text: str, signature: str, where: str) -> None:
    """Raises Refusal where the model did not think so."""
    if not hmac.compare_digest(signature, sign_thought(text)):
        raise Refusal(
            "ValidationException",
            "The model returned the following errors: "
            f"{where}: Invalid `signature` in `thinking` block",
        )


def is_redacted(data: str) -> bool:
    """Whether the model made this redacted thought."""
    return hmac.compare_digest(data.encode(), _token("redacted").encode())


def check_redacted(data: str, where: str) -> None:
    """Raises Refusal where the model did not think so."""
    if not is_redacted(data):
        raise Refusal(
            "ValidationException",
            f"The model returned the following errors: {where}: Invalid `data` in "
            "`redacted_thinking` block",
        )


def _token(text: str) -> str:
    return base64.b64encode(hmac.new(_SECRET, text.encode(), hashlib.sha256).digest()).decode()


def _calls(prompt: Prompt, script: Script) -> list[Call]:
    """The tools to call: as scripted, as chosen, or as the user's words want it."""
    if script.calls is not None:
        return script.calls
    tools, text = prompt.tools, prompt.last_text
    if not tools or prompt.choice == "none":
        return []
    if prompt.choice not in ("auto", "any"):
        wanted = [tool for tool in tools if tool.name == prompt.choice]
    elif prompt.is_answered:
        wanted = []
    elif "[tools]" in text:
        wanted = tools
    else:
        wanted = tools[:1] if "[tool]" in text or prompt.choice == "any" else []
    if prompt.is_single:
        wanted = wanted[:1]
    return [Call(tool.name, _fill(tool.schema)) for tool in wanted]


def _words(prompt: Prompt, script: Script) -> Words:
    cited = prompt.documents[0] if script.cites and prompt.documents else ""
    if script.text is not None:
        tokens = [f"{one} " for one in script.text.split(" ")] if script.text else []
        if tokens:
            tokens[-1] = tokens[-1][:-1]
        return Words(tokens, cited)
    if prompt.schema is not None:
        return Words([json.dumps(_fill(prompt.schema))], cited)
    if "[refuse]" in prompt.last_text:
        return Words(["I ", "cannot. "], cited)
    most = (prompt.most or 100) + 1  # one more than may be said shows that there was more
    count = most if "[long]" in prompt.last_text else script.tokens
    return Words([word(index) for index in range(count)], cited)


def _stop(found: Answer, stops: list[str]) -> None:
    """End the text before a stop sequence."""
    for part in found.parts:
        if not isinstance(part, Words):
            continue
        text = "".join(part.tokens)
        for stop in stops:
            at = text.find(stop)
            if at >= 0:
                part.tokens = [text[start : start + 4] for start in range(0, at, 4)]
                part.tokens = [token[: at - 4 * i] for i, token in enumerate(part.tokens)]
                found.stop_reason, found.stop_sequence = "stop_sequence", stop
                return


def _limit(found: Answer, most: int | None) -> None:
    """Count the output and cut it where the request allows no more."""
    left = most if most is not None else 1 << 30
    for part in found.parts:
        if isinstance(part, Redacted):
            spent = 1
        elif isinstance(part, ToolUse):
            spent = len(part.pieces) + 1
        else:
            if len(part.tokens) > left:
                part.tokens = part.tokens[: max(left, 0)]
                found.stop_reason = "max_tokens"
            spent = len(part.tokens)
        left -= spent
        found.output += spent


def _fill(schema: dict[str, Any]) -> Any:
    """The plainest value that a schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            wanted = schema.get("required", list(schema.get("properties", {})))
            inner = schema.get("properties", {})
            return {name: _fill(inner.get(name, {"type": "string"})) for name in wanted}
        case "array":
            return [_fill(schema.get("items", {"type": "string"}))]
        case "integer" | "number":
            return 7
        case "boolean":
            return True
        case "null":
            return None
    return "Bergen"
