"""Counting the input tokens of a conversation: Anthropic's `count_tokens` for every provider that
can count. What no provider counts is refused, never guessed."""

import msgspec

from towplane.parts.errors import BadRequest, ProtocolError
from towplane.parts.usage import Usage
from towplane.providers.adapter import Adapter, Call, Losses, Place
from towplane.providers.ask import Ask
from towplane.providers.dialects import dialect_of
from towplane.providers.reader import Reader

__all__ = ["prepare_count"]


class _Counted(msgspec.Struct):
    input_tokens: int


def prepare_count(ask: Ask, place: Place, adapter: Adapter, losses: Losses) -> Call:
    """The call that counts. Raises BadRequest where the provider cannot."""
    if adapter.render_count is None or adapter.read_count is None:
        raise BadRequest(
            f"{place.target} cannot count tokens.",
            param="model",
            next_step="Ask a model whose provider counts.",
            reason="unsupported-operation",
        )
    conversation = ask.conversation(dialect_of(ask.operation.dialect).read)
    return Call(
        adapter.render_count(conversation, place, losses),
        _CountReader(adapter),
        is_native=False,
        content_type=b"application/json",
        dropped=tuple(losses.dropped),
    )


class _CountReader(Reader):
    """Makes Anthropic's answer of the provider's."""

    __slots__ = ("_adapter",)

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self._adapter = adapter

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:  # noqa: ARG002  # never called
        raise ProtocolError("A count is not streamed.", reason="upstream-protocol")

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        assert self._adapter.read_count is not None
        self.usage = Usage(0)  # every provider that counts does it for nothing
        return msgspec.json.encode(_Counted(self._adapter.read_count(body))), 0

    @property
    def passes_through(self) -> bool:
        return False
