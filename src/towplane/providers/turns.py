"""What of a request's JSON makes its prompt and its session: shapes, and their decoders.

Any dialect's turns are read by one shape, with what all of them have. Apart from `prompt`, which
can be compiled: msgspec reads these annotations when the module is imported.
"""

import msgspec

__all__ = [
    "CONTENT", "CONVERSATION", "METADATA", "TEXTS", "TURNS", "TURNS_OR_TEXT",
    "Conversation", "Metadata", "Part", "Turn",
]  # fmt: skip

Part = dict[str, msgspec.Raw]


class Turn(msgspec.Struct, gc=False):
    """A message of chat or Messages, or an item of Responses; other fields are not looked at."""

    role: str = ""
    content: str | list[Part] | None = None
    type: str = ""
    name: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[Part] | None = None
    tool_call_id: str | None = None
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
TURNS_OR_TEXT = msgspec.json.Decoder(str | list[Turn])
CONTENT = msgspec.json.Decoder(str | list[Part] | None)
TEXTS = msgspec.json.Decoder(str | list[str | int | list[int]])
METADATA = msgspec.json.Decoder(Metadata)
CONVERSATION = msgspec.json.Decoder(str | Conversation)
