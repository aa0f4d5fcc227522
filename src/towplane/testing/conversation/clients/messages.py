"""Messages by the client `anthropic`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import anthropic

from towplane.testing.conversation.talk import JSON, Answer, Call, Options, Talk, forged

if TYPE_CHECKING:
    from towplane.testing.conversation.clients import Clients

__all__ = ["MessagesTalk"]

_MARK = {"type": "ephemeral"}


class MessagesTalk(Talk):
    """`anthropic`'s Messages."""

    errors = anthropic

    def __init__(self, clients: "Clients", model: str) -> None:
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
