"""A plain HTTP/1.1 client for stories: one request on a connection of its own, every byte kept.

It knows nothing of models beyond the fields that the fake provider reads, and retries nothing.
"""

import asyncio
import json
import ssl
from dataclasses import dataclass, field
from typing import Any

from towplane.testing.framing import Malformed, Message, MessageReader

__all__ = ["Answer", "ask", "chat"]

PATIENCE_S = 60.0


@dataclass(slots=True)
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    """The framing came to its end; without an error event in a stream."""
    error: str = ""
    """Of the connection, if it broke."""

    @property
    def tokens(self) -> int:
        """Tokens of a streamed chat."""
        return self.body.count(b'"content":"') - self.body.count(b'"content":""')

    @property
    def reason(self) -> str:
        """`x-towplane-reason`."""
        return self.headers.get("x-towplane-reason", "")

    @property
    def request_id(self) -> str:
        """`x-towplane-request-id`."""
        return self.headers.get("x-towplane-request-id", "")

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def chat(key: str, **fields: Any) -> bytes:
    """The bytes of a chat request; fields are those of its body (`fake` holds a script)."""
    body = json.dumps(
        {"model": "fake", "messages": [{"role": "user", "content": "fly me up"}], **fields}
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: plane\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(
    address: tuple[str, int], request: bytes, *, tls: ssl.SSLContext | None = None
) -> Answer:
    """Send the bytes, read one answer to its end, close."""
    found = Answer()
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(*address, ssl=tls)
            try:
                writer.write(request)
                await _read(reader, found)
            finally:
                writer.transport.abort()
    except TimeoutError:
        found.error = "hangs"
    except (OSError, Malformed) as error:
        found.error = repr(error)
    return found


async def _read(reader: asyncio.StreamReader, found: Answer) -> None:
    heads: list[Message] = []
    messages = MessageReader("response", on_head=heads.append)
    try:
        while not any(message.complete for message in heads if message.status >= 200):
            data = await reader.read(65536)
            if not data:
                messages.end()
                break
            messages.feed(data)
    finally:
        for message in heads:
            if message.status >= 200:
                found.status = message.status
                found.headers = {k.decode(): v.decode("latin-1") for k, v in message.headers}
                found.body = bytes(message.body)
                found.whole = message.complete and b'data: {"error"' not in message.body
