"""What reads one answer as it comes, whatever dialect the provider speaks."""

from abc import ABC, abstractmethod

from mypy_extensions import mypyc_attr

from towplane.parts.errors import Upstream
from towplane.parts.usage import Usage

__all__ = ["Reader"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Reader(ABC):
    """Reads one answer as it comes and says what the client gets. One is made for each attempt."""

    __slots__ = ("begun", "failed", "finished", "is_told", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.begun: Usage | None = None
        """What the answer said of its usage at its begin: the input is right, the output is not."""
        self.failed: Upstream | None = None
        """The answer says inside a 200 that it failed."""
        self.finished = False
        """The answer came to its proper end."""
        self.is_told = False
        """The failure stands in the bytes that were given out, in the client's dialect."""

    @abstractmethod
    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        """Of a piece of a stream: the client's bytes, how many events of them are tokens, and
        whether the stream is over. `whole`: nothing follows. Raises ProtocolError."""

    @abstractmethod
    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        """Of a successful answer in one piece: the client's body, and, where it has no usage, an
        estimate of its output tokens. Raises ProtocolError."""

    def read_tail(self, tail: bytes) -> None:  # noqa: B027  # a translated answer has no such end
        """Of an answer too large to keep that was passed on as it came: the usage at its end."""

    @property
    def passes_through(self) -> bool:
        """Whether the client gets the provider's own bytes, so that a long answer in one piece may
        be passed on as it comes."""
        return True
