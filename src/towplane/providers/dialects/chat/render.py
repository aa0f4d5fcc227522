"""A conversation as a chat request, for a server that speaks chat when its client does not.

What not all servers of this wire take is in `Accepts`. Order is kept, with two exceptions that the
wire demands: results of tools stand right behind the calls, and an image that a tool returned
follows them in a user's message, because a tool's message is text alone. Cache marks are no loss
where the server caches prefixes by itself, as these servers do. Thoughts go back only where the
server wants them; a signature or a redacted thought means nothing to anyone but its maker.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from towplane.providers.adapter import Losses
from towplane.providers.conversation.request import (
    Audio,
    CacheMark,
    Conversation,
    Document,
    Foreign,
    Image,
    Message,
    Output,
    Part,
    Reasoning,
    Redacted,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

__all__ = ["ENGINES", "GOOGLE", "OPENAI", "Accepts", "render_chat"]

Fields = dict[str, object]


class Accepts(NamedTuple):
    """What not every server of this wire takes."""

    limit: str = "max_completion_tokens"
    """How it calls the limit of the output."""
    top_k: bool = False
    developer: bool = True
    """The role `developer`; otherwise it is told as `system`."""
    files: bool = True
    """Documents as parts; otherwise only as text."""
    thoughts: bool = False
    """`reasoning_content` of earlier turns."""
    thinking_blocks: bool = False
    """Thoughts with their signatures, as LiteLLM and this plane take them."""
    google_signatures: bool = False
    """Google's `extra_content` on calls."""
    cache_marks: bool = False
    """`cache_control`, in Anthropic's form."""
    extra: frozenset[str] = frozenset()
    """Fields without a normal form that it calls and means as the client's dialect does."""


OPENAI = Accepts(
    extra=frozenset(
        ("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store")
    )  # the same in Responses
)
ENGINES = Accepts(limit="max_tokens", top_k=True, developer=False, files=False, thoughts=True)
"""vLLM, SGLang, llama.cpp, LMDeploy, Ollama and services that are built on them."""
GOOGLE = Accepts(limit="max_tokens", files=False, google_signatures=True)
"""Gemini's OpenAI-compatible endpoints."""

_MODES = {"auto": "auto", "none": "none", "any": "required"}
_FORMS = {"text": "text", "json": "json_object"}
_EFFORTS = ((0.65, "high"), (0.35, "medium"), (0.0, "low"))
"""A budget as a share of the limit, and the effort that it is nearest to: OpenRouter makes 80, 50
and 20 % of an effort (docs, "Reasoning tokens")."""
_BUDGETS = ((4096, "high"), (2048, "medium"), (0, "low"))
"""The same where there is no limit: LiteLLM's steps (docs, "reasoning_effort")."""


def render_chat(
    conversation: Conversation, model: str, losses: Losses, where: str, accepts: Accepts = OPENAI
) -> bytes:
    """The body; `where` names the target in refusals. Raises BadRequest for what has no place."""
    return _Rendering(losses, where, accepts).body(conversation, model)


class _Rendering:
    """One conversation on its way into the wire."""

    __slots__ = ("_accepts", "_losses", "_where")

    def __init__(self, losses: Losses, where: str, accepts: Accepts) -> None:
        self._losses = losses
        self._where = where
        self._accepts = accepts

    def body(self, it: Conversation, model: str) -> bytes:
        body: Fields = {"model": model, "messages": self._messages(it)}
        if it.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if it.tools:
            body["tools"] = [self._tool(tool) for tool in it.tools]
            body |= _tool_choice(it.tool_choice)
        if it.output is not None:
            body["response_format"] = _output(it.output)
        if it.top_k is not None and not self._accepts.top_k:
            self._lose(it.params.get("top_k", "top_k"))
        if it.reasoning is not None:
            body |= self._reasoning(it.reasoning, it)
        body |= _sampling(it, self._accepts)
        for name, raw in it.extra.items():
            if name in self._accepts.extra:
                body[name] = raw
            else:
                self._lose(name)
        return msgspec.json.encode(body)

    def _lose(self, param: str) -> None:
        self._losses.lose(param, where=self._where)

    # Messages

    def _messages(self, it: Conversation) -> list[Fields]:
        messages: list[Fields] = []
        for message in it.messages:
            if message.role == "assistant":
                messages.append(self._said(message))
            else:
                messages += self._told(message)
        return messages

    def _told(self, message: Message) -> list[Fields]:
        results: list[Fields] = []
        shown: list[Fields] = []
        parts: list[Fields] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                results.append(self._result(part, shown))
            else:
                parts += self._part(part)
        parts = shown + parts
        if results and not parts:
            return results
        role: str = message.role
        if role == "developer" and not self._accepts.developer:
            role = "system"
        told: Fields = {"role": role, "content": _content(parts)}
        if message.name:
            told["name"] = message.name
        return [*results, told]

    def _said(self, message: Message) -> Fields:
        said: Fields = {"role": "assistant", "content": None}
        parts: list[Fields] = []
        calls: list[Fields] = []
        thoughts: list[Thinking | Redacted] = []
        refusal = ""
        for part in message.parts:
            if isinstance(part, ToolCall):
                calls.append(self._call(part))
            elif isinstance(part, Thinking | Redacted):
                thoughts.append(part)
            elif isinstance(part, Refusal):
                refusal += part.text
            else:
                parts += self._part(part)
        if parts or not (calls or refusal):
            said["content"] = _content(parts)
        if refusal:
            said["refusal"] = refusal
        if message.name:
            said["name"] = message.name
        if calls:
            said["tool_calls"] = calls
        return said | self._thoughts(thoughts)

    def _thoughts(self, thoughts: list[Thinking | Redacted]) -> Fields:
        spoken = "".join(one.text for one in thoughts if isinstance(one, Thinking))
        fields: Fields = {}
        if spoken and self._accepts.thoughts:
            fields["reasoning_content"] = spoken
        if self._accepts.thinking_blocks:
            blocks = [_block(one) for one in thoughts if isinstance(one, Redacted) or one.signature]
            if blocks:
                fields["thinking_blocks"] = blocks
        elif any(isinstance(one, Redacted) for one in thoughts):
            self._lose("redacted_thinking")
        return fields

    def _part(self, part: Part) -> list[Fields]:
        match part:
            case Text():
                if part.citations:
                    self._lose("citations")
                return [self._marked({"type": "text", "text": part.text}, part.cache)]
            case Image():
                return [self._marked(_image(part), part.cache)]
            case Document():
                return self._document(part)
            case Audio():
                heard = {"data": part.data, "format": part.format}
                return [{"type": "input_audio", "input_audio": heard}]
            case Foreign():
                self._lose(part.param)
            case Refusal():
                return [{"type": "refusal", "refusal": part.text}]
            case Redacted():
                self._lose("redacted_thinking")
            case Thinking():
                self._lose("thinking")
            case ToolCall() | ToolResult():
                self._lose("messages")  # a call of the user's, a result of the model's
        return []

    def _document(self, part: Document) -> list[Fields]:
        if part.cites:
            self._lose("citations")
        if part.text:
            head = "\n".join(said for said in (part.name, part.context) if said)
            words = f"{head}\n\n{part.text}" if head else part.text
            return [self._marked({"type": "text", "text": words}, part.cache)]
        if not self._accepts.files or not part.data:
            self._lose("document")
            return []
        if part.context:
            self._lose("context")
        file = {"filename": part.name or _file_name(part.media_type)}
        file["file_data"] = f"data:{part.media_type};base64,{part.data}"
        return [self._marked({"type": "file", "file": file}, part.cache)]

    def _result(self, result: ToolResult, shown: list[Fields]) -> Fields:
        """The tool's message; what it cannot hold goes into `shown`."""
        parts: list[Fields] = []
        for part in result.parts:
            made = self._part(part)
            if isinstance(part, Image) or (made and made[0]["type"] != "text"):
                shown.append({"type": "text", "text": f"Returned by {result.call_id}:"})
                shown += made
            else:
                parts += made
        if result.is_error:  # chat has no flag for it
            parts.insert(0, {"type": "text", "text": "The tool failed:"})
        told: Fields = {"role": "tool", "tool_call_id": result.call_id, "content": _content(parts)}
        return self._marked(told, result.cache)

    def _call(self, part: ToolCall) -> Fields:
        function = {"name": part.name, "arguments": part.arguments}
        call: Fields = {"id": part.id, "type": "function", "function": function}
        if part.signature and self._accepts.google_signatures:
            call["extra_content"] = {"google": {"thought_signature": part.signature}}
        return self._marked(call, part.cache)

    def _marked(self, fields: Fields, mark: CacheMark) -> Fields:
        if mark and self._accepts.cache_marks:
            fields["cache_control"] = {"type": "ephemeral"} | (
                {"ttl": mark} if mark != "5m" else {}
            )
        return fields

    # Parameters

    def _tool(self, tool: Tool) -> Fields:
        function: Fields = {"name": tool.name}
        if tool.description:
            function["description"] = tool.description
        function["parameters"] = tool.schema
        if tool.strict is not None:
            function["strict"] = tool.strict
        return self._marked({"type": "function", "function": function}, tool.cache)

    def _reasoning(self, reasoning: Reasoning, it: Conversation) -> Fields:
        if reasoning.summary and not self._accepts.thoughts:
            self._lose(it.params.get("summary", "reasoning.summary"))
        if reasoning.effort:
            return {"reasoning_effort": reasoning.effort}
        if reasoning.is_off or reasoning.budget is None:
            return {}  # as if nothing were said, which is what it means where it comes from
        return {"reasoning_effort": _effort(reasoning.budget, it.max_tokens)}


def _content(parts: list[Fields]) -> str | list[Fields]:
    """A single text without a mark is a string, which every chat template understands."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _image(image: Image) -> Fields:
    url = image.url or f"data:{image.media_type};base64,{image.data}"
    return {
        "type": "image_url",
        "image_url": {"url": url, "detail": image.detail} if image.detail else {"url": url},
    }


def _block(thought: Thinking | Redacted) -> Fields:
    if isinstance(thought, Redacted):
        return {"type": "redacted_thinking", "data": thought.data}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature}


def _file_name(media_type: str) -> str:
    return f"document.{media_type.partition('/')[2] or 'pdf'}"


def _tool_choice(choice: ToolChoice | None) -> Fields:
    if choice is None:
        return {}
    fields: Fields = {}
    if choice.mode == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode != "auto" or choice.parallel is None:
        fields["tool_choice"] = _MODES[choice.mode]
    if choice.parallel is not None:
        fields["parallel_tool_calls"] = choice.parallel
    return fields


def _output(output: Output) -> Fields:
    if output.form != "schema":
        return {"type": _FORMS[output.form]}
    inner: Fields = {"name": output.name or "answer"}  # the wire wants a name
    if output.description:
        inner["description"] = output.description
    inner["schema"] = output.schema
    if output.strict is not None:
        inner["strict"] = output.strict
    return {"type": "json_schema", "json_schema": inner}


def _effort(budget: int, limit: int | None) -> str:
    if limit:
        return next(effort for share, effort in _EFFORTS if budget / limit >= share)
    return next(effort for tokens, effort in _BUDGETS if budget >= tokens)


def _sampling(it: Conversation, accepts: Accepts) -> Fields:
    fields: Mapping[str, object] = {
        accepts.limit: it.max_tokens,
        "temperature": it.temperature,
        "top_p": it.top_p,
        "top_k": it.top_k if accepts.top_k else None,
        "stop": it.stop or None,
        "seed": it.seed,
        "n": it.samples if it.samples != 1 else None,
        "presence_penalty": it.presence_penalty,
        "frequency_penalty": it.frequency_penalty,
        "logit_bias": it.logit_bias,
        "logprobs": it.logprobs or None,
        "top_logprobs": it.top_logprobs,
        "user": it.user or None,
        "metadata": it.metadata or None,
        "service_tier": it.service or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
