"""Tokens of the emulator: a word is a token; an image is 100, a document 200 beside its text."""

from typing import Any

from towplane.testing.provider.tokens import count_text

__all__ = ["DOCUMENT", "IMAGE", "count_block", "count_request", "count_tool"]

IMAGE = 100
DOCUMENT = 200
_PER_MESSAGE = 3


def count_request(body: dict[str, Any]) -> int:
    """Input tokens of a request that is right."""
    messages = body.get("messages", [])
    total = sum(_PER_MESSAGE + _content(message.get("content")) for message in messages)
    total += _content(body.get("system"))
    return total + sum(count_tool(tool) for tool in body.get("tools") or [])


def count_tool(tool: dict[str, Any]) -> int:
    """Of a tool, its name and its schema cost the same whatever they are."""
    return 5 + count_text(str(tool.get("description", "")))


def _content(content: Any) -> int:
    if isinstance(content, str):
        return count_text(content)
    if not isinstance(content, list):
        return 0
    return sum(count_block(block) for block in content if isinstance(block, dict))


def count_block(block: dict[str, Any]) -> int:
    """Of a block of content."""
    match block.get("type"):
        case "text":
            return count_text(block["text"])
        case "image":
            return IMAGE
        case "document":
            source = block["source"]
            return DOCUMENT + (count_text(source["data"]) if source["type"] == "text" else 0)
        case "tool_use":
            return 5 + len(block["input"])
        case "tool_result":
            return 2 + _content(block.get("content"))
        case "thinking":
            return count_text(block["thinking"])
    return 1
