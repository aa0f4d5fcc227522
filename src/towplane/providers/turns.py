"""What of a request's JSON makes its prompt and its session: shapes, and their decoders.

Apart from `prompt`, which
can be compiled: msgspec reads these annotations when the module is imported.
"""

import msgspec

__all__ = [
    "CONTENT", "CONVERSATION", "ITEMS_OR_TEXT", "METADATA", "TEXTS", "TURNS",
    "Conversation", "Item", "Metadata", "Part", "Turn",
]  # fmt: skip

Part = dict[str, msgspec.Raw]


class Turn(msgspec.Struct, gc=False):
    """A message of chat or Messages; other fields are not looked at."""

    role: str = ""
    content: str | list[Part] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Part] | None = None
    tool_call_id: str | None = None


class Item(Turn, gc=False):
    """An item of Responses: a message, a call, its output or what was thought."""

    type: str = ""
    call_id: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    action: msgspec.Raw = msgspec.Raw()
    summary: msgspec.Raw = msgspec.Raw()


class Metadata(msgspec.Struct):
    """Of Messages."""

    user_id: str = ""


class Conversation(msgspec.Struct):
    """Of Responses."""

    id: str = ""


TURNS = msgspec.json.Decoder(list[Turn])
ITEMS_OR_TEXT = msgspec.json.Decoder(str | list[Item])
CONTENT = msgspec.json.Decoder(str | list[Part] | None)
TEXTS = msgspec.json.Decoder(str | list[str | int | list[int]])
METADATA = msgspec.json.Decoder(Metadata)
CONVERSATION = msgspec.json.Decoder(str | Conversation)
