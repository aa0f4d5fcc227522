"""What the prompt cache holds of a request: prefixes up to each mark, in the order in which the
original caches them: tools, system, messages. The books are those of `testing.bedrock.prompt`."""

import json
from typing import Any

import msgspec

from towplane.testing.anthropic.script import Script
from towplane.testing.anthropic.tokens import count_block, count_tool
from towplane.testing.bedrock.prompt import Cache, Prompt

__all__ = ["Cache", "told_by"]

_PER_MESSAGE = 3


def told_by(cache: Cache, body: dict[str, Any], script: Script, now: float) -> Script:
    """The script, with what the cache reads and writes for a request that is marked; a script that
    says something of the cache itself goes before."""
    prompt = _prompt(body)
    if not prompt.marks or script.cached or script.written or script.written_1h:
        return script
    counted = cache.count(str(body.get("model", "")), prompt, now)
    return msgspec.structs.replace(
        script,
        cached=counted.read,
        written=counted.written - counted.written_1h,
        written_1h=counted.written_1h,
    )


def _prompt(body: dict[str, Any]) -> Prompt:
    prompt = Prompt()
    for tool in body.get("tools") or []:
        _add(prompt, tool, count_tool(tool))
    for block in _blocks(body.get("system") or []):
        _add(prompt, block, count_block(block))
    for message in body.get("messages", []):
        prompt.add(message.get("role"), tokens=_PER_MESSAGE)
        for block in _blocks(message.get("content")):
            _add(prompt, block, count_block(block))
    return prompt


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _add(prompt: Prompt, block: dict[str, Any], tokens: int) -> None:
    said = {name: value for name, value in block.items() if name != "cache_control"}
    prompt.pieces.append((tokens, json.dumps(said, sort_keys=True)))
    if block.get("cache_control"):
        prompt.mark(block["cache_control"].get("ttl"))
