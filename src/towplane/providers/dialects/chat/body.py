"""One object of a request's body, taken apart field by field; what nobody takes is left over.

Every error names the parameter with its path, as `messages[2].content[1].text`. A field that is
null counts as absent, as OpenAI has it. Knows no field's meaning.
"""

from typing import NoReturn, TypeVar

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.ask import read_field

__all__ = ["Body", "count", "items", "number", "refuse", "text"]

T = TypeVar("T")

text = msgspec.json.Decoder(str)
count = msgspec.json.Decoder(int)
number = msgspec.json.Decoder(float)
items = msgspec.json.Decoder(list[msgspec.Raw])
_flag = msgspec.json.Decoder(bool)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")


class Body:
    """An object and where it stands; `path` is empty for the whole body."""

    __slots__ = ("left", "path")

    def __init__(self, fields: dict[str, msgspec.Raw], path: str = "") -> None:
        self.left = {name: raw for name, raw in fields.items() if raw != _NULL}
        """The fields that nobody has taken."""
        self.path = path

    @classmethod
    def of(cls, raw: msgspec.Raw, path: str) -> "Body":
        """Raises BadRequest if it is no object."""
        return cls(read_field(_fields, raw, path, "an object"), path)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> msgspec.Raw | None:
        """The bytes of a field, which is taken."""
        return self.left.pop(name, None)

    def take(self, name: str, decoder: "msgspec.json.Decoder[T]", want: str) -> T | None:
        """A field's value; None where it is absent. Raises BadRequest."""
        raw = self.left.pop(name, None)
        return None if raw is None else read_field(decoder, raw, self.at(name), want)

    def text(self, name: str) -> str:
        """A string; empty where it is absent."""
        raw = self.left.pop(name, None)
        return "" if raw is None else read_field(text, raw, self.at(name), "a string")

    def need(self, name: str) -> str:
        """A string that must be there."""
        raw = self.left.pop(name, None)
        if raw is None:
            refuse(self.at(name), "is missing")
        return read_field(text, raw, self.at(name), "a string")

    def flag(self, name: str) -> bool | None:
        """True or false; None where it is absent."""
        return self.take(name, _flag, "true or false")

    def object(self, name: str) -> "Body | None":
        """An object; None where it is absent."""
        raw = self.left.pop(name, None)
        return None if raw is None else Body.of(raw, self.at(name))


def refuse(param: str, why: str) -> NoReturn:
    """Raises BadRequest: the parameter and what is wrong with it."""
    raise BadRequest(f"`{param}` {why}.", param=param, reason="body-invalid")
