"""Responses by the client `openai`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai

from towplane.testing.conversation.talk import JSON, Answer, Call, Options, Talk, forged

if TYPE_CHECKING:
    from towplane.testing.conversation.clients import Clients

__all__ = ["ResponsesTalk"]

_IMAGE = "data:image/png;base64,"
_FILE = "data:application/pdf;base64,"


class ResponsesTalk(Talk):
    """`openai`'s Responses."""

    errors = openai

    def __init__(self, clients: "Clients", model: str) -> None:
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
