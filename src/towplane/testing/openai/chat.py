"""Chat completions, completions and embeddings as the emulator speaks them: checks, wish, answer.

Shapes: openai 3.54.0 `types/chat`. No HTTP here.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from towplane.testing.openai.errors import error
from towplane.testing.openai.plan import Part, Plan, Wish
from towplane.testing.provider.tokens import count_chat, count_input

__all__ = [
    "CREATED",
    "Frame",
    "answer",
    "check",
    "completion",
    "completion_frames",
    "completion_wish",
    "count_images",
    "frames",
    "wish",
]

CREATED = 1_800_000_000
IMAGE = 85
"""Tokens of an image in low detail (OpenAI "Images and vision")."""
_KNOWN = frozenset((
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model",
    "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort",
    "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user",
    "verbosity", "web_search_options",
))  # fmt: skip
_FIELDS = {"text": "content", "refusal": "refusal", "thought": "reasoning_content"}
_ROLES = frozenset(("developer", "system", "user", "assistant", "tool", "function"))


class Frame(NamedTuple):
    """One event of a stream."""

    data: dict[str, Any] | str
    tokens: int = 0
    """Output tokens that it brings."""
    name: str = ""
    """Of its `event` line; empty: it has none."""


def check(body: dict[str, Any]) -> dict[str, Any] | None:
    """The error of a request that the original refuses."""
    for name in body:
        if name not in _KNOWN:
            return error(f"Unrecognized request argument supplied: {name}")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return error("Invalid 'messages': empty array.", param="messages")
    calls: set[str] = set()
    for place, message in enumerate(messages):
        role = message.get("role")
        where = f"messages[{place}]"
        if role not in _ROLES:
            return error(f"Invalid value: '{role}'.", "invalid_request_error", "invalid_value",
                         f"{where}.role")  # fmt: skip
        if role == "tool" and message.get("tool_call_id") not in calls:
            say = "messages with role 'tool' must be a response to a preceeding message with "
            return error(f"Invalid parameter: {say}'tool_calls'.", param=f"{where}.role")
        calls |= {call["id"] for call in message.get("tool_calls") or []}
    options = body.get("stream_options")
    if options is not None and body.get("stream") is not True:
        say = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return error(say, param="stream_options")
    if "max_tokens" in body and "max_completion_tokens" in body:
        say = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        return error(say, code="invalid_parameter_combination")
    return None


def wish(body: dict[str, Any]) -> Wish:
    """What the answer depends on."""
    messages = body["messages"]
    tools = [tool["function"] for tool in body.get("tools") or [] if tool["type"] == "function"]
    choice = body.get("tool_choice")
    last = messages[-1]
    stop = body.get("stop") or ()
    forced: tuple[str, ...] = ()
    if isinstance(choice, dict) and choice.get("type") == "function":
        forced = (choice["function"]["name"],)
    elif choice == "required" and tools:
        forced = (tools[0]["name"],)
    form = body.get("response_format") or {}
    schema: Any = True if form.get("type") == "json_object" else None
    if form.get("type") == "json_schema":
        schema = form["json_schema"].get("schema") or {}
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    return Wish(
        prompt=_text(last.get("content")) if last["role"] == "user" else "",
        prompt_tokens=count_chat(messages) + count_images(messages),
        most=most,
        tools=() if choice == "none" else tuple((t["name"], t.get("parameters")) for t in tools),
        forced=forced,
        schema=schema,
        thinks=body.get("reasoning_effort") not in (None, "none"),
        may_filter=True,
        samples=body.get("n") or 1,
        is_single=body.get("parallel_tool_calls") is False,
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
    )


def answer(plan: Plan, body: dict[str, Any], number: int) -> dict[str, Any]:
    """A whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    calls: list[dict[str, Any]] = []
    for part in plan.parts:
        if part.kind == "call":
            calls.append(_call(part, len(calls), number, "".join(part.pieces)))
        elif part.kind == "thought" and plan.script.tells_thoughts:
            message["reasoning_content"] = "".join(part.pieces)
        elif part.kind == "refusal":
            message["refusal"] = "".join(part.pieces)
        elif part.kind == "text":
            message["content"] = "".join(part.pieces)
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": plan.finish, "logprobs": None}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [_prob(p) for p in _pieces(plan)], "refusal": None}
    choices = [choice | {"index": index} for index in range(plan.samples)]
    found = _envelope(plan, body, number) | {"choices": choices}
    if plan.script.usage == "right":
        found["usage"] = usage(plan)
    return found


def frames(plan: Plan, body: dict[str, Any], number: int) -> Iterator[Frame]:
    """The events of a stream, one choice after the other."""
    options = body.get("stream_options") or {}
    envelope = _envelope(plan, body, number) | {"object": "chat.completion.chunk"}
    if options.get("include_usage"):
        envelope["usage"] = None
    if plan.script.unknown_events:
        envelope["from_the_future"] = {"a": 1}
    if plan.script.obfuscation and options.get("include_obfuscation", True):
        envelope["obfuscation"] = "x" * (number % 7 + 1)
    for sample in range(plan.samples):
        yield from _choice_frames(plan, body, number, sample, envelope)
    if options.get("include_usage") and plan.script.usage == "right":
        yield Frame(envelope | {"choices": [], "usage": usage(plan)})
    yield Frame("[DONE]")


def _choice_frames(
    plan: Plan, body: dict[str, Any], number: int, sample: int, envelope: dict[str, Any]
) -> Iterator[Frame]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": sample, "delta": delta, "logprobs": None, "finish_reason": finish}
        return envelope | {"choices": [choice]}

    tells = plan.script.tells_thoughts
    hidden = 0 if tells else plan.thoughts // plan.samples
    yield Frame(chunk({"role": "assistant", "content": "", "refusal": None}), hidden)
    calls = 0
    for part in plan.parts:
        if part.kind == "call":
            begun = {"index": calls} | _call(part, calls, number, "")
            yield Frame(chunk({"tool_calls": [begun]}))
            for piece in part.pieces:
                grown = {"index": calls, "function": {"arguments": piece}}
                yield Frame(chunk({"tool_calls": [grown]}), 1)
            calls += 1
        elif part.kind != "thought" or tells:
            for piece in part.pieces:
                more = chunk({_FIELDS[part.kind]: piece})
                if body.get("logprobs"):
                    more["choices"][0]["logprobs"] = {"content": [_prob(piece)], "refusal": None}
                yield Frame(more, 1)
    yield Frame(chunk({}, plan.finish))


def completion(plan: Plan, body: dict[str, Any], number: int) -> dict[str, Any]:
    """A whole answer of the older completions."""
    text = "".join(_pieces(plan))
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": plan.finish}
    head = _envelope(plan, body, number) | {"id": f"cmpl-{number}", "object": "text_completion"}
    return head | {"choices": [choice], "usage": usage(plan)}


def completion_frames(plan: Plan, body: dict[str, Any], number: int) -> Iterator[Frame]:
    """The events of a stream of the older completions."""
    options = body.get("stream_options") or {}
    head = _envelope(plan, body, number) | {"id": f"cmpl-{number}", "object": "text_completion"}
    for piece in _pieces(plan):
        choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": None}
        yield Frame(head | {"choices": [choice]}, 1)
    last = {"index": 0, "text": "", "logprobs": None, "finish_reason": plan.finish}
    yield Frame(head | {"choices": [last]})
    if options.get("include_usage"):
        yield Frame(head | {"choices": [], "usage": usage(plan)})
    yield Frame("[DONE]")


def completion_wish(body: dict[str, Any]) -> Wish:
    """What the answer of the older completions depends on."""
    prompt = body.get("prompt", "")
    return Wish(_text(prompt), count_input(prompt), body.get("max_tokens", 16))


def usage(plan: Plan) -> dict[str, Any]:
    """The bill."""
    written = {"cache_write_tokens": plan.script.written} if plan.script.written else {}
    return {
        "prompt_tokens": plan.input,
        "completion_tokens": plan.output,
        "total_tokens": plan.input + plan.output,
        "prompt_tokens_details": {"cached_tokens": plan.script.cached, "audio_tokens": 0} | written,
        "completion_tokens_details": {
            "reasoning_tokens": plan.thoughts,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def count_images(messages: list[dict[str, Any]]) -> int:
    """Tokens of the images in messages."""
    contents = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return IMAGE * sum(part.get("type") in ("image_url", "input_image") for part in parts)


def _envelope(plan: Plan, body: dict[str, Any], number: int) -> dict[str, Any]:
    found = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": body["model"],
        "system_fingerprint": "fp_emulator",
    }
    if "service_tier" in body or plan.script.service_tier != "default":
        found["service_tier"] = plan.script.service_tier
    return found


def _call(part: Part, place: int, number: int, arguments: str) -> dict[str, Any]:
    return {
        "id": f"call_{number}_{place}",
        "type": "function",
        "function": {"name": part.name, "arguments": arguments},
    }


def _pieces(plan: Plan) -> list[str]:
    return [piece for part in plan.parts if part.kind == "text" for piece in part.pieces]


def _prob(piece: str) -> dict[str, Any]:
    return {"token": piece, "bytes": list(piece.encode()), "logprob": -0.25, "top_logprobs": []}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return " ".join(str(part.get("text", "")) for part in parts)
    return ""
