"""The content blocks of a whole message, put together from events.

Knows neither the stream's framing nor usage. Law: the blocks are those that the stream of the same
events would open, in the same order.
"""

import msgspec

from towplane.parts.errors import ProtocolError
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Event,
    PartEnds,
    RedactedThought,
    RefusalGrows,
    Signed,
    TextGrows,
    ThoughtGrows,
)

__all__ = [
    "CALL_MARK",
    "NOTHING",
    "AnswerBlock",
    "BlockBuilder",
    "RedactedBlock",
    "TextBlock",
    "ThinkingBlock",
    "ToolBlock",
]

CALL_MARK = "towplane.call:"
"""How a signature begins that belongs to the call after it."""
NOTHING = msgspec.Raw(b"{}")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TextBlock(msgspec.Struct, tag="text", omit_defaults=True):
    """Words."""

    text: str
    citations: list[msgspec.Raw] = []


class ThinkingBlock(msgspec.Struct, tag="thinking"):
    """A thought."""

    thinking: str
    signature: str


class RedactedBlock(msgspec.Struct, tag="redacted_thinking"):
    """A thought that only the provider can read."""

    data: str


class ToolBlock(msgspec.Struct, tag="tool_use"):
    """A call."""

    id: str
    name: str
    input: msgspec.Raw


AnswerBlock = TextBlock | ThinkingBlock | RedactedBlock | ToolBlock


class BlockBuilder:
    """Puts the blocks of a whole message together."""

    __slots__ = ("_blocks", "_kind", "_owed", "_pieces", "_signature", "_sources", "_tool")

    def __init__(self) -> None:
        self._blocks: list[tuple[str, str, CallBegins | None, str, list[msgspec.Raw]]] = []
        self._kind = ""
        self._owed = ""
        self._pieces: list[str] = []
        self._sources: list[msgspec.Raw] = []
        self._signature = ""
        self._tool: CallBegins | None = None

    def add(self, event: Event) -> None:
        """One more event, of the only choice."""
        match event:
            case TextGrows(text=text) | RefusalGrows(text=text):
                self._owed = ""
                self._enter("text")
                self._pieces.append(text)
            case ThoughtGrows(text=text):
                self._owed = ""
                self._enter("thinking")
                self._pieces.append(text)
            case Signed(signature=signature):
                if self._kind == "thinking":
                    self._signature += signature
                else:
                    self._owed = signature
            case RedactedThought(data=data):
                self._leave()
                self._blocks.append(("redacted", data, None, "", []))
            case CallBegins():
                self._leave()
                signature, self._owed = event.signature or self._owed, ""
                if signature:
                    self._blocks.append(("thinking", "", None, CALL_MARK + signature, []))
                self._enter("tool")
                self._tool = event
            case CallGrows(arguments=arguments):
                if self._kind == "tool":
                    self._pieces.append(arguments)
            case Cited(citation=citation):
                self._enter("text")
                self._sources.append(citation)
            case PartEnds():
                if self._owed and not self._kind:  # a thought that is not shown
                    self._blocks.append(("thinking", "", None, self._owed, []))
                    self._owed = ""
                self._leave()

    def blocks(self, *, is_cut: bool) -> list[AnswerBlock]:
        """The blocks. Raises ProtocolError where a call's arguments are no JSON object."""
        self._leave()
        return [_block(*found, is_cut=is_cut) for found in self._blocks]

    def _enter(self, kind: str) -> None:
        if self._kind != kind:
            self._leave()
            self._kind = kind

    def _leave(self) -> None:
        if self._kind:
            text = "".join(self._pieces)
            self._blocks.append((self._kind, text, self._tool, self._signature, self._sources))
        self._kind = self._signature = ""
        self._pieces, self._sources, self._tool = [], [], None


def _block(
    kind: str,
    text: str,
    tool: CallBegins | None,
    signature: str,
    sources: list[msgspec.Raw],
    *,
    is_cut: bool,
) -> AnswerBlock:
    if kind == "thinking":
        return ThinkingBlock(text, signature)
    if kind == "redacted":
        return RedactedBlock(text)
    if tool is None:
        return TextBlock(text, sources)
    return ToolBlock(tool.id, tool.name, _input_of(tool.name, text, is_cut=is_cut))


def _input_of(name: str, arguments: str, *, is_cut: bool) -> msgspec.Raw:
    """`input` must be an object. A call that was cut by its limit keeps nothing that could be taken
    for the whole of it; one that is broken without a reason must not be run with less."""
    raw = arguments.encode()
    try:
        _object.decode(raw or b"{}")
    except msgspec.DecodeError:
        if is_cut:
            return NOTHING
        raise ProtocolError(
            f"The target called `{name}` with arguments that are not a JSON object.",
            reason="upstream-protocol",
        ) from None
    return msgspec.Raw(raw or b"{}")
