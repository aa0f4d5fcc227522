"""The official clients, unchanged: `openai` for chat completions and Responses, `anthropic` for
Messages. Each is told what a `Talk` wants in its own words; streams are put together by the
client's own code."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from towplane.testing.conversation.talk import JSON, Answer, Call, Options, Talk, forged

__all__ = ["TALKS", "ChatTalk", "Clients", "MessagesTalk", "ResponsesTalk"]

_TIMEOUT_S = 30.0
_IMAGE = "data:image/png;base64,"
_FILE = "data:application/pdf;base64,"
_MARK = {"type": "ephemeral"}


class Clients:
    """Both clients of one key, and the headers of the last answer to either."""

    def __init__(self, base_url: str, key: str, *, retries: int = 0) -> None:
        self.headers: dict[str, str] = {}
        hooks = {"response": [self._note]}
        self.openai = openai.OpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=retries,
            timeout=_TIMEOUT_S,
            http_client=openai.DefaultHttpxClient(event_hooks=hooks),
        )
        self.anthropic = anthropic.Anthropic(
            base_url=base_url.removesuffix("/v1"),
            api_key=key,
            max_retries=retries,
            timeout=_TIMEOUT_S,
            http_client=anthropic.DefaultHttpxClient(event_hooks=hooks),
        )

    def close(self) -> None:
        """Close their connections."""
        self.openai.close()
        self.anthropic.close()

    def talk(self, dialect: str, model: str) -> Talk:
        """A new conversation."""
        talk: Talk = TALKS[dialect](self, model)
        return talk

    def _note(self, response: Any) -> None:
        self.headers = dict(response.headers)


class ChatTalk(Talk):
    """`openai`'s chat completions."""

    errors = openai

    def __init__(self, clients: Clients, model: str) -> None:
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


class ResponsesTalk(Talk):
    """`openai`'s Responses."""

    errors = openai

    def __init__(self, clients: Clients, model: str) -> None:
        super().__init__(model)
        self._api: Any = clients.openai.responses

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
            file = {"type": "input_file", "filename": "paper.pdf", "file_data": _FILE + document}
            parts.append(file)
        if image:
            parts.append({"type": "input_image", "image_url": _IMAGE + image})
        parts.append({"type": "input_text", "text": text})
        if is_marked:
            parts[-1]["prompt_cache_breakpoint"] = {"mode": "explicit"}
        self.history.append({"role": "user", "content": parts})

    def reply(self, answer: Answer, *, forge: bool = False) -> None:
        items = [item.model_dump(exclude_none=True) for item in answer.native.output]
        self.history += forged(items) if forge else items

    def results(self, *said: tuple[Call, str]) -> None:
        self.history += [
            {"type": "function_call_output", "call_id": call.id, "output": text}
            for call, text in said
        ]

    def ask(self, options: Options) -> Answer:
        given = self._arguments(options)
        if not options.stream:
            return _response_answer(self._api.create(**given))
        with self._api.stream(**given) as stream:
            for event in stream:
                if event.type in ("response.incomplete", "response.failed"):
                    return _response_answer(event.response)
            return _response_answer(stream.get_final_response())

    def pieces(self, options: Options) -> Iterator[str]:
        with self._api.create(**self._arguments(options), stream=True) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    yield event.delta
                elif event.type in ("error", "response.failed"):
                    raise _ResponseFailed(event)

    def _arguments(self, options: Options) -> JSON:
        given: JSON = {"model": self.model, "input": self.history, "store": False}
        if options.tools:
            given["tools"] = [
                {"type": "function", "name": name, "description": say, "parameters": schema,
                 "strict": None}
                for name, say, schema in options.tools
            ]  # fmt: skip
        if options.force:
            given["tool_choice"] = {"type": "function", "name": options.force}
        if options.is_single:
            given["parallel_tool_calls"] = False
        if options.wants_json:
            given["text"] = {"format": {"type": "json_object"}}
        if options.schema is not None:
            form = {"type": "json_schema", "name": "reply", "schema": options.schema}
            given["text"] = {"format": form | {"strict": True}}
        if options.thinks:
            summary = {"summary": "auto"} if options.shows_thoughts else {}
            given["reasoning"] = {"effort": "low"} | summary
            given["include"] = ["reasoning.encrypted_content"]
        if options.logprobs:
            given |= {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
        if options.limit is not None:
            given["max_output_tokens"] = options.limit
        if options.more:
            given["extra_body"] = options.more
        return given


class _ResponseFailed(openai.APIError):
    """The stream says that it failed: the client hands the event on as it is."""

    def __init__(self, event: Any) -> None:
        Exception.__init__(self, str(event))
        self.body = event


def _response_answer(response: Any) -> Answer:
    answer = Answer(response)
    text, declined = "", False
    for item in response.output:
        if item.type == "reasoning":
            answer.thoughts += "".join(part.text for part in item.summary)
        elif item.type == "function_call":
            answer.calls.append(Call(item.call_id, item.name, json.loads(item.arguments)))
        elif item.type == "message":
            for part in item.content:
                if part.type == "refusal":
                    declined = True
                    continue
                text += part.text
                answer.citations += len(part.annotations or [])
                answer.logprobs += len(part.logprobs or [])
    answer.texts = [text]
    reason = response.incomplete_details and response.incomplete_details.reason
    words = {"max_output_tokens": "length", "content_filter": "content_filter"}
    answer.finish = words.get(reason or "", "tool_calls" if answer.calls else "stop")
    answer.is_declined = declined or reason == "content_filter"
    usage = response.usage
    if usage is not None:
        answer.input, answer.output = usage.input_tokens, usage.output_tokens
        answer.cached = usage.input_tokens_details.cached_tokens or 0
        answer.written = getattr(usage.input_tokens_details, "cache_write_tokens", 0) or 0
    return answer


class MessagesTalk(Talk):
    """`anthropic`'s Messages."""

    errors = anthropic

    def __init__(self, clients: Clients, model: str) -> None:
        super().__init__(model)
        self._api: Any = clients.anthropic.messages
        self._system: list[JSON] = []

    def instruct(self, *texts: str) -> None:
        self._system = [{"type": "text", "text": text} for text in texts]

    def user(
        self,
        text: str,
        *,
        image: str = "",
        document: str = "",
        is_marked: bool = False,
        cites: bool = False,
    ) -> None:
        blocks: list[JSON] = []
        if document:
            source = {"type": "base64", "media_type": "application/pdf", "data": document}
            block: JSON = {"type": "document", "source": source}
            blocks.append(block | ({"citations": {"enabled": True}} if cites else {}))
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": image}
            blocks.append({"type": "image", "source": source})
        blocks.append({"type": "text", "text": text})
        if is_marked:
            blocks[-1]["cache_control"] = _MARK
        is_plain = len(blocks) == 1 and not is_marked
        self.history.append({"role": "user", "content": text if is_plain else blocks})

    def reply(self, answer: Answer, *, forge: bool = False) -> None:
        content: Any = answer.native.content
        if forge:
            content = forged([block.model_dump(exclude_none=True) for block in content])
        self.history.append({"role": "assistant", "content": content})

    def results(self, *said: tuple[Call, str]) -> None:
        blocks = [
            {"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in said
        ]
        self.history.append({"role": "user", "content": blocks})

    def ask(self, options: Options) -> Answer:
        given = self._arguments(options)
        if not options.stream:
            return _message_answer(self._api.create(**given))
        with self._api.stream(**given) as stream:
            return _message_answer(stream.get_final_message())

    def pieces(self, options: Options) -> Iterator[str]:
        with self._api.stream(**self._arguments(options)) as stream:
            yield from stream.text_stream

    def _arguments(self, options: Options) -> JSON:
        limit = options.limit or (4096 if options.thinks else 512)
        given: JSON = {"model": self.model, "messages": self.history, "max_tokens": limit}
        if self._system:
            given["system"] = self._system
        if options.tools:
            given["tools"] = [
                {"name": name, "description": say, "input_schema": schema}
                for name, say, schema in options.tools
            ]
        if options.force:
            given["tool_choice"] = {"type": "tool", "name": options.force}
        if options.is_single:
            given["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
        if options.schema is not None:
            form = {"type": "json_schema", "schema": options.schema}
            given["output_config"] = {"format": form}
        if options.thinks:
            given["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if options.stop:
            given["stop_sequences"] = [options.stop]
        if options.more:
            given["extra_body"] = options.more
        return given


def _message_answer(message: Any) -> Answer:
    answer = Answer(message)
    text = ""
    for block in message.content:
        if block.type == "text":
            text += block.text
            answer.citations += len(block.citations or [])
        elif block.type == "thinking":
            answer.thoughts += block.thinking
        elif block.type == "tool_use":
            answer.calls.append(Call(block.id, block.name, block.input))
    answer.texts = [text]
    words = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length",
             "tool_use": "tool_calls", "refusal": "content_filter"}  # fmt: skip
    answer.finish = words.get(message.stop_reason, str(message.stop_reason))
    answer.is_declined = message.stop_reason == "refusal"
    usage = message.usage
    answer.cached = usage.cache_read_input_tokens or 0
    answer.written = usage.cache_creation_input_tokens or 0
    answer.input = usage.input_tokens + answer.cached + answer.written
    answer.output = usage.output_tokens
    return answer


TALKS: dict[str, Any] = {"chat": ChatTalk, "responses": ResponsesTalk, "messages": MessagesTalk}
"""By dialect."""
