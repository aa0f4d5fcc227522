"""One request as a target gets it, and who reads its answer: what an adapter makes of what a client
asked. Plain classes, because one of each is made for every attempt."""

from towplane.providers.reader import Reader

__all__ = ["Call", "Rendered"]


class Rendered:
    """What goes up."""

    __slots__ = ("body", "headers", "path")

    def __init__(self, path: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.path = path
        """The request target, query included; without the place's `path` before it."""
        self.body = body
        self.headers = headers
        """Besides content-type: application/json."""


class Call:
    """One request to a target and the reader of its answer."""

    __slots__ = ("content_type", "dropped", "is_native", "reader", "rendered")

    def __init__(
        self,
        rendered: Rendered,
        reader: Reader,
        is_native: bool,
        content_type: bytes = b"",
        dropped: tuple[str, ...] = (),
    ) -> None:
        self.rendered = rendered
        self.reader = reader
        self.is_native = is_native
        """The target speaks the client's dialect: its headers and error bodies are passed on."""
        self.content_type = content_type
        """Of the client's answer where it is not the target's own: `text/event-stream` or JSON."""
        self.dropped = dropped
