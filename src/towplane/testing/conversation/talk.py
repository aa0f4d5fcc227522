"""A conversation as a feature tells it, whatever the client's dialect: what is said, what is asked
for, and what came back. The three dialects are in `clients.py`; nothing here knows a provider."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["JSON", "Answer", "Call", "Options", "Talk", "Tool", "forged"]

JSON = dict[str, Any]


class Tool(NamedTuple):
    """A function that the model may call."""

    name: str
    description: str
    schema: JSON


class Call(NamedTuple):
    """A call that the model made."""

    id: str
    name: str
    arguments: Any


class Options(NamedTuple):
    """What is asked for besides the words; nothing of it is said where it has its default."""

    stream: bool = False
    tools: tuple[Tool, ...] = ()
    force: str = ""
    """The tool that must be called."""
    is_single: bool = False
    """One call at a time."""
    wants_json: bool = False
    schema: JSON | None = None
    thinks: bool = False
    shows_thoughts: bool = False
    stop: str = ""
    seed: int | None = None
    logprobs: bool = False
    samples: int = 1
    limit: int | None = None
    more: JSON = {}  # noqa: RUF012  # never changed
    """Fields that the client does not know."""


@dataclass(slots=True)
class Answer:
    """What came back, from one answer or put together by the client from a stream."""

    native: Any
    """As the client has it, to be sent back."""
    texts: list[str] = field(default_factory=list)
    """Of each sample."""
    thoughts: str = ""
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    """`stop`, `length`, `tool_calls` or `content_filter`."""
    is_declined: bool = False
    """The dialect says that the model declined."""
    citations: int = 0
    logprobs: int = 0
    input: int | None = None
    """All of it, however the dialect counts."""
    output: int | None = None
    cached: int = 0
    written: int = 0

    @property
    def text(self) -> str:
        """Of the first sample."""
        return self.texts[0] if self.texts else ""


class Talk(ABC):
    """One conversation of an official client with one model of the plane."""

    errors: Any
    """The client's package, for the classes of its errors."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.history: list[Any] = []

    @abstractmethod
    def instruct(self, *texts: str) -> None:
        """Instructions, in each role that the dialect has for them."""

    @abstractmethod
    def user(
        self,
        text: str,
        *,
        image: str = "",
        document: str = "",
        is_marked: bool = False,
        cites: bool = False,
    ) -> None:
        """The user says something; image (PNG) and document (PDF) in base64. `is_marked`: a cache
        mark stands behind it. `cites`: the document is to be cited."""

    @abstractmethod
    def reply(self, answer: Answer, *, forge: bool = False) -> None:
        """The answer goes back, as the client has it; `forge` changes what was signed."""

    @abstractmethod
    def results(self, *said: tuple[Call, str]) -> None:
        """What the tools said."""

    @abstractmethod
    def ask(self, options: Options) -> Answer:
        """Ask, in one piece or as a stream."""

    @abstractmethod
    def pieces(self, options: Options) -> Iterator[str]:
        """The text of a stream as it comes; closing the iterator closes the stream."""

    def say(self, text: str, **options: Any) -> Answer:
        """The user says something, and the model answers."""
        self.user(text)
        return self.ask(Options(**options))


_SIGNED = frozenset(("signature", "thought_signature", "encrypted_content", "data"))


def forged(value: Any) -> Any:
    """The same with other signatures; a mark before one stays."""
    if isinstance(value, list):
        return [forged(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: inner[:-6] + "AAAAA" + inner[-1]
        if name in _SIGNED and isinstance(inner, str) and inner
        else forged(inner)
        for name, inner in value.items()
    }
