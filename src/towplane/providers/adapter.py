"""What every provider's adapter and every dialect offers: the seams between gateway and wires.

A provider's adapter makes a `Call` of a request (what goes up, and the reader of what comes back)
and judges what failed. Where the provider speaks the client's dialect, bytes pass through; where it
does not, the conversation is rendered into its wire and its answer parsed into events, which the
dialect's writer makes into the client's bytes. Everything here is pure: bytes in, values out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from towplane.parts.errors import BadRequest, PlaneError, Upstream
from towplane.parts.usage import Usage
from towplane.providers.ask import Ask, OperationName
from towplane.providers.call import Call, Rendered
from towplane.providers.conversation.answer import Event
from towplane.providers.conversation.request import Conversation
from towplane.providers.reader import Reader

__all__ = [
    "Adapter",
    "Allowance",
    "Call",
    "Credential",
    "Dialect",
    "Embeddings",
    "EmbeddingsAnswer",
    "Losses",
    "Parser",
    "Place",
    "Rendered",
    "Writer",
]

Fields = Mapping[bytes, bytes]
"""Headers of an answer by lower-case name."""


class Place(msgspec.Struct, frozen=True):
    """What an adapter must know of a target to speak to it."""

    target: str
    """Its name, for messages."""
    model: str
    """The model's name there."""
    path: str = ""
    """What stands before every path, without a slash at its end, as `/v1`."""
    options: dict[str, str] = {}
    """What the provider's section says besides, by the kind's own names (`region`, …)."""


class Credential(msgspec.Struct, frozen=True):
    """A credential as a worker holds it: ready to be sent, or keys to sign with."""

    name: str
    """A name that gives nothing away: `PROVIDER#1`."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent as they are, as `("authorization", "Bearer …")`."""
    aws: tuple[str, str, str] | None = None
    """Access key, secret key and session token (or empty), for SigV4."""
    trouble: str = ""
    """Why it cannot be used; empty: it can."""

    def __repr__(self) -> str:
        return f"Credential({self.name})"


class Losses:
    """What of a request has no counterpart: refused by its name, or dropped where the route says
    `drop_unsupported: true`, and then told to the client in a header."""

    __slots__ = ("_may_drop", "dropped")

    def __init__(self, *, may_drop: bool) -> None:
        self._may_drop = may_drop
        self.dropped: list[str] = []

    def lose(self, param: str, *, where: str) -> None:
        """`where` names who has no counterpart for `param`. Raises BadRequest if it must not be
        dropped."""
        if not self._may_drop:
            raise BadRequest(
                f"`{param}` has no counterpart in {where}.",
                param=param,
                next_step="Leave it out, or ask another model; the vendor can set "
                "`drop_unsupported: true` for this route.",
                reason="unsupported-parameter",
            )
        if param not in self.dropped:
            self.dropped.append(param)


class Parser(ABC):
    """Makes events of one answer of a provider. One is made for each answer."""

    @abstractmethod
    def feed(self, payload: bytes) -> list[Event]:
        """What a piece of a stream says, cut anywhere. Raises ProtocolError; a failure that the
        provider reports is a `Failed` event."""

    @abstractmethod
    def close(self) -> list[Event]:
        """The stream's body is over. Raises ProtocolError if it ended before its end."""

    @abstractmethod
    def whole(self, body: bytes) -> list[Event]:
        """What an answer in one piece says. Raises ProtocolError."""

    is_done = False
    """The stream has said by itself that it is over, usage included."""


class Writer(ABC):
    """Makes a client's bytes of events. One is made for each answer."""

    content_type = b"text/event-stream"

    @abstractmethod
    def stream(self, events: Iterable[Event]) -> bytes:
        """Server-sent events for these events; may be empty."""

    @abstractmethod
    def end(self) -> bytes:
        """What closes the stream after its last event."""

    @abstractmethod
    def whole(self, events: Iterable[Event]) -> bytes:
        """The body of an answer in one piece."""


class Embeddings(msgspec.Struct):
    """A request for embeddings in normal form."""

    inputs: list[str] | list[list[int]]
    """Texts, or texts as token ids."""
    dimensions: int | None = None
    encoding: str = "float"
    """`float` or `base64`."""
    user: str = ""
    extra: dict[str, msgspec.Raw] = {}


class EmbeddingsAnswer(msgspec.Struct):
    """Vectors in the order of the inputs."""

    vectors: list[list[float]]
    usage: Usage | None = None
    model: str = ""


class Allowance(NamedTuple):
    """What an answer's headers say of a provider's limits; None where they do not say."""

    requests_limit: int | None = None
    requests_left: int | None = None
    requests_reset_s: float | None = None
    """Seconds until it is full again."""
    tokens_limit: int | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


class Dialect(Protocol):
    """One language of clients: a module in `dialects/`."""

    def note(self, ask: Ask) -> None:
        """Read what routing and accounting need from the top level of a body, into `ask`."""

    def read(self, fields: dict[str, msgspec.Raw]) -> Conversation:
        """The request in normal form. Raises BadRequest, naming the parameter."""

    def make_writer(self, ask: Ask) -> Writer: ...

    def make_relay(self, ask: Ask, target: str) -> Reader:
        """A reader for a target that speaks this dialect: bytes pass through."""

    def body_for(self, ask: Ask, model: str) -> bytes:
        """The same request for a target that speaks this dialect and calls the model so."""

    def error_body(self, error: PlaneError) -> bytes: ...

    def error_event(self, error: PlaneError) -> bytes:
        """The error inside a stream."""


Sign = Callable[[Credential, bytes, str, Rendered, Place, float], tuple[tuple[str, str], ...]]
"""Credential, method, host, what goes up, its place, the wall clock: the headers that sign it."""


class Adapter(msgspec.Struct, frozen=True):
    """One kind of provider: plain functions, listed in `providers.adapters.PROVIDERS`."""

    kind: str
    is_native: Callable[[OperationName, Place], bool]
    """Whether the target speaks this operation as the client does."""
    passthrough: Callable[[Ask, Place], Rendered]
    """Only for native operations: the client's own request for this place."""
    render: Callable[[Conversation, Place, Losses], Rendered]
    """A conversation for this place. Raises BadRequest."""
    make_parser: Callable[[Place, bool], Parser]
    """For an answer to `render`; the flag says whether it streams."""
    judge: Callable[[int, Fields, bytes, str], Upstream]
    """Status from 400 on, headers, body, the target's name: the error."""
    read_allowance: Callable[[Fields], Allowance | None]
    """What the headers of any answer say of the provider's limits."""
    relay: Callable[[Ask, Place], Reader | None] | None = None
    """A native reader of its own, where the client's dialect is framed otherwise (Bedrock's event
    stream); then headers and error bodies are not the dialect's. None: the dialect's own reader."""
    sign: Sign | None = None
    """For credentials that sign each request."""
    render_embeddings: Callable[[Embeddings, Place, Losses], Rendered] | None = None
    read_embeddings: Callable[[bytes], EmbeddingsAnswer] | None = None
    render_count: Callable[[Conversation, Place, Losses], Rendered] | None = None
    """Count the input tokens of a conversation without running it."""
    read_count: Callable[[bytes], int] | None = None
    is_spilled: Callable[[Fields], bool] | None = None
    """Whether an answer's headers say that another deployment gave it than the one asked."""
