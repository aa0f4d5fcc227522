"""Chat completions by the client `openai`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from towplane.testing.conversation.talk import JSON, Answer, Call, Options, Talk, forged

if TYPE_CHECKING:
    from towplane.testing.conversation.clients import Clients

__all__ = ["ChatTalk"]

_IMAGE = "data:image/png;base64,"
_FILE = "data:application/pdf;base64,"
_MARK = {"type": "ephemeral"}


class ChatTalk(Talk):
    """`openai`'s chat completions."""

    errors = openai

    def __init__(self, clients: "Clients", model: str) -> None:
        super().__init__(model)
        self._create: Any = clients.openai.chat.completions.create

    def instruct(self, *texts: str) -> None:
        roles = ("system", "developer")
        self.history += [
            {"role": role, "content": text} for role, text in zip(roles, texts, strict=False)
        ]

    def user(
        self,
        text: str,
        *,
        image: str = "",
        document: str = "",
        is_marked: bool = False,
        cites: bool = False,  # noqa: ARG002  # the dialect has no such wish
    ) -> None:
        parts: list[JSON] = []
        if document:
            file = {"filename": "paper.pdf", "file_data": _FILE + document}
            parts.append({"type": "file", "file": file})
        if image:
            parts.append({"type": "image_url", "image_url": {"url": _IMAGE + image}})
        parts.append({"type": "text", "text": text})
        if is_marked:
            parts[-1]["cache_control"] = _MARK
        is_plain = len(parts) == 1 and not is_marked
        self.history.append({"role": "user", "content": text if is_plain else parts})

    def reply(self, answer: Answer, *, forge: bool = False) -> None:
        message = answer.native.choices[0].message
        self.history.append(forged(message.model_dump(exclude_none=True)) if forge else message)

    def results(self, *said: tuple[Call, str]) -> None:
        self.history += [
            {"role": "tool", "tool_call_id": call.id, "content": text} for call, text in said
        ]

    def ask(self, options: Options) -> Answer:
        given = self._arguments(options)
        if not options.stream:
            return _chat_answer(self._create(**given))
        state: Any = ChatCompletionStreamState()
        for chunk in self._create(**given):
            state.handle_chunk(chunk)
        return _chat_answer(state.current_completion_snapshot)

    def pieces(self, options: Options) -> Iterator[str]:
        with self._create(**self._arguments(options._replace(stream=True))) as stream:
            for chunk in stream:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield choice.delta.content

    def _arguments(self, options: Options) -> JSON:
        given: JSON = {"model": self.model, "messages": self.history}
        if options.stream:
            given |= {"stream": True, "stream_options": {"include_usage": True}}
        if options.tools:
            given["tools"] = [
                {"type": "function", "function": {"name": name, "description": say,
                                                  "parameters": schema}}
                for name, say, schema in options.tools
            ]  # fmt: skip
        if options.force:
            given["tool_choice"] = {"type": "function", "function": {"name": options.force}}
        if options.is_single:
            given["parallel_tool_calls"] = False
        if options.wants_json:
            given["response_format"] = {"type": "json_object"}
        if options.schema is not None:
            inner = {"name": "reply", "schema": options.schema, "strict": True}
            given["response_format"] = {"type": "json_schema", "json_schema": inner}
        if options.thinks:
            given["reasoning_effort"] = "low"
        if options.logprobs:
            given |= {"logprobs": True, "top_logprobs": 2}
        simple = {"stop": options.stop or None, "seed": options.seed,
                  "n": options.samples if options.samples > 1 else None,
                  "max_completion_tokens": options.limit,
                  "extra_body": options.more or None}  # fmt: skip
        return given | {name: value for name, value in simple.items() if value is not None}


def _chat_answer(completion: Any) -> Answer:
    answer = Answer(completion)
    choice = completion.choices[0]
    message = choice.message
    more = message.model_extra or {}
    answer.texts = [one.message.content or "" for one in completion.choices]
    answer.thoughts = more.get("reasoning_content") or ""
    answer.calls = [
        Call(call.id, call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls or []
    ]
    answer.finish = choice.finish_reason
    answer.is_declined = bool(message.refusal) or choice.finish_reason == "content_filter"
    answer.citations = len(more.get("citations") or []) + len(message.annotations or [])
    answer.logprobs = len((choice.logprobs and choice.logprobs.content) or [])
    usage = completion.usage
    if usage is not None:
        answer.input, answer.output = usage.prompt_tokens, usage.completion_tokens
        details = usage.prompt_tokens_details
        answer.cached = (details and details.cached_tokens) or 0
        answer.written = (details and (details.model_extra or {}).get("cache_write_tokens")) or 0
    return answer
