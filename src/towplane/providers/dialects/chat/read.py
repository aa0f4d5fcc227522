"""A chat request in normal form, and a request of the older completions as one.

Every parameter that has a normal form is read, with the client's own name for it in a refusal; the
others are kept in `extra` by name (a tool that is no function as `tools[2]`), for whoever renders
the conversation to refuse. Messages are read in `turns.py`.
"""

import msgspec

from towplane.providers.ask import read_field
from towplane.providers.conversation.request import (
    Conversation,
    Message,
    Output,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
)
from towplane.providers.dialects.chat.body import Body, count, items, number, refuse, text
from towplane.providers.dialects.chat.turns import read_mark, read_messages

__all__ = ["read"]

_stops = msgspec.json.Decoder(str | list[str])
_labels = msgspec.json.Decoder(dict[str, str])
_prompts = msgspec.json.Decoder(str | list[str])
_MEANINGLESS = {  # says what goes without saying
    "store": b"false",
    "modalities": b'["text"]',
    "echo": b"false",
    "best_of": b"1",
}
_NAMES = {
    "samples": "n",
    "output": "response_format",
    "service": "service_tier",
    "reasoning": "reasoning_effort",
}
"""What chat calls the fields of the normal form."""
_MODES = {"auto": "auto", "none": "none", "required": "any", "any": "any"}
_FORMS = {"text": "text", "json_object": "json", "json_schema": "schema"}


def read(fields: dict[str, msgspec.Raw]) -> Conversation:
    """The request in normal form. Raises BadRequest, naming the parameter."""
    body = Body(fields)
    body.raw("model")
    conversation = Conversation(_messages(body), params=_NAMES)
    conversation.stream = body.flag("stream") or False
    body.raw("stream_options")  # says how the answer is written, not what it is
    _read_tools(body, conversation)
    _read_sampling(body, conversation)
    _read_limits(body, conversation)
    conversation.output = _output(body)
    conversation.reasoning = _reasoning(body)
    guard = body.text("safety_identifier")
    conversation.user = body.text("user") or guard
    conversation.metadata = body.take("metadata", _labels, "an object of strings") or {}
    conversation.service = body.text("service_tier")
    for name, value in _MEANINGLESS.items():
        if name in body.left and bytes(body.left[name]) == value:
            body.raw(name)
    conversation.extra |= body.left
    return conversation


def _messages(body: Body) -> list[Message]:
    raw = body.raw("messages")
    if raw is not None:
        return read_messages(raw)
    prompt = body.raw("prompt")
    if prompt is None:
        refuse("messages", "is missing")
    want = "text; several prompts, or tokens, cannot be translated"
    given = read_field(_prompts, prompt, "prompt", want)
    if isinstance(given, list):
        if len(given) != 1:
            refuse("prompt", f"must be {want}")
        given = given[0]
    return [Message("user", [Text(given)])]


def _read_tools(body: Body, into: Conversation) -> None:
    tools: list[Tool] = []
    given = body.take("tools", items, "a list")
    for place, raw in enumerate(given or []):
        one = Body.of(raw, f"tools[{place}]")
        if one.need("type") != "function":
            into.extra[one.path] = raw
            continue
        function = one.object("function") or refuse(one.at("function"), "is missing")
        mark = read_mark(one) or read_mark(function)
        tool = Tool(function.need("name"), function.text("description"), cache=mark)
        schema = function.raw("parameters")
        if schema is not None:
            if bytes(memoryview(schema)[:1]) != b"{":
                refuse(function.at("parameters"), "must be an object")
            tool.schema = schema
        tool.strict = function.flag("strict")
        tools.append(tool)
        for part in (one, function):
            into.extra |= {part.at(name): left for name, left in part.left.items()}
    into.tools = tools
    into.tool_choice = _tool_choice(body, into)


def _tool_choice(body: Body, into: Conversation) -> ToolChoice | None:
    parallel = body.flag("parallel_tool_calls")
    raw = body.raw("tool_choice")
    if raw is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if bytes(memoryview(raw)[:1]) == b'"':
        word = read_field(text, raw, "tool_choice", "a string or an object")
        if word not in _MODES:
            refuse("tool_choice", "must be auto, none, required or a function")
        return ToolChoice(_MODES[word], parallel=parallel)  # type: ignore[arg-type]
    chosen = Body.of(raw, "tool_choice")
    if chosen.need("type") != "function":  # allowed_tools, custom
        into.extra["tool_choice"] = raw
        return None if parallel is None else ToolChoice(parallel=parallel)
    function = chosen.object("function") or refuse(chosen.at("function"), "is missing")
    return ToolChoice("tool", function.need("name"), parallel)


def _read_sampling(body: Body, into: Conversation) -> None:
    into.temperature = body.take("temperature", number, "a number")
    into.top_p = body.take("top_p", number, "a number")
    top_k = body.take("top_k", count, "a whole number")
    into.top_k = top_k if top_k is not None and top_k > 0 else None  # vLLM: -1 is no limit
    into.seed = body.take("seed", count, "a whole number")
    into.presence_penalty = body.take("presence_penalty", number, "a number")
    into.frequency_penalty = body.take("frequency_penalty", number, "a number")
    into.logit_bias = body.raw("logit_bias")
    logprobs = body.raw("logprobs")
    if logprobs is not None:
        if bytes(logprobs) in (b"true", b"false"):
            into.logprobs = bytes(logprobs) == b"true"
        else:  # completions: how many to show of each token
            into.logprobs = True
            into.top_logprobs = read_field(count, logprobs, "logprobs", "true or false")
    shown = body.take("top_logprobs", count, "a whole number")
    into.top_logprobs = into.top_logprobs if shown is None else shown


def _read_limits(body: Body, into: Conversation) -> None:
    older = body.take("max_tokens", count, "a whole number")
    newer = body.take("max_completion_tokens", count, "a whole number")
    limit = older if newer is None else newer
    if newer is not None:
        into.params = _NAMES | {"max_tokens": "max_completion_tokens"}
    into.max_tokens = limit if limit is not None and limit >= 0 else None  # llama.cpp: -1 is none
    stop = body.take("stop", _stops, "a string or a list of strings")
    into.stop = [stop] if isinstance(stop, str) else stop or []
    into.samples = body.take("n", count, "a whole number") or 1


def _output(body: Body) -> Output | None:
    raw = body.left.get("response_format")
    if raw is None:
        return None
    given = Body.of(raw, "response_format")
    form = _FORMS.get(given.need("type"))
    if form is None:  # an engine's own: a grammar, a structural tag
        return None
    body.raw("response_format")
    output = Output(form)  # type: ignore[arg-type]
    if form != "schema":
        return output
    inner = given.object("json_schema") or refuse(given.at("json_schema"), "is missing")
    output.name, output.description = inner.need("name"), inner.text("description")
    output.schema = inner.raw("schema") or output.schema
    output.strict = inner.flag("strict")
    return output


def _reasoning(body: Body) -> Reasoning | None:
    """`reasoning_effort`, or `thinking` in Anthropic's form, which DeepSeek and LiteLLM take."""
    effort = body.text("reasoning_effort")
    thinking = body.object("thinking")
    if thinking is None:
        return Reasoning(effort) if effort else None
    kind = thinking.need("type")
    if kind not in ("enabled", "disabled", "adaptive"):
        refuse(thinking.at("type"), "must be enabled, disabled or adaptive")
    budget = thinking.take("budget_tokens", count, "a whole number")
    return Reasoning(effort, budget, is_off=kind == "disabled")
