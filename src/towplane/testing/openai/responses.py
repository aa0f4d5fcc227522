"""Responses as the emulator speaks them: checks, wish, answer. No HTTP here.

Shapes: openai 3.54.0 `types/responses`. What was stored is kept by the caller; what was sealed is
checked, so that a client that does not send its reasoning back as it came is found out.
"""

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any

from towplane.testing.openai.chat import CREATED, Frame, count_images
from towplane.testing.openai.errors import error
from towplane.testing.openai.plan import Part, Plan, Wish
from towplane.testing.provider.tokens import count_text

__all__ = ["answer", "check", "failure_frames", "frames", "response_id", "wish"]

_KNOWN = frozenset((
    "access_programs", "background", "background_options", "context_management", "conversation",
    "image", "include", "input", "instructions", "max_output_tokens", "max_tool_calls",
    "metadata", "model", "moderation", "parallel_tool_calls", "previous_response_id", "prompt",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning",
    "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature",
    "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
))  # fmt: skip
_CONTENT = {
    "user": ("input_text", "input_image", "input_file"),
    "system": ("input_text", "input_image", "input_file"),
    "developer": ("input_text", "input_image", "input_file"),
    "assistant": ("output_text", "refusal"),
}
_SEAL = "sealed:"


def check(body: dict[str, Any], stored: dict[str, int]) -> dict[str, Any] | None:
    """The error of a request that the original refuses; `stored` are the responses it knows."""
    for name in body:
        if name not in _KNOWN:
            return error(f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    given = body.get("input")
    if not isinstance(given, str | list) or not given:
        if not (body.get("prompt") or body.get("previous_response_id")):
            say = "Missing required parameter: 'input'."
            return error(say, code="missing_required_parameter", param="input")
        given = []
    most = body.get("max_output_tokens")
    if most is not None and most < 16:
        say = f"Invalid 'max_output_tokens': expected a value >= 16, got {most}."
        return error(say, code="integer_below_min_value", param="max_output_tokens")
    previous = body.get("previous_response_id")
    if previous is not None and previous not in stored:
        say = f"Previous response with id '{previous}' not found."
        return error(say, code="previous_response_not_found", param="previous_response_id")
    for place, tool in enumerate(body.get("tools") or []):
        if tool.get("type") == "function" and not tool.get("name"):
            name = f"tools[{place}].name"
            say = f"Missing required parameter: '{name}'."
            return error(say, code="missing_required_parameter", param=name)
    return _check_items(given) if isinstance(given, list) else None


def wish(body: dict[str, Any], stored: dict[str, int]) -> Wish:
    """What the answer depends on."""
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    tools = [tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    choice = body.get("tool_choice")
    forced: tuple[str, ...] = ()
    if isinstance(choice, dict) and choice.get("type") == "function":
        forced = (choice["name"],)
    elif choice == "required" and tools:
        forced = (tools[0]["name"],)
    form = (body.get("text") or {}).get("format") or {}
    schema: Any = True if form.get("type") == "json_object" else None
    if form.get("type") == "json_schema":
        schema = form.get("schema") or {}
    reasoning = body.get("reasoning") or {}
    last = items[-1] if items else {}
    tokens = sum(_count(item) for item in items) + count_text(body.get("instructions") or "")
    return Wish(
        prompt=_text(last.get("content")) if last.get("role") == "user" else "",
        prompt_tokens=tokens + stored.get(body.get("previous_response_id") or "", 0),
        most=body.get("max_output_tokens"),
        tools=() if choice == "none" else tuple((t["name"], t.get("parameters")) for t in tools),
        forced=forced,
        schema=schema,
        thinks=bool(reasoning) and reasoning.get("effort") != "none",
        shows_thoughts=reasoning.get("summary") is not None,
        may_filter=True,
        is_single=body.get("parallel_tool_calls") is False,
    )


def response_id(number: int) -> str:
    """The id of the answer to a request."""
    return f"resp_{number:024x}"


def answer(plan: Plan, body: dict[str, Any], number: int) -> dict[str, Any]:
    """A whole answer."""
    items = [_item(part, place, number, body) for place, part in enumerate(plan.parts)]
    return _response(plan, body, number, items)


def frames(plan: Plan, body: dict[str, Any], number: int) -> Iterator[Frame]:
    """The events of a stream."""
    count = iter(range(1_000_000))

    def event(kind: str, tokens: int = 0, **fields: Any) -> Frame:
        name = f"response.{kind}"
        data = {"type": name, "sequence_number": next(count), **fields}
        options = body.get("stream_options") or {}
        is_delta = kind.endswith(".delta")
        if is_delta and plan.script.obfuscation and options.get("include_obfuscation", True):
            data["obfuscation"] = "x" * (data["sequence_number"] % 9 + 1)
        return Frame(data, tokens, name)

    begun = _response(plan, body, number, []) | {"status": "in_progress", "usage": None}
    yield event("created", response=begun | {"incomplete_details": None})
    yield event("in_progress", response=begun | {"incomplete_details": None})
    if plan.script.unknown_events:
        yield event("from_the_future", output_index=0, delta="not a token")
    items = []
    for place, part in enumerate(plan.parts):
        whole = _item(part, place, number, body)
        items.append(whole)
        yield event("output_item.added", output_index=place, item=_begun(whole))
        for kind, tokens, fields in _grow(part, whole, body):
            yield event(kind, tokens, item_id=whole["id"], output_index=place, **fields)
        hidden = len(part.pieces) if part.is_hidden else 0  # billed, and seen by nobody
        yield event("output_item.done", hidden, output_index=place, item=whole)
    found = _response(plan, body, number, items)
    yield event(found["status"], response=found)


def _grow(part: Part, whole: dict[str, Any], body: dict[str, Any]) -> Iterator[Any]:
    """What comes between an item's begin and its end: kind, tokens, fields."""
    text = "".join(part.pieces)
    if part.kind == "thought":
        if part.is_hidden:
            return
        at: dict[str, Any] = {"summary_index": 0}
        empty: dict[str, Any] = {"type": "summary_text", "text": ""}
        yield "reasoning_summary_part.added", 0, at | {"part": empty}
        for piece in part.pieces:
            yield "reasoning_summary_text.delta", 1, at | {"delta": piece}
        yield "reasoning_summary_text.done", 0, at | {"text": text}
        yield "reasoning_summary_part.done", 0, at | {"part": whole["summary"][0]}
    elif part.kind == "call":
        for piece in part.pieces:
            yield "function_call_arguments.delta", 1, {"delta": piece}
        yield "function_call_arguments.done", 0, {"arguments": text, "name": part.name}
    else:
        word = "refusal" if part.kind == "refusal" else "output_text"
        at = {"content_index": 0}
        content = whole["content"][0]
        empty = {"type": content["type"], "annotations": [], "text": "", "logprobs": []}
        if word == "refusal":
            empty = {"type": "refusal", "refusal": ""}
        yield "content_part.added", 0, at | {"part": empty}
        is_text = word == "output_text"
        shows = is_text and "message.output_text.logprobs" in (body.get("include") or [])
        for piece in part.pieces:
            probs = {"logprobs": [_prob(piece)] if shows else []} if is_text else {}
            yield f"{word}.delta", 1, at | {"delta": piece} | probs
        field = "text" if is_text else "refusal"
        more = {"logprobs": content["logprobs"]} if is_text else {}
        yield f"{word}.done", 0, at | {field: text} | more
        yield "content_part.done", 0, at | {"part": content}


def failure_frames(
    plan: Plan, body: dict[str, Any], number: int, sequence: int, *, azure: bool
) -> list[Frame]:
    """An error inside the 200, in the order of either vendor (maximhq/bifrost #5040, #6652)."""
    trouble = plan.script.trouble
    assert trouble is not None
    details = error(trouble.message, "server_error", trouble.code)["error"]
    failed = _response(plan, body, number, []) | {"status": "failed", "usage": None}
    failed |= {"error": None if azure else {"code": trouble.code, "message": trouble.message}}
    last = {"type": "response.failed", "sequence_number": sequence, "response": failed}
    said = {"type": "error", "sequence_number": sequence, "error": details}
    pair = [Frame(last, 0, "response.failed"), Frame(said, 0, "error")]
    return pair if azure else pair[::-1]


def _response(
    plan: Plan, body: dict[str, Any], number: int, items: list[dict[str, Any]]
) -> dict[str, Any]:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(plan.finish)
    usage = {
        "input_tokens": plan.input,
        "input_tokens_details": {
            "cached_tokens": plan.script.cached,
            "cache_write_tokens": plan.script.written,
        },
        "output_tokens": plan.output,
        "output_tokens_details": {"reasoning_tokens": plan.thoughts},
        "total_tokens": plan.input + plan.output,
    }
    return {
        "id": response_id(number),
        "object": "response",
        "created_at": CREATED,
        "status": "completed" if reason is None else "incomplete",
        "background": False,
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": body["model"],
        "output": items,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None} | (body.get("reasoning") or {}),
        "service_tier": plan.script.service_tier,
        "store": body.get("store", True) is not False,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}} | (body.get("text") or {}),
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": usage if plan.script.usage == "right" else None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _item(part: Part, place: int, number: int, body: dict[str, Any]) -> dict[str, Any]:
    text = "".join(part.pieces)
    if part.kind == "thought":
        item: dict[str, Any] = {"id": f"rs_{number}_{place}", "type": "reasoning", "summary": []}
        if not part.is_hidden:
            item["summary"] = [{"type": "summary_text", "text": text}]
        if "reasoning.encrypted_content" in (body.get("include") or []):
            item["encrypted_content"] = _seal(text)
        return item
    if part.kind == "call":
        return {
            "id": f"fc_{number}_{place}",
            "type": "function_call",
            "status": "completed",
            "arguments": text,
            "call_id": f"call_{number}_{place}",
            "name": part.name,
        }
    content: dict[str, Any] = {"type": "refusal", "refusal": text}
    if part.kind == "text":
        shows = "message.output_text.logprobs" in (body.get("include") or [])
        probs = [_prob(piece) for piece in part.pieces] if shows else []
        content = {"type": "output_text", "annotations": [], "logprobs": probs, "text": text}
    return {
        "id": f"msg_{number}_{place}",
        "type": "message",
        "status": "completed",
        "content": [content],
        "role": "assistant",
    }


def _begun(whole: dict[str, Any]) -> dict[str, Any]:
    """The item as it is announced."""
    begun = dict(whole)
    if "status" in begun:
        begun["status"] = "in_progress"
    for name, empty in (("content", []), ("summary", []), ("arguments", "")):
        if name in begun:
            begun[name] = empty
    return begun


def _check_items(items: list[Any]) -> dict[str, Any] | None:
    calls: set[str] = set()
    for place, item in enumerate(items):
        where = f"input[{place}]"
        kind = item.get("type", "message")
        if kind == "message":
            allowed = _CONTENT.get(item.get("role"))
            if allowed is None:
                say = f"Invalid value: '{item.get('role')}'."
                return error(say, code="invalid_value", param=f"{where}.role")
            content = item.get("content")
            for index, part in enumerate(content if isinstance(content, list) else []):
                if part.get("type") not in allowed:
                    say = f"Invalid value: '{part.get('type')}'."
                    name = f"{where}.content[{index}]"
                    return error(say, code="invalid_value", param=name)
        elif kind == "function_call":
            calls.add(item.get("call_id", ""))
        elif kind == "function_call_output" and item.get("call_id") not in calls:
            say = f"No tool call found for function call output with call_id {item['call_id']}."
            return error(say, param="input")
        elif kind == "reasoning":
            sealed = item.get("encrypted_content")
            if sealed is not None and sealed != _seal(_opened(sealed)):
                say = "The encrypted content could not be verified."
                return error(say, code="invalid_encrypted_content", param=where)
    return None


def _seal(text: str) -> str:
    digest = hmac.digest(b"emulator", text.encode(), "sha256").hex()[:16]
    return base64.b64encode(f"{_SEAL}{digest}:{text}".encode()).decode()


def _opened(sealed: str) -> str:
    try:
        return base64.b64decode(sealed, validate=True).decode().split(":", 2)[2]
    except (ValueError, IndexError):
        return ""


def _count(item: dict[str, Any]) -> int:
    """Tokens of an item: its words, and three for its frame."""
    texts = _text(item.get("content")) + " " + _text(item.get("output"))
    arguments = str(item.get("arguments", "")) + " " + str(item.get("name", ""))
    sealed = _opened(item["encrypted_content"]) if item.get("encrypted_content") else ""
    return 3 + count_text(f"{texts} {arguments} {sealed}") + count_images([item])


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", part.get("refusal", ""))) for part in content)
    return content if isinstance(content, str) else json.dumps(content) if content else ""


def _prob(piece: str) -> dict[str, Any]:
    return {"token": piece, "bytes": list(piece.encode()), "logprob": -0.25, "top_logprobs": []}
